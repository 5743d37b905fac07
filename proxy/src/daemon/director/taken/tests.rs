use sched::marks::{MarkCounts, PortMatch, SetMark};

use sched::{Family, Mark, Op, Proto, ServiceSpec, Trash};

use super::*;

const TCP: u8 = 6;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn table(services: &[ServiceKey], rules: &[MarkRule]) -> ServiceTable {
    let services = services.iter().map(|key| Op::AddService { service: ServiceSpec::new(*key, "rr") });
    let rules =
        rules.iter().map(|rule| Op::AddMark { rule: rule.clone(), at: None, counts: MarkCounts::default() });
    let ops: Vec<_> = services.chain(rules).collect();
    ServiceTable::default().apply(&mut Trash::default(), &ops).unwrap()
}

#[test]
fn services_by_address_are_taken_as_they_are() {
    let keys =
        [ServiceKey::addr(Proto::Tcp, at("10.9.0.1:80")), ServiceKey::addr(Proto::Udp, at("[fd09::1]:53"))];
    let want = BTreeSet::from([(TCP, at("10.9.0.1:80")), (17, at("[fd09::1]:53"))]);
    assert_eq!(of_table(&table(&keys, &[])), want);
}

#[test]
fn services_by_mark_are_taken_by_the_ports_that_their_rules_name() {
    let key = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv4 };
    let rule = |ports: Vec<PortMatch>| MarkRule {
        dest: Some(Match::is("10.9.0.1".parse().unwrap())),
        protocol: Some(Match::is(TCP)),
        ports,
        ..MarkRule::new(Family::Ipv4, SetMark::to(3))
    };
    let range = |text: &str| text.parse::<PortRange>().unwrap();
    let of = |rule: MarkRule| of_table(&table(&[key], &[rule]));

    let dports = PortMatch::dports(vec![range("80"), range("443:444")]);
    let want = ["10.9.0.1:80", "10.9.0.1:443", "10.9.0.1:444"].map(|to| (TCP, at(to)));
    assert_eq!(of(rule(vec![dports])), want.into());

    let all = BTreeSet::from([(TCP, at("10.9.0.1:0"))]);
    assert_eq!(of(rule(Vec::new())), all);
    assert_eq!(of(rule(vec![PortMatch::dport(range("1000:2000"))])), all, "too many to name them");

    let any = MarkRule { protocol: Some(Match::is_not(TCP)), ..rule(Vec::new()) };
    assert_eq!(of(any), [(0, at("10.9.0.1:0"))].into());
}

#[test]
fn what_rules_do_not_name_by_one_address_is_not_taken() {
    let key = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv4 };
    let rule = MarkRule::new(Family::Ipv4, SetMark::to(3));
    let to = |dest: Match<_>| MarkRule { dest: Some(dest), ..rule.clone() };
    let rules = [
        rule.clone(),
        to(Match::is("10.9.0.0/24".parse().unwrap())),
        to(Match::is_not("10.9.0.1".parse().unwrap())),
        // No service has that mark.
        MarkRule { set: SetMark::to(4), ..to(Match::is("10.9.0.2".parse().unwrap())) },
    ];
    assert_eq!(of_table(&table(&[key], &rules)), BTreeSet::new());
}
