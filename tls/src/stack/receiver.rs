//! The receiving half of a connection: a socket of smoltcp's, which takes what comes in any order, says what to
//! acknowledge, and holds it for the reader.
//!
//! The socket sees nothing of the other half (see [`super::sender`]), nor of the handshake, addresses and options: each
//! segment reaches it under plain headers of our own, on one interface that all share. That makes it movable: at any
//! moment at which nothing is held a new one can go on from the next sequence number, with another ring. So a ring
//! begins small, grows as the reader gets through it, and is given back with the socket when nothing comes for a while.
//! The right edge of the window never moves back on the way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{self, CongestionControl};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address, TcpPacket};
use wire::frame::{Frame, MAX_PACKET};
use wire::packet::TcpFlags;
use wire::tcp::MAX_HEADER;

use super::segment::{BARE, Blocks, Header, Segment};

/// The ring that a connection begins with.
pub(super) const FIRST_RING: usize = 32 << 10;
/// By how much all windows are shifted, which is told in the SYN and stays.
pub(super) const SCALE: u8 = 7;
/// Largest ring, whose windows smoltcp shifts by no more.
const MAX_RING: usize = 4 << 20;
/// What may be told in a SYN, whose window is not shifted.
pub(super) const FIRST_WINDOW: u16 = FIRST_RING as u16;

/// The longest packet without payload that smoltcp writes.
const MAX_HEADERS: usize = 20 + MAX_HEADER;

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1);
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 2);

/// What came of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// There is more to read, or the end.
    pub(super) ready: bool,
    /// It has to be acknowledged at once: it left or filled a gap, or was not expected.
    pub(super) urgent: bool,
}

#[derive(Debug)]
pub(super) struct Receiver {
    /// Next sequence number expected.
    next: u32,
    /// End of the window that the other end has been told.
    edge: u32,
    blocks: Blocks,
    finished: bool,
    sack: bool,
    awake: Option<Box<Awake>>,
    /// Ring of the next socket, and what was read since the present one began.
    ring: usize,
    read: usize,
    max_ring: usize,
}

#[derive(Debug)]
struct Awake {
    set: SocketSet<'static>,
    handle: SocketHandle,
    ring: usize,
    /// By how much smoltcp shifts the windows of this ring.
    shift: u8,
    /// The acknowledgment that it expects: it sends nothing.
    ack: u32,
}

impl Receiver {
    pub(super) fn new(next: u32, sack: bool, max_ring: usize) -> Self {
        Self {
            next,
            edge: next.wrapping_add(u32::from(FIRST_WINDOW)),
            blocks: Blocks::default(),
            finished: false,
            sack,
            awake: None,
            ring: FIRST_RING,
            read: 0,
            max_ring: max_ring.clamp(FIRST_RING, MAX_RING),
        }
    }

    /// What to acknowledge.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// How far the other end may send beyond it.
    pub(super) fn window(&self) -> u32 {
        self.edge.wrapping_sub(self.next)
    }

