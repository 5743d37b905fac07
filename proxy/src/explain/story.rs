//! An explanation as a person reads it: what was looked up, what that decided, what changes.

mod why;

use engine::{Flow, Note, Verdict};
use sched::{Account, ServiceKey};

use super::{Explained, PacketView, way};

/// Servers that are listed of those that a scheduler has compared.
const SERVERS: usize = 8;
/// Where what is said begins.
const INDENT: usize = 10;

/// The story, in lines.
pub(crate) fn story(told: &Explained) -> String {
    let mut lines = Lines(String::new(), String::new());
    lines.say("packet", &with_ttl(&told.arrived));
    for note in &told.notes {
        lines.note(note);
    }
    if let Some(why) = why::by_address(told) {
        lines.say("address", why);
    }
    // An answer is another packet.
    if let Some(leaves) = told.leaves.as_ref().filter(|_| told.verdict != Verdict::Reply) {
        lines.changes(&told.arrived, leaves);
    }
    for besides in &told.besides {
        lines.say("besides", &format!("of our own: {}", with_ttl(besides)));
    }
    lines.say("verdict", &verdict(told));
    if let Some(dropped) = &told.dropped {
        lines.say("meaning", &dropped.meaning);
        lines.say("usually", &dropped.cause);
    }
    lines.0
}

fn with_ttl(packet: &PacketView) -> String {
    let ttl = packet.ttl.map(|ttl| format!(", ttl {ttl}")).unwrap_or_default();
    let segments = packet.segments.map(|n| format!(", a super-packet of {n}")).unwrap_or_default();
    format!("{}{ttl}{segments}", packet.summary)
}

fn verdict(told: &Explained) -> String {
    let leaves = || told.leaves.as_ref().map(|packet| packet.summary.clone()).unwrap_or_default();
    match told.verdict {
        Verdict::Transmit(egress) => format!("sent on {}: {}", way(egress), leaves()),
        Verdict::Reply => format!("answered by the director: {}", leaves()),
        Verdict::Divert(_) => "handed to the front at which TLS ends".into(),
        Verdict::Pass => "given back to the host's stack, as if there were no ulvs".into(),
        Verdict::Wait => "kept until the first fragment of its datagram comes, which has the ports".into(),
        Verdict::Drop(reason) => format!("dropped: {}", reason.name()),
    }
}

/// The lines, and why nobody would have been chosen of the servers that were compared last.
struct Lines(String, String);

impl Lines {
    fn say(&mut self, about: &str, text: &str) {
        self.0.push_str(&format!("{about:<INDENT$}{text}\n"));
    }

