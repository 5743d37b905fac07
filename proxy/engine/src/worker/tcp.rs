//! What is done to the segments of a connection besides forwarding them: who the client is goes with them (PROXY
//! protocol, TOA), numbers are translated where the two ends count different bytes, and their sizes are limited.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use sched::{Direction, Mss};
use wire::frame::Frame;
use wire::packet::{L4, Packet, TcpFlags};
use wire::{gso, tcp};

use super::step::Step;
use crate::conn::{Conn, Due, Greeting};
use crate::forward;
use crate::ftp::SPARE;
use crate::verdict::{Egress, Verdict};
use crate::watch::Watch;

/// TCP option with a client's address, as DPVS and its module for servers have it: port, then address.
const TOA: u8 = 254;

/// Bytes of a TCP header without options.
const TCP_HEADER: u32 = 20;

impl<W: Watch> Step<'_, W> {
    /// A client's segment of a connection that is not plain, on to the server.
    #[inline(never)]
    pub(super) fn tcp_request(&mut self, frame: &mut Frame, packet: &Packet, conn: &Conn<'_>) -> Verdict {
        let L4::Tcp { flags, seq, .. } = packet.l4 else { return self.request(frame, packet, &conn.legs) };
        let mut packet = *packet;
        let greeting = conn.greeting();
        let due = greeting.map_or(Due::Nothing, |greeting| greeting.due(conn, &packet, self.now));
        if flags.syn() {
            limit_segments(frame, &packet, conn, Direction::In);
            if let Some(greeting) = greeting {
                if let (Due::TooEarly, Some(shifts)) = (due, conn.shifts()) {
                    shifts.begin(Direction::In, seq.wrapping_add(1), greeting.header().len() as u32);
                }
                // Early data would come before the header: the client sends it again.
                packet = without_payload(frame, &packet).unwrap_or(packet);
            }
        } else if conn.legs.tcp.toa {
            packet = put_toa(frame, &packet, conn).unwrap_or(packet);
        }
        if due != Due::TooEarly {
            packet = self.follow(frame, &packet, conn, Direction::In).unwrap_or(packet);
        }
        if let Some(shifts) = conn.shifts()
            && (flags.syn() || due != Due::TooEarly)
        {
            shifts.apply(frame, &packet, Direction::In);
        }
        let verdict = self.request(frame, &packet, &conn.legs);
        if let (Verdict::Transmit(egress), Some(greeting), Due::First | Due::Again) = (verdict, greeting, due)
        {
            self.greet(frame, &packet, conn, greeting, due, egress);
        }
        verdict
    }

    /// A server's segment of such a connection, on to the client.
    #[inline(never)]
    pub(super) fn tcp_reply(&mut self, frame: &mut Frame, packet: &Packet, conn: &Conn<'_>) {
        if matches!(packet.l4, L4::Tcp { flags, .. } if flags.syn()) {
            limit_segments(frame, packet, conn, Direction::Out);
        }
        let packet = self.follow(frame, packet, conn, Direction::Out).unwrap_or(*packet);
        if let Some(shifts) = conn.shifts() {
            shifts.apply(frame, &packet, Direction::Out);
        }
        forward::reply(conn.legs.method, frame, &packet, &conn.legs);
    }

    /// Sends the header before the segment that is ready to leave, which has the numbers and options that the server
    /// expects; or, where the segment says nothing but that, in its place.
    fn greet(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        conn: &Conn<'_>,
        greeting: &Greeting,
        due: Due,
        egress: Egress,
    ) {
        let Some(begun) = conn.client().begun() else { return };
        let header = tcp::sibling(frame, packet, begun.wrapping_add(1), greeting.header());
        let Some(header) = header else { return };
        self.counters.greeted();
        greeting.send(header.clone(), self.now);
        if due == Due::First {
            self.greetings.wait_for(conn, self.now);
        }
        let bare = matches!(packet.l4, L4::Tcp { flags: TcpFlags::ACK, .. }) && packet.payload_len() == 0;
        if bare {
            frame.set_packet(&header);
        } else {
            self.outbox.push_packet(header, egress);
        }
    }
}

/// Lowers the size of segments that the sender of a SYN invites. What a client invites only the service can limit; what a
/// server invites has to fit the way to it.
fn limit_segments(frame: &mut Frame, packet: &Packet, conn: &Conn<'_>, direction: Direction) {
    let legs = &conn.legs;
    let (options, Some(invited)) = (legs.tcp, tcp::mss(frame, packet)) else { return };
    let mut limit = match options.mss {
        Some(Mss::Bytes(bytes)) => bytes.min(invited),
        _ => invited,
    };
    if direction == Direction::Out && (options.toa || options.mss == Some(Mss::Auto)) {
        let fits = match legs.dest.mtu.load(Relaxed) {
            0 => invited,
            mtu => {
                let ip_header = if legs.server.is_ipv4() { 20 } else { 40 };
                u16::try_from(mtu.saturating_sub(ip_header + TCP_HEADER)).unwrap_or(u16::MAX)
            }
        };
        let toa = if options.toa { toa_len(legs.client.ip()) } else { 0 };
        limit = limit.min(fits.min(invited).saturating_sub(toa).max(Mss::MIN));
    }
    // What is said on a control connection of FTP may get longer.
    if conn.control().is_some() {
        limit = limit.saturating_sub(SPARE).max(Mss::MIN);
    }
    tcp::clamp_mss(frame, packet, limit);
}

/// Takes the data out of a SYN (RFC 7413).
fn without_payload(frame: &mut Frame, packet: &Packet) -> Option<Packet> {
    if packet.payload_len() == 0 {
        return None;
    }
    tcp::replace(frame, packet, packet.header_len()..packet.total_len, &[])
}

const fn toa_len(client: IpAddr) -> u16 {
    if client.is_ipv4() { 8 } else { 20 }
}

/// Writes the client's address and port into a segment of the beginning: up to the first that acknowledges something of
/// the server's. One without room for it goes as it is; the address that a client claims for itself goes nowhere.
fn put_toa(frame: &mut Frame, packet: &Packet, conn: &Conn<'_>) -> Option<Packet> {
    let L4::Tcp { flags, ack, .. } = packet.l4 else { return None };
    let beginning = conn.server().begun().is_some_and(|begun| ack == begun.wrapping_add(1));
    if !beginning || !flags.ack() || flags.rst() {
        return None;
    }
    tcp::remove_options(frame, packet, |option| option.kind == TOA);
    let client = conn.legs.client;
    let mut option = [TOA; 20];
    let option = &mut option[..usize::from(toa_len(client.ip()))];
    option[1] = option.len() as u8;
    option[2..4].copy_from_slice(&client.port().to_be_bytes());
    match client.ip() {
        IpAddr::V4(addr) => option[4..].copy_from_slice(&addr.octets()),
        IpAddr::V6(addr) => option[4..].copy_from_slice(&addr.octets()),
    }
    let mtu = conn.legs.dest.mtu.load(Relaxed) as usize;
    let fits = mtu == 0 || gso::largest(frame, packet) + option.len() <= mtu;
    // A super-packet has it in each segment, which then has less of the data.
    let size = mtu.checked_sub(packet.header_len() + option.len()).filter(|size| *size > 0);
    let size = size.filter(|_| frame.offload.gso_size > 0).and_then(|size| u16::try_from(size).ok());
    if !fits && size.is_none() {
        return None;
    }
    let after = tcp::put_option(frame, packet, option)?;
    if let (false, Some(size)) = (fits, size) {
        frame.offload.gso_size = size;
    }
    Some(after)
}
