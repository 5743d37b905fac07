//! Two thousand servers that die at once, and come back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use super::events::Events;
use super::stage::Stop;
use crate::support::{Engine, PATIENCE};

const CROWD: u32 = 2_000;
/// All of them are the first server's.
const NETWORK: &str = "10.5.0.0/20";
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(500);
const FALL: u32 = 2;
/// A question comes a twentieth later at times.
const JITTER: f64 = 1.05;
/// How much longer a debug build takes over so many, on a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(5);
/// The longest that a client of somebody else waits.
const PROMPT: Duration = Duration::from_secs(3);

fn member(index: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a05_0001 + index), 80).into()
}

/// A service of them all, and one of the other server, whom nobody asks.
fn config(lab: &NatLab) -> String {
    let vip = lab.vip.of(Family::V4);
    let service =
        |port| format!("[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n");
    let check =
        "[[service.check]]\nkind = \"tcp\"\ninterval = \"1s\"\ntimeout = \"500ms\"\nfall = 2\nrise = 1\n";
    let crowd = (0..CROWD).map(|index| format!("[[service.server]]\naddress = \"{}\"\n", member(index)));
    let other = lab.server_port(1, Family::V4, 81);
    let crowd: String = crowd.collect();
    format!("{}{check}{crowd}{}[[service.server]]\naddress = \"{other}\"\n", service(80), service(81))
}

/// Descriptors that a process has open.
fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn two_thousand_that_die_at_once_are_found_in_time_and_nobody_else_notices() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let (crowd, other) = (&lab.servers[0], &lab.servers[1]);
    crowd.exec(&["ip", "route", "add", "local", NETWORK, "dev", "lo"]).unwrap();
    lab.director.route_add(NETWORK.parse().unwrap(), lab.server_addrs[0].v4).unwrap();
    let (_crowd, _other) = (Http::start(crowd, 80).unwrap(), Http::start(other, 81).unwrap());
    let path = lab.state_dir().join("ulvs.toml");
    std::fs::write(&path, config(&lab)).unwrap();
    let engine = Engine::start(&lab, &["--config", path.to_str().unwrap()]);
    let vip = |port| lab.vip.port(Family::V4, port);
    let service = format!("tcp/{}", vip(80));
    let events = Events::listen(&lab.director, lab.state_dir(), &engine, &service, &member(0).to_string());
    let count = |kind| events.of_servers(kind);
    let pid = engine.status().pid;

    let (over, slowest) = (AtomicBool::new(false), Mutex::new(Duration::ZERO));
    let ask = || {
        while !over.load(Relaxed) {
            let began = Instant::now();
            assert_eq!(client::get(&lab.client, vip(81), "/").unwrap().body, "server2\n");
            let mut slowest = slowest.lock().unwrap();
            *slowest = slowest.max(began.elapsed());
            drop(slowest);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let _stop = Stop(&over);
        std::thread::sleep(INTERVAL);
        let before = descriptors(pid);

        // Nothing comes back.
        let rules = format!(
            "add table ip fault; add chain ip fault incoming {{ type filter hook input priority 0; }}; \
             add rule ip fault incoming ip daddr {NETWORK} drop"
        );
        crowd.exec(&["nft", &rules]).unwrap();
        let struck = Instant::now();
        let mut most = 0;
        let all_down = || {
            most = most.max(descriptors(pid));
            (count("down") == CROWD as usize).then(|| struck.elapsed())
        };
        let took = wait_for("all to be down", PATIENCE, all_down);
        let took = took.unwrap_or_else(|error| panic!("{error}: {} are", count("down")));
        let bound = INTERVAL.mul_f64(JITTER) * FALL + TIMEOUT;
        assert!(took <= bound + SLACK, "found after {took:?}, bound {bound:?}");
        assert_eq!(engine.ulvs("ipvsadm -Ln").matches("-> 10.5.").count(), 0);
        assert!(count("soft-down") >= CROWD as usize, "{}", count("soft-down"));
        // As many questions were out as it takes: half of them at any time.
        assert!(most > CROWD as usize / 4, "{most} descriptors at the most");

        crowd.exec(&["nft", "delete table ip fault"]).unwrap();
        let mended = Instant::now();
        let all_up = || (count("up") == CROWD as usize).then(|| mended.elapsed());
        let took = wait_for("all to be back", PATIENCE, all_up);
        let took = took.unwrap_or_else(|error| panic!("{error}: {} are", count("up")));
        let bound = INTERVAL.mul_f64(JITTER) + TIMEOUT;
        assert!(took <= bound + SLACK, "back after {took:?}, bound {bound:?}");
        assert_eq!(engine.ulvs("ipvsadm -Ln").matches("-> 10.5.").count(), CROWD as usize);
        assert_eq!(client::get(&lab.client, vip(80), "/").unwrap().body, "server1\n");
        assert_eq!((count("down"), count("up")), (CROWD as usize, CROWD as usize), "each once");

        let few = || (descriptors(pid) < before + 100).then_some(());
        wait_for("descriptors to be given back", PATIENCE, few).unwrap();
        over.store(true, Relaxed);
        asking.join().unwrap();
    });
    let slowest = slowest.into_inner().unwrap();
    assert!(slowest < PROMPT, "somebody else's client waited for {slowest:?}");
    let log = engine.log();
    assert!(!log.contains("was not asked") && !log.contains("too many files"), "{log}");
    engine.stop();
}
