//! The screen: what the picture and the view are, drawn into a buffer of any size. Pure, and in ASCII, as not every
//! terminal of a server has more.

mod detail;
mod table;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::Line;
use sched::counted;

use super::super::status::duration;
use super::model::{EnginePart, Picture};
use super::rows::short;
use super::view::{Mode, View};

pub(super) use table::plain;

/// Draws everything. The view learns how much room there is.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, view: &mut View) {
    let area = frame.area();
    let head = summary(picture, view, area.height);
    let parts = [Constraint::Length(head.len() as u16), Constraint::Min(0), Constraint::Length(1)];
    let [top, middle, bottom] = Layout::vertical(parts).areas(area);
    for (line, area) in head.into_iter().zip(lines(top)) {
        frame.render_widget(line, area);
    }
    match shown(&view.mode).clone() {
        Mode::Inspect(subject) => detail::inspect(frame, middle, picture, subject),
        _ => table::draw(frame, middle, picture, view),
    }
    if let Mode::Help { .. } = view.mode {
        detail::help(frame, middle);
    }
    frame.render_widget(footer(view, bottom.width), bottom);
}

/// What lies under a question or the help.
fn shown(mode: &Mode) -> &Mode {
    match mode {
        Mode::Ask { back, .. } | Mode::Help { back } => shown(back),
        mode => mode,
    }
}

fn lines(area: Rect) -> impl Iterator<Item = Rect> {
    (area.top()..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

/// The lines above the table: all of them, or those that matter most where there is little room.
fn summary(picture: &Picture, view: &View, height: u16) -> Vec<Line<'static>> {
    let engine = &picture.engine;
    let state = match (&view.lost, view.paused) {
        (Some(why), _) => format!("NO NEWS: {why}"),
        (None, true) => "PAUSED (p goes on)".to_owned(),
        (None, false) => format!("up {}", duration(engine.uptime_seconds)),
    };
    // None has been seen yet.
    let nothing = engine.pid == 0;
    let title = if nothing {
        format!("ulvs top, {state}")
    } else {
        format!("ulvs top (pid {}), {state}, {}", engine.pid, place(engine))
    };
    let title = Line::from(title);
    let title = if view.lost.is_some() { title.bold().reversed() } else { title.bold() };
    let dropped = match dropped(picture) {
        text if picture.drops.iter().any(|drop| drop.per_second > Some(0)) => Line::from(text).bold(),
        text => Line::from(text),
    };
    match height {
        ..6 => vec![],
        _ if nothing => vec![title],
        6..12 => vec![title, dropped],
        12..16 => vec![title, Line::from(connections(picture)), dropped],
        _ => vec![title, Line::from(connections(picture)), Line::from(traffic(picture)), dropped],
    }
}

fn place(engine: &EnginePart) -> String {
    let memory = engine.memory as f64 / 1_048_576.0;
    format!("port {}, {}, {memory:.1} MiB", engine.port, counted(engine.workers, "worker"))
}

fn connections(picture: &Picture) -> String {
    let EnginePart { connections, max_connections, .. } = picture.engine;
    let (services, servers) = (picture.services.len(), picture.servers());
    let new = short(picture.load.rates.cps);
    format!(
        "services {services}, servers {servers}; connections {connections} of {max_connections}, new {new}/s"
    )
}

fn traffic(picture: &Picture) -> String {
    let rates = picture.load.rates;
    let [in_pps, in_bps] = [rates.in_pps, rates.in_bps].map(short);
    let [out_pps, out_bps] = [rates.out_pps, rates.out_bps].map(short);
    format!("in {in_pps} packets/s {in_bps} B/s, out {out_pps} packets/s {out_bps} B/s")
}

/// What was dropped, the most frequent reasons first: the end of the line may be cut off.
fn dropped(picture: &Picture) -> String {
    let total: u64 = picture.drops.iter().map(|drop| drop.packets).sum();
    if total == 0 {
        return "dropped nothing".to_owned();
    }
    let rate = picture.drops.iter().map(|drop| drop.per_second).sum::<Option<u64>>();
    let rate = rate.map(|rate| format!(" ({}/s)", short(rate))).unwrap_or_default();
    let reasons = picture.drops.iter().map(|drop| format!("{} {}", drop.reason, short(drop.packets)));
    format!("dropped {}{rate}: {}", short(total), reasons.collect::<Vec<_>>().join(", "))
}

/// The keys of the table: all that are worth a word, or those that matter most.
const KEYS: [&str; 3] = [
    "?:help q:quit s:sort /:filter d:drain Enter:inspect",
    "?:help q:quit d:drain Enter:inspect",
    "?:help q:quit",
];

/// The last line: a question, what is being typed, a message, or the keys.
fn footer(view: &View, width: u16) -> Line<'static> {
    let attention = Style::new().add_modifier(Modifier::BOLD);
    match (&view.mode, &view.message) {
        (Mode::Ask { drain, .. }, _) => {
            let server = drain.server;
            let question = match (drain.undo, width) {
                (false, 78..) => format!("Drain {server} of {}: nobody new? y/n", drain.service),
                (true, 78..) => format!("Give {server} of {} its weight back? y/n", drain.service),
                (false, _) => format!("Drain {server}? y/n"),
                (true, _) => format!("Undrain {server}? y/n"),
            };
            Line::styled(question, attention.add_modifier(Modifier::REVERSED))
        }
        (Mode::Filter { .. }, _) => Line::styled(format!("Filter: {}_", view.filter), attention),
        (_, Some(message)) => Line::styled(message.clone(), attention),
        (Mode::Help { .. }, _) => Line::from("any key goes back").dim(),
        (Mode::Inspect(_), _) => Line::from("Esc back  d drain  p pause  ? help  q quit").dim(),
        (Mode::Table, None) => {
            // What is left out of the table matters more than the keys, of which as many are named as have room.
            let filter =
                if view.filter.is_empty() { String::new() } else { format!("only \"{}\"  ", view.filter) };
            let order = view.sort.by.title();
            let reversed = if view.sort.reversed { ", reversed" } else { "" };
            let line = |keys: &str| format!("{filter}{keys}  by {order}{reversed}");
            let fits = |keys: &&&str| line(keys).chars().count() <= usize::from(width);
            Line::from(line(KEYS.iter().find(fits).unwrap_or(&KEYS[KEYS.len() - 1]))).dim()
        }
    }
}
