//! Sets of ports, and rules that mark.

use sched::marks::{Match, PortMatch, PortRange, SetMark, Side};

use super::*;

fn parse(text: &str) -> Config {
    Config::parse("x", text).unwrap_or_else(|error| panic!("{error}"))
}

fn ranges(list: &[&str]) -> Vec<PortRange> {
    list.iter().map(|range| range.parse().unwrap()).collect()
}

fn rule(dest: &str, protocol: u8, ports: &[&str], mark: u32) -> MarkRule {
    let dest: sched::marks::Prefix = dest.parse().unwrap();
    MarkRule {
        dest: Some(Match::is(dest)),
        protocol: Some(Match::is(protocol)),
        ports: vec![PortMatch::dports(ranges(ports))],
        ..MarkRule::new(dest.family(), SetMark::to(mark))
    }
}

fn mark_of(service: &ServiceSpec) -> u32 {
    match service.key {
        ServiceKey::Mark { mark, .. } => mark.0.get(),
        ServiceKey::Addr { .. } => panic!("{}", service.key),
    }
}

#[test]
fn several_ports_are_a_mark_service_with_rules() {
    let config = parse(
        r#"
        [[service]]
        vip = "172.16.0.99"
        ports = ["tcp/80,443", "udp/443", "tcp/8000-8100"]
        mark = 3
        scheduler = "sh"
        server = [{ address = "172.16.0.7" }, { address = "172.16.0.8:8080" }]
        "#,
    );
    let key = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv4 };
    let dests = ["172.16.0.7:0", "172.16.0.8:8080"].map(|addr| DestSpec::new(addr.parse().unwrap()));
    assert_eq!(config.services(), [ServiceSpec { dests: dests.into(), ..ServiceSpec::new(key, "sh") }]);
    let tcp = rule("172.16.0.99", 6, &["80", "443", "8000:8100"], 3);
    assert_eq!(config.marks(), [tcp, rule("172.16.0.99", 17, &["443"], 3)]);
}

#[test]
fn a_set_without_a_mark_keeps_the_one_it_gets() {
    let set = |vip: &str| format!("[[service]]\nvip = \"{vip}\"\nports = [\"tcp/80,443\"]\n");
    let (a, b) = (set("10.0.0.1"), set("10.0.0.2"));
    let mark = |text: &str, at: usize| mark_of(&parse(text).services()[at]);
    let of_a = mark(&a, 0);
    assert!((1_000_000..2_000_000).contains(&of_a), "{of_a}");
    assert_eq!(mark(&format!("{b}{a}"), 1), of_a, "whatever else there is");
    assert_ne!(mark(&b, 0), of_a);
    let taken = format!("[[service]]\nmark = {of_a}\n{a}");
    assert_eq!(mark(&taken, 1), of_a + 1, "unless somebody has named it");
    let ruled = format!("[[mark]]\nmark = {of_a}\ndest = \"10.0.0.9\"\n{a}");
    assert_eq!(mark(&ruled, 0), of_a + 1);
}

#[test]
fn rules_have_every_condition() {
    let config = parse(
        r#"
        [[mark]]
        mark = 3
        mask = 0xff
        dest = "fd00::99"
        source = "!fd01::/16"
        protocol = "tcp"
        ports = [80, "443,8000-8100"]
        source_ports = ["1024-65535"]
        input = "eth0"
        [[mark]]
        mark = 4
        protocol = "47"
        "#,
    );
    let sports = PortMatch::Multi { side: Side::Source, ranges: ranges(&["1024:65535"]), not: false };
    let dports = PortMatch::dports(ranges(&["80", "443", "8000:8100"]));
    let first = MarkRule {
        source: Some(Match::is_not("fd01::/16".parse().unwrap())),
        input: Some(Match::is("eth0".parse().unwrap())),
        ports: vec![sports, dports],
        set: SetMark { value: 3, mask: 0xff },
        ..rule("fd00::99", 6, &[], 0)
    };
    let second = MarkRule { protocol: Some(Match::is(47)), ..MarkRule::new(Family::Ipv4, SetMark::to(4)) };
    assert_eq!(config.marks(), [first, second]);
}

#[test]
fn mistakes_are_named() {
    let service = |text: &str| format!("[[service]]\nvip = \"10.0.0.1\"\n{text}\n");
    let two = |a: &str, b: &str| service(a) + &service(b);
    for (text, wrong) in [
        (
            two("ports = [\"tcp/80,443\"]", "ports = [\"tcp/443\"]"),
            "tcp/443 of 10.0.0.1 is another service's already",
        ),
        (
            two("ports = [\"tcp/85\"]", "ports = [\"tcp/80-90\"]"),
            "tcp/80:90 of 10.0.0.1 is another service's already",
        ),
        (service("mark = 0\nports = [\"tcp/80,443\"]"), "`mark` is not a whole number in range"),
        ("[[service]]\nmark = 3\nports = [\"tcp/80\"]\n".to_owned(), "this service has no `vip`"),
        ("[[mark]]\ndest = \"10.0.0.1\"\n".to_owned(), "this rule has no `mark`"),
        ("[[mark]]\nmark = 3\nports = [80]\n".to_owned(), "can match nothing: ports without a protocol"),
        ("[[mark]]\nmark = 3\ndest = \"10.0.0\"\n".to_owned(), "`10.0.0` is not an address or a prefix"),
        (
            "[[mark]]\nmark = 3\ndest = \"10.0.0.1\"\nsource = \"fd00::1\"\n".to_owned(),
            "address of the other family",
        ),
        (
            "[[mark]]\nmark = 3\ndest = \"10.0.0.1\"\nfamily = \"ipv6\"\n".to_owned(),
            "not the family of this rule",
        ),
        ("[[mark]]\nmark = 3\nprotocol = \"http\"\n".to_owned(), "there is no protocol `http`"),
        ("[[mark]]\nmark = 3\nprotocol = \"tcp\"\nports = [\"http\"]\n".to_owned(), "this is no port"),
        ("[[mark]]\nmark = 3\ninput = \"a b\"\n".to_owned(), "`a b` is not the name of a device"),
    ] {
        let error = Config::parse("x", &text).unwrap_err().to_string();
        assert!(error.contains(wrong), "{text}: {error}");
    }
}
