//! Fronts: the edit that sets them, what it refuses, and where TLS ends.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sched::marks::{MarkCounts, Match, PortMatch, PortRange, Prefix, SetMark};
use sched::{
    BackendTls, CertFiles, ClientAuth, ClientIdentity, DestSpec, Family, ForwardMethod, Mark, MarkRule, Op,
    OpError, Persistence, Proto, ServiceKey, ServiceSpec, ServiceTable, Tickets, TlsFlaw, TlsFront,
    TlsLimits, TlsStack, Trash,
};

const HTTPS: &str = "tcp/10.0.0.1:443";

fn key(word: &str) -> ServiceKey {
    word.parse().unwrap()
}

fn pair(name: &str) -> CertFiles {
    CertFiles { cert: format!("/{name}.crt").into(), key: format!("/{name}.key").into(), ocsp: None }
}

fn front() -> TlsFront {
    TlsFront::new(pair("site"))
}

fn set(word: &str, front: TlsFront) -> Op {
    Op::SetTls { key: key(word), tls: Some(Arc::new(front)) }
}

fn service(word: &str) -> Op {
    let mut service = ServiceSpec::new(key(word), "rr");
    if service.key.l4_port() == Some(0) {
        let mask = sched::Netmask::full(service.key.family());
        service.persistence = Some(Persistence { timeout: 60, mask });
    }
    Op::AddService { service }
}

fn apply(table: &ServiceTable, ops: &[Op]) -> Result<ServiceTable, (usize, OpError)> {
    table.apply(&mut Trash::default(), ops)
}

fn table(ops: &[Op]) -> ServiceTable {
    apply(&ServiceTable::default(), ops).unwrap()
}

fn vips_of(table: &ServiceTable, word: &str) -> Vec<String> {
    let vips = table.front_vips(table.get(&key(word)).unwrap());
    vips.iter().map(ToString::to_string).collect()
}

#[test]
fn a_front_is_set_changed_and_taken_away() {
    let table = table(&[service(HTTPS), set(HTTPS, front())]);
    assert_eq!(table.get(&key(HTTPS)).unwrap().spec().tls.as_deref(), Some(&front()));
    let other = TlsFront { server_port: Some(80), ..front() };
    let table = apply(&table, &[set(HTTPS, other.clone())]).unwrap();
    assert_eq!(table.get(&key(HTTPS)).unwrap().tls.as_deref(), Some(&other));
    let off = Op::SetTls { key: key(HTTPS), tls: None };
    let table = apply(&table, std::slice::from_ref(&off)).unwrap();
    assert_eq!(table.get(&key(HTTPS)).unwrap().tls, None);
    assert_eq!(apply(&table, &[off]).unwrap_err(), (0, OpError::NoTls));
}

#[test]
fn an_edit_of_the_service_leaves_the_front_alone() {
    let edit = Op::EditService { service: ServiceSpec::new(key(HTTPS), "wrr") };
    let table = table(&[service(HTTPS), set(HTTPS, front()), edit]);
    let service = table.get(&key(HTTPS)).unwrap();
    assert_eq!((service.algorithm.name, service.tls.as_deref()), ("wrr", Some(&front())));
}

#[test]
fn a_service_comes_with_its_front_and_a_senseless_one_is_refused() {
    let with = |word: &str, front| {
        let Op::AddService { service } = service(word) else { unreachable!() };
        [Op::AddService { service: ServiceSpec { tls: Some(Arc::new(front)), ..service } }]
    };
    assert!(apply(&ServiceTable::default(), &with(HTTPS, front())).is_ok());
    let refused = apply(&ServiceTable::default(), &with("udp/10.0.0.1:443", front()));
    assert_eq!(refused.unwrap_err(), (0, OpError::InvalidTls));
}

