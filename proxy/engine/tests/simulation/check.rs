//! What a frame should have become, and what that does to the shadow.

use std::net::{IpAddr, SocketAddr};

use engine::{DropReason, Egress, State, Verdict};
use sched::{Direction, ForwardMethod, Proto, Share};
use wire::checksum;
use wire::frame::Frame;
use wire::packet::piece::set_identification;
use wire::packet::{L4, Packet, TcpFlags};

use crate::begin;
use crate::health::is_opening;
use crate::model::{Flow, FlowKey, Leaves, Model, Once, Reset, credited};
use crate::packets::{Says, Segment};
use crate::persist::{self, TemplateKey};
use crate::sctp::{ABORT, INIT, SHUTDOWN_COMPLETE};
use crate::tcp;

/// A server, and the local address and port that it is spoken to from, if that is not the client's.
pub(crate) type Chosen = (SocketAddr, Option<SocketAddr>);

/// What the engine did with a frame, and what it chose for the flow with a key.
pub(crate) struct Done<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) frame: &'a Frame,
    pub(crate) chosen: &'a dyn Fn(FlowKey) -> Option<Chosen>,
    pub(crate) template_of: &'a dyn Fn(TemplateKey) -> Option<SocketAddr>,
}

impl Done<'_> {
    pub(crate) fn dropped(&self, reason: DropReason) {
        assert_eq!(self.verdict, Verdict::Drop(reason));
    }

    /// It goes back to the host, unless it would only go on from there and the host is no router.
    pub(crate) fn passes(&self, model: &Model, src: IpAddr, dst: IpAddr, expected: &Frame) {
        if model.is_closed(src, dst) {
            self.dropped(DropReason::NotForwarded);
        } else {
            self.is(Verdict::Pass, expected);
        }
    }

    /// It is refused like this, unless that has been done too often lately.
    pub(crate) fn refused(&self, model: &mut Model, segment: &Segment, expected: impl FnOnce() -> Frame) {
        if !model.may_refuse() {
            self.dropped(DropReason::RefusalsLimited);
        } else if segment.src.ip().is_loopback() {
            self.dropped(DropReason::Unanswerable);
        } else {
            self.is(Verdict::Reply, &expected());
        }
    }

    pub(crate) fn is(&self, verdict: Verdict, expected: &Frame) {
        assert_eq!(self.verdict, verdict);
        let mut expected = expected.clone();
        let packet = Packet::parse(expected.packet()).expect("what should come out is a packet");
        let piece = Packet::parse(self.frame.packet()).ok().and_then(|is| is.piece(self.frame.packet()));
        if let (Verdict::Transmit(_), Some(piece)) = (verdict, piece) {
            // Which one it is does not matter.
            set_identification(&mut expected, &packet, piece.id);
        }
        let expected = &expected;
        let (is, should) = (describe(self.frame), describe(expected));
        assert_eq!(is, should, "the frame that comes out");
        assert!(self.frame.packet() == expected.packet(), "{is}: same headers, other bytes");
        assert_eq!(self.frame.offload, expected.offload, "{is}");
        assert_eq!(self.frame.encap, expected.encap, "{is}: the packet around it");
    }
}

fn describe(frame: &Frame) -> String {
    let packet = Packet::parse(frame.packet()).expect("what comes out is a packet");
    format!("{packet} ttl {}", packet.ttl)
}

/// TCP, UDP or SCTP, not fragmented.
pub(crate) fn segment(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    if segment.ttl == 0 && !model.local.contains(&segment.dst.ip()) {
        return done.dropped(DropReason::HopsUsedUp);
    }
    let (proto, src, dst) = (segment.proto, segment.src, segment.dst);
    let key = (proto, src, dst);
    if let Some(flow) = model.flows.get(&key).cloned() {
        if begins_anew(model, segment, &flow) {
            if model.knobs.reset_on_end {
                model.reset(key, false);
            } else {
                model.end(key);
            }
            return begin(model, segment, done);
        }
        return towards_server(model, segment, done);
    }
    if let Some(key) = model.replies.get(&key).copied() {
        let flow = model.flows[&key].clone();
        if flow.way.sums_all(segment, key) {
            return done.dropped(DropReason::Fragment);
        }
        model.seen(key, Direction::Out, segment);
        // What the client sees maps back to what the server said, exactly.
        let reply = segment.between(key.2, key.1).with_ttl(credited(segment.ttl, flow.way.hop_credit));
        return done.is(Verdict::Transmit(Egress::Route), &reply.frame());
    }
    begin(model, segment, done);
}

