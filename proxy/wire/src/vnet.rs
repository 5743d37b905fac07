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
