//! Both ends of a connection, as builders of their segments.

use sched::ForwardMethod;
use wire::build::{Build, tcp};
use wire::frame::Frame;
use wire::packet::{L4, Packet, TcpFlags};

use crate::director::Director;

/// First sequence numbers: the client's data passes zero soon.
pub(crate) const CLIENT: u32 = u32::MAX - 20;
pub(crate) const SERVER: u32 = 7_000_000;

/// NAT and FullNAT.
pub(crate) const METHODS: [ForwardMethod; 2] = [ForwardMethod::Masq, ForwardMethod::FullNat];

impl Director {
    /// The client sends, `at` bytes into its data, having heard `heard` bytes.
    pub(crate) fn client(&self, at: u32, heard: u32) -> Build {
        let (seq, ack) = (CLIENT.wrapping_add(1 + at), SERVER.wrapping_add(1 + heard));
        tcp(self.net.client, self.net.vip).seq(seq).ack(ack)
    }

    /// The server sends; `heard` counts what it has received, the header's bytes among it.
    pub(crate) fn server(&self, at: u32, heard: u32) -> Build {
        let (seq, ack) = (SERVER.wrapping_add(1 + at), CLIENT.wrapping_add(1 + heard));
        tcp(self.net.server, self.peer).seq(seq).ack(ack)
    }

    pub(crate) fn syn(&self) -> Build {
        tcp(self.net.client, self.net.vip).seq(CLIENT).syn()
    }

    pub(crate) fn syn_ack(&self) -> Build {
        tcp(self.net.server, self.peer).seq(SERVER).syn().ack(CLIENT.wrapping_add(1))
    }

    /// SYN and its answer.
    pub(crate) fn greet(&mut self) {
        self.one(&self.syn());
        self.one(&self.syn_ack());
    }
}

/// A segment that has arrived: how far its data is behind the SYN of its sender, its flags, its data.
pub(crate) fn arrived(frame: &Frame, begun: u32) -> (u32, TcpFlags, Vec<u8>) {
    let packet = Packet::parse(frame.packet()).expect("a packet");
    let L4::Tcp { seq, flags, .. } = packet.l4 else { panic!("{packet} is no TCP") };
    (seq.wrapping_sub(begun.wrapping_add(1)), flags, packet.payload(frame.packet()).to_vec())
}

/// How much of the other's data a segment acknowledges.
pub(crate) fn acknowledged(frame: &Frame, begun: u32) -> u32 {
    let packet = Packet::parse(frame.packet()).expect("a packet");
    let L4::Tcp { ack, .. } = packet.l4 else { panic!("{packet} is no TCP") };
    ack.wrapping_sub(begun.wrapping_add(1))
}
