//! Address resolution over Ethernet: telling neighbours of IPv4 where an address is, asked or not (RFC 826; RFC 5227 for
//! what is said unasked). Bytes are what follows the Ethernet header.

use std::net::Ipv4Addr;

/// Bytes of a packet; Ethernet pads it.
pub const LEN: usize = 28;

/// Ethernet, IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Says that the address is at this link address, to be sent to everybody (RFC 5227 section 2.3). That is a request:
/// some take no notice of replies that they have not asked for.
pub fn announcement(ip: Ipv4Addr, at: [u8; 6]) -> [u8; LEN] {
    emit(REQUEST, (at, ip), ([0; 6], ip))
}

/// Answers a request for an address that is `ours`, and says to whom. A probe (RFC 5227 section 2.1.1) is answered, too;
/// an announcement is not, it asks nothing.
pub fn answer(request: &[u8], ours: impl Fn(Ipv4Addr) -> bool, at: [u8; 6]) -> Option<([u8; 6], [u8; LEN])> {
    let request: &[u8; LEN] = request.first_chunk()?;
    if request[..6] != KIND || request[6..8] != REQUEST.to_be_bytes() {
        return None;
    }
    let sender: [u8; 6] = *request[8..].first_chunk()?;
    let (from, to) = (address(request, 14)?, address(request, 24)?);
    // Nobody's link address has the group bit (IEEE 802).
    let is_host = sender[0] & 1 == 0 && sender != [0; 6];
    if !is_host || from == to || !ours(to) || ours(from) {
        return None;
    }
    Some((sender, emit(REPLY, (at, to), (sender, from))))
}

fn address(bytes: &[u8; LEN], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes[at..].first_chunk::<4>()?))
}

fn emit(
    operation: u16,
    (sender, sender_ip): ([u8; 6], Ipv4Addr),
    (target, target_ip): ([u8; 6], Ipv4Addr),
) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..6].copy_from_slice(&KIND);
    bytes[6..8].copy_from_slice(&operation.to_be_bytes());
    bytes[8..14].copy_from_slice(&sender);
    bytes[14..18].copy_from_slice(&sender_ip.octets());
    bytes[18..24].copy_from_slice(&target);
    bytes[24..].copy_from_slice(&target_ip.octets());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const AT: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const CLIENT_AT: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn answered(request: &[u8]) -> Option<([u8; 6], [u8; LEN])> {
        answer(request, |ip| ip == VIP, AT)
    }

    #[test]
    fn a_request_for_an_address_of_ours_is_answered() {
        let request = emit(REQUEST, (CLIENT_AT, CLIENT), ([0; 6], VIP));
        let want = [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2];
        assert_eq!(answered(&request), Some((CLIENT_AT, want)));
        // As it comes, padded.
        let mut padded = request.to_vec();
        padded.resize(46, 0);
        assert_eq!(answered(&padded), Some((CLIENT_AT, want)));
        let probe = emit(REQUEST, (CLIENT_AT, Ipv4Addr::UNSPECIFIED), ([0; 6], VIP));
        let (to, reply) = answered(&probe).unwrap();
        assert_eq!((to, &reply[24..]), (CLIENT_AT, &[0; 4][..]));
    }

    #[test]
    fn nothing_else_is() {
        let request = emit(REQUEST, (CLIENT_AT, CLIENT), ([0; 6], VIP));
        for at in 0..8 {
            let mut other = request;
            other[at] ^= 0x40;
            assert_eq!(answered(&other), None, "byte {at}");
        }
        for (operation, sender, target) in [
            (REPLY, (CLIENT_AT, CLIENT), VIP),
            (REQUEST, (CLIENT_AT, CLIENT), CLIENT),
            (REQUEST, (CLIENT_AT, CLIENT), Ipv4Addr::new(10, 0, 0, 3)),
            (REQUEST, (CLIENT_AT, VIP), VIP),
            (REQUEST, ([0xff; 6], CLIENT), VIP),
            (REQUEST, ([0; 6], CLIENT), VIP),
        ] {
            assert_eq!(answered(&emit(operation, sender, ([0; 6], target))), None, "{operation} {sender:?}");
        }
        for len in 0..LEN {
            assert_eq!(answered(&request[..len]), None);
        }
        assert_eq!(answered(&announcement(VIP, CLIENT_AT)), None, "somebody else's announcement");
    }

    #[test]
    fn an_announcement_is_a_request_for_oneself() {
        let bytes = announcement(VIP, AT);
        let want = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9];
        assert_eq!(bytes, want);
    }
}
