//! Checkers: what a real server is asked.

use std::net::IpAddr;
use std::path::PathBuf;

use sched::{Check, CheckKind, DnsRecord, ExecCheck, FileCheck};

use super::Shared;
use super::connection::{self, Connection};
use super::server::Asked;
use super::service::Inherited;
use super::surplus;
use super::timers::{Defaults, Timers};
use super::tree::Item;
use super::value;
use super::{http, udp};
use crate::foreign::note::Notes;
use crate::health::command::words;
use crate::health::probe;

/// What there is to ask.
pub(super) const CHECKERS: [&str; 10] = [
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "SMTP_CHECK",
    "DNS_CHECK",
    "UDP_CHECK",
    "PING_CHECK",
    "MISC_CHECK",
    "FILE_CHECK",
    "BFD_CHECK",
];

/// How often a file is looked at, of whose changes keepalived would be told.
const LOOK: u32 = 1_000;

pub(super) fn is_checker(name: &str) -> bool {
    CHECKERS.contains(&name)
}

/// Reads a checker into one check or several.
pub(super) fn read(
    item: &Item,
    outer: &Inherited,
    server: Option<IpAddr>,
    shared: &Shared,
    into: &mut Vec<Asked>,
    notes: &mut Notes,
) {
    let checks = match item.name() {
        "TCP_CHECK" => plain(item, CheckKind::Tcp, outer.timers, server, notes),
        "PING_CHECK" => ping(item, outer.timers, server, notes),
        "SMTP_CHECK" => smtp(item, outer.timers, server, notes),
        "DNS_CHECK" => dns(item, outer.timers, server, notes),
        "UDP_CHECK" => udp::read(item, outer.timers, server, notes),
        "HTTP_GET" | "SSL_GET" => http::read(item, outer, server, notes),
        "MISC_CHECK" => misc(item, outer.timers, shared, notes),
        "FILE_CHECK" => file(item, shared, notes),
        _ => {
            let text = "BFD is not spoken here: this server is not asked by it";
            let help = "a TCP_CHECK or PING_CHECK each second is nearly as quick: delay_loop 1";
            notes.unhandled(item.place(), text, help);
            Vec::new()
        }
    };
    for (check, timers) in checks {
        let place = item.place().clone();
        // What it asks was looked at word by word; whoever asks has the last one.
        match probe::check(&check) {
            Ok(()) => into.push(Asked { check, place, alpha: timers.alpha == Some(true) }),
            Err(why) => {
                notes.error(&place, format!("{} cannot be asked: {why}", item.name()), "ask otherwise")
            }
        }
    }
}

/// Checks, and what was said about their times.
pub(super) type Checks = Vec<(Check, Timers)>;

/// A check as it connects.
pub(super) fn one(
    connection: Connection,
    kind: CheckKind,
    defaults: Defaults,
    outer: Timers,
) -> (Check, Timers) {
    let mut connection = connection;
    connection.timers = connection.timers.within(outer);
    (connection.check(kind, defaults), connection.timers)
}

fn plain(item: &Item, kind: CheckKind, outer: Timers, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let connection = Connection::read(item, server, &[], notes, |_, _| false);
    vec![one(connection, kind, Defaults::PLAIN, outer)]
}

fn ping(item: &Item, outer: Timers, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let connection = Connection::read(item, server, &[], notes, |item, notes| {
        let port = matches!(item.name(), "connect_port" | "bind_port");
        if port {
            notes.unhandled(item.place(), "an echo is asked for at no port", "delete it, or write TCP_CHECK");
        }
        port
    });
    vec![one(connection, CheckKind::Icmp, Defaults::PLAIN, outer)]
}

/// Each `host` in it is asked, and has to answer.
fn smtp(item: &Item, outer: Timers, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let (mut helo, mut hosts) = (None, Vec::new());
    let connection = Connection::read(item, server, &["helo_name", "host"], notes, |item, notes| {
        match item.name() {
            "helo_name" => helo = value::word(item, "mail.example", notes).map(str::to_owned),
            "host" => hosts.push(Connection::read(item, server, &[], notes, |_, _| false)),
            _ => return false,
        }
        true
    });
    let kind = CheckKind::Smtp { helo: helo.unwrap_or_else(|| "smtpchecker.keepalived.org".to_owned()) };
    let all = if hosts.is_empty() {
        vec![connection]
    } else {
        hosts.into_iter().map(|host| host.within(&connection)).collect()
    };
    all.into_iter().map(|connection| one(connection, kind.clone(), Defaults::PLAIN, outer)).collect()
}

fn dns(item: &Item, outer: Timers, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let (mut record, mut name) = (DnsRecord::Soa, ".".to_owned());
    let connection = Connection::read(item, server, &["type", "name"], notes, |item, notes| {
        match item.name() {
            "type" => record = record_type(item, notes).unwrap_or_default(),
            "name" => name = value::word(item, "www.example", notes).unwrap_or(".").to_owned(),
            _ => return false,
        }
        true
    });
    vec![one(connection, CheckKind::Dns { record, name }, Defaults::DNS, outer)]
}