#[test]
fn every_refusal_has_its_reason() {
    let cases = ["udp/10.0.0.1:443", "sctp/10.0.0.1:443", "tcp/10.0.0.1:80", HTTPS];
    let base = table(&cases.map(service));
    let refused = |word, front| apply(&base, &[set(word, front)]).unwrap_err().1;
    assert_eq!(refused("tcp/10.0.0.9:443", front()), OpError::ServiceNotDefined);
    for word in &cases[..3] {
        assert_eq!(refused(word, front()), OpError::InvalidTls, "{word}");
    }
    assert_eq!(refused(HTTPS, TlsFront { certs: Vec::new(), ..front() }), OpError::InvalidTls);
    let transparent = TlsFront { identity: ClientIdentity::Transparent, ..front() };
    assert_eq!(refused(HTTPS, transparent.clone()), OpError::InvalidTls);
    let userspace = TlsFront { stack: TlsStack::Userspace, ..transparent };
    assert!(apply(&base, &[set(HTTPS, userspace)]).is_ok());
}

#[test]
fn a_port_is_redirected_or_a_service_has_it() {
    const HTTP: &str = "tcp/10.0.0.1:80";
    let redirecting = || TlsFront { redirect_http: Some(80), ..front() };
    let both = |service, front| OpError::RedirectAtService { service: key(service), front: key(front) };
    let base = table(&[service(HTTPS), set(HTTPS, redirecting())]);
    // Whatever comes later.
    let refused = apply(&base, &[service(HTTP)]).unwrap_err();
    assert_eq!(refused, (0, both(HTTP, HTTPS)));
    let said = refused.1.to_string();
    assert!(said.starts_with("TCP 10.0.0.1:80 and the redirect to https of TCP 10.0.0.1:443 "), "{said}");
    assert!(said.ends_with("`ulvs tls add tcp/10.0.0.1:443 --redirect-http none`"), "{said}");
    let other = table(&[service(HTTPS), service(HTTP)]);
    assert_eq!(apply(&other, &[set(HTTPS, redirecting())]).unwrap_err(), (0, both(HTTP, HTTPS)));
    let Op::AddService { service: with } = service(HTTPS) else { unreachable!() };
    let with = Op::AddService { service: ServiceSpec { tls: Some(Arc::new(redirecting())), ..with } };
    let in_turn = |ops: &[Op]| apply(&ServiceTable::default(), ops).unwrap_err();
    assert_eq!(in_turn(&[with.clone(), service(HTTP)]), (1, both(HTTP, HTTPS)));
    assert_eq!(in_turn(&[service(HTTP), with]), (1, both(HTTP, HTTPS)));
    // Other ports, protocols and addresses are free.
    let free = ["tcp/10.0.0.1:81", "udp/10.0.0.1:80", "tcp/10.0.0.2:80", "tcp/10.0.0.1:0", "fwm/3"];
    let table = apply(&base, &free.map(service)).unwrap();
    // Of a mark the addresses count that are named.
    let named = TlsFront { vips: vec!["10.0.0.7".parse().unwrap()], ..redirecting() };
    let marked = apply(&table, &[set("fwm/3", named)]).unwrap();
    assert_eq!(
        apply(&marked, &[service("tcp/10.0.0.7:80")]).unwrap_err().1,
        both("tcp/10.0.0.7:80", "fwm/3")
    );
    assert!(apply(&table, &[service("tcp/10.0.0.7:80")]).is_ok());
    // And it is free again once nobody redirects, in the same list of edits, too.
    let elsewhere = TlsFront { redirect_http: Some(8080), ..front() };
    for end in [
        set(HTTPS, front()),
        set(HTTPS, elsewhere),
        Op::SetTls { key: key(HTTPS), tls: None },
        Op::DelService { key: key(HTTPS) },
        Op::Flush,
    ] {
        assert!(apply(&base, &[end.clone(), service(HTTP)]).is_ok(), "{end:?}");
        let ended = apply(&base, std::slice::from_ref(&end)).unwrap();
        assert!(apply(&ended, &[service(HTTP)]).is_ok(), "{end:?}");
    }
    // A front that stays as it is may be set again.
    assert!(apply(&base, &[set(HTTPS, redirecting()), set(HTTPS, redirecting())]).is_ok());
}

