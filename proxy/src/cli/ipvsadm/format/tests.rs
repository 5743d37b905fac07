use control::save::Numeric;
use sched::{Fitness, Netmask, SchedFlags, TcpOptions, Weight};

use super::*;

fn counts(n: [u64; 5]) -> Counts {
    let [conns, in_packets, out_packets, in_bytes, out_bytes] = n;
    Counts { conns, in_packets, out_packets, in_bytes, out_bytes }
}

fn view() -> ServiceView {
    let dest = |addr: &str, weight, active, inactive, numbers| DestView {
        spec: DestSpec { weight: Weight(weight), ..DestSpec::new(addr.parse().unwrap()) },
        active,
        inactive,
        persistent: 0,
        counts: counts(numbers),
        rates: Rates::default(),
        overloaded: false,
        ramping: None,
        absent: false,
        effective: None,
        fitness: Fitness::default(),
        state: String::new(),
        sorry: false,
    };
    ServiceView {
        key: ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()),
        scheduler: "wlc".to_owned(),
        flags: SchedFlags::default(),
        one_packet: false,
        tcp: TcpOptions::default(),
        persistence: None,
        pe: None,
        tls: None,
        health: None,
        lips: Vec::new(),
        rates: Rates::default(),
        counts: counts([123, 4567, 99_999_999, 123_456_789, 123_456_789_000]),
        dests: vec![
            dest(
                "192.168.1.1:8080",
                0,
                0,
                0,
                [123, 4567, 99_999_999, 1_234_000_000_000, 1_234_000_000_000_000],
            ),
            dest("192.168.1.2:8080", 3, 12, 345, [0, 1, 100_000_000, 999_999_999, 1_000_000_000]),
            dest("[fd00::1]:65535", 2_147_483_647, 1_000_000, 12_345_678_901, [0; 5]),
        ],
    }
}

