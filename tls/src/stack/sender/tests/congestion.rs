//! How the window is reduced, and given back.

use super::*;

/// Ten segments on the way, ten more to be sent.
fn ten() -> Sender {
    let mut sender = sender(true);
    sender.write(&[7; 30_000]);
    assert_eq!(send(&mut sender, MS), [(0, 10)]);
    sender
}

#[test]
fn a_loss_is_repaired_while_the_window_shrinks_with_what_arrives() {
    let mut sender = ten();
    for arrived in 2..4 {
        hear(&mut sender, 0, &[(1, arrived)], 11 * MS);
        let fresh = u64::from(arrived) + 8;
        assert_eq!(send(&mut sender, 11 * MS), [(fresh, 1)], "until something is lost the window stays");
    }
    // Seven are to be on the way in the end, and ten were: for three that arrive two are sent.
    let mut sent = Vec::new();
    for arrived in 4..=12 {
        hear(&mut sender, 0, &[(1, arrived)], 12 * MS);
        sent.push(send(&mut sender, 12 * MS));
    }
    let counts = sent.iter().map(|parts| parts.iter().map(|(_, len)| len).sum()).collect::<Vec<usize>>();
    assert_eq!(sent[0], [(0, 1)]);
    assert_eq!(counts.iter().sum::<usize>(), 7, "{sent:?}");
    assert!(counts.iter().all(|count| *count <= 1), "{sent:?}");
    // All is there: the window is what it shrank to.
    hear(&mut sender, 12, &[], 22 * MS);
    assert_eq!((sender.recovery.is_none(), sender.cubic.window() / MSS), (true, 7));
}

#[test]
fn many_losses_at_once_are_repaired_without_a_burst() {
    let mut sender = ten();
    // Only the last three have come: seven are lost, nothing is on the way.
    hear(&mut sender, 0, &[(7, 10)], 11 * MS);
    assert_eq!(send(&mut sender, 11 * MS), [(0, 3)], "as many as have arrived");
    hear(&mut sender, 3, &[(7, 10)], 21 * MS);
    assert_eq!(send(&mut sender, 21 * MS), [(3, 4)], "and one more when no other loss shows");
    hear(&mut sender, 10, &[], 31 * MS);
    assert_eq!(send(&mut sender, 31 * MS), [(10, 7)]);
    assert_eq!(sender.timeouts(), 0);
}

#[test]
fn what_was_late_and_not_lost_gives_the_window_back() {
    for (echoed, window, repaired) in [(1, 11, true), (12, 7, false)] {
        let mut sender = ten();
        hear(&mut sender, 0, &[(2, 6)], 11 * MS);
        assert_eq!(send(&mut sender, 12 * MS), [(0, 2), (10, 1)]);
        assert_eq!(sender.cubic.window(), 7 * MSS);
        // The first comes: as it was sent first, or as it was sent again.
        hear_echo(&mut sender, 1, &[(2, 6)], Some(MS * echoed), 14 * MS);
        assert_eq!(sender.recovery.is_none(), repaired);
        assert_eq!(sender.cubic.window(), window * MSS);
        assert_eq!(sender.flight.reordered(), repaired, "and it is learned");
    }
}

#[test]
fn a_timeout_of_what_was_only_slow_costs_nothing() {
    for (echoed, again) in [(1, vec![]), (900, vec![(1, 2)])] {
        let mut sender = ten();
        let mut at = MS;
        while sender.timeouts() == 0 {
            at = sender.deadline().unwrap();
            assert!(sender.handle_timeout(at));
            if sender.timeouts() == 0 {
                send(&mut sender, at);
            }
        }
        assert_eq!((send(&mut sender, at), sender.cubic.window()), (vec![(0, 1)], MSS));
        // For a second nothing moved on the way; now the first segment comes, sent first, or sent again.
        hear_echo(&mut sender, 1, &[], Some(MS * echoed), at + 700 * MS);
        if again.is_empty() {
            assert!(sender.recovery.is_none() && sender.cubic.window() >= 10 * MSS);
            assert!(
                send(&mut sender, at + 700 * MS).iter().all(|(from, _)| *from >= 10),
                "nothing is repeated"
            );
        } else {
            assert_eq!(send(&mut sender, at + 700 * MS), again);
        }
    }
}

#[test]
fn the_window_comes_back_also_with_the_acknowledgment_of_everything() {
    let mut sender = ten();
    hear(&mut sender, 0, &[(2, 6)], 11 * MS);
    send(&mut sender, 12 * MS);
    hear_echo(&mut sender, 11, &[], Some(MS), 14 * MS);
    assert!(sender.cubic.window() >= 10 * MSS, "{}", sender.cubic.window());
}
