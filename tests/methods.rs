//! Every method that needs nothing special on the servers, with real sockets on both ends: small and large things, whole
//! and in fragments, and the same across a link of 1400 bytes in the middle.

use std::net::SocketAddr;

use lab::node::Node;
use lab::serve::{Http, UdpEcho};
use lab::topo::{DirectLab, DirectOptions, NatLab, NatOptions, VipPlace};

use crate::scene::FAMILIES;
use crate::support::Engine;
use crate::support::capture::Capture;
use crate::support::talk::{self, works};

const NARROW: u32 = 1400;

/// Services for TCP and UDP, each with all of these servers.
fn serve(engine: &Engine<'_>, vip: SocketAddr, servers: &[SocketAddr], options: &str) {
    for proto in ["t", "u"] {
        engine.ulvs(&format!("ipvsadm -A -{proto} {vip} -s rr"));
        for server in servers {
            engine.ulvs(&format!("ipvsadm -a -{proto} {vip} -r {server} {options}"));
        }
    }
}

fn nothing_dropped(engine: &Engine<'_>) {
    let status = engine.status();
    assert_eq!(status.drops(), [].into());
    assert_eq!(status.counter("unsent"), 0);
}

/// The answers come back by the director: `-m` and `--fullnat`.
fn both_ways(name: &str, options: &NatOptions, flag: &str) {
    let lab = NatLab::new(options).unwrap();
    let ends = |server: &Node| (Http::start(server, 8080).unwrap(), UdpEcho::start(server, 8080).unwrap());
    let _servers: Vec<_> = lab.servers.iter().map(ends).collect();
    let _capture = Capture::start(&lab.director, name);
    let engine = Engine::start(&lab, &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        let servers: Vec<_> = (0..lab.servers.len()).map(|n| lab.server_port(n, family, 8080)).collect();
        serve(&engine, vip, &servers, flag);
        works(&lab.client, vip);
        talk::longest_ping(&lab.client, vip);
    }
    nothing_dropped(&engine);
}

#[test]
fn nat() {
    both_ways("nat", &NatOptions::default(), "-m");
}

#[test]
fn fullnat() {
    both_ways("fullnat", &NatOptions::default(), "--fullnat");
}

#[test]
fn nat_across_a_narrow_link() {
    let options = NatOptions { path: vec![1500, NARROW], ..NatOptions::default() };
    both_ways_narrow("nat-narrow", &options, "-m");
}

#[test]
fn fullnat_across_a_narrow_link() {
    let options = NatOptions { path: vec![1500, NARROW], ..NatOptions::default() };
    both_ways_narrow("fullnat-narrow", &options, "--fullnat");
}

/// Transfers find the MTU, whichever way; of datagrams the first may tell.
fn both_ways_narrow(name: &str, options: &NatOptions, flag: &str) {
    let lab = NatLab::new(options).unwrap();
    let _http = Http::start(&lab.servers[0], 8080).unwrap();
    let _capture = Capture::start(&lab.director, name);
    let engine = Engine::start(&lab, &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        serve(&engine, vip, &[lab.server_port(0, family, 8080)], flag);
        talk::pages_and_transfers(&lab.client, vip);
    }
    nothing_dropped(&engine);
}

struct Direct {
    lab: DirectLab,
    _servers: Vec<(Http, [UdpEcho; 2])>,
}

impl Direct {
    fn new(options: &DirectOptions) -> Self {
        let lab = DirectLab::new(options).unwrap();
        let echo = |server, family| UdpEcho::start_at(server, lab.vip.port(family, 80)).unwrap();
        let ends = |server| (Http::start(server, 80).unwrap(), FAMILIES.map(|family| echo(server, family)));
        Self { _servers: lab.servers.iter().map(ends).collect(), lab }
    }

    fn each(&self, name: &str, talk: impl Fn(&Node, SocketAddr)) {
        let lab = &self.lab;
        let _capture = Capture::start(&lab.director, name);
        let engine = Engine::start_on(&lab.director, lab.state_dir(), &[]);
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            let servers: Vec<_> = (0..lab.servers.len()).map(|n| lab.server_port(n, family, 80)).collect();
            serve(&engine, vip, &servers, "-g");
            talk(&lab.client, vip);
        }
        nothing_dropped(&engine);
    }
}

#[test]
fn direct_routing() {
    for vip in [VipPlace::Routed, VipPlace::Loopback, VipPlace::Interface, VipPlace::Subnet] {
        let direct = Direct::new(&DirectOptions { vip, ..DirectOptions::default() });
        direct.each(&format!("direct-{vip:?}"), |client, vip| {
            works(client, vip);
            talk::longest_ping(client, vip);
        });
    }
}

/// What the narrow link says about the server's answers comes to the director, whose VIP it is, and has to get to the
/// server.
#[test]
fn direct_routing_across_a_narrow_link() {
    let options = DirectOptions { servers: 1, client_path: vec![1500, NARROW], ..DirectOptions::default() };
    Direct::new(&options).each("direct-narrow", talk::pages_and_transfers);
}

/// All methods within one service, a page from each server in turn.
#[test]
fn methods_are_mixed_within_a_service() {
    let direct = Direct::new(&DirectOptions { servers: 3, ..DirectOptions::default() });
    let lab = &direct.lab;
    let engine = Engine::start_on(&lab.director, lab.state_dir(), &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
        for (index, flag) in ["-g", "--fullnat", "-g"].into_iter().enumerate() {
            let server = lab.server_port(index, family, 80);
            engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} {flag}"));
        }
        let pages: Vec<_> =
            (0..6).map(|_| lab::client::get(&lab.client, vip, "/").unwrap().body.trim().to_owned()).collect();
        let mut turns = pages[..3].to_vec();
        turns.sort();
        assert_eq!(turns, ["server1", "server2", "server3"]);
        assert_eq!(pages[..3], pages[3..], "{family:?}");
        let list = engine.ulvs("ipvsadm -Ln");
        assert!(list.contains("FullNat") && list.contains("Route"), "{list}");
    }
    nothing_dropped(&engine);
}

#[test]
fn datagrams_that_wait_for_a_neighbour_are_not_overtaken() {
    let lab = DirectLab::new(&DirectOptions { servers: 1, ..DirectOptions::default() }).unwrap();
    let engine = Engine::start_on(&lab.director, lab.state_dir(), &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        engine.ulvs(&format!("ipvsadm -A -u {vip} -s rr"));
        engine.ulvs(&format!("ipvsadm -a -u {vip} -r {} -g", lab.server_port(0, family, 80)));
        talk::order_is_kept_by_one_who_forgets(&lab.director, (&lab.client, vip), (&lab.servers[0], vip));
    }
    nothing_dropped(&engine);
}
