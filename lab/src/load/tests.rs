use super::*;
use crate::serve::{Http, Leaver, UdpEcho};

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

#[test]
fn what_is_paced_keeps_the_pace() {
    let (report, http) = load(Mode::Paced { concurrency: 4, per_s: 2000 });
    // A busy machine may be late at the end, and the first request of each connection is made at once.
    assert!((300..=600 + 4).contains(&report.requests), "{report:?}");
    assert_eq!(http.counters().connections(), 4);
    assert!(report.cpu > 0.0 && report.cpu < report.seconds, "{report:?}");
}

#[test]
fn a_late_answer_makes_those_behind_it_late() {
    // Nobody answers a hundred thousand requests in a second on one connection.
    let (report, _) = load(Mode::Paced { concurrency: 1, per_s: 10_000_000 });
    assert!(report.latency.p50 > 20_000, "{report:?}");
}

#[test]
fn only_what_comes_after_the_warm_up_counts() {
    let node = Node::new("n").unwrap();
    let http = Http::start(&node, 80).unwrap();
    let mode = Mode::KeepAlive { concurrency: 2 };
    let spec = LoadSpec { target: local(), mode, duration: Duration::from_millis(200) };
    let mut marks = Vec::new();
    let warm_up = Duration::from_millis(200);
    let report = measure(&node, &spec, warm_up, || marks.push(http.counters().requests())).unwrap();
    let [begun, ended] = marks[..] else { panic!("{marks:?}") };
    assert!(begun > 10, "{marks:?}");
    // Two are on their way at each of the two moments.
    assert!(report.requests.abs_diff(ended - begun) <= 4, "{marks:?} {report:?}");
    assert!(report.connections == 0 && report.seconds < 0.4, "{report:?}");
}

#[test]
fn datagrams_are_counted_when_they_come_back() {
    let node = Node::new("n").unwrap();
    let echo = UdpEcho::start(&node, 80).unwrap();
    let duration = Duration::from_millis(200);
    let spec = DatagramSpec { target: local(), sockets: 4, window: 4, payload: 18, duration };
    let report = measure_datagrams(&node, &spec, Duration::ZERO, || {}).unwrap();
    assert_eq!(report.errors, 0, "{report:?}");
    let served = echo.counters().requests();
    assert!(
        report.requests > 100 && (report.requests..=report.requests + 16).contains(&served),
        "{report:?}"
    );
    assert_eq!(report.bytes, report.requests * 18);

    drop(echo);
    let report = measure_datagrams(&node, &spec, Duration::ZERO, || {}).unwrap();
    assert!(report.requests == 0 && report.errors >= 16, "{report:?}");
}

#[test]
fn idle_connections_leave_nothing_at_their_ends_and_no_word_between() {
    let node = Node::new("n").unwrap();
    let leaver = Leaver::start(&node, 81).unwrap();
    let target = SocketAddr::new(local().ip(), 81);
    let packets = || {
        let snmp = node.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap().unwrap();
        let values = snmp.lines().filter(|line| line.starts_with("Tcp: ")).nth(1).unwrap().to_owned();
        values.split(' ').nth(11).unwrap().parse::<u64>().unwrap()
    };
    let before = packets();
    let from = ["127.0.0.2", "127.0.0.3"].map(|addr| addr.parse().unwrap());
    let taken = || leaver.counters().connections();
    assert_eq!(leave_idle(&node, target, &from, 10_100, taken).unwrap(), 10_100);
    // A handshake has three.
    assert_eq!(packets() - before, 3 * 10_100);
    let sockets = node.run(|| std::fs::read_to_string("/proc/thread-self/net/sockstat")).unwrap().unwrap();
    let tcp = sockets.lines().find(|line| line.starts_with("TCP: ")).unwrap().to_owned();
    // The listener is of the other family.
    assert!(tcp.starts_with("TCP: inuse 0 "), "{tcp}");
    let error = leave_idle(&node, target, &from[..1], 10_001, taken).unwrap_err();
    assert!(error.to_string().contains("need more than 1 addresses"), "{error}");
}
