use std::net::IpAddr;

use super::*;

fn packet<'a>(src: &str, dst: &str, protocol: u8, ports: Option<(u16, u16)>) -> PacketFacts<'a> {
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();
    PacketFacts { src: addr(src), dst: addr(dst), protocol, ports, input: None, mark: 0 }
}

fn web<'a>(port: u16) -> PacketFacts<'a> {
    packet("192.0.2.7", "172.16.0.99", 6, Some((40_000, port)))
}

fn rule(dest: &str, ports: &[&str], mark: u32) -> MarkRule {
    MarkRule {
        dest: Some(Match::is(dest.parse().unwrap())),
        protocol: Some(Match::is(6)),
        ports: vec![PortMatch::dports(ports.iter().map(|p| p.parse().unwrap()).collect())],
        ..MarkRule::new(Family::Ipv4, SetMark::to(mark))
    }
}

fn marks(rules: &[MarkRule]) -> Marks {
    let mut marks = Marks::default();
    for rule in rules {
        marks.add(rule, None, MarkCounts::default()).unwrap();
    }
    marks.settle();
    marks
}

fn mark_of(rules: &[MarkRule], facts: &PacketFacts<'_>) -> u32 {
    marks(rules).mark_of(facts).map_or(0, |mark| mark.0.get())
}

#[test]
fn one_mark_for_several_ports() {
    let rules = [rule("172.16.0.99", &["80", "443", "8000:8100"], 3)];
    for (port, mark) in [(80, 3), (443, 3), (8000, 3), (8100, 3), (8101, 0), (81, 0)] {
        assert_eq!(mark_of(&rules, &web(port)), mark, "port {port}");
    }
    assert_eq!(mark_of(&rules, &packet("192.0.2.7", "172.16.0.98", 6, Some((1, 80)))), 0);
    assert_eq!(mark_of(&rules, &packet("192.0.2.7", "172.16.0.99", 17, Some((1, 80)))), 0);
    assert_eq!(
        mark_of(&rules, &packet("192.0.2.7", "172.16.0.99", 6, None)),
        0,
        "a later fragment has no ports"
    );
}

#[test]
fn later_rules_have_the_last_word_and_masks_keep_bits() {
    let everything = |set| MarkRule::new(Family::Ipv4, set);
    let (low, high) = (SetMark::to(0x3), SetMark { value: 0x30, mask: 0xF0 });
    assert_eq!(mark_of(&[everything(low), everything(SetMark::to(5))], &web(80)), 5);
    assert_eq!(mark_of(&[everything(low), everything(high)], &web(80)), 0x33);
    assert_eq!(mark_of(&[everything(high), everything(low)], &web(80)), 0x3);
    let flip = SetMark { value: 0x1, mask: 0 };
    assert_eq!(mark_of(&[everything(low), everything(flip)], &web(80)), 0x2);
    assert_eq!(mark_of(&[everything(low), everything(SetMark::to(0))], &web(80)), 0, "0 is no mark");
}

#[test]
fn every_condition_counts_and_can_be_turned_round() {
    let base = || MarkRule::new(Family::Ipv4, SetMark::to(1));
    let prefix = |text: &str| text.parse::<Prefix>().unwrap();
    let eth: Interface = "eth+".parse().unwrap();
    let plain = |source, dest| PortMatch::Plain { source, dest };
    let tcp = |ports| MarkRule { protocol: Some(Match::is(6)), ports: vec![ports], ..base() };
    let from = |input| PacketFacts { input, ..web(80) };
    for (what, rule, facts, matches) in [
        ("source", MarkRule { source: Some(Match::is(prefix("192.0.2.0/24"))), ..base() }, web(80), true),
        (
            "another source",
            MarkRule { source: Some(Match::is(prefix("192.0.3.0/24"))), ..base() },
            web(80),
            false,
        ),
        (
            "not that source",
            MarkRule { source: Some(Match::is_not(prefix("192.0.2.7"))), ..base() },
            web(80),
            false,
        ),
        (
            "not that destination",
            MarkRule { dest: Some(Match::is_not(prefix("10.0.0.0/8"))), ..base() },
            web(80),
            true,
        ),
        ("not that protocol", MarkRule { protocol: Some(Match::is_not(17)), ..base() }, web(80), true),
        ("source port", tcp(plain(Some(Match::is(PortRange::one(40_000))), None)), web(80), true),
        (
            "both ports",
            tcp(plain(Some(Match::is(PortRange::one(1))), Some(Match::is(PortRange::one(80))))),
            web(80),
            false,
        ),
        ("not that port", tcp(plain(None, Some(Match::is_not(PortRange::one(80))))), web(80), false),
        (
            "either port",
            tcp(PortMatch::Multi { side: Side::Either, ranges: vec![PortRange::one(40_000)], not: false }),
            web(80),
            true,
        ),
        ("device", MarkRule { input: Some(Match::is(eth.clone())), ..base() }, from(Some("eth1")), true),
        (
            "another device",
            MarkRule { input: Some(Match::is(eth.clone())), ..base() },
            from(Some("wlan0")),
            false,
        ),
        ("device unknown", MarkRule { input: Some(Match::is(eth.clone())), ..base() }, from(None), false),
        ("not that, unknown", MarkRule { input: Some(Match::is_not(eth)), ..base() }, from(None), false),
        ("the other family", base(), packet("2001:db8::1", "2001:db8::2", 6, Some((1, 80))), false),
    ] {
        assert_eq!(mark_of(&[rule], &facts), u32::from(matches), "{what}");
    }
}

