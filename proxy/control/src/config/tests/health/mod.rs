//! `[service.health]`, `[[service.check]]`, `[[service.server.check]]`, `[health]`.

mod mistakes;

use std::path::PathBuf;

use sched::{
    BodyTest, Check, CheckKind, Damping, DestSpec, DnsRecord, ExecCheck, FileCheck, GrpcCheck, Health,
    HttpCheck, HttpUrl, HttpVersion, Initially, Need, Notify, NotifyCommand, OnDown, Passive, TlsCheck,
    UdpCheck, Via, Window,
};

use super::*;

/// A service of two servers around lines of its own.
fn service(lines: &str) -> String {
    format!(
        "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n\
         server = [{{ address = \"10.1.0.1\" }}, {{ address = \"10.1.0.2\", weight = 2 }}]\n{lines}\n"
    )
}

fn health_of(text: &str) -> Health {
    let config = Config::parse("x", text).unwrap_or_else(|error| panic!("{error}"));
    Health::clone(config.services()[0].health.as_deref().expect(text))
}

/// The only check, made of its lines.
fn check(lines: &str) -> Check {
    let health = health_of(&service(&format!("[[service.check]]\n{lines}")));
    let [check] = &health.checks[..] else { panic!("{lines}: {health:?}") };
    check.clone()
}

fn kind(lines: &str) -> CheckKind {
    check(lines).kind
}

#[test]
fn servers_that_nobody_asks_have_no_health_and_one_line_is_a_check() {
    let without = Config::parse("x", &service("")).unwrap();
    assert_eq!(without.services()[0].health, None);
    assert_eq!(check("kind = \"tcp\""), Check::new(CheckKind::Tcp));
    assert_eq!(health_of(&service("[service.health]")), Health::default());
}

#[test]
fn every_key_of_a_check_arrives() {
    let lines = r#"
        kind = "tcp"
        interval = "1500ms"
        fast_interval = "100ms"
        timeout = 3
        fall = 5
        rise = 4
        window = "3/10"
        warmup = 0
        address = "10.1.0.7"
        port = 8081
        via = "direct"
        bind = "10.1.0.250:4000"
        device = "eth1"
        mark = 0x10"#;
    let expected = Check {
        interval: 1500,
        fast_interval: Some(100),
        timeout: 3000,
        fall: 5,
        rise: 4,
        window: Some(Window { failures: 3, of: 10 }),
        warmup: Some(0),
        addr: Some("10.1.0.7".parse().unwrap()),
        port: Some(8081),
        via: Via::Direct,
        bind: Some("10.1.0.250:4000".parse().unwrap()),
        device: Some("eth1".to_owned()),
        mark: Some(16),
        ..Check::new(CheckKind::Tcp)
    };
    assert_eq!(check(lines), expected);
    assert_eq!(check("kind = \"tcp\"\nvia = \"vip\"").via, Via::Vip);
    assert_eq!(check("kind = \"icmp\"\nbind = \"10.1.0.250\"").bind, Some("10.1.0.250:0".parse().unwrap()));
}

#[test]
fn what_all_checks_have_in_common_is_said_once() {
    let defaults = "[health]\ninterval = \"1s\"\nfast_interval = \"200ms\"\ntimeout = \"900ms\"\nfall = 2\nrise = 1\nwarmup = \"5s\"\n";
    let checks =
        "[[service.check]]\nkind = \"icmp\"\n[[service.check]]\nkind = \"tcp\"\nfall = 7\nwarmup = \"1s\"";
    let health = health_of(&format!("{defaults}{}", service(checks)));
    let common = Check {
        interval: 1000,
        fast_interval: Some(200),
        timeout: 900,
        fall: 2,
        rise: 1,
        warmup: Some(5000),
        ..Check::new(CheckKind::Icmp)
    };
    let own = Check { kind: CheckKind::Tcp, fall: 7, warmup: Some(1000), ..common.clone() };
    assert_eq!(health.checks, [common, own]);
}

