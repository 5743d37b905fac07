//! The first packet of a flow, or one that is scheduled by itself, once it is known who may get it.

use engine::{DropReason, Verdict};
use sched::{Direction, ForwardMethod, Proto, ServiceKey};

use crate::check::{Done, not_ours, towards_server, unreachable};
use crate::local::Prospect;
use crate::model::{FlowKey, Model, Once};
use crate::packets::{Says, Segment};

/// A server, and how its service has it.
pub(crate) type Candidate = (usize, ForwardMethod);

/// One of the servers gets the packet.
pub(crate) fn at_one_of(
    model: &mut Model,
    segment: &Segment,
    at: ServiceKey,
    candidates: &[Candidate],
    template: Option<u64>,
    done: &Done<'_>,
) {
    let key: FlowKey = (segment.proto, segment.src, segment.dst);
    let of = |model: &Model, (dest, method): Candidate| {
        (dest, model.method_for(at, dest, method, segment.src.ip()))
    };
    let candidates: Vec<_> = candidates.iter().map(|candidate| of(model, *candidate)).collect();
    let by_itself = model.services[&at].one_packet && key.0 == Proto::Udp;
    if by_itself && (done.chosen)(key).is_none() && one_packet(model, segment, at, &candidates, done) {
        return;
    }
    let prospects: Vec<_> =
        candidates.iter().map(|(dest, method)| model.prospect(at, key, *dest, *method)).collect();
    let Some((server, local)) = (done.chosen)(key) else { return nowhere(model, &prospects, done) };
    let is_it = |(dest, method): &Candidate| {
        model.server_for(at, *dest, key.2) == server && (*method == ForwardMethod::FullNat) == local.is_some()
    };
    let chosen = candidates.iter().zip(&prospects).find(|(candidate, _)| is_it(candidate));
    let (&(dest, method), prospect) = chosen.unwrap_or_else(|| panic!("{server} must not get this flow"));
    assert!(prospect.fine, "{server} cannot have got this flow: {prospect:?}");
    if template.is_some() {
        assert_eq!(candidates.len(), 1, "whatever the scheduler, the weights and the load say");
    }
    let mut way = model.way(at, dest, method, key.1, key.2);
    if let Some(local) = local {
        model.takes_local(at, key, dest, local);
        way.peer = local;
    }
    model.happened(match method {
        ForwardMethod::Masq => "NAT",
        ForwardMethod::FullNat if model.dests[dest].method == ForwardMethod::Masq => "NAT by FullNAT",
        ForwardMethod::FullNat => "FullNAT",
        ForwardMethod::Route => "DR",
        ForwardMethod::Tunnel(_) => "a tunnel",
    });
    model.begin(key, way, template);
    towards_server(model, segment, done);
}

/// No flow has begun: nobody could have had it.
fn nowhere(model: &Model, prospects: &[Prospect], done: &Done<'_>) {
    let Verdict::Drop(reason) = done.verdict else { panic!("no flow, but {:?}", done.verdict) };
    if reason == DropReason::TableFull {
        return assert!(
            prospects.iter().any(|prospect| prospect.full),
            "the table is not full: {}",
            model.held()
        );
    }
    assert!(prospects.iter().all(|prospect| prospect.fault.is_some()), "{reason:?}: {prospects:?}");
    let faults = || prospects.iter().filter_map(|prospect| prospect.fault);
    // Taken reply tuples are told of if there is nothing else.
    let others = faults().any(|fault| fault != DropReason::ReplyTupleTaken);
    let told = faults().any(|fault| fault == reason);
    assert!(told && !(others && reason == DropReason::ReplyTupleTaken), "{reason:?}: {prospects:?}");
}

pub(crate) fn nobody(model: &mut Model, segment: &Segment, at: ServiceKey, done: &Done<'_>) {
    if at.l4_port() == Some(21) && segment.dst.port() != 21 {
        model.happened("data of no FTP");
        return not_ours(model, segment, done);
    }
    model.happened("nobody to serve");
    unreachable(model, segment, done);
}

/// A datagram that is scheduled by itself, to one of these. Not so if a server by FullNAT was chosen: then there would be
/// a connection.
fn one_packet(
    model: &mut Model,
    segment: &Segment,
    at: ServiceKey,
    to: &[Candidate],
    done: &Done<'_>,
) -> bool {
    let (to, by_connection): (Vec<Candidate>, Vec<_>) =
        to.iter().copied().partition(|(_, method)| *method != ForwardMethod::FullNat);
    let conns = |dest: usize| model.dests[dest].live.as_ref().expect("known").stats.read().conns;
    let chosen = to.iter().copied().find(|(dest, _)| conns(*dest) != model.dests[*dest].counts.conns);
    if let Some((dest, method)) = chosen {
        assert!(!model.is_too_big(segment, method, dest), "{} does not fit", segment.largest());
        let mut way = model.way(at, dest, method, segment.src, segment.dst);
        model.happened("one packet");
        model.count_once(dest, Direction::In, segment.on_wire());
        way.goes(model, segment, done);
        model.once = Some(Once::To(way));
        return true;
    }
    let mtus: Vec<_> = to
        .iter()
        .filter(|(dest, method)| model.is_too_big(segment, *method, *dest))
        .map(|(dest, method)| model.mtu_of(*method, *dest, segment.is_v4()))
        .collect();
    let refused = matches!(done.verdict, Verdict::Reply | Verdict::Drop(DropReason::RefusalsLimited));
    if !refused {
        assert!(!by_connection.is_empty(), "{:?} for no reason", done.verdict);
        return false;
    }
    model.happened("too big for one packet");
    let refusals = mtus
        .into_iter()
        .map(|mtu| Says::TooBig(mtu).own(segment.dst.ip(), segment.src.ip(), &segment.first_on_wire()));
    let mut refusals: Vec<_> = refusals.collect();
    refusals.sort_by_key(|refusal| refusal.packet() != done.frame.packet());
    done.refused(model, segment, || refusals.into_iter().next().expect("a packet that does not fit"));
    true
}
