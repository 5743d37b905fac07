//! One service or server in full, and the help.

use std::collections::BTreeMap;

use control::api::ConnView;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph};
use sched::counted;

use super::super::model::{Load, Picture, Subject};

const HELP: &str = "\
Up Down j k      choose a line        PgUp PgDn Home End  go far
s or >, S or <   sort by the next column, by the one before
r                the other way round
/ or f           show only what has some text; Esc shows all
Enter or i       inspect: counters, connections; Esc goes back
d                drain a server, or end its drain (asks first)
p or space       pause            ? or h  this help        q  quit
METHOD  scheduler of a service, forwarding method of a server
STATE   up; slow: in its slow start; full: at its upper threshold;
        quiet: weight 0; drain: by `ulvs drain`; down: dead, see `ulvs
        health`; sorry: serves for the dead; DOWN: no server takes
        anybody new; tls: TLS ends at the service
ACTIVE  connections as ipvsadm counts them; INACT: all the others
NEW/s, PKT/s, B/s: per second, as `ipvsadm -L --rate`; in: from clients
Dropped packets: by reason, since the start; /s: since the last look";

/// Over the middle of the screen.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect) {
    let text = Text::from(HELP);
    let (width, height) = (text.width() as u16 + 2, text.height() as u16 + 2);
    let width = width.min(area.width);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y, width, height: height.min(area.height) };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).block(frame_of("keys and columns")), place);
}

/// In ASCII.
fn frame_of(title: &str) -> Block<'_> {
    use ratatui::symbols::border::Set;
    let set = Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    };
    Block::bordered().border_set(set).title(title)
}

pub(super) fn inspect(frame: &mut Frame<'_>, area: Rect, picture: &Picture, subject: Subject) {
    let text: Vec<Line<'_>> = lines(picture, subject).into_iter().map(Line::from).collect();
    let mut text = Text::from(text);
    if let Some(first) = text.lines.first_mut() {
        *first = std::mem::take(first).reversed();
    }
    frame.render_widget(Paragraph::new(text), area);
}

/// All that there is to say; the end may have no room.
fn lines(picture: &Picture, subject: Subject) -> Vec<String> {
    let Some(service) = picture.service(subject.service) else {
        return vec![format!("{} is no more", subject.service)];
    };
    let (mut lines, load) = match subject.server {
        None => {
            let words = [
                (service.persistent, "persistent: clients come back to their server"),
                (service.tls, "TLS ends here"),
            ];
            let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| format!("  {word}"));
            let up = service.servers.iter().filter(|s| s.weight > 0).count();
            let head = format!("service {}", service.service);
            let (of, have) = (counted(service.servers.len(), "server"), if up == 1 { "has" } else { "have" });
            let what = format!("scheduler {}, {up} of {of} {have} a weight", service.scheduler);
            ([head, what].into_iter().chain(words).collect::<Vec<_>>(), service.load)
        }
        Some(key) => {
            let Some(server) = service.server(key) else {
                return vec![format!("{key} of {} is no more", service.service)];
            };
            let limit =
                if server.upper == 0 { String::new() } else { format!(", upper threshold {}", server.upper) };
            let weight = match (server.weight, server.configured_weight) {
                (weight, configured) if weight == configured => weight.to_string(),
                (weight, configured) => format!("{weight} (configured: {configured})"),
            };
            let what =
                format!("method {}, weight {}, state {}{limit}", server.method, weight, server.state.name());
            let health = if server.health.is_empty() {
                Vec::new()
            } else {
                vec![format!("its checks say: {}", server.health)]
            };
            let persistent = match server.persistent {
                1 => "1 client comes back to it (persistence)".to_owned(),
                n => format!("{n} clients come back to it (persistence)"),
            };
            let head = format!("server {key} of {}", service.service);
            ([vec![head, what], health, vec![persistent]].concat(), server.load)
        }
    };
    lines.push(String::new());
    lines.extend(counters(&load));
    lines.push(String::new());
    lines.extend(match &picture.connections {
        Some(page) => {
            let mine: Vec<_> = page.connections.iter().filter(|conn| is_of(conn, subject)).collect();
            connections(&mine, page.next.is_some())
        }
        None if matches!(subject.service, sched::ServiceKey::Mark { .. }) && subject.server.is_none() => {
            vec!["connections of a mark are seen at its servers".to_owned()]
        }
        None => Vec::new(),
    });
    lines
}

fn counters(load: &Load) -> Vec<String> {
    let Load { active, inactive, rates, counts } = load;
    let row = |name: &str, rate: u64, count: u64| format!("{name:<22}{rate:>12}{count:>20}");
    vec![
        format!("{active} active and {inactive} inactive connections"),
        format!("{:<22}{:>12}{:>20}", "", "per second", "in all"),
        row("new connections", rates.cps, counts.conns),
        row("packets from clients", rates.in_pps, counts.in_packets),
        row("packets from servers", rates.out_pps, counts.out_packets),
        row("bytes from clients", rates.in_bps, counts.in_bytes),
        row("bytes from servers", rates.out_bps, counts.out_bytes),
    ]
}

/// The states with their numbers, then as many connections as there are.
fn connections(all: &[&ConnView], partly: bool) -> Vec<String> {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for conn in all {
        *states.entry(if conn.template { "(templates)" } else { &conn.state }).or_default() += 1;
    }
    let states: Vec<_> = states.iter().map(|(state, n)| format!("{state} {n}")).collect();
    let partly = if partly { " (of a part of the table)" } else { "" };
    let head = if states.is_empty() { "no connections".to_owned() } else { states.join(", ") };
    let mut sorted: Vec<_> = all.iter().filter(|conn| !conn.template).collect();
    // The liveliest first.
    sorted.sort_by_key(|conn| (std::cmp::Reverse(conn.expires), conn.client));
    let titles = format!("{:<24} {:<24} {:<12} {:>7}", "CLIENT", "SERVER", "STATE", "EXPIRES");
    let rows = sorted.iter().take(SHOWN).map(|conn| {
        let (client, dest) = (conn.client.to_string(), conn.dest.to_string());
        format!("{client:<24} {dest:<24} {:<12} {:>5} s", conn.state, conn.expires)
    });
    [format!("{head}{partly}"), titles].into_iter().chain(rows).collect()
}

/// More connections than any screen has lines.
const SHOWN: usize = 500;

/// Whether a connection belongs to it; a port 0 stands for all.
fn is_of(conn: &ConnView, subject: Subject) -> bool {
    let is = |there: std::net::SocketAddr, here: std::net::SocketAddr| {
        there.ip() == here.ip() && (here.port() == 0 || there.port() == here.port())
    };
    let vip = subject.service.vip().zip(subject.service.l4_port());
    vip.is_none_or(|vip| is(conn.vip, vip.into()))
        && subject.server.is_none_or(|server| is(conn.dest, server))
}