/// A packet of a flow that is treated as the first of another.
fn begins_anew(model: &mut Model, segment: &Segment, flow: &Flow) -> bool {
    let knobs = model.knobs;
    let syn = starts(segment);
    if !model.dests[flow.way.dest].available {
        if knobs.expire_nodest_conn {
            model.happened("left a removed server");
            return true;
        }
        if knobs.move_udp && segment.proto == Proto::Udp {
            model.happened("moved a datagram");
            return true;
        }
        if knobs.reuse_ports && syn {
            model.happened("began again without its server");
            return true;
        }
    }
    if syn && model.dests[flow.way.dest].down && is_opening(flow.state) {
        model.happened("left a dead server");
        return true;
    }
    if syn && knobs.expire_nodest_conn && model.weighs_nothing(segment, flow) {
        model.happened("left a drained server");
        return true;
    }
    let again = syn
        && match flow.state {
            State::TimeWait | State::Close | State::Closed => {
                knobs.reuse_ports || (knobs.conn_reuse_mode > 0 && flow.template.is_none())
            }
            State::FinWait
                if knobs.conn_reuse_mode & 2 != 0
                    && flow.template.is_none()
                    && !flow.way.method.sees_replies() =>
            {
                model.happened("began again past what the server said");
                true
            }
            State::FinWait | State::CloseWait | State::LastAck => {
                knobs.reuse_ports && flow.client_end.begun != Some(segment.seq)
            }
            _ => false,
        };
    if again {
        model.happened(if tcp::is_over(flow.state) {
            "began again what was over"
        } else {
            "began again what was open"
        });
    }
    again
}

fn begin(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    let key: FlowKey = (segment.proto, segment.src, segment.dst);
    let Some(at) = model.service(key.0, key.2) else { return persist::stray(model, segment, done) };
    if !opens(model, segment) {
        return not_ours(model, segment, done);
    }
    if let Some(fault) = model.fault(segment) {
        return done.dropped(fault);
    }
    if model.refuses() {
        return done.dropped(DropReason::Defence);
    }
    if let Some(persistence) = model.services[&at].persistence {
        return persist::begin(model, segment, at, persistence, done);
    }
    if at.l4_port().is_some_and(|port| port != key.2.port()) {
        return begin::nobody(model, segment, at, done);
    }
    let eligible = model.eligible(at);
    if eligible.is_empty() {
        model.happened("nobody to serve");
        return unreachable(model, segment, done);
    }
    let candidates: Vec<_> = eligible.into_iter().map(|dest| (dest, model.dests[dest].method)).collect();
    begin::at_one_of(model, segment, at, &candidates, None, done);
}

pub(crate) fn towards_server(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    let key = (segment.proto, segment.src, segment.dst);
    let flow = model.flows[&key].clone();
    let way = &flow.way;
    if !model.dests[way.dest].available {
        return done.dropped(DropReason::DestRemoved);
    }
    if way.sums_all(segment, key) {
        return done.dropped(DropReason::Fragment);
    }
    if model.is_too_big(segment, way.method, way.dest) {
        return too_big(model, segment, way.method, way.dest, done);
    }
    if model.dests[way.dest].share == Share::Out {
        model.happened("kept though its server is out");
    }
    model.seen(key, Direction::In, segment);
    let mut way = flow.way;
    way.goes(model, segment, done);
    model.flows.get_mut(&key).expect("the flow").way = way;
}

/// With the MTU that the client can do something about.
fn too_big(model: &mut Model, segment: &Segment, method: ForwardMethod, dest: usize, done: &Done<'_>) {
    let mtu = model.mtu_of(method, dest, segment.is_v4());
    model.happened("too big");
    done.refused(model, segment, || {
        Says::TooBig(mtu).own(segment.dst.ip(), segment.src.ip(), &segment.first_on_wire())
    });
}

pub(crate) fn not_ours(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    let (src, dst) = (segment.src.ip(), segment.dst.ip());
    if !model.is_our_vip(dst) {
        let ends = match segment.proto {
            Proto::Tcp => segment.flags.rst(),
            Proto::Sctp => segment.chunk == ABORT,
            Proto::Udp => false,
        };
        if model.knobs.nat_icmp_send && !ends && model.is_server(segment.proto, segment.src) {
            model.happened("refused a reply to nothing");
            let answer = || Says::PortUnreachable.own(dst, src, &segment.first_on_wire());
            return done.refused(model, segment, answer);
        }
        let ttl = model.ttl(segment.ttl, src, dst);
        return done.passes(model, src, dst, &segment.with_ttl(ttl).frame());
    }
    if let Some(fault) = model.fault(segment) {
        return done.dropped(fault);
    }
    match segment.proto {
        Proto::Sctp if matches!(segment.chunk, ABORT | SHUTDOWN_COMPLETE) => {
            done.dropped(DropReason::Unanswerable);
        }
        Proto::Udp | Proto::Sctp => unreachable(model, segment, done),
        Proto::Tcp if !model.may_refuse() => done.dropped(DropReason::RefusalsLimited),
        Proto::Tcp if segment.flags.rst() => done.dropped(DropReason::Unanswerable),
        Proto::Tcp => {
            model.happened("reset");
            reset(segment, done);
        }
    }
}

pub(crate) fn unreachable(model: &mut Model, segment: &Segment, done: &Done<'_>) {
    let (vip, client) = (segment.dst.ip(), segment.src.ip());
    done.refused(model, segment, || Says::PortUnreachable.own(vip, client, &segment.first_on_wire()));
}

