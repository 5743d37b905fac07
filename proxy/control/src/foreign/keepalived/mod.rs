//! `keepalived.conf`, as keepalived 2.2 reads it: keepalived.conf(5). Its virtual servers, their real servers and
//! checkers; what is about VRRP is left to keepalived.
//!
//! A file becomes lines (`source`), those a tree of keywords and blocks (`tree`), and that services (`build`). What
//! keepalived does without being told, and where it corrects a file in silence, is done here too, and said.

mod build;
mod check;
mod connection;
mod glob;
mod global;
mod group;
mod health;
mod http;
mod method;
mod params;
mod server;
mod service;
mod source;
mod surplus;
mod timers;
mod tree;
mod udp;
mod url;
mod value;
mod words;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use group::Targets;
use nix::unistd::User;
use tree::Item;

use super::note::Notes;
use super::{Foreign, add_services};

/// About `smtp_alert`.
const MAIL: (&str, &str) =
    ("no mail is sent", "let a command send it: notify_up, notify_down, quorum_up, quorum_down");
/// About `snmp_name`.
const SNMP: (&str, &str) =
    ("ulvs knows no SNMP and no D-Bus", "ask it by `ulvs status --json` or its socket");

/// What is said once for all virtual servers.
#[derive(Debug)]
struct Shared {
    /// Who runs commands that do not say.
    script_user: Option<String>,
    files: HashMap<String, global::Tracked>,
}

/// `notify_up` and its like.
#[derive(Clone, Debug)]
struct Script {
    command: String,
    /// Who runs it; nothing for root.
    user: Option<String>,
}

impl Shared {
    fn new() -> Self {
        // keepalived's default, too.
        let user = User::from_name("keepalived_script").ok().flatten();
        Self { script_user: user.map(|user| user.name), files: HashMap::new() }
    }

    /// A command, perhaps with the user and group that run it; the first of several stays.
    fn script(&self, item: &Item, into: &mut Option<Script>, notes: &mut Notes) {
        if into.is_some() {
            let text = format!("of several `{}` the first one counts, as for keepalived", item.name());
            notes.changed(item.place(), text, "delete this one, or call both from a script");
            return;
        }
        let Some(command) = value::command(item, notes) else { return };
        let words: Vec<_> = item.args.iter().skip(1).map(|word| word.text.as_str()).collect();
        let user = check::user_of(&words).or_else(|| self.script_user.clone());
        *into = Some(Script { command, user: user.filter(|user| user != "root") });
    }
}

/// Reads a file; `id` is compared with the lines that begin with `@`, as by `keepalived --config-id`.
///
/// # Errors
/// When the file itself cannot be read. Whatever else is wrong with it is in the notes.
pub fn load(path: &Path, id: &str) -> std::io::Result<Foreign> {
    let mut notes = Notes::default();
    let lines = source::read(path, id, &mut notes)?;
    let items = tree::parse(&lines, &mut notes);
    let mut foreign = Foreign { notes, ..Foreign::default() };
    read(&items, &mut foreign);
    foreign.notes.finish();
    Ok(foreign)
}

fn read(items: &[Item], foreign: &mut Foreign) {
    let Foreign { timeouts, notes, services } = foreign;
    let (mut shared, mut groups) = (Shared::new(), HashMap::<&str, Targets>::new());
    // What servers refer to may come behind them.
    for item in items {
        match item.name() {
            "virtual_server" => {}
            "virtual_server_group" => {
                surplus::look(item, notes);
                let targets = group::group(item, notes);
                if let Some(name) = value::word(item, "WEB { 10.0.0.1 80 }", notes) {
                    groups.insert(name, targets);
                }
            }
            _ => global::read(item, &mut shared, timeouts, notes),
        }
    }
    let mut known = HashSet::new();
    for item in items.iter().filter(|item| item.name() == "virtual_server") {
        if item.block.is_none() {
            let help = "for example virtual_server 10.0.0.1 80 { real_server 192.168.1.1 80 { } }";
            notes.error(item.place(), "this virtual server has no block", help);
        }
        surplus::look(item, notes);
        let of_group = item.arg(0) == Some("group");
        let targets = if of_group { group_of(item, &groups, notes) } else { of_one(item, notes) };
        let service = service::read(item, &shared, notes);
        let built = build::build(&service, &targets, notes);
        add_services(services, &mut known, built, item.place(), notes);
    }
}

fn of_one(item: &Item, notes: &mut Notes) -> Targets {
    group::target(item, notes).into_iter().collect()
}

fn group_of(item: &Item, groups: &HashMap<&str, Targets>, notes: &mut Notes) -> Targets {
    let name = item.arg(1).unwrap_or_default();
    let targets = groups.get(name).cloned().unwrap_or_default();
    if targets.is_empty() {
        let text = format!("there is no address in a virtual_server_group `{name}`");
        let help =
            format!("add virtual_server_group {name} {{ 10.0.0.1 80 }}, with the brace at the line's end");
        notes.error(item.place_of(1), text, help);
    }
    if targets.len() > 1 {
        let text = format!(
            "`{name}` becomes {} services, each with its own checks, quorum and sorry server",
            targets.len()
        );
        let help = "servers are asked once for each; for one service with one mark, write [[mark]] rules in ulvs.toml";
        notes.changed(item.place_of(1), text, help);
    }
    targets
}

#[cfg(test)]
mod tests;
