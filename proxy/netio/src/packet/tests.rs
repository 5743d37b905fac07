//! Two hosts on one link, in network namespaces of the tests' own. One has [`OWN`], and the other's link address for
//! [`NOBODY`]'s. [`Mirror`] swaps the ends of what it gets there, so that it comes back to the first host's own sockets: a
//! checksum does not change by it, whether it is complete or partial.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use socket2::{Domain, Protocol, Socket, Type};
use wire::frame::{Checksum, GsoKind};

use super::*;
use support::*;

#[test]
fn tcp_passes_in_super_packets_both_ways() {
    for family in [0, 1] {
        let world = World::new();
        let mirror = world.mirror(1, SLOTS);
        world.near(|| exchange_tcp(family, 4 << 20));
        let seen = mirror.stop();
        let kind = [GsoKind::TcpV4, GsoKind::TcpV6][family];
        assert!(seen.iter().any(|s| s.offload.gso == kind && s.len > 20_000), "no super-packet");
        let mut data = seen.iter().filter(|s| s.len > 100);
        assert!(data.all(|s| s.offload.checksum != Checksum::Complete), "a finished checksum");
    }
}

/// A device that does not cut super-packets itself: some network cards, and most of emulated machines.
#[test]
fn super_packets_leave_by_devices_that_cannot_cut_them() {
    for family in [0, 1] {
        let world = World::new();
        world.far(|| {
            run("ethtool -K eth0 tso off");
            run("ethtool -K eth0 tx-udp-segmentation off");
        });
        let mirror = world.mirror(1, SLOTS);
        world.near(|| {
            exchange_tcp(family, 4 << 20);
            let (client, server) = (udp(OWN[family], 5001), udp(OWN[family], 5002));
            setsockopt(&client, UdpGsoSegment, &1000).unwrap();
            client.send_to(&pattern(2500), (ip(NOBODY[family]), 5002)).unwrap();
            let came = [1000, 1000, 500].map(|_| server.recv(&mut [0; 2000]).unwrap());
            assert_eq!(came, [1000, 1000, 500]);
        });
        assert!(mirror.stop().iter().any(|s| s.offload.gso != GsoKind::None), "no super-packet");
    }
}

#[test]
fn udp_super_packets_are_cut_into_datagrams_where_they_arrive() {
    for family in [0, 1] {
        let world = World::new();
        let mirror = world.mirror(1, SLOTS);
        world.near(|| {
            let (client, server) = (udp(OWN[family], 5001), udp(OWN[family], 5002));
            setsockopt(&client, UdpGsoSegment, &1000).unwrap();
            client.send_to(&pattern(2500), (ip(NOBODY[family]), 5002)).unwrap();
            let mut got = Vec::new();
            for expected in [1000, 1000, 500] {
                let mut buf = [0; 2000];
                let (len, from) = server.recv_from(&mut buf).unwrap();
                assert_eq!((len, from), (expected, (ip(NOBODY[family]), 5001).into()));
                got.extend_from_slice(&buf[..len]);
            }
            assert_eq!(got, pattern(2500));
        });
        let seen = mirror.stop();
        let [one] = seen[..] else { panic!("{} packets instead of one", seen.len()) };
        assert_eq!((one.offload.gso, one.offload.gso_size), (GsoKind::Udp, 1000));
    }
}

#[test]
fn flows_spread_over_the_ports_and_none_is_lost_or_seen_twice() {
    const FLOWS: u16 = 64;
    let world = World::new();
    let mirror = world.mirror(2, SLOTS);
    world.near(|| {
        let server = udp(OWN[0], 7000);
        for port in 0..FLOWS {
            udp(OWN[0], 8000 + port).send_to(b"x", (ip(NOBODY[0]), 7000)).unwrap();
            assert_eq!(server.recv_from(&mut [0; 8]).unwrap().1.port(), 8000 + port);
        }
        assert_eq!(silent(&server), ErrorKind::WouldBlock);
    });
    let seen = mirror.stop();
    let on_first = seen.iter().filter(|s| s.port == 0).count();
    assert_eq!(seen.len(), usize::from(FLOWS));
    assert!((1..usize::from(FLOWS)).contains(&on_first), "{on_first} of {FLOWS} on the first port");
}

