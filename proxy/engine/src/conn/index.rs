//! The index of the connection table: from the hash of a key to the place of a connection, without the key itself.
//!
//! A word has 32 bits of the hash, a place and a direction: whoever finds one looks at the connection itself. Words lie
//! in shards by open addressing. Readers take no lock and write nothing: each worker has a [`Reader`], which knows the
//! words of every shard until they have moved. Writers lock a shard.
//!
//! Invariants: the word of a key that is in stays where it is until it is taken out, or its shard moves as a whole; a
//! reader who still looks at words that have moved sees them as they were. Every shard has free words, so every search
//! ends.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Direction;

use super::FlowKey;

/// Shards: enough that writers rarely meet, and that moving one takes no time worth speaking of.
const SHARDS: usize = 512;
/// Words of a shard before it has to move.
const FIRST: usize = 16;

const FREE: u64 = 0;
/// Was somebody's; searches go on behind it.
const LEFT: u64 = 1;

type Words = Box<[AtomicU64]>;

/// Where a connection is, and which of its keys has led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: u32,
    pub(super) direction: Direction,
}

impl Entry {
    fn word(self, hash: u64) -> u64 {
        hash << 32 | u64::from(self.at + 1) << 1 | self.direction as u64
    }

    fn of(word: u64) -> Self {
        let direction = if word & 1 == 0 { Direction::In } else { Direction::Out };
        Self { at: (word as u32 >> 1) - 1, direction }
    }
}

#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Shard>,
    /// How often the words of each shard have moved: apart from what writers write for each entry.
    moves: [AtomicU32; SHARDS],
    hasher: SeedableRandomState,
}

#[derive(Debug)]
struct Shard {
    words: ArcSwap<Words>,
    fill: Mutex<Fill>,
}

#[derive(Debug)]
struct Fill {
    /// The words of the shard, as who writes has them at hand.
    words: Arc<Words>,
    taken: usize,
    left: usize,
}

/// What a worker knows of an index: the words of each shard after so many moves.
#[derive(Debug)]
pub(crate) struct Reader(Vec<(u32, Arc<Words>)>);

