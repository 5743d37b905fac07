//! What the hash schedulers share: how addresses become numbers, and tables of slots that belong to servers.

use std::net::IpAddr;

use crate::dest::Dest;
use crate::model::DestKey;

/// An address as one number: IPv4 as it is, IPv6 as the exclusive or of its four words.
pub(super) fn fold(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(addr) => addr.to_bits(),
        IpAddr::V6(addr) => {
            let bits = addr.to_bits();
            (0..4).fold(0, |folded, word| folded ^ (bits >> (32 * word)) as u32)
        }
    }
}

/// A number of `bits` bits, 1 to 32: the high ones of a product, as the kernel's multiplicative hash has it.
pub(super) const fn multiplicative(number: u32, bits: u32) -> u32 {
    number.wrapping_mul(0x61C8_8647) >> (32 - bits)
}

/// SipHash-1-3 of one number, cut to its low half, with twice the same key: what the kernel calls half SipHash where
/// words have 64 bits.
pub(super) const fn sip13(key: u64, number: u32) -> u32 {
    let mut v = [
        key ^ 0x736f_6d65_7073_6575,
        key ^ 0x646f_7261_6e64_6f6d,
        key ^ 0x6c79_6765_6e65_7261,
        key ^ 0x7465_6462_7974_6573,
    ];
    // The last block has the length, in bytes, on top.
    let block = 4 << 56 | number as u64;
    v[3] ^= block;
    v = sip_round(v);
    v[0] ^= block;
    v[2] ^= 0xff;
    v = sip_round(sip_round(sip_round(v)));
    (v[0] ^ v[1] ^ v[2] ^ v[3]) as u32
}

const fn sip_round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

/// A table of slots, each of which belongs to a server. Made from one list of servers and asked with any later or
/// earlier one.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    servers: Vec<DestKey>,
    /// Positions in `servers`; empty if nobody has a slot.
    owners: Vec<u16>,
}

impl Slots {
    /// `owners` are positions in `dests`.
    pub(super) fn new(dests: &[Dest], owners: Vec<u16>) -> Self {
        Self { servers: dests.iter().map(|d| d.live.key).collect(), owners }
    }

    /// Whose slot it is, whether or not it may be chosen.
    pub(super) fn owner(&self, slot: usize) -> Option<DestKey> {
        self.servers.get(usize::from(*self.owners.get(slot)?)).copied()
    }

    /// The position in `dests` of the server that has this slot, if it may be chosen.
    pub(super) fn eligible(&self, slot: usize, dests: &[Dest]) -> Option<usize> {
        let owner = usize::from(*self.owners.get(slot)?);
        let found = super::position(dests, self.servers[owner], owner)?;
        dests[found].eligible().then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_folded_to_its_four_words() {
        let fold = |addr: &str| fold(addr.parse().unwrap());
        assert_eq!(fold("10.0.0.1"), 0x0a00_0001);
        assert_eq!(fold("2001:db8:1:2:3:4:5:6"), 0x2001_0db8 ^ 0x0001_0002 ^ 0x0003_0004 ^ 0x0005_0006);
        assert_eq!(fold("::ffff:ffff"), u32::MAX);
    }

    /// The standard library's hasher is the same function with key 0 (and says so in its source).
    #[test]
    fn sip_hash_is_sip_hash() {
        use std::hash::{DefaultHasher, Hasher};
        for number in [0, 1, 0x0a00_0001, u32::MAX] {
            let mut hasher = DefaultHasher::new();
            hasher.write(&number.to_le_bytes());
            assert_eq!(sip13(0, number), hasher.finish() as u32);
        }
    }

    #[test]
    fn the_product_wraps_and_its_high_bits_count() {
        assert_eq!(multiplicative(0x0a00_0001, 8), 39);
        assert_eq!(multiplicative(0x0a00_0064, 8), 248);
        assert_eq!(multiplicative(u32::MAX, 32), 0x9e37_79b9);
        assert_eq!(multiplicative(0, 10), 0);
    }
}
