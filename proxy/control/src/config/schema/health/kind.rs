//! What there is to ask, and which keys each kind has.

use sched::{CheckKind, DnsRecord};

use super::super::super::reader::{Problems, Section};
use super::super::values::word;
use super::{exec, http, tls, udp};
use crate::nearest::nearest;

/// A kind of check.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What a complaint calls it.
    pub(super) what: &'static str,
    keys: &'static [&'static [&'static str]],
    /// Reads what only this kind has. `None` if it has been complained about.
    pub(super) read: fn(&Section<'_>, &mut Problems) -> Option<CheckKind>,
}

/// Of whatever goes over the network.
const HOST: &[&str] = &["address", "bind", "device", "mark"];
const PORT: &[&str] = &["port"];

const ALL: &[Kind] = &[
    Kind { name: "icmp", what: "an icmp check", keys: &[HOST], read: |_, _| Some(CheckKind::Icmp) },
    Kind { name: "tcp", what: "a tcp check", keys: &[HOST, PORT], read: |_, _| Some(CheckKind::Tcp) },
    Kind { name: "udp", what: "a udp check", keys: &[HOST, PORT, udp::KEYS], read: udp::read },
    Kind {
        name: "http",
        what: "an http check",
        keys: &[HOST, PORT, http::KEYS, http::PAGE],
        read: http::plain,
    },
    Kind {
        name: "https",
        what: "an https check",
        keys: &[HOST, PORT, http::KEYS, http::PAGE, tls::KEYS],
        read: http::encrypted,
    },
    Kind {
        name: "tls",
        what: "a tls check",
        keys: &[HOST, PORT, tls::KEYS],
        read: |section, problems| Some(CheckKind::Tls(tls::read(section, problems))),
    },
    Kind { name: "dns", what: "a dns check", keys: &[HOST, PORT, &["record", "name"]], read: dns },
    Kind { name: "smtp", what: "an smtp check", keys: &[HOST, PORT, &["helo"]], read: smtp },
    Kind {
        name: "grpc",
        what: "a grpc check",
        keys: &[HOST, PORT, &["service", "tls"], tls::KEYS],
        read: tls::grpc,
    },
    Kind { name: "exec", what: "an exec check", keys: &[exec::KEYS], read: exec::exec },
    Kind { name: "file", what: "a file check", keys: &[exec::FILE_KEYS], read: exec::file },
];

impl Kind {
    /// The keys that not all kinds have.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied().flatten().copied()
    }

    /// Whether a port is asked.
    pub(super) fn by_port(&self) -> bool {
        self.keys.contains(&PORT)
    }
}

pub(super) fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}

/// All of them, for a complaint.
pub(super) fn names() -> String {
    ALL.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// What to write in place of a name that is none.
pub(super) fn nearest_to(name: &str) -> String {
    // What others call them.
    let known_as = [
        ("ping", "icmp"),
        ("misc", "exec"),
        ("external", "exec"),
        ("script", "exec"),
        ("ssl_get", "https"),
        ("ssl", "tls"),
        ("connect", "tcp"),
        ("negotiate", "http"),
    ];
    let plain = name.to_lowercase();
    let of_keepalived = plain.strip_suffix("_check").or_else(|| plain.strip_suffix("_get"));
    let meant = [plain.as_str(), of_keepalived.unwrap_or(name)];
    let best = known_as.iter().find(|(other, _)| meant.contains(other)).map(|(_, ours)| *ours);
    let near = |name| nearest(name, ALL.iter().map(|kind| kind.name));
    let exact = ALL.iter().map(|kind| kind.name).find(|known| meant.contains(known));
    let best = best.or(exact).or_else(|| meant.into_iter().find_map(near));
    let hint = best.map(|best| format!("did you mean \"{best}\"? ")).unwrap_or_default();
    format!("{hint}known: {}", names())
}

/// What to do about a key of other kinds; `None` if nobody has it.
pub(super) fn whose(key: &str) -> Option<String> {
    let owners = ALL.iter().filter(|kind| kind.keys().any(|known| known == key));
    let owners: Vec<_> = owners.map(|kind| format!("\"{}\"", kind.name)).collect();
    match owners.len() {
        0 => None,
        1..=4 => Some(format!("it belongs to kind = {}: change the kind, or delete it", owners.join(", "))),
        _ => Some("nothing is asked there over the network at a place of its own: delete it".to_owned()),
    }
}

/// `record = "A"`, `name = "www.example"`.
fn dns(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    use DnsRecord::{A, Aaaa, Cname, Mx, Ns, Soa, Txt};
    let name = |record| match record {
        A => "A",
        Aaaa => "AAAA",
        Cname => "CNAME",
        Mx => "MX",
        Ns => "NS",
        Soa => "SOA",
        Txt => "TXT",
    };
    let record = word(section, "record", &[Soa, A, Aaaa, Ns, Cname, Mx, Txt], name, problems);
    let name = section.string("name", "\"www.example\"", problems);
    if let Some(bad) = name.as_ref().filter(|name| !is_domain(name.value)) {
        let help = "labels of 1 to 63 characters with dots between them, or \".\" for the root: name = \"www.example\"";
        problems.note(bad.span.clone(), format!("`{}` is no name that could be asked for", bad.value), help);
        return None;
    }
    let name = name.map_or(".", |name| name.value).to_owned();
    Some(CheckKind::Dns { record: record.unwrap_or_default(), name })
}

/// A name as RFC 1035, section 2.3.4, limits it.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic());
    name == "." || name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

/// `helo = "lb.example"`.
fn smtp(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    let helo = section.string("helo", "\"lb.example\"", problems);
    if let Some(bad) =
        helo.as_ref().filter(|h| h.value.is_empty() || !h.value.bytes().all(|b| b.is_ascii_graphic()))
    {
        let help = "write the name of this host, without blanks: helo = \"lb.example\"";
        problems.note(bad.span.clone(), format!("`{}` is no name to introduce oneself by", bad.value), help);
        return None;
    }
    Some(CheckKind::Smtp { helo: helo.map_or("localhost", |helo| helo.value).to_owned() })
}
