//! Failures that are not in a row, and how fast one is sure.

use lab::wait::wait_for;

use super::events::Events;
use super::stage::Stage;
use crate::support::PATIENCE;

#[test]
fn so_many_failures_of_the_last_ten_are_enough_and_one_less_is_not() {
    let stage = Stage::nat();
    // Of any ten in a row two: never more.
    stage.webs[0].put("answers", "noooo");
    let check = "[[service.check]]\nkind = \"http\"\npath = \"/health\"\ninterval = \"100ms\"\ntimeout = \"2s\"\n\
                 fall = 3\nrise = 2\nwindow = \"3/10\"\n";
    let engine = stage.serve("rr", check, "");
    let first = || stage.health(&engine)["servers"][0].clone();
    let asked = || first()["checks"][0]["asked"].as_u64().unwrap();
    wait_for("25 answers", PATIENCE, || (asked() >= 25).then_some(())).unwrap();
    let now = first();
    assert_eq!((now["falls"].as_u64(), now["alive"].as_bool()), (Some(0), Some(true)), "{now}");
    assert_eq!(now["checks"][0]["failures_in_window"], 2);
    // Three of nine, and never two in a row.
    stage.webs[0].put("answers", "nooo");
    stage.wait_for(&engine, 0, false);
    let log = engine.log();
    assert!(log.contains("is down: status 500 where 200-299 was expected (3 of the last 10)"), "{log}");
    assert!(!log.contains("(3 of 3)"), "{log}");
    assert!(stage.has(&engine, 1));
    engine.stop();
}

#[test]
fn in_doubt_it_asks_faster() {
    let stage = Stage::nat();
    let check = "[[service.check]]\nkind = \"tcp\"\ninterval = \"3s\"\nfast_interval = \"100ms\"\ntimeout = \"2s\"\n\
                 warmup = \"200ms\"\nfall = 5\nrise = 3\n";
    let engine = stage.serve("rr", check, "");
    let service = format!("tcp/{}", stage.vip());
    let server = format!("{}:80", stage.address(0));
    let events = Events::listen(stage.director(), stage.state_dir(), &engine, &service, &server);
    let times = |soft: &str, hard: &str| {
        let of = |kind| events.of(kind).into_iter().find(|e| e.server.as_ref() == Some(&server));
        wait_for(hard, PATIENCE, || of(hard).filter(|_| of(soft).is_some())).unwrap();
        of(hard).unwrap().at_ms - of(soft).unwrap().at_ms
    };
    stage.rule(0, "reject with tcp reset");
    let took = times("soft-down", "down");
    // Four more answers of the same kind; slowly, that were twelve seconds.
    assert!((360..3_000).contains(&took), "{took} ms");
    stage.no_rule(0);
    let took = times("soft-up", "up");
    assert!((180..3_000).contains(&took), "{took} ms");
    engine.stop();
}
