//! Sockets of smoltcp's, and what they say: each alone on an interface that all share, to which no device belongs.

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

use super::SCALE;
use crate::stack::segment::{BARE, Blocks, Header};

/// The longest packet without payload that smoltcp writes.
const MAX_HEADERS: usize = 20 + MAX_HEADER;

pub(super) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1);
pub(super) const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 2);

#[derive(Debug)]
pub(super) struct Awake {
    set: SocketSet<'static>,
    handle: SocketHandle,
    pub(super) ring: usize,
    /// By how much smoltcp shifts the windows of this ring.
    shift: u8,
    /// The acknowledgment that it expects: it sends nothing.
    pub(super) ack: u32,
}

impl Awake {
    pub(super) fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    pub(super) fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }
}

/// What all receivers share: the interface, and room for a packet.
pub(in crate::stack) struct Shared {
    iface: Interface,
    scratch: Frame,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(in crate::stack) fn new() -> Self {
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut Port::default(), Instant::ZERO);
        iface.update_ip_addrs(|addrs| {
            let addr = IpCidr::new(Ipv4Address::new(10, 0, 0, 1).into(), 24);
            // There is room for one.
            let _ = addrs.push(addr);
        });
        Self { iface, scratch: Frame::new() }
    }

    /// A socket that expects `next`, and may be sent what is up to `edge`; and what it says.
    pub(super) fn socket(
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

    pub(super) fn receive(&mut self, awake: &mut Awake, packet: &[u8], now: Duration) -> Option<Said> {
        let mut port = Port { incoming: Some(packet), said: None };
        self.iface.poll_ingress_single(instant(now), &mut port, &mut awake.set);
        port.said.map(|said| said.shifted(awake.shift))
    }

    /// What the socket has to say by itself.
    pub(super) fn poll(&mut self, awake: &mut Awake, now: Duration) -> Option<Said> {
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
pub(super) struct Said {
    seq: u32,
    pub(super) ack: u32,
    pub(super) window: u32,
    pub(super) blocks: Blocks,
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