#[test]
fn both_directions_of_a_connection_come_to_the_same_port() {
    let world = World::new();
    let mut ports = world.ports(2);
    let servers = ["10.99.0.5", "fd99::5"].map(ip);
    ports.set(&Scope { from: servers.into(), ..world.scope() });
    for (family, client) in [ip("10.1.0.7"), ip("fd01::7")].into_iter().enumerate() {
        let mut used = BTreeSet::new();
        for port in 2000..2032 {
            let client = SocketAddr::new(client, port);
            let there = ports.at(&world, client, SocketAddr::new(ip(NOBODY[family]), 80));
            let back = ports.at(&world, SocketAddr::new(servers[family], 8080), client);
            assert_eq!(there, back, "{client}");
            used.insert(there);
        }
        assert_eq!(used.len(), 2, "all clients on one port");
    }
    // Those of a server that is new, soon.
    let new = ip("10.99.0.6");
    ports.set(&Scope { from: servers.into_iter().chain([new]).collect(), ..world.scope() });
    let mut meet = || {
        (2000..2032).all(|port| {
            let client = SocketAddr::new(ip("10.1.0.7"), port);
            ports.at(&world, client, SocketAddr::new(ip(NOBODY[0]), 80))
                == ports.at(&world, SocketAddr::new(new, 8080), client)
        })
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !meet() {
        assert!(Instant::now() < deadline, "a later program is not put in force");
    }
}

#[test]
fn where_either_end_may_be_the_client_flows_spread_all_the_same() {
    let world = World::new();
    let mut ports = world.ports(2);
    let server = ip("10.99.0.5");
    // A server that asks a service; and more addresses than are looked at.
    let many = (0..2000).map(|n| IpAddr::V4((0x0b00_0000 + n).into())).chain([ip(NOBODY[0])]).collect();
    for scope in [Scope { from: [server].into(), ..world.scope() }, Scope { to: many, ..world.scope() }] {
        ports.set(&scope);
        let to = SocketAddr::new(ip(NOBODY[0]), 80);
        let used: BTreeSet<_> =
            (2000..2032).map(|port| ports.at(&world, SocketAddr::new(server, port), to)).collect();
        assert_eq!(used.len(), 2, "all on one port");
    }
}

#[test]
fn all_fragments_of_a_packet_come_to_the_same_port() {
    let world = World::new();
    let mut ports = world.ports(2);
    ports.set(&Scope { alone: true, ..world.scope() });
    for family in [0, 1] {
        for _ in 0..8 {
            world.near(|| udp(OWN[family], 0).send_to(&[0; 3000], (ip(NOBODY[family]), 9)).unwrap());
            let first = ports.next();
            assert_eq!([ports.next(), ports.next()], [first; 2]);
        }
    }
}

#[test]
fn a_vlan_tag_is_told_and_put_on_again() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    intake.set(&world.scope()).unwrap();
    let (mut backs, mut near) = world.near(|| Port::open(1, 1).unwrap());
    let mut back = backs.remove(0);
    let at = world.near(|| nix::net::if_::if_nametoindex("eth0").unwrap());
    near.set(&Scope { devices: [at].into(), to: [ip(OWN[0])].into(), ..Scope::default() }).unwrap();
    let [own, nobody] = [OWN[0], NOBODY[0]].map(|addr| SocketAddr::new(ip(addr), 9));
    let mut there = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 0];
    for (kind, tag, is_vlan) in [
        ([0x81, 0], [0x60, 5], true),
        ([0x81, 0], [0x0f, 0xff], true),
        ([0x88, 0xa8], [0, 5], true),
        // A priority only.
        ([0x81, 0], [0x60, 0], false),
    ] {
        there[12..14].copy_from_slice(&kind);
        there[14..].copy_from_slice(&tag);
        let mut sent = udp_packet(own, nobody);
        world.send_from_near(&mut sent, &LinkHeader::Tagged(there));
        let slot = wait_for_one(&mut port).unwrap().slot;
        let frame = port.frame(slot);
        assert_eq!(frame.packet(), sent.packet());
        let way = frame.tagged;
        assert_eq!(way.map(|way| way.tag), is_vlan.then_some([kind[0], kind[1], tag[0], tag[1]]));
        let Some(way) = way else { continue };
        assert_eq!((way.ours, way.theirs), ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]));
        swap_ends(frame);
        port.send(slot, Family::V4, way.device, &LinkHeader::back(&way));
        assert_eq!(port.done(), 0);
        let slot = wait_for_one(&mut back).unwrap().slot;
        assert_eq!(back.frame(slot).tagged.unwrap().tag, way.tag);
        back.done();
    }
}

