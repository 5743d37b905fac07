//! A VIP answers pings like any host: by the engine where it is nobody's address, else by the host itself.

use lab::addr::Family;
use lab::client;
use lab::topo::{NatLab, NatOptions, VipPlace};

use crate::support::{Engine, PATIENCE};

#[test]
fn of_every_size_wherever_the_vip_is() {
    for place in [VipPlace::Routed, VipPlace::Loopback, VipPlace::Interface, VipPlace::Subnet] {
        let lab = NatLab::new(&NatOptions { vip: place, ..NatOptions::default() }).unwrap();
        let engine = Engine::start(&lab, &[]);
        let local = matches!(place, VipPlace::Loopback | VipPlace::Interface);
        for family in [Family::V4, Family::V6] {
            engine.service("tcp", lab.vip.port(family, 80), "rr", &[]);
            let sizes: &[usize] = if local { &[0, 1, 56, 1400, 4000, 20_000] } else { &[0, 1, 56, 1400] };
            for &size in sizes {
                let ping = client::ping(&lab.client, lab.vip.of(family), size, PATIENCE);
                ping.unwrap_or_else(|error| panic!("{place:?}, {size} bytes: {error:#}"));
            }
        }
        let answered = engine.status().counter("replied");
        assert_eq!(answered, if local { 0 } else { 8 }, "{place:?}: pings answered by the engine");
        assert_eq!(engine.status().drops(), [].into());
    }
}