#[test]
fn pages_are_asked_for_in_all_the_ways_there_are() {
    assert_eq!(kind("kind = \"http\""), CheckKind::Http(HttpCheck::default()));
    let lines = r#"
        kind = "http"
        method = "POST"
        path = "/health?full=1"
        host = "www.example:8080"
        status = [200, "300-399", "404"]
        keyword = ["OK", "ready"]
        regex = { pattern = "up [0-9]+", min_offset = 3, max_offset = 90 }
        regex_no_match = "error"
        digest = "9B3A0C85A887A256D6939DA88AABD8CD"
        version = "1.0C""#;
    let regex = |pattern: &str, negate, min_offset, max_offset| BodyTest::Regex {
        pattern: pattern.to_owned(),
        negate,
        min_offset,
        max_offset,
    };
    let page = HttpUrl {
        method: "POST".to_owned(),
        host: Some("www.example:8080".to_owned()),
        status: vec![(200, 200), (300, 399), (404, 404)],
        body: vec![
            BodyTest::Keyword("OK".to_owned()),
            BodyTest::Keyword("ready".to_owned()),
            regex("up [0-9]+", false, 3, 90),
            regex("error", true, 0, 0),
            BodyTest::Digest("9b3a0c85a887a256d6939da88aabd8cd".to_owned()),
        ],
        ..HttpUrl::new("/health?full=1")
    };
    let one = HttpCheck { urls: vec![page], version: HttpVersion::Http10Close, tls: None };
    assert_eq!(kind(lines), CheckKind::Http(one));

    let two = "kind = \"http\"\nurls = [{ path = \"/a\" }, { path = \"/b\", keyword = \"b\" }]";
    let b = HttpUrl { body: vec![BodyTest::Keyword("b".to_owned())], ..HttpUrl::new("/b") };
    let two_pages = HttpCheck { urls: vec![HttpUrl::new("/a"), b], ..HttpCheck::default() };
    assert_eq!(kind(two), CheckKind::Http(two_pages.clone()));
    let long = "kind = \"http\"\n[[service.check.urls]]\npath = \"/a\"\n[[service.check.urls]]\npath = \"/b\"\nkeyword = \"b\"";
    assert_eq!(kind(long), CheckKind::Http(two_pages));
    let options = HttpUrl { method: "OPTIONS".to_owned(), ..HttpUrl::new("*") };
    let CheckKind::Http(http) = kind("kind = \"http\"\nmethod = \"OPTIONS\"\npath = \"*\"") else { panic!() };
    assert_eq!(http.urls, [options]);
}

#[test]
fn what_is_asked_within_tls_says_how_much_the_certificate_matters() {
    let lines = "sni = \"www.example\"\nverify = true\nca = \"ca.crt\"\nmin_days = 14";
    let tls = TlsCheck {
        sni: Some("www.example".to_owned()),
        verify: true,
        ca: Some(PathBuf::from("ca.crt")),
        min_days: 14,
    };
    assert_eq!(kind(&format!("kind = \"tls\"\n{lines}")), CheckKind::Tls(tls.clone()));
    let https = HttpCheck { tls: Some(tls.clone()), ..HttpCheck::default() };
    assert_eq!(kind(&format!("kind = \"https\"\n{lines}")), CheckKind::Http(https));
    let grpc = GrpcCheck { service: "shop.Cart".to_owned(), tls: Some(tls) };
    let text = format!("kind = \"grpc\"\nservice = \"shop.Cart\"\ntls = true\n{lines}");
    assert_eq!(kind(&text), CheckKind::Grpc(grpc));
    assert_eq!(kind("kind = \"tls\""), CheckKind::Tls(TlsCheck::default()));
    let plain = HttpCheck { tls: Some(TlsCheck::default()), ..HttpCheck::default() };
    assert_eq!(kind("kind = \"https\""), CheckKind::Http(plain));
    assert_eq!(kind("kind = \"grpc\""), CheckKind::Grpc(GrpcCheck::default()));
}

#[test]
fn datagrams_are_written_as_text_or_digits() {
    let udp = |lines: &str| match kind(&format!("kind = \"udp\"\n{lines}")) {
        CheckKind::Udp(udp) => udp,
        other => panic!("{other:?}"),
    };
    assert_eq!(udp(""), UdpCheck::default());
    assert_eq!(udp("payload = \"PING\"").payload, b"PING");
    assert_eq!(udp("require_reply = true\nreply = \"PO\"").reply, [Some(b'P'), Some(b'O')]);
    let expected = UdpCheck {
        payload: vec![0, 0xff, 0x1a],
        require_reply: true,
        reply: vec![Some(0x0a), None, Some(0xb0)],
        min_reply: 4,
        max_reply: 512,
    };
    let lines = "payload_hex = \"00ff 1A\"\nrequire_reply = true\nreply_hex = \"0aXXb0\"\nmin_reply = 4\nmax_reply = 512";
    assert_eq!(udp(lines), expected);
}