#[test]
fn what_is_out_of_scope_is_not_copied() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    let device = world.device();
    let to = |addr: &str, port: u16| {
        assert_eq!(world.near(|| udp(OWN[0], 0).send_to(b"x", (ip(addr), port)).unwrap()), 1)
    };
    let came = |port: &mut Port| {
        let came = wait_for_one(port).is_some();
        port.done();
        came
    };
    let of = |devices: &[u32], to: &[&str], from: &[&str]| Scope {
        devices: devices.iter().copied().collect(),
        to: to.iter().map(|addr| ip(addr)).collect(),
        from: from.iter().map(|addr| ip(addr)).collect(),
        alone: false,
    };
    to(NOBODY[0], 1);
    assert!(!came(&mut port), "nothing is in scope yet");
    for (scope, taken) in [
        (of(&[device], &[NOBODY[0]], &[]), true),
        (of(&[device], &["10.99.0.9", NOBODY[1]], &["10.99.0.8"]), false),
        (of(&[device], &[], &[OWN[0]]), true),
        (of(&[device + 1], &[NOBODY[0]], &[OWN[0]]), false),
    ] {
        intake.set(&scope).unwrap();
        to(NOBODY[0], 1);
        assert_eq!(came(&mut port), taken, "{scope:?}");
    }
    // So many that they are searched, and so many that they are not looked at.
    for (addrs, far) in [(1000_u32, false), (2000, true)] {
        let many: BTreeSet<IpAddr> = (0..addrs).map(|n| IpAddr::V4((0x0a63_0002 + n * 7).into())).collect();
        intake.set(&Scope { devices: [device].into(), to: many, ..Scope::default() }).unwrap();
        for (addr, taken) in
            [("10.99.0.2", true), ("10.99.0.9", true), ("10.99.26.34", far), ("10.99.0.3", far)]
        {
            world.at_far_link(addr);
            to(addr, 1);
            assert_eq!(came(&mut port), taken, "{addr} of {addrs}");
        }
    }
    intake.set(&of(&[device], &[NOBODY[0], "10.99.0.255", OWN[0]], &[])).unwrap();
    // What the other end itself sends, a fragment, a last hop, a broadcast, another link address.
    world.far(|| udp("10.99.0.77", 0).send_to(b"x", (ip(OWN[0]), 9)).unwrap());
    world.near(|| {
        let socket = udp(OWN[0], 0);
        socket.send_to(&[0; 3000], (ip(NOBODY[0]), 1)).unwrap();
        socket.set_ttl(1).unwrap();
        socket.send_to(b"x", (ip(NOBODY[0]), 1)).unwrap();
        socket.set_ttl(64).unwrap();
        socket.set_broadcast(true).unwrap();
        socket.send_to(b"x", (ip("10.99.0.255"), 1)).unwrap();
        run("ip neigh replace 10.99.0.2 lladdr 02:00:00:00:00:99 dev eth0");
        socket.send_to(b"x", (ip(NOBODY[0]), 1)).unwrap();
    });
    assert!(!came(&mut port));
}

