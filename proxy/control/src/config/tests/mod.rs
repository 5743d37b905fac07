mod health;
mod marks;
mod mistakes;
mod tls;

use sched::{
    DestSpec, Family, ForwardMethod, Mark, Mss, Netmask, Persistence, PersistenceEngine, Proto,
    ProxyProtocol, ServiceKey, TcpOptions, Tunnel, TunnelChecksum, TunnelKind, Weight,
};

use super::*;
use crate::settings::{Sysctl, Timeouts};
use mistakes::with_line;

#[test]
fn an_empty_file_is_the_defaults_and_no_services() {
    let config = Config::parse("x", "").unwrap();
    assert_eq!(config.engine, EngineConfig::default());
    assert_eq!(config.engine.max_connections.get(), 1_000_000);
    assert!(config.services().is_empty());
}

#[test]
fn every_key_arrives() {
    let text = r#"
        [engine]
        workers = 4
        offload = false
        max_connections = 5000
        device = "lvs7"
        port = "packet"
        interfaces = ["eth0", "br0.5"]

        [[service]]
        vip = "10.0.0.1"
        ports = ["tcp/80"]
        scheduler = "wrr"
        [[service.server]]
        address = "192.168.1.1:8080"
        weight = 3
        method = "nat"
        [[service.server]]
        address = "192.168.1.2"

        [[service]]
        vip = "fd00::1"
        ports = ["udp/53"]
        server = [{ address = "[fd00::2]:5353", weight = 0 }, { address = "fd00::3" }]
    "#;
    let config = Config::parse("x", text).unwrap();
    let engine = EngineConfig {
        workers: Workers::Count(NonZeroUsize::new(4).unwrap()),
        offload: Offload::Off,
        max_connections: NonZeroUsize::new(5000).unwrap(),
        device: "lvs7".to_owned(),
        port: Port::Packet,
        interfaces: vec!["eth0".to_owned(), "br0.5".to_owned()],
    };
    assert_eq!(config.engine, engine);
    let dest =
        |addr: &str, weight| DestSpec { weight: Weight(weight), ..DestSpec::new(addr.parse().unwrap()) };
    let expected = [
        ServiceSpec {
            dests: vec![dest("192.168.1.1:8080", 3), dest("192.168.1.2:80", 1)],
            ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()), "wrr")
        },
        ServiceSpec {
            dests: vec![dest("[fd00::2]:5353", 0), dest("[fd00::3]:53", 1)],
            ..ServiceSpec::new(ServiceKey::addr(Proto::Udp, "[fd00::1]:53".parse().unwrap()), "wlc")
        },
    ];
    assert_eq!(config.services(), expected);
}

