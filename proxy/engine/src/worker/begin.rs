//! The beginning of a connection: which service, which server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sched::{Dest, DestLive, FTP, FTP_DATA, Flow, ForwardMethod, Mark, Proto, Service, TcpOptions};
use wire::frame::Frame;
use wire::packet::{L4, Packet};
use wire::reply;

use super::opening::opens;
use super::step::Step;
use crate::conn::{Between, Birth, Conn, Inserted};
use crate::front::FrontWay;
use crate::knobs::Knobs;
use crate::marks;
use crate::persist::Template;
use crate::ports::Lease;
use crate::verdict::{DropReason, Verdict};
use crate::watch::{Note, Watch};

/// A flow that may begin.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) service: &'a Service,
    pub(super) proto: Proto,
    pub(super) client: SocketAddr,
    pub(super) vip: SocketAddr,
    /// It ends here.
    pub(super) front: Option<FrontWay>,
}

/// The server that a flow gets.
pub(super) struct Choice {
    pub(super) dest: Arc<DestLive>,
    pub(super) method: ForwardMethod,
    /// By which it got it, and which it has joined.
    pub(super) template: Option<Arc<Template>>,
    /// It is none, but whom the client has meant.
    pub(super) bypass: bool,
    /// It is this one or nobody.
    pub(super) aimed: bool,
}

impl Choice {
    pub(super) fn of(dest: &Dest) -> Self {
        Self {
            dest: Arc::clone(&dest.live),
            method: dest.method,
            template: None,
            bypass: false,
            aimed: false,
        }
    }

    /// To be reached as nobody else: nothing comes back by us.
    fn bypass(original: SocketAddr) -> Self {
        let dest = Arc::new(DestLive::new(original));
        Self { dest, method: ForwardMethod::Route, template: None, bypass: true, aimed: false }
    }
}

/// Why a flow got no server.
pub(super) enum Refusal {
    /// Nobody is available.
    Nobody,
    Dropped(DropReason),
}

