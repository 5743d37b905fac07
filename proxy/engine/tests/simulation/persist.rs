//! Persistence, and answers to single packets, as the shadow has them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use engine::{Connection, DropReason, Egress, Verdict};
use sched::{Direction, Family, ForwardMethod, Persistence, Proto, ServiceKey};

use crate::begin;
use crate::check::{Done, not_ours};
use crate::model::{FlowKey, Model, Once};
use crate::packets::Segment;

/// Protocol, or none for a mark; the client's bits that count; VIP and port, or the mark.
pub(crate) type TemplateKey = (Option<Proto>, IpAddr, SocketAddr);

pub(crate) struct Template {
    pub(crate) key: TemplateKey,
    pub(crate) dest: usize,
    /// How it was reached when this was made.
    method: ForwardMethod,
    /// As it is listed.
    server: SocketAddr,
    timeout: u64,
    deadline: u64,
    members: u32,
    /// Some time since time went on last.
    had_members: bool,
    assured: bool,
}

/// All there are, and those that clients find.
#[derive(Default)]
pub(crate) struct Templates {
    all: BTreeMap<u64, Template>,
    ids: BTreeMap<TemplateKey, u64>,
    made: u64,
}

impl Templates {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn joined(&mut self, id: u64) {
        let template = self.all.get_mut(&id).expect("a live template");
        (template.members, template.had_members) = (template.members + 1, true);
    }

    pub(crate) fn left(&mut self, id: u64) {
        // It may have ended before its members.
        if let Some(template) = self.all.get_mut(&id) {
            template.members -= 1;
        }
    }

    pub(crate) fn assure(&mut self, id: u64) {
        if let Some(template) = self.all.get_mut(&id) {
            template.assured = true;
        }
    }

    /// How many remember this server.
    pub(crate) fn of(&self, dest: usize) -> usize {
        self.all.values().filter(|template| template.dest == dest).count()
    }
}

fn key_of(
    service: ServiceKey,
    persistence: Persistence,
    proto: Proto,
    client: IpAddr,
    vip: SocketAddr,
) -> TemplateKey {
    let client = persistence.mask.apply(client);
    match service {
        ServiceKey::Mark { mark, family } => {
            let n = mark.0.get();
            let ip: IpAddr = match family {
                Family::Ipv4 => Ipv4Addr::from_bits(n).into(),
                Family::Ipv6 => Ipv6Addr::from_bits(u128::from(n) << 96).into(),
            };
            (None, client, SocketAddr::new(ip, 0))
        }
        ServiceKey::Addr { l4_port: 0 | 21, .. } => (Some(proto), client, SocketAddr::new(vip.ip(), 0)),
        ServiceKey::Addr { .. } => (Some(proto), client, vip),
    }
}

/// The address that a connection to `vip` has at a server.
pub(crate) fn server_for(
    service: ServiceKey,
    persistent: bool,
    dest: SocketAddr,
    vip: SocketAddr,
) -> SocketAddr {
    let keeps_port = match service {
        ServiceKey::Mark { .. } => persistent,
        ServiceKey::Addr { l4_port, .. } => l4_port != vip.port(),
    };
    SocketAddr::new(dest.ip(), if keeps_port || dest.port() == 0 { vip.port() } else { dest.port() })
}

/// A flow of a persistent service begins.
pub(crate) fn begin(
    model: &mut Model,
    segment: &Segment,
    at: ServiceKey,
    persistence: Persistence,
    done: &Done<'_>,
) {
    let key: FlowKey = (segment.proto, segment.src, segment.dst);
    if model.services[&at].sip {
        return done.dropped(DropReason::NoCallId);
    }
    let client = key_of(at, persistence, key.0, key.1.ip(), key.2);
    let id = match valid(model, at, &client) {
        Some(id) => {
            model.happened("came back");
            id
        }
        None => {
            let eligible = model.eligible(at);
            if eligible.is_empty() {
                return begin::nobody(model, segment, at, done);
            }
            if model.is_full() {
                return done.dropped(DropReason::TableFull);
            }
            let server = (done.template_of)(client).expect("a template");
            let is_it = |dest: &usize| {
                let addr = model.dests[*dest].addr;
                addr.ip() == server.ip() && [0, addr.port()].contains(&server.port())
            };
            let dest = eligible.into_iter().find(is_it);
            let dest = dest.unwrap_or_else(|| panic!("{server} must not get this client"));
            make(model, client, dest, server, persistence)
        }
    };
    let now = model.now;
    let template = model.templates.all.get_mut(&id).expect("just found");
    template.deadline = now + template.timeout;
    let dest = template.dest;
    let here = model.services[&at].weight_in(&model.dests, dest).is_some();
    let method = if here { model.dests[dest].method } else { template.method };
    begin::at_one_of(model, segment, at, &[(dest, method)], Some(id), done);
}

