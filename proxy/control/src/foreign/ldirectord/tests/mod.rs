use std::sync::Arc;

use sched::{
    BodyTest, Check, CheckKind, DestSpec, DnsRecord, ExecCheck, ForwardMethod, Health, HttpCheck, HttpUrl,
    Initially, Netmask, Notify, OnDown, Persistence, SchedFlags, TlsCheck, Tunnel, Weight,
};

use super::*;

fn everything() -> Foreign {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/foreign/ldirectord/tests/everything.cf")).unwrap()
}

fn read_lines(text: &str) -> Foreign {
    let id = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(format!("ulvs-ldirectord-{id}.cf"));
    std::fs::write(&path, text).unwrap();
    let foreign = load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    foreign
}

fn check(kind: CheckKind) -> Check {
    Check { interval: 5_000, timeout: 4_000, fall: 2, rise: 1, ..Check::new(kind) }
}

fn page(path: &str, host: Option<&str>, regex: Option<&str>, tls: Option<TlsCheck>) -> CheckKind {
    let regex = regex.map(|pattern| BodyTest::Regex {
        pattern: pattern.to_owned(),
        negate: false,
        min_offset: 0,
        max_offset: 0,
    });
    let url =
        HttpUrl { host: host.map(str::to_owned), body: regex.into_iter().collect(), ..HttpUrl::new(path) };
    CheckKind::Http(HttpCheck { urls: vec![url], tls, ..HttpCheck::default() })
}

#[test]
fn every_key_becomes_what_it_means() {
    let foreign = everything();
    assert!(!foreign.notes.has_errors(), "{}", foreign.notes);
    let keys: Vec<_> = foreign.services.iter().map(|service| service.key.word()).collect();
    let expected = [
        "tcp/10.0.0.1:80",
        "udp/[fd00::1]:53",
        "fwm/7",
        "tcp/10.0.0.2:443",
        "tcp/10.0.0.3:25",
        "tcp/10.0.0.4:80",
    ];
    assert_eq!(keys, expected);
    let web = &foreign.services[0];
    assert_eq!((web.scheduler.as_str(), web.flags), ("sh", SchedFlags::ONE | SchedFlags::TWO));
    let mask = Netmask::V4("255.255.255.0".parse().unwrap());
    assert_eq!(web.persistence, Some(Persistence { timeout: 600, mask }));
    let masq = |addr: &str| DestSpec {
        weight: Weight(5),
        lower: 10,
        upper: 20,
        ..DestSpec::new(addr.parse().unwrap())
    };
    let gate = DestSpec { method: ForwardMethod::Route, ..DestSpec::new("192.168.1.9:80".parse().unwrap()) };
    assert_eq!(web.dests, [masq("192.168.1.1:8080"), masq("192.168.1.2:8080"), gate.clone()]);
    let seldom = |kind| Check { interval: 28_000, ..check(kind) };
    let tcp = Check { interval: 7_000, timeout: 3_000, ..check(CheckKind::Tcp) };
    let other = page("/index.html", Some("www.example"), Some("welcome"), None);
    let own = vec![Check { port: Some(8080), ..tcp.clone() }, Check { port: Some(8080), ..seldom(other) }];
    let health = Health {
        checks: vec![tcp, seldom(page("/up.html", Some("www.example"), Some("OK [0-9]+"), None))],
        own: [(gate.addr, own)].into(),
        initially: Initially::Down,
        sorry: Some(DestSpec::new("10.9.9.9:81".parse().unwrap())),
        notify: told("10.0.0.1:80 tcp"),
        ..Health::default()
    };
    assert_eq!(web.health, Some(Arc::new(health)));
}

fn told(service: &str) -> Notify {
    let tell = |what| Some(format!("/usr/local/bin/fallback {what} {service}").into());
    Notify { quorum_down: tell("start"), quorum_up: tell("stop"), ..Notify::default() }
}