/// What is written instead of a good front of that service, and the flaws of it.
#[test]
fn flaws_are_named_all_of_them() {
    let vips = |list: &[&str]| list.iter().map(|vip| vip.parse().unwrap()).collect::<Vec<IpAddr>>();
    let alpn = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let by = |name: &str, word| vec![(name.to_owned(), key(word))];
    let good = front();
    let named = |name: &str| TlsFlaw::Alpn(name.to_owned());
    let own = key(HTTPS);
    let h2 = || "h2".to_owned();
    let limits = TlsLimits::default();
    let cases: Vec<(&str, TlsFront, Vec<TlsFlaw>)> = vec![
        (HTTPS, good.clone(), vec![]),
        ("tcp/10.0.0.1:0", good.clone(), vec![]),
        ("fwm/3", TlsFront { vips: vips(&["10.0.0.1"]), ..good.clone() }, vec![]),
        ("udp/10.0.0.1:443", good.clone(), vec![TlsFlaw::NotTcp(Proto::Udp)]),
        ("tcp/10.0.0.1:80", good.clone(), vec![TlsFlaw::OtherPort(80)]),
        ("fwm/3", TlsFront { port: 0, ..good.clone() }, vec![TlsFlaw::PortZero]),
        (HTTPS, TlsFront { vips: vips(&["10.0.0.1"]), ..good.clone() }, vec![TlsFlaw::HasVip]),
        (
            "fwm/3",
            TlsFront { vips: vips(&["10.0.0.1", "fd00::1"]), ..good.clone() },
            vec![TlsFlaw::Vip("fd00::1".parse().unwrap())],
        ),
        (
            "fwm6/3",
            TlsFront { vips: vips(&["ff02::1"]), ..good.clone() },
            vec![TlsFlaw::Vip("ff02::1".parse().unwrap())],
        ),
        (HTTPS, TlsFront { alpn: alpn(&[]), ..good.clone() }, vec![]),
        (HTTPS, TlsFront { alpn: alpn(&["http/2", "imap"]), ..good.clone() }, vec![named("http/2")]),
        (HTTPS, TlsFront { alpn: alpn(&["h2", "h2", ""]), ..good.clone() }, vec![named("h2"), named("")]),
        (HTTPS, TlsFront { alpn: vec!["x".repeat(256)], ..good.clone() }, vec![named(&"x".repeat(256))]),
        (HTTPS, TlsFront { by_alpn: by("h2", "fwm/3"), ..good.clone() }, vec![TlsFlaw::NotOffered(h2())]),
        (
            HTTPS,
            TlsFront { alpn: alpn(&["h2"]), by_alpn: by("h2", HTTPS), ..good.clone() },
            vec![TlsFlaw::AlpnService(h2(), own)],
        ),
        (
            HTTPS,
            TlsFront { alpn: alpn(&["h2"]), by_alpn: by("h2", "udp/10.0.0.1:8443"), ..good.clone() },
            vec![TlsFlaw::AlpnService(h2(), key("udp/10.0.0.1:8443"))],
        ),
        (
            HTTPS,
            TlsFront { alpn: alpn(&["h2"]), pool: 1, identity: ClientIdentity::Forwarded, ..good.clone() },
            vec![TlsFlaw::NoRequests("identity"), TlsFlaw::NoRequests("pool")],
        ),
        (HTTPS, TlsFront { pool: 1, identity: ClientIdentity::Forwarded, ..good.clone() }, vec![]),
        (
            HTTPS,
            TlsFront { alpn: alpn(&["h2", "http/1.1"]), identity: ClientIdentity::Forwarded, ..good.clone() },
            vec![TlsFlaw::Forgeable(h2())],
        ),
        (
            HTTPS,
            TlsFront {
                alpn: alpn(&["h2", "http/1.1"]),
                by_alpn: by("h2", "fwm/3"),
                identity: ClientIdentity::Forwarded,
                ..good.clone()
            },
            vec![],
        ),
        (
            HTTPS,
            TlsFront { pool: 1, identity: ClientIdentity::ProxyV2, ..good.clone() },
            vec![TlsFlaw::SharedIdentity(ClientIdentity::ProxyV2)],
        ),
        (
            HTTPS,
            TlsFront { pool: 1, identity: ClientIdentity::Transparent, ..good.clone() },
            vec![TlsFlaw::Transparent, TlsFlaw::SharedIdentity(ClientIdentity::Transparent)],
        ),
        (HTTPS, TlsFront { pool: 10_001, ..good.clone() }, vec![TlsFlaw::Pool(10_001)]),
        (HTTPS, TlsFront { redirect_http: Some(443), ..good.clone() }, vec![TlsFlaw::Redirect(443)]),
        (HTTPS, TlsFront { redirect_http: Some(0), ..good.clone() }, vec![TlsFlaw::Redirect(0)]),
        (
            HTTPS,
            TlsFront { limits: TlsLimits { handshake: 0, attempts: 101, ..limits }, ..good },
            vec![TlsFlaw::Limit("handshake_timeout"), TlsFlaw::Limit("connect_attempts")],
        ),
    ];
    for (word, front, flaws) in cases {
        assert_eq!(front.flaws(&key(word)), flaws, "{word} {front:?}");
        for flaw in flaws {
            assert!(!flaw.way_out().is_empty() && !flaw.setting().is_empty(), "{flaw}");
        }
    }
}

