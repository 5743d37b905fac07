//! The stream of bytes that transfers carry: the same on every machine, cheap to send, and such that a lost, doubled
//! or misplaced piece changes it.

use sha2::{Digest as _, Sha256};

/// Length after which the stream repeats. A prime, so that no whole number of packets or buffers is a period: bytes
/// that arrive in the wrong place never look right by accident.
const PERIOD: usize = 1_048_573;

/// Largest piece that [`Pattern::at`] gives.
pub const MAX_PIECE: usize = 256 * 1024;

/// A pseudo-random stream without end, kept in memory for one period.
#[derive(Debug)]
pub struct Pattern {
    bytes: Vec<u8>,
}

impl Pattern {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        // xorshift64* (Marsaglia 2003, Vigna 2016); its state must not be zero.
        let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
        state = if state == 0 { 1 } else { state };
        let mut bytes = Vec::with_capacity(PERIOD + MAX_PIECE);
        while bytes.len() < PERIOD {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        bytes.truncate(PERIOD);
        bytes.extend_from_within(..MAX_PIECE);
        Self { bytes }
    }

    /// The stream from `offset` on: [`MAX_PIECE`] bytes, or `left` if that is less.
    pub fn at(&self, offset: u64, left: u64) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        let len = left.min(MAX_PIECE as u64) as usize;
        &self.bytes[start..start + len]
    }

    /// The part that repeats.
    pub(crate) fn period(&self) -> &[u8] {
        &self.bytes[..PERIOD]
    }

    /// SHA-256 of the first `len` bytes, in hexadecimal.
    pub fn sha256(&self, len: u64) -> String {
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < len {
            let piece = self.at(offset, len - offset);
            hash.update(piece);
            offset += piece.len() as u64;
        }
        hex(hash)
    }
}

impl Default for Pattern {
    /// The stream that [`serve::Http`](crate::serve::Http) sends.
    fn default() -> Self {
        Self::new(1)
    }
}

/// The digest in hexadecimal.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_same_stream_across_the_period() {
        let pattern = Pattern::default();
        let whole: Vec<u8> = (0..3).flat_map(|_| pattern.bytes[..PERIOD].to_vec()).collect();
        for offset in [0, 1, PERIOD - 1, PERIOD, PERIOD + 7, 2 * PERIOD - 100] {
            let piece = pattern.at(offset as u64, u64::MAX);
            assert_eq!(piece, &whole[offset..offset + MAX_PIECE], "at {offset}");
        }
        assert_eq!(pattern.at(0, 10).len(), 10);
    }

    #[test]
    fn the_digest_is_that_of_the_bytes() {
        let pattern = Pattern::new(7);
        let len = PERIOD as u64 + 12_345;
        let mut bytes = pattern.bytes[..PERIOD].to_vec();
        bytes.extend_from_slice(&pattern.bytes[..12_345]);
        assert_eq!(pattern.sha256(len), hex(Sha256::new_with_prefix(&bytes)));
        assert_ne!(pattern.sha256(len), Pattern::new(8).sha256(len));
        // FIPS 180-4: the digest of nothing.
        assert_eq!(pattern.sha256(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
