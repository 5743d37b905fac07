//! Packets out of packets: the far end of what [`crate::encap`] writes, and of what a kernel's IPVS writes.
//!
//! [`open`] starts behind the outer IP header (and behind the UDP header of GUE), which is where sockets deliver; what
//! a raw socket of IPv4 puts before that, [`outer`] reads. Outer fragments do not come: whoever delivers puts them
//! together first. IPIP (RFC 2003, RFC 4213, RFC 2473) has nothing more to read. GRE: RFC 2784, and of RFC 2890 the
//! sequence number, which is not looked at; a key names a tunnel that somebody set up, and there is none of that kind
//! here. GUE: draft-ietf-intarea-gue, version 0 with the option for remote checksums that Linux has
//! (`include/net/gue.h`), and version 1, which is nothing but the packet.
//!
//! The kernel that delivers may have merged packets of one flow before. It has looked at their checksums then, leaves the
//! inner one unfinished, and the one of GRE as it was in the first.
//!
//! Congestion that the outer header tells of is passed on inside (RFC 6040 section 4.2); hops are not counted.

use std::ops::Range;

use crate::bytes::{get16, get32, put16};
use crate::checksum::{self, Delta};
use crate::edit;
use crate::frame::Checksum;
use crate::packet::parse::{self, Length};
use crate::packet::{Family, Fragment, Packet};

/// What a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Nothing but the outer IP header, whose protocol number says which family is inside.
    Ipip(Family),
    /// A GRE header.
    Gre,
    /// A GUE header, behind one of UDP.
    Gue,
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why nothing is taken out of a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Refusal {
            /// Every reason, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in counters and listings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

refusals! {
    /// The outer headers are cut off, or a fragment's.
    OuterMalformed = "outer-malformed",
    /// What is inside is no well-formed packet of the family that the outer headers name.
    InnerMalformed = "inner-malformed",
    /// What is inside is neither IPv4 nor IPv6.
    InnerProtocol = "inner-protocol",
    /// GRE of another version (PPTP has 1).
    GreVersion = "gre-version",
    /// GRE with what RFC 2784 no longer has: source routes.
    GreFlags = "gre-flags",
    /// GRE with a key.
    GreKey = "gre-key",
    /// The GRE checksum is wrong.
    GreChecksum = "gre-checksum",
    /// GUE of a version to come.
    GueVersion = "gue-version",
    /// A control message of GUE.
    GueControl = "gue-control",
    /// GUE with options that are not known.
    GueFlags = "gue-flags",
    /// The remote checksum is none of the packet inside.
    GueRemoteChecksum = "gue-remote-checksum",
    /// Congestion was experienced on the way by what cannot say so.
    Congestion = "congestion",
}

/// The outer IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Type of service, traffic class.
    pub class: u8,
    /// The number of what stands behind it.
    pub protocol: u8,
    /// Where that is.
    pub payload: Range<usize>,
}

/// The packet that was inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The parse of it.
    pub packet: Packet,
    /// Where it starts; it is `packet.total_len` bytes long.
    pub at: usize,
    /// Its transport checksum, which the other end may have left to us.
    pub checksum: Checksum,
}

/// Reads an outer IP header of either family, with options or extension headers.
///
/// # Errors
/// [`Refusal::OuterMalformed`].
pub fn outer(bytes: &[u8]) -> Result<Outer, Refusal> {
    let network = parse::network(bytes, Length::Strict).map_err(|_| Refusal::OuterMalformed)?;
    let packet = network.packet;
    if packet.fragment != Fragment::None {
        return Err(Refusal::OuterMalformed);
    }
    let class = class(&bytes[..2], packet.family);
    Ok(Outer { class, protocol: packet.protocol, payload: packet.l4_offset..packet.total_len })
}

/// Finds the packet in `bytes`, which stand behind the outer IP header of that class. What the class says of congestion
/// is written into the packet found.
///
/// # Errors
/// [`Refusal`]; nothing was written then.
pub fn open(bytes: &mut [u8], carrier: Carrier, class: u8) -> Result<Inner, Refusal> {
    let Opened { family, at, remote, wrong } = match carrier {
        Carrier::Ipip(family) => Opened::at(0, family),
        Carrier::Gre => gre(bytes)?,
        Carrier::Gue => gue(bytes)?,
    };
    let packet = Packet::parse(&bytes[at..]).map_err(|_| Refusal::InnerMalformed)?;
    if packet.family != family {
        return Err(Refusal::InnerMalformed);
    }
    if wrong && checksum::unfinished(&bytes[at..], &packet).is_none() {
        return Err(Refusal::GreChecksum);
    }
    let checksum = match remote {
        None => Checksum::Complete,
        Some((start, field)) => left_to_us(&packet, start, field).ok_or(Refusal::GueRemoteChecksum)?,
    };
    congestion(&mut bytes[at..], family, class)?;
    Ok(Inner { packet, at, checksum })
}

/// What a tunnel header says.
struct Opened {
    family: Family,
    at: usize,
    /// Where the checksum starts that is left to us, and where its field is, from the packet's start.
    remote: Option<(u16, u16)>,
    /// The header's own checksum is wrong.
    wrong: bool,
}

