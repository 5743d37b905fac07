//! The words that cases are written in.

use std::net::{IpAddr, SocketAddr};

use engine::{DropReason, Egress, Knobs, State, Verdict};
use sched::{Family, OnDown, Op, Proto};
use wire::build::Build;
use wire::checksum::Delta;
use wire::encap::Encap;
use wire::frame::{self, Frame};

use crate::net::Net;

/// One behaviour: what it is, and the steps that show it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) only: Option<Family>,
    pub(crate) max_connections: usize,
    pub(crate) knobs: Knobs,
    /// What happens first.
    pub(crate) before: Option<fn(&Net) -> Step>,
    pub(crate) steps: fn(&Net) -> Vec<Step>,
}

/// A case for both families.
pub(crate) fn case(what: &'static str, steps: fn(&Net) -> Vec<Step>) -> Case {
    Case { what, only: None, max_connections: 1000, knobs: Knobs::default(), before: None, steps }
}

impl Case {
    pub(crate) fn v4(self) -> Self {
        Self { only: Some(Family::Ipv4), ..self }
    }

    pub(crate) fn v6(self) -> Self {
        Self { only: Some(Family::Ipv6), ..self }
    }

    pub(crate) fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    pub(crate) fn before(self, step: fn(&Net) -> Step) -> Self {
        Self { before: Some(step), ..self }
    }

    pub(crate) fn max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }
}

/// Something that happens.
pub(crate) enum Step {
    /// A frame comes in.
    Frame { input: Box<Frame>, verdict: Verdict, output: Option<Box<Frame>>, moves: Vec<Move> },
    /// Time passes, with a timeout handled whenever the worker asks for it.
    Wait { millis: u64, moves: Vec<Move> },
    /// These frames have left since the step before, of which nothing has asked for one. Whatever leaves has to be named.
    Own(Vec<Frame>),
    /// The frames that were named in the step before have left by these ways.
    Ways(Vec<Egress>),
    /// So many connections to removed servers are ended.
    Orphans(usize),
    /// So many connections to this server are ended.
    Reset(Leg, usize),
    /// The same of one that has died, whose connections fare like this.
    Dies(Leg, OnDown, usize),
    /// Clients have met this at a server: so many answered, refused, unanswered connections; so many of these in a row.
    Met(Leg, [u64; 4]),
    /// The services change.
    Edit(Vec<Op>),
    /// The host has these addresses.
    Host(Vec<IpAddr>),
    /// The same, and it is no router.
    Closed(Vec<IpAddr>),
    /// The path to a server has this MTU.
    Mtu(Leg, u32),
    /// There is no way to any server any more.
    NoWay,
    /// There is one, but the host has no address that it would use there.
    NoSource,
    /// The one connection of this client is in this state and has so many seconds left.
    Shows(SocketAddr, State, u64),
    /// The settings change.
    Knobs(Knobs),
    /// A server begins to be drained.
    Drain(Leg),
    /// These templates are there and no others: protocol, state, seconds left, client, VIP, server, Call-ID.
    Templates(Vec<Template>),
    /// No timer runs.
    Idle,
}

/// A persistence template as a listing shows it.
pub(crate) type Template =
    (Option<Proto>, &'static str, u64, SocketAddr, SocketAddr, SocketAddr, Option<&'static str>);

/// A server as one service has it: the service's address, then the server's. A mark stands as an address, as in
/// listings of templates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg(pub(crate) SocketAddr, pub(crate) SocketAddr);

/// A change of the ledger that a step makes, besides those that its verdict alone implies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    /// A connection to this server is made.
    New(Leg),
    /// So many connections end.
    Gone(i64),
    /// A packet is scheduled by itself to this server.
    Once(Leg),
    /// So many persistence templates for this server are made, or end.
    Template(Leg, i64),
    /// The same, of a template of another service, which is the one that the server is counted for.
    NewAs(Leg, Leg),
    /// So many packets with so many bytes on such a connection.
    InAs(Leg, Leg, u64, u64),
    /// The server's active connections.
    Active(Leg, i64),
    /// The server's other connections.
    Inactive(Leg, i64),
    /// So many packets with so many bytes from clients.
    In(Leg, u64, u64),
    /// The same from the server.
    Out(Leg, u64, u64),
    /// The frame is a super-packet.
    Super,
}

/// A frame that is about to come in; its fate turns it into a [`Step`].
pub(crate) struct Arrival(Frame);

/// A packet comes in.
pub(crate) fn frame(build: Build) -> Arrival {
    Arrival(build.frame())
}

