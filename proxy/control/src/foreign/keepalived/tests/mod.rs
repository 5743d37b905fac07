use std::path::PathBuf;
use std::sync::Arc;

use sched::{
    BodyTest, Check, CheckKind, DestSpec, DnsRecord, ExecCheck, FileCheck, ForwardMethod, Health, HttpCheck,
    HttpUrl, HttpVersion, Initially, Netmask, Notify, NotifyCommand, OnDown, Persistence, Proto, SchedFlags,
    ServiceSpec, TlsCheck, Tunnel, TunnelChecksum, TunnelKind, UdpCheck, Weight,
};

use super::super::note::Severity;
use super::*;

mod adapted;
mod keywords;
mod lines;
mod mistakes;
mod surplus;

/// A directory of its own, gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ulvs-keepalived-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read_text(name: &str, text: &str) -> Foreign {
    let dir = Dir::new(name);
    load(&dir.write("keepalived.conf", text), "main").unwrap()
}

/// The services of a text that there is nothing to say about.
fn services(name: &str, text: &str) -> Vec<ServiceSpec> {
    let foreign = read_text(name, text);
    // Nearly all have that in common.
    assert!(foreign.notes.iter().all(|note| note.message == crate::foreign::RESETS.0), "{}", foreign.notes);
    foreign.services
}

fn every_second(kind: CheckKind) -> Check {
    Check { interval: 6_000, timeout: 5_000, fall: 4, rise: 1, warmup: Some(500), ..Check::new(kind) }
}

#[test]
fn every_keyword_becomes_what_it_means() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/foreign/keepalived/tests/everything.conf");
    let foreign = load(&path, "main").unwrap();
    assert!(!foreign.notes.has_errors(), "{}", foreign.notes);
    assert_eq!(foreign.timeouts, crate::settings::Timeouts { tcp: 600, tcp_fin: 60, udp: 30 });
    let [web, dns] = &foreign.services[..] else { panic!("{:?}", foreign.services) };
    assert_eq!(web.key, "tcp/10.0.0.1:80".parse().unwrap());
    assert_eq!((web.scheduler.as_str(), web.flags), ("mh", SchedFlags::ONE | SchedFlags::TWO));
    let mask = Netmask::V4("255.255.255.0".parse().unwrap());
    assert_eq!(web.persistence, Some(Persistence { timeout: 360, mask }));
    let tunnel = Tunnel { kind: TunnelKind::Gue, port: 5555, checksum: TunnelChecksum::Full };
    let one = DestSpec {
        method: ForwardMethod::Route,
        weight: Weight(3),
        upper: 1000,
        lower: 800,
        ..DestSpec::new("192.168.1.1:80".parse().unwrap())
    };
    let two = DestSpec {
        method: ForwardMethod::Tunnel(tunnel),
        ..DestSpec::new("192.168.1.2:80".parse().unwrap())
    };
    assert_eq!(web.dests, [one.clone(), two.clone()]);
    let health = Health {
        checks: of_the_first(),
        own: [(two.addr, of_the_second())].into(),
        initially: Initially::Down,
        inhibit: true,
        on_down: OnDown::Keep,
        sorry: Some(DestSpec::new("10.9.9.9:8080".parse().unwrap())),
        sorry_inhibit: true,
        quorum: 3,
        hysteresis: 1,
        notify: Notify {
            own: [(one.addr, [Some("/usr/local/bin/up".into()), Some("/usr/local/bin/down now".into())])]
                .into(),
            quorum_up: Some("/usr/local/bin/quorum up".into()),
            quorum_down: Some("/usr/local/bin/quorum down".into()),
            at_stop: true,
            user: Some("nobody:nogroup".to_owned()),
            ..Notify::default()
        },
        ..Health::default()
    };
    assert_eq!(web.health, Some(Arc::new(health)));
    assert_eq!(dns.key, "fwm6/7".parse().unwrap());
    assert!(dns.one_packet);
    assert_eq!(dns.dests, [DestSpec::new("[fd00::1]:5353".parse().unwrap())]);
    assert_eq!(dns.health.as_ref().unwrap().checks, of_the_mark());
    let said: Vec<_> = foreign.notes.iter().map(|note| (note.severity, note.place.line)).collect();
    let expected = [
        (Severity::NotHandled, 5),
        // The file; `FF 01 0A` has nothing to be said.
        (Severity::Changed, 79),
    ];
    assert_eq!(said, expected, "{}", foreign.notes);
}

fn of_the_first() -> Vec<Check> {
    let tcp = Check { timeout: 1_500, fall: 1, ..every_second(CheckKind::Tcp) };
    let regex = |pattern: &str, negate, min_offset, max_offset| BodyTest::Regex {
        pattern: pattern.to_owned(),
        negate,
        min_offset,
        max_offset,
    };
    let index = HttpUrl {
        host: Some("www.example".to_owned()),
        status: vec![(200, 200), (300, 399)],
        body: vec![regex(r"(?is)welcome\s+home", false, 10, 200)],
        ..HttpUrl::new("/index.html")
    };
    let digest = BodyTest::Digest("9b3a0c85a887a256d6939da88aabd8cd".to_owned());
    let page = HttpUrl {
        host: Some("other.example".to_owned()),
        body: vec![regex("error", true, 0, 0), digest],
        ..HttpUrl::new("/a-page")
    };
    let http = HttpCheck { urls: vec![index, page], version: HttpVersion::Http11, ..HttpCheck::default() };
    vec![tcp, Check { fast_interval: Some(3_000), ..every_second(CheckKind::Http(http)) }]
}

