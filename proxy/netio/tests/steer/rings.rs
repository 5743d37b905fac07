//! What the kernel is kept from, as the device of steering sees it: what rings take never comes there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netio::poll::{Waker, wait};
use netio::steer::{Notice, SteerError, Steering, Taker, Targets, TargetsChange};
use netio::tun::Tun;
use nix::net::if_::if_nametoindex;
use tempfile::tempdir;
use wire::build::{self, Build};
use wire::packet::head::AnyHead;

use crate::world::*;

fn devices(names: &[&str]) -> BTreeSet<u32> {
    names.iter().map(|name| if_nametoindex(*name).unwrap()).collect()
}

/// [`targets`] with a service of each VIP.
fn with_services(vips: &[&str]) -> Targets {
    let services = vips.iter().map(|vip| (6, SocketAddr::new(ip(vip), VIP_PORT))).collect();
    Targets { services, ..targets(vips) }
}

fn to(vip: &str, port: u16) -> Build {
    let client = if ip(vip).is_ipv4() { CLIENT } else { CLIENT6 };
    build::tcp((client, 1024), (vip, port)).syn()
}

/// What the device sees of packets that the client sends, by destination and port.
fn seen(world: &World, engine: &Engine, packets: &[Build]) -> usize {
    engine.seen();
    world.on_client(|| packets.iter().for_each(|packet| inject(&packet.bytes())));
    std::thread::sleep(Duration::from_millis(50));
    engine.seen().iter().filter(|(protocol, ..)| *protocol == 6).count()
}

/// Steering on the director, without targets, and its device.
fn steered(test: impl AsyncFnOnce(&World, Steering, Tun) + Send) {
    let world = World::routed();
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let steering = Steering::start(config(&tun, state.path())).unwrap();
            test(&world, steering, tun).await;
        });
    });
}

#[test]
fn what_rings_take_does_not_come_by_the_device_and_all_else_does() {
    let world = World::routed();
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let before = snapshot();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            let engine = Engine::start(tun, &[]);
            steering.set_targets(&with_services(&[VIP, VIP6])).unwrap();
            let (services, others) = ([to(VIP, 80), to(VIP6, 80)], [to(VIP, 81), to(VIP6, 81)]);
            let takes = |steering: &Steering, of: &Build| {
                steering.taken().load().takes(&AnyHead::of(&of.bytes()).unwrap())
            };
            assert_eq!(seen(&world, &engine, &services), 2);
            assert!(services.iter().all(|service| !takes(&steering, service)), "no rings");

            steering.set_rings(&devices(&["c0", "s0"]), &[]).unwrap();
            assert_eq!(seen(&world, &engine, &services), 0);
            assert_eq!(seen(&world, &engine, &others), 2);
            assert!(services.iter().all(|service| takes(&steering, service)));
            assert!(others.iter().all(|other| !takes(&steering, other)));
            for vip in [VIP, VIP6] {
                world.on_client(|| ping(vip));
                assert!(engine.seen().iter().any(|(.., dst)| *dst == ip(vip)), "ICMP to {vip}");
            }

            steering.set_rings(&devices(&["s0"]), &[]).unwrap();
            assert_eq!(seen(&world, &engine, &services), 2, "no ring where they come in");
            steering.set_rings(&devices(&["s0", "c0"]), &[]).unwrap();
            assert_eq!(seen(&world, &engine, &services), 0);

            steering.stop().unwrap();
            assert_as_before(&before);
            drop(engine);
        });
    });
}

#[test]
fn services_and_servers_come_and_go_by_small_steps() {
    steered(async |world, mut steering, tun| {
        let engine = Engine::start(tun, &[]);
        let waker = Waker::new().unwrap();
        steering.set_targets(&with_services(&[VIP])).unwrap();
        steering.set_rings(&devices(&["c0"]), std::slice::from_ref(&waker)).unwrap();
        let taken = steering.taken();
        let mut taker = Taker::new(steering.taken());
        let woken =
            || wait(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), None, &waker, Some(Duration::ZERO));
        woken().unwrap();

        let mut change = TargetsChange::default();
        change.come.services.insert((6, SocketAddr::new(ip(VIP), 81)));
        steering.change_targets(change.clone()).unwrap();
        assert!(woken().unwrap().woken, "workers have to know at once");
        taker.catch_up(|| 0);
        let added = AnyHead::of(&to(VIP, 81).bytes()).unwrap();
        assert!(taken.load().takes(&added) && taker.takes(Some(&added), || 1));
        assert_eq!(seen(world, &engine, &[to(VIP, 80), to(VIP, 81)]), 0);

        let back = TargetsChange { come: change.gone, gone: change.come };
        steering.change_targets(back).unwrap();
        assert!(!taken.load().takes(&added) && !taker.takes(Some(&added), || 1));
        assert_eq!(seen(world, &engine, &[to(VIP, 80), to(VIP, 81)]), 1);

        // One of two entries for a server goes, and the other holds.
        let server = |protocol| (protocol, SocketAddr::new(ip(SERVER), SERVER_PORT));
        let reply = AnyHead::of(&build::tcp((SERVER, SERVER_PORT), (CLIENT, 1024)).bytes()).unwrap();
        let mut change = TargetsChange::default();
        change.come.servers.insert(server(0));
        steering.change_targets(change.clone()).unwrap();
        change.gone.servers.insert(server(6));
        change.come.servers.clear();
        steering.change_targets(change.clone()).unwrap();
        assert!(taken.load().takes(&reply));
        change.gone.servers = [server(0)].into();
        steering.change_targets(change).unwrap();
        assert!(!taken.load().takes(&reply));
        steering.stop().unwrap();
        assert!(!taken.load().takes(&AnyHead::of(&to(VIP, 80).bytes()).unwrap()), "stopped");
        drop(engine);
    });
}

