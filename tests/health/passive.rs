//! Servers that are judged by what clients' connections meet, and asked nothing.

use std::time::{Duration, Instant};

use lab::wait::wait_for;

use super::stage::Stage;
use crate::support::{Engine, PATIENCE};

const PASSIVE: &str = "[service.health]\npassive = { fall = 3, hold = \"700ms\", max_hold = \"2s\" }\n";

/// For how long a server was left alone, time after time.
fn holds(engine: &Engine<'_>) -> Vec<String> {
    let log = engine.log();
    let times = log.lines().filter_map(|line| line.split_once("it is left alone for "));
    times.map(|(_, time)| time.to_owned()).collect()
}

fn wait_for_holds(engine: &Engine<'_>, times: &[&str]) {
    let what = format!("the server to be left alone for {times:?}");
    let reached = wait_for(&what, PATIENCE, || (holds(engine).len() >= times.len()).then_some(()));
    reached.unwrap_or_else(|error| panic!("{error}: {:?}", holds(engine)));
    assert_eq!(holds(engine)[..times.len()], *times);
}

#[test]
fn a_server_that_refuses_clients_is_left_alone_longer_each_time_until_it_takes_them_again() {
    let stage = Stage::nat();
    let engine = stage.serve("rr", PASSIVE, "");
    stage.under_load(|load| {
        assert!(load.answers(Duration::from_millis(600)).iter().all(|count| *count > 0));
        stage.webs[0].signal(stage.server(0), "KILL");
        // Twice as long each time, and no longer than the longest.
        wait_for_holds(&engine, &["0.7 s", "1.4 s", "2 s", "2 s"]);
        let answers = load.answers(Duration::from_millis(800));
        assert!(answers[0] == 0 && answers[1] > 10, "while it is left alone nobody is lost: {answers:?}");
        let held = || (stage.health(&engine)["servers"][0]["state"] == "held").then_some(());
        wait_for("it to be left alone", PATIENCE, held).unwrap();
        let refused = load.since(Instant::now() - Duration::from_secs(30));
        let refused = refused.iter().filter(|request| request.answer.is_err()).count();
        assert!(refused >= 4 * 3, "{refused}: it has been tried each time");

        stage.webs[0].start(stage.server(0));
        stage.wait_for(&engine, 0, true);
        let answers = load.answers(Duration::from_millis(1200));
        assert!(answers.iter().all(|count| *count > 10), "{answers:?}");
        assert_eq!(stage.health(&engine)["servers"][0]["state"], "up");
        // Somebody got through: it begins anew.
        let before = holds(&engine).len();
        stage.webs[0].signal(stage.server(0), "KILL");
        let next = || holds(&engine).get(before).cloned();
        assert_eq!(wait_for("the server to be left alone again", PATIENCE, next).unwrap(), "0.7 s");
    });
    engine.stop();
}

#[test]
fn a_server_that_swallows_connections_is_left_alone_too() {
    let stage = Stage::nat();
    let engine = stage.serve("rr", PASSIVE, "");
    stage.under_load(|load| {
        stage.rule(0, "drop");
        wait_for_holds(&engine, &["0.7 s", "1.4 s"]);
        // Those who were there before still wait: they were not told anything.
        let pages: Vec<_> = (0..6).map(|_| stage.ask()).collect();
        assert!(pages.iter().all(|page| page.as_deref().ok() == Some("server2")), "{pages:?}");
        stage.no_rule(0);
        stage.wait_for(&engine, 0, true);
        let both = || load.answers(Duration::from_millis(500)).iter().all(|count| *count > 5).then_some(());
        wait_for("both to answer", PATIENCE, both).unwrap();
    });
    engine.stop();
}

/// A client with a forged address could take every server out.
fn is_not_judged(stage: &Stage, strikes: impl FnOnce(&Stage)) {
    let engine = stage.serve("rr", PASSIVE, "");
    stage.under_load(|load| {
        strikes(stage);
        let lost = || load.since(Instant::now() - PATIENCE).iter().filter(|r| r.answer.is_err()).count();
        // Far more of them than it takes, and looked at since.
        wait_for("clients to get nowhere", PATIENCE, || (lost() >= 4).then_some(())).unwrap();
        std::thread::sleep(Duration::from_millis(700));
        assert!(stage.has(&engine, 0) && stage.has(&engine, 1));
        assert_eq!(stage.health(&engine)["servers"][0]["state"], "up");
        assert_eq!(holds(&engine), [""; 0]);
    });
    engine.stop();
}

#[test]
fn a_dr_server_is_not_judged_by_what_clients_meet() {
    is_not_judged(&Stage::direct(), |stage| stage.rule(0, "drop"));
}

/// Nobody unwraps what is sent: ICMP says so, and SYNs stay without an answer.
#[test]
fn nor_is_a_tunnel_server() {
    is_not_judged(&Stage::tunnel(), |_| {});
}
