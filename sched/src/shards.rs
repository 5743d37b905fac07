//! A map whose versions share what they have in common: a copy costs next to nothing, and an edit of a copy costs the
//! same for ten entries and for ten thousand.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;

/// As many parts. An edit copies the list of parts and one of them.
const PARTS: usize = 512;

// Keys come from the operator and not from the network, so the hash needs no secret seed.
type Part<K, V> = HashMap<K, V, FixedState>;

/// The map.
#[derive(Clone, Debug)]
pub(crate) struct Shards<K, V> {
    parts: Arc<[Arc<Part<K, V>>]>,
    len: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Shards<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.parts[part(key)].get(key)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        // What is not there is not worth a copy.
        self.get(key)?;
        self.part_mut(key).get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.part_mut(&key).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        let before = self.part_mut(key).remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Keeps those for which `keep` is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.len = 0;
        for part in Arc::make_mut(&mut self.parts) {
            if !part.is_empty() {
                Arc::make_mut(part).retain(&mut keep);
            }
            self.len += part.len();
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.parts.iter().flat_map(|part| part.values())
    }

    /// What may be different in `newer`, with both values; equal ones may be among it. Costs what was edited between
    /// the two.
    pub(crate) fn differences<'a>(
        &'a self,
        newer: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a V>, Option<&'a V>)> {
        let parts = self.parts.iter().zip(newer.parts.iter()).filter(|(old, new)| !Arc::ptr_eq(old, new));
        parts.flat_map(|(old, new)| {
            let stayed = old.iter().map(|(key, value)| (Some(value), new.get(key)));
            let came = new.iter().filter(|(key, _)| !old.contains_key(*key));
            stayed.chain(came.map(|(_, value)| (None, Some(value))))
        })
    }

    fn part_mut(&mut self, key: &K) -> &mut Part<K, V> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.parts)[part(key)])
    }
}

/// Counts how often each key was put in.
impl<K: Clone + Eq + Hash> Shards<K, u32> {
    pub(crate) fn count(&mut self, key: K) {
        match self.get_mut(&key) {
            Some(n) => *n += 1,
            None => drop(self.insert(key, 1)),
        }
    }

    /// Takes one back.
    pub(crate) fn discount(&mut self, key: &K) {
        match self.get_mut(key) {
            Some(n) if *n > 1 => *n -= 1,
            _ => drop(self.remove(key)),
        }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(Part::default());
        Self { parts: vec![empty; PARTS].into(), len: 0 }
    }
}

/// The map inside hashes again, so these bits are its own as well.
fn part(key: &impl Hash) -> usize {
    (FixedState::default().hash_one(key) >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Edit {
        Insert(u16, u8),
        Remove(u16),
        Retain(u8),
    }

    fn edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            6 => (0..2000u16, any::<u8>()).prop_map(|(key, value)| Edit::Insert(key, value)),
            3 => (0..2000u16).prop_map(Edit::Remove),
            1 => any::<u8>().prop_map(Edit::Retain),
        ]
    }

    proptest! {
        /// A plain map after the same edits holds the same, the version before them is untouched, and what is
        /// different between the two is found.
        #[test]
        fn it_is_a_map_of_which_copies_stay(
            first in prop::collection::vec(edit(), 0..60),
            then in prop::collection::vec(edit(), 0..9),
        ) {
            let (mut plain, mut shards) = (BTreeMap::new(), Shards::default());
            run(&first, &mut plain, &mut shards);
            let (plain_before, before) = (plain.clone(), shards.clone());
            run(&then, &mut plain, &mut shards);
            prop_assert_eq!(&sorted(&shards), &plain);
            prop_assert_eq!(shards.len(), plain.len());
            prop_assert_eq!(&sorted(&before), &plain_before);
            let mut found: Vec<_> = before
                .differences(&shards)
                .filter(|(old, new)| old != new)
                .map(|(old, new)| (old.copied(), new.copied()))
                .collect();
            let keys: std::collections::BTreeSet<_> = plain.keys().chain(plain_before.keys()).collect();
            let mut expected: Vec<_> = keys
                .into_iter()
                .map(|key| (plain_before.get(key).copied(), plain.get(key).copied()))
                .filter(|(old, new)| old != new)
                .collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }

    fn run(edits: &[Edit], plain: &mut BTreeMap<u16, u8>, shards: &mut Shards<u16, u8>) {
        for edit in edits {
            match *edit {
                Edit::Insert(key, value) => assert_eq!(shards.insert(key, value), plain.insert(key, value)),
                Edit::Remove(key) => assert_eq!(shards.remove(&key), plain.remove(&key)),
                Edit::Retain(least) => {
                    shards.retain(|_, value| *value >= least);
                    plain.retain(|_, value| *value >= least);
                }
            }
        }
    }

    fn sorted(shards: &Shards<u16, u8>) -> BTreeMap<u16, u8> {
        shards.iter().map(|(key, value)| (*key, *value)).collect()
    }

    #[test]
    fn keys_are_counted() {
        let mut counts = Shards::default();
        counts.count('a');
        counts.count('a');
        counts.discount(&'a');
        assert!(counts.contains(&'a'));
        counts.discount(&'a');
        counts.discount(&'b');
        assert_eq!(counts.len(), 0);
    }
}