#[test]
fn where_nothing_else_hands_packets_over_all_of_an_address_is_copied() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    let scope = |to: &str| Scope {
        devices: [world.device()].into(),
        to: [ip(to)].into(),
        from: BTreeSet::new(),
        alone: true,
    };
    let mut came = || {
        let came = std::iter::from_fn(|| wait_for_one(&mut port)).count();
        port.done();
        came
    };
    intake.set(&scope(NOBODY[0])).unwrap();
    world.near(|| {
        let socket = udp(OWN[0], 0);
        // Two fragments, and one with no hop left.
        socket.send_to(&[0; 2000], (ip(NOBODY[0]), 1)).unwrap();
        socket.set_ttl(1).unwrap();
        socket.send_to(b"x", (ip(NOBODY[0]), 1)).unwrap();
    });
    assert_eq!(came(), 3);
    intake.set(&scope(NOBODY[1])).unwrap();
    world.near(|| udp(OWN[1], 0).send_to(&[0; 2000], (ip(NOBODY[1]), 1)).unwrap());
    assert_eq!(came(), 2);
    // Of others only ICMP.
    intake.set(&scope("10.99.0.55")).unwrap();
    world.near(|| udp(OWN[0], 0).send_to(b"x", (ip(NOBODY[0]), 1)).unwrap());
    assert_eq!(came(), 0);
    world.near(|| {
        for (domain, protocol, to, echo) in [
            (Domain::IPV4, Protocol::ICMPV4, NOBODY[0], [8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
            // Its checksum is the kernel's business.
            (Domain::IPV6, Protocol::ICMPV6, NOBODY[1], [128, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
            socket.send_to(&echo, &SocketAddr::new(ip(to), 0).into()).unwrap();
        }
    });
    assert_eq!(came(), 2);
}

#[test]
fn short_and_long_packets_come_in_their_order() {
    const PACKETS: u32 = 300;
    let world = World::new();
    let (mut ports, mut intake) = world.far(|| Port::open(1, SLOTS).unwrap());
    let port = &mut ports[0];
    intake.set(&world.scope()).unwrap();
    world.near(|| {
        let (short, long) = (udp(OWN[0], 0), udp(OWN[0], 0));
        setsockopt(&long, UdpGsoSegment, &1000).unwrap();
        for n in 0..PACKETS {
            let of = |len: usize| [&n.to_be_bytes()[..], &pattern(len)].concat();
            // Some in a row, now of one kind and now of the other.
            let (socket, bytes) = if n / 3 % 2 == 0 { (&short, of(9)) } else { (&long, of(2500)) };
            socket.send_to(&bytes, (ip(NOBODY[0]), 1)).unwrap();
        }
    });
    let mut came = Vec::new();
    while let Some(received) = wait_for_one(port) {
        assert!(received.readable);
        let packet = port.frame(received.slot).packet();
        came.push(u32::from_be_bytes(*packet[28..].first_chunk().unwrap()));
        let len = if came.len().div_ceil(3) % 2 == 1 { 9 } else { 2500 };
        assert!(packet[32..] == pattern(len), "{came:?}");
        if came.len() % BATCH == 0 {
            port.done();
        }
    }
    port.done();
    assert_eq!(came, (0..PACKETS).collect::<Vec<_>>());
}

#[test]
fn many_addresses_pass_where_sockets_may_have_short_programs_only() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    // As it was before Linux 6.8.
    world.far(|| std::fs::write("/proc/sys/net/core/optmem_max", "20480").unwrap());
    for others in [300, 700] {
        let addrs = |n| (0..n).map(|n: u32| IpAddr::V4((0xc0a8_0000 + n).into()));
        let scope = |n| Scope { to: addrs(n).collect(), ..world.scope() };
        intake.set(&scope(others)).unwrap();
        intake.set(&Scope { to: addrs(others).chain([ip(NOBODY[0])]).collect(), ..scope(0) }).unwrap();
        world.near(|| udp(OWN[0], 0).send_to(b"x", (ip(NOBODY[0]), 1)).unwrap());
        assert!(wait_for_one(&mut port).is_some(), "nothing passes beside {others}");
        port.done();
    }
}

/// On two processors at the same time the kernel fills slots of one ring in another order than it has given them out.
#[test]
fn nor_does_one_overtake_another_where_several_processors_receive() {
    const TIME: Duration = Duration::from_millis(700);
    let world = World::new();
    let (mut ports, mut intake) = world.far(|| Port::open(1, SLOTS).unwrap());
    let port = &mut ports[0];
    intake.set(&world.scope()).unwrap();
    let over = AtomicBool::new(false);
    let send = |from: u16| {
        pin_to(from.into());
        let socket = udp(OWN[0], from);
        for n in 0_u32.. {
            // Two super-packets, and something short after them.
            let (len, segment) = if n % 3 < 2 { (60_000, 1400) } else { (9, 0) };
            setsockopt(&socket, UdpGsoSegment, &segment).unwrap();
            let bytes = [&n.to_be_bytes()[..], &vec![0; len]].concat();
            socket.send_to(&bytes, (ip(NOBODY[0]), 1)).unwrap();
            if over.load(Relaxed) {
                return;
            }
        }
    };
    let (mut last, mut overtaken) = (BTreeMap::<u32, u32>::new(), Vec::new());
    std::thread::scope(|scope| {
        for from in [1000, 1001] {
            let (world, send) = (&world, &send);
            scope.spawn(move || world.near(|| send(from)));
        }
        let began = Instant::now();
        while began.elapsed() < TIME {
            while let Some(received) = port.receive() {
                let packet = port.frame(received.slot).packet();
                let [from, n] = [20, 28].map(|at| packet[at..at + 4].try_into().unwrap());
                let [from, n] = [u32::from_be_bytes(from) >> 16, u32::from_be_bytes(n)];
                overtaken.extend(last.insert(from, n).filter(|before| *before > n));
            }
            port.done();
        }
        over.store(true, Relaxed);
    });
    assert!(last.len() == 2 && last.values().all(|n| *n > 500), "{last:?}");
    assert!(overtaken.is_empty(), "overtaken: {overtaken:?}");
}

#[test]
fn a_full_ring_loses_packets_says_so_and_goes_on() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    intake.set(&world.scope()).unwrap();
    let slots = port.rings.short_slots() as u64;
    let send = |packets: u64| {
        world.near(|| {
            let socket = udp(OWN[0], 0);
            for n in 0..packets {
                socket.send_to(&n.to_be_bytes(), (ip(NOBODY[0]), 1)).unwrap();
            }
        });
    };
    send(slots + 5);
    let mut numbers = Vec::new();
    while let Some(received) = wait_for_one(&mut port) {
        if numbers.is_empty() {
            assert_eq!(port.waiting() as u64, slots - 1);
        }
        let packet = port.frame(received.slot).packet();
        numbers.push(u64::from_be_bytes(*packet[28..].first_chunk().unwrap()));
        if numbers.len() % BATCH == 0 {
            assert_eq!(port.receive(), None, "a batch is full");
            port.done();
        }
    }
    port.done();
    assert_eq!(numbers, (0..slots).collect::<Vec<_>>());
    send(1);
    assert!(wait_for_one(&mut port).is_some());
    let of = |lost| Fared { lost, stopped: false };
    assert_eq!((intake.look(true), intake.look(true)), (of(5), of(0)));
}

#[test]
fn what_the_kernel_refuses_to_send_is_counted_and_the_rest_goes() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    intake.set(&world.scope()).unwrap();
    let server = world.near(|| udp(OWN[0], 6000));
    world.near(|| {
        for n in 0..4_u8 {
            udp(OWN[0], 5000 + u16::from(n)).send_to(&[n], (ip(NOBODY[0]), 6000)).unwrap();
        }
    });
    let header = world.back();
    for n in 0..4 {
        let received = wait_for_one(&mut port).unwrap();
        swap_ends(port.frame(received.slot));
        // The second goes nowhere.
        let device = if n == 1 { 999 } else { received.device };
        port.send(received.slot, Family::V4, device, &header);
    }
    assert_eq!((port.done(), port.done()), (1, 0));
    let mut got = [0; 1];
    for expected in [0, 2, 3] {
        server.recv_from(&mut got).unwrap();
        assert_eq!(got, [expected]);
    }
    assert_eq!(silent(&server), ErrorKind::WouldBlock);
}