#[test]
fn what_is_asked_follows_the_service() {
    let foreign = everything();
    let checks = |n: usize| foreign.services[n].health.as_ref().unwrap().checks.clone();
    let dns = CheckKind::Dns { record: DnsRecord::A, name: "www.example".to_owned() };
    assert_eq!(checks(1), [Check { fall: 4, ..check(dns) }]);
    assert!(foreign.services[1].one_packet);
    assert_eq!(foreign.services[1].dests[0].method, ForwardMethod::Tunnel(Tunnel::default()));
    let command = ["/usr/local/bin/check", "--fast", "7", "0", "192.168.1.5", "8443"];
    let exec = ExecCheck { command: command.map(str::to_owned).to_vec(), ..ExecCheck::default() };
    assert_eq!(checks(2), [Check { timeout: 9_000, ..check(CheckKind::Exec(exec)) }]);
    assert_eq!(foreign.services[2].dests[0].addr, "192.168.1.5:0".parse().unwrap());
    let https = Check {
        addr: Some("192.168.1.7".parse().unwrap()),
        port: Some(8443),
        ..check(page("/status", None, None, Some(TlsCheck::default())))
    };
    assert_eq!(checks(3), [https]);
    let health = foreign.services[3].health.as_ref().unwrap();
    assert!(health.inhibit && health.on_down == OnDown::Keep && !health.sorry_inhibit);
    let local = DestSpec { method: ForwardMethod::Route, ..DestSpec::new("127.0.0.1:443".parse().unwrap()) };
    assert_eq!(health.sorry, Some(local));
    assert_eq!(checks(4), [check(CheckKind::Smtp { helo: "localhost".to_owned() })]);
    assert_eq!(checks(5), []);
    assert_eq!(
        (foreign.services[5].dests[0].weight, foreign.services[5].scheduler.as_str()),
        (Weight(0), "wrr")
    );
}

#[test]
fn the_defaults_are_the_programs() {
    let foreign = read_lines("virtual = 10.0.0.1:80\n\treal = 10.1.0.1:80 masq\n\tchecktype = connect\n");
    let health = foreign.services[0].health.as_ref().unwrap();
    let expected = Check { interval: 10_000, timeout: 5_000, fall: 1, rise: 1, ..Check::new(CheckKind::Tcp) };
    assert_eq!(health.checks, [expected]);
    assert!(!health.inhibit);
    assert!(foreign.notes.to_string().contains("without `quiescent` dead servers are taken out"));
}

#[test]
fn mistakes_name_the_place_and_the_way_out() {
    let file =
        |line: &str| format!("quiescent = no\nvirtual = 10.0.0.1:80\n\treal = 10.1.0.1:80 masq\n\t{line}\n");
    for (text, place, message, help) in [
        (file("real = real.example:80 masq"), "4:9", "`real.example` is not an IP address", "getent"),
        (file("real = 10.1.0.2:80"), "4:9", "no forwarding method", "gate, masq or ipip"),
        (file("real = 10.1.0.2:80 masq x"), "4:26", "`x` says nothing", "weight"),
        (file("real = 10.1.0.9->10.1.0.2:80 masq"), "4:9", "no range", "lower one first"),
        (file("real = 10.1.0.2:htp masq"), "4:9", "`htp` is not a port", "/etc/services"),
        (file("real6 = [fd00::1]:80 masq"), "4:2", "other address family", "`real6`"),
        (file("scheduler = wrrr"), "4:14", "no scheduler `wrrr`", "known: "),
        (file("schedflags = sh-port"), "4:15", "no flag of the scheduler wrr", "it has none"),
        (file("persistent = ten"), "4:15", "`ten` is not a number", "persistent = 10"),
        (file("checktype = sometimes"), "4:14", "no checktype `sometimes`", "negotiate"),
        (file("service = gopher"), "4:12", "no service `gopher`", "known: "),
        (file("quiescent = maybe"), "4:14", "neither yes nor no", "quiescent = yes"),
        (file("netmask = 24"), "4:12", "no mask", "255.255.255.0"),
        (file("protocol = icmp"), "4:13", "no protocol `icmp`", "tcp or udp"),
        (
            file("request = \"http://www.example/\""),
            "3:9",
            "`www.example` is not an IP address",
            "path alone",
        ),
        (file("request = \"http://10.1.0.1:70000/\""), "3:9", "`70000` is not a port", "leave the port out"),
        (file("checkport = 70000"), "4:14", "`70000` is not a port", "from 1 to 65535"),
        (file("checkport = 0"), "4:14", "`0` is not a port", "from 1 to 65535"),
        (file("checkport = http"), "4:14", "`http` is not a port", "from 1 to 65535"),
        (file("fallback = 10.9.9.9:80 nat"), "4:25", "no forwarding method `nat`", "masq"),
        (file("checkcommand = \"bin/x\""), "4:17", "`bin/x` is somewhere else", "the whole path"),
        (file("checkcommand = /bin/x 'a"), "4:17", "a quote begins in this command", "close it"),
        (
            file("service = http\n\trequest = \"/\"\n\treceive = \"(a\""),
            "6:12",
            "`(a` is no pattern",
            "look-around",
        ),
        (file("checktype = negociate"), "4:14", "no checktype `negociate`", "did you mean `negotiate`?"),
        (file("service = htpp"), "4:12", "no service `htpp`", "did you mean `http`?"),
        (file("scheduler = wlcc"), "4:14", "no scheduler `wlcc`", "did you mean `wlc`?"),
        (file("oops"), "4:2", "no line `key = value`", "checktimeout = 5"),
        (file("").replace("\treal", " real"), "3:2", "or for all?", "four blanks"),
        ("\treal = 10.1.0.1:80 masq\n".to_owned(), "1:2", "no virtual service has begun", "virtual ="),
        ("virtual = 10.0.0.1\n".to_owned(), "1:11", "no virtual service", "virtual = 3"),
        ("virtual = [fd00::1]:80\n".to_owned(), "1:11", "other address family", "virtual6"),
        (file("") + &file("real = 10.1.0.2:80 masq"), "6:1", "TCP 10.0.0.1:80 is there already", "merge"),
    ] {
        let foreign = read_lines(&text);
        let found =
            foreign.notes.iter().find(|n| n.severity == Severity::Error && n.message.contains(message));
        let note = found.unwrap_or_else(|| panic!("{message}: {}\n{text}", foreign.notes));
        assert!(note.to_string().contains(&format!(".cf:{place}: ")), "{place}: {note}");
        assert!(note.help.contains(help), "{help}: {note}");
        let errors = foreign.notes.iter().filter(|n| n.severity == Severity::Error);
        assert_eq!(errors.count(), 1, "{}", foreign.notes);
    }
}

