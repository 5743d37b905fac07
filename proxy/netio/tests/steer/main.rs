//! Steering against the real kernel. Needs root, `ip` and `nft`.

#![allow(clippy::unwrap_used)]

mod announced;
mod fronts;
mod interference;
mod rings;
mod silence;
mod traffic;
mod world;

use crate::world::*;

#[test]
fn forwards_both_families_and_puts_everything_back() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    steered(&world, &[VIP, VIP6], "", async |_, steering| {
        for vip in [VIP, VIP6] {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip}");
            assert!(world.on_client(|| udp(vip, VIP_PORT, 100)), "udp {vip}");
            assert!(world.on_client(|| ping(vip)), "ping {vip}");
        }
        settle(steering).await;
    });
}

/// Services, all else on the VIP, clients on the director, the director's own connections to a server.
fn everything_works(world: &World, vips: &[&str], local: bool) {
    for vip in vips {
        for round in 0..2 {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip} {round}");
            assert!(world.on_client(|| udp(vip, VIP_PORT, 100)), "udp {vip} {round}");
            assert!(world.on_client(|| ping(vip)), "ping {vip} {round}");
            assert_eq!(world.on_client(|| tcp(vip, 22)), local, "another port of {vip}");
            assert!(tcp(vip, VIP_PORT), "tcp {vip} from the director");
            assert!(udp(vip, VIP_PORT, 100), "udp {vip} from the director");
            assert!(ping(vip), "ping {vip} from the director");
            if local {
                assert!(tcp(vip, 22), "another port of {vip} from the director");
            }
        }
    }
    for server in [SERVER, SERVER6] {
        assert!(tcp(server, SERVER_PORT), "{server} from the director");
        assert!(udp(server, SERVER_PORT, 100), "{server} from the director");
        assert!(ping(server), "{server} from the director");
    }
}

#[test]
fn the_vip_may_become_an_address_of_the_host_and_stop_being_one() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    echo(&world.director, 22);
    steered(&world, &[VIP, VIP6], "", async |_, steering| {
        everything_works(&world, &[VIP, VIP6], false);
        for device in ["lo", "c0"] {
            sh(&format!("ip addr add {VIP}/32 dev {device}; ip addr add {VIP6}/128 dev {device} nodad"));
            settle(steering).await;
            assert!(steering.host_view().local.contains(&ip(VIP)));
            assert!(steering.host_view().local.contains(&ip(VIP6)));
            everything_works(&world, &[VIP, VIP6], true);
            sh(&format!("ip addr del {VIP}/32 dev {device}; ip addr del {VIP6}/128 dev {device}"));
            settle(steering).await;
            assert!(!steering.host_view().local.contains(&ip(VIP)));
            everything_works(&world, &[VIP, VIP6], false);
        }
    });
}
