//! What there is to say about a configuration that was written for another program.

use control::foreign::{Notes, Severity};
use tracing::{info, warn};

use super::Director;

/// So many are logged; `ulvs check` lists all.
const LOGGED: usize = 50;

impl Director {
    /// Logs them where they are not those of the last time, and has `ulvs status` mention them.
    pub(in super::super) fn tell_notes(&mut self, notes: &Notes) {
        let summary = self.source.as_ref().and_then(|source| source.summary(notes));
        // As many mistakes may be other ones.
        if summary == self.source_notice && notes.iter().eq(self.source_notes.iter()) {
            return;
        }
        for note in notes.iter().take(LOGGED) {
            let (place, words) = (&note.place, note.severity.words());
            let line = format!("{}:{}: {words}: {}: {}", place.file, place.line, note.message, note.help);
            if note.severity == Severity::NotUnderstood { warn!("{line}") } else { info!("{line}") }
        }
        if let Some(line) = &summary {
            info!("{line}");
        }
        self.source_notes = notes.clone();
        self.source_notice = summary;
        self.tell_notices();
    }
}
