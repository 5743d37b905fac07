//! Against the real kernel, in namespaces of the tests' own. Needs root and `ip`.

mod changes;
mod unprivileged;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};

use self::world::*;
use super::*;
use crate::poll::{Waker, wait};

/// Until a device has sent them, super-packets count.
#[test]
fn a_burst_has_room_in_the_socket() {
    let socket = LinkSocket::open().unwrap();
    let room = getsockopt(&socket.socket, sockopt::SndBuf).unwrap();
    assert!(room >= 16 << 20, "{room}");
}

#[test]
fn a_packet_leaves_by_its_route_to_its_neighbour() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        for (to, device, far, mtu) in [
            // On the link, behind a router, behind another one, a route with an MTU of its own.
            ("10.1.0.2", "wa", &world.a, 1500),
            ("10.2.0.2", "wb", &world.b, 1400),
            ("192.0.2.9", "wa", &world.a, 1500),
            ("198.51.100.9", "wb", &world.b, 1400),
            ("203.0.113.9", "wa", &world.a, 1300),
            ("fd00:1::2", "wa", &world.a, 1500),
            ("fd00:2::2", "wb", &world.b, 1400),
            ("2001:db8::9", "wb", &world.b, 1400),
            ("2001:db8:1::9", "wa", &world.a, 1290),
            // By a router of the other family.
            ("198.18.0.9", "wa", &world.a, 1500),
        ] {
            let want = Way { device: index(device), header: world.header(device, far), mtu };
            eventually(to, || ways.way(&packet(SOURCE, to)) == Some(want));
        }
    });
}

#[test]
fn the_kernel_has_what_is_not_for_one_other_host() {
    World::new().on_director(|world| {
        sh("ip route add blackhole 10.66.0.0/24; ip route add unreachable 10.66.1.0/24
            ip route add prohibit 10.66.2.0/24; ip route add throw 10.66.3.0/24
            ip route add local 10.66.4.0/24 dev lo; ip route add 10.66.5.0/24 dev in0
            ip -6 route add blackhole fd66::/64; ip -6 route add unreachable fd66:0:0:1::/64
            ip -6 route add local fd66:0:0:4::/64 dev lo; ip -6 route add fd66:0:0:5::/64 dev in0
            ip route del default; ip -6 route del default");
        let ways = &mut world.ways();
        for to in [
            "10.66.0.1",
            "10.66.1.1",
            "10.66.2.1",
            "10.66.3.1",
            "10.66.4.1",
            "10.66.5.1",
            "10.1.0.1",
            "10.1.0.255",
            "127.0.0.1",
            "224.0.0.5",
            "255.255.255.255",
            "0.0.0.0",
            "8.8.8.8",
            "fd66::1",
            "fd66:0:0:1::1",
            "fd66:0:0:4::1",
            "fd66:0:0:5::1",
            "fd00:1::1",
            "::1",
            "::",
            "ff02::1",
            "ff0e::1",
            "2600::1",
            "fe80::1",
        ] {
            assert_eq!(ways.way(&packet(SOURCE, to)), None, "{to}");
        }
        for nothing in [&[][..], &[0x45], &[0x60; 39], &[0x45; 19], &[0; 40]] {
            assert_eq!(ways.way(nothing), None);
        }
        eventually("the others have their ways", || ways.way(&packet(SOURCE, "10.1.0.2")).is_some());
    });
}

#[test]
fn a_neighbour_that_does_not_answer_has_no_way_and_is_asked_again_when_needed() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let missing = packet(SOURCE, "10.1.0.77");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            assert_eq!(ways.way(&missing), None);
            std::thread::sleep(Duration::from_millis(20));
        }
        let state = sh("ip neigh show 10.1.0.77");
        assert!(state.contains("INCOMPLETE") || state.contains("FAILED"), "{state}");
        world.a.run(|| sh("ip addr add 10.1.0.77/24 dev e0")).unwrap();
        let header = world.header("wa", &world.a);
        eventually("it is there", || ways.way(&missing).map(|way| way.header) == Some(header));
    });
}

#[test]
fn who_waits_for_a_neighbour_is_woken() {
    World::new().on_director(|world| {
        let worker = Waker::new().unwrap();
        let keeper = Keeper::start(None, vec![worker.clone()]).unwrap();
        let mut ways = keeper.ways().unwrap();
        let never = std::os::unix::net::UnixStream::pair().unwrap();
        for (device, far, ip) in
            [("wa", &world.a, "10.1.0.2"), ("wb", &world.b, "10.2.0.2"), ("wb", &world.b, "fd00:2::2")]
        {
            let hop = (index(device), ip.parse().unwrap());
            // The kernel may know it already, but nobody has asked yet.
            assert_eq!(ways.neighbour(hop), None, "{ip}");
            assert!(wait(&never.0, None, &worker, Some(PATIENCE)).unwrap().woken, "{ip}");
            assert_eq!(ways.neighbour(hop), Some(world.header(device, far)));
        }
        // One that needs no header, one that is none.
        assert_eq!(ways.neighbour((index("in0"), "10.9.9.9".parse().unwrap())), Some(LinkHeader::None));
        assert_eq!(ways.neighbour((index("lo"), "127.0.0.1".parse().unwrap())), None);
        assert_eq!(ways.neighbour((9999, "10.9.9.9".parse().unwrap())), None);
    });
}

