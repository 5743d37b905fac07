//! The ten bytes of `struct virtio_net_hdr` that stand before each packet of a TUN with `IFF_VNET_HDR`
//! (virtio 1.2, section 5.1.6; host byte order on a TUN).

use crate::frame::{Checksum, GsoKind, Offload};

/// Size of the header.
pub const LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// The header says something that this engine does not know (a GSO type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownGso(pub u8);

/// Reads the header.
pub fn parse(bytes: &[u8; LEN]) -> Result<Offload, UnknownGso> {
    let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let gso = match bytes[1] & !GSO_ECN {
        GSO_NONE => GsoKind::None,
        GSO_TCPV4 => GsoKind::TcpV4,
        GSO_TCPV6 => GsoKind::TcpV6,
        GSO_UDP_L4 => GsoKind::Udp,
        other => return Err(UnknownGso(other)),
    };
    Ok(Offload {
        checksum: if bytes[0] & F_NEEDS_CSUM != 0 {
            Checksum::Partial { start: word(6), offset: word(8) }
        } else {
            Checksum::Complete
        },
        gso,
        gso_size: word(4),
        hdr_len: word(2),
        ecn: bytes[1] & GSO_ECN != 0,
    })
}

/// Writes the header.
pub fn emit(offload: &Offload) -> [u8; LEN] {
    let mut out = [0; LEN];
    if let Checksum::Partial { start, offset } = offload.checksum {
        out[0] = F_NEEDS_CSUM;
        out[6..8].copy_from_slice(&start.to_ne_bytes());
        out[8..10].copy_from_slice(&offset.to_ne_bytes());
    }
    out[1] = match offload.gso {
        GsoKind::None => GSO_NONE,
        GsoKind::TcpV4 => GSO_TCPV4,
        GsoKind::TcpV6 => GSO_TCPV6,
        GsoKind::Udp => GSO_UDP_L4,
    } | if offload.ecn { GSO_ECN } else { 0 };
    out[2..4].copy_from_slice(&offload.hdr_len.to_ne_bytes());
    out[4..6].copy_from_slice(&offload.gso_size.to_ne_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a header in host byte order: flags, GSO type, then four words.
    fn header(flags: u8, gso: u8, words: [u16; 4]) -> [u8; LEN] {
        let mut bytes = [flags, gso, 0, 0, 0, 0, 0, 0, 0, 0];
        for (at, word) in words.into_iter().enumerate() {
            bytes[2 + 2 * at..4 + 2 * at].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_tcp_super_packet() {
        let bytes = header(1, 0x81, [54, 1448, 20, 16]);
        let offload = Offload {
            checksum: Checksum::Partial { start: 20, offset: 16 },
            gso: GsoKind::TcpV4,
            gso_size: 1448,
            hdr_len: 54,
            ecn: true,
        };
        assert_eq!(parse(&bytes), Ok(offload));
        assert_eq!(emit(&offload), bytes);
    }

    #[test]
    fn plain_packets() {
        assert_eq!(parse(&[0; LEN]), Ok(Offload::default()));
        assert_eq!(emit(&Offload::default()), [0; LEN]);
        // Flag 2: the kernel has verified the checksum, so it is complete.
        assert_eq!(parse(&header(2, 0, [0; 4])), Ok(Offload::default()));
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(parse(&header(0, 3, [0; 4])), Err(UnknownGso(3)));
        assert_eq!(parse(&header(1, 0x83, [0; 4])), Err(UnknownGso(3)));
    }
}
