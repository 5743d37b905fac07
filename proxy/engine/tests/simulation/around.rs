//! What else happens: time passes, the operator edits, the host and the paths change.

use std::net::SocketAddr;
use std::time::Duration;

use engine::{Defence, Knobs};
use sched::{
    DestSpec, Family, Netmask, OnDown, Op, Path, Persistence, PersistenceEngine, Proto, ServiceKey,
    ServiceSpec, Weight,
};

use crate::cast::{host, lip, method, router, server_of, service_key, straight};
use crate::rng::Rng;
use crate::world::World;

const SCHEDULERS: &[&str] = &["rr", "wrr", "lc", "wlc"];

pub(crate) fn a_moment(world: &mut World) {
    let millis = world.rng.below(2_000);
    world.advance(millis);
}

pub(crate) fn a_while(world: &mut World) {
    let millis = world.rng.below(130_000);
    world.advance(millis);
}

pub(crate) fn an_age(world: &mut World) {
    let millis = world.rng.below(3_000_000);
    world.advance(millis);
}

pub(crate) fn a_late_worker(world: &mut World) {
    let millis = world.rng.below(200_000);
    world.sleep(millis);
}

fn spec(world: &mut World, key: ServiceKey, addr: SocketAddr) -> DestSpec {
    let weight = Weight(*world.rng.pick(&[0, 1, 1, 2, 3]));
    DestSpec { weight, method: method(world, key, addr), ..DestSpec::new(addr) }
}

pub(crate) fn some_service(world: &mut World) -> Option<ServiceKey> {
    let n = world.model.services.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.services.keys().nth(i).copied())
}

pub(crate) fn edit_dest(world: &mut World) {
    let Some(key) = some_service(world) else { return add_service(world) };
    let addr = server_of(world, key);
    let there = world.model.services[&key].dests.iter().any(|dest| world.model.dests[*dest].addr == addr);
    let op = match (there, world.rng.below(5)) {
        (true, 0..2) => Op::DelDest { key, addr },
        (true, _) => Op::EditDest { key, dest: spec(world, key, addr) },
        (false, _) => Op::AddDest { key, dest: spec(world, key, addr) },
    };
    world.edit(&[op]);
}

pub(crate) fn edit_service(world: &mut World) {
    let Some(key) = some_service(world) else { return add_service(world) };
    match world.rng.below(12) {
        0..2 => world.edit(&[Op::DelService { key }]),
        2..7 => add_service(world),
        7..9 => {
            let service = settings(world, key);
            world.edit(&[Op::EditService { service }]);
        }
        9 => world.edit(&[Op::Zero { key: None }]),
        10 => {
            // Removed and made anew in one go: what a restore of the same rules does.
            let dests = world.model.services[&key].dests.iter();
            let addrs: Vec<_> = dests.map(|dest| world.model.dests[*dest].addr).collect();
            let dests = addrs.into_iter().map(|addr| spec(world, key, addr)).collect();
            let service = ServiceSpec { dests, ..settings(world, key) };
            world.edit(&[Op::DelService { key }, Op::AddService { service }]);
        }
        _ if world.rng.one_in(4) => world.edit(&[Op::Flush]),
        _ => {}
    }
}

pub(crate) fn add_service(world: &mut World) {
    let key = service_key(world);
    if world.model.services.contains_key(&key) {
        return;
    }
    let mut dests: Vec<DestSpec> = Vec::new();
    for _ in 0..world.rng.below(4) {
        let addr = server_of(world, key);
        if dests.iter().all(|dest| dest.addr != addr) {
            dests.push(spec(world, key, addr));
        }
    }
    let service = ServiceSpec { dests, ..settings(world, key) };
    world.edit(&[Op::AddService { service }]);
}