/// Bytes come in.
pub(crate) fn bytes(packet: &[u8]) -> Arrival {
    Arrival(Frame::from_packet(packet))
}

impl Arrival {
    /// It comes straight from a link.
    pub(crate) fn by_link(mut self) -> Self {
        self.0.arrival = frame::Arrival::Link;
        self
    }

    /// The same, by this VLAN.
    pub(crate) fn tagged(mut self, way: frame::Tagged) -> Self {
        self.0.tagged = Some(way);
        self.by_link()
    }

    /// It is forwarded, and looks like this then.
    pub(crate) fn leaves_as(self, output: Build, moves: &[Move]) -> Step {
        self.leaves_by(Egress::Route, output, moves)
    }

    /// The same, this way.
    pub(crate) fn leaves_by(self, egress: Egress, output: Build, moves: &[Move]) -> Step {
        self.becomes(Verdict::Transmit(egress), Some(output.frame()), moves)
    }

    /// It is forwarded as these bytes.
    pub(crate) fn leaves_as_bytes(self, egress: Egress, output: &[u8], moves: &[Move]) -> Step {
        self.becomes(Verdict::Transmit(egress), Some(Frame::from_packet(output)), moves)
    }

    /// It is answered with this.
    pub(crate) fn gets(self, output: Build, moves: &[Move]) -> Step {
        self.becomes(Verdict::Reply, Some(output.frame()), moves)
    }

    /// It is answered with these bytes.
    pub(crate) fn gets_bytes(self, output: &[u8], moves: &[Move]) -> Step {
        self.becomes(Verdict::Reply, Some(Frame::from_packet(output)), moves)
    }

    /// It is given back to the host as it came.
    pub(crate) fn passes(self) -> Step {
        let output = self.0.clone();
        self.becomes(Verdict::Pass, Some(output), &[])
    }

    /// It is given back to the host, and looks like this then.
    pub(crate) fn passes_as(self, output: Build) -> Step {
        self.becomes(Verdict::Pass, Some(output.frame()), &[])
    }

    /// It is given back to the host as these bytes.
    pub(crate) fn passes_as_bytes(self, output: &[u8]) -> Step {
        self.becomes(Verdict::Pass, Some(Frame::from_packet(output)), &[])
    }

    /// It is dropped.
    pub(crate) fn drops(self, reason: DropReason, moves: &[Move]) -> Step {
        self.becomes(Verdict::Drop(reason), None, moves)
    }

    fn becomes(self, verdict: Verdict, output: Option<Frame>, moves: &[Move]) -> Step {
        Step::Frame { input: Box::new(self.0), verdict, output: output.map(Box::new), moves: moves.to_vec() }
    }
}

impl Step {
    /// The frame is to leave inside another packet.
    pub(crate) fn inside(mut self, encap: Option<Encap>) -> Self {
        if let Self::Frame { output: Some(output), .. } = &mut self {
            output.encap = encap;
        }
        self
    }

    /// What is not usual about the packet around it, if there is one.
    pub(crate) fn around(mut self, differs: impl FnOnce(&mut Encap)) -> Self {
        if let Self::Frame { output: Some(output), .. } = &mut self {
            output.encap.as_mut().map(differs);
        }
        self
    }
}

/// A reset as we make it: it has no window.
pub(crate) fn reset(build: Build) -> Vec<u8> {
    let mut packet = build.bytes();
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let field = u16::from_be_bytes([packet[at + 16], packet[at + 17]]);
    packet[at + 14..at + 16].fill(0);
    let field = Delta::default().word(0xffff, 0).apply(field);
    packet[at + 16..at + 18].copy_from_slice(&field.to_be_bytes());
    packet
}

/// Resets that nothing has asked for: from, to, sequence number, acknowledgment.
pub(crate) fn resets(resets: &[(SocketAddr, SocketAddr, u32, u32)]) -> Step {
    let frame = |&(from, to, seq, ack)| {
        Frame::from_packet(&reset(wire::build::tcp(from, to).rst().seq(seq).ack(ack)))
    };
    Step::Own(resets.iter().map(frame).collect())
}

pub(crate) fn wait(seconds: u64, moves: &[Move]) -> Step {
    Step::Wait { millis: seconds * 1000, moves: moves.to_vec() }
}

pub(crate) fn wait_millis(millis: u64, moves: &[Move]) -> Step {
    Step::Wait { millis, moves: moves.to_vec() }
}

/// One list of steps after the other.
pub(crate) fn then(mut first: Vec<Step>, rest: Vec<Step>) -> Vec<Step> {
    first.extend(rest);
    first
}
