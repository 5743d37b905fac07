//! Tunnels to servers behind a router: requests go inside other packets, and the servers answer past the director.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::serve::{Http, UdpEcho};
use lab::topo::{DirectLab, DirectOptions};

use crate::scene::FAMILIES;
use crate::support::Engine;
use crate::support::capture::Capture;
use crate::support::decapsulator::{Decapsulator, GUE_PORT};
use crate::support::talk::{self, works};

/// The options of `ipvsadm -a` for each kind of tunnel.
pub fn kinds() -> [String; 6] {
    let gue = |checksum| format!("-i --tun-type gue --tun-port {GUE_PORT} {checksum}");
    [
        "-i".to_owned(),
        "-i --tun-type gre --tun-nocsum".to_owned(),
        "-i --tun-type gre --tun-csum".to_owned(),
        gue("--tun-nocsum"),
        gue("--tun-csum"),
        gue("--tun-remcsum"),
    ]
}

/// A laboratory with one server that takes packets out of tunnels, somehow.
pub struct Tunnelled<F> {
    pub lab: DirectLab,
    pub far_end: F,
    _http: Http,
    _udp: [UdpEcho; 2],
    _capture: Capture,
}

impl<F> Tunnelled<F> {
    /// `begin` makes the server one that does.
    pub fn new(options: DirectOptions, begin: impl FnOnce(&DirectLab) -> F) -> Self {
        let lab = DirectLab::new(&DirectOptions { servers: 1, ..options }).unwrap();
        let far_end = begin(&lab);
        let server = &lab.servers[0];
        let udp = FAMILIES.map(|family| UdpEcho::start_at(server, lab.vip.port(family, 80)).unwrap());
        let http = Http::start(server, 80).unwrap();
        let test = std::thread::current().name().unwrap_or("tunnels").replace("::", "-");
        Self { _capture: Capture::start(&lab.director, &test), far_end, _http: http, _udp: udp, lab }
    }

    pub fn engine(&self) -> Engine<'_> {
        Engine::start_on(&self.lab.director, self.lab.state_dir(), &[])
    }

    /// Services of a family, whose server is reached at its address of another.
    pub fn serve(&self, engine: &Engine<'_>, inner: Family, outer: Family, kind: &str) {
        let (vip, server) = (self.vip(inner), self.lab.server_port(0, outer, 80));
        for proto in ["t", "u"] {
            engine.ulvs(&format!("ipvsadm -A -{proto} {vip} -s rr"));
            engine.ulvs(&format!("ipvsadm -a -{proto} {vip} -r {server} {kind}"));
        }
    }

    /// Nothing was dropped but what came after the services were gone, and the fragments behind a first one that was
    /// refused, as too long for the tunnel.
    pub fn nothing_lost(&self, engine: &Engine<'_>) {
        let status = engine.status();
        let mut drops = status.drops();
        drops.remove("dest-removed");
        drops.remove("unanswerable");
        assert!(drops.is_empty(), "{drops:?}");
    }

    pub fn vip(&self, family: Family) -> SocketAddr {
        self.lab.vip.port(family, 80)
    }

    /// Small and large things, both ways.
    pub fn works(&self, family: Family) {
        works(&self.lab.client, self.vip(family));
    }
}

#[test]
fn every_kind_of_tunnel_carries_either_family_in_either() {
    let options = DirectOptions { server_path: vec![1500], ..DirectOptions::default() };
    let tunnelled = Tunnelled::new(options, |lab| Decapsulator::start(&lab.servers[0]));
    let engine = tunnelled.engine();
    for kind in kinds() {
        for inner in FAMILIES {
            for outer in FAMILIES {
                tunnelled.serve(&engine, inner, outer, &kind);
                let before = tunnelled.far_end.taken();
                tunnelled.works(inner);
                assert!(tunnelled.far_end.taken() - before > 2000, "{kind}: {inner:?} in {outer:?}");
                engine.ulvs("ipvsadm -C");
            }
        }
    }
    assert_eq!(tunnelled.far_end.longest_since(), 1480, "as long as the path allows, and no longer");
    tunnelled.nothing_lost(&engine);
}

/// The way to the server gets narrow behind the next router, whose word is about the tunnel's packets: the client is
/// told what that means for its own.
#[test]
fn a_narrow_link_in_the_way_of_the_tunnel_is_told_to_the_client() {
    let options = DirectOptions { server_path: vec![1500, 1400], ..DirectOptions::default() };
    let tunnelled = Tunnelled::new(options, |lab| Decapsulator::start(&lab.servers[0]));
    let engine = tunnelled.engine();
    for kind in kinds() {
        for inner in FAMILIES {
            for outer in FAMILIES {
                tunnelled.serve(&engine, inner, outer, &kind);
                talk::pages_and_transfers(&tunnelled.lab.client, tunnelled.vip(inner));
                engine.ulvs("ipvsadm -C");
                // IPv6 says nothing about being cut, so that IPv4 around it may be (as IPVS does it).
                if (inner, outer) != (Family::V6, Family::V4) {
                    let longest = tunnelled.far_end.longest_since();
                    assert!(longest <= 1380, "{kind}: {inner:?} in {outer:?}: {longest}");
                }
                tunnelled.far_end.longest_since();
            }
        }
    }
    tunnelled.nothing_lost(&engine);
}

#[test]
fn a_narrow_link_in_the_way_of_answers_is_told_to_the_server() {
    let options =
        DirectOptions { server_path: vec![1500], client_path: vec![1500, 1400], ..DirectOptions::default() };
    let tunnelled = Tunnelled::new(options, |lab| Decapsulator::start(&lab.servers[0]));
    let engine = tunnelled.engine();
    for inner in FAMILIES {
        for outer in FAMILIES {
            tunnelled.serve(&engine, inner, outer, "-i");
            talk::pages_and_transfers(&tunnelled.lab.client, tunnelled.vip(inner));
            engine.ulvs("ipvsadm -C");
        }
    }
    tunnelled.nothing_lost(&engine);
}

/// The longest ping is the director's to answer, whatever the method.
#[test]
fn the_director_answers_pings_itself() {
    let options = DirectOptions { server_path: vec![1500], ..DirectOptions::default() };
    let tunnelled = Tunnelled::new(options, |lab| Decapsulator::start(&lab.servers[0]));
    let engine = tunnelled.engine();
    for family in FAMILIES {
        tunnelled.serve(&engine, family, family, "-i");
        talk::longest_ping(&tunnelled.lab.client, tunnelled.vip(family));
    }
}
