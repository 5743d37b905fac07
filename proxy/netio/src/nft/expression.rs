//! The steps of rules. Registers are numbered from 0, 4 bytes each, 16 in all.

use crate::netlink::Message;

/// What a packet is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    /// ETH_P_IP, ETH_P_IPV6, ..., behind a VLAN tag.
    EtherType = 1,
    Mark = 3,
    InputInterface = 4,
    OutputInterface = 5,
    /// AF_INET is 2, AF_INET6 10.
    Family = 15,
    /// The transport protocol, behind IPv6 extension headers.
    Protocol = 16,
    /// Whom the frame was sent to: PACKET_HOST is 0.
    PacketType = 19,
}

/// Where an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Network = 1,
    Transport = 2,
}

/// One step of a rule. A step that does not match ends the rule. Registers are numbered from 0, 4 bytes each, 16 in
/// all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expression<'a> {
    /// Loads what the kernel knows of the packet.
    Meta { key: Meta, register: u32 },
    /// Stores the mark.
    SetMark { register: u32 },
    /// Loads bytes of the packet; later fragments have no transport header and do not match.
    Payload { base: Base, offset: u32, len: u32, register: u32 },
    /// Loads 1 when there is an IPv6 fragment header, else 0.
    HasFragmentHeader { register: u32 },
    /// register = (register & mask) ^ xor.
    Bitwise { register: u32, mask: &'a [u8], xor: &'a [u8] },
    /// Goes on when equal, or when different.
    Compare { register: u32, equal: bool, value: &'a [u8] },
    /// Goes on from `from` to `to`, inclusive.
    Range { register: u32, from: &'a [u8], to: &'a [u8] },
    /// Goes on when the set has the key that starts in the register.
    Lookup { register: u32, set: &'a str },
    /// Loads 1 when this host has a socket for the packet that is bound to no address in particular, else 0. Does not
    /// match without a socket, or for one that is not complete (a handshake in progress, TIME_WAIT).
    SocketWildcard { register: u32 },
    /// Loads 1 when the socket that this host has for the packet, in whatever state, may use addresses that are not the
    /// host's, else 0. Does not match without one.
    SocketTransparent { register: u32 },
    /// Loads the mark of the socket that this host has for the packet. Does not match without one.
    SocketMark { register: u32 },
    /// Loads a value.
    Value { register: u32, value: &'a [u8] },
    /// Puts two bytes in the place of a TCP segment's MSS option, if that says more.
    LowerMss { register: u32 },
    /// Goes on in another chain, and here when that one returns.
    Jump { chain: &'a str },
    /// Back to where the jump was.
    Return,
    /// Ends the chain: lets the packet go on.
    Accept,
    /// Ends the packet.
    Drop,
}

impl Expression<'_> {
    pub(super) fn pack(&self, m: Message) -> Message {
        match *self {
            Self::Meta { key, register } => {
                named(m, "meta", |m| m.be32(1, reg(register)).be32(2, key as u32))
            }
            Self::SetMark { register } => {
                named(m, "meta", |m| m.be32(2, Meta::Mark as u32).be32(3, reg(register)))
            }
            Self::Payload { base, offset, len, register } => named(m, "payload", |m| {
                m.be32(1, reg(register)).be32(2, base as u32).be32(3, offset).be32(4, len)
            }),
            Self::HasFragmentHeader { register } => {
                const IPV6_FRAGMENT: u8 = 44;
                const PRESENT: u32 = 1;
                named(m, "exthdr", |m| {
                    m.be32(1, reg(register)).u8(2, IPV6_FRAGMENT).be32(3, 0).be32(4, 1).be32(5, PRESENT)
                })
            }
            Self::Bitwise { register, mask, xor } => named(m, "bitwise", |m| {
                m.be32(1, reg(register))
                    .be32(2, reg(register))
                    .be32(3, mask.len() as u32)
                    .nest(4, |m| m.bytes(1, mask))
                    .nest(5, |m| m.bytes(1, xor))
            }),
            Self::Compare { register, equal, value } => named(m, "cmp", |m| {
                m.be32(1, reg(register)).be32(2, u32::from(!equal)).nest(3, |m| m.bytes(1, value))
            }),
            Self::Range { register, from, to } => named(m, "range", |m| {
                m.be32(1, reg(register)).be32(2, 0).nest(3, |m| m.bytes(1, from)).nest(4, |m| m.bytes(1, to))
            }),
            Self::Lookup { register, set } => named(m, "lookup", |m| m.string(1, set).be32(2, reg(register))),
            Self::SocketWildcard { register } => socket(m, 2, register),
            Self::SocketTransparent { register } => socket(m, 0, register),
            Self::SocketMark { register } => socket(m, 1, register),
            Self::Value { register, value } => {
                named(m, "immediate", |m| m.be32(1, reg(register)).nest(2, |m| m.bytes(1, value)))
            }
            Self::LowerMss { register } => {
                const MSS: u8 = 2;
                const TCP_OPTION: u32 = 1;
                named(m, "exthdr", |m| {
                    m.u8(2, MSS).be32(3, 2).be32(4, 2).be32(6, TCP_OPTION).be32(7, reg(register))
                })
            }
            Self::Jump { chain } => verdict(m, -3, Some(chain)),
            Self::Return => verdict(m, -5, None),
            Self::Accept => verdict(m, 1, None),
            Self::Drop => verdict(m, 0, None),
        }
    }
}

fn named(m: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    m.string(1, name).nest(2, data)
}

fn socket(m: Message, key: u32, register: u32) -> Message {
    named(m, "socket", |m| m.be32(1, key).be32(2, reg(register)))
}

fn verdict(m: Message, code: i32, chain: Option<&str>) -> Message {
    let fill = |m: Message| {
        let m = m.be32(1, code.cast_unsigned());
        match chain {
            Some(chain) => m.string(2, chain),
            None => m,
        }
    };
    named(m, "immediate", |m| m.be32(1, 0).nest(2, |m| m.nest(2, fill)))
}

/// `NFT_REG32_00` onwards.
const fn reg(register: u32) -> u32 {
    8 + register
}
