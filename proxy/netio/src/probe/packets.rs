//! The packets of questions, and the reading of what comes: RFC 826 (ARP), RFC 791, RFC 9293 (TCP), RFC 792 (ICMP),
//! RFC 2003, RFC 2784 and GUE around a packet.

use std::net::{Ipv4Addr, SocketAddrV4};

use wire::checksum;

use super::TunnelKind;
use crate::link::ETHERNET;
use crate::survey::Mac;

pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const IPIP: u8 = 4;
const UDP: u8 = 17;
const GRE: u8 = 47;

pub(super) fn arp_request(mac: Mac, asker: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    // Ethernet, IPv4, their lengths, a request.
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
    bytes.extend(mac.0);
    bytes.extend(asker.octets());
    bytes.extend([0; 6]);
    bytes.extend(target.octets());
    bytes
}

/// Who answers, and for what, in a frame.
pub(super) fn arp_answer(frame: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    let packet = frame.get(ETHERNET..)?;
    (packet.get(..8)? == [0, 1, 8, 0, 6, 4, 0, 2]).then_some(())?;
    Some((Mac(*packet.get(8..)?.first_chunk()?), ip_at(packet, 14)?))
}

/// A segment with no payload, in its packet.
pub(super) fn tcp(from: SocketAddrV4, to: SocketAddrV4, flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    // Five words of header, a window, no checksum yet, nothing urgent.
    segment.extend([5 << 4, flags, 0x40, 0, 0, 0, 0, 0]);
    let mut covered = Vec::new();
    covered.extend(from.ip().octets());
    covered.extend(to.ip().octets());
    covered.extend([0, TCP, 0, 20]);
    covered.extend(&segment);
    segment[16..18].copy_from_slice(&(!checksum::sum(&covered)).to_be_bytes());
    ipv4(*from.ip(), *to.ip(), TCP, &segment)
}

/// An echo request that must not be cut, so many bytes long.
pub(super) fn echo(from: Ipv4Addr, to: Ipv4Addr, name: u16, number: u16, bytes: u16) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0];
    message.extend(name.to_be_bytes());
    message.extend(number.to_be_bytes());
    message.resize(usize::from(bytes).saturating_sub(20).max(8), 0);
    let sum = !checksum::sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, to, ICMP, &message)
}

/// The packet in another one.
pub(super) fn wrap(packet: &[u8], from: Ipv4Addr, to: Ipv4Addr, kind: TunnelKind) -> Vec<u8> {
    match kind {
        TunnelKind::Ipip => ipv4(from, to, IPIP, packet),
        TunnelKind::Gre => ipv4(from, to, GRE, &[&[0, 0, 8, 0], packet].concat()),
        TunnelKind::Gue(port) => {
            let [high, low] = port.to_be_bytes();
            let [a, b] = ((packet.len() + 12) as u16).to_be_bytes();
            // UDP without a checksum, then version 0, no options, and what follows.
            let header = [high, low, high, low, a, b, 0, 0, 0, IPIP, 0, 0];
            ipv4(from, to, UDP, &[&header, packet].concat())
        }
    }
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    const DONT_FRAGMENT: u8 = 0x40;
    let [a, b] = ((payload.len() + 20) as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, a, b, 0, 0, DONT_FRAGMENT, 0, 64, protocol, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = !checksum::sum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Tcp {
        from: SocketAddrV4,
        to: SocketAddrV4,
        flags: u8,
        acknowledged: u32,
    },
    /// An error about a packet from one address to another.
    Icmp {
        kind: u8,
        code: u8,
        from: Ipv4Addr,
        about: (Ipv4Addr, Ipv4Addr),
        mtu: u16,
    },
    EchoReply {
        from: Ipv4Addr,
        name: u16,
        number: u16,
    },
}

/// Reads a frame; says which link address it is from.
pub(super) fn heard(frame: &[u8]) -> Option<(Mac, Heard)> {
    let mac = Mac(*frame.get(6..)?.first_chunk()?);
    let packet = frame.get(ETHERNET..)?;
    let payload = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    let (from, to) = (ip_at(packet, 12)?, ip_at(packet, 16)?);
    let heard = match *packet.get(9)? {
        TCP => Heard::Tcp {
            from: SocketAddrV4::new(from, half_at(payload, 0)?),
            to: SocketAddrV4::new(to, half_at(payload, 2)?),
            flags: *payload.get(13)?,
            acknowledged: u32::from_be_bytes(*payload.get(8..)?.first_chunk()?),
        },
        ICMP => match (*payload.first()?, *payload.get(1)?) {
            (0, 0) => Heard::EchoReply { from, name: half_at(payload, 4)?, number: half_at(payload, 6)? },
            (kind @ (3 | 5 | 11 | 12), code) => {
                let quoted = payload.get(8..)?;
                let about = (ip_at(quoted, 12)?, ip_at(quoted, 16)?);
                Heard::Icmp { kind, code, from, about, mtu: half_at(payload, 6)? }
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((mac, heard))
}

fn ip_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_be_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn frame(ethertype: [u8; 2], packet: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &MAC.0, &ethertype, packet].concat()
    }

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let (from, to) = ("10.0.0.1:1000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let packet = tcp(from, to, SYN, 7, 9);
        checksum::verify(&packet).unwrap();
        let expected = Heard::Tcp { from, to, flags: SYN, acknowledged: 9 };
        assert_eq!(heard(&frame([8, 0], &packet)), Some((MAC, expected)));
    }

    #[test]
    fn an_error_is_about_the_packet_that_it_quotes() {
        let [a, b, router] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(Ipv4Addr::from);
        let about = echo(a, b, 1, 2, 1500);
        checksum::verify(&about).unwrap();
        assert_eq!(about.len(), 1500);
        let message = [&[3, 4, 0, 0, 0, 0, 5, 20][..], &about[..28]].concat();
        let expected = Heard::Icmp { kind: 3, code: 4, from: router, about: (a, b), mtu: 1300 };
        assert_eq!(heard(&frame([8, 0], &ipv4(router, a, ICMP, &message))), Some((MAC, expected)));
    }

    #[test]
    fn an_answer_of_arp_is_no_question() {
        let mut packet = arp_request(MAC, Ipv4Addr::from([10, 0, 0, 1]), Ipv4Addr::from([10, 0, 0, 2]));
        assert_eq!(arp_answer(&frame([8, 6], &packet)), None);
        packet[7] = 2;
        assert_eq!(arp_answer(&frame([8, 6], &packet)), Some((MAC, Ipv4Addr::from([10, 0, 0, 1]))));
    }

    #[test]
    fn nothing_makes_it_panic() {
        let packet = frame([8, 0], &tcp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap(), SYN, 0, 0));
        for len in 0..packet.len() {
            let _ = (heard(&packet[..len]), arp_answer(&packet[..len]));
        }
    }
}