#[test]
fn whatever_ipvsadm_can_say_of_a_service_the_file_can_say_too() {
    let text = r#"
        [[service]]
        vip = "10.0.0.1"
        ports = ["sctp/0"]
        scheduler = "wrr"
        persistence = true
        [[service]]
        mark = 3
        family = "ipv6"
        persistence = "1h"
        one_packet = true
        [[service]]
        vip = "10.0.0.1"
        ports = ["udp/5060"]
        persistence = { timeout = 90, mask = "255.0.255.0" }
        pe = "sip"
        server = [
            { address = "192.168.1.1", method = "dr", upper = 100, lower = 50, slow_start = "1m" },
            { address = "192.168.1.2", method = "tunnel" },
            { address = "192.168.1.3", method = "tunnel", tunnel = { kind = "gue", port = 99, checksum = "remote" } },
            { address = "fd00::1", method = "tunnel", tunnel = "gre" },
        ]
        [[service]]
        vip = "fd00::1"
        ports = ["tcp/80"]
        persistence = { mask = 64 }
        proxy_protocol = "v1"
        toa = true
        mss = 1400
        [[service]]
        mark = 9
        mss = "auto"
        persistence = { mask = 24 }
        server = [{ address = "192.168.1.2", method = "dr" }, { address = "192.168.1.2:81", method = "dr" }]
    "#;
    let config = Config::parse("x", text).unwrap_or_else(|error| panic!("{error}"));
    let key = |proto, vip: &str| ServiceKey::addr(proto, vip.parse().unwrap());
    let mark = |n: u32, family| ServiceKey::Mark { mark: Mark(n.try_into().unwrap()), family };
    let persistence = |timeout, mask| Some(Persistence { timeout, mask });
    let dest = |addr: &str, method| DestSpec { method, ..DestSpec::new(addr.parse().unwrap()) };
    let v4 = |mask: &str| Netmask::V4(mask.parse().unwrap());
    let gue = Tunnel { kind: TunnelKind::Gue, port: 99, checksum: TunnelChecksum::Remote };
    let gre = Tunnel { kind: TunnelKind::Gre, ..Tunnel::default() };
    let first = dest("192.168.1.1:5060", ForwardMethod::Route);
    let expected = [
        ServiceSpec {
            persistence: persistence(360, v4("255.255.255.255")),
            ..ServiceSpec::new(key(Proto::Sctp, "10.0.0.1:0"), "wrr")
        },
        ServiceSpec {
            persistence: persistence(3600, Netmask::V6(128)),
            one_packet: true,
            ..ServiceSpec::new(mark(3, Family::Ipv6), "wlc")
        },
        ServiceSpec {
            persistence: persistence(90, v4("255.0.255.0")),
            pe: Some(PersistenceEngine::Sip),
            dests: vec![
                DestSpec { upper: 100, lower: 50, slow_start: 60, ..first },
                dest("192.168.1.2:5060", ForwardMethod::Tunnel(Tunnel::default())),
                dest("192.168.1.3:5060", ForwardMethod::Tunnel(gue)),
                dest("[fd00::1]:5060", ForwardMethod::Tunnel(gre)),
            ],
            ..ServiceSpec::new(key(Proto::Udp, "10.0.0.1:5060"), "wlc")
        },
        ServiceSpec {
            persistence: persistence(360, Netmask::V6(64)),
            tcp: TcpOptions {
                proxy_protocol: Some(ProxyProtocol::V1),
                toa: true,
                mss: Some(Mss::Bytes(1400)),
            },
            ..ServiceSpec::new(key(Proto::Tcp, "[fd00::1]:80"), "wlc")
        },
        ServiceSpec {
            persistence: persistence(360, v4("255.255.255.0")),
            tcp: TcpOptions { mss: Some(Mss::Auto), ..TcpOptions::default() },
            dests: vec![
                dest("192.168.1.2:0", ForwardMethod::Route),
                dest("192.168.1.2:81", ForwardMethod::Route),
            ],
            ..ServiceSpec::new(mark(9, Family::Ipv4), "wlc")
        },
    ];
    assert_eq!(config.services(), expected);
}

#[test]
fn flags_are_those_of_the_scheduler() {
    for algorithm in sched::algo::ALL {
        let with = |flags: &str| {
            let text = format!("scheduler = \"{}\"\nscheduler_flags = [{flags}]", algorithm.name);
            Config::parse("x", &with_line(&text))
        };
        for (name, flag) in algorithm.flags {
            assert_eq!(with(&format!("\"{name}\"")).unwrap().services()[0].flags, *flag, "{name}");
        }
        let error = with("\"flag-9\"").unwrap_err().to_string();
        let help = algorithm.flags.first().map_or("it has none", |(name, _)| name);
        assert!(error.contains("no such flag of the scheduler") && error.contains(help), "{error}");
    }
}

#[test]
fn settings_have_their_names_in_the_file() {
    let text = "
        compat = \"ipvs\"
        [timeouts]
        tcp = 1800
        udp = 30
        [sysctl]
        conn_reuse_mode = 0
        sloppy_tcp = true
        [ulvs]
        move_udp = true";
    let file = Config::parse("x", text).unwrap();
    let mut expected = Settings::new(true);
    expected.timeouts = Timeouts { tcp: 1800, udp: 30, ..Timeouts::default() };
    for (sysctl, value) in [(Sysctl::ConnReuseMode, 0), (Sysctl::SloppyTcp, 1), (Sysctl::MoveUdp, 1)] {
        expected.set(sysctl, value).unwrap();
    }
    assert_eq!(file.settings(false), expected);
    assert_eq!(file.settings(true), expected);
    // What the file says is said of whatever the command line began from.
    let file = Config::parse("x", "ulvs.move_udp = true").unwrap();
    assert_eq!(file.settings(false), Settings::default());
    let mut compat = Settings::new(true);
    compat.set(Sysctl::MoveUdp, 1).unwrap();
    assert_eq!(file.settings(true), compat);
}

