//! Neighbour discovery over Ethernet: telling neighbours of IPv6 where an address is, asked or not (RFC 4861). Bytes are
//! whole IPv6 packets.

use std::net::{IpAddr, Ipv6Addr};

use crate::bytes::{get16, put16};
use crate::checksum;

/// Bytes of an advertisement with the option that says where.
pub const LEN: usize = HEADER + MESSAGE;

const HEADER: usize = 40;
const MESSAGE: usize = 32;
const ICMP6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// All nodes of the link (RFC 4291 section 2.7.1), and their link address (RFC 2464 section 7).
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Where to send what is for all nodes of the link.
pub const ALL_AT: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Says that the address is at this link address, to be sent to [`ALL_AT`] (RFC 4861 section 7.2.6).
pub fn announcement(ip: Ipv6Addr, at: [u8; 6]) -> [u8; LEN] {
    emit(ip, ALL, OVERRIDE, at)
}

/// Answers a solicitation for an address that is `ours` (RFC 4861 section 7.2.4), and says to which link address; `from`
/// is the one that it came from. One by somebody who looks whether the address is free is answered to all.
pub fn answer(
    packet: &[u8],
    from: [u8; 6],
    ours: impl Fn(Ipv6Addr) -> bool,
    at: [u8; 6],
) -> Option<([u8; 6], [u8; LEN])> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let message = packet.get(HEADER..HEADER + usize::from(get16(header, 4)))?;
    // Neighbour discovery has no extension headers in front of it, and comes from the link itself.
    let is_ours = header[0] >> 4 == 6 && header[6] == ICMP6 && header[7] == 255;
    if !is_ours || message.len() < 24 || message[..2] != [SOLICITATION, 0] {
        return None;
    }
    let (src, dst) = (address(header, 8)?, address(header, 24)?);
    let target = address(message, 8)?;
    if target.is_multicast() || !ours(target) || ours(src) || src.is_multicast() {
        return None;
    }
    let pseudo = checksum::pseudo_header(src.into(), dst.into(), ICMP6, message.len() as u32);
    if checksum::add(checksum::sum(message), pseudo) != 0xffff {
        return None;
    }
    let said = source(&message[24..]).ok()?;
    if src.is_unspecified() {
        // RFC 4861 section 7.1.1.
        let is_probe = said.is_none() && dst == solicited_node(target);
        return is_probe.then(|| (ALL_AT, emit(target, ALL, OVERRIDE, at)));
    }
    let to = said.unwrap_or(from);
    (to[0] & 1 == 0).then(|| (to, emit(target, src, SOLICITED | OVERRIDE, at)))
}

/// Malformed.
struct Malformed;

/// The link address that an option says the sender has.
fn source(mut options: &[u8]) -> Result<Option<[u8; 6]>, Malformed> {
    let mut said = None;
    while let [kind, units, ..] = *options {
        let len = 8 * usize::from(units);
        // RFC 4861 section 4.6: none is empty.
        if len == 0 {
            return Err(Malformed);
        }
        let option = options.get(..len).ok_or(Malformed)?;
        if kind == SOURCE_ADDRESS {
            said = option[2..].first_chunk().copied();
        }
        options = &options[len..];
    }
    if options.is_empty() { Ok(said) } else { Err(Malformed) }
}

/// The group that solicitations for the address are sent to (RFC 4291 section 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?))
}

