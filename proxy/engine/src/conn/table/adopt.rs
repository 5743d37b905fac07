//! A connection of another table, as it is: it holds no more room than it did, and its server counts it already.

use std::sync::Arc;

use sched::Direction;

use super::{ConnTable, PARKED};
use crate::conn::{Between, Conn, Kept, Known, Legs, Rare};

impl ConnTable {
    /// Takes a copy in, which is between what is the copy of what the original is between. One that has ended is not found.
    pub(crate) fn adopt(
        &self,
        known: &Known,
        conn: &Conn<'_>,
        between: Between,
        rare: Option<Arc<Rare>>,
    ) -> Option<Kept> {
        let joined = self.courses.join(between)?;
        let course = known.get(joined.number)?;
        let gone = conn.is_gone();
        let (at, has_rare) = (conn.id.at, rare.clone());
        let (slot, id) = self.slab.adopt(conn.slab, (at, conn.slot), joined.number, rare, gone)?;
        let legs = Legs::of(course, conn.legs.client, conn.legs.local_port);
        let rare = has_rare.filter(|_| conn.rare.is_some());
        let copy = Conn { legs, course, slot, slab: &self.slab, id, rare };
        if !gone {
            // Nobody else is in a copy under these keys: they are in one original.
            let _ = self.put(known, &copy, Direction::Out);
            if !slot.has(PARKED) {
                let _ = self.put(known, &copy, Direction::In);
            }
        }
        Some(copy.keep())
    }
}

impl Conn<'_> {
    /// Which connection of its table it is.
    pub(crate) const fn identity(&self) -> (u32, u32) {
        (self.id.at, self.id.generation)
    }

    /// What it has besides what all have.
    pub(crate) fn shared_rare(&self) -> Option<Arc<Rare>> {
        self.rare.clone().or_else(|| self.slot.has(super::RARE).then(|| self.slab.rare(self.id.at)).flatten())
    }
}
