//! Session tickets without state (RFC 5077, RFC 8446 section 4.6.1), under keys that change as time goes.
//!
//! Directors with the same secret, and clocks that roughly agree, accept each other's tickets: the keys of a period are
//! derived from the secret and the period's number (HKDF-SHA256, RFC 5869). New tickets are made with the current
//! period's key; those made with earlier ones are accepted while they may still live, and so are those of the next
//! period, for directors whose clocks are ahead. Without a shared secret the keys are random and are forgotten when
//! their tickets are dead: then nobody, this process included, can read those sessions again. With a shared secret
//! that holds only once the file itself has been replaced.
//!
//! ```text
//! key name (16) | nonce (12) | AES-256-GCM of: made at (8, Unix time), session | tag (16)
//! ```
//!
//! Key name and *binding* are authenticated with it. The binding stands for what a front demands of clients and for
//! the names it serves: a ticket of one front is of no use at another that shares its keys but demands more.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;

use super::clock::Clock;
use super::error::FrontError;
use super::source::Source;
use crate::provider::{primitives, provider};
use primitives::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use primitives::hkdf;

const SECRET_MIN: usize = 32;
const NAME_LEN: usize = 16;
const KEY_LEN: usize = 32;
const STAMP_LEN: usize = 8;
const TAG_LEN: usize = 16;
const MINUTE: u64 = 60;
/// RFC 8446 section 4.6.1 allows no more.
const WEEK: u64 = 7 * 86_400;
/// Each is a key to look through and to keep.
const MOST_CHANGES: u64 = 100;

/// How long tickets and their keys last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketTimes {
    /// A key makes tickets for so long.
    pub rotation: Duration,
    /// A ticket is accepted for so long.
    pub lifetime: Duration,
}

/// Six hours, and twelve.
impl Default for TicketTimes {
    fn default() -> Self {
        Self { rotation: Duration::from_secs(6 * 3600), lifetime: Duration::from_secs(12 * 3600) }
    }
}

/// Keys that tickets are made with. They outlive the fronts that use them.
pub struct TicketKeys {
    root: Root,
    rotation: u64,
    lifetime: u32,
    clock: Arc<Clock>,
    ring: ArcSwap<Ring>,
    turning: Mutex<()>,
}

enum Root {
    Own,
    Shared(hkdf::Prk),
}

/// The keys of one period and its neighbours.
struct Ring {
    period: u64,
    keys: Vec<Arc<Key>>,
}

struct Key {
    period: u64,
    name: [u8; NAME_LEN],
    cipher: LessSafeKey,
}

impl TicketKeys {
    /// Random keys of this process's own.
    pub fn own(times: TicketTimes, clock: &Arc<Clock>) -> Result<Arc<Self>, FrontError> {
        Self::new(Root::Own, times, clock)
    }

