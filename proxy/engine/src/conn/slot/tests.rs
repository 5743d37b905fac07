use super::*;

fn first(n: u16) -> First {
    let client = format!("10.0.0.1:{n}").parse().unwrap();
    First { course: n.into(), client, local_port: 0, state: State::SynRecv, flags: 0, deadline: 3000 }
}

#[test]
fn a_deadline_is_what_it_was_set_to_however_long_the_engine_runs() {
    let slot = Slot::new();
    for now in [0, 1000, u64::from(u32::MAX) - 500, 1 << 40] {
        let deadline = Slot::after(now, 900_000);
        slot.set_deadline(deadline);
        for later in [0, 500, 899_999, 900_000, 2_000_000] {
            assert_eq!(slot.deadline(now + later), now + 900_000);
        }
        slot.set_deadline(Slot::after(now, u64::from(u32::MAX) * 1000));
        assert_eq!(slot.deadline(now), now + FAR, "a longer time is cut");
    }
}

#[test]
fn who_has_found_a_connection_moves_nothing_of_the_next_one_in_its_place() {
    let slot = Slot::new();
    let old = slot.begin(&first(1));
    slot.publish();
    assert_eq!(slot.fixed(false).map(|fixed| fixed.client()), Some("10.0.0.1:1".parse().unwrap()));
    assert_eq!(slot.retire(old), Some(State::SynRecv));
    let new = slot.begin(&first(2));
    assert!(slot.fixed(false).is_none() && slot.fixed(true).is_some(), "not in yet");
    slot.publish();
    assert_eq!(slot.step(old, |_| State::Established), None);
    assert_eq!((slot.retire(old), slot.has_ended(old), slot.is_live(old)), (None, true, false));
    assert_eq!((slot.state(), slot.is_live(new)), (State::SynRecv, true));
    assert_eq!(slot.step(new, |_| State::Established), Some((State::SynRecv, State::Established)));
}

#[test]
fn a_place_rests_before_it_is_used_again() {
    let slab = Slab::new(10);
    let ended: Vec<_> = (0..REST).map(|_| slab.begin(&first(1), None).expect("a place").1.at).collect();
    ended.iter().for_each(|at| slab.give_back(*at));
    let fresh = slab.begin(&first(2), None).expect("a place").1.at;
    assert!(!ended.contains(&fresh), "nobody else has ended since");
    slab.give_back(fresh);
    let again = slab.begin(&first(3), None).expect("a place").1.at;
    assert!(ended[..PART].contains(&again), "one of those that have rested longest");
}