fn emit(target: Ipv6Addr, to: Ipv6Addr, flags: u8, at: [u8; 6]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[0] = 0x60;
    put16(&mut bytes, 4, MESSAGE as u16);
    (bytes[6], bytes[7]) = (ICMP6, 255);
    bytes[8..24].copy_from_slice(&target.octets());
    bytes[24..40].copy_from_slice(&to.octets());
    let message = &mut bytes[HEADER..];
    message[0] = ADVERTISEMENT;
    message[4] = flags;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[TARGET_ADDRESS, 1]);
    message[26..].copy_from_slice(&at);
    let pseudo = checksum::pseudo_header(IpAddr::V6(target), IpAddr::V6(to), ICMP6, MESSAGE as u32);
    let sum = checksum::add(checksum::sum(message), pseudo);
    put16(message, 2, !sum);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::verify;

    const AT: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const CLIENT_AT: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// As it comes from a client, with options.
    fn solicitation(src: &str, dst: &str, target: &str, options: &[u8]) -> Vec<u8> {
        let (src, dst) = (IpAddr::V6(ip(src)), IpAddr::V6(ip(dst)));
        let body = [&ip(target).octets(), options].concat();
        crate::build::icmp(src, dst, SOLICITATION, 0, 0).ttl(255).payload(&body).bytes()
    }

    fn answered(packet: &[u8]) -> Option<([u8; 6], [u8; LEN])> {
        answer(packet, CLIENT_AT, |it| it == ip("fd00::9"), AT)
    }

    const OPTION: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 7];
    const NODE: &str = "ff02::1:ff00:9";

    #[test]
    fn a_solicitation_for_an_address_of_ours_is_answered() {
        for (options, to) in [
            (&[][..], CLIENT_AT),
            (&OPTION, [2, 0, 0, 0, 0, 7]),
            // A nonce (RFC 3971 section 5.3.2) before it.
            (&[[14, 1, 1, 2, 3, 4, 5, 6], OPTION].concat(), [2, 0, 0, 0, 0, 7]),
        ] {
            for dst in [NODE, "fd00::9"] {
                let (told, bytes) = answered(&solicitation("fd00::2", dst, "fd00::9", options)).unwrap();
                assert_eq!(told, to);
                verify(&bytes).unwrap();
                assert_eq!(
                    (address(&bytes, 8), address(&bytes, 24)),
                    (Some(ip("fd00::9")), Some(ip("fd00::2")))
                );
                assert_eq!((bytes[7], &bytes[40..42], bytes[44]), (255, &[136, 0][..], 0x60));
                assert_eq!(address(&bytes, 48), Some(ip("fd00::9")));
                assert_eq!(bytes[64..], [2, 1, 2, 0, 0, 0, 0, 9]);
            }
        }
    }

    #[test]
    fn who_looks_whether_the_address_is_free_is_told_with_all_others() {
        let (to, bytes) = answered(&solicitation("::", NODE, "fd00::9", &[])).unwrap();
        verify(&bytes).unwrap();
        assert_eq!((to, address(&bytes, 24), bytes[44]), (ALL_AT, Some(ALL), 0x20));
        assert_eq!(bytes, announcement(ip("fd00::9"), AT), "the same as is said unasked");
        assert_eq!(answered(&solicitation("::", "fd00::9", "fd00::9", &[])), None);
        assert_eq!(answered(&solicitation("::", NODE, "fd00::9", &OPTION)), None);
    }

    #[test]
    fn nothing_else_is() {
        let good = solicitation("fd00::2", NODE, "fd00::9", &OPTION);
        assert!(answered(&good).is_some());
        for len in 0..good.len() {
            assert_eq!(answered(&good[..len]), None, "{len}");
        }
        for at in 0..good.len() {
            let mut other = good.clone();
            other[at] ^= 0x10;
            // Traffic class and flow label are anything; all else is under the checksum, or has its own value.
            let free = (1..4).contains(&at);
            assert_eq!(answered(&other).is_some(), free, "byte {at}");
        }
        for (src, dst, target, options) in [
            ("fd00::2", NODE, "fd00::8", &OPTION[..]),
            ("fd00::9", NODE, "fd00::9", &OPTION),
            ("fd00::2", NODE, "fd00::9", &[1, 0, 2, 0, 0, 0, 0, 7]),
            ("fd00::2", NODE, "fd00::9", &[1, 2, 2, 0, 0, 0, 0, 7]),
            ("fd00::2", NODE, "fd00::9", &[1, 1, 3, 0, 0, 0, 0, 7]),
            ("fd00::2", NODE, "fd00::9", &OPTION[..6]),
        ] {
            assert_eq!(
                answered(&solicitation(src, dst, target, options)),
                None,
                "{src} {target} {options:?}"
            );
        }
        let ttl = |ttl| {
            let body = ip("fd00::9").octets();
            let (src, dst) = (IpAddr::V6(ip("fd00::2")), IpAddr::V6(ip(NODE)));
            crate::build::icmp(src, dst, SOLICITATION, 0, 0).ttl(ttl).payload(&body).bytes()
        };
        assert!(answered(&ttl(255)).is_some() && answered(&ttl(254)).is_none());
    }
}