#[test]
fn neighbours_that_are_kept_are_known_before_anybody_sends() {
    World::new().on_director(|world| {
        let keeper = Keeper::start(None, Vec::new()).unwrap();
        let hop = (index("wa"), "10.1.0.2".parse().unwrap());
        keeper.keep(&BTreeSet::from([hop]));
        eventually("resolved", || sh("ip neigh show 10.1.0.2").contains("lladdr"));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(keeper.ways().unwrap().neighbour(hop), Some(world.header("wa", &world.a)));
    });
}

#[test]
fn what_somebody_has_fixed_stays_so() {
    World::new().on_director(|world| {
        let fixed = LinkHeader::Ethernet(match world.header("wa", &world.a) {
            LinkHeader::Ethernet([.., a, b, c, d, e, f]) => [2, 0, 0, 0, 0, 7, a, b, c, d, e, f],
            LinkHeader::Tagged(_) | LinkHeader::None => unreachable!("a veth has headers and no tags"),
        });
        sh("ip neigh add 10.1.0.77 lladdr 02:00:00:00:00:07 dev wa; ip neigh add fd00:1::77 lladdr 02:00:00:00:00:07 dev wa");
        let ways = &mut world.ways();
        let start = Instant::now();
        // Longer than it takes to be used in the kernel's eyes.
        while start.elapsed() < Duration::from_secs(6) {
            for to in ["10.1.0.77", "fd00:1::77"] {
                eventually(to, || ways.way(&packet(SOURCE, to)).map(|way| way.header) == Some(fixed));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(sh("ip neigh").matches("02:00:00:00:00:07 PERMANENT").count(), 2);
    });
}

#[test]
fn many_clients_on_the_link_are_neighbours_each() {
    World::new().on_director(|world| {
        world.a.run(|| sh("ip route add local 10.1.4.0/22 dev lo")).unwrap();
        sh("ip route add 10.1.4.0/22 dev wa");
        let ways = &mut world.ways();
        let header = world.header("wa", &world.a);
        let clients: Vec<_> =
            (0..400).map(|n| packet(SOURCE, &format!("10.1.{}.{}", 4 + n / 200, n % 200))).collect();
        for client in &clients {
            eventually("a client", || ways.way(client).map(|way| way.header) == Some(header));
        }
        let known = clients.iter().filter(|client| ways.way(client).is_some()).count();
        assert_eq!(known, clients.len(), "all at once");
    });
}

#[test]
fn a_packet_that_has_to_wait_says_for_whom_and_whoever_cannot_leave_does_not_wait() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let want = Way { device: index("wa"), header: world.header("wa", &world.a), mtu: 1500 };
        let known = packet(SOURCE, "10.1.0.2");
        eventually("a way", || ways.onward(&known) == Onward::Now(want));
        // Nobody, on a link whose packets are shorter.
        let nobody = (index("wb"), "10.2.0.77".parse().unwrap());
        assert_eq!(ways.onward(&packet(SOURCE, "10.2.0.77")), Onward::Later(nobody, 1400));
        assert_eq!(ways.neighbour(nobody), None);
        for own in ["10.1.0.1", "127.0.0.1", "224.0.0.5"] {
            assert_eq!(ways.onward(&packet(SOURCE, own)), Onward::Never, "{own}");
        }
    });
}

#[test]
fn who_knows_an_address_from_elsewhere_is_told_of_the_new_place_twice() {
    World::new().on_director(|world| {
        let elsewhere = "for ip in 10.1.0.99 fd00:1::99; do
                           ip neigh replace $ip lladdr 02:00:00:00:00:55 nud stale dev e0
                         done";
        let here = lladdr(world.header("wa", &world.a));
        let told = || world.a.run(|| sh("ip neigh")).unwrap().matches(&here).count();
        let mut announcer = Announcer::default();
        let places: Vec<_> =
            ["10.1.0.99", "fd00:1::99"].map(|ip| (index("wa"), ip.parse().unwrap())).into_iter().collect();
        world.a.run(|| sh(elsewhere)).unwrap();
        let before = told();
        announcer.announce(&places);
        eventually("told", || told() == before + 2);
        // The kernel takes no news that come within a second of others.
        std::thread::sleep(Duration::from_millis(2100));
        world.a.run(|| sh(elsewhere)).unwrap();
        announcer.repeat(|(_, ip)| ip.is_ipv6());
        eventually("told again", || told() == before + 1);
        world.a.run(|| sh(elsewhere)).unwrap();
        announcer.repeat(|_| true);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(told(), before, "not a third time");
        // Nobody to tell, and nothing that fails.
        let nowhere = ["lo", "in0"].map(|device| (index(device), "10.1.0.99".parse().unwrap()));
        announcer.announce(&nowhere);
        announcer.announce(&[(9999, "fd00:1::99".parse().unwrap())]);
    });
}