#[test]
fn two_services_with_one_address_are_one_too_many() {
    let text = format!("{}{}", with_line("scheduler = \"rr\""), with_line("scheduler = \"wrr\""));
    let error = Config::parse("x", &text).unwrap_err();
    assert_eq!(error.problems()[0].message, "the service TCP 10.0.0.1:80 is there already");
    assert_eq!(error.place(error.problems()[0].span.start), (6, 7));
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text =
        "[engine]\nworkers = -1\n\n[[service]]\n\tvip = \"10.0.0.x\"\nports = [\"tcp/80\"]\n[[service]]\n";
    let report = Config::parse("/etc/ulvs.toml", text).unwrap_err().to_string();
    let expected = r#"/etc/ulvs.toml:2:11: `workers` is neither "auto" nor a usable number
  2 | workers = -1
    |           ^^
    = write workers = "auto" or a number from 1 to 64
/etc/ulvs.toml:5:8: `10.0.0.x` is not an IP address
  5 | 	vip = "10.0.0.x"
    | 	      ^^^^^^^^^^
    = write the number, IPv4 or IPv6: vip = "10.0.0.1"
/etc/ulvs.toml:7:1: this service has no `vip`
  7 | [[service]]
    | ^^^^^^^^^^^
    = add vip = "10.0.0.1"
/etc/ulvs.toml:7:1: this service has no `ports`
  7 | [[service]]
    | ^^^^^^^^^^^
    = add ports = ["tcp/80"]"#;
    assert_eq!(report, expected);
}

#[test]
fn broken_syntax_is_shown_at_its_place() {
    let error = Config::parse("x", "[engine]\nworkers = = 3\ndevice = \"unended\n").unwrap_err();
    assert!(error.problems().len() >= 2, "{error}");
    assert_eq!(error.place(error.problems()[0].span.start).0, 2, "{error}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let error = Config::load(Path::new("/nonexistent/ulvs.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /nonexistent/ulvs.toml: No such file or directory (os error 2)"
    );
    assert_eq!(error.problems().len(), 0);
}

#[test]
fn a_file_without_end_is_not_read_to_it() {
    let error = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("over 64 MiB"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_whatever_panics(text in "[\\[\\]a-z0-9=\"., {}\n#\u{e9}-]{0,80}", whole in ".{0,60}") {
        for text in [text, whole] {
            if let Err(e) = Config::parse("x", &text) {
                proptest::prop_assert!(!e.to_string().is_empty());
            }
        }
    }

    #[test]
    fn no_bytes_whatever_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        if let Err(e) = String::from_utf8(bytes) {
            proptest::prop_assert!(ConfigError::not_utf8("x", &e).to_string().starts_with("x:"));
        }
    }
}

#[test]
fn local_addresses_are_everybodys_or_a_services() {
    let text = r#"
        [[lip]]
        address = "10.1.0.9"
        [[lip]]
        address = "fd00::9"
        [[service]]
        vip = "10.0.0.1"
        ports = ["tcp/80"]
        lips = ["10.1.0.9", "10.1.0.8"]
        server = [{ address = "10.1.0.1", method = "fullnat" }, { address = "10.1.0.2" }]
    "#;
    let config = Config::parse("x", text).unwrap_or_else(|error| panic!("{error}"));
    let ips = |lips: &[&str]| lips.iter().map(|lip| lip.parse().unwrap()).collect::<Vec<IpAddr>>();
    assert_eq!(config.lips(), ips(&["10.1.0.9", "fd00::9"]));
    assert_eq!(config.services()[0].lips, ips(&["10.1.0.9", "10.1.0.8"]));
    for (text, expected) in [
        ("[[lip]]", "this local address has no `address`"),
        ("[[lip]]\naddress = \"10.1.0.9\"\n[[lip]]\naddress = \"10.1.0.9\"", "is there already"),
        (&text.replace("fullnat", "nat"), "no server of this service sees its `lips`"),
    ] {
        let error = Config::parse("x", text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
