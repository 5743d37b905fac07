//! What rings alone cannot do is said, and what changes while they run is followed at once.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client;
use lab::node::Node;
use lab::serve::Http;
use lab::topo::{Confinement, ContainerLab, NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;

use super::{Alone, servers, silent};
use crate::scene::{FAMILIES, refused};
use crate::support::complaints::Complaints;
use crate::support::guest::Guest;
use crate::support::{PATIENCE, binary, printed, udp};

/// How a connection ends that cannot begin.
fn connecting(node: &Node, to: SocketAddr) -> ErrorKind {
    node.run(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap_err().kind()).unwrap()
}

#[test]
fn silence_follows_services_that_come_and_go() {
    let lab = ContainerLab::new(None).unwrap();
    let _servers = servers(&lab.servers);
    let own = Http::start(&lab.container, 8000).unwrap();
    let alone = Alone::start(&lab.container, lab.state_dir(), &[]);
    for family in FAMILIES {
        let at = |port| SocketAddr::new(lab.container_addr.of(family), port);
        let ends = [lab.server_port(0, family, 80)];
        assert_eq!(connecting(&lab.client, at(80)), ErrorKind::ConnectionRefused, "nobody's yet");
        for _ in 0..3 {
            alone.serve(at(80), &ends, "--fullnat");
            let complaints = Complaints::of([&lab.client, &lab.servers[0]]);
            for _ in 0..3 {
                assert_eq!(client::get(&lab.client, at(80), "/").unwrap().body, "server1\n");
            }
            silent(complaints);
            alone.engine.ulvs(&format!("ipvsadm -D -t {}", at(80)));
            alone.engine.ulvs(&format!("ipvsadm -D -u {}", at(80)));
            assert_eq!(connecting(&lab.client, at(80)), ErrorKind::ConnectionRefused, "nobody's any more");
        }
        // What somebody else serves stays his.
        let taken = alone.engine.try_ulvs(&format!("ipvsadm -A -t {} -s rr", at(8000)));
        let text = printed(&taken);
        assert!(!taken.status.success() && text.contains("ss -anp"), "{text}");
        assert_eq!(client::get(&lab.client, at(8000), "/").unwrap().body, "container\n");
    }
    alone.end(&lab.container);
    drop(own);
}

#[test]
fn an_engine_whose_ring_a_guest_has_stopped_says_so_and_ends() {
    let lab = NatLab::new(&NatOptions { forwarding: false, ..NatOptions::default() }).unwrap();
    let _servers = servers(&lab.servers);
    let mut alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    let vip = lab.vip.port(Family::V4, 80);
    alone.serve(vip, &[lab.server_port(0, Family::V4, 80)], "-m");
    let mut guest = Guest::start(&lab.director, vip.ip());
    let seen = || alone.engine.ulvs("status").contains(Guest::DEVICE).then_some(());
    wait_for("the guest's device", PATIENCE, seen).unwrap();
    client::download(&lab.client, vip, 1 << 20, |_| {}).unwrap();
    guest.send();
    // That a ring has stopped is seen by what comes then: super-packets, as it is that of super-packets.
    let over = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                let _ = client::download(&lab.client, vip, 1 << 20, |_| {});
            }
        });
        let ended = wait_for("its end", 6 * PATIENCE, || alone.child.try_wait().unwrap());
        over.store(true, Relaxed);
        ended
    });
    assert_eq!(ended.unwrap().code(), Some(1), "{}", alone.engine.log());
    assert!(alone.engine.log().contains("receives nothing any more"), "{}", alone.engine.log());
}

#[test]
fn clients_on_the_host_itself_are_refused_and_told() {
    let lab = ContainerLab::new(None).unwrap();
    let alone = Alone::start(&lab.container, lab.state_dir(), &[]);
    for family in FAMILIES {
        let vip = SocketAddr::new(lab.container_addr.of(family), 80);
        alone.serve(vip, &[lab.server_port(0, family, 80)], "--fullnat");
        let began = Instant::now();
        assert_eq!(connecting(&lab.container, vip), ErrorKind::ConnectionRefused);
        assert!(began.elapsed() < Duration::from_secs(1), "it waited");
        let socket = udp::connected(&lab.container, vip);
        socket.send(b"anybody?").unwrap();
        assert_eq!(udp::next_error(&socket).kind(), ErrorKind::ConnectionRefused);
    }
    let status = alone.engine.ulvs("status");
    for words in [
        "packet, on eth0 alone",
        "/dev/net/tun is missing",
        "clients on this host itself are refused",
        "1024 ports to speak to each server from",
    ] {
        assert!(status.contains(words), "no {words:?} in {status}");
    }
    let json: serde_json::Value = serde_json::from_str(&alone.engine.ulvs("status --json")).unwrap();
    assert!(json["port_reason"].as_str().unwrap().contains("--device /dev/net/tun"), "{json:#}");
    alone.end(&lab.container);
}

