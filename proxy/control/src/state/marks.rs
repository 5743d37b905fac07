//! The same for mark rules, whose order counts.

use std::collections::HashMap;

use sched::marks::MarkCounts;
use sched::{Family, MarkRule, Op};

/// The edits that turn the rules `old` into `new`. Rules that stay keep their counters. They always apply to a table
/// that holds `old`.
pub fn diff_marks(old: &[MarkRule], new: &[MarkRule]) -> Vec<Op> {
    [Family::Ipv4, Family::Ipv6].into_iter().flat_map(|family| diff_chain(old, new, family)).collect()
}

/// The edits that bring what changed between two versions of a file into the running rules: as
/// [`reconcile`](super::reconcile). A rule that is new in the file comes behind the one that precedes it there.
pub fn reconcile_marks(running: &[MarkRule], old_file: &[MarkRule], new_file: &[MarkRule]) -> Vec<Op> {
    let mut merged = running.to_vec();
    let mut kept = tally(new_file);
    for rule in old_file {
        if !take(&mut kept, rule)
            && let Some(at) = merged.iter().position(|r| r == rule)
        {
            merged.remove(at);
        }
    }
    let mut known = tally(old_file);
    for (at, rule) in new_file.iter().enumerate() {
        if take(&mut known, rule) {
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| merged.iter().position(|r| *r == new_file[before]));
        merged
            .insert(before.map_or(if at == 0 { 0 } else { merged.len() }, |before| before + 1), rule.clone());
    }
    diff_marks(running, &merged)
}

fn diff_chain(old: &[MarkRule], new: &[MarkRule], family: Family) -> Vec<Op> {
    let of_family =
        |rules: &[MarkRule]| rules.iter().filter(|r| r.family == family).cloned().collect::<Vec<_>>();
    let (old, new) = (of_family(old), of_family(new));
    let stay = common(&old, &new);
    let gone = (0..old.len()).rev().filter(|at| !stay.iter().any(|(before, _)| before == at));
    let mut ops: Vec<Op> = gone.map(|at| Op::DelMarkAt { family, at }).collect();
    let mut staying = stay.iter().map(|(_, after)| *after).peekable();
    for (at, rule) in new.into_iter().enumerate() {
        if staying.next_if_eq(&at).is_none() {
            ops.push(Op::AddMark { rule, at: Some(at), counts: MarkCounts::default() });
        }
    }
    ops
}

/// Which places of `old` stay, and where they are in `new`: both ascending. What is alike at both ends, and of the
/// rest what a walk through `new` finds in order.
fn common(old: &[MarkRule], new: &[MarkRule]) -> Vec<(usize, usize)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut stay: Vec<_> = (0..head).map(|at| (at, at)).collect();
    let mut next = head;
    for (at, rule) in new.iter().enumerate().take(new.len() - tail).skip(head) {
        if let Some(found) = old[next..old.len() - tail].iter().position(|r| r == rule) {
            stay.push((next + found, at));
            next += found + 1;
        }
    }
    stay.extend((0..tail).rev().map(|back| (old.len() - 1 - back, new.len() - 1 - back)));
    stay
}

fn tally(rules: &[MarkRule]) -> HashMap<&MarkRule, usize> {
    let mut tally = HashMap::new();
    for rule in rules {
        *tally.entry(rule).or_default() += 1;
    }
    tally
}

/// Takes one like `rule` away, if there is one.
fn take(tally: &mut HashMap<&MarkRule, usize>, rule: &MarkRule) -> bool {
    match tally.get_mut(rule) {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sched::marks::SetMark;
    use sched::{ServiceTable, Trash};

    use super::*;

    fn rules(marks: &[u32]) -> Vec<MarkRule> {
        let family = |mark: u32| if mark < 100 { Family::Ipv4 } else { Family::Ipv6 };
        marks.iter().map(|mark| MarkRule::new(family(*mark), SetMark::to(*mark))).collect()
    }

    fn apply(old: &[MarkRule], ops: &[Op]) -> Vec<u32> {
        let add =
            |rule: &MarkRule| Op::AddMark { rule: rule.clone(), at: None, counts: MarkCounts::default() };
        let mut trash = Trash::default();
        let table =
            ServiceTable::default().apply(&mut trash, &old.iter().map(add).collect::<Vec<_>>()).unwrap();
        let table = table.apply(&mut trash, ops).unwrap();
        table.marks().rules().map(|rule| rule.set.value).collect()
    }

    #[test]
    fn rules_that_stay_are_left_alone() {
        let old = rules(&[1, 2, 3, 100]);
        assert_eq!(diff_marks(&old, &old), []);
        let ops = diff_marks(&old, &rules(&[1, 4, 3, 100]));
        let [Op::DelMarkAt { at: 1, .. }, Op::AddMark { at: Some(1), .. }] = &ops[..] else {
            panic!("{ops:?}")
        };
    }

    #[test]
    fn a_reload_keeps_what_was_added_by_hand() {
        let after = |running: &[u32], old: &[u32], new: &[u32]| {
            let running = rules(running);
            apply(&running, &reconcile_marks(&running, &rules(old), &rules(new)))
        };
        assert_eq!(after(&[1, 2, 9], &[1, 2], &[1, 2]), [1, 2, 9], "by hand");
        assert_eq!(after(&[1, 2, 9], &[1, 2], &[1, 3]), [1, 3, 9], "edited in the file");
        assert_eq!(after(&[1, 2, 9], &[1, 2], &[3, 1, 2]), [3, 1, 2, 9], "first in the file");
        assert_eq!(after(&[2, 9], &[1, 2], &[1, 2, 3]), [2, 3, 9], "one was deleted by hand");
        assert_eq!(after(&[1, 1], &[1, 1], &[1]), [1], "one of two alike");
        assert_eq!(after(&[5], &[1, 2], &[1, 2, 7]), [5, 7], "its place is gone");
    }

    proptest! {
        #[test]
        fn any_list_becomes_any_other(
            old in proptest::collection::vec(prop_oneof![0u32..6, 100u32..103], 0..12),
            new in proptest::collection::vec(prop_oneof![0u32..6, 100u32..103], 0..12),
        ) {
            let ops = diff_marks(&rules(&old), &rules(&new));
            let mut want = new;
            want.sort_by_key(|mark| *mark >= 100);
            prop_assert_eq!(apply(&rules(&old), &ops), want);
        }
    }
}
