//! What goes to the device beyond plain services, and what does not.

use std::collections::BTreeSet;

use netio::steer::{Steering, Targets};
use wire::build;

use crate::world::*;

#[test]
fn reverse_path_filters_do_not_matter() {
    for marks_count in [0, 1] {
        let world = World::routed();
        echo(&world.server, SERVER_PORT);
        echo(&world.director, 22);
        let setup = format!(
            "for conf in /proc/sys/net/ipv4/conf/*; do echo 1 > $conf/rp_filter; done
             echo {marks_count} > /proc/sys/net/ipv4/conf/all/src_valid_mark
             ip addr add {VIP}/32 dev lo"
        );
        steered(&world, &[VIP], &setup, async |_, _| {
            assert!(world.on_client(|| tcp(VIP, VIP_PORT)), "src_valid_mark {marks_count}");
            assert!(world.on_client(|| udp(VIP, VIP_PORT, 100)));
            assert!(world.on_client(|| tcp(VIP, 22)));
            assert!(tcp(VIP, VIP_PORT), "from the director");
            assert!(tcp(SERVER, SERVER_PORT), "from the director");
        });
    }
}

#[test]
fn errors_about_packets_to_a_server_come_by() {
    let world = World::routed();
    steered(&world, &[VIP, VIP6], "", async |engine, _| {
        for (number, client, server) in [(1, CLIENT, SERVER), (58, CLIENT6, SERVER6)] {
            let sent = build::udp((client, 4000), (server, SERVER_PORT)).payload(b"x").bytes();
            let other = build::udp((client, 4000), (client, SERVER_PORT)).payload(b"x").bytes();
            world.on_server(|| {
                inject(&build::too_big(server, client, 1300, &sent).bytes());
                inject(&build::time_exceeded(server, client, &sent).bytes());
                inject(&build::time_exceeded(server, client, &other).bytes());
            });
            std::thread::sleep(std::time::Duration::from_millis(100));
            let about_server = (number, ip(server), ip(client));
            let seen: Vec<_> = engine.seen().into_iter().filter(|seen| *seen == about_server).collect();
            assert_eq!(seen.len(), 2, "{server}: {seen:?}");
        }
        // The director's own: nobody answers for the server's address any more.
        world.on_server(|| sh("ip addr flush dev e0"));
        sh("ip neigh flush dev s0; ip -6 neigh flush dev s0");
        world.on_client(|| assert!(!udp(VIP, VIP_PORT, 100) && !udp(VIP6, VIP_PORT, 100)));
        std::thread::sleep(std::time::Duration::from_secs(3));
        let errors: BTreeSet<_> =
            engine.seen().into_iter().filter(|(number, ..)| [1, 58].contains(number)).collect();
        assert!(errors.contains(&(1, ip("10.0.0.1"), ip(CLIENT))), "{errors:?}");
        assert!(errors.contains(&(58, ip("fd00:a::1"), ip(CLIENT6))), "{errors:?}");
    });
}

#[test]
fn fragments_come_by() {
    let world = World::routed();
    steered(&world, &[VIP, VIP6], "", async |engine, _| {
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            let big = [7; 4000];
            let request = build::udp((client, 4000), (vip, VIP_PORT)).payload(&big).may_fragment();
            let answer = build::udp((server, SERVER_PORT), (client, 4000)).payload(&big).may_fragment();
            let (request, answer) = (request.fragments(1400), answer.fragments(1400));
            let all = request.len() + answer.len();
            world.on_client(|| request.iter().for_each(|fragment| inject(fragment)));
            world.on_server(|| answer.iter().for_each(|fragment| inject(fragment)));
            std::thread::sleep(std::time::Duration::from_millis(100));
            let ends = [(ip(client), ip(vip)), (ip(server), ip(client))];
            let seen = engine.seen().into_iter().filter(|(_, from, to)| ends.contains(&(*from, *to))).count();
            assert_eq!(seen, all, "{vip}");
        }
    });
}

#[test]
fn the_host_does_not_become_a_router() {
    let world = World::routed();
    echo(&world.server, 9);
    steered(&world, &[VIP, VIP6], "", async |_, _| {
        for server in [SERVER, SERVER6] {
            assert!(!world.on_client(|| tcp(server, 9)), "{server}");
            assert!(!world.on_client(|| ping(server)), "{server}");
        }
    });
    let router = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
    steered(&world, &[VIP, VIP6], router, async |_, _| {
        for server in [SERVER, SERVER6] {
            assert!(world.on_client(|| tcp(server, 9)), "{server}");
        }
    });
}