/// A kernel that forwards would send packets on that are nobody's, and answers of servers as they are.
#[test]
fn what_a_forwarding_kernel_would_spoil_is_refused() {
    for (vip, servers_at, words) in [
        (VipPlace::Routed, None, "is nobody's address"),
        (VipPlace::Loopback, Some("-m"), "(NAT) answers clients by this host"),
    ] {
        let lab = NatLab::new(&NatOptions { vip, ..NatOptions::default() }).unwrap();
        let _servers = servers(&lab.servers);
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        for family in FAMILIES {
            let (vip, server) = (lab.vip.port(family, 80), lab.server_port(0, family, 80));
            let add = alone.engine.try_ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
            let refused = match servers_at {
                None => add,
                Some(method) => {
                    assert!(add.status.success(), "{}", printed(&add));
                    alone.engine.try_ulvs(&format!("ipvsadm -a -t {vip} -r {server} {method}"))
                }
            };
            let text = printed(&refused);
            assert!(!refused.status.success() && text.contains(words), "{text}");
            assert!(text.contains("--sysctl net.ip") && text.contains("=0`"), "{text}");
            if servers_at.is_some() {
                alone.engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} --fullnat"));
                assert_eq!(client::get(&lab.client, vip, "/").unwrap().body, "server1\n");
            }
        }
        alone.end(&lab.director);
    }
}

#[test]
fn a_vip_that_the_kernel_would_call_unreachable_is_refused() {
    let lab = NatLab::new(&NatOptions { forwarding: false, ..NatOptions::default() }).unwrap();
    let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    let add = alone.engine.try_ulvs(&format!("ipvsadm -A -t {} -s rr", lab.vip.port(FAMILIES[1], 80)));
    let text = printed(&add);
    assert!(!add.status.success() && text.contains("has no route to it"), "{text}");
    alone.end(&lab.director);
}

#[test]
fn an_address_that_comes_later_is_silent_and_one_that_goes_is_answered_for() {
    let lab = NatLab::new(&NatOptions { vip: VipPlace::Subnet, forwarding: false, ..NatOptions::default() })
        .unwrap();
    let _servers = servers(&lab.servers);
    let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    let complaints = Complaints::of([&lab.client]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        alone.serve(vip, &[lab.server_port(0, family, 80)], "-m");
        let works = |when| {
            let get =
                || client::get(&lab.client, vip, "/").ok().filter(|page| page.body == "server1\n").map(drop);
            wait_for(when, PATIENCE, get).unwrap();
        };
        let address = format!("{}/{}", vip.ip(), if vip.is_ipv4() { 32 } else { 128 });
        let ip = |what: &str| {
            let line = format!(
                "ip addr {what} {address} dev to-client{}",
                if what == "add" && vip.is_ipv6() { " nodad" } else { "" }
            );
            lab.director.exec(&line.split(' ').collect::<Vec<_>>()).unwrap();
        };
        works("a page of nobody's address");
        ip("add");
        works("a page of the director's address");
        ip("del");
        works("a page of nobody's address again");
    }
    silent(complaints);
    alone.end(&lab.director);
}

#[test]
fn where_nothing_works_everything_that_is_missing_is_named() {
    let lab = ContainerLab::new(None).unwrap();
    for (capabilities, tun, missing) in [
        (vec![], false, ["/dev/net/tun is missing", "--device /dev/net/tun"]),
        (vec![], true, ["needs CAP_NET_ADMIN", "--cap-add NET_ADMIN"]),
    ] {
        for port in ["auto", "packet"] {
            let confinement = Confinement { capabilities: capabilities.clone(), tun };
            let mut command = lab.confined(&confinement, &binary());
            command.args(["run", "--port", port]).stdin(Stdio::null());
            let line = refused(command);
            for words in missing.into_iter().chain(["CAP_NET_RAW", "docker run --cap-add NET_RAW"]) {
                assert!(line.contains(words), "no {words:?} in {line}");
            }
        }
    }
}

/// What the engine says in the network's name passes it like all else.
#[test]
fn what_is_said_of_a_packet_that_is_too_long_can_be_traced() {
    let options =
        NatOptions { client_mtu: 1400, forwarding: false, vip: VipPlace::Interface, ..NatOptions::default() };
    let lab = NatLab::new(&options).unwrap();
    let _servers = servers(&lab.servers);
    let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    let vip = lab.vip.port(Family::V4, 80);
    alone.serve(vip, &[lab.server_port(0, Family::V4, 80)], "-m");
    let mut command = lab.director.command(binary());
    command.args(["trace", "--json", "icmp"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut trace = lab.director.spawn(&mut command).unwrap();
    let lines = BufReader::new(trace.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let begun = wait_for("a ping that is traced", PATIENCE, || {
        let _ = client::ping(&lab.client, vip.ip(), 8, Duration::from_millis(200));
        told.try_recv().ok()
    });
    begun.unwrap();
    let answer = client::udp_exchange(&lab.client, vip, &[7; 1420], Duration::from_millis(500));
    assert!(answer.is_err(), "the first answer is too long");
    let is_note = |line: &String| line.contains("icmp type 3 code 4");
    wait_for("what is said of it", PATIENCE, || told.try_iter().find(is_note)).unwrap();
    alone.engine.ulvs("stop");
}
