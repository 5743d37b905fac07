//! The beginning of a connection: which service, which server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sched::{Dest, Flow, Mark, Proto, Service};
use wire::frame::Frame;
use wire::packet::{Fragment, Packet};
use wire::reply;

use super::{Step, answered, opens};
use crate::conn::{Conn, Inserted, Legs};
use crate::marks;
use crate::verdict::{DropReason, Verdict};

impl Step<'_> {
    /// A packet that belongs to no connection.
    pub(super) fn begin(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Verdict {
        let mark = self.mark_of(packet);
        let Some(service) = self.table.lookup(mark, proto, dst) else {
            return self.not_ours(frame, packet);
        };
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        if proto == Proto::Tcp && !opens(packet, self.knobs) {
            // A connection from before we knew the service is the host's own business, if the VIP is its address.
            return self.not_ours(frame, packet);
        }
        match self.schedule(service, proto, src, dst) {
            Ok(conn) => self.towards_server(frame, packet, &conn),
            Err(Refusal::Nobody) => answered(reply::icmp_unreachable_port(frame, packet, dst.ip())),
            Err(Refusal::Full) => Verdict::Drop(DropReason::TableFull),
            Err(Refusal::ReplyTaken) => Verdict::Drop(DropReason::ReplyTupleTaken),
        }
    }

    /// What the mark rules make of a packet.
    fn mark_of(&self, packet: &Packet) -> Option<Mark> {
        let marks = self.table.marks();
        if marks.is_empty() { None } else { marks.mark_of(&marks::facts(marks, self.host, packet)) }
    }

    /// Chooses a server and makes the connection. The scheduler's choice stands, unless another connection of this
    /// client has its reply tuple: then the next server of the list that could be chosen and is free.
    fn schedule(
        &mut self,
        service: &Service,
        proto: Proto,
        client: SocketAddr,
        vip: SocketAddr,
    ) -> Result<Arc<Conn>, Refusal> {
        let flow = Flow {
            client,
            vip,
            now: Duration::from_millis(self.now),
            random: self.random.next(),
            knobs: self.knobs.sched,
        };
        let first = service.pick(&flow).ok_or(Refusal::Nobody)?;
        let others = service.dests.iter().filter(|d| d.eligible() && !Arc::ptr_eq(&d.live, &first.live));
        for dest in std::iter::once(first).chain(others) {
            let conn = Arc::new(Conn::new(self.legs(service, dest, proto, client, vip), self.now));
            let mut inserted = self.conns.insert(&conn);
            if let Inserted::ReplyTaken(other) = &inserted
                && other.state().is_over()
            {
                self.end(other);
                inserted = self.conns.insert(&conn);
            }
            match inserted {
                Inserted::Yes => {
                    service.live.stats.count_conn();
                    dest.live.stats.count_conn();
                    self.counters.created();
                    self.wheel.arm(&conn, self.now);
                    return Ok(conn);
                }
                refused => {
                    conn.retire();
                    match refused {
                        Inserted::Full => return Err(Refusal::Full),
                        // A flow from an address and port to the same is in its own way.
                        Inserted::Raced(other) if !other.is_gone() => return Ok(other),
                        Inserted::Raced(_) | Inserted::ReplyTaken(_) | Inserted::Yes => {}
                    }
                }
            }
        }
        Err(Refusal::ReplyTaken)
    }

    fn legs(
        &self,
        service: &Service,
        dest: &Dest,
        proto: Proto,
        client: SocketAddr,
        vip: SocketAddr,
    ) -> Legs {
        Legs {
            proto,
            client,
            vip,
            dest: Arc::clone(&dest.live),
            service: Arc::clone(&service.live),
            method: dest.method,
            hop_credit: self.both_hops(client.ip(), dest.live.key.ip()),
        }
    }
}

/// Why a flow got no server.
enum Refusal {
    Nobody,
    Full,
    ReplyTaken,
}
