//! Each way of failing: found within its bound, then no request is lost and nothing is sent to the dead, and the server is
//! back when it has recovered.

use std::time::{Duration, Instant};

use lab::wait::wait_for;

use super::stage::{BACK, REFUSED, SILENT, SLACK, Stage};
use crate::support::PATIENCE;
use crate::support::capture::Capture;

/// What befalls the first server, which check sees it, and in what time.
struct Fault {
    check: &'static str,
    bound: Duration,
    strikes: fn(&Stage),
    mends: fn(&Stage),
    /// What is said of it in the log.
    reason: &'static str,
}

/// Page, status and keyword.
const PAGE: &str = "kind = \"http\"\npath = \"/health\"\nkeyword = \"OK\"";

fn link(stage: &Stage, state: &str) {
    let (switch, port) = stage.plug(0);
    switch.exec(&["ip", "link", "set", &port, state]).unwrap();
}

const KILLED: Fault = Fault {
    check: "kind = \"tcp\"",
    bound: REFUSED,
    strikes: |stage| stage.webs[0].signal(stage.server(0), "KILL"),
    mends: |stage| stage.webs[0].start(stage.server(0)),
    reason: "refused",
};

/// The kernel goes on to accept connections for it: to a check of the port it is alive.
const STOPPED: Fault = Fault {
    check: PAGE,
    bound: SILENT,
    strikes: |stage| stage.webs[0].signal(stage.server(0), "STOP"),
    mends: |stage| stage.webs[0].signal(stage.server(0), "CONT"),
    reason: "no answer",
};

const FIREWALLED: Fault = Fault {
    check: "kind = \"tcp\"",
    bound: SILENT,
    strikes: |stage| stage.rule(0, "drop"),
    mends: |stage| stage.no_rule(0),
    reason: "",
};

const CLOSED: Fault = Fault {
    check: "kind = \"tcp\"",
    bound: REFUSED,
    strikes: |stage| stage.rule(0, "reject with tcp reset"),
    mends: |stage| stage.no_rule(0),
    reason: "refused",
};

const PAGE_DELETED: Fault = Fault {
    check: PAGE,
    bound: REFUSED,
    strikes: |stage| stage.webs[0].remove("health"),
    mends: |stage| stage.webs[0].put("health", "OK again\n"),
    reason: "404",
};

const WRONG_KEYWORD: Fault = Fault {
    check: PAGE,
    bound: REFUSED,
    strikes: |stage| stage.webs[0].put("health", "Welcome to nginx!\n"),
    mends: |stage| stage.webs[0].put("health", "OK again\n"),
    reason: "OK",
};

const ERRORS: Fault = Fault {
    check: PAGE,
    bound: REFUSED,
    strikes: |stage| stage.webs[0].put("status", "500"),
    mends: |stage| stage.webs[0].remove("status"),
    reason: "500",
};

const EXPIRED: Fault = Fault {
    check: "kind = \"https\"\nport = 443\npath = \"/health\"\nmin_days = 1",
    bound: REFUSED,
    strikes: |stage| stage.webs[0].certificate(-1),
    mends: |stage| stage.webs[0].certificate(30),
    reason: "expired",
};

const SLOW: Fault = Fault {
    check: PAGE,
    bound: SILENT,
    strikes: |stage| stage.webs[0].put("delay", "1.5"),
    mends: |stage| stage.webs[0].remove("delay"),
    reason: "no answer",
};

/// Nobody answers for its address any more.
const UNPLUGGED: Fault = Fault {
    check: "kind = \"icmp\"",
    bound: SILENT,
    strikes: |stage| link(stage, "down"),
    mends: |stage| link(stage, "up"),
    reason: "",
};

fn is_found_and_mended(stage: &Stage, fault: &Fault) {
    let name = std::thread::current().name().unwrap_or_default().replace("::", "-");
    let _captures =
        [stage.director(), stage.server(0)].map(|node| Capture::start(node, &format!("{name}-{node}")));
    let engine = stage.balance("rr", fault.check, "");
    stage.under_load(|load| {
        let both = || load.answers(Duration::from_millis(600)).iter().all(|count| *count > 0).then_some(());
        wait_for("both to answer", PATIENCE, both).unwrap();

        (fault.strikes)(stage);
        let took = stage.wait_for(&engine, 0, false);
        assert!(took <= fault.bound + SLACK, "found after {took:?}, bound {:?}", fault.bound);
        let hard = Instant::now();
        let at_hard = stage.met(0);
        let moved = load.answers(Duration::from_secs(1));
        // By now its connections have been ended; the last packets of one may have come in the meantime.
        let ended = stage.met(0);
        let still = load.answers(Duration::from_millis(500));
        let later = stage.met(0);
        assert_eq!(later.begun, at_hard.begun, "connections were begun with the dead");
        assert_eq!(later.packets, ended.packets, "packets were sent to the dead");
        assert_eq!((moved[0], still[0]), (0, 0), "the dead has answered: {moved:?} {still:?}");
        let moves = || (load.answers(Duration::from_millis(500))[1] > 5).then_some(());
        wait_for("the other server to answer", PATIENCE, moves).unwrap();
        assert!(stage.has(&engine, 1), "the other server is gone too");
        let log = engine.log();
        assert!(
            log.lines().any(|line| line.contains(&format!("{}:80", stage.address(0)))
                && line.contains("down")
                && line.contains(fault.reason)),
            "the log says nothing of {:?}: {log}",
            fault.reason
        );

        (fault.mends)(stage);
        let took = stage.wait_for(&engine, 0, true);
        assert!(took <= BACK + SLACK, "back after {took:?}, bound {BACK:?}");
        // One that was unplugged may itself take a second until it knows its gateway again: who waits for it is not lost.
        let both = || load.answers(Duration::from_secs(1)).iter().all(|count| *count > 10).then_some(());
        wait_for("both to answer again", PATIENCE, both).unwrap();
        let since = load.since(hard);
        assert!(since.iter().all(|request| request.answer.is_ok()), "{since:?}");
    });
    engine.stop();
}

macro_rules! faults {
    ($($name:ident: $stage:ident, $fault:ident;)*) => {
        $(#[test]
        fn $name() {
            is_found_and_mended(&Stage::$stage(), &$fault);
        })*
    };
}

faults! {
    a_server_that_was_killed: nat, KILLED;
    a_server_that_was_stopped: nat, STOPPED;
    a_server_behind_a_firewall_that_drops: nat, FIREWALLED;
    a_server_whose_port_is_closed: nat, CLOSED;
    a_server_whose_page_was_deleted: nat, PAGE_DELETED;
    a_server_with_another_page: nat, WRONG_KEYWORD;
    a_server_that_answers_500: nat, ERRORS;
    a_server_whose_certificate_has_expired: nat, EXPIRED;
    a_server_that_is_slow: nat, SLOW;
    a_server_that_was_unplugged: nat, UNPLUGGED;
    a_direct_server_that_was_killed: direct, KILLED;
    a_direct_server_that_was_stopped: direct, STOPPED;
    a_direct_server_behind_a_firewall_that_drops: direct, FIREWALLED;
    a_direct_server_that_answers_500: direct, ERRORS;
    a_direct_server_that_was_unplugged: direct, UNPLUGGED;
}
