use super::*;
use crate::conn::test_birth;

/// Courses, one of them with a connection, and a worker who knows it.
fn one_known() -> (Arc<Courses>, Known, Arc<Course>) {
    let courses = Arc::new(Courses::new(1));
    let course = courses.join(test_birth(1).between).expect("room");
    let known = Known::new(Arc::clone(&courses));
    assert!(known.get(course.number).is_some_and(|known| Arc::ptr_eq(known, &course)));
    (courses, known, course)
}

#[test]
fn connections_that_have_all_in_common_share_a_course() {
    let (courses, _, course) = one_known();
    let same = courses.join(course.between.clone()).expect("room");
    assert!(Arc::ptr_eq(&same, &course));
    let vip = "10.9.9.9:80".parse().unwrap();
    let other = courses.join(Between { vip, ..course.between.clone() }).expect("room");
    assert_ne!(other.number, course.number);
    courses.leave(&course);
    assert!(courses.get(course.number).is_some(), "one has ended, one goes on");
    courses.leave(&course);
    assert!(courses.get(course.number).is_none() && courses.get(other.number).is_some());
}

#[test]
fn a_number_is_given_again_when_nobody_knows_who_had_it() {
    for idle in [true, false] {
        let (courses, mut known, course) = one_known();
        let number = course.number;
        known.pass(1000);
        assert_eq!(known.next_due(), Some(1000 + FORGET_MS));
        courses.leave(&course);
        drop(course);
        let next = courses.join(test_birth(2).between).expect("room");
        assert_ne!(next.number, number, "a worker may still have it from somewhere");
        known.forget(1000 + FORGET_MS, idle);
        assert_eq!(known.next_due(), None, "nothing left to forget");
        let again = courses.join(test_birth(3).between).expect("room");
        assert_eq!(again.number, number);
        assert!(known.get(number).is_some_and(|known| Arc::ptr_eq(known, &again)));
    }
}

#[test]
fn who_is_not_idle_forgets_nothing_that_goes_on_nor_before_its_time() {
    let (courses, mut known, course) = one_known();
    known.pass(0);
    known.forget(FORGET_MS - 1, false);
    known.forget(FORGET_MS, false);
    assert!(known.next_due().is_some(), "there is something to forget one day");
    assert_eq!(known.held.get(), 1);
    courses.leave(&course);
    known.forget(FORGET_MS + 1, false);
    assert_eq!(known.held.get(), 1, "not yet");
    known.forget(2 * FORGET_MS, false);
    assert_eq!((known.held.get(), known.next_due()), (0, None));
}
