//! What the decision goes by: addresses with protocols and ports, each for one reason. The nf_tables sets and
//! [`super::Taken`] are made of the same entries.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::steer::marks::one_by_one;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service: what is sent to it is taken.
    Service = 0,
    /// A server: what it sends is taken,
    Server = 1,
    /// unless it is to an address of this host,
    Own = 2,
    /// and whatever is to a front is not.
    Front = 3,
}

/// One element of a set. Port 0 is every port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// An IPv4 address is in the low bits.
    addr: u128,
    /// From the top: kind, whether it is IPv6, protocol, port.
    rest: u32,
}

const KIND: u32 = 25;
const IPV6: u32 = 1 << 24;
const PROTOCOL: u32 = 16;

impl Entry {
    #[inline]
    pub(super) fn new(kind: Kind, protocol: u8, ip: IpAddr, port: u16) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of::<false>(kind, protocol, u32::from(ip).into(), port),
            IpAddr::V6(ip) => Self::of::<true>(kind, protocol, ip.into(), port),
        }
    }

    /// The same; an IPv4 address is in the low bits.
    #[inline(always)]
    pub(super) const fn of<const V6: bool>(kind: Kind, protocol: u8, addr: u128, port: u16) -> Self {
        let family = if V6 { IPV6 } else { 0 };
        let rest = (kind as u32) << KIND | family | (protocol as u32) << PROTOCOL | port as u32;
        Self { addr, rest }
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        match self.rest >> KIND {
            0 => Kind::Service,
            1 => Kind::Server,
            2 => Kind::Own,
            _ => Kind::Front,
        }
    }

    /// More is taken by it, and not less.
    pub(super) const fn takes(self) -> bool {
        matches!(self.kind(), Kind::Service | Kind::Server)
    }

    /// Stands for every port.
    pub(super) const fn is_whole(self) -> bool {
        self.takes() && self.rest as u16 == 0
    }

    pub(super) const fn is_ipv6(self) -> bool {
        self.rest & IPV6 != 0
    }

    /// As an element of its set has it: address, then protocol, then port, each filled up to 4 bytes.
    pub(super) fn element(self) -> Vec<u8> {
        let mut bytes = if self.is_ipv6() {
            Ipv6Addr::from(self.addr).octets().to_vec()
        } else {
            Ipv4Addr::from(self.addr as u32).octets().to_vec()
        };
        if self.kind() != Kind::Own {
            bytes.extend([(self.rest >> PROTOCOL) as u8, 0, 0, 0]);
            if !self.is_whole() {
                let [high, low] = (self.rest as u16).to_be_bytes();
                bytes.extend([high, low, 0, 0]);
            }
        }
        bytes
    }

    /// A number that differs for most entries, below `2^bits`.
    #[inline]
    pub(super) const fn spread(self, bits: u32) -> usize {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        (self.mixed().wrapping_mul(GOLDEN) >> (u64::BITS - bits)) as usize
    }

    const fn mixed(self) -> u64 {
        self.addr as u64 ^ (self.addr >> 64) as u64 ^ (self.rest as u64) << 32
    }
}

/// In one word: it is done some times for each packet.
impl Hash for Entry {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.mixed());
    }
}

/// How many entries there are of the kinds that are seldom there at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) fronts: usize,
    /// Services of every port.
    pub(super) whole_services: usize,
    /// Servers that answer from any port.
    pub(super) whole_servers: usize,
}

impl Counts {
    pub(super) const fn add(&mut self, entry: Entry) {
        if let Some(count) = self.of(entry) {
            *count += 1;
        }
    }

    pub(super) const fn take(&mut self, entry: Entry) {
        if let Some(count) = self.of(entry) {
            *count -= 1;
        }
    }

    const fn of(&mut self, entry: Entry) -> Option<&mut usize> {
        match entry.kind() {
            Kind::Front => Some(&mut self.fronts),
            Kind::Service if entry.is_whole() => Some(&mut self.whole_services),
            Kind::Server if entry.is_whole() => Some(&mut self.whole_servers),
            _ => None,
        }
    }
}

/// Services or servers, by IP protocol number (0 is every one) and address. SCTP is left to the TUN device: the
/// partial checksum of an SCTP packet is a CRC32c, which no virtio header can say, and a ring does not get its
/// super-packets.
pub(super) fn entries<'a>(
    kind: Kind,
    of: impl IntoIterator<Item = &'a (u8, SocketAddr)>,
) -> impl Iterator<Item = Entry> {
    of.into_iter()
        .flat_map(|&(protocol, addr)| one_by_one(protocol, addr))
        .filter(|(protocol, _)| matches!(i32::from(*protocol), libc::IPPROTO_TCP | libc::IPPROTO_UDP))
        .map(move |(protocol, addr)| Entry::new(kind, protocol, addr.ip(), addr.port()))
}

pub(super) fn of_fronts(fronts: &BTreeSet<SocketAddr>) -> impl Iterator<Item = Entry> {
    fronts.iter().map(|at| Entry::new(Kind::Front, libc::IPPROTO_TCP as u8, at.ip(), at.port()))
}

pub(super) fn of_host(own: impl IntoIterator<Item = IpAddr>) -> impl Iterator<Item = Entry> {
    own.into_iter().map(|ip| Entry::new(Kind::Own, 0, ip, 0))
}