impl Index {
    pub(super) fn new(seed: u64) -> Self {
        let shard = || {
            let words = Arc::new(words(FIRST));
            let fill = Fill { words: Arc::clone(&words), taken: 0, left: 0 };
            Shard { words: ArcSwap::new(words), fill: Mutex::new(fill) }
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            moves: std::array::from_fn(|_| AtomicU32::new(0)),
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader((0..SHARDS).map(|shard| self.words_of(shard)).collect())
    }

    #[inline(always)]
    #[expect(clippy::manual_hash_one, reason = "that is never inlined, and puts each key into memory")]
    pub(super) fn hash(&self, key: &FlowKey) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// Those that may have the key with this hash.
    #[inline(always)]
    pub(super) fn search<'r>(&self, reader: &'r mut Reader, hash: u64) -> Search<'r> {
        let words = self.words(reader, hash);
        Search { words, at: home(hash as u32, words.len()), hash: hash as u32 }
    }

    /// The words of the shard for a hash.
    #[inline(always)]
    fn words<'r>(&self, reader: &'r mut Reader, hash: u64) -> &'r [AtomicU64] {
        let shard = shard_of(hash);
        let known = &mut reader.0[shard];
        if known.0 != self.moves[shard].load(Acquire) {
            *known = self.words_of(shard);
        }
        &known.1
    }

    #[cold]
    fn words_of(&self, shard: usize) -> (u32, Arc<Words>) {
        // In this order: they may be newer than the number says, never older.
        (self.moves[shard].load(Acquire), self.shards[shard].words.load_full())
    }

    /// Has the words fetched from memory in which the search for a hash begins.
    #[inline]
    pub(super) fn fetch(&self, reader: &mut Reader, hash: u64) -> u64 {
        let words = self.words(reader, hash);
        words[home(hash as u32, words.len())].load(Relaxed)
    }

    /// Puts an entry in under the key with this hash, unless somebody `has` that key, who is then told; `first` happens
    /// directly before anybody can find the entry.
    pub(super) fn put(
        &self,
        hash: u64,
        entry: Entry,
        has: impl Fn(Entry) -> bool,
        first: impl FnOnce(),
    ) -> Result<(), Entry> {
        let shard = &self.shards[shard_of(hash)];
        let fill = &mut *shard.fill();
        let words: &[AtomicU64] = &fill.words;
        let mut at = home(hash as u32, words.len());
        let mut place = None;
        loop {
            let word = words[at].load(Relaxed);
            match word {
                FREE => break,
                LEFT => _ = place.get_or_insert(at),
                _ if word >> 32 == hash & 0xffff_ffff && has(Entry::of(word)) => return Err(Entry::of(word)),
                _ => {}
            }
            at = next(at, words.len());
        }
        first();
        fill.taken += 1;
        fill.left -= usize::from(place.is_some());
        words[place.unwrap_or(at)].store(entry.word(hash), Release);
        if (fill.taken + fill.left) * 5 >= words.len() * 4 {
            fill.words = Arc::new(moved(words, fill.taken));
            fill.left = 0;
            shard.words.store(Arc::clone(&fill.words));
            self.moves[shard_of(hash)].fetch_add(1, Release);
        }
        Ok(())
    }

    /// Takes an entry out, if it is there.
    pub(super) fn take(&self, hash: u64, entry: Entry) {
        let shard = &self.shards[shard_of(hash)];
        let fill = &mut *shard.fill();
        let words: &[AtomicU64] = &fill.words;
        let wanted = entry.word(hash);
        let mut at = home(hash as u32, words.len());
        loop {
            match words[at].load(Relaxed) {
                FREE => return,
                word if word == wanted => break,
                _ => at = next(at, words.len()),
            }
        }
        fill.taken -= 1;
        fill.left += 1;
        words[at].store(LEFT, Release);
        // Behind the last of a row nobody searches.
        if words[next(at, words.len())].load(Relaxed) == FREE {
            while words[at].load(Relaxed) == LEFT {
                words[at].store(FREE, Release);
                fill.left -= 1;
                at = at.checked_sub(1).unwrap_or(words.len() - 1);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.fill().taken).sum()
    }
}

/// See [`Index::search`].
pub(super) struct Search<'r> {
    words: &'r [AtomicU64],
    at: usize,
    hash: u32,
}

impl Search<'_> {
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            let word = self.words[self.at].load(Acquire);
            if word == FREE {
                return None;
            }
            self.at = next(self.at, self.words.len());
            if (word >> 32) as u32 == self.hash && word != LEFT {
                return Some(Entry::of(word));
            }
        }
    }
}

impl Shard {
    /// No code that holds it can panic half-way.
    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same entries in words of which at most two thirds are taken.
fn moved(old: &[AtomicU64], taken: usize) -> Words {
    let need = (taken * 3 / 2).max(FIRST);
    let double = need.next_power_of_two();
    let size = if double / 4 * 3 >= need { double / 4 * 3 } else { double };
    let new = words(size);
    for word in old.iter().map(|word| word.load(Relaxed)).filter(|word| *word > LEFT) {
        let mut at = home((word >> 32) as u32, size);
        while new[at].load(Relaxed) != FREE {
            at = next(at, size);
        }
        new[at].store(word, Relaxed);
    }
    new
}

fn words(n: usize) -> Words {
    std::iter::repeat_with(|| AtomicU64::new(FREE)).take(n).collect()
}

#[inline]
fn shard_of(hash: u64) -> usize {
    (hash >> 55) as usize % SHARDS
}

/// Where the search for a hash begins among so many words.
#[inline]
fn home(hash: u32, words: usize) -> usize {
    ((u64::from(hash) * words as u64) >> 32) as usize
}

#[inline]
const fn next(at: usize, words: usize) -> usize {
    if at + 1 == words { 0 } else { at + 1 }
}