#[test]
fn the_other_kinds_have_their_keys() {
    let dns = |record, name: &str| CheckKind::Dns { record, name: name.to_owned() };
    assert_eq!(kind("kind = \"dns\""), dns(DnsRecord::Soa, "."));
    assert_eq!(
        kind("kind = \"dns\"\nrecord = \"AAAA\"\nname = \"www.example\""),
        dns(DnsRecord::Aaaa, "www.example")
    );
    assert_eq!(kind("kind = \"smtp\""), CheckKind::Smtp { helo: "localhost".to_owned() });
    assert_eq!(
        kind("kind = \"smtp\"\nhelo = \"lb.example\""),
        CheckKind::Smtp { helo: "lb.example".to_owned() }
    );
    let exec = ExecCheck {
        command: vec!["/bin/check".to_owned(), "-x".to_owned()],
        user: Some("nobody:nogroup".to_owned()),
        dynamic: true,
    };
    let rest = "user = \"nobody:nogroup\"\ndynamic = true";
    assert_eq!(
        kind(&format!("kind = \"exec\"\ncommand = [\"/bin/check\", \"-x\"]\n{rest}")),
        CheckKind::Exec(exec.clone())
    );
    assert_eq!(
        kind(&format!("kind = \"exec\"\ncommand = \"/bin/check  -x\"\n{rest}")),
        CheckKind::Exec(exec.clone())
    );
    let quoted = ExecCheck { command: vec!["/bin/check".to_owned(), "a b".to_owned()], ..exec };
    assert_eq!(
        kind(&format!("kind = \"exec\"\ncommand = \"/bin/check 'a b'\"\n{rest}")),
        CheckKind::Exec(quoted)
    );
    let file = FileCheck { path: "/run/weight".into(), weight: -2, reverse: true, dynamic: true };
    assert_eq!(
        kind("kind = \"file\"\npath = \"/run/weight\"\nweight = -2\nreverse = true\ndynamic = true"),
        CheckKind::File(file)
    );
}

#[test]
fn every_key_of_what_follows_arrives() {
    let text = r#"
        [[service]]
        vip = "10.0.0.1"
        ports = ["tcp/80"]
        [service.health]
        need = "any"
        initially = "down"
        inhibit = true
        on_down = "move"
        quorum = 3
        hysteresis = 1
        panic = 60
        sorry = { address = "10.1.0.9:8080", inhibit = true }
        damping = { flaps = 3, within = "60s", hold = "5m" }
        passive = { fall = 4, hold = "500ms", max_hold = "1m" }
        notify = { change = "/a b", up = "/u", down = "/d", quorum_up = "/qu", quorum_down = "/qd", at_stop = true, user = "nobody:nogroup" }
        [[service.check]]
        kind = "tcp"
        [[service.server]]
        address = "10.1.0.1"
        weight = 2
        notify = { up = "/u1", down = { command = "/d1 now", user = "alice" } }
        [[service.server.check]]
        kind = "icmp"
        [[service.server.check]]
        kind = "tcp"
        port = 81
        [[service.server]]
        address = "10.1.0.2"
        check = []
        [[service.server]]
        address = "10.1.0.3"
    "#;
    let addr = |text: &str| text.parse::<sched::DestKey>().unwrap();
    let some = |text: &str| Some(text.into());
    let alice = NotifyCommand { line: "/d1 now".to_owned(), user: Some("alice".to_owned()) };
    let own = vec![Check::new(CheckKind::Icmp), Check { port: Some(81), ..Check::new(CheckKind::Tcp) }];
    let expected = Health {
        checks: vec![Check::new(CheckKind::Tcp)],
        own: [(addr("10.1.0.1:80"), own.clone()), (addr("10.1.0.2:80"), Vec::new())].into(),
        need: Need::Any,
        passive: Some(Passive { fall: 4, hold: 500, max_hold: 60_000 }),
        initially: Initially::Down,
        inhibit: true,
        on_down: OnDown::Move,
        sorry: Some(DestSpec::new(addr("10.1.0.9:8080"))),
        sorry_inhibit: true,
        quorum: 3,
        hysteresis: 1,
        panic: 60,
        damping: Some(Damping { flaps: 3, within: 60_000, hold: 300_000 }),
        notify: Notify {
            change: some("/a b"),
            up: some("/u"),
            down: some("/d"),
            own: [(addr("10.1.0.1:80"), [some("/u1"), Some(alice)])].into(),
            quorum_up: some("/qu"),
            quorum_down: some("/qd"),
            at_stop: true,
            user: Some("nobody:nogroup".to_owned()),
        },
    };
    let health = health_of(text);
    assert_eq!(health, expected);
    assert_eq!(health.checks_of(&addr("10.1.0.1:80")), own);
    assert_eq!(health.checks_of(&addr("10.1.0.2:80")), []);
    assert_eq!(health.checks_of(&addr("10.1.0.3:80")), health.checks);
}