/// A scheduler and all else that a service has but servers.
fn settings(world: &mut World, key: ServiceKey) -> ServiceSpec {
    let rng = &mut world.rng;
    let masks = match key.family() {
        Family::Ipv4 => [Netmask::V4([255, 255, 255, 252].into()), Netmask::full(Family::Ipv4)],
        Family::Ipv6 => [Netmask::V6(126), Netmask::full(Family::Ipv6)],
    };
    let how = Persistence { timeout: *rng.pick(&[5, 50, 400]), mask: *rng.pick(&masks) };
    let persistence = (key.l4_port() == Some(0) || rng.one_in(3)).then_some(how);
    let one_packet = key.proto() != Some(Proto::Tcp) && rng.one_in(2);
    let scheduler = *rng.pick(SCHEDULERS);
    let sip = key.proto() == Some(Proto::Udp) && persistence.is_some() && rng.one_in(4);
    let pe = sip.then_some(PersistenceEngine::Sip);
    let lips = if rng.one_in(6) { vec![host(key.family() == Family::Ipv4, 4, 9)] } else { Vec::new() };
    ServiceSpec { persistence, one_packet, pe, lips, ..ServiceSpec::new(key, scheduler) }
}

const DEFENCES: &[Defence] = &{
    const OFF: Defence = Defence::Off;
    [OFF, OFF, OFF, OFF, OFF, OFF, Defence::Auto, Defence::Always]
};

/// The operator turns knobs.
pub(crate) fn settings_change(world: &mut World) {
    let rng = &mut world.rng;
    let timeout = |rng: &mut Rng, usual| Duration::from_secs(*rng.pick(&[usual, usual, 3, 20]));
    let yes = |rng: &mut Rng| rng.one_in(2);
    let knobs = Knobs {
        tcp_timeout: timeout(rng, 900),
        tcp_fin_timeout: timeout(rng, 120),
        udp_timeout: timeout(rng, 300),
        amemthresh: *rng.pick(&[0, 3, 30, 1024]),
        am_droprate: *rng.pick(&[0, 1, 3, 10]),
        drop_entry: *rng.pick(DEFENCES),
        drop_packet: *rng.pick(DEFENCES),
        secure_tcp: *rng.pick(DEFENCES),
        nat_icmp_send: rng.one_in(3),
        pmtu_disc: !rng.one_in(4),
        conn_reuse_mode: *rng.pick(&[0, 1, 1, 2, 3]),
        expire_nodest_conn: rng.one_in(2),
        sloppy_tcp: rng.one_in(4),
        sloppy_sctp: rng.one_in(4),
        reset_on_end: yes(rng),
        move_udp: yes(rng),
        reuse_ports: yes(rng),
        template_decay: yes(rng),
        ops_replies: !rng.one_in(4),
        expire_quiescent_template: yes(rng),
        hairpin: !rng.one_in(4),
        ..Knobs::default()
    };
    world.set_knobs(knobs);
}

/// What the daemon does after servers have been removed.
pub(crate) fn orphans_end(world: &mut World) {
    world.end_flows(None);
}

pub(crate) fn a_server_is_emptied(world: &mut World) {
    let n = world.model.dests.len() as u64;
    if n > 0 {
        let dest = world.rng.below(n) as usize;
        world.end_flows(Some((dest, OnDown::Reset)));
    }
}

/// A VIP becomes an address of the host, a client or a server runs on it, it is a router or not.
pub(crate) fn host_changes(world: &mut World) {
    let mut local = Vec::new();
    for v4 in [true, false] {
        for (net, one_in) in [(1, 8), (2, 3), (3, 8)] {
            local.extend((1..5).map(|n| host(v4, net, n)).filter(|_| world.rng.one_in(one_in)));
        }
    }
    let closed = [(); 2].map(|()| world.rng.one_in(4));
    world.set_host(local, closed);
}

pub(crate) fn path_changes(world: &mut World) {
    let n = world.model.dests.len() as u64;
    if n == 0 {
        return;
    }
    let dest = world.rng.below(n) as usize;
    if world.rng.one_in(2) {
        let mtu = *world.rng.pick(&[0, 1500, 1300, 1280, 600]);
        return world.set_mtu(dest, mtu);
    }
    let server = world.model.dests[dest].addr.ip();
    let path = straight(server);
    let path = match world.rng.below(6) {
        0 => None,
        1 => Some(Path { source: None, ..path }),
        2..4 => Some(Path { next_hop: router(server.is_ipv4()), device: 5, ..path }),
        _ => Some(path),
    };
    world.set_path(dest, path);
}

/// A local address is everybody's, or no longer.
pub(crate) fn lips_change(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let lip = lip(world, v4);
    let there = world.model.lips.contains(&lip);
    world.edit(&[if there { Op::DelLip { key: None, lip } } else { Op::AddLip { key: None, lip } }]);
}
