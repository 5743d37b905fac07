//! The packets of questions, and the reading of what comes: RFC 826 (ARP), RFC 791 and RFC 8200 (IP), RFC 9293 (TCP),
//! RFC 792 and RFC 4443 (ICMP), RFC 2003, RFC 2473, RFC 2784 and GUE around a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wire::checksum;

use super::{Said, TunnelKind};
use crate::link::ETHERNET;
use crate::survey::Mac;

pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;

/// Ethertypes.
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

const ICMP: u8 = 1;
const IPIP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const ICMPV6: u8 = 58;

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
    Some((Mac(*packet.get(8..)?.first_chunk()?), v4_at(packet, 14)?))
}

pub(super) fn is_v6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte >> 4 == 6)
}

/// A segment with no payload, in its packet. A reset acknowledges nothing.
pub(super) fn tcp(from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0; 4]);
    // Five words of header, a window, no checksum yet, nothing urgent.
    segment.extend([5 << 4, flags, 0x40, 0, 0, 0, 0, 0]);
    let sum = transport_sum(from.ip(), to.ip(), TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(from.ip(), to.ip(), TCP, &segment)
}

/// An echo request that must not be cut, so many bytes long.
pub(super) fn echo(from: IpAddr, to: IpAddr, name: u16, number: u16, bytes: u16) -> Vec<u8> {
    let (request, header) = if from.is_ipv4() { (8, 20) } else { (128, 40) };
    let mut message = vec![request, 0, 0, 0];
    message.extend(name.to_be_bytes());
    message.extend(number.to_be_bytes());
    message.resize(usize::from(bytes).saturating_sub(header).max(8), 0);
    let (protocol, sum) = match from {
        IpAddr::V4(_) => (ICMP, !checksum::sum(&message)),
        IpAddr::V6(_) => (ICMPV6, transport_sum(from, to, ICMPV6, &message)),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, protocol, &message)
}

/// The packet in another one.
pub(super) fn wrap(packet: &[u8], from: IpAddr, to: IpAddr, kind: TunnelKind) -> Vec<u8> {
    let (protocol, ethertype) = if is_v6(packet) { (IPV6_IN_IP, IPV6) } else { (IPIP, IPV4) };
    match kind {
        TunnelKind::Ipip => ip(from, to, protocol, packet),
        TunnelKind::Gre => {
            let [high, low] = ethertype.to_be_bytes();
            ip(from, to, GRE, &[&[0, 0, high, low], packet].concat())
        }
        TunnelKind::Gue(port) => {
            let ([high, low], [a, b]) = (port.to_be_bytes(), ((packet.len() + 12) as u16).to_be_bytes());
            // UDP without a checksum, then version 0, no options, and what follows.
            let header = [high, low, high, low, a, b, 0, 0, 0, protocol, 0, 0];
            ip(from, to, UDP, &[&header, packet].concat())
        }
    }
}

