//! What changes under the ways that are known.

use super::*;

/// The device and the neighbour of the packet's way.
fn end(ways: &mut Ways, from: &str, to: &str) -> Option<(u32, LinkHeader)> {
    ways.way(&packet(from, to)).map(|way| (way.device, way.header))
}

#[test]
fn a_route_that_changes_is_another_way() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let (a, b) =
            ((index("wa"), world.header("wa", &world.a)), (index("wb"), world.header("wb", &world.b)));
        for (to, family, via_a, via_b) in
            [("192.0.2.9", "-4", "10.1.0.2", "10.2.0.2"), ("2001:db8::9", "-6", "fd00:1::2", "fd00:2::2")]
        {
            for round in 0..3 {
                sh(&format!("ip {family} route replace default via {via_b}"));
                eventually(to, || end(ways, SOURCE, to) == Some(b));
                sh(&format!("ip {family} route replace default via {via_a}"));
                eventually(to, || end(ways, SOURCE, to) == Some(a));
                sh(&format!("ip {family} route add {to} via {via_b}"));
                eventually("a narrower one", || end(ways, SOURCE, to) == Some(b));
                sh(&format!("ip {family} route del {to}"));
                eventually("no more", || end(ways, SOURCE, to) == Some(a));
                sh(&format!("ip {family} route del default"));
                eventually("no way", || end(ways, SOURCE, to).is_none());
                assert_eq!(end(ways, SOURCE, to), None, "{round}");
            }
        }
    });
}

#[test]
fn a_device_that_changes_is_noticed() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        for to in ["10.2.0.2", "fd00:2::2"] {
            eventually("up", || end(ways, SOURCE, to) == Some((index("wb"), world.header("wb", &world.b))));
        }
        sh("ip link set wb mtu 1350");
        for to in ["10.2.0.2", "fd00:2::2"] {
            eventually("narrower", || ways.way(&packet(SOURCE, to)).is_some_and(|way| way.mtu == 1350));
        }
        sh("echo 1300 > /proc/sys/net/ipv6/conf/wb/mtu; ip link set wb txqueuelen 900");
        eventually("narrower for IPv6", || {
            let mtu = |ways: &mut Ways, to| ways.way(&packet(SOURCE, to)).map(|way| way.mtu);
            (mtu(ways, "10.2.0.2"), mtu(ways, "fd00:2::2")) == (Some(1350), Some(1300))
        });
        sh("ip link set wb address 02:00:00:00:00:77");
        eventually("another address of ours", || {
            end(ways, SOURCE, "10.2.0.2") == Some((index("wb"), world.header("wb", &world.b)))
        });
        sh("ip link set wb down");
        eventually("the other way", || end(ways, SOURCE, "10.2.0.2").map(|end| end.0) == Some(index("wa")));
        sh("ip link del wb");
        eventually("a device that is gone", || ways.neighbour((9999, "10.2.0.2".parse().unwrap())).is_none());
    });
}

#[test]
fn a_neighbour_that_has_another_address_is_followed() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        for (n, to) in ["10.1.0.2", "192.0.2.9"].into_iter().enumerate() {
            let before = world.header("wa", &world.a);
            eventually(to, || end(ways, SOURCE, to) == Some((index("wa"), before)));
            world.a.run(|| sh(&format!("ip link set e0 address 02:00:00:00:00:0{n}"))).unwrap();
            let after = world.header("wa", &world.a);
            assert_ne!(before, after);
            eventually(to, || end(ways, SOURCE, to) == Some((index("wa"), after)));
        }
        // One that is no more is asked for again.
        let way = end(ways, SOURCE, "10.1.0.2");
        sh("ip neigh flush dev wa");
        eventually("found again", || end(ways, SOURCE, "10.1.0.2") == way);
    });
}

