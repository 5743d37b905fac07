//! Steering against the real kernel. Needs root, `ip` and `nft`.
#![allow(clippy::unwrap_used)]

mod world;

use netio::steer::Steering;
use tempfile::tempdir;

use crate::world::*;

#[test]
fn forwards_both_families_and_puts_everything_back() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let before = snapshot();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            let engine = Engine::start(tun, &[VIP, VIP6]);
            steering.set_targets(&targets(&[VIP, VIP6])).unwrap();
            for vip in [VIP, VIP6] {
                assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip}");
                assert!(world.on_client(|| udp(vip, VIP_PORT, 100)), "udp {vip}");
            }
            settle(&mut steering).await;
            steering.stop().unwrap();
            assert_as_before(&before);
            drop(engine);
        });
    });
}
