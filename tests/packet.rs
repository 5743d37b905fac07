//! The packet port: what is for services comes straight from the devices and leaves by them, whole, and the host's stack
//! says nothing to it. What is only for this port is here; that all else works with it as with the TUN port show the
//! other tests, with `ULVS_PORT=packet`.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::node::Node;
use lab::serve::{Http, UdpEcho};
use lab::snapshot::Snapshot;
use lab::topo::{NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;

use crate::support::guest::Guest;
use crate::support::{Engine, PATIENCE, printed, udp, ulvs};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// With a service of each family on port 80 and one on port 4000, the VIP nobody's address and the director's.
/// The servers are the same for both families: a process that another test is starting may have their sockets for a moment
/// longer than they do.
fn everywhere<S>(serve: impl Fn(&Node) -> anyhow::Result<S>, test: impl Fn(&NatLab, &Engine<'_>, Family)) {
    for vip in [VipPlace::Routed, VipPlace::Loopback, VipPlace::Interface] {
        let lab = NatLab::new(&NatOptions { vip, ..NatOptions::default() }).unwrap();
        let engine = start(&lab);
        let _servers: Vec<_> = lab.servers.iter().map(|server| serve(server).unwrap()).collect();
        for family in FAMILIES {
            test(&lab, &engine, family);
        }
    }
}

fn start(lab: &NatLab) -> Engine<'_> {
    start_with(lab, &["--port", "packet"])
}

fn start_with<'a>(lab: &'a NatLab, args: &[&str]) -> Engine<'a> {
    let engine = Engine::start(lab, args);
    for family in FAMILIES {
        for (proto, l4_port) in [("tcp", 80), ("udp", 4000)] {
            let dests = [0, 1].map(|server| (lab.server_port(server, family, l4_port), 1));
            engine.service(proto, lab.vip.port(family, l4_port), "rr", &dests);
        }
    }
    engine
}

#[test]
fn curl_gets_its_page_over_either_family() {
    everywhere(
        |server| Http::start(server, 80),
        |lab, engine, family| {
            let url = format!("http://{}/", lab.vip.port(family, 80));
            let before = engine.status().counter("received");
            for _ in 0..4 {
                let page = lab.client.exec(&["curl", "-sS", "--max-time", "10", &url]).unwrap();
                assert!(page.contains("server"), "{page:?}");
            }
            let status = engine.status();
            assert!(status.counter("received") >= before + 4 * 8, "it went elsewhere");
            assert_eq!(status.drops(), [].into());
        },
    );
}

#[test]
fn bulk_goes_in_super_packets_past_the_tun_device() {
    const BYTES: u64 = 64 << 20;
    let lab = NatLab::new(&NatOptions { servers: 2, ..NatOptions::default() }).unwrap();
    let _servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let engine = start(&lab);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        // Neighbours are found out by the way that the host's stack goes; both servers get a turn.
        let known = || {
            let before = tun(&lab);
            (0..2).for_each(|_| _ = client::get(&lab.client, vip, "/").unwrap());
            (tun(&lab) == before).then_some(())
        };
        wait_for("every neighbour to be known", PATIENCE, known).unwrap();
        let (before, by_tun) = (engine.status(), tun(&lab));
        client::download(&lab.client, vip, BYTES, |_| {}).unwrap();
        client::upload(&lab.client, vip, BYTES, |_| {}).unwrap();
        let after = engine.status();
        let more = |name| after.counter(name) - before.counter(name);
        assert!(more("super-packets") > 2 * BYTES / 65_536, "{} super-packets", more("super-packets"));
        // Each carries a good part of what one can.
        assert!(more("received") < 2 * BYTES / 4000, "{} packets", more("received"));
        // The host says a word on each of its devices now and then.
        let by_tun = tun(&lab) - by_tun;
        assert!(by_tun < 10, "{by_tun} packets went by the TUN device");
        assert_eq!((after.counter("unsent"), after.drops()), (0, [].into()));
    }
}

/// Packets that the TUN device has carried, both ways.
fn tun(lab: &NatLab) -> u64 {
    let text = lab.director.exec(&["cat", "/proc/thread-self/net/dev"]).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("ulvs0:")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers[1] + numbers[9]
}

