//! Rows of method, family, protocol and offload, each with every case that makes sense of them.

mod deaths;
mod errors;
mod flows;
mod lost;
mod talk;
mod tunnels;

use sched::{Family, ForwardMethod, Proto, Tunnel, TunnelChecksum, TunnelKind};

use crate::case::Step;
use crate::director::Director;
use crate::net::Net;
use engine::Knobs;
use talk::{Load, Talk};

/// What a case comes to in a row; `None` where there is no such thing.
type Steps = fn(&Talk<'_>) -> Option<Vec<Step>>;

const METHODS: [ForwardMethod; 3] = [ForwardMethod::Masq, ForwardMethod::FullNat, ForwardMethod::Route];

const TUNNELS: [Tunnel; 6] = [
    tunnel(TunnelKind::Ipip, TunnelChecksum::None),
    tunnel(TunnelKind::Gre, TunnelChecksum::None),
    tunnel(TunnelKind::Gre, TunnelChecksum::Full),
    tunnel(TunnelKind::Gue, TunnelChecksum::None),
    tunnel(TunnelKind::Gue, TunnelChecksum::Full),
    tunnel(TunnelKind::Gue, TunnelChecksum::Remote),
];

const fn tunnel(kind: TunnelKind, checksum: TunnelChecksum) -> Tunnel {
    Tunnel { kind, port: if matches!(kind, TunnelKind::Gue) { 6080 } else { 0 }, checksum }
}

/// Every method in either family.
fn nets() -> impl Iterator<Item = Net> {
    METHODS.into_iter().flat_map(|method| Net::BOTH.map(|net| net.by(method))).chain(tunnels())
}

/// Every tunnel with either family in either.
fn tunnels() -> impl Iterator<Item = Net> {
    let outer = || [Family::Ipv4, Family::Ipv6].into_iter();
    TUNNELS.into_iter().flat_map(move |tunnel| {
        outer().flat_map(move |outer| Net::BOTH.map(|net| net.through(tunnel, outer)))
    })
}

const LOADS: [(Proto, &[Load]); 3] = [
    (Proto::Tcp, &[Load::Whole, Load::Partial, Load::Super]),
    (Proto::Udp, &[Load::Whole, Load::Partial, Load::Super]),
    (Proto::Sctp, &[Load::Whole, Load::Partial]),
];

/// Runs the cases in every row of these and says how many there were.
fn run(nets: impl IntoIterator<Item = Net>, cases: &[(&str, Steps)]) -> usize {
    let mut rows = 0;
    for net in nets {
        for (proto, load) in LOADS.iter().flat_map(|(proto, loads)| loads.iter().map(|load| (*proto, *load)))
        {
            let talk = Talk { net: &net, proto, load };
            for (what, steps) in cases {
                let Some(steps) = steps(&talk) else { continue };
                rows += 1;
                let Net { method, family, outer, .. } = net;
                let row = format!("{method:?}, {family:?} to {outer:?}, {proto:?}, {load:?}: {what}");
                let mut director = Director::new(&net, 1000, Knobs::default());
                for (i, step) in steps.into_iter().enumerate() {
                    director.run(&format!("{row}: step {}", i + 1), step);
                }
                director.nothing_untold(&row);
            }
        }
    }
    rows
}

#[test]
fn every_method_forwards_every_protocol_in_every_form() {
    assert!(run(nets(), flows::CASES) >= 2450);
}

#[test]
fn every_method_refuses_what_does_not_fit_and_translates_errors() {
    assert!(run(nets(), errors::CASES) >= 670);
}

#[test]
fn every_method_tells_what_is_not_forwarded() {
    assert!(run(nets(), lost::CASES) >= 900);
}

#[test]
fn every_method_sees_what_clients_meet_and_leaves_the_dead() {
    assert!(run(nets(), deaths::CASES) >= 1);
}

#[test]
fn every_tunnel_makes_the_packet_around_the_packet() {
    assert!(run(tunnels(), tunnels::CASES) >= 900);
}