fn of_the_second() -> Vec<Check> {
    let quick = |kind| Check { interval: 2_000, fast_interval: Some(1_000), ..every_second(kind) };
    let exec = ExecCheck {
        command: ["/usr/local/bin/check", "with blanks", "x"].map(str::to_owned).to_vec(),
        user: Some("daemon".to_owned()),
        dynamic: true,
    };
    let file = FileCheck { path: "/var/lib/load".into(), weight: 2, reverse: true, dynamic: true };
    let file =
        Check { interval: 1_000, fall: 1, rise: 1, warmup: Some(0), ..Check::new(CheckKind::File(file)) };
    vec![quick(CheckKind::Icmp), Check { timeout: 9_000, ..quick(CheckKind::Exec(exec)) }, file]
}

fn of_the_mark() -> Vec<Check> {
    let check = |kind| Check { interval: 10_000, timeout: 5_000, rise: 1, ..Check::new(kind) };
    let dns = CheckKind::Dns { record: DnsRecord::Aaaa, name: "example".to_owned() };
    let dns = Check {
        fall: 4,
        bind: Some("[fd00::9]:99".parse().unwrap()),
        device: Some("eth1".to_owned()),
        mark: Some(4),
        ..check(dns)
    };
    let udp = UdpCheck {
        payload: vec![0, 0xff, 1, 0xa],
        require_reply: true,
        reply: vec![Some(0xa), None],
        min_reply: 2,
        max_reply: 100,
    };
    let udp = Check {
        fall: 2,
        fast_interval: Some(250),
        addr: Some("fd00::2".parse().unwrap()),
        port: Some(53),
        ..check(CheckKind::Udp(udp))
    };
    let smtp = |addr: &str, port| Check {
        fall: 1,
        addr: Some(addr.parse().unwrap()),
        port,
        ..check(CheckKind::Smtp { helo: "me.example".to_owned() })
    };
    let secure = HttpUrl { host: Some("secure.example".to_owned()), ..HttpUrl::new("/") };
    let tls = TlsCheck { sni: Some("secure.example".to_owned()), ..TlsCheck::default() };
    let https = HttpCheck { urls: vec![secure], version: HttpVersion::Http10, tls: Some(tls) };
    let https = Check { fall: 2, fast_interval: Some(3_000), ..check(CheckKind::Http(https)) };
    vec![dns, udp, smtp("fd00::3", None), smtp("fd00::4", Some(26)), https]
}

#[test]
fn what_is_not_said_is_as_for_keepalived() {
    let [service] = &services(
        "defaults",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server 10.1.0.1 8080 {\nTCP_CHECK { }\n}\n}\n",
    )[..] else {
        panic!()
    };
    assert_eq!(service.scheduler, "wlc");
    assert_eq!(service.dests, [DestSpec::new("10.1.0.1:8080".parse().unwrap())]);
    let check = Check {
        interval: 60_000,
        fast_interval: Some(1_000),
        timeout: 5_000,
        fall: 2,
        rise: 1,
        ..Check::new(CheckKind::Tcp)
    };
    let expected = Health { checks: vec![check], ..Health::default() };
    assert_eq!(service.health.as_deref(), Some(&expected));
}

#[test]
fn a_group_is_a_service_for_each_of_its_addresses() {
    let text = "
        virtual_server group WEB {
            protocol TCP
            lvs_sched rr
            real_server 10.1.0.1 8080 { TCP_CHECK { } }
        }
        virtual_server_group WEB {
            10.0.0.1 80
            10.0.0.4-5 81
            fwmark 3
        }";
    let foreign = read_text("group", text);
    let keys: Vec<_> = foreign.services.iter().map(|service| service.key.word()).collect();
    assert_eq!(keys, ["tcp/10.0.0.1:80", "tcp/10.0.0.4:81", "tcp/10.0.0.5:81", "fwm/3"]);
    for service in &foreign.services {
        assert_eq!(service.dests[0].addr, "10.1.0.1:8080".parse().unwrap());
        assert_eq!(service.health.as_ref().unwrap().checks.len(), 1);
    }
    assert_eq!(foreign.notes.counts(), "2 changed");
    assert!(foreign.notes.to_string().contains("`WEB` becomes 4 services, each with its own checks"));
}

#[test]
fn packets_that_are_not_rewritten_keep_their_port_and_checks_ask_the_one_that_is_written() {
    let text = "
        virtual_server 10.0.0.1 80 {
            protocol TCP
            lvs_method DR
            real_server 10.1.0.1 8080 {
                TCP_CHECK { }
                PING_CHECK { }
            }
            real_server 10.1.0.2 { TCP_CHECK { } }
        }";
    let foreign = read_text("ports", text);
    let [service] = &foreign.services[..] else { panic!() };
    let health = service.health.as_ref().unwrap();
    let ports = |server: &str| {
        let checks = health.checks_of(&server.parse().unwrap());
        checks.iter().map(|check| check.port).collect::<Vec<_>>()
    };
    assert_eq!(ports("10.1.0.1:80"), [Some(8080), None]);
    assert_eq!(ports("10.1.0.2:80"), [None]);
    assert_eq!(service.dests.iter().map(|dest| dest.addr.port()).collect::<Vec<_>>(), [80, 80]);
    assert!(foreign.notes.to_string().contains("8080 is only asked by checks"), "{}", foreign.notes);
    assert_eq!(service.key.proto(), Some(Proto::Tcp));
}