#[test]
fn what_is_not_taken_as_it_is_is_said() {
    let file =
        |line: &str| format!("quiescent = no\nvirtual = 10.0.0.1:80\n\treal = 10.1.0.1:80 masq\n\t{line}\n");
    for (text, severity, message, help) in [
        (file("shceduler = rr"), Severity::NotUnderstood, "no key `shceduler`", "`scheduler`?"),
        ("chekinterval = 3\n".to_owned(), Severity::NotUnderstood, "`chekinterval`", "`checkinterval`?"),
        (
            file("fallback = 10.9.9.9:80 gate 1 x"),
            Severity::NotUnderstood,
            "nothing follows: `1 x` is passed over",
            "delete it",
        ),
        (file("login = \"me\""), Severity::NotHandled, "no check logs in", "external"),
        (file("emailalert = x"), Severity::NotHandled, "no mail is sent", "notify"),
        (file("checkcount = 3"), Severity::NotHandled, "one question is a check", "failurecount"),
        ("autoreload = yes\n".to_owned(), Severity::NotHandled, "not watched", "ulvs reload"),
        (file("checktype = ping"), Severity::Changed, "has died are reset", "on_down"),
        (file("service = ftp"), Severity::Changed, "nothing is known of ftp here: a connection", "external"),
        (file("service = imaps"), Severity::Changed, "the handshake of TLS", "external"),
        (file("service = sip\n\tprotocol = udp"), Severity::Changed, "only pinged", "external"),
        (file("checktype = external-perl"), Severity::Changed, "a program of its own", "#!/usr/bin/perl"),
        (file("checktype = off"), Severity::Changed, "weight 0", "checktype = on"),
        (file("request = \"/x\""), Severity::Changed, "leads to another one", "the other one"),
        (file("checkinterval = 3"), Severity::Changed, "fork = yes only", "fork = yes"),
        (file("service = dns\n\treceive = \"1\""), Severity::Changed, "not compared", "external"),
        (file("real = 10.1.0.1:80 masq"), Severity::Changed, "is left out", "weight"),
    ] {
        let foreign = read_lines(&text);
        assert!(!foreign.notes.has_errors(), "{}", foreign.notes);
        let found = foreign.notes.iter().find(|n| n.severity == severity && n.message.contains(message));
        let note = found.unwrap_or_else(|| panic!("{message}: {}\n{text}", foreign.notes));
        assert!(note.help.contains(help), "{help}: {note}");
    }
}
