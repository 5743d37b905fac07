//! Which packets begin a connection, and which leave the one that they belong to for another.

use std::sync::Arc;

use sched::Proto;
use wire::packet::chunk::{ABORT, INIT};
use wire::packet::{L4, Packet};

use super::step::Step;
use crate::conn::Conn;
use crate::knobs::Knobs;
use crate::state::State;
use crate::watch::Watch;

impl<W: Watch> Step<'_, W> {
    /// Whether a client's packet ends the connection that it belongs to, to be scheduled like the first of another.
    #[inline]
    pub(super) fn begins_anew(&self, conn: &Conn<'_>, packet: &Packet) -> bool {
        let (knobs, legs) = (self.knobs, &conn.legs);
        if !legs.dest.is_available() {
            let moves = knobs.expire_nodest_conn || (knobs.move_udp && legs.proto == Proto::Udp);
            if moves || (knobs.reuse_ports && starts(packet)) {
                return true;
            }
        }
        if !starts(packet) {
            return false;
        }
        // It would wait in vain.
        if legs.dest.is_down() && conn.state().is_opening() {
            return true;
        }
        if knobs.expire_nodest_conn && self.is_drained(conn, packet) {
            return true;
        }
        // The kernel keeps one that has a template, or a control connection.
        let reuse_mode = if conn.has_template() || conn.is_data() { 0 } else { knobs.conn_reuse_mode };
        match conn.state() {
            State::TimeWait | State::Close | State::Closed => knobs.reuse_ports || reuse_mode != 0,
            State::FinWait if reuse_mode & 2 != 0 && !legs.method.sees_replies() => true,
            // A client that has forgotten it; a SYN that came late is none.
            State::FinWait | State::CloseWait | State::LastAck => {
                let known = |seq| conn.client().has_begun_with(seq);
                knobs.reuse_ports && matches!(packet.l4, L4::Tcp { seq, .. } if !known(seq))
            }
            _ => false,
        }
    }

    /// Whether the connection's server has weight 0 now, or has been taken out.
    fn is_drained(&self, conn: &Conn<'_>, packet: &Packet) -> bool {
        let legs = &conn.legs;
        let Some(service) = self.table.lookup(self.mark_of(packet), legs.proto, legs.vip) else {
            return false;
        };
        match service.in_force(&legs.dest) {
            Some(dest) => dest.weight.0 == 0,
            None => service.everyone().any(|d| Arc::ptr_eq(&d.live, &legs.dest)),
        }
    }
}

/// Whether a packet that belongs to nothing may begin a connection: any of UDP; of TCP a SYN, or with `sloppy_tcp`
/// whatever is no reset; of SCTP an INIT, or with `sloppy_sctp` whatever is no ABORT.
pub(super) fn opens(packet: &Packet, knobs: &Knobs) -> bool {
    match packet.l4 {
        L4::Tcp { flags, .. } => starts(packet) || (knobs.sloppy_tcp && !flags.rst()),
        L4::Sctp { chunk, .. } => starts(packet) || (knobs.sloppy_sctp && chunk != ABORT),
        _ => true,
    }
}

/// Whether it says that a connection begins: an INIT; a SYN, not one that answers another, nor one that resets.
pub(super) fn starts(packet: &Packet) -> bool {
    match packet.l4 {
        L4::Tcp { flags, .. } => flags.syn() && !flags.ack() && !flags.rst(),
        L4::Sctp { chunk, .. } => chunk == INIT,
        _ => false,
    }
}
