//! What the person in front of it has chosen, and what keys do to that. Pure: a key and a picture in, at most one wish
//! out.

use control::api::{ConnQuery, DrainOrder};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sched::ServiceKey;

use super::model::{Picture, ServerState, Subject};
use super::rows::{Row, Sort, rows};

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The line that is chosen; it stays chosen when the order changes.
    pub(super) chosen: Option<Subject>,
    /// Where that was, for when it has gone.
    pub(super) line: usize,
    /// Lines above the first one that is seen.
    pub(super) offset: usize,
    /// Lines that there is room for.
    pub(super) height: usize,
    pub(super) mode: Mode,
    pub(super) paused: bool,
    /// What is to be said at the bottom until the next key.
    pub(super) message: Option<String>,
    /// Why there is no news of the engine.
    pub(super) lost: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Mode {
    #[default]
    Table,
    /// The filter is being typed; what it was before comes back on Esc.
    Filter {
        before: String,
    },
    /// One service or server, in full.
    Inspect(Subject),
    /// A question that waits for y or n, and what was shown before it.
    Ask {
        drain: DrainOrder,
        back: Box<Self>,
    },
    Help {
        back: Box<Self>,
    },
}

/// What a key asks of the rest of the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    Quit,
    Drain(DrainOrder),
    /// Fetch again now; connections of what is inspected along with it.
    Refresh,
}

impl View {
    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent, picture: &Picture) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c')).then_some(Wish::Quit);
        }
        self.message = None;
        match &self.mode {
            Mode::Filter { .. } => self.type_filter(key.code),
            Mode::Ask { .. } => return self.answer(key.code),
            Mode::Help { back } => self.mode = (**back).clone(),
            Mode::Table | Mode::Inspect(_) => return self.command(key.code, picture),
        }
        None
    }

    fn command(&mut self, key: KeyCode, picture: &Picture) -> Option<Wish> {
        let page = self.height.max(1) as isize;
        match key {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help { back: Box::new(self.mode.clone()) },
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                return (!self.paused).then_some(Wish::Refresh);
            }
            KeyCode::Char('d') => self.ask_drain(picture),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if matches!(self.mode, Mode::Inspect(_)) => {
                self.mode = Mode::Table;
            }
            _ if matches!(self.mode, Mode::Inspect(_)) => {}
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/' | 'f') => self.mode = Mode::Filter { before: self.filter.clone() },
            KeyCode::Char('s' | '>') => self.sort = Sort { by: self.sort.by.step(1), reversed: false },
            KeyCode::Char('S' | '<') => self.sort = Sort { by: self.sort.by.step(-1), reversed: false },
            KeyCode::Char('r') => self.sort.reversed = !self.sort.reversed,
            KeyCode::Down | KeyCode::Char('j') => self.go(picture, 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(picture, -1),
            KeyCode::PageDown => self.go(picture, page),
            KeyCode::PageUp => self.go(picture, -page),
            KeyCode::Home | KeyCode::Char('g') => self.go(picture, isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(picture, isize::MAX),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('i') => {
                if let Some(subject) = self.chosen {
                    self.mode = Mode::Inspect(subject);
                    return Some(Wish::Refresh);
                }
            }
            _ => {}
        }
        None
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.mode = Mode::Table,
            KeyCode::Esc => {
                if let Mode::Filter { before } = std::mem::take(&mut self.mode) {
                    self.filter = before;
                }
            }
            _ => {}
        }
    }

    fn ask_drain(&mut self, picture: &Picture) {
        let subject = if let Mode::Inspect(subject) = self.mode { Some(subject) } else { self.chosen };
        let server =
            subject.and_then(|s| picture.service(s.service)?.server(s.server?).map(|v| (s.service, v)));
        let Some((service, server)) = server else {
            self.message = Some("choose a server first: it is servers that are drained".to_owned());
            return;
        };
        let undo = server.state == ServerState::Drain;
        let drain = DrainOrder { service, server: server.server, deadline: None, undo };
        self.mode = Mode::Ask { drain, back: Box::new(self.mode.clone()) };
    }

    /// Anything but y means no.
    fn answer(&mut self, key: KeyCode) -> Option<Wish> {
        let Mode::Ask { drain, back } = std::mem::take(&mut self.mode) else { return None };
        self.mode = *back;
        if matches!(key, KeyCode::Char('y' | 'Y')) {
            return Some(Wish::Drain(drain));
        }
        self.message = Some("nothing was changed".to_owned());
        None
    }

    fn go(&mut self, picture: &Picture, lines: isize) {
        let rows = rows(picture, &self.filter, self.sort);
        let at = self.place(&rows) as isize;
        let to = at.saturating_add(lines).clamp(0, (rows.len() as isize - 1).max(0));
        self.chosen = rows.get(to as usize).map(Row::subject);
    }

    /// Where the chosen line is among these.
    fn place(&self, rows: &[Row<'_>]) -> usize {
        let found = rows.iter().position(|row| Some(row.subject()) == self.chosen);
        found.unwrap_or_else(|| self.line.min(rows.len().saturating_sub(1)))
    }

    /// Fits the choice and the part that is seen to these lines and this much room; returns where the chosen line is.
    pub(super) fn settle(&mut self, rows: &[Row<'_>], height: usize) -> usize {
        let at = self.place(rows);
        self.line = at;
        self.chosen = rows.get(at).map(Row::subject);
        self.height = height;
        // The last page is full where there is enough to fill it.
        self.offset = self.offset.min(rows.len().saturating_sub(height)).min(at);
        if height > 0 && at >= self.offset + height {
            self.offset = at + 1 - height;
        }
        at
    }

    /// Which connections have to be fetched for what is shown.
    pub(super) fn wanted(&self) -> Option<ConnQuery> {
        let shown = match &self.mode {
            Mode::Ask { back, .. } | Mode::Help { back } => back,
            mode => mode,
        };
        if let Mode::Inspect(subject) = shown { query(*subject) } else { None }
    }
}

/// The connections of a service or server, as narrowly as the engine can be asked. What a mark makes a service of is not
/// seen at a connection: its servers have to be asked one by one.
fn query(subject: Subject) -> Option<ConnQuery> {
    let (proto, vip) = match subject.service {
        ServiceKey::Addr { proto, vip, l4_port } => (Some(proto), Some((vip, l4_port))),
        ServiceKey::Mark { .. } => (None, None),
    };
    let vip = vip.filter(|(_, port)| *port != 0).map(Into::into);
    let dest = subject.server.filter(|server| server.port() != 0);
    (vip.is_some() || dest.is_some()).then(|| ConnQuery { proto, vip, dest, ..ConnQuery::default() })
}