#[test]
fn each_datagram_is_answered_once() {
    const DATAGRAMS: u32 = 500;
    everywhere(
        |server| UdpEcho::start(server, 4000),
        |lab, engine, family| {
            let client = udp::connected(&lab.client, lab.vip.port(family, 4000));
            for n in 0..DATAGRAMS {
                client.send(&n.to_be_bytes()).unwrap();
                let (answer, _) = udp::receive(&client);
                assert!(answer.ends_with(&n.to_be_bytes()), "{n}: {answer:?}");
            }
            assert_eq!(silence(&client), ErrorKind::WouldBlock, "an answer came twice");
            // What is no service's is the host's or refused, as ever, and once as well.
            let closed = udp::connected(&lab.client, lab.vip.port(family, 4001));
            closed.send(b"anybody?").unwrap();
            assert_eq!(udp::next_error(&closed).kind(), ErrorKind::ConnectionRefused);
            assert_eq!(silence(&closed), ErrorKind::WouldBlock);
            assert_eq!(engine.status().drops(), [].into());
        },
    );
}

fn silence(socket: &UdpSocket) -> ErrorKind {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket.recv(&mut [0; 2048]).unwrap_err().kind()
}

#[test]
fn what_is_said_here_leaves_by_the_devices() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let _servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let engine = start(&lab);
    for family in FAMILIES {
        let (web, echo) = (lab.vip.port(family, 80), lab.vip.port(family, 4000));
        for server in [0, 1] {
            engine.ulvs(&format!("ipvsadm -d -u {echo} -r {}", lab.server_port(server, family, 4000)));
        }
        // Neighbours are found out by the way that the host's stack goes.
        client::get(&lab.client, web, "/").unwrap();
        client::get(&lab.client, web, "/").unwrap();
        let by_tun = tun(&lab);
        // An ICMP error, and one reset for each end.
        let nobody = udp::connected(&lab.client, echo);
        nobody.send(b"anybody?").unwrap();
        assert_eq!(udp::next_error(&nobody).kind(), ErrorKind::ConnectionRefused);
        let resets = engine.status().counter("resets-sent");
        let mut connections = [0, 1].map(|_| client::connect(&lab.client, web).unwrap());
        for server in [0, 1] {
            engine.ulvs(&format!("ipvsadm -d -t {web} -r {}", lab.server_port(server, family, 80)));
        }
        for stream in &mut connections {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(engine.status().counter("resets-sent"), resets + 4);
        // The host says a word on each of its devices now and then.
        let by_tun = tun(&lab) - by_tun;
        assert!(by_tun < 4, "{by_tun} packets went by the TUN device");
    }
    assert_eq!(engine.status().counter("unsent"), 0);
}