#[test]
fn short_ways_to_say_it_mean_the_usual() {
    let with = |line: &str| health_of(&service(&format!("[service.health]\n{line}")));
    assert_eq!(with("passive = true").passive, Some(Passive::default()));
    assert_eq!(with("passive = false").passive, None);
    let long = with("passive = { hold = \"10m\" }").passive.unwrap();
    assert_eq!((long.hold, long.max_hold), (600_000, 600_000));
    let notify = Notify { change: Some("notify --all".into()), ..Notify::default() };
    assert_eq!(with("notify = \"notify --all\"").notify, notify);
    assert_eq!(with("on_down = \"keep\"").on_down, OnDown::Keep);
    // A sorry server is what a server is: the port is the service's, a tunnel may change the family.
    let sorry =
        with("sorry = { address = \"fd00::9\", method = \"tunnel\", tunnel = \"gre\" }").sorry.unwrap();
    assert_eq!(sorry.addr, "[fd00::9]:80".parse().unwrap());
}

#[test]
fn files_are_beside_the_configuration() {
    let dir = std::env::temp_dir().join(format!("ulvs-health-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("ulvs.toml");
    let checks = "[[service.check]]\nkind = \"https\"\nverify = true\nca = \"ca.crt\"\n\
                  [[service.check]]\nkind = \"file\"\npath = \"/run/weight\"\n";
    std::fs::write(&path, service(checks)).unwrap();
    let config = Config::load(&path);
    std::fs::remove_dir_all(&dir).unwrap();
    let health = config.unwrap().services()[0].health.clone().unwrap();
    let mut health = Health::clone(&health);
    let paths: Vec<_> = health.paths_mut().map(|path| path.clone()).collect();
    assert_eq!(paths, [dir.join("ca.crt"), "/run/weight".into()]);
}

#[test]
fn a_check_by_way_of_the_vip_asks_a_port_of_the_service() {
    let several = "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80,443\", \"udp/53\"]\n\
                   server = [{ address = \"10.1.0.1\", method = \"dr\" }]\n[[service.check]]\nvia = \"vip\"\n";
    for lines in ["kind = \"tls\"\nport = 443", "kind = \"dns\"\nport = 53"] {
        assert_eq!(health_of(&format!("{several}{lines}")).checks[0].via, Via::Vip);
    }
    for (lines, message) in [
        ("kind = \"tcp\"", "the service has several ports"),
        ("kind = \"tcp\"\nport = 53", "nothing at tcp/53 of 10.0.0.1 would reach a server"),
        ("kind = \"udp\"\nport = 80", "nothing at udp/80 of 10.0.0.1 would reach a server"),
    ] {
        let error = Config::parse("x", &format!("{several}{lines}")).expect_err(lines);
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].message, message);
    }
    let all = "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/0\"]\npersistence = true\n\
               server = [{ address = \"10.1.0.1\" }]\n[[service.check]]\nkind = \"tcp\"\nvia = \"vip\"\nport = 22\n";
    assert_eq!(health_of(all).checks[0].port, Some(22));
}
