//! `lvs_sched`, `lvs_method` and what belongs to them.

use sched::{ForwardMethod, SchedFlags, Tunnel, TunnelChecksum, TunnelKind, algo};

use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;
use crate::nearest::choice;

/// The keywords of [`flag`].
pub(super) const FLAGS: [(&str, SchedFlags); 7] = [
    ("flag-1", SchedFlags::ONE),
    ("flag-2", SchedFlags::TWO),
    ("flag-3", SchedFlags::THREE),
    ("sh-fallback", SchedFlags::ONE),
    ("sh-port", SchedFlags::TWO),
    ("mh-fallback", SchedFlags::ONE),
    ("mh-port", SchedFlags::TWO),
];

/// A switch of the scheduler that has this name.
pub(super) fn flag(name: &str) -> Option<SchedFlags> {
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
}

/// `lvs_sched NAME`.
pub(super) fn scheduler(item: &Item, notes: &mut Notes) -> Option<String> {
    let name = value::word(item, "wrr", notes)?;
    if algo::find(name).is_none() {
        let known: Vec<_> = algo::ALL.iter().map(|a| a.name).collect();
        notes.error(item.place_of(0), format!("there is no scheduler `{name}`"), choice(name, &known));
        return None;
    }
    Some(name.to_owned())
}

/// `lvs_method NAT|DR|TUN [type {ipip|gue port NUM|gre} [nocsum|csum|remcsum]]`.
pub(super) fn method(item: &Item, notes: &mut Notes) -> Option<ForwardMethod> {
    match value::word(item, "NAT", notes)? {
        "NAT" => Some(ForwardMethod::Masq),
        "DR" => Some(ForwardMethod::Route),
        "TUN" => tunnel(item, notes).map(ForwardMethod::Tunnel),
        other => {
            let text = format!("there is no forwarding method `{other}`");
            notes.error(item.place_of(0), text, "write NAT, DR or TUN, in capitals");
            None
        }
    }
}

fn tunnel(item: &Item, notes: &mut Notes) -> Option<Tunnel> {
    let mut tunnel = Tunnel::default();
    let mut n = 1;
    while let Some(word) = item.arg(n) {
        let next = item.arg(n + 1);
        let port = next.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        n += match (word, next, port) {
            ("type", Some("ipip"), _) => {
                tunnel.kind = TunnelKind::Ipip;
                2
            }
            ("type", Some("gue"), _) => {
                tunnel.kind = TunnelKind::Gue;
                2
            }
            ("type", Some("gre"), _) => {
                tunnel.kind = TunnelKind::Gre;
                2
            }
            ("port", _, Some(port)) => {
                tunnel.port = port;
                2
            }
            ("nocsum", ..) => {
                tunnel.checksum = TunnelChecksum::None;
                1
            }
            ("csum", ..) => {
                tunnel.checksum = TunnelChecksum::Full;
                1
            }
            ("remcsum", ..) => {
                tunnel.checksum = TunnelChecksum::Remote;
                1
            }
            _ => {
                let help = "write TUN type ipip, TUN type gre csum or TUN type gue port 5555 remcsum";
                notes.error(item.place_of(n), format!("`{word}` says nothing about a tunnel here"), help);
                return None;
            }
        };
    }
    let wrong = match (tunnel.kind, tunnel.port, tunnel.checksum) {
        (TunnelKind::Gue, 0, _) => {
            Some(("gue needs the server's port", "for example TUN type gue port 5555"))
        }
        (TunnelKind::Ipip | TunnelKind::Gre, 1.., _) => Some(("only gue has a port", "leave it out")),
        (TunnelKind::Ipip, _, TunnelChecksum::Full | TunnelChecksum::Remote) => {
            Some(("ipip has no checksum", "leave it out, or take gre or gue"))
        }
        (TunnelKind::Gre, _, TunnelChecksum::Remote) => {
            Some(("gre has no remote checksum", "write csum, or take gue"))
        }
        _ => None,
    };
    match wrong {
        Some((text, help)) => {
            notes.error(item.place(), text, help);
            None
        }
        None => Some(tunnel),
    }
}
