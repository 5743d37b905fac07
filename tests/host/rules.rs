//! The host's own connections to servers, and its own policy routing.

use lab::client;
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatOptions, VipPlace};

use super::{SSH, add_services, host_is_usable, open, services_work, still_carry};
use crate::scene::{FAMILIES, Scene};
use crate::support::{Engine, PATIENCE};

/// To the very port of a service, so that the answers look like those that have to be translated.
#[test]
fn connections_of_the_host_to_a_server_go_on() {
    for (vip, forwarding) in [(VipPlace::Routed, false), (VipPlace::Loopback, true)] {
        let scene = Scene::new(&NatOptions { vip, forwarding, rp_filter: Some(1), ..NatOptions::default() });
        let server = |family| scene.lab.server_port(0, family, 80);
        let mut old = open(scene.director(), server);
        still_carry(&mut old);
        let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
        still_carry(&mut old);
        let mut new = open(scene.director(), server);
        still_carry(&mut new);
        scene.works();
        engine.stop();
        still_carry(&mut old);
        still_carry(&mut new);
    }
}

/// The way to the servers, the clients' way back and the VIP's own way are in tables of the host, found by rules; what
/// the main table says is wrong.
#[test]
fn rules_of_the_host_hold_for_what_the_engine_sends() {
    let scene = Scene::new(&NatOptions {
        vip: VipPlace::Loopback,
        forwarding: false,
        rp_filter: Some(1),
        ..NatOptions::default()
    });
    let _udp: Vec<_> = scene.lab.servers.iter().map(|server| UdpEcho::start(server, 53).unwrap()).collect();
    let _ssh = Http::start(scene.director(), SSH).unwrap();
    let script = "
        ip rule add to 10.0.0.0/24 lookup 101 pref 100
        ip rule add to 198.51.100.0/24 lookup 102 pref 101
        ip rule add from 203.0.113.1 lookup 103 pref 99
        ip route add 10.0.0.0/24 dev to-servers src 10.0.0.1 table 101
        ip route add 198.51.100.0/24 dev to-client src 198.51.100.1 table 102
        ip route add 198.51.100.0/24 dev to-client table 103
        ip route add unreachable 10.0.0.0/24 metric 1
        ip route add unreachable 198.51.100.0/24 metric 1
        ip route del 10.0.0.0/24 dev to-servers
        ip route del 198.51.100.0/24 dev to-client
        ip -6 rule add to 2001:db8:2::/64 lookup 101 pref 100
        ip -6 rule add to 2001:db8:1::/64 lookup 102 pref 101
        ip -6 route add 2001:db8:2::/64 dev to-servers table 101
        ip -6 route add 2001:db8:1::/64 dev to-client table 102
        ip -6 route del 2001:db8:2::/64 dev to-servers
        ip -6 route del 2001:db8:1::/64 dev to-client
        ip -6 route add unreachable 2001:db8:2::/64
        ip -6 route add unreachable 2001:db8:1::/64
        # A mark of somebody else on everything, and a rule that must not catch what has it.
        nft add table inet theirs
        nft 'add chain inet theirs prerouting { type filter hook prerouting priority -200; }'
        nft 'add chain inet theirs output { type route hook output priority -200; }'
        nft add rule inet theirs prerouting meta mark set meta mark or 0x1
        nft add rule inet theirs output meta mark set meta mark or 0x1
        ip rule add fwmark 0x2/0x2 unreachable pref 98";
    scene.director().exec(&["sh", "-ec", script]).unwrap();
    for family in FAMILIES {
        client::ping(&scene.lab.client, scene.lab.vip.of(family), 56, PATIENCE).unwrap();
        client::ping(scene.director(), scene.lab.server_addrs[0].of(family), 56, PATIENCE).unwrap();
    }
    let before = scene.snapshot();
    let engine = Engine::start(&scene.lab, &[]);
    add_services(&scene, &engine);
    services_work(&scene);
    host_is_usable(&scene);
    engine.stop();
    scene.assert_as(&before, "`ulvs stop`");
}
