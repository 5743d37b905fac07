//! What works without CAP_NET_ADMIN, and answers to neighbours who ask.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::UdpSocket;

use super::*;
use crate::netns::Netns;
use crate::without::{self, is_second};

/// Runs the test a second time, while `meanwhile` happens.
fn run_second(test: &str, meanwhile: impl FnOnce()) {
    without::run_second("net_admin", &format!("link::tests::unprivileged::{test}"), meanwhile);
}

#[test]
fn neighbours_are_found_and_kept() {
    if is_second() {
        let keeper = Keeper::start(None, Vec::new()).unwrap();
        let ways = &mut keeper.ways().unwrap();
        for to in ["10.1.0.2", "192.0.2.9", "fd00:2::2", "2001:db8::9"] {
            eventually(to, || ways.way(&packet(SOURCE, to)).is_some());
        }
        let over = std::thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()).unwrap());
        while !over.is_finished() {
            ways.way(&packet(SOURCE, "10.1.0.2"));
            std::thread::sleep(Duration::from_millis(20));
        }
        return;
    }
    World::new().on_director(|_| {
        run_second("neighbours_are_found_and_kept", || {
            for known in ["10.1.0.2 dev wa lladdr", "fd00:2::2 dev wb lladdr"] {
                eventually(known, || sh("ip neigh").contains(known));
            }
            // Long unused in the kernel's eyes: one that is used then is probed.
            let change = "at=$(ip neigh show 10.1.0.2 | sed 's/.*lladdr //; s/ .*//')
                          ip neigh change 10.1.0.2 dev wa lladdr $at nud stale";
            sh(change);
            eventually("used", || !sh("ip neigh show 10.1.0.2").contains("STALE"));
        });
    });
}

/// In the subnets of the two links.
const VIPS: [&str; 4] = ["10.1.0.99", "fd00:1::99", "10.2.0.99", "fd00:2::99"];

#[test]
fn neighbours_who_ask_for_an_address_of_nobodys_are_answered() {
    if is_second() {
        let devices = ["wa", "wa", "wb", "wb"].map(index).into_iter();
        let places: BTreeSet<_> = devices.zip(VIPS.map(|vip| vip.parse().unwrap())).collect();
        let mut responder = Responder::start().unwrap();
        responder.set(&places);
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    World::new().on_director(|world| {
        let (a, b) = (world.header("wa", &world.a), world.header("wb", &world.b));
        run_second("neighbours_who_ask_for_an_address_of_nobodys_are_answered", || {
            for (netns, director, vip) in [
                (&world.a, a, VIPS[0]),
                (&world.a, a, VIPS[1]),
                (&world.b, b, VIPS[2]),
                (&world.b, b, VIPS[3]),
            ] {
                eventually(vip, || ask(netns, vip).contains(&lladdr(director)));
            }
            // On another link than that of its subnet nobody answers for it.
            world.a.run(|| sh("ip addr add 10.2.0.9/24 dev e0; ip addr add fd00:2::9/64 dev e0")).unwrap();
            for vip in &VIPS[2..4] {
                ask(&world.a, vip);
                std::thread::sleep(Duration::from_millis(200));
                assert!(!ask(&world.a, vip).contains("lladdr"));
            }
            // Who wants the address for itself hears that it is taken (RFC 4862 section 5.4).
            world
                .a
                .run(|| {
                    sh("echo 1 > /proc/sys/net/ipv6/conf/e0/accept_dad; ip addr add fd00:1::99/64 dev e0")
                })
                .unwrap();
            eventually("taken", || world.a.run(|| sh("ip addr show dev e0")).unwrap().contains("dadfailed"));
        });
        // It has ended: nobody answers any more.
        world.b.run(|| sh("ip neigh flush dev e0")).unwrap();
        ask(&world.b, VIPS[2]);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!ask(&world.b, VIPS[2]).contains("lladdr"));
    });
}

/// Sends something to the address, and returns what the kernel knows of it.
fn ask(netns: &Netns, ip: &str) -> String {
    netns
        .run(|| {
            let any = if ip.contains(':') { "::" } else { "0.0.0.0" };
            let _ = UdpSocket::bind((any, 0)).unwrap().send_to(b"?", (ip, 9));
            sh(&format!("ip neigh show {ip}"))
        })
        .unwrap()
}