#[test]
fn packets_are_counted_on_every_rule_that_matches() {
    let marks = marks(&[
        rule("172.16.0.99", &["80"], 3),
        MarkRule::new(Family::Ipv4, SetMark::to(4)),
        rule("172.16.0.99", &["443"], 3),
    ]);
    marks.count(&web(80), 2, 120);
    marks.count(&packet("192.0.2.7", "192.0.2.8", 1, None), 1, 84);
    marks.count(&packet("2001:db8::1", "2001:db8::2", 6, Some((1, 80))), 1, 60);
    let counts: Vec<_> = marks.entries(Family::Ipv4).iter().map(|e| e.live.read()).collect();
    let counted = |packets, bytes| MarkCounts { packets, bytes };
    assert_eq!(counts, [counted(2, 120), counted(3, 204), counted(0, 0)]);
    assert_eq!(marks.passed(Family::Ipv4).read(), counted(3, 204));
    assert_eq!(marks.passed(Family::Ipv6).read(), counted(0, 0), "a chain without rules counts nothing");
}

#[test]
fn what_can_match_nothing_is_no_rule() {
    let base = rule("172.16.0.99", &["80"], 3);
    let v6: Prefix = "2001:db8::/32".parse().unwrap();
    assert_eq!(flaw(&base), None);
    for (what, rule) in [
        ("no ports in the list", rule("172.16.0.99", &[], 3)),
        ("too many", rule("172.16.0.99", &["1:2"; 8], 3)),
        ("family", MarkRule { source: Some(Match::is(v6)), ..base.clone() }),
        ("no protocol", MarkRule { protocol: None, ..base.clone() }),
        ("icmp has no ports", MarkRule { protocol: Some(Match::is(1)), ..base.clone() }),
        ("not tcp may have none", MarkRule { protocol: Some(Match::is_not(6)), ..base }),
    ] {
        assert!(flaw(&rule).is_some(), "{what}");
        let refused = Marks::default().add(&rule, None, MarkCounts::default());
        assert_eq!(refused, Err(OpError::InvalidMarkRule), "{what}");
    }
}

#[test]
fn long_lists_of_ports_are_spread_over_rules() {
    let ranges: Vec<PortRange> = (1..=16).map(PortRange::one).chain(["20:30".parse().unwrap()]).collect();
    let lists = PortMatch::dports_of(&ranges);
    assert_eq!(lists, [PortMatch::dports(ranges[..15].to_vec()), PortMatch::dports(ranges[15..].to_vec())]);
    let eight: Vec<PortRange> = (0..8).map(|n| PortRange { first: n * 10 + 1, last: n * 10 + 5 }).collect();
    assert_eq!(PortMatch::dports_of(&eight).len(), 2, "a range takes two places");
    assert!(PortMatch::dports_of(&eight).iter().all(|m| m.flaw().is_none()));
}

#[test]
fn prefixes_read_and_write_alike() {
    for (text, written) in [
        ("172.16.0.99", "172.16.0.99"),
        ("172.16.0.99/24", "172.16.0.0/24"),
        ("172.16.0.99/32", "172.16.0.99"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1/32", "2001:db8::/32"),
    ] {
        assert_eq!(text.parse::<Prefix>().unwrap().to_string(), written);
    }
    for wrong in ["", "172.16.0", "172.16.0.0/33", "::/129", "::/", "172.16.0.0/255.255.0.0"] {
        assert_eq!(wrong.parse::<Prefix>(), Err(BadPrefix), "{wrong}");
    }
}