#[test]
fn rules_that_look_at_the_source_are_heeded() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let (a, b) = (Some(index("wa")), Some(index("wb")));
        let device = |ways: &mut Ways, from: &str, to: &str| end(ways, from, to).map(|end| end.0);
        for (family, to, one, other, gateway, before) in [
            ("-4", "192.0.2.9", "172.16.0.1", "172.16.0.2", "10.2.0.2", a),
            ("-6", "2001:db8:1::9", "fd77::1", "fd77::2", "fd00:2::2", a),
        ] {
            eventually("no rule", || device(ways, one, to) == before && device(ways, other, to) == before);
            sh(&format!("ip {family} route add default via {gateway} table 100; ip {family} rule add from {one} lookup 100"));
            eventually("one", || device(ways, one, to) == b && device(ways, other, to) == before);
            sh(&format!("ip {family} rule del from {one} lookup 100; ip {family} rule add not from {one} lookup 100"));
            eventually("all others", || device(ways, one, to) == before && device(ways, other, to) == b);
            sh(&format!("ip {family} rule del not from {one} lookup 100; ip {family} rule add to {to} lookup 100"));
            eventually("its destination", || device(ways, one, to) == b && device(ways, other, to) == b);
            sh(&format!("ip {family} rule del to {to} lookup 100; ip {family} rule add iif in0 lookup 100"));
            eventually("where it came in", || device(ways, one, to) == b);
            sh(&format!("ip {family} rule del iif in0 lookup 100; ip {family} rule add iif wa lookup 100"));
            eventually("not where it came in", || device(ways, one, to) == before);
            for rule in ["ipproto tcp", "dport 80", "tos 0x10"] {
                sh(&format!("ip {family} rule add {rule} lookup 100"));
                eventually(rule, || device(ways, one, to).is_none());
                sh(&format!("ip {family} rule del {rule} lookup 100"));
                eventually(rule, || device(ways, one, to) == before);
            }
        }
    });
}

#[test]
fn a_route_with_several_ways_spreads_and_each_pair_keeps_its_own() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        sh("ip route replace default nexthop via 10.1.0.2 nexthop via 10.2.0.2
            ip -6 route replace default nexthop via fd00:1::2 nexthop via fd00:2::2");
        for to in ["192.0.2.9", "2001:db8::9"] {
            let sources = |n| if to.contains(':') { format!("fd77::{n:x}") } else { format!("172.16.0.{n}") };
            let packets: Vec<_> = (1..=64).map(|n| packet(&sources(n), to)).collect();
            let mut found = Vec::new();
            eventually("known, and by both", || {
                found = packets.iter().filter_map(|packet| ways.way(packet)).map(|way| way.device).collect();
                found.len() == packets.len()
                    && ["wa", "wb"].into_iter().all(|device| found.contains(&index(device)))
            });
            for (packet, device) in packets.iter().zip(found) {
                assert_eq!(ways.way(packet).map(|way| way.device), Some(device));
            }
        }
    });
}

#[test]
fn a_route_for_some_sources_is_heeded() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let device = |ways: &mut Ways, from: &str| end(ways, from, "2001:db8::9").map(|end| end.0);
        eventually("before", || device(ways, "fd78::1") == Some(index("wb")));
        sh("ip -6 route add default from fd78::/16 via fd00:1::2");
        eventually("after", || {
            device(ways, "fd78::1") == Some(index("wa")) && device(ways, "fd79::1") == Some(index("wb"))
        });
        // Who comes later finds it there.
        let keeper = Keeper::start(Some(index("in0")), Vec::new()).unwrap();
        let ways = &mut keeper.ways().unwrap();
        eventually("later", || {
            device(ways, "fd79::1") == Some(index("wb")) && device(ways, "fd78::1") == Some(index("wa"))
        });
    });
}

#[test]
fn without_a_device_to_come_in_by_packets_are_the_hosts_own() {
    World::new().on_director(|world| {
        let keeper = Keeper::start(None, Vec::new()).unwrap();
        let ways = &mut keeper.ways().unwrap();
        sh("ip route add default via 10.2.0.2 table 100; ip rule add from 10.2.0.1 lookup 100");
        let (a, b) =
            ((index("wa"), world.header("wa", &world.a)), (index("wb"), world.header("wb", &world.b)));
        eventually("a VIP's packets", || end(ways, SOURCE, "192.0.2.9") == Some(a));
        eventually("a host's own", || end(ways, "10.2.0.1", "192.0.2.9") == Some(b));
        eventually("IPv6", || end(ways, SOURCE, "fd00:2::2") == Some(b));
        assert_eq!(end(ways, SOURCE, "10.1.0.1"), None);
    });
}

#[test]
fn a_storm_of_routes_leaves_the_ways_right() {
    World::new().on_director(|world| {
        let ways = &mut world.ways();
        let file = std::env::temp_dir().join(format!("ulvs-storm-{}", std::process::id()));
        let lines = |verb: &str, via: &str| {
            let line = |n| format!("route {verb} 100.64.{}.{} via {via}\n", n / 250, n % 250);
            (0..20_000).map(line).collect::<String>()
        };
        let (a, b) =
            ((index("wa"), world.header("wa", &world.a)), (index("wb"), world.header("wb", &world.b)));
        for (verb, via, want) in [("add", "10.2.0.2", b), ("replace", "10.1.0.2", a)] {
            std::fs::write(&file, lines(verb, via)).unwrap();
            sh(&format!("ip -batch {}", file.display()));
            for to in ["100.64.0.0", "100.64.79.249"] {
                eventually(to, || end(ways, SOURCE, to) == Some(want));
            }
        }
        std::fs::remove_file(file).unwrap();
    });
}