    /// What has come behind gaps.
    pub(super) fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// The other end has said its last.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn ring_bytes(&self) -> usize {
        self.awake.as_ref().map_or(0, |awake| awake.ring)
    }

    /// There is a ring, and nothing is held in it.
    pub(super) fn can_sleep(&self) -> bool {
        self.awake.is_some() && (self.is_empty() || (self.finished && self.readable() == 0))
    }

    /// Bytes that can be read.
    pub(super) fn readable(&self) -> usize {
        self.awake.as_ref().map_or(0, |awake| awake.socket().recv_queue())
    }

    /// Takes a segment with payload or FIN, whose frame is used up.
    pub(super) fn take(
        &mut self,
        shared: &mut Shared,
        frame: &mut Frame,
        segment: &Segment,
        now: Duration,
    ) -> Taken {
        if self.finished {
            return Taken { ready: false, urgent: true };
        }
        let bytes = frame.packet_mut();
        let bytes = &mut bytes[segment.payload_at - BARE..segment.payload_at + segment.payload_len];
        let (ring, finished, next) = (self.ring, self.finished, self.next);
        let mut woken = None;
        let awake = match &mut self.awake {
            Some(awake) => awake,
            None => {
                let (awake, said) = shared.socket(next, self.edge, ring, self.sack, now);
                woken = said;
                self.awake.insert(awake)
            }
        };
        let fin = if segment.flags.fin() { TcpFlags::FIN } else { TcpFlags::default() };
        let header = Header {
            seq: segment.seq,
            ack: awake.ack,
            flags: TcpFlags::ACK | fin,
            window: u16::MAX,
            ..Header::new(REMOTE, LOCAL)
        };
        header.write_bare(bytes);
        let answer = shared.receive(awake, bytes, now);
        self.blocks = answer.map(|said| said.blocks).unwrap_or_default();
        let said = shared.poll(awake, now);
        self.finished = matches!(awake.socket().state(), tcp::State::CloseWait);
        for said in [woken, answer, said].into_iter().flatten() {
            self.hear(said);
        }
        let ready = self.next != next || self.finished != finished;
        Taken { ready, urgent: answer.is_some() || !ready }
    }

    /// Reads into `buf`; `Ok(0)` at the end. The window may have grown by it: then it says so.
    pub(super) fn read(
        &mut self,
        shared: &mut Shared,
        buf: &mut [u8],
        now: Duration,
    ) -> io::Result<(usize, bool)> {
        let Some(awake) = self.awake.as_mut().filter(|awake| awake.socket().can_recv()) else {
            return if self.finished { Ok((0, false)) } else { Err(io::ErrorKind::WouldBlock.into()) };
        };
        let read = awake.set.get_mut::<tcp::Socket<'_>>(awake.handle).recv_slice(buf).unwrap_or(0);
        let edge = self.edge;
        self.read += read;
        let said = shared.poll(awake, now);
        said.into_iter().for_each(|said| self.hear(said));
        if self.read >= self.ring && self.ring < self.max_ring && self.is_empty() {
            self.ring = (self.ring * 4).min(self.max_ring);
            self.renew(shared, now);
        }
        Ok((read, self.edge != edge))
    }

    /// Gives ring and socket back, if nothing is held in them.
    pub(super) fn sleep(&mut self) {
        if self.can_sleep() {
            self.awake = None;
            self.ring = FIRST_RING;
            self.read = 0;
        }
    }

    fn renew(&mut self, shared: &mut Shared, now: Duration) {
        self.read = 0;
        let (awake, said) = shared.socket(self.next, self.edge, self.ring, self.sack, now);
        said.into_iter().for_each(|said| self.hear(said));
        self.awake = Some(awake);
    }

    fn is_empty(&self) -> bool {
        self.readable() == 0 && self.blocks.as_slice().is_empty() && !self.finished
    }

    fn hear(&mut self, said: Said) {
        self.next = said.ack;
        let edge = said.ack.wrapping_add(said.window);
        if edge.wrapping_sub(self.edge) as i32 > 0 {
            self.edge = edge;
        }
    }
}

impl Awake {
    fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }
}

