//! Mark rules: in the table, and against a plain model of them.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use sched::marks::{Interface, MarkCounts, Match, PortMatch, PortRange, Prefix, SetMark, Side};
use sched::{Family, Mark, MarkRule, Op, OpError, PacketFacts, ServiceKey, ServiceSpec, ServiceTable, Trash};

fn apply(table: &ServiceTable, ops: &[Op]) -> Result<ServiceTable, (usize, OpError)> {
    table.apply(&mut Trash::default(), ops)
}

fn add(rule: MarkRule) -> Op {
    Op::AddMark { rule, at: None, counts: MarkCounts::default() }
}

fn to(dest: &str, mark: u32) -> MarkRule {
    let dest: Prefix = dest.parse().unwrap();
    MarkRule { dest: Some(Match::is(dest)), ..MarkRule::new(dest.family(), SetMark::to(mark)) }
}

fn service(mark: u32, family: Family) -> Op {
    let key = ServiceKey::Mark { mark: Mark(mark.try_into().unwrap()), family };
    Op::AddService { service: ServiceSpec::new(key, "rr") }
}

fn rules(table: &ServiceTable) -> Vec<MarkRule> {
    table.marks().rules().cloned().collect()
}

#[test]
fn rules_go_where_they_are_put() {
    let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|dest| to(dest, 1));
    let insert =
        |rule: &MarkRule, at| Op::AddMark { rule: rule.clone(), at: Some(at), counts: MarkCounts::default() };
    let table = apply(&ServiceTable::default(), &[add(a.clone()), insert(&b, 0), insert(&c, 2)]).unwrap();
    assert_eq!(rules(&table), [b.clone(), a.clone(), c]);
    assert_eq!(apply(&table, &[insert(&a, 4)]).unwrap_err(), (0, OpError::NoSuchMarkPlace));
    let family = Family::Ipv4;
    let shorter = apply(&table, &[Op::DelMark { rule: a.clone() }, Op::DelMarkAt { family, at: 1 }]).unwrap();
    assert_eq!(rules(&shorter), [b]);
    assert_eq!(apply(&shorter, &[Op::DelMark { rule: a }]).unwrap_err(), (0, OpError::NoSuchMarkRule));
    assert_eq!(
        apply(&shorter, &[Op::DelMarkAt { family, at: 1 }]).unwrap_err(),
        (0, OpError::NoSuchMarkPlace)
    );
    let other = Family::Ipv6;
    assert_eq!(rules(&apply(&table, &[Op::FlushMarks { family: other }]).unwrap()).len(), 3);
    assert_eq!(rules(&apply(&table, &[Op::FlushMarks { family }]).unwrap()), []);
}

#[test]
fn marks_and_services_change_in_one_swap() {
    let table = apply(&ServiceTable::default(), &[add(to("10.0.0.1", 3)), service(3, Family::Ipv4)]).unwrap();
    let wrong = [Op::FlushMarks { family: Family::Ipv4 }, service(3, Family::Ipv4)];
    assert_eq!(apply(&table, &wrong).unwrap_err(), (1, OpError::ServiceExists));
    assert_eq!(rules(&table).len(), 1);
    assert_eq!(table.generation(), 1);
}

#[test]
fn counters_live_through_edits_until_they_are_zeroed() {
    let facts = facts([10, 0, 0, 1], 6, Some((1, 80)));
    let counts = |table: &ServiceTable| {
        table.marks().entries(Family::Ipv4).iter().map(|e| e.live.read().packets).collect::<Vec<_>>()
    };
    let start = MarkCounts { packets: 10, bytes: 1000 };
    let table = apply(
        &ServiceTable::default(),
        &[Op::AddMark { rule: to("10.0.0.1", 3), at: None, counts: start }, add(to("10.0.0.0/24", 3))],
    )
    .unwrap();
    table.marks().count(&facts, 1, 60);
    let table = apply(&table, &[add(to("10.0.0.2", 3))]).unwrap();
    table.marks().count(&facts, 1, 60);
    assert_eq!(counts(&table), [12, 2, 0]);
    let family = Family::Ipv4;
    let table = apply(&table, &[Op::ZeroMarks { family, at: Some(1) }]).unwrap();
    assert_eq!(counts(&table), [12, 0, 0]);
    let table = apply(&table, &[Op::ZeroMarks { family, at: None }]).unwrap();
    assert_eq!(counts(&table), [0, 0, 0]);
    assert_eq!(table.marks().passed(family).read().packets, 0);
}