#[test]
fn the_limits_are_in_the_order_of_their_names() {
    let mut limits = TlsLimits::default();
    assert_eq!(limits.in_order(), [10, 3600, 60, 5, 3, 0, 0]);
    for (n, limit) in limits.in_order_mut().into_iter().enumerate() {
        *limit = n as u32;
    }
    assert_eq!(limits.in_order(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(limits.handshakes_per_second, 6);
    let find = |name| TlsLimits::RANGES.iter().position(|(known, _)| *known == name);
    assert_eq!((find("half_closed_timeout"), find("connect_attempts")), (Some(2), Some(4)));
}

#[test]
fn all_the_files_of_a_front_can_be_moved() {
    let mut full = TlsFront {
        certs: vec![CertFiles { ocsp: Some("ocsp".into()), ..pair("a") }, pair("b")],
        client_auth: Some(ClientAuth { ca: "clients".into(), crl: Some("crl".into()), required: true }),
        tickets: Tickets::Shared("tickets".into()),
        backend_tls: Some(BackendTls { ca: "servers".into(), name: None }),
        key_log: Some("log".into()),
        ..front()
    };
    full.paths_mut().for_each(|path| *path = PathBuf::from("/x").join(path.file_name().unwrap()));
    let names: Vec<_> = full.paths_mut().map(|path| path.display().to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| name.strip_prefix("/x/").unwrap()).collect();
    let expected =
        ["a.crt", "a.key", "ocsp", "b.crt", "b.key", "clients", "crl", "servers", "tickets", "log"];
    assert_eq!(names, expected);
    assert_eq!(front().paths_mut().count(), 2);
}

#[test]
fn tls_ends_at_the_services_own_address_or_where_its_marks_lead() {
    let base = table(&[service(HTTPS), set(HTTPS, front()), service("tcp/10.0.0.1:80")]);
    assert_eq!(vips_of(&base, HTTPS), ["10.0.0.1"]);
    assert_eq!(vips_of(&base, "tcp/10.0.0.1:80"), [""; 0], "it has no front");

    let rule = |dest: &str, port, mark| {
        let dest: Prefix = dest.parse().unwrap();
        let rule = MarkRule {
            dest: Some(Match::is(dest)),
            protocol: Some(Match::is(Proto::Tcp.number())),
            ports: PortMatch::dports_of(&[PortRange::one(port)]),
            ..MarkRule::new(dest.family(), SetMark::to(mark))
        };
        Op::AddMark { rule, at: None, counts: MarkCounts::default() }
    };
    let mut ops = vec![service("fwm/3"), set("fwm/3", front())];
    assert_eq!(vips_of(&table(&ops), "fwm/3"), [""; 0], "no rule names an address");
    ops.extend([
        rule("10.0.0.1", 80, 3),
        rule("10.0.0.2", 443, 3),
        rule("10.0.0.3", 443, 4),
        rule("10.1.0.0/16", 443, 3),
        rule("fd00::1", 443, 3),
    ]);
    assert_eq!(
        vips_of(&table(&ops), "fwm/3"),
        ["10.0.0.2"],
        "the others are of another port, mark or family"
    );
    ops.push(set("fwm/3", TlsFront { port: 80, ..front() }));
    assert_eq!(vips_of(&table(&ops), "fwm/3"), ["10.0.0.1"]);
    ops.push(set("fwm/3", TlsFront { vips: vec!["10.9.0.1".parse().unwrap()], ..front() }));
    assert_eq!(vips_of(&table(&ops), "fwm/3"), ["10.9.0.1"], "what it names is what counts");
    let six = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv6 };
    ops.extend([service("fwm6/3"), Op::SetTls { key: six, tls: Some(Arc::new(front())) }]);
    assert_eq!(vips_of(&table(&ops), "fwm6/3"), ["fd00::1"]);
}

#[test]
fn the_edit_travels_as_json_and_reads_in_words() {
    let op = set(HTTPS, TlsFront { by_alpn: vec![("h2".to_owned(), key("fwm/3"))], ..front() });
    let json = serde_json::to_string(&op).unwrap();
    assert_eq!(serde_json::from_str::<Op>(&json).unwrap(), op, "{json}");
    assert_eq!(op.to_string(), "TLS for TCP 10.0.0.1:443 ends here: port 443, 1 certificate");
    let shortest = r#"{"op":"set-tls","key":{"addr":{"proto":"tcp","vip":"10.0.0.1","l4_port":443}},
        "tls":{"certs":[{"cert":"/site.crt","key":"/site.key"}]}}"#;
    assert_eq!(serde_json::from_str::<Op>(shortest).unwrap(), set(HTTPS, front()));
}

