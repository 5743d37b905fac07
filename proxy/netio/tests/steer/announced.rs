//! Neighbours are told where a VIP of nobody's is, before they ask.

use netio::steer::Steering;
use tempfile::tempdir;

use crate::world::*;

/// In the client's subnets.
const NEAR: [&str; 2] = ["10.0.0.99", "fd00:a::99"];

#[test]
fn a_client_that_knows_the_vip_from_elsewhere_learns_that_it_is_here() {
    let world = World::routed();
    let elsewhere = || {
        for vip in NEAR {
            sh(&format!("ip neigh replace {vip} lladdr 02:00:00:00:00:55 nud stale dev e0"));
        }
    };
    let left = || NEAR.iter().filter(|vip| sh(&format!("ip neigh show {vip}")).contains("00:55")).count();
    world.on_client(elsewhere);
    assert_eq!(world.on_client(left), 2);
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            steering.set_targets(&targets(&NEAR)).unwrap();
            for _ in 0..100 {
                if world.on_client(left) == 0 {
                    break;
                }
                settle(&mut steering).await;
            }
            assert_eq!(world.on_client(left), 0, "{}", world.on_client(|| sh("ip neigh")));
            steering.stop().unwrap();
        });
    });
}