#[test]
#[should_panic = "a frame of a ring stays in its slot"]
fn a_frame_that_is_taken_out_of_the_ring_is_noticed() {
    let world = World::new();
    let (mut port, mut intake) = world.port();
    intake.set(&world.scope()).unwrap();
    world.near(|| udp(OWN[0], 0).send_to(b"x", (ip(NOBODY[0]), 1)).unwrap());
    let received = wait_for_one(&mut port).unwrap();
    let _kept = std::mem::take(port.frame(received.slot));
    port.done();
}

fn silent(server: &UdpSocket) -> ErrorKind {
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    server.recv_from(&mut [0; 8]).unwrap_err().kind()
}

/// Sends `bytes` each way over one connection to the other address and compares them.
fn exchange_tcp(family: usize, bytes: usize) {
    let (own, nobody) = (ip(OWN[family]), ip(NOBODY[family]));
    let listener = TcpListener::bind((own, 80)).unwrap();
    let client = std::thread::scope(|scope| {
        let client = TcpStream::connect((nobody, 80)).unwrap();
        let client = scope.spawn(move || {
            let mut client = client;
            client.write_all(&pattern(bytes)).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), nobody);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(&got).unwrap();
        drop(stream);
        client.join().unwrap()
    });
    assert!(client == pattern(bytes), "the bytes that came back differ");
}