#[test]
fn destinations_of_served_marks_are_vips() {
    let edits = [
        add(to("10.0.0.1", 3)),
        add(to("10.0.1.0/24", 3)),
        add(to("10.0.0.2", 4)),
        add(to("2001:db8::1", 3)),
        add(MarkRule { dest: Some(Match::is_not("10.0.0.9".parse().unwrap())), ..to("10.0.0.9", 3) }),
        add(to("0.0.0.0/0", 3)),
    ];
    let table = apply(&ServiceTable::default(), &edits).unwrap();
    assert_eq!(table.vips().count() + table.marked_prefixes().count(), 0, "nobody serves them");
    let table = apply(&table, &[service(3, Family::Ipv4)]).unwrap();
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(table.vips().collect::<Vec<_>>(), [addr("10.0.0.1")]);
    assert!(table.is_vip(addr("10.0.0.1")) && !table.is_vip(addr("10.0.1.1")));
    assert_eq!(table.marked_prefixes().map(|p| p.to_string()).collect::<Vec<_>>(), ["10.0.1.0/24"]);
    // A masked rule may make the mark of a service, or may not.
    let masked = |value| MarkRule { set: SetMark { value, mask: 0xF }, ..to("10.0.0.7", 0) };
    let with = |value| apply(&table, &[add(masked(value))]).unwrap().is_vip(addr("10.0.0.7"));
    assert!(with(3) && !with(4));
}

fn facts<'a>(dst: [u8; 4], protocol: u8, ports: Option<(u16, u16)>) -> PacketFacts<'a> {
    PacketFacts {
        src: Ipv4Addr::new(192, 0, 2, 7).into(),
        dst: Ipv4Addr::from(dst).into(),
        protocol,
        ports,
        input: Some("eth0"),
        mark: 0,
    }
}

/// A rule over a world of four destinations, three protocols, eight ports and two devices.
fn any_rule() -> impl Strategy<Value = MarkRule> {
    let dest = prop_oneof![
        4 => (0u8..4).prop_map(|n| Some(Match::is(Prefix::host(Ipv4Addr::new(10, 0, 0, n).into())))),
        1 => Just(Some(Match::is("10.0.0.2/31".parse().unwrap()))),
        1 => (0u8..4).prop_map(|n| Some(Match::is_not(Prefix::host(Ipv4Addr::new(10, 0, 0, n).into())))),
        1 => Just(None),
    ];
    let range = (0u16..8, 0u16..80).prop_map(|(a, b)| PortRange { first: a, last: a + b.saturating_sub(4) });
    let ranges = proptest::collection::vec(range.clone(), 1..4);
    let side = prop_oneof![3 => Just(Side::Dest), 1 => Just(Side::Source), 1 => Just(Side::Either)];
    let ports = prop_oneof![
        (side, ranges, any::<bool>()).prop_map(|(side, ranges, not)| vec![PortMatch::Multi {
            side,
            ranges,
            not
        }]),
        (range, any::<bool>()).prop_map(|(value, not)| vec![PortMatch::Plain {
            source: None,
            dest: Some(Match { value, not })
        }]),
        Just(vec![PortMatch::Plain { source: None, dest: None }]),
        Just(Vec::new()),
    ];
    let protocol = prop_oneof![3 => Just(6u8), 1 => Just(17u8)];
    let input = prop_oneof![3 => Just(None), 1 => (any::<bool>(), any::<bool>()).prop_map(|(eth, not)| {
        let name: Interface = if eth { "eth+" } else { "wlan0" }.parse().unwrap();
        Some(Match { value: name, not })
    })];
    (dest, ports, protocol, input, 0u32..8, prop_oneof![Just(u32::MAX), 0u32..8]).prop_map(
        |(dest, ports, protocol, input, value, mask)| MarkRule {
            dest,
            input,
            // Without ports any protocol will do.
            protocol: (!ports.is_empty() || value % 2 == 0).then_some(Match::is(protocol)),
            ports,
            ..MarkRule::new(Family::Ipv4, SetMark { value, mask })
        },
    )
}