    fn more(&mut self, text: &str) {
        self.say("", text);
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Connection { proto, src, dst, found } => match found {
                Some(flow) => {
                    self.say("lookup", &format!("connection {}", endpoints(flow)));
                    let side = if flow.reply { "server's, a reply" } else { "client's, a request" };
                    let method = flow.method.name();
                    let left = flow.left_ms.div_ceil(1000);
                    self.more(&format!(
                        "{method}, {}, expires in {left} s; the packet is the {side}",
                        flow.state
                    ));
                }
                None => {
                    self.say("lookup", &format!("no connection has {} {src} > {dst}", proto.name()));
                }
            },
            Note::BeginsAnew { state, removed } => {
                let why = if *removed {
                    "its server was removed"
                } else {
                    "it is over, or its client has forgotten it"
                };
                self.more(&format!("which ends here ({state}): {why}; the packet begins another one"));
            }
            Note::Supposed { input, mark } => {
                let input = input.as_ref().map(|device| format!("comes in on {device}"));
                let mark = (*mark != 0).then(|| format!("comes with mark {mark}"));
                let all: Vec<_> = input.into_iter().chain(mark).collect();
                self.say("suppose", &all.join(", and "));
            }
            Note::Mark { of: 0, .. } => {}
            Note::Mark { mark, rules, of } => {
                for hit in rules {
                    self.say("mark", &format!("rule \"{}\" matches: mark {}", hit.rule, hit.mark));
                }
                match mark {
                    None => self.say("mark", &format!("none: of {of} rules, {} match", rules.len())),
                    Some(mark) if rules.is_empty() => {
                        self.say("mark", &format!("stays {}: of {of} rules, none matches", mark.0));
                    }
                    Some(mark) if rules.len() > 1 => self.more(&format!("so the packet has mark {}", mark.0)),
                    Some(_) => {}
                }
            }
            Note::Service { key: None, .. } => self.say("service", "none"),
            Note::Service { key: Some(key), scheduler, persistence } => {
                let scheduler = scheduler.as_deref().unwrap_or("none");
                let persistence = persistence.map(|s| format!(", persistent for {s} s")).unwrap_or_default();
                self.say("service", &format!("{}, scheduler {scheduler}{persistence}", service(key)));
            }
            Note::Near { services } => {
                for near in services {
                    self.more(&format!("not {}: {}", service(&near.service), near.why));
                }
            }
            Note::OpensNothing => {
                self.say("opening", "it begins no connection: only a SYN (SCTP: an INIT) does")
            }
            Note::Fault { reason } => self.say("fault", &format!("it begins nothing: {}", reason.name())),
            Note::Front => self.say("front", "the client's connection ends here, at a front"),
            Note::Template { server: None, .. } => {
                self.say(
                    "client",
                    "has no template: the scheduler chooses, and the client comes back to that server",
                );
            }
            Note::Template { server: Some(server), left_ms } => {
                let left = left_ms.unwrap_or_default().div_ceil(1000);
                self.say(
                    "client",
                    &format!(
                        "comes back: its template says {server}, for {left} s yet; no scheduler is asked"
                    ),
                );
            }
            Note::Aimed { server } => {
                self.say("check", &format!("it asks {server} how it is, and goes to nobody else"));
            }
            Note::TemplateEnds { server } => {
                self.say("client", &format!("its template said {server}, which may not be used any more"));
            }
            Note::Compared { scheduler, account } => {
                self.compared(scheduler, account);
                self.1 = why::nobody(account);
            }
            Note::Nobody => {
                let why = std::mem::take(&mut self.1);
                self.say("server", &format!("nobody can be chosen{why}"));
            }
            Note::Chosen { server, method, local, hairpin } => {
                let mut text = format!("{server} by {}", method.name());
                if *hairpin {
                    text += " (FullNat because client and server would speak past the director)";
                }
                self.say("server", &text);
                if let Some(local) = local {
                    self.more(&format!(
                        "which believes to speak with {local}, a local address and port of ours"
                    ));
                }
            }
            Note::NotFree { server, reason } => {
                self.more(&format!("{server} cannot be had ({}): the next one of the list", reason.name()));
            }
            Note::State { from, to } if from == to => self.say("state", &format!("stays {to}")),
            Note::State { from, to } => self.say("state", &format!("{from} -> {to}")),
            Note::TooBig { mtu } => {
                self.say("size", &format!("too long for the path to the server, which takes {mtu} bytes"));
            }
            Note::Quotes { src, dst } => {
                self.say("quote", &format!("it is an error about the packet {src} > {dst}"));
            }
            Note::NotOurs { local: true } => self.say("address", "it is for the host itself"),
            Note::NotOurs { local: false } => self.say("address", "its destination is no VIP"),
            Note::OursAlone { addr } => {
                self.say(
                    "address",
                    &format!("{addr} is a VIP and nobody's address: the director answers for it"),
                );
            }
            Note::Follows => self.say("fragment", "it goes where the first fragment of its datagram went"),
            Note::Expected => self.say("ftp", "data that a control connection has announced"),
            Note::AnswersOne => {
                self.say("reply", "answers a datagram that was scheduled by itself: it comes from the VIP")
            }
            Note::OnePacket => self.say("once", "scheduled by itself (-o): no connection remembers it"),
        }
    }

    /// The numbers of a choice: who comes first, and as many of the others as are worth reading.
    fn compared(&mut self, scheduler: &str, account: &Account) {
        self.say("compare", &format!("{scheduler}: {}", account.rule));
        account.notes.iter().for_each(|note| self.more(note));
        let (ranked, others): (Vec<_>, Vec<_>) =
            account.servers.iter().partition(|standing| standing.out.is_none());
        let all = ranked.iter().chain(&others).count();
        for standing in ranked.iter().chain(&others).take(SERVERS) {
            self.more(&format!("  {:<24} {}", standing.server.to_string(), why::stands(standing)));
        }
        if all > SERVERS {
            self.more(&format!("  and {} more", all - SERVERS));
        }
    }

    fn changes(&mut self, before: &PacketView, after: &PacketView) {
        let mut about = "change";
        let mut change = |what: &str, before: Option<String>, after: Option<String>| {
            if before != after {
                let text = |side: Option<String>| side.unwrap_or_else(|| "none".into());
                self.say(about, &format!("{what} {} -> {}", text(before), text(after)));
                about = "";
            }
        };
        change("source", before.src.clone(), after.src.clone());
        change("destination", before.dst.clone(), after.dst.clone());
        let ttl = |packet: &PacketView| packet.ttl.map(|ttl| ttl.to_string());
        let given_back =
            before.ttl.zip(after.ttl).is_some_and(|(before, after)| after == before.saturating_add(1));
        let what = if given_back {
            "ttl (the host will take one more, and a director counts as one)"
        } else {
            "ttl"
        };
        change(what, ttl(before), ttl(after));
        change("bytes", Some(before.len.to_string()), Some(after.len.to_string()));
        if let Some(inside) = &after.inside {
            self.say(about, &format!("travels inside {inside}"));
            about = "";
        }
        if about == "change" {
            self.say(about, "none: its headers stay as they are");
        }
    }
}

fn endpoints(flow: &Flow) -> String {
    let local = flow.local.map(|local| format!(" (as {local})")).unwrap_or_default();
    format!("{} > {} > {}{local}", flow.client, flow.vip, flow.server)
}

fn service(key: &ServiceKey) -> String {
    key.to_string()
}

#[cfg(test)]
mod tests;
