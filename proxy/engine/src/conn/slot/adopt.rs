//! A slot like one of another slab.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{GENERATION, GONE, Id, Rare, STATE, Slab, Slot};

impl Slot {
    /// Becomes like `other`, under its own generation and with this course.
    fn adopt(&self, other: &Self, generation: u32, course: u32) {
        let Self {
            life,
            flags,
            requests,
            known,
            course: _,
            client_port,
            local_port,
            client,
            deadline,
            armed,
            said,
        } = other;
        let life = life.load(Relaxed) & (STATE | GONE);
        self.life.store(generation << GENERATION | life, Relaxed);
        self.flags.store(flags.load(Relaxed), Relaxed);
        self.requests.store(requests.load(Relaxed), Relaxed);
        self.known.iter().zip(known).for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
        self.course.store(course, Relaxed);
        self.client_port.store(client_port.load(Relaxed), Relaxed);
        self.local_port.store(local_port.load(Relaxed), Relaxed);
        self.client.iter().zip(client).for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
        self.deadline.store(deadline.load(Relaxed), Relaxed);
        self.armed.store(armed.load(Relaxed), Relaxed);
        let numbers = self.said.iter().flatten().zip(said.iter().flatten());
        numbers.for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
    }

    /// Nobody has it any more.
    fn let_go(&self) {
        self.life.fetch_or(GONE, Relaxed);
    }
}

impl Slab {
    /// Takes a slot for one like `other`, which is at `at` in `from`; it has ended if `gone`.
    pub(in crate::conn) fn adopt(
        &self,
        from: &Self,
        (at, other): (u32, &Slot),
        course: u32,
        rare: Option<Arc<Rare>>,
        gone: bool,
    ) -> Option<(&Slot, Id)> {
        let place = self.take()?;
        let slot = self.slot(place)?;
        let generation = (slot.life.load(Relaxed) >> GENERATION).wrapping_add(1);
        slot.adopt(other, generation, course);
        if gone {
            slot.let_go();
        }
        if let (Some(to), Some(from)) = (self.asked(place), from.asked(at)) {
            to.store(from.load(Relaxed), Relaxed);
        }
        if let Some(rare) = rare {
            self.rare.insert(place, rare);
        }
        Some((slot, Id { at: place, generation }))
    }
}
