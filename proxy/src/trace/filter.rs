//! Which packets are wanted: words that all have to hold.
//!
//! ```text
//! FILTER = [WORD ["and" WORD]...]          "and" may be left out
//! WORD   = ["not"] ("host" ADDRESS | "net" PREFIX | "port" PORT | "vip" ADDRESS[":"PORT] | "service" SERVICE
//!          | "tcp" | "udp" | "sctp" | "icmp" | "dropped" ["for" REASON] | "new")
//! ```
//! Addresses and ports are looked for on either side of the packet, as it came and as it leaves.

use std::net::{IpAddr, SocketAddr};

use engine::{DropReason, Note, Verdict};
use sched::ServiceKey;
use sched::marks::Prefix;
use wire::packet::{L4, Packet};

/// What the filter words are, for error messages.
const WORDS: &str = "host ADDRESS, net PREFIX, port PORT, vip ADDRESS[:PORT], service SERVICE, tcp, udp, sctp, icmp, dropped, \
                     new; each may follow `not`, and all have to hold";

/// A filter: everything, if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    not: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Net(Prefix),
    Port(u16),
    Vip(IpAddr, Option<u16>),
    Service(ServiceKey),
    Proto(&'static str),
    Dropped(Option<DropReason>),
    New,
}

/// A packet, what was decided about it, and what went into that.
pub(crate) struct Candidate<'a> {
    pub(crate) before: Option<&'a Packet>,
    pub(crate) after: Option<&'a Packet>,
    pub(crate) verdict: Verdict,
    pub(crate) notes: &'a [Note],
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// In words: which word makes no sense, and which would.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let mut all = Vec::new();
        while let Some(word) = words.next() {
            if word == "and" && !all.is_empty() && words.peek().is_some() {
                continue;
            }
            let not = word == "not";
            let word =
                if not { words.next().ok_or("filter: `not` what? A word has to follow it")? } else { word };
            let mut value = |example: &str| {
                words
                    .next()
                    .ok_or_else(|| format!("filter: `{word}` needs a value, as in `{word} {example}`"))
            };
            let what = match word {
                "host" => What::Net(Prefix::host(parsed(value("10.0.0.9")?, word, "an address")?)),
                "net" => What::Net(prefix(value("10.0.0.0/8")?)?),
                "port" => What::Port(parsed(value("443")?, word, "a port")?),
                "vip" => vip(value("172.16.0.99:443")?)?,
                "service" => service(value("tcp/172.16.0.99:443")?)?,
                "tcp" => What::Proto("tcp"),
                "udp" => What::Proto("udp"),
                "sctp" => What::Proto("sctp"),
                "icmp" => What::Proto("icmp"),
                "new" => What::New,
                "dropped" => {
                    let reason = words.next_if_eq(&"for").map(|_| reason(words.next()));
                    What::Dropped(reason.transpose()?)
                }
                other => return Err(format!("filter: {other:?} is no word of it; there are {WORDS}")),
            };
            all.push(Word { not, what });
        }
        Ok(Self(all))
    }

    pub(crate) fn matches(&self, candidate: &Candidate<'_>) -> bool {
        self.0.iter().all(|word| word.what.holds(candidate) != word.not)
    }
}

impl What {
    fn holds(&self, candidate: &Candidate<'_>) -> bool {
        let sides = || candidate.before.into_iter().chain(candidate.after);
        match self {
            Self::Net(prefix) => sides().any(|p| prefix.contains(p.src) || prefix.contains(p.dst)),
            Self::Port(port) => {
                sides().filter_map(|p| p.ports()).any(|(from, to)| from == *port || to == *port)
            }
            Self::Vip(vip, port) => sides().any(|p| {
                let (from, to) = p.ports().unwrap_or_default();
                [(p.src, from), (p.dst, to)]
                    .into_iter()
                    .any(|(ip, l4)| ip == *vip && port.is_none_or(|port| port == l4))
            }),
            Self::Service(wanted) => candidate.notes.iter().any(|note| match note {
                Note::Service { key: Some(key), .. } => key == wanted,
                Note::Connection { found: Some(flow), proto, .. } => {
                    ServiceKey::addr(*proto, flow.vip) == *wanted
                }
                _ => false,
            }),
            Self::Proto(name) => candidate.before.is_some_and(|packet| {
                *name
                    == match packet.l4 {
                        L4::Tcp { .. } => "tcp",
                        L4::Udp { .. } => "udp",
                        L4::Sctp { .. } => "sctp",
                        L4::Icmp { .. } | L4::Icmp6 { .. } => "icmp",
                        L4::Other => "",
                    }
            }),
            Self::Dropped(None) => matches!(candidate.verdict, Verdict::Drop(_)),
            Self::Dropped(Some(reason)) => candidate.verdict == Verdict::Drop(*reason),
            Self::New => candidate.notes.iter().any(|note| matches!(note, Note::Chosen { .. })),
        }
    }
}

