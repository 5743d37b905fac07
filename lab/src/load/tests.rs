use super::*;
use crate::serve::Http;

fn local() -> SocketAddr {
    "127.0.0.1:80".parse().unwrap()
}

fn load(mode: Mode) -> (Report, Http) {
    let node = Node::new("n").unwrap();
    let http = Http::start(&node, 80).unwrap();
    let spec = LoadSpec { target: local(), mode, duration: Duration::from_millis(300) };
    let report = run(&node, &spec).unwrap();
    assert_eq!(report.errors, 0, "{report:?}");
    assert!((0.3..2.0).contains(&report.seconds), "{report:?}");
    (report, http)
}

#[test]
fn keep_alive_counts_what_the_server_counts() {
    let (report, http) = load(Mode::KeepAlive { concurrency: 8 });
    assert_eq!((report.connections, http.counters().connections()), (8, 8));
    let served = http.counters().requests();
    assert!(report.requests > 100 && (report.requests..=report.requests + 8).contains(&served), "{report:?}");
    assert!(report.latency.p50 > 0 && report.latency.p50 <= report.latency.p99, "{report:?}");
}

#[test]
fn new_connections_are_one_for_each_request() {
    let (report, http) = load(Mode::NewConn { concurrency: 8 });
    assert!(report.requests > 50, "{report:?}");
    assert_eq!(report.connections, report.requests);
    let accepted = http.counters().connections();
    assert!((report.connections..=report.connections + 8).contains(&accepted), "{accepted} {report:?}");
}

#[test]
fn bulk_goes_both_ways() {
    for direction in [Direction::Download, Direction::Upload] {
        let (report, http) = load(Mode::Bulk { streams: 3, direction });
        assert_eq!(report.connections, 3);
        assert!(report.bytes > 10_000_000, "{report:?}");
        let counters = http.counters();
        assert!(counters.sent().max(counters.received()) >= report.bytes / 2);
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_and_no_storm() {
    let node = Node::new("n").unwrap();
    let mode = Mode::NewConn { concurrency: 4 };
    let report =
        run(&node, &LoadSpec { target: local(), mode, duration: Duration::from_millis(200) }).unwrap();
    assert_eq!(report.requests, 0);
    assert!((4..=4 * 21).contains(&report.errors), "{report:?}");
}