impl Opened {
    /// Nothing is said but that.
    fn at(at: usize, family: Family) -> Self {
        Self { family, at, remote: None, wrong: false }
    }
}

/// RFC 2784 section 2.1, RFC 2890 section 2.
fn gre(bytes: &[u8]) -> Result<Opened, Refusal> {
    const CHECKSUM: u16 = 1 << 15;
    const KEY: u16 = 1 << 13;
    const SEQUENCE: u16 = 1 << 12;
    /// Bits 1, 4 and 5: what has them is to be discarded. Bits 6 to 12 are to be ignored.
    const ROUTING: u16 = 0b0100_1100 << 8;
    const VERSION: u16 = 7;
    const ETHERTYPE_V4: u16 = 0x0800;
    const ETHERTYPE_V6: u16 = 0x86dd;
    if bytes.len() < 4 {
        return Err(Refusal::OuterMalformed);
    }
    let flags = get16(bytes, 0);
    if flags & VERSION != 0 {
        return Err(Refusal::GreVersion);
    }
    if flags & ROUTING != 0 {
        return Err(Refusal::GreFlags);
    }
    if flags & KEY != 0 {
        return Err(Refusal::GreKey);
    }
    let words = [CHECKSUM, SEQUENCE].into_iter().filter(|flag| flags & flag != 0).count();
    let at = 4 + 4 * words;
    if bytes.len() < at {
        return Err(Refusal::OuterMalformed);
    }
    let wrong = flags & CHECKSUM != 0 && checksum::sum(bytes) != 0xffff;
    let family = match get16(bytes, 2) {
        ETHERTYPE_V4 => Family::V4,
        ETHERTYPE_V6 => Family::V6,
        _ => return Err(Refusal::InnerProtocol),
    };
    Ok(Opened { wrong, ..Opened::at(at, family) })
}

fn gue(bytes: &[u8]) -> Result<Opened, Refusal> {
    const CONTROL: u8 = 1 << 5;
    const LENGTH: u8 = CONTROL - 1;
    const PRIVATE: u16 = 1;
    const REMOTE_CHECKSUM: u32 = 1 << 31;
    const HEADER: usize = 4;
    const IPIP: u8 = 4;
    const IPV6: u8 = 41;
    let first = *bytes.first().ok_or(Refusal::OuterMalformed)?;
    match first >> 6 {
        0 => {}
        // Those two bits are the first of an IP version.
        1 => {
            let family = match first >> 4 {
                4 => Family::V4,
                6 => Family::V6,
                _ => return Err(Refusal::InnerProtocol),
            };
            return Ok(Opened::at(0, family));
        }
        _ => return Err(Refusal::GueVersion),
    }
    let at = HEADER + usize::from(first & LENGTH) * 4;
    if bytes.len() < at {
        return Err(Refusal::OuterMalformed);
    }
    if first & CONTROL != 0 {
        return Err(Refusal::GueControl);
    }
    let family = match bytes[1] {
        IPIP => Family::V4,
        IPV6 => Family::V6,
        _ => return Err(Refusal::InnerProtocol),
    };
    // Each flag has options of a fixed length; what is left behind those of known flags is nobody's.
    let options = &bytes[HEADER..at];
    let remote = match get16(bytes, 2) {
        0 => None,
        PRIVATE if options.len() < 4 => return Err(Refusal::GueFlags),
        PRIVATE => match get32(options, 0) {
            0 => None,
            REMOTE_CHECKSUM if options.len() >= 8 => Some((get16(options, 4), get16(options, 6))),
            _ => return Err(Refusal::GueFlags),
        },
        _ => return Err(Refusal::GueFlags),
    };
    Ok(Opened { remote, ..Opened::at(at, family) })
}

/// The partial checksum that starts and is there, if it is the packet's own.
fn left_to_us(packet: &Packet, start: u16, field: u16) -> Option<Checksum> {
    let checksum = Checksum::Partial { start, offset: field.checked_sub(start)? };
    (packet.fragment == Fragment::None && packet.is_own(checksum)).then_some(checksum)
}

/// RFC 6040 section 4.2, figure 4.
fn congestion(inner: &mut [u8], family: Family, outer: u8) -> Result<(), Refusal> {
    const ECN: u8 = 3;
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    let before = class(&inner[..2], family);
    let ecn = match (before & ECN, outer & ECN) {
        (NOT_ECT, CE) => return Err(Refusal::Congestion),
        (NOT_ECT, _) => NOT_ECT,
        (_, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (before, _) => before,
    };
    let after = before & !ECN | ecn;
    if after == before {
        return Ok(());
    }
    let old = get16(inner, 0);
    match family {
        Family::V4 => {
            inner[1] = after;
            edit::update_v4_header(inner, Delta::default().word(old, get16(inner, 0)));
        }
        Family::V6 => put16(inner, 0, old & 0xf00f | u16::from(after) << 4),
    }
    Ok(())
}

/// The class in the first two bytes of an IP header.
fn class(bytes: &[u8], family: Family) -> u8 {
    match family {
        Family::V4 => bytes[1],
        Family::V6 => bytes[0] << 4 | bytes[1] >> 4,
    }
}

#[cfg(test)]
mod tests;
