//! Servers that are taken for dead until their checks have spoken (keepalived's `alpha`).

use std::time::{Duration, Instant};

use lab::wait::wait_for;

use super::stage::{SLACK, Stage};
use crate::support::PATIENCE;

fn down_at_first(interval: &str, rise: u32) -> String {
    format!(
        "[service.health]\ninitially = \"down\"\n[[service.check]]\nkind = \"http\"\npath = \"/health\"\n\
         interval = \"{interval}\"\ntimeout = \"10s\"\nfall = 3\nrise = {rise}\n"
    )
}

#[test]
fn who_begins_as_down_gets_nothing_before_its_first_answer() {
    let stage = Stage::nat();
    stage.webs.iter().for_each(|web| web.put("delay", "5"));
    let engine = stage.serve("rr", &down_at_first("200ms", 3), "");
    let began = Instant::now();
    stage.under_load(|load| {
        std::thread::sleep(Duration::from_millis(700));
        let requests = load.since(began);
        assert!(!requests.is_empty() && requests.iter().all(|r| r.answer.is_err()), "{requests:?}");
        for index in [0, 1] {
            assert!(!stage.has(&engine, index));
            assert_eq!(stage.met(index).packets, 0, "server {} got something", index + 1);
            assert_eq!(stage.health(&engine)["servers"][index]["state"], "down");
        }
        stage.webs.iter().for_each(|web| web.remove("delay"));
        // Nobody has found anything wrong: one right answer will do.
        for index in [0, 1] {
            stage.wait_for(&engine, index, true);
            assert_eq!(stage.health(&engine)["servers"][index]["rises"], 1);
        }
        let both = || load.answers(Duration::from_millis(500)).iter().all(|count| *count > 5).then_some(());
        wait_for("both to answer", PATIENCE, both).unwrap();
    });
    engine.stop();
}

#[test]
fn whose_first_answer_is_wrong_needs_as_many_right_ones_as_anybody() {
    let stage = Stage::nat();
    stage.webs[0].remove("health");
    let (interval, rise) = (Duration::from_millis(300), 4);
    let engine = stage.serve("rr", &down_at_first("300ms", rise), "");
    stage.under_load(|load| {
        stage.wait_for(&engine, 1, true);
        let failed = || stage.health(&engine)["servers"][0]["checks"][0]["failed"].as_u64();
        wait_for("a wrong answer", PATIENCE, || failed().filter(|n| *n > 0)).unwrap();
        assert_eq!(stage.met(0).begun, 0);
        let since = Instant::now();
        stage.webs[0].put("health", "OK");
        while !stage.has(&engine, 0) {
            assert!(since.elapsed() < interval * rise + SLACK, "{}", engine.ulvs("health"));
        }
        // A question comes a twentieth earlier at times.
        let least = (interval * (rise - 1)).mul_f64(0.9);
        assert!(since.elapsed() >= least, "after {:?}", since.elapsed());
        let events = engine.log();
        assert!(events.contains("is up: it answers (4 of 4)"), "{events}");
        let answers = load.answers(Duration::from_millis(500));
        assert!(answers.iter().all(|count| *count > 5), "{answers:?}");
    });
    engine.stop();
}