fn parsed<T: std::str::FromStr>(text: &str, word: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("filter: `{word} {text}`: {text:?} is not {what}"))
}

fn prefix(text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|_| {
        format!("filter: `net {text}`: {text:?} is no prefix, as 10.0.0.0/8 or 2001:db8::/32 are")
    })
}

fn vip(text: &str) -> Result<What, String> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(What::Vip(addr.ip(), Some(addr.port())));
    }
    Ok(What::Vip(parsed(text, "vip", "an address, with or without a port")?, None))
}

fn service(text: &str) -> Result<What, String> {
    let key = text.to_ascii_lowercase().parse();
    key.map(What::Service).map_err(|_| {
        format!("filter: `service {text}`: {text:?} is no service, as tcp/172.16.0.99:443 and fwm/3 are")
    })
}

fn reason(name: Option<&str>) -> Result<DropReason, String> {
    let name = name.ok_or("filter: `dropped for` what? `ulvs drops --all` lists the reasons")?;
    let found = DropReason::ALL.iter().find(|reason| reason.name() == name);
    found
        .copied()
        .ok_or_else(|| format!("filter: {name:?} is no reason to drop; `ulvs drops --all` lists them"))
}

#[cfg(test)]
mod tests {
    use engine::Egress;

    use super::*;

    fn matches(filter: &str, verdict: Verdict) -> bool {
        let bytes = |from: &str, to: &str| wire::build::tcp(from, to).syn().bytes();
        let [before, after] = [("10.0.0.9:4000", "172.16.0.99:443"), ("10.0.0.9:4000", "192.168.0.7:8443")]
            .map(|(from, to)| Packet::parse(&bytes(from, to)).unwrap());
        let candidate = Candidate { before: Some(&before), after: Some(&after), verdict, notes: &[] };
        Filter::parse(filter).unwrap().matches(&candidate)
    }

    #[test]
    fn all_words_have_to_hold_on_either_side() {
        let sent = Verdict::Transmit(Egress::Route);
        for (filter, holds) in [
            ("", true),
            ("host 10.0.0.9", true),
            ("host 192.168.0.7 and port 443", true),
            ("net 192.168.0.0/16 port 8443 tcp", true),
            ("not host 10.0.0.9", false),
            ("udp", false),
            ("not udp vip 172.16.0.99:443", true),
            ("vip 172.16.0.99:80", false),
            ("dropped", false),
            ("new", false),
        ] {
            assert_eq!(matches(filter, sent), holds, "{filter}");
        }
        let dropped = Verdict::Drop(DropReason::Land);
        for (filter, holds) in
            [("dropped", true), ("dropped for land", true), ("dropped for defence tcp", false)]
        {
            assert_eq!(matches(filter, dropped), holds, "{filter}");
        }
    }

    #[test]
    fn a_word_that_makes_no_sense_is_named_with_the_way_out() {
        for (filter, error) in [
            ("hots 10.0.0.9", "filter: \"hots\" is no word of it; there are host ADDRESS, net"),
            ("host", "filter: `host` needs a value, as in `host 10.0.0.9`"),
            ("host ten", "filter: `host ten`: \"ten\" is not an address"),
            ("port 70000", "filter: `port 70000`: \"70000\" is not a port"),
            ("net 10.0.0.0/40", "filter: `net 10.0.0.0/40`: \"10.0.0.0/40\" is no prefix"),
            (
                "dropped for nothing",
                "filter: \"nothing\" is no reason to drop; `ulvs drops --all` lists them",
            ),
            ("service web", "filter: `service web`: \"web\" is no service, as tcp/172.16.0.99:443"),
            ("tcp not", "filter: `not` what?"),
            ("and", "filter: \"and\" is no word of it"),
        ] {
            let told = Filter::parse(filter).expect_err(filter);
            assert!(told.starts_with(error), "{told}");
        }
    }
}