/// The template of a client, unless it must not be used any more.
fn valid(model: &mut Model, at: ServiceKey, client: &TemplateKey) -> Option<u64> {
    let id = *model.templates.ids.get(client)?;
    let index = model.templates.all[&id].dest;
    let dest = &model.dests[index];
    let service = &model.services[&at];
    let leaves = match service.weight_in(&model.dests, index) {
        Some(weight) => model.knobs.expire_quiescent_template && weight == 0,
        // Out, unless it is another service's.
        None => service.everyone().any(|known| known == index),
    };
    if dest.available && !dest.down && !leaves {
        return Some(id);
    }
    let what = if dest.down { "came back to a dead server" } else { "forgot a server" };
    model.happened(what);
    end(model, id);
    None
}

fn make(model: &mut Model, key: TemplateKey, dest: usize, server: SocketAddr, how: Persistence) -> u64 {
    let timeout = u64::from(how.timeout) * 1000;
    let (members, had_members, assured, deadline) = (0, false, false, 0);
    let method = model.dests[dest].method;
    let template = Template { key, dest, method, server, timeout, deadline, members, had_members, assured };
    model.templates.made += 1;
    let id = model.templates.made;
    model.templates.all.insert(id, template);
    assert_eq!(model.templates.ids.insert(key, id), None, "{key:?} has one");
    model.counters.created += 1;
    id
}

fn end(model: &mut Model, id: u64) {
    let template = model.templates.all.remove(&id).expect("a live template");
    assert_eq!(model.templates.ids.remove(&template.key), Some(id));
    model.counters.expired += 1;
}

/// What comes from a server without a flow: the answer to a single packet, or nothing of ours.
pub(crate) fn stray(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    let source = |port| {
        let server = SocketAddr::new(segment.src.ip(), port);
        model.services.iter().filter(|(key, s)| s.one_packet && key.proto() == Some(Proto::Udp)).find_map(
            |(key, service)| {
                let (vip, l4_port) = (key.vip()?, key.l4_port()?);
                let here = |dest: &usize| {
                    let (addr, method) = (model.dests[*dest].addr, model.dests[*dest].method);
                    let port = if l4_port == 0 || addr.port() == 0 { l4_port } else { addr.port() };
                    method.sees_replies() && SocketAddr::new(addr.ip(), port) == server
                };
                let dest = service.everyone().find(here)?;
                Some((dest, SocketAddr::new(vip, if l4_port == 0 { segment.src.port() } else { l4_port })))
            },
        )
    };
    let may_be = segment.proto == Proto::Udp && model.knobs.ops_replies;
    let found = may_be.then(|| source(segment.src.port()).or_else(|| source(0))).flatten();
    let Some((dest, vip)) = found else { return not_ours(model, segment, done) };
    model.happened("answer to one packet");
    model.count_once(dest, Direction::Out, segment.on_wire());
    model.once = Some(Once::From(dest, vip));
    let ttl = model.ttl(segment.ttl, segment.src.ip(), segment.dst.ip());
    done.is(Verdict::Transmit(Egress::Route), &segment.between(vip, segment.dst).with_ttl(ttl).frame());
}

/// What the engine lists after time has gone on is what there should be; what it has let go it was right to let go.
pub(crate) fn expire(model: &mut Model, listed: &[Connection]) {
    let now = model.now;
    let mut held = BTreeMap::new();
    for conn in listed {
        let key: TemplateKey = (conn.proto, conn.client.ip(), conn.vip);
        assert!(held.insert(key, conn).is_none(), "listed twice: {conn:?}");
    }
    for (key, conn) in &held {
        let id = *model.templates.ids.get(key).unwrap_or_else(|| panic!("{conn:?} should not be there"));
        let template = model.templates.all.get_mut(&id).expect("found");
        assert_eq!((conn.dest, conn.assured), (template.server, template.assured), "{key:?}");
        let left = conn.expires_in.as_millis() as u64;
        if template.deadline.saturating_sub(now) != left || template.deadline + 1000 <= now {
            let what = format!("{key:?}: {left} ms at {now}, not {}", template.deadline);
            assert!(template.deadline <= now && template.had_members, "went on: {what}");
            if model.knobs.template_decay {
                template.timeout = 60_000;
            }
            // One more deadline may have passed, which nobody has looked at yet.
            let periods = (now - template.deadline) / template.timeout;
            template.deadline += (periods + u64::from(left > 0)) * template.timeout;
            assert_eq!(template.deadline.saturating_sub(now), left, "went on for another time: {what}");
            *model.seen.entry("outlived by its members").or_default() += 1;
        }
        assert!(template.deadline + 1000 > now, "{key:?} should be gone since {}", template.deadline);
    }
    let gone: Vec<_> = model.templates.ids.iter().filter(|(key, _)| !held.contains_key(key)).collect();
    let gone: Vec<u64> = gone.into_iter().map(|(_, id)| *id).collect();
    for id in gone {
        let template = &model.templates.all[&id];
        // As drop_entry lets flows go.
        let let_go = model.knobs.drop_entry != engine::Defence::Off && !template.assured;
        assert!(template.deadline <= now || let_go, "{:?} went early", template.key);
        assert_eq!(template.members, 0, "{:?} left its members", template.key);
        model.happened("a template expired");
        end(model, id);
    }
    for template in model.templates.all.values_mut() {
        template.had_members = template.members > 0;
    }
}