/// Whatever port or method the service has for others: what servers say to our own TCP has to be heard, for as long as
/// connections may be left.
#[test]
fn servers_answer_our_own_tcp_from_the_port_at_which_the_front_speaks_to_them() {
    let mut trash = Trash::default();
    let server = |at: &str, method| DestSpec { method, ..DestSpec::new(at.parse().unwrap()) };
    let add = |dest| Op::AddDest { key: key(HTTPS), dest };
    let ours = |port| TlsFront { stack: TlsStack::Userspace, server_port: Some(port), ..front() };
    let mut table = ServiceTable::default();
    let mut apply = |ops: &[Op]| {
        table = table.apply(&mut trash, ops).unwrap();
        let mut all: Vec<_> = table.servers().chain(trash.servers()).map(|(_, at)| at.to_string()).collect();
        all.sort();
        all
    };
    apply(&[service(HTTPS), add(server("10.0.0.11:443", ForwardMethod::Masq))]);
    assert_eq!(apply(&[set(HTTPS, TlsFront { server_port: Some(80), ..front() })]), ["10.0.0.11:443"]);
    assert_eq!(apply(&[set(HTTPS, ours(80))]), ["10.0.0.11:443", "10.0.0.11:80"]);
    // By DR others are answered past us.
    let direct = add(server("10.0.0.12:443", ForwardMethod::Route));
    assert_eq!(apply(&[direct]), ["10.0.0.11:443", "10.0.0.11:80", "10.0.0.12:80"]);
    let all = ["10.0.0.11:443", "10.0.0.11:80", "10.0.0.11:8080", "10.0.0.12:80", "10.0.0.12:8080"];
    assert_eq!(apply(&[set(HTTPS, ours(8080))]), all);
    assert_eq!(apply(&[Op::SetTls { key: key(HTTPS), tls: None }]), all, "connections keep theirs");
    assert_eq!(apply(&[Op::Flush]), all);
}
