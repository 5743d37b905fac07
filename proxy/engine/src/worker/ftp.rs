//! FTP: the control connections are listened to, and data connections begin. See [`crate::ftp`].

use std::net::SocketAddr;
use std::sync::Arc;

use sched::{Direction, FTP_DATA, Proto, ServiceKey, TcpOptions};
use wire::frame::{Frame, GsoKind, MAX_PACKET};
use wire::packet::{Fragment, L4, Packet};
use wire::tcp;

use super::opening::starts;
use super::step::Step;
use crate::conn::{Between, Birth, Conn, Inserted, Millis};
use crate::ftp::{Edit, Expected, Expecting, Named, SPARE};
use crate::ports::Lease;
use crate::state::State;
use crate::verdict::{DropReason, Verdict};
use crate::watch::{Note, Watch};

/// The first port that needs no privileges: what has some is not reached through a word of FTP.
const UNPRIVILEGED: u16 = 1024;
/// Ports of the VIP that are looked at for one that is free.
const TRIES: usize = 16;
/// What fits every way (RFC 791, RFC 8200 section 5).
const LEAST: [usize; 2] = [576, 1280];

impl<'a, W: Watch> Step<'a, W> {
    /// Listens to a segment of a control connection, and changes in it what the other end has to be told instead.
    /// Returns the parse of what there is then, if anything has changed. Its numbers are still the sender's.
    pub(super) fn follow(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        conn: &Conn<'_>,
        direction: Direction,
    ) -> Option<Packet> {
        let control = conn.control()?;
        let L4::Tcp { flags, seq, .. } = packet.l4 else { return None };
        let len = packet.payload_len();
        if len == 0 || flags.syn() || flags.rst() {
            return None;
        }
        let mut talk = control.talk();
        let mut room = room_to_grow(frame, packet);
        let receiver = if direction == Direction::In { conn.server() } else { conn.client() };
        let shifts = conn.shifts()?;
        let has_it = |number| receiver.has_heard(shifts.shifted(direction, number));
        talk.hear(direction, seq, packet.payload(frame.packet()), has_it, |at, named, free| {
            let writable = |told: &[u8]| free && told.len() <= named.range.len() + room;
            let told = match direction {
                Direction::In => self.expect_server(conn, named, writable),
                Direction::Out => self.expect_client(conn, named, writable),
            }?;
            room -= told.len().saturating_sub(named.range.len());
            shifts.replace(direction, at, named.range.len() as u32, told.len() as u32);
            Some(told)
        });
        let mut after = None;
        for edit in talk.edits(direction, seq, len) {
            let now = after.unwrap_or(*packet);
            let begin = packet.header_len();
            let (range, by) = match edit {
                Edit::Replace(range, by) => (range, by),
                Edit::Behead(len, seq) => {
                    let numbers = tcp::numbers(frame, &now)?;
                    tcp::set_numbers(frame, &now, tcp::Numbers { seq, ..numbers });
                    (0..len, &b""[..])
                }
            };
            after = tcp::replace(frame, &now, range.start + begin..range.end + begin, by).or(after);
        }
        after
    }

    /// The client waits for the server. By FullNAT that has to be told of a port of ours. Says what stands in place of
    /// what is named.
    fn expect_server(
        &mut self,
        conn: &Conn<'_>,
        named: &Named,
        writable: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let legs = &conn.legs;
        let client = SocketAddr::new(legs.client.ip(), named.port);
        if named.ip != Some(client.ip()) || named.port < UNPRIVILEGED {
            return None;
        }
        let (local, told) = match legs.local() {
            None => (None, None),
            Some(local) => {
                let pool = SocketAddr::new(legs.server.ip(), FTP_DATA);
                let start = self.random.next();
                let lease = self.free_port(local.ip(), Proto::Tcp, pool, start)?;
                let told = Some(named.text(lease.addr())).filter(|told| writable(told))?;
                (Some(lease), Some(told))
            }
        };
        let between = [client, data_port(legs.vip), data_port(legs.server)];
        if self.expect(conn, Direction::Out, between, local) { told } else { None }
    }

    /// The server waits for the client, which knows only the VIP. Says what stands in place of what is named.
    fn expect_client(
        &mut self,
        conn: &Conn<'_>,
        named: &Named,
        writable: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let (client, vip, server) = (conn.legs.client, conn.legs.vip, conn.legs.server);
        let of_family = named.ip.is_none_or(|ip| ip.is_ipv4() == vip.is_ipv4());
        if !of_family || named.port < UNPRIVILEGED {
            return None;
        }
        let port = self.passive_port(conn, named.port)?;
        let known = || vip.ip();
        let others = named.ip.filter(|ip| *ip != server.ip() && !ip.is_unspecified());
        let told = SocketAddr::new(others.unwrap_or_else(known), port);
        let stays = told == SocketAddr::new(named.ip.unwrap_or_else(known), named.port);
        let text = Some(named.text(told)).filter(|text| stays || writable(text))?;
        let (vip, server) = (SocketAddr::new(vip.ip(), port), SocketAddr::new(server.ip(), named.port));
        let expected = self.expect(conn, Direction::In, [SocketAddr::new(client.ip(), 0), vip, server], None);
        (expected && !stays).then_some(text)
    }

