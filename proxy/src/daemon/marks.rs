//! What a user should know of the mark rules in force: where they do less than their words say.

use sched::{Family, ServiceKey, ServiceTable};

/// A line for each.
pub(super) fn notices(table: &ServiceTable) -> Vec<String> {
    let served = |family| {
        table.services().filter_map(move |service| match service.key {
            ServiceKey::Mark { mark, family: of } if of == family => Some(mark),
            _ => None,
        })
    };
    let mut notices = Vec::new();
    for (family, command) in [(Family::Ipv4, "iptables"), (Family::Ipv6, "ip6tables")] {
        for (at, entry) in table.marks().entries(family).iter().enumerate() {
            let name = format!("mark rule {} of {command} ({})", at + 1, entry.rule);
            let serves = served(family).any(|mark| entry.rule.set.can_make(mark));
            if serves && entry.rule.only_dest().is_none() {
                notices.push(format!(
                    "{name} names no destination, so it brings no packets here: it marks those that come for the \
                     sake of a service's address or of another rule's destination; name one with -d"
                ));
            }
            if entry.rule.input.is_some() {
                notices.push(format!(
                    "{name} asks where a packet came in, which the device of ulvs does not say: the main routing \
                     table's way back to the sender is taken for it; where packets come another way, or policy \
                     routing decides, leave -i out"
                ));
            }
        }
    }
    notices
}

#[cfg(test)]
mod tests {
    use sched::marks::{MarkCounts, Match, SetMark};
    use sched::{Mark, MarkRule, Op, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn rules_that_do_less_than_they_say_are_named() {
        let add = |rule| Op::AddMark { rule, at: None, counts: MarkCounts::default() };
        let rule = |mark| MarkRule::new(Family::Ipv4, SetMark::to(mark));
        let dest = Some(Match::is("10.0.0.1".parse().unwrap()));
        let input = Some(Match::is("eth0".parse().unwrap()));
        let key = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv4 };
        let ops = [
            Op::AddService { service: ServiceSpec::new(key, "rr") },
            add(rule(3)),
            add(rule(4)),
            add(MarkRule { dest, ..rule(3) }),
            add(MarkRule { dest, input, ..rule(3) }),
        ];
        let table = ServiceTable::default().apply(&mut Trash::default(), &ops).unwrap();
        let notices = notices(&table);
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(
            notices[0].starts_with("mark rule 1 of iptables (mark 3) names no destination"),
            "{notices:?}"
        );
        assert!(
            notices[1].starts_with("mark rule 4 of iptables (to 10.0.0.1 in by eth0 mark 3) asks"),
            "{notices:?}"
        );
    }
}