impl<'a, W: Watch> Step<'a, W> {
    /// A packet that belongs to no connection.
    #[inline(never)]
    pub(super) fn begin(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Verdict {
        if self.is_martian(frame, packet) {
            return Verdict::Drop(DropReason::MartianSource);
        }
        if let Some(verdict) = self.data_connection(frame, packet, src, dst) {
            return verdict;
        }
        let mark = self.mark_of(packet);
        let found = self.table.lookup(mark, proto, dst);
        self.note_service(found, packet, mark, proto, dst);
        let Some(service) = found else {
            let reply = self.one_packet_reply(frame, packet, proto, src);
            return reply.unwrap_or_else(|| self.not_ours(frame, packet));
        };
        if proto == Proto::Tcp
            && let Some(front) = service.front(dst)
        {
            return self.towards_front(frame, packet, front.stack);
        }
        if !may_begin(packet, src, dst, self.knobs) {
            self.watch.note(|| Note::OpensNothing);
            // A connection from before we knew the service is the host's own business, if the VIP is its address.
            return self.not_ours(frame, packet);
        }
        if let Some(fault) = self.fault(frame, packet) {
            self.watch.note(|| Note::Fault { reason: fault });
            return Verdict::Drop(fault);
        }
        if self.turnstile.refuses(self.knobs, self.room) {
            return Verdict::Drop(DropReason::Defence);
        }
        let request = Request { service, proto, client: src, vip: dst, front: None };
        let choice = self.aimed_or_chosen(packet.payload(frame.packet()), &request);
        let result = match choice {
            // By FullNAT an answer could not be told whom it is for, nor to a VLAN by which way: there, each flow is one
            // connection.
            Ok(choice)
                if service.one_packet
                    && proto == Proto::Udp
                    && self.tagged.is_none()
                    && self.method_for(&request, &choice) != ForwardMethod::FullNat =>
            {
                return self.one_packet(frame, packet, &request, choice);
            }
            Ok(choice) => self.connect(&request, choice),
            Err(Refusal::Nobody) if self.bypasses(&request) => {
                self.connect(&request, Choice::bypass(request.vip))
            }
            Err(refusal) => Err(refusal),
        };
        match result {
            Ok(conn) => self.towards_server(frame, packet, &conn),
            // The service of FTP may not be the one that this port is for.
            Err(Refusal::Nobody) if service.key.l4_port() == Some(FTP) && dst.port() != FTP => {
                self.not_ours(frame, packet)
            }
            Err(Refusal::Nobody) => {
                self.refuse(frame, |frame| reply::icmp_unreachable_port(frame, packet, dst.ip()))
            }
            Err(Refusal::Dropped(reason)) => Verdict::Drop(reason),
        }
    }

    /// Whether a flow that gets no server goes on to whom it is for: only a mark's can be for somebody else.
    fn bypasses(&self, request: &Request<'_>) -> bool {
        let Request { service, vip, .. } = *request;
        self.knobs.cache_bypass && service.key.vip().is_none() && !self.host.is_local(vip.ip())
    }

    /// What the mark rules make of a packet.
    #[inline]
    pub(super) fn mark_of(&self, packet: &Packet) -> Option<Mark> {
        let marks = self.table.marks();
        let supposed = self.watch.supposed();
        if marks.is_empty() && supposed.is_none() {
            return None;
        }
        marks.mark_of(&marks::facts(marks, self.host, packet, supposed))
    }

    /// Whom the service sends a flow to, which begins with this datagram.
    pub(super) fn choose(&mut self, datagram: &[u8], request: &Request<'_>) -> Result<Choice, Refusal> {
        let Request { service, vip, front, .. } = *request;
        if let Some(persistence) = service.persistence {
            return self.come_back(datagram, request, persistence);
        }
        // What the service of FTP gets for other ports belongs to a client that came back, or to nobody here. A front may
        // ask a service that has its own port.
        if front.is_none() && service.key.l4_port().is_some_and(|port| port != vip.port()) {
            return Err(Refusal::Nobody);
        }
        let dest = self.pick(request)?;
        Ok(Choice::of(dest))
    }

    /// Asks the scheduler.
    pub(super) fn pick<'s>(&mut self, request: &Request<'s>) -> Result<&'s Dest, Refusal> {
        let flow = Flow {
            client: request.client,
            vip: request.vip,
            now: Duration::from_millis(self.now),
            random: self.random.next(),
            knobs: self.knobs.sched,
        };
        self.watch.note(|| Note::Compared {
            scheduler: request.service.algorithm.name.into(),
            account: request.service.account(&flow).in_order(),
        });
        request.service.pick(&flow).ok_or_else(|| {
            self.watch.note(|| Note::Nobody);
            Refusal::Nobody
        })
    }

    /// Makes the connection. The choice stands, unless another connection of this client has its reply tuple, or no
    /// local port is left towards it: then, where no template binds the client, the next server of the list that could
    /// be chosen and is free.
    pub(super) fn connect(&mut self, request: &Request<'_>, choice: Choice) -> Result<Conn<'a>, Refusal> {
        let first = Arc::clone(&choice.dest);
        let bound = choice.template.is_some() || choice.aimed;
        let others =
            request.service.dests.iter().filter(|d| !bound && d.eligible() && !Arc::ptr_eq(&d.live, &first));
        let others = others.map(Choice::of);
        let mut refusal = Refusal::Dropped(DropReason::ReplyTupleTaken);
        for choice in std::iter::once(choice).chain(others) {
            let birth = match self.birth(request, choice) {
                Ok(birth) => birth,
                Err(reason) => {
                    refusal = Refusal::Dropped(reason);
                    continue;
                }
            };
            let Some(conn) = self.conns.begin(self.known, birth, self.now) else {
                return Err(Refusal::Dropped(DropReason::TableFull));
            };
            self.watch.fetch(|twin| [conn.in_key(), conn.out_key()].iter().for_each(|key| twin.conn(key)));
            let mut inserted = self.conns.insert(self.known, &conn);
            if let Inserted::ReplyTaken(other) = &inserted
                && other.state().is_over()
            {
                self.end(other);
                inserted = self.conns.insert(self.known, &conn);
            }
            match inserted {
                Inserted::Yes => {
                    request.service.live.stats.count_conn();
                    conn.legs.dest.stats.count_conn();
                    self.counters.created();
                    conn.arm(self.wheel, self.now);
                    return Ok(conn);
                }
                refused => {
                    self.conns.discard(&conn);
                    let reason = DropReason::ReplyTupleTaken;
                    self.watch.note(|| Note::NotFree { server: conn.legs.server, reason });
                    match refused {
                        Inserted::Full => return Err(Refusal::Dropped(DropReason::TableFull)),
                        // A flow from an address and port to the same is in its own way.
                        Inserted::Raced(other) if !other.is_gone() => return Ok(other),
                        Inserted::Raced(_) | Inserted::ReplyTaken(_) | Inserted::Yes => {}
                    }
                }
            }
        }
        Err(refusal)
    }

    /// What a connection to the chosen server is between. A choice that comes to nothing leaves its template.
    pub(super) fn birth(&mut self, request: &Request<'_>, choice: Choice) -> Result<Birth, DropReason> {
        let Request { service, proto, client, vip, front } = *request;
        let method = self.method_for(request, &choice);
        let Choice { dest, method: asked, template, bypass, aimed: _ } = choice;
        let port = match (front, service.tls.as_ref()) {
            (Some(_), Some(tls)) => tls.port_of(&dest.key),
            _ => server_port(service, &dest, vip.port()),
        };
        let server = SocketAddr::new(dest.key.ip(), port);
        let local = match method {
            ForwardMethod::FullNat => match self.lease(service, &dest, proto, server) {
                Ok(lease) => Some(lease),
                Err(reason) => {
                    self.watch.note(|| Note::NotFree { server, reason });
                    template.inspect(|template| template.leave());
                    return Err(reason);
                }
            },
            _ => None,
        };
        // Asked first, so that nothing of it is left where nobody watches.
        if W::ON {
            self.watch.note(|| Note::Chosen {
                server,
                method,
                local: local.as_ref().map(Lease::addr),
                hairpin: asked != method && front.is_none(),
            });
        }
        let both_ways = proto == Proto::Tcp && method.sees_replies() && front.is_none();
        let between = Between {
            proto,
            vip,
            server,
            lip: local.as_ref().map(|lease| lease.addr().ip()),
            hop_credit: self.both_hops(client.ip(), dest.key.ip()),
            service: Arc::clone(&service.live),
            dest,
            method,
            bypass,
            tcp: if both_ways { service.tcp } else { TcpOptions::default() },
            front,
            tagged: self.tagged,
        };
        Ok(Birth { between, client, local, template, data_of: None })
    }
}

/// The port that a connection to `vip_port` has at this server: the server's, if it has one. Where a client comes back
/// to a service of many ports, it is the one that the client asked for, as the server takes all of them.
fn server_port(service: &Service, dest: &DestLive, vip_port: u16) -> u16 {
    let of_many = service.persistence.is_some() && service.key.l4_port() != Some(vip_port);
    if of_many || dest.key.port() == 0 { vip_port } else { dest.key.port() }
}

/// [`opens`], mostly. So does the answer to a SYN from the server's data port of FTP, which came to the
/// client past us. What comes from that port never begins anything: a connection of active FTP is the server's.
fn may_begin(packet: &Packet, src: SocketAddr, dst: SocketAddr, knobs: &Knobs) -> bool {
    let answers_data = match packet.l4 {
        L4::Tcp { flags, .. } => dst.port() == FTP_DATA && flags.syn() && flags.ack() && !flags.rst(),
        _ => false,
    };
    src.port() != FTP_DATA && (opens(packet, knobs) || answers_data)
}
