//! Looking on while a frame is decided about.
//!
//! The code that decides is generic over a [`Watch`]. With [`Off`] nothing of it is left after compilation, so packets pay
//! nothing. A [`Recorder`] takes notes: of a packet that goes its way, or of one for which a [`Twin`] has been made of
//! what it looks at, so that whatever is changed is a copy.

mod note;
mod twin;

use std::cell::RefCell;

pub use note::{Flow, Near, Note, RuleHit};
pub(crate) use twin::{Tables, Twin};

/// What may be supposed of a packet that is explained. The engine itself finds out the first, and never sees the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supposed {
    /// The name of the device that it came in on.
    pub input: Option<String>,
    /// The mark that it came with, before any rule; 0 for none.
    pub mark: u32,
}

/// Who looks on.
pub(crate) trait Watch: Copy {
    /// Somebody does.
    const ON: bool;
    /// Takes a note, if notes are taken.
    fn note(self, note: impl FnOnce() -> Note);
    /// Something that others share is about to be looked at: `fetch` gets what is to be looked at into the copy, if it
    /// is a copy.
    fn fetch(self, fetch: impl FnOnce(&Twin));
    /// What is taken for true of the packet, where somebody asks what would be if it were.
    fn supposed(&self) -> Option<&Supposed>;
    /// Takes a note that costs more than a packet should, if this is about one packet alone.
    fn study(self, note: impl FnOnce() -> Note);
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Off;

impl Watch for Off {
    const ON: bool = false;

    #[inline(always)]
    fn note(self, _: impl FnOnce() -> Note) {}

    #[inline(always)]
    fn fetch(self, _: impl FnOnce(&Twin)) {}

    #[inline(always)]
    fn supposed(&self) -> Option<&Supposed> {
        None
    }

    #[inline(always)]
    fn study(self, _: impl FnOnce() -> Note) {}
}

/// Somebody who takes notes.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    notes: RefCell<Vec<Note>>,
    twin: Option<Twin>,
    supposed: Option<Supposed>,
}

impl Recorder {
    /// Of a packet that looks at copies.
    pub(crate) fn of(twin: Twin, supposed: Supposed) -> Self {
        let recorder = Self { twin: Some(twin), ..Self::default() };
        if supposed == Supposed::default() {
            return recorder;
        }
        let Supposed { input, mark } = supposed.clone();
        recorder.notes.borrow_mut().push(Note::Supposed { input, mark });
        Self { supposed: Some(supposed), ..recorder }
    }

    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes.into_inner()
    }
}

impl Watch for &Recorder {
    const ON: bool = true;

    fn note(self, note: impl FnOnce() -> Note) {
        self.notes.borrow_mut().push(note());
    }

    fn fetch(self, fetch: impl FnOnce(&Twin)) {
        if let Some(twin) = &self.twin {
            fetch(twin);
        }
    }

    fn supposed(&self) -> Option<&Supposed> {
        self.supposed.as_ref()
    }

    fn study(self, note: impl FnOnce() -> Note) {
        if self.twin.is_some() {
            self.note(note);
        }
    }
}