#[test]
fn a_server_may_be_on_the_director() {
    let world = World::routed();
    echo(&world.director, SERVER_PORT);
    let setup = format!("ip addr add {SERVER} dev lo; ip addr add {SERVER6} dev lo nodad");
    steered(&world, &[VIP, VIP6], &setup, async |_, _| {
        for vip in [VIP, VIP6] {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip}");
        }
        assert!(tcp(SERVER, SERVER_PORT), "from the director");
    });
}

#[test]
fn client_and_director_share_a_link() {
    // Addresses of nobody in the subnets of the clients; the first of each family is asked for by ARP and NS.
    let (vip, vip6) = ("10.0.0.100", "fd00:a::100");
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    echo(&world.director, 22);
    let forget = || {
        world.on_client(|| sh("ip neigh flush all; ip -6 neigh flush all"));
        sh("ip neigh flush all; ip -6 neigh flush all");
    };
    steered(&world, &[vip, vip6], "", async |_, steering| {
        let works = |steering: &Steering, local: bool| {
            for vip in [vip, vip6] {
                forget();
                let start = std::time::Instant::now();
                assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip} {local}");
                assert!(start.elapsed().as_millis() < 500, "{vip}: {:?}", start.elapsed());
                assert!(world.on_client(|| ping(vip)), "ping {vip} {local}");
                assert_eq!(world.on_client(|| tcp(vip, 22)), local, "another port of {vip}");
                // Neighbours that are asked again one by one, with packets to their address alone.
                world.on_client(|| sh(&format!("ip neigh change {vip} dev e0 nud probe")));
                std::thread::sleep(std::time::Duration::from_millis(300));
                let entry = world.on_client(|| sh(&format!("ip neigh show {vip}")));
                assert!(entry.contains("REACHABLE"), "{entry} {local}");
            }
            assert_eq!(steering.host_view().local.contains(&ip(vip)), local);
        };
        works(steering, false);
        sh(&format!("ip addr add {vip}/24 dev c0; ip addr add {vip6}/64 dev c0 nodad"));
        settle(steering).await;
        works(steering, true);
        sh(&format!("ip addr del {vip}/24 dev c0; ip addr del {vip6}/64 dev c0"));
        settle(steering).await;
        works(steering, false);
    });
}

#[test]
fn the_vip_may_be_the_only_address_of_the_host() {
    let world = World::routed();
    for (netns, port) in [(&world.server, SERVER_PORT), (&world.director, 22), (&world.client, 9)] {
        echo(netns, port);
    }
    let vips = ["10.0.0.1", "fd00:a::1"];
    steered(&world, &vips, "", async |_, _| {
        for (vip, client) in vips.iter().zip([CLIENT, CLIENT6]) {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip}");
            assert!(world.on_client(|| tcp(vip, 22)), "another port of {vip}");
            assert!(tcp(client, 9), "from {vip}");
            assert!(udp(client, 9, 100), "from {vip}");
            assert!(ping(client), "from {vip}");
            assert!(tcp(vip, VIP_PORT), "from the director");
        }
    });
}

#[test]
fn one_link_for_all_and_no_redirects() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    world.on_client(|| {
        sh(&format!(
            "ip addr flush dev e0; ip link add br0 type bridge; ip link set e0 master br0; ip link set br0 up
             ip link add b1 type veth peer name e1; ip link set b1 master br0; ip link set b1 up
             ip link set e1 netns {}; ip addr add {CLIENT}/24 dev br0; ip route add default via 10.0.0.1",
            at(&world.server)
        ));
    });
    world.on_server(|| {
        sh(&format!(
            "ip addr flush dev e0; ip addr add {SERVER} dev lo; ip addr add 10.0.0.3/24 dev e1; ip link set e1 up
             ip route add {CLIENT} via 10.0.0.1 dev e1"
        ));
    });
    let setup = format!("ip link del s0; ip route add {SERVER} via 10.0.0.3");
    steered(&world, &["10.0.0.100"], &setup, async |_, _| {
        assert!(world.on_client(|| tcp("10.0.0.100", VIP_PORT)));
        let redirects = sh("cat /proc/thread-self/net/snmp");
        let mut icmp = redirects.lines().filter(|line| line.starts_with("Icmp:"));
        let (names, values) = (icmp.next().unwrap(), icmp.next().unwrap());
        let column = names.split(' ').position(|name| name == "OutRedirects").unwrap();
        assert_eq!(values.split(' ').nth(column), Some("0"));
    });
}

