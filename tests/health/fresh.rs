//! A server that has come back is not overrun, and what one check misses another one sees.

use std::time::Duration;

use super::stage::Stage;

#[test]
fn a_server_that_is_back_gets_its_share_little_by_little() {
    let stage = Stage::nat();
    let engine = stage.balance("wrr", "kind = \"tcp\"", "weight = 10\nslow_start = \"8s\"");
    stage.under_load(|load| {
        stage.webs[0].signal(stage.server(0), "KILL");
        stage.wait_for(&engine, 0, false);
        stage.webs[0].start(stage.server(0));
        stage.wait_for(&engine, 0, true);
        let first = load.answers(Duration::from_millis(800));
        assert!(first[0] * 4 <= first[1], "a burst onto the fresh server: {first:?}");
        std::thread::sleep(Duration::from_secs(8));
        let later = load.answers(Duration::from_secs(1));
        assert!(later[0] * 3 >= later[1] * 2, "it has not got its share: {later:?}");
    });
    engine.stop();
}

#[test]
fn a_port_is_open_where_nobody_is_at_home() {
    let stage = Stage::nat();
    let engine = stage.balance("rr", "kind = \"tcp\"", "");
    stage.webs[0].signal(stage.server(0), "STOP");
    // The kernel shakes hands for it: long after a check of the page would have known, the port is as it was.
    std::thread::sleep(Duration::from_secs(3));
    assert!(stage.has(&engine, 0));
    stage.webs[0].signal(stage.server(0), "CONT");
    engine.stop();
}
