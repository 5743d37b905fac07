//! Frames of our own that no frame has asked for: the resets at the end of a connection.

use std::collections::VecDeque;
use std::net::SocketAddr;

use sched::Proto;
use wire::frame::Frame;
use wire::reply;

use crate::conn::Conn;

/// Resets held, beyond which a worker ends no more connections until some have been sent.
const ENOUGH: usize = 256;

/// A reset between two ends.
#[derive(Clone, Copy, Debug)]
struct Reset {
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    ack: u32,
}

#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<Reset>);

impl Outbox {
    /// No room for those of another connection: a packet's are taken all the same, they are few.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= ENOUGH
    }

    /// Tells both ends of a connection, which is no longer in the table, that it is over.
    pub(super) fn reset(&mut self, conn: &Conn) {
        let legs = &conn.legs;
        self.push(conn, legs.vip, legs.client, conn.client.resets(&conn.server));
        self.reset_server(conn);
    }

    /// Tells the server alone, for a client that has begun another one.
    pub(super) fn reset_server(&mut self, conn: &Conn) {
        let legs = &conn.legs;
        // What reaches a server past its own stack's eyes (DR, tunnels) is for the method to send.
        if legs.method.sees_replies() {
            self.push(conn, legs.client, legs.server, conn.server.resets(&conn.client));
        }
    }

    fn push(
        &mut self,
        conn: &Conn,
        from: SocketAddr,
        to: SocketAddr,
        resets: Option<([Option<u32>; 2], u32)>,
    ) {
        let Some((seqs, ack)) = resets.filter(|_| conn.legs.proto == Proto::Tcp) else { return };
        self.0.extend(seqs.into_iter().flatten().map(|seq| Reset { from, to, seq, ack }));
    }

    /// Makes `frame` the next one.
    pub(super) fn pop(&mut self, frame: &mut Frame) -> bool {
        while let Some(Reset { from, to, seq, ack }) = self.0.pop_front() {
            if reply::tcp_reset_of_own(frame, from, to, seq, ack) {
                return true;
            }
        }
        false
    }
}