#[test]
fn tells_the_way_to_servers() {
    let world = World::routed();
    steered(&world, &[VIP], "", async |_, steering| {
        let way = |steering: &Steering| {
            let path = steering.path(ip(SERVER)).unwrap();
            (path.next_hop, path.source)
        };
        assert_eq!(way(steering), (ip(SERVER), Some(ip("10.1.0.1"))), "it is on the link");
        let device = steering.path(ip(SERVER)).unwrap().device;
        assert_eq!(steering.path(ip(SERVER6)).unwrap().device, device);
        sh(&format!(
            "ip addr add 10.9.0.1/32 dev lo; ip route add {SERVER} via 10.1.0.77 dev s0 src 10.9.0.1"
        ));
        settle(steering).await;
        assert_eq!(way(steering), (ip("10.1.0.77"), Some(ip("10.9.0.1"))));
        sh(&format!("ip route del {SERVER}; ip route add {SERVER} via inet6 fd00:b::77 dev s0"));
        settle(steering).await;
        assert_eq!(way(steering).0, ip("fd00:b::77"));
        sh(&format!("ip route del {SERVER}; ip addr del 10.9.0.1/32 dev lo"));
    });
}

#[test]
fn tells_the_path_mtu_of_servers() {
    let world = World::routed();
    steered(&world, &[VIP], "", async |_, steering| {
        assert_eq!(steering.path(ip(SERVER)).map(|path| path.mtu), Some(1500));
        sh(&format!("ip link set s0 mtu 1400; ip route add {SERVER} dev s0 mtu 1350"));
        settle(steering).await;
        assert_eq!(steering.path(ip(SERVER)).map(|path| path.mtu), Some(1350));
        assert_eq!(steering.path(ip(SERVER6)).map(|path| path.mtu), Some(1400));
        sh(&format!("ip route del {SERVER}; ip link set s0 mtu 1500"));
    });
}

#[test]
fn a_server_that_answers_from_any_port_comes_back_whole() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    echo(&world.server, 22);
    let whole = [SERVER, SERVER6].map(|server| (0, (ip(server), 0).into()));
    let router = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    steered(&world, &[VIP, VIP6], router, async |engine, steering| {
        let before = targets(&[VIP, VIP6]);
        steering.set_targets(&Targets { servers: whole.into(), ..before.clone() }).unwrap();
        for (vip, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip}");
            assert!(world.on_client(|| udp(vip, VIP_PORT, 100)), "udp {vip}");
            engine.seen();
            assert!(world.on_client(|| tcp(server, 22)), "another port of {server}");
            assert!(
                engine.seen().iter().any(|seen| seen.1 == ip(server)),
                "its answers go through the device"
            );
            assert!(tcp(server, SERVER_PORT), "{server} from the director");
        }
        steering.set_targets(&before).unwrap();
        engine.seen();
        assert!(world.on_client(|| tcp(SERVER, 22)), "another port of {SERVER}");
        // The last connection over IPv6 may still be ending.
        assert!(engine.seen().iter().all(|seen| seen.1 != ip(SERVER)), "and no longer");
    });
}

#[test]
fn packets_for_a_prefix_come_and_its_owner_keeps_the_rest() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    let prefix = |of: &str, len| (ip(of), len);
    let router = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    steered(&world, &[VIP], router, async |engine, steering| {
        let before = targets(&[VIP]);
        let prefixes = [prefix("172.30.0.0", 24), prefix(SERVER, 32), prefix("fd30::", 64)].into();
        steering.set_targets(&Targets { prefixes, ways: true, ..before.clone() }).unwrap();
        for dest in ["172.30.0.5", "fd30::5", SERVER] {
            engine.seen();
            let answered = world.on_client(|| tcp(dest, SERVER_PORT));
            assert_eq!(answered, dest == SERVER, "{dest}");
            assert!(engine.seen().iter().any(|seen| seen.2 == ip(dest)), "{dest}");
        }
        let view = steering.host_view();
        assert!(!view.local.contains(&ip("172.30.0.5")));
        assert!(
            view.ways.iter().any(|((net, _), device)| *net == ip("0.0.0.0") || device == "s0"),
            "{:?}",
            view.ways
        );
        steering.set_targets(&before).unwrap();
        engine.seen();
        assert!(!world.on_client(|| tcp("172.30.0.5", SERVER_PORT)));
        assert!(engine.seen().iter().all(|seen| seen.2 != ip("172.30.0.5")), "no longer");
        assert_eq!(steering.host_view().ways, []);
    });
}