    /// The port of the VIP where the client is expected: the server's own, if nothing else is there.
    fn passive_port(&mut self, conn: &Conn<'_>, named: u16) -> Option<u16> {
        let legs = &conn.legs;
        let is_free = |port: &u16| {
            let vip = SocketAddr::new(legs.vip.ip(), *port);
            self.watch.fetch(|twin| twin.expected(Expecting::key_between(legs.client, vip)));
            let service = self.table.get(&ServiceKey::addr(Proto::Tcp, vip));
            service.is_none() && !self.conns.expecting.is_taken(legs.client, vip, conn, self.now)
        };
        let random = &mut *self.random;
        let others = || UNPRIVILEGED + (random.next() % u64::from(u16::MAX - UNPRIVILEGED)) as u16;
        std::iter::once(named).chain(std::iter::repeat_with(others).take(TRIES)).find(is_free)
    }

    /// Expects a connection between client, VIP and server.
    fn expect(
        &self,
        conn: &Conn<'_>,
        from: Direction,
        [client, vip, server]: [SocketAddr; 3],
        local: Option<Lease>,
    ) -> bool {
        self.watch.fetch(|twin| twin.expected_by(conn));
        let deadline = self.now + State::Listen.timeout(Proto::Tcp, self.knobs).as_millis() as Millis;
        let expected = Expected { control: conn.keep(), from, client, vip, server, local, deadline };
        self.watch.fetch(|twin| twin.expected(expected.key()));
        self.conns.expecting.expect(expected, self.now)
    }

    /// A packet that belongs to no connection, if it begins one that is expected.
    pub(super) fn data_connection(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Option<Verdict> {
        if self.conns.expecting.is_empty()
            || !matches!(packet.l4, L4::Tcp { .. })
            || !starts(packet)
            || packet.fragment != Fragment::None
        {
            return None;
        }
        self.watch.fetch(|twin| twin.expected(Expecting::key_between(src, dst)));
        let expected = self.conns.expecting.take(src, dst, self.now)?;
        self.watch.note(|| Note::Expected);
        let from = expected.from;
        Some(match (self.begin_data(expected, src), from) {
            (Ok(conn), Direction::In) => self.towards_server(frame, packet, &conn),
            (Ok(conn), Direction::Out) => self.towards_client(frame, packet, &conn),
            (Err(reason), _) => Verdict::Drop(reason),
        })
    }

    /// Makes the connection that has been expected, now that it is known from which port it comes. (IPVS: neither its
    /// service nor its server counts it as another connection; its packets they count.)
    fn begin_data(&mut self, expected: Expected, src: SocketAddr) -> Result<Conn<'a>, DropReason> {
        let Expected { control, from, vip, local, .. } = expected;
        let (client, server) = match from {
            Direction::In => (src, expected.server),
            Direction::Out => (expected.client, src),
        };
        let local = match control.legs().local() {
            // A server may want to see who has asked (`pasv_promiscuous=NO`).
            Some(speaker) if local.is_none() => {
                let (lip, start) = (speaker.ip(), self.random.next());
                Some(self.free_port(lip, Proto::Tcp, server, start).ok_or(DropReason::PortsExhausted)?)
            }
            _ => local,
        };
        let &Between { ref dest, ref service, method, tcp, tagged, .. } = &*control.legs();
        let between = Between {
            proto: Proto::Tcp,
            vip,
            server,
            lip: local.as_ref().map(|lease| lease.addr().ip()),
            hop_credit: self.both_hops(client.ip(), server.ip()),
            service: Arc::clone(service),
            dest: Arc::clone(dest),
            method,
            bypass: false,
            // A server that connects knows to whom, and none reads a header of a data connection.
            tcp: TcpOptions { proxy_protocol: None, toa: tcp.toa && from == Direction::In, ..tcp },
            front: None,
            tagged,
        };
        let birth = Birth { between, client, local, template: None, data_of: control.rare().cloned() };
        let conn = self.conns.begin(self.known, birth, self.now).ok_or(DropReason::TableFull)?;
        for key in [conn.in_key(), conn.out_key()] {
            if let Some((over, _)) = self.find(&key).filter(|(other, _)| other.state().is_over()) {
                self.end(&over);
            }
        }
        let refusal = match self.conns.insert(self.known, &conn) {
            Inserted::Yes => {
                self.counters.created();
                conn.arm(self.wheel, self.now);
                return Ok(conn);
            }
            Inserted::Full => DropReason::TableFull,
            Inserted::ReplyTaken(_) | Inserted::Raced(_) => DropReason::ReplyTupleTaken,
        };
        self.conns.discard(&conn);
        Err(refusal)
    }
}

/// RFC 959 section 3.2: the one below the port of the control connection. What IPVS has the client see, and lists.
const fn data_port(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port().saturating_sub(1))
}

/// How many bytes longer a segment may get. A super-packet is cut into pieces of the size that they have.
fn room_to_grow(frame: &Frame, packet: &Packet) -> usize {
    let most = MAX_PACKET.saturating_sub(packet.total_len);
    if frame.offload.gso != GsoKind::None {
        return most;
    }
    let fits = LEAST[packet.family as usize].saturating_sub(packet.total_len);
    fits.max(usize::from(SPARE)).min(most)
}
