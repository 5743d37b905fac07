//! SYN cookies: a handshake that costs no memory until it is complete (RFC 4987 section 3.6).
//!
//! The initial sequence number of a SYN-ACK says all that its ACK has to bring back, and proves that it was sent: eight
//! bits tell what the SYN offered, 24 are a keyed hash of them, of both ends, of the client's number and of the time in
//! units of 64 s. Both are added to the client's number, so that numbers of a port used again rise as the client's do.
//! A cookie is good in the unit in which it was made and in the next.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::siphash::SipHash;

/// Segment sizes that a cookie can tell: IPv4's and IPv6's least, tunnels, PPPoE, Ethernet and jumbo frames.
const SIZES: [u16; 8] = [216, 536, 1160, 1220, 1360, 1440, 1460, 8940];
const SLOT: u64 = 64;
/// "The client does not scale its windows."
const UNSCALED: u8 = 15;

/// What a SYN offers beyond the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Largest segment that its sender takes.
    pub(super) mss: u16,
    /// By how much its windows are shifted.
    pub(super) scale: Option<u8>,
    /// Takes selective acknowledgments.
    pub(super) sack: bool,
}

/// Makes cookies and knows them again; also makes the sequence numbers of connections opened from here.
#[derive(Debug)]
pub(super) struct Baker {
    key: SipHash,
}

impl Baker {
    pub(super) fn new(key: SipHash) -> Self {
        Self { key }
    }

    /// The initial sequence number to answer `client`'s SYN with.
    pub(super) fn bake(
        &self,
        client: SocketAddr,
        vip: SocketAddr,
        seq: u32,
        offer: Offer,
        now: Duration,
    ) -> u32 {
        let size = SIZES.iter().rposition(|size| *size <= offer.mss).unwrap_or(0) as u8;
        let scale = offer.scale.map_or(UNSCALED, |scale| scale.min(14));
        let told = size << 5 | scale << 1 | u8::from(offer.sack);
        seq.wrapping_add(self.cookie(client, vip, seq, told, now.as_secs() / SLOT))
    }

    /// What the SYN offered whose answer is acknowledged by `ack`; `None` if there was none lately. `seq` is the number
    /// of the client's SYN.
    pub(super) fn taste(
        &self,
        client: SocketAddr,
        vip: SocketAddr,
        seq: u32,
        ack: u32,
        now: Duration,
    ) -> Option<Offer> {
        let cookie = ack.wrapping_sub(1).wrapping_sub(seq);
        let told = cookie as u8;
        let slot = now.as_secs() / SLOT;
        let good = |slot| self.cookie(client, vip, seq, told, slot) == cookie;
        (good(slot) || slot.checked_sub(1).is_some_and(good)).then(|| Offer {
            mss: SIZES[usize::from(told >> 5)],
            scale: Some(told >> 1 & 15).filter(|scale| *scale != UNSCALED),
            sack: told & 1 != 0,
        })
    }

    /// The initial sequence number of a connection opened from here: rises by one in 4 us (RFC 6528 section 3).
    pub(super) fn initial(&self, from: SocketAddr, to: SocketAddr, now: Duration) -> u32 {
        (self.hash(from, to, 0) as u32).wrapping_add((now.as_micros() / 4) as u32)
    }

    fn cookie(&self, client: SocketAddr, vip: SocketAddr, seq: u32, told: u8, slot: u64) -> u32 {
        let what = u64::from(seq) << 32 | u64::from(told) << 24 | slot & 0xff_ffff;
        (self.hash(client, vip, what) as u32) << 8 | u32::from(told)
    }

    fn hash(&self, one: SocketAddr, other: SocketAddr, what: u64) -> u64 {
        let words = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => (0, u64::from(u32::from(addr))),
            IpAddr::V6(addr) => ((u128::from(addr) >> 64) as u64, u128::from(addr) as u64),
        };
        let (a, b) = (words(one.ip()), words(other.ip()));
        let ports = u64::from(one.port()) << 32 | u64::from(other.port());
        self.key.hash(&[a.0, a.1, b.0, b.1, ports, what])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer { mss: 1460, scale: Some(7), sack: true };

    fn ends() -> (SocketAddr, SocketAddr) {
        ("10.0.0.1:40000".parse().unwrap(), "10.0.0.99:443".parse().unwrap())
    }

    #[test]
    fn a_cookie_brings_back_what_the_syn_offered() {
        let baker = Baker::new(SipHash::new(1, 2));
        let (client, vip) = ends();
        let now = Duration::from_secs(1000);
        for scale in [None, Some(0), Some(7), Some(14)] {
            for sack in [false, true] {
                for (mss, kept) in [(100, 216), (536, 536), (1452, 1440), (1460, 1460), (65_000, 8940)] {
                    let offer = Offer { mss, scale, sack };
                    let ack = baker.bake(client, vip, 77, offer, now).wrapping_add(1);
                    let back = baker.taste(client, vip, 77, ack, now);
                    assert_eq!(back, Some(Offer { mss: kept, ..offer }));
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_own_connection_and_for_a_minute() {
        let baker = Baker::new(SipHash::new(1, 2));
        let (client, vip) = ends();
        let now = Duration::from_secs(1000);
        let ack = baker.bake(client, vip, 77, OFFER, now).wrapping_add(1);
        assert_eq!(baker.taste(client, vip, 77, ack, now + Duration::from_secs(60)), Some(OFFER));
        assert_eq!(baker.taste(client, vip, 77, ack, now + Duration::from_secs(130)), None);
        assert_eq!(baker.taste(client, vip, 78, ack.wrapping_add(1), now), None);
        assert_eq!(baker.taste(vip, client, 77, ack, now), None);
        assert_eq!(Baker::new(SipHash::new(1, 3)).taste(client, vip, 77, ack, now), None);
        let guessed = (0..100_000u32).filter(|at| {
            let guess = at.wrapping_mul(0x9e37_79b1);
            baker.taste(client, vip, 77, guess, now).is_some()
        });
        assert!(guessed.count() < 3);
    }

    #[test]
    fn numbers_of_connections_opened_from_here_rise() {
        let baker = Baker::new(SipHash::new(1, 2));
        let (from, to) = ends();
        let first = baker.initial(from, to, Duration::from_secs(1));
        let later = baker.initial(from, to, Duration::from_secs(2));
        assert_eq!(later.wrapping_sub(first), 250_000);
        assert_ne!(baker.initial(to, from, Duration::from_secs(1)), first);
    }
}