fn reset(segment: &Segment, done: &Done<'_>) {
    assert_eq!(done.verdict, Verdict::Reply);
    let packet = Packet::parse(done.frame.packet()).expect("a packet");
    let L4::Tcp { src_port, dst_port, flags, .. } = packet.l4 else { panic!("{packet} is no TCP") };
    assert!(flags.rst() && (flags == TcpFlags::RST) == segment.flags.ack(), "{packet}");
    assert_eq!(SocketAddr::new(packet.src, src_port), segment.dst);
    assert_eq!(SocketAddr::new(packet.dst, dst_port), segment.src);
}

/// A fragment whose first one has not come.
pub(crate) fn waits(model: &mut Model, done: &Done<'_>) {
    assert_eq!(done.verdict, Verdict::Wait);
    model.waiting.push_back(model.now + 2000);
}

/// The second fragment goes where the first one has gone, with the same identification.
pub(crate) fn follows(model: &mut Model, rest: &Segment, verdict: Verdict, sent: &Frame, done: &Done<'_>) {
    let key = (rest.proto, rest.src, rest.dst);
    let (from, to) = (rest.src.ip(), rest.dst.ip());
    match verdict {
        Verdict::Transmit(_) => {
            model.happened("followed the first fragment");
            match (model.flows.get(&key).map(|flow| flow.way.clone()), model.once.clone()) {
                (Some(mut way), _) => {
                    model.seen(key, Direction::In, rest);
                    way.goes(model, rest, done);
                }
                (None, Some(Once::To(mut way))) => {
                    model.count_more(way.dest, Direction::In, rest.on_wire());
                    way.goes(model, rest, done);
                }
                (None, Some(Once::From(dest, vip))) => {
                    model.count_more(dest, Direction::Out, rest.on_wire());
                    let answer = rest.between(vip, rest.dst).with_ttl(model.ttl(rest.ttl, from, to));
                    done.is(Verdict::Transmit(Egress::Route), &answer.frame());
                }
                (None, None) => panic!("the first one went nowhere"),
            }
            let id = |frame: &Frame| {
                let packet = Packet::parse(frame.packet()).expect("a packet");
                packet.piece(frame.packet()).expect("a fragment").id
            };
            assert_eq!(id(done.frame), id(sent), "the identification of a datagram");
        }
        Verdict::Pass => {
            done.passes(model, from, to, &rest.with_ttl(model.ttl(rest.ttl, from, to)).frame());
        }
        Verdict::Drop(reason) => done.dropped(reason),
        Verdict::Reply | Verdict::Wait | Verdict::Divert(_) => done.dropped(DropReason::Unanswerable),
    }
}

/// What a frame that nothing has asked for says.
pub(crate) fn as_reset(frame: &Frame, egress: Egress) -> Reset {
    let packet = Packet::parse(frame.packet()).expect("what comes out is a packet");
    let L4::Tcp { src_port, dst_port, seq, ack, flags, .. } = packet.l4 else { panic!("{packet} is no TCP") };
    assert_eq!(flags, TcpFlags::RST | TcpFlags::ACK, "{packet}");
    let leaves = match (egress, &frame.encap) {
        (Egress::Route, None) => Leaves::Routed,
        (Egress::Route, Some(encap)) => Leaves::Inside(encap.dst),
        (Egress::Neighbour { next_hop, .. }, _) => Leaves::To(next_hop),
        (Egress::Back(way), _) => panic!("nobody is in the VLAN of {way:?}"),
    };
    (SocketAddr::new(packet.src, src_port), SocketAddr::new(packet.dst, dst_port), seq, ack, leaves)
}

/// Whatever leaves has checksums that verify.
pub(crate) fn checksums(verdict: Verdict, frame: &Frame) {
    if !matches!(verdict, Verdict::Drop(_)) {
        assert_eq!(checksum::verify_frame(frame), Ok(()), "{}", describe(frame));
    }
}

/// Only a SYN begins a TCP connection, or the answer to one from FTP's data port, and an INIT an association, unless
/// the operator is sloppy. Nothing begins at FTP's data port.
fn opens(model: &Model, segment: &Segment) -> bool {
    let flags = segment.flags;
    let answers_data = segment.dst.port() == 20 && flags.syn() && flags.ack() && !flags.rst();
    let anyway = match segment.proto {
        Proto::Tcp => !flags.rst() && (model.knobs.sloppy_tcp || answers_data),
        Proto::Sctp => model.knobs.sloppy_sctp && segment.chunk != ABORT,
        Proto::Udp => true,
    };
    (starts(segment) || anyway) && segment.src.port() != 20
}

fn starts(segment: &Segment) -> bool {
    match segment.proto {
        Proto::Tcp => {
            let of_three = TcpFlags(segment.flags.0 & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST).0);
            of_three == TcpFlags::SYN
        }
        Proto::Sctp => segment.chunk == INIT,
        Proto::Udp => false,
    }
}