#[test]
fn a_port_with_nothing_to_do_takes_no_time() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = start(&lab);
    let _servers: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, 4000).unwrap()).collect();
    let client = udp::connected(&lab.client, lab.vip.port(Family::V4, 4000));
    client.send(b"first").unwrap();
    udp::receive(&client);
    let path = format!("/proc/{}/task", engine.status().pid);
    // Of the workers: others look at the host now and then.
    let ran = || {
        let tasks = fs::read_dir(&path).unwrap().map(|task| task.unwrap().path());
        let workers =
            tasks.filter(|task| fs::read_to_string(task.join("comm")).unwrap().starts_with("worker-"));
        let times = workers.map(|task| fs::read_to_string(task.join("schedstat")).unwrap());
        times.map(|time| time.split_whitespace().next().unwrap().parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    // Whatever they had to end for the first packet.
    thread::sleep(Duration::from_millis(300));
    let before = ran();
    thread::sleep(Duration::from_secs(2));
    let after = ran();
    assert!(!before.is_empty() && before.len() == after.len());
    let nanos: u64 = after.iter().sum::<u64>() - before.iter().sum::<u64>();
    assert!(nanos < 2_000_000, "workers ran {nanos} ns of two seconds");
}

#[test]
fn the_host_is_as_it_was_after_a_stop_and_after_a_kill() {
    let lab = NatLab::new(&NatOptions { vip: VipPlace::Loopback, ..NatOptions::default() }).unwrap();
    let before = Snapshot::take(&lab.director).unwrap();
    let engine = start(&lab);
    let tables = || lab.director.exec(&["nft", "list", "tables"]).unwrap();
    assert!(tables().contains("table netdev ulvs"));
    engine.stop();
    assert_eq!(before.diff(&Snapshot::take(&lab.director).unwrap()), [""; 0]);

    let engine = start(&lab);
    engine.signal("KILL");
    // Nobody takes what the table would drop: it ends with the process.
    let gone = || (!tables().contains("netdev")).then_some(());
    wait_for("the table to go", PATIENCE, gone).unwrap();
    let output = ulvs(&lab.director, &["clean"]);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(before.diff(&Snapshot::take(&lab.director).unwrap()), [""; 0]);
}

#[test]
fn devices_are_those_that_are_named_or_all_and_come_and_go() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let port = |engine: &Engine<'_>| {
        let text = engine.ulvs("status");
        text.lines().find_map(|line| line.strip_prefix("port")).unwrap().trim().to_owned()
    };
    let engine = Engine::start(&lab, &["--port", "tun"]);
    assert_eq!(port(&engine), "tun");
    engine.stop();
    let engine = Engine::start(&lab, &["--port", "packet", "--dev", "to-client", "--dev", "later0"]);
    assert_eq!(port(&engine), "packet, on to-client, not on later0");
    assert!(engine.log().contains("the packet port is not on later0"), "{}", engine.log());
    engine.stop();
    let engine = start(&lab);
    assert_eq!(port(&engine), "packet, on to-client, to-servers");
    for line in [
        "ip link add later0 type veth peer name later1",
        "ip link set later1 up",
        "ip link set later0 up",
        "ip addr add 192.0.2.1/24 dev later0",
    ] {
        lab.director.exec(&line.split(' ').collect::<Vec<_>>()).unwrap();
    }
    let on = |what: &'static str| {
        let there = || (port(&engine).contains("later0") == what.starts_with("come")).then_some(());
        wait_for(what, PATIENCE, there).unwrap();
    };
    on("come later0");
    lab.director.exec(&["ip", "link", "del", "later0"]).unwrap();
    on("gone later0");
}

#[test]
fn a_ring_that_a_guest_has_stopped_is_left_for_the_tun_device() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let _servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let engine = start_with(&lab, &["--port", "packet", "--workers", "1"]);
    let vip = lab.vip.port(Family::V4, 80);
    let port = || engine.ulvs("status").lines().find(|line| line.starts_with("port")).unwrap().to_owned();
    let mut guest = Guest::start(&lab.director, vip.ip());
    wait_for("the guest's device", PATIENCE, || port().contains(Guest::DEVICE).then_some(())).unwrap();
    client::download(&lab.client, vip, 1 << 20, |_| {}).unwrap();
    guest.send();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                let _ = client::download(&lab.client, vip, 1 << 20, |_| {});
            }
        });
        let left = wait_for("the packet port to be left", PATIENCE, || port().ends_with("tun").then_some(()));
        over.store(true, Relaxed);
        left.unwrap();
    });
    assert!(engine.log().contains("the packet port is left"), "{}", engine.log());
    assert!(engine.status().counter("lost") > 0);
    client::download(&lab.client, vip, 16 << 20, |_| {}).unwrap();
    engine.stop();
}

/// They take memory, and see every packet.
#[test]
fn rings_are_there_only_where_they_are_asked_for() {
    for (port, there) in [("tun", false), ("packet", true)] {
        let lab = NatLab::new(&NatOptions::default()).unwrap();
        let engine = Engine::start(&lab, &["--port", port]);
        let sockets = lab.director.exec(&["cat", "/proc/thread-self/net/packet"]).unwrap();
        let all_packets = |line: &&str| line.split_whitespace().nth(3) == Some("0003");
        assert_eq!(sockets.lines().any(|line| all_packets(&line)), there, "{port}: {sockets}");
        engine.stop();
    }
}