fn written(columns: Columns) -> Vec<String> {
    let mut text = header(columns).to_owned();
    service(&mut text, &view(), columns, &Numeric).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_table() {
    let expected = [
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
        "TCP  10.0.0.1:80 wlc",
        "  -> 192.168.1.1:8080             Masq    0      0          0         ",
        "  -> 192.168.1.2:8080             Masq    3      12         345       ",
        "  -> [fd00::1]:65535              Masq    2147483647 1000000    12345678901",
    ];
    assert_eq!(written(Columns::Plain), expected);
}

#[test]
fn counters_cut_and_exact() {
    let expected = [
        "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
        "  -> RemoteAddress:Port",
        "TCP  10.0.0.1:80                       123     4567 99999999  123456K     123G",
        "  -> 192.168.1.1:8080                  123     4567 99999999    1234G    1234T",
        "  -> 192.168.1.2:8080                    0        1  100000K  999999K    1000M",
        "  -> [fd00::1]:65535                     0        0        0        0        0",
    ];
    assert_eq!(written(Columns::Stats { exact: false }), expected);
    let exact = written(Columns::Stats { exact: true });
    assert_eq!(
        exact[2],
        "TCP  10.0.0.1:80                       123     4567 99999999 123456789 123456789000"
    );
}

#[test]
fn numbers_are_cut_in_decimal_and_never_rounded() {
    let cases = [
        (0, "0"),
        (99_999_999, "99999999"),
        (100_000_000, "100000K"),
        (999_999_999, "999999K"),
        (1_000_000_000, "1000M"),
        (99_999_999_999, "99999M"),
        (100_000_000_000, "100G"),
        (99_999_999_999_999, "99999G"),
        (100_000_000_000_000, "100T"),
        (u64::MAX, "18446744T"),
    ];
    for (n, text) in cases {
        assert_eq!(cut(n), text);
    }
}

#[test]
fn rates_thresholds_persistence_tunnels() {
    let mut view = view();
    view.rates = Rates { cps: 7, in_pps: 88, out_pps: 999, in_bps: 123_456_789, out_bps: 4_000_000_000 };
    view.persistence = Some(Persistence { timeout: 360, mask: Netmask::V4([255, 255, 255, 0].into()) });
    view.dests.truncate(2);
    let gue = Tunnel { kind: TunnelKind::Gue, port: 65535, checksum: TunnelChecksum::Remote };
    view.dests[0].spec = DestSpec {
        method: ForwardMethod::Tunnel(gue),
        upper: 100,
        lower: 50,
        weight: Weight(3),
        ..view.dests[0].spec.clone()
    };
    view.dests[0].persistent = 6;
    let lines = |columns| {
        let mut text = String::new();
        service(&mut text, &view, columns, &Numeric).unwrap();
        text
    };
    assert_eq!(
        lines(Columns::Rates { exact: false }),
        "TCP  10.0.0.1:80                         7       88      999  123456K    4000M\n  \
         -> 192.168.1.1:8080                    0        0        0        0        0\n  \
         -> 192.168.1.2:8080                    0        0        0        0        0\n"
    );
    assert_eq!(
        lines(Columns::Thresholds),
        "TCP  10.0.0.1:80 wlc persistent 360 mask 255.255.255.0\n  \
         -> 192.168.1.1:8080             100        50         0          0         \n  \
         -> 192.168.1.2:8080             0          0          12         345       \n"
    );
    assert_eq!(
        lines(Columns::Persistence),
        "TCP  10.0.0.1:80 wlc persistent 360 mask 255.255.255.0\n  \
         -> 192.168.1.1:8080             3         6           0          0         \n  \
         -> 192.168.1.2:8080             3         0           12         345       \n"
    );
    assert_eq!(
        lines(Columns::Tunnels),
        "TCP  10.0.0.1:80 wlc persistent 360 mask 255.255.255.0\n  \
         -> 192.168.1.1:8080             Tunnel  gue:65535:r+c 3      0          0         \n  \
         -> 192.168.1.2:8080             Masq    n/a           3      12         345       \n"
    );
}

#[test]
fn marks_have_no_address() {
    let mark = |family| ServiceView {
        key: ServiceKey::Mark { mark: sched::Mark(5.try_into().unwrap()), family },
        dests: Vec::new(),
        ..view()
    };
    for (family, expected) in
        [(sched::Family::Ipv4, "FWM  5 wlc\n"), (sched::Family::Ipv6, "FWM  5 IPv6 wlc\n")]
    {
        let mut text = String::new();
        service(&mut text, &mark(family), Columns::Plain, &Numeric).unwrap();
        assert_eq!(text, expected);
    }
}

fn conn(proto: Option<Proto>, expires: u32, state: &'static str, client: &str, vip: &str) -> ConnView {
    ConnView {
        proto,
        template: false,
        pe: None,
        expires,
        state: state.into(),
        client: client.parse().unwrap(),
        vip: vip.parse().unwrap(),
        dest: "192.168.1.2:8080".parse().unwrap(),
    }
}

fn row(conn: &ConnView, engines: bool) -> String {
    let mut text = String::new();
    connection(&mut text, conn, engines, &Numeric).unwrap();
    text
}

#[test]
fn connections_have_minutes_without_bound() {
    let cases = [
        (
            conn(Some(Proto::Tcp), 899, "ESTABLISHED", "10.0.0.2:50000", "10.0.0.1:80"),
            "TCP 14:59  ESTABLISHED 10.0.0.2:50000     10.0.0.1:80        192.168.1.2:8080\n",
        ),
        (
            conn(Some(Proto::Udp), 3725, "UDP", "10.0.0.2:5000", "10.0.0.1:80"),
            "UDP 62:05  UDP         10.0.0.2:5000      10.0.0.1:80        192.168.1.2:8080\n",
        ),
        (
            conn(Some(Proto::Tcp), 360_000, "TIME_WAIT", "203.0.113.200:50000", "10.0.0.1:80"),
            "TCP 6000:00  TIME_WAIT   203.0.113.200:50000 10.0.0.1:80        192.168.1.2:8080\n",
        ),
        (
            conn(None, 199, "NONE", "10.0.0.0:0", "0.0.1.2:0"),
            "IP  03:19  NONE        10.0.0.0:0         0.0.1.2:0          192.168.1.2:8080\n",
        ),
        (
            conn(Some(Proto::Sctp), 9, "CLOSED", "[fd00::2]:5", "[fd00::1]:80"),
            "SCTP 00:09  CLOSED      [fd00::2]:5        [fd00::1]:80       192.168.1.2:8080\n",
        ),
    ];
    for (conn, expected) in cases {
        assert_eq!(row(&conn, false), expected);
        assert_eq!(row(&conn, true), expected, "without an engine nothing more is said");
    }
}

#[test]
fn a_persistence_engine_is_told_where_it_is_asked_for() {
    let mut template = conn(Some(Proto::Udp), 48, "NONE", "10.77.1.2:0", "10.77.9.9:5060");
    template.dest = "10.77.22.2:5060".parse().unwrap();
    template.pe = Some((sched::PersistenceEngine::Sip, "abcd@host.example".to_owned()));
    let plain = "UDP 00:48  NONE        10.77.1.2:0        10.77.9.9:5060     10.77.22.2:5060";
    assert_eq!(row(&template, false), format!("{plain}\n"));
    assert_eq!(row(&template, true), format!("{plain}  sip                abcd@host.example\n"));
}
