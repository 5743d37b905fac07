//! `ulvs top` on a terminal. One thread draws and decides; one reads keys, one talks to the engine, and both only send
//! news. The terminal is put back however this ends: by q, Ctrl-C, a signal, an error or a panic.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::feed::{self, Ask, Farewell, News};
use super::model::Picture;
use super::screen;
use super::view::{View, Wish};

/// Watches until somebody has seen enough.
pub(super) fn watch(interval: Duration) -> anyhow::Result<()> {
    let (news, happens) = channel();
    let (asks, asked) = unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start to talk to the engine")?;
    on_terminal(|terminal| {
        let farewell = Farewell(news.clone());
        thread::spawn(move || runtime.block_on(feed::run(interval, asked, farewell)));
        thread::spawn(move || read_keys(&news));
        show(terminal, &happens, &asks)
    })
}

/// Lends the whole terminal, and puts it back: after a panic in any thread too, before its message is printed.
pub(super) fn on_terminal<T>(
    work: impl FnOnce(&mut DefaultTerminal) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let result = work(&mut terminal);
    // An error in the work is the one to be told.
    let restored = ratatui::try_restore().context("cannot put the terminal back; `reset` does");
    result.and_then(|done| restored.map(|()| done))
}

fn read_keys(news: &Sender<News>) {
    let farewell = Farewell(news.clone());
    while let Ok(event) = event::read() {
        if farewell.0.send(News::Terminal(event)).is_err() {
            return;
        }
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    happens: &Receiver<News>,
    asks: &UnboundedSender<Ask>,
) -> anyhow::Result<()> {
    let mut picture = Picture::default();
    let mut view = View { lost: Some("asking the engine".to_owned()), ..View::default() };
    let mut looked_at = None;
    let mut taken: Option<Instant> = None;
    loop {
        terminal.draw(|frame| screen::draw(frame, &picture, &mut view)).context("cannot draw")?;
        // Everything that has happened by now is one new screen.
        let first = happens.recv().unwrap_or(News::End);
        for happening in std::iter::once(first).chain(happens.try_iter()) {
            let wish = match happening {
                News::End => return Ok(()),
                News::Said(text) => {
                    view.message = Some(text);
                    Some(Wish::Refresh)
                }
                News::Lost(why) => {
                    view.lost = Some(why);
                    taken = None;
                    None
                }
                News::Sample(_) if view.paused && view.lost.is_none() => None,
                News::Sample(sample) => {
                    view.lost = None;
                    let before = taken.map(|taken| (&picture, taken.elapsed()));
                    picture = Picture::new(*sample, before);
                    taken = Some(Instant::now());
                    None
                }
                News::Terminal(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    view.press(key, &picture)
                }
                // A terminal of another size is drawn anew like any other.
                News::Terminal(_) => None,
            };
            let ask = match wish {
                None if view.wanted() == looked_at => continue,
                None | Some(Wish::Refresh) => {
                    looked_at = view.wanted();
                    Ask::Look(looked_at)
                }
                Some(Wish::Drain(order)) => Ask::Drain(order),
                Some(Wish::Quit) => return Ok(()),
            };
            if asks.send(ask).is_err() {
                return Ok(());
            }
        }
    }
}
