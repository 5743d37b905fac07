//! Frames of our own that no frame has asked for: the resets at the end of a connection, and whole packets.

use std::collections::VecDeque;
use std::net::SocketAddr;

use sched::{Direction, Proto};
use wire::encap::Encap;
use wire::frame::{Arrival, Frame, Offload};
use wire::packet::Packet;
use wire::reply;

use crate::conn::{Conn, Kept};
use crate::forward::{self, Means};
use crate::verdict::Egress;

/// Frames held, beyond which a worker ends no more connections until some have been sent.
const ENOUGH: usize = 256;

/// A reset between two ends.
#[derive(Clone, Copy, Debug)]
struct Reset {
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    ack: u32,
}

impl Reset {
    fn write(self, frame: &mut Frame) -> bool {
        reply::tcp_reset_of_own(frame, self.from, self.to, self.seq, self.ack)
    }
}

/// A frame that waits to be sent.
#[derive(Debug)]
enum Own {
    /// Made when its turn comes.
    Reset(Reset, Egress),
    /// The same in the client's name, to go to the server as its packets do.
    ByMethod(Reset, Kept),
    /// As it is.
    Packet { bytes: Vec<u8>, offload: Offload, arrival: Arrival, encap: Option<Encap>, egress: Egress },
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    own: VecDeque<Own>,
    /// To be sent after the frame that is being processed.
    behind: Vec<Own>,
}

impl Outbox {
    /// No room for those of another connection: a packet's are taken all the same, they are few.
    pub(super) fn is_full(&self) -> bool {
        self.own.len() >= ENOUGH
    }

    /// Tells both ends of a connection, which is no longer in the table, that it is over.
    pub(super) fn reset(&mut self, conn: &Conn<'_>) {
        let legs = &conn.legs;
        self.push(conn, (legs.vip, legs.client), conn.resets(Direction::Out), legs.back());
        self.reset_server(conn);
    }

    /// Tells the server alone, for a client that has begun another one.
    pub(super) fn reset_server(&mut self, conn: &Conn<'_>) {
        let legs = &conn.legs;
        if legs.method.sees_replies() {
            self.push(conn, (legs.peer(), legs.server), conn.resets(Direction::In), Egress::Route);
        } else if legs.proto == Proto::Tcp
            && let Some((seq, ack)) = conn.client().last_words()
        {
            let reset = Reset { from: legs.client, to: legs.vip, seq, ack };
            self.own.push_back(Own::ByMethod(reset, conn.keep()));
        }
    }

    fn push(
        &mut self,
        conn: &Conn<'_>,
        (from, to): (SocketAddr, SocketAddr),
        resets: Option<([Option<u32>; 2], u32)>,
        egress: Egress,
    ) {
        let Some((seqs, ack)) = resets.filter(|_| conn.legs.proto == Proto::Tcp) else { return };
        let reset = |seq| Own::Reset(Reset { from, to, seq, ack }, egress);
        self.own.extend(seqs.into_iter().flatten().map(reset));
    }

    /// Keeps a copy of a frame, to be sent behind the one that is being processed: with the next one, or by the clock.
    pub(super) fn push_behind(&mut self, frame: &Frame, egress: Egress) {
        let &Frame { offload, arrival, encap, .. } = frame;
        self.behind.push(Own::Packet { bytes: frame.packet().to_vec(), offload, arrival, encap, egress });
    }

    /// Something is to be sent behind a frame that has been processed.
    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// The frame has been sent.
    pub(super) fn catch_up(&mut self) {
        if self.is_behind() {
            self.own.extend(self.behind.drain(..));
        }
    }

    /// Has a whole packet sent, before the one that is being processed.
    pub(super) fn push_packet(&mut self, bytes: Vec<u8>, egress: Egress) {
        let (offload, arrival) = (Offload::default(), Arrival::Routed);
        self.own.push_back(Own::Packet { bytes, offload, arrival, encap: None, egress });
    }

    /// Makes `frame` the next one. Says which way it goes, and whether it is a reset.
    pub(super) fn pop(&mut self, frame: &mut Frame, means: &Means<'_>) -> Option<(Egress, bool)> {
        while let Some(own) = self.own.pop_front() {
            match own {
                Own::Reset(reset, egress) => {
                    if reset.write(frame) {
                        // As straight from one: nobody has taken a hop from it yet.
                        frame.arrival = Arrival::Link;
                        return Some((egress, true));
                    }
                }
                Own::ByMethod(reset, conn) => {
                    if reset.write(frame)
                        && let Ok(packet) = Packet::parse(frame.packet())
                        && let Ok(egress) = forward::request(frame, &packet, &conn.legs(), means)
                    {
                        return Some((egress, true));
                    }
                }
                Own::Packet { bytes, offload, arrival, encap, egress } => {
                    frame.set_packet(&bytes);
                    frame.offload = offload;
                    frame.arrival = arrival;
                    frame.encap = encap;
                    return Some((egress, false));
                }
            }
        }
        None
    }
}