    /// The keys that every director has which has this secret: a file of at least 32 random bytes.
    pub fn shared(secret: &Source, times: TicketTimes, clock: &Arc<Clock>) -> Result<Arc<Self>, FrontError> {
        if secret.bytes.len() < SECRET_MIN {
            return Err(FrontError::ShortSecret { file: secret.name.clone(), length: secret.bytes.len() });
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ulvs session tickets");
        Self::new(Root::Shared(salt.extract(&secret.bytes)), times, clock)
    }

    fn new(root: Root, times: TicketTimes, clock: &Arc<Clock>) -> Result<Arc<Self>, FrontError> {
        let (rotation, lifetime) = (times.rotation.as_secs(), times.lifetime.as_secs());
        let refuse = || FrontError::TicketTimes { lifetime, rotation };
        if rotation < MINUTE || !(1..=WEEK).contains(&lifetime) || lifetime / rotation > MOST_CHANGES {
            return Err(refuse());
        }
        let lifetime = u32::try_from(lifetime).map_err(|_| refuse())?;
        let clock = Arc::clone(clock);
        let period = clock.seconds() / rotation;
        let ring = ArcSwap::from_pointee(Ring { period, keys: Vec::new() });
        let keys = Self { root, rotation, lifetime, clock, ring, turning: Mutex::new(()) };
        keys.ring.store(Arc::new(keys.turned(period, &[]).ok_or(FrontError::Crypto)?));
        Ok(Arc::new(keys))
    }

    /// These keys for a front with this binding.
    pub(super) fn bound(self: &Arc<Self>, binding: [u8; 32]) -> Arc<dyn ProducesTickets> {
        Arc::new(Bound { keys: Arc::clone(self), binding })
    }

    /// The keys of now. The lock is taken once a period.
    fn ring(&self) -> Option<Arc<Ring>> {
        let period = self.clock.seconds() / self.rotation;
        let ring = self.ring.load_full();
        if ring.period == period {
            return Some(ring);
        }
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever comes second finds the keys that the first has made, and keeps them.
        let ring = Arc::new(self.turned(period, &self.ring.load().keys)?);
        self.ring.store(Arc::clone(&ring));
        Some(ring)
    }

    /// The ring of `period`: what it needs and `old` has stays, what it no longer needs goes.
    fn turned(&self, period: u64, old: &[Arc<Key>]) -> Option<Ring> {
        let oldest = period.saturating_sub(u64::from(self.lifetime).div_ceil(self.rotation));
        let mut keys = Vec::new();
        for wanted in oldest..=period.saturating_add(1) {
            let kept = old.iter().find(|key| key.period == wanted);
            match (kept, &self.root) {
                (Some(key), _) => keys.push(Arc::clone(key)),
                (None, Root::Shared(root)) => keys.push(Arc::new(Key::derived(root, wanted)?)),
                // Of its own keys there is none that somebody else could have used before or after.
                (None, Root::Own) if wanted == period => keys.push(Arc::new(Key::random(wanted)?)),
                (None, Root::Own) => {}
            }
        }
        Some(Ring { period, keys })
    }
}

/// Says nothing of keys.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = matches!(self.root, Root::Shared(_));
        let mut shown = f.debug_struct("TicketKeys");
        shown
            .field("shared", &shared)
            .field("rotation", &self.rotation)
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

impl Key {
    fn derived(root: &hkdf::Prk, period: u64) -> Option<Self> {
        let number = period.to_be_bytes();
        let info: [&[u8]; 2] = [b"ticket key 1 ", &number];
        let mut material = [0; NAME_LEN + KEY_LEN];
        root.expand(&info, Material).ok()?.fill(&mut material).ok()?;
        Self::new(period, &material)
    }

    fn random(period: u64) -> Option<Self> {
        let mut material = [0; NAME_LEN + KEY_LEN];
        provider().secure_random.fill(&mut material).ok()?;
        Self::new(period, &material)
    }

    fn new(period: u64, material: &[u8; NAME_LEN + KEY_LEN]) -> Option<Self> {
        let (name, key) = material.split_first_chunk()?;
        Some(Self { period, name: *name, cipher: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?) })
    }

    /// What is authenticated besides the session.
    fn aad(&self, binding: &[u8; 32]) -> Aad<[u8; NAME_LEN + 32]> {
        let mut aad = [0; NAME_LEN + 32];
        aad[..NAME_LEN].copy_from_slice(&self.name);
        aad[NAME_LEN..].copy_from_slice(binding);
        Aad::from(aad)
    }
}

/// How much HKDF is asked for.
struct Material;

impl hkdf::KeyType for Material {
    fn len(&self) -> usize {
        NAME_LEN + KEY_LEN
    }
}

#[derive(Debug)]
struct Bound {
    keys: Arc<TicketKeys>,
    binding: [u8; 32],
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.keys.lifetime
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let ring = self.keys.ring()?;
        let key = ring.keys.iter().find(|key| key.period == ring.period)?;
        let mut nonce = [0; NONCE_LEN];
        provider().secure_random.fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_LEN + NONCE_LEN + STAMP_LEN + session.len() + TAG_LEN);
        ticket.extend(key.name);
        ticket.extend(nonce);
        ticket.extend(self.keys.clock.seconds().to_be_bytes());
        ticket.extend(session);
        let (_, secret) = ticket.split_at_mut(NAME_LEN + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.cipher.seal_in_place_separate_tag(nonce, key.aad(&self.binding), secret).ok()?;
        ticket.extend(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let ring = self.keys.ring()?;
        let key = ring.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.cipher.open_in_place(nonce, key.aad(&self.binding), &mut sealed).ok()?;
        let (made, session) = plain.split_first_chunk::<STAMP_LEN>()?;
        // A ticket from the future is a director's whose clock is ahead.
        let age = self.keys.clock.seconds().saturating_sub(u64::from_be_bytes(*made));
        (age < u64::from(self.keys.lifetime)).then(|| session.to_vec())
    }
}

#[cfg(test)]
mod tests;