#[test]
fn the_hosts_own_addresses_and_its_fronts_are_left_to_the_kernel() {
    steered(async |_, mut steering, _tun| {
        let targets = with_services(&[VIP]);
        steering.set_targets(&targets).unwrap();
        steering.set_rings(&devices(&["c0", "s0"]), &[]).unwrap();
        let answer = |steering: &Steering, to: &str| {
            let packet = build::tcp((SERVER, SERVER_PORT), (to, 1024)).bytes();
            steering.taken().load().takes(&AnyHead::of(&packet).unwrap())
        };
        assert!(answer(&steering, CLIENT));
        assert!(!answer(&steering, "10.1.0.1"), "to a connection of the host's own");
        sh("ip addr add 10.1.0.77/32 dev lo");
        settle(&mut steering).await;
        assert!(!answer(&steering, "10.1.0.77"));
        let lips = [ip("10.1.0.77")].into();
        steering.set_targets(&Targets { lips, ..targets.clone() }).unwrap();
        assert!(answer(&steering, "10.1.0.77"), "to a local address of FullNAT");

        let fronts = [SocketAddr::new(ip(VIP), VIP_PORT)].into();
        steering.set_targets(&Targets { fronts, ..targets }).unwrap();
        let service = AnyHead::of(&to(VIP, VIP_PORT).bytes()).unwrap();
        assert!(!steering.taken().load().takes(&service));
        steering.stop().unwrap();
    });
}

#[test]
fn devices_go_and_come_back_by_another_number_or_name() {
    steered(async |_, mut steering, _tun| {
        steering.set_targets(&with_services(&[VIP])).unwrap();
        sh("ip link add x0 type veth peer name x1; ip link set x0 up");
        steering.set_rings(&devices(&["c0", "x0"]), &[]).unwrap();
        let chains = || sh("nft list table netdev ulvs").matches("hook ingress").count();
        assert_eq!(chains(), 2);
        sh("ip link set x0 down; ip link set x0 name y0; ip link set y0 up");
        settle(&mut steering).await;
        assert_eq!(chains(), 2);
        assert!(sh("nft list table netdev ulvs").contains("\"y0\""));
        sh("ip link del y0; ip link add y0 type veth peer name y1; ip link set y0 up");
        settle(&mut steering).await;
        assert_eq!(chains(), 1, "it has no ring");
        assert!(!steering.notices().iter().any(|notice| matches!(notice, Notice::NoRings { .. })));
        steering.set_rings(&devices(&["c0", "y0"]), &[]).unwrap();
        assert_eq!(chains(), 2);
        steering.set_rings(&BTreeSet::new(), &[]).unwrap();
        assert_eq!(sh("nft list tables netdev"), "");
        steering.stop().unwrap();
    });
}

/// A process that has the table for itself.
fn occupy() -> Child {
    let mut nft = Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = nft.stdin.as_mut().unwrap();
    stdin.write_all(b"add table netdev ulvs { flags owner; }\nlist tables\n").unwrap();
    let mut lines = BufReader::new(nft.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("table netdev ulvs")));
    nft
}

#[test]
fn where_the_kernel_cannot_be_kept_from_it_nothing_is_taken_and_that_is_said() {
    steered(async |world, mut steering, tun| {
        let engine = Engine::start(tun, &[]);
        steering.set_targets(&with_services(&[VIP])).unwrap();
        let service = to(VIP, 80);
        let takes =
            |steering: &Steering| steering.taken().load().takes(&AnyHead::of(&service.bytes()).unwrap());

        let mut nft = occupy();
        let error = steering.set_rings(&devices(&["c0"]), &[]).unwrap_err();
        assert!(matches!(error, SteerError::NoIngress { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("on c0:") && error.contains("--port tun"), "{error}");
        assert!(!takes(&steering));
        assert_eq!(seen(world, &engine, std::slice::from_ref(&service)), 1);
        nft.kill().unwrap();
        nft.wait().unwrap();

        // The same while it runs: others cannot take the table away, where the kernel has tables with an owner.
        steering.set_rings(&devices(&["c0"]), &[]).unwrap();
        sh("nft delete table netdev ulvs 2>/dev/null || nft flush ruleset");
        assert_eq!(seen(world, &engine, std::slice::from_ref(&service)), 0);
        assert!(takes(&steering));
        assert!(!steering.notices().iter().any(|notice| matches!(notice, Notice::NoRings { .. })));
        steering.stop().unwrap();
        drop(engine);
    });
}