fn record_type(item: &Item, notes: &mut Notes) -> Option<DnsRecord> {
    let name = value::word(item, "A", notes)?;
    let record = match name.to_ascii_uppercase().as_str() {
        "SOA" => DnsRecord::Soa,
        "A" => DnsRecord::A,
        "AAAA" => DnsRecord::Aaaa,
        "NS" => DnsRecord::Ns,
        "CNAME" => DnsRecord::Cname,
        "MX" => DnsRecord::Mx,
        "TXT" => DnsRecord::Txt,
        _ => {
            let help = "write SOA, A, AAAA, NS, CNAME, MX or TXT";
            notes.error(item.place_of(0), format!("no record of type `{name}` is asked for"), help);
            return None;
        }
    };
    Some(record)
}

fn misc(item: &Item, outer: Timers, shared: &Shared, notes: &mut Notes) -> Checks {
    let known = ["misc_path", "misc_timeout", "misc_dynamic", "user"];
    let (mut command, mut timeout, mut dynamic, mut user) = (None, None, false, None);
    let connection = Connection::read(item, None, &known, notes, |item, notes| {
        match item.name() {
            "misc_path" => command = value::command(item, notes),
            "misc_timeout" => timeout = value::timer(item, 0, notes).filter(|ms| *ms > 0),
            "misc_dynamic" => dynamic = value::switch(item, notes),
            // It goes nowhere.
            name if connection::KEYWORDS.contains(&name) && name != "log_all_failures" => {
                value::unknown(item, &known, notes);
            }
            "user" => {
                value::word(item, "nobody", notes);
                user = user_of(&item.args.iter().map(|word| word.text.as_str()).collect::<Vec<_>>());
            }
            _ => return false,
        }
        true
    });
    let Some(command) = command else {
        if item.items().iter().all(|item| item.name() != "misc_path") {
            let help = "add misc_path /usr/local/bin/check.sh";
            notes.error(item.place(), "this MISC_CHECK runs nothing: it has no `misc_path`", help);
        }
        return Vec::new();
    };
    let user = user.or_else(|| shared.script_user.clone());
    let kind = CheckKind::Exec(ExecCheck { command: words(&command).unwrap_or_default(), user, dynamic });
    let (check, timers) = one(connection, kind, Defaults::MISC, outer);
    let timeout = timeout.unwrap_or(check.interval);
    vec![(Check { timeout, ..check }, timers)]
}

/// `user`, `user group`.
pub(super) fn user_of(words: &[&str]) -> Option<String> {
    match words {
        [user, group, ..] => Some(format!("{user}:{group}")),
        [user] => Some((*user).to_owned()),
        [] => None,
    }
}

fn file(item: &Item, shared: &Shared, notes: &mut Notes) -> Checks {
    let (mut tracked, mut dynamic, mut weight) = (None, false, None);
    for item in item.items() {
        match item.name() {
            "track_file" => {
                surplus::look(item, notes);
                tracked = value::word(item, "NAME", notes).map(|name| (name, item.place_of(0)));
            }
            "dynamic" => {
                surplus::look(item, notes);
                dynamic = value::switch(item, notes);
            }
            "weight" => weight = super::global::weight(item, notes),
            _ => value::unknown(item, &["track_file", "dynamic", "weight"], notes),
        }
    }
    let Some((name, place)) = tracked else {
        let help = "name a block track_file NAME { file \"/path\" }: track_file NAME";
        notes.error(item.place(), "this FILE_CHECK has no `track_file`", help);
        return Vec::new();
    };
    let Some(known) = shared.files.get(name) else {
        let help = format!("add track_file {name} {{ file \"/path\" }}");
        notes.error(place, format!("there is no track_file `{name}`"), help);
        return Vec::new();
    };
    let (weight, reverse) = weight.unwrap_or((known.weight, known.reverse));
    // Weight 0 says that any number but 0 is a failure, which is what it is here when it is not `dynamic`.
    if weight != 0 && !dynamic {
        let text = "without `dynamic` any number but 0 is a failure here, whatever the weight";
        notes.changed(item.place(), text, "write dynamic, so that the number changes the weight");
    }
    let dynamic = dynamic && weight != 0;
    let text = "the file is looked at each second; keepalived is told when it changes";
    notes.changed(item.place(), text, "nothing has to be done");
    let kind = CheckKind::File(FileCheck { path: PathBuf::from(&known.path), weight, reverse, dynamic });
    let check = Check { interval: LOOK, fall: 1, rise: 1, warmup: Some(0), ..Check::new(kind) };
    vec![(check, Timers::default())]
}