/// What all receivers share: the interface, and room for a packet.
pub(super) struct Shared {
    iface: Interface,
    scratch: Frame,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut Port::default(), Instant::ZERO);
        iface.update_ip_addrs(|addrs| {
            let addr = IpCidr::new(Ipv4Address::new(10, 0, 0, 1).into(), 24);
            // There is room for one.
            let _ = addrs.push(addr);
        });
        Self { iface, scratch: Frame::new() }
    }

    /// A socket that expects `next`, and may be sent what is up to `edge`; and what it says.
    fn socket(
        &mut self,
        next: u32,
        edge: u32,
        ring: usize,
        sack: bool,
        now: Duration,
    ) -> (Box<Awake>, Option<Said>) {
        let ring = ring.max((edge.wrapping_sub(next) as usize).next_multiple_of(1 << SCALE));
        let receive = tcp::SocketBuffer::new(vec![0; ring]);
        let mut socket = tcp::Socket::new(receive, tcp::SocketBuffer::new(Vec::new()));
        // When to acknowledge is not decided here.
        socket.set_ack_delay(None);
        socket.set_congestion_control(CongestionControl::None);
        // It cannot fail: the socket is closed, and the port is not zero.
        let _ = socket.listen(LOCAL.port());
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        let shift = (usize::BITS - ring.leading_zeros()).saturating_sub(16) as u8;
        let mut awake = Box::new(Awake { set, handle, shift, ring, ack: 0 });

        let header =
            Header { window: u16::MAX, flags: TcpFlags::ACK, seq: next, ..Header::new(REMOTE, LOCAL) };
        let syn = Header {
            seq: next.wrapping_sub(1),
            flags: TcpFlags::SYN,
            scale: Some(0),
            sack_permitted: sack,
            ..header
        };
        self.say(&mut awake, syn, now);
        awake.ack = self.poll(&mut awake, now).map_or(0, |said| said.seq).wrapping_add(1);
        let ack = Header { ack: awake.ack, ..header };
        self.say(&mut awake, ack, now);
        // Until it has told a window that is shifted it would take more than fits its ring. It answers to a keep-alive.
        let said = self.say(&mut awake, Header { seq: syn.seq, ..ack }, now);
        (awake, said)
    }

    fn say(&mut self, awake: &mut Awake, header: Header, now: Duration) -> Option<Said> {
        header.write(&mut self.scratch, [&[], &[]], MAX_PACKET);
        let mut port = Port { incoming: Some(self.scratch.packet()), said: None };
        self.iface.poll_ingress_single(instant(now), &mut port, &mut awake.set);
        port.said.map(|said| said.shifted(awake.shift))
    }

    fn receive(&mut self, awake: &mut Awake, packet: &[u8], now: Duration) -> Option<Said> {
        let mut port = Port { incoming: Some(packet), said: None };
        self.iface.poll_ingress_single(instant(now), &mut port, &mut awake.set);
        port.said.map(|said| said.shifted(awake.shift))
    }

    /// What the socket has to say by itself.
    fn poll(&mut self, awake: &mut Awake, now: Duration) -> Option<Said> {
        let mut port = Port::default();
        self.iface.poll_egress(instant(now), &mut port, &mut awake.set);
        port.said.map(|said| said.shifted(awake.shift))
    }
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(now.as_micros() as i64)
}

/// What a socket has said in a segment.
#[derive(Clone, Copy, Debug)]
struct Said {
    seq: u32,
    ack: u32,
    window: u32,
    blocks: Blocks,
}

impl Said {
    fn parse(packet: &[u8]) -> Self {
        // smoltcp wrote it: IPv4 without options.
        let segment = TcpPacket::new_unchecked(&packet[BARE - 20..]);
        let mut blocks = Blocks::default();
        segment.selective_ack_ranges().unwrap_or_default().into_iter().flatten().for_each(|b| blocks.push(b));
        Self {
            seq: segment.seq_number().0 as u32,
            ack: segment.ack_number().0 as u32,
            window: u32::from(segment.window_len()),
            blocks,
        }
    }

    fn shifted(self, shift: u8) -> Self {
        Self { window: self.window << shift, ..self }
    }
}

/// The device behind the interface: one packet in, what is said in the last one out.
#[derive(Default)]
struct Port<'a> {
    incoming: Option<&'a [u8]>,
    said: Option<Said>,
}

struct Incoming<'a>(&'a [u8]);

struct Outgoing<'a>(&'a mut Option<Said>);

impl Device for Port<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(&mut self.said)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.said))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MAX_PACKET;
        capabilities.checksum.ipv4 = Checksum::None;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

impl phy::RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl phy::TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        // There is nothing to send but headers.
        let mut packet = [0; MAX_HEADERS];
        let result = write(&mut packet[..len]);
        *self.0 = Some(Said::parse(&packet[..len]));
        result
    }
}
