//! A server that goes up and down all the time.

use std::time::{Duration, Instant};

use super::stage::{SLACK, Stage};

const FALLS: usize = 3;
const HOLD: Duration = Duration::from_secs(8);
const DAMPED: &str = "[service.health]\ndamping = { flaps = 3, within = \"30s\", hold = \"8s\" }\n\
                      [[service.check]]\nkind = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"500ms\"\nfall = 1\nrise = 1\n";

#[test]
fn a_server_that_flaps_is_kept_down_for_a_while_whatever_its_checks_say() {
    let stage = Stage::nat();
    let engine = stage.serve("rr", DAMPED, "");
    stage.under_load(|load| {
        for fall in 1..FALLS {
            stage.rule(0, "reject with tcp reset");
            stage.wait_for(&engine, 0, false);
            stage.no_rule(0);
            let took = stage.wait_for(&engine, 0, true);
            assert!(took < SLACK, "fall {fall} is not held against it, and yet that took {took:?}");
        }
        let before = Instant::now();
        stage.rule(0, "reject with tcp reset");
        stage.wait_for(&engine, 0, false);
        let fallen = Instant::now();
        stage.no_rule(0);
        stage.wait_for_state(&engine, 0, "damped");
        let answers = || stage.health(&engine)["servers"][0]["checks"][0]["ok"].as_bool();
        let patience = SLACK.min(HOLD / 2);
        lab::wait::wait_for("an answer", patience, || answers().filter(|ok| *ok).map(drop)).unwrap();
        let met = stage.met(0);
        let served = load.answers(Duration::from_millis(500));
        assert!(served[0] == 0 && served[1] > 5, "{served:?}");
        assert_eq!(stage.met(0).begun, met.begun, "nothing is sent to it");
        let log = engine.log();
        let said = "it has fallen 3 times within 30 s, and stays down for 8 s";
        assert!(log.contains(said), "{log}");

        stage.wait_for(&engine, 0, true);
        assert!(before.elapsed() >= HOLD, "back after {:?}", before.elapsed());
        assert!(fallen.elapsed() <= HOLD + SLACK, "back after {:?}", fallen.elapsed());
        let served = load.answers(Duration::from_secs(1));
        assert!(served.iter().all(|count| *count > 5), "{served:?}");
    });
    engine.stop();
}