/// Rule by rule, condition by condition.
fn model(rules: &[MarkRule], facts: &PacketFacts<'_>) -> (u32, Vec<bool>) {
    let mut mark = 0;
    let hits = rules.iter().map(|rule| {
        let within = |prefix: Prefix| {
            let bits = |ip| if let IpAddr::V4(ip) = ip { u64::from(ip.to_bits()) } else { unreachable!() };
            bits(prefix.addr()) >> (32 - prefix.len()) == bits(facts.dst) >> (32 - prefix.len())
        };
        let dest = rule.dest.is_none_or(|m| if m.not { !within(m.value) } else { within(m.value) });
        let protocol = rule.protocol.is_none_or(|m| m.value == facts.protocol);
        let input = rule.input.as_ref().is_none_or(|m| (m.value.as_str() == "eth+") != m.not);
        let within = |range: &PortRange, port: u16| (range.first..=range.last).contains(&port);
        let ports = rule.ports.iter().all(|m| match (m, facts.ports) {
            (_, None) => false,
            (PortMatch::Plain { dest, .. }, Some((_, to))) => {
                dest.is_none_or(|d| within(&d.value, to) ^ d.not)
            }
            (PortMatch::Multi { side, ranges, not }, Some((from, to))) => {
                let any = |port| ranges.iter().any(|range| within(range, port));
                not ^ match side {
                    Side::Source => any(from),
                    Side::Dest => any(to),
                    Side::Either => any(from) | any(to),
                }
            }
        });
        let hit = dest && protocol && input && ports;
        if hit {
            mark = (mark & !rule.set.mask) ^ rule.set.value;
        }
        hit
    });
    let hits = hits.collect();
    (mark, hits)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_walk_over_all_rules_finds(
        edits in proptest::collection::vec((any_rule(), any::<prop::sample::Index>(), 0u8..4), 1..40),
        packets in proptest::collection::vec((0u8..4, prop_oneof![Just(6u8), Just(17u8)], 0u16..90, 0u16..90, 0u8..8), 1..40),
    ) {
        let mut list: Vec<MarkRule> = Vec::new();
        let mut table = ServiceTable::default();
        for (rule, place, what) in edits {
            let op = if what == 0 && !list.is_empty() {
                let at = place.index(list.len());
                list.remove(at);
                Op::DelMarkAt { family: Family::Ipv4, at }
            } else {
                let at = place.index(list.len() + 1);
                list.insert(at, rule.clone());
                Op::AddMark { rule, at: Some(at), counts: MarkCounts::default() }
            };
            table = apply(&table, &[op]).unwrap();
        }
        prop_assert_eq!(rules(&table), list.clone());
        let counted = |table: &ServiceTable| {
            table.marks().entries(Family::Ipv4).iter().map(|e| e.live.read().packets).collect::<Vec<_>>()
        };
        for (host, protocol, from, to, fragment) in packets {
            let facts = facts([10, 0, 0, host], protocol, (fragment > 0).then_some((from, to)));
            let (mark, hits) = model(&list, &facts);
            prop_assert_eq!(table.mark_of(&facts).map_or(0, |m| m.0.get()), mark);
            let before = counted(&table);
            table.marks().count(&facts, 1, 60);
            let moved: Vec<_> = counted(&table).iter().zip(before).map(|(after, before)| *after > before).collect();
            prop_assert_eq!(moved, hits);
        }
    }
}