/// A packet that must not be cut. Both addresses are of one family.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    const DONT_FRAGMENT: u8 = 0x40;
    const HOPS: u8 = 64;
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [a, b] = (payload.len() as u16).to_be_bytes();
            packet.extend([0x60, 0, 0, 0, a, b, protocol, HOPS]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (from, to) => {
            let [a, b] = ((payload.len() + 20) as u16).to_be_bytes();
            packet.extend([0x45, 0, a, b, 0, 0, DONT_FRAGMENT, 0, HOPS, protocol, 0, 0]);
            packet.extend(octets(from));
            packet.extend(octets(to));
            let sum = !checksum::sum(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
    packet.extend(payload);
    packet
}

/// The checksum over the pseudo header, whose words have another order in IPv6 and the same sum.
fn transport_sum(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let [a, b] = (payload.len() as u16).to_be_bytes();
    !checksum::sum(&[&octets(from), &octets(to), &[0, protocol, a, b][..], payload].concat())
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Tcp {
        from: SocketAddr,
        to: SocketAddr,
        flags: u8,
        acknowledged: u32,
    },
    /// An error about a packet from one address to another.
    Told {
        what: Said,
        from: IpAddr,
        about: (IpAddr, IpAddr),
    },
    EchoReply {
        from: IpAddr,
        name: u16,
        number: u16,
    },
}

/// Reads a frame; says which link address it is from.
pub(super) fn heard(frame: &[u8]) -> Option<(Mac, Heard)> {
    let mac = Mac(*frame.get(6..)?.first_chunk()?);
    let packet = frame.get(ETHERNET..)?;
    let (from, to) = ends(packet)?;
    let (protocol, header) = if is_v6(packet) {
        (*packet.get(6)?, 40)
    } else {
        (*packet.get(9)?, usize::from(packet.first()? & 15) * 4)
    };
    let payload = packet.get(header..)?;
    let heard = match (protocol, *payload.first()?) {
        (TCP, _) => Heard::Tcp {
            from: SocketAddr::new(from, half_at(payload, 0)?),
            to: SocketAddr::new(to, half_at(payload, 2)?),
            flags: *payload.get(13)?,
            acknowledged: u32::from_be_bytes(*payload.get(8..)?.first_chunk()?),
        },
        (ICMP, 0) | (ICMPV6, 129) => {
            Heard::EchoReply { from, name: half_at(payload, 4)?, number: half_at(payload, 6)? }
        }
        (ICMP, 3 | 11 | 12) | (ICMPV6, 1..=4) => {
            let what = said(protocol, payload)?;
            Heard::Told { what, from, about: ends(payload.get(8..)?)? }
        }
        _ => return None,
    };
    Some((mac, heard))
}

fn said(protocol: u8, message: &[u8]) -> Option<Said> {
    Some(match (protocol, *message.first()?, *message.get(1)?) {
        (ICMP, 3, 2) | (ICMPV6, 4, 1) => Said::NoProtocol,
        (ICMP, 3, 3) | (ICMPV6, 1, 4) => Said::NoPort,
        (ICMP, 3, 4) | (ICMPV6, 2, _) => Said::TooLarge(half_at(message, 6)?),
        (ICMP, 3, 9 | 10 | 13) | (ICMPV6, 1, 1 | 5) => Said::Forbidden,
        (ICMP, 3, _) | (ICMPV6, 1, _) => Said::NoWay,
        _ => Said::Other,
    })
}

/// Source and destination of a packet.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if !is_v6(packet) {
        return Some((v4_at(packet, 12)?.into(), v4_at(packet, 16)?.into()));
    }
    let v6_at = |at| Some(IpAddr::from(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?)));
    Some((v6_at(8)?, v6_at(24)?))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_be_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn frame(packet: &[u8]) -> Vec<u8> {
        let ethertype = if is_v6(packet) { IPV6 } else { IPV4 };
        [&[0xff; 6][..], &MAC.0, &ethertype.to_be_bytes(), packet].concat()
    }

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        for (from, to) in [("10.0.0.1:1000", "10.0.0.2:80"), ("[fd00::1]:1000", "[fd00::2]:80")] {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let packet = tcp(from, to, SYN, 7);
            checksum::verify(&packet).unwrap();
            let expected = Heard::Tcp { from, to, flags: SYN, acknowledged: 0 };
            assert_eq!(heard(&frame(&packet)), Some((MAC, expected)));
        }
    }

    #[test]
    fn an_error_is_about_the_packet_that_it_quotes() {
        for (a, b, router, kind, protocol) in [
            ("10.0.0.1", "10.0.0.2", "10.0.0.3", [3, 4], ICMP),
            ("fd00::1", "fd00::2", "fd00::3", [2, 0], ICMPV6),
        ] {
            let [a, b, router] = [a, b, router].map(|ip| ip.parse().unwrap());
            let about = echo(a, b, 1, 2, 1500);
            checksum::verify(&about).unwrap();
            assert_eq!(about.len(), 1500);
            let message = [&kind[..], &[0, 0, 0, 0, 5, 20], &about[..48]].concat();
            let expected = Heard::Told { what: Said::TooLarge(1300), from: router, about: (a, b) };
            assert_eq!(heard(&frame(&ip(router, a, protocol, &message))), Some((MAC, expected)));
        }
    }

    #[test]
    fn an_answer_of_arp_is_no_question() {
        let arp = |packet: &[u8]| arp_answer(&[&[0xff; 6][..], &MAC.0, &[8, 6], packet].concat());
        let mut packet = arp_request(MAC, Ipv4Addr::from([10, 0, 0, 1]), Ipv4Addr::from([10, 0, 0, 2]));
        assert_eq!(arp(&packet), None);
        packet[7] = 2;
        assert_eq!(arp(&packet), Some((MAC, Ipv4Addr::from([10, 0, 0, 1]))));
    }

    #[test]
    fn nothing_makes_it_panic() {
        for (from, to) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
            let packet = frame(&tcp(from.parse().unwrap(), to.parse().unwrap(), SYN, 0));
            for len in 0..packet.len() {
                let _ = (heard(&packet[..len]), arp_answer(&packet[..len]));
            }
        }
    }
}
