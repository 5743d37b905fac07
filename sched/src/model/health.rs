//! How a service finds out which of its servers are alive, and what it does about those that are not.
//!
//! Times are milliseconds where a check is concerned: several in a second are wanted.

mod check;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::dest::{DestKey, DestSpec, Weight};

pub use check::{
    BodyTest, Check, CheckKind, DnsRecord, ExecCheck, FileCheck, GrpcCheck, HttpCheck, HttpUrl, HttpVersion,
    TlsCheck, UdpCheck, Via, Window,
};

/// The health of a service's servers: what they are asked, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// What every server is asked.
    pub checks: Vec<Check>,
    /// What single servers are asked in place of that; with an empty list, nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<DestKey, Vec<Check>>,
    /// How many of a server's checks have to succeed.
    pub need: Need,
    /// Judges servers by what clients' connections meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<Passive>,
    /// What a server is taken for until its checks have spoken.
    pub initially: Initially,
    /// A dead server stays, with weight 0 (keepalived's `inhibit_on_failure`), rather than being taken out.
    pub inhibit: bool,
    /// What becomes of the connections of a dead server.
    pub on_down: OnDown,
    /// Serves while the others cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sorry: Option<DestSpec>,
    /// The sorry server stays listed with weight 0 while it is not needed (keepalived's `sorry_server_inhibit`).
    pub sorry_inhibit: bool,
    /// Sum of the weights of live servers that the service needs. Default 1.
    pub quorum: u32,
    /// The service goes down below `quorum - hysteresis` and comes up at `quorum + hysteresis`.
    pub hysteresis: u32,
    /// Per cent of dead servers from which on no check is believed and all servers are used; 0: never.
    pub panic: u8,
    /// Keeps a server out that goes up and down all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damping: Option<Damping>,
    /// Commands that are told.
    #[serde(skip_serializing_if = "Notify::is_empty")]
    pub notify: Notify,
}

/// How many of a server's checks have to succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Every one.
    #[default]
    All,
    /// One is enough.
    Any,
}

/// What a server is taken for until its checks have spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initially {
    /// Alive: traffic flows from the first moment.
    #[default]
    Up,
    /// Dead, until each of its checks has succeeded once (keepalived's `alpha`).
    Down,
}

/// What becomes of the connections of a server that has died, or of the sorry server once it is not needed any more. Those that are not kept are gone at once: a datagram that
/// comes next is scheduled anew, and so is the SYN of a handshake that was not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDown {
    /// Both ends of a TCP connection are told by a reset; all else is moved.
    #[default]
    Reset,
    /// All are forgotten in silence: whatever comes next goes to another server. UDP likes that; TCP that was established
    /// is reset once its client goes on, by us, or with `sloppy_tcp` by a server that does not know it.
    Move,
    /// TCP and SCTP stay, perhaps the server comes back; UDP is moved.
    Keep,
}

/// Judges servers by what clients' connections meet: SYNs that were not answered, or answered by a reset; datagrams that
/// found nobody (ICMP).
///
/// Only servers whose answers come back through us (NAT, FullNAT, TLS fronts) are judged. With DR and tunnels a SYN that
/// comes again may be one whose client's address was forged, and an ICMP error about a tunnel too: both are counted and
/// shown, but would let anybody take every server out. There a check has to ask, best `via = "vip"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Passive {
    /// Failures in a row, with no connection established between them, from which on the server is dead.
    pub fall: u32,
    /// For how long it is left alone at first, in milliseconds; twice as long each time it fails again at once.
    pub hold: u32,
    /// The longest that it is left alone, in milliseconds.
    pub max_hold: u32,
}

impl Default for Passive {
    fn default() -> Self {
        Self { fall: 3, hold: 5_000, max_hold: 300_000 }
    }
}

/// Keeps a server out that goes up and down all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damping {
    /// So many falls ...
    pub flaps: u32,
    /// ... within so many milliseconds ...
    pub within: u32,
    /// ... and it stays down for so many milliseconds, whatever its checks say.
    pub hold: u32,
}

/// A command that is told something; the facts are in its environment. A word for it alone is its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NotifyWords", into = "NotifyWords")]
pub struct NotifyCommand {
    /// Words separated by blanks, but for those in quotes; no shell is involved.
    pub line: String,
    /// Who runs it, `USER` or `USER:GROUP`; without, who runs all of the service's.
    pub user: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NotifyWords {
    Line(String),
    Of {
        command: String,
        #[serde(default)]
        user: Option<String>,
    },
}

impl From<NotifyWords> for NotifyCommand {
    fn from(words: NotifyWords) -> Self {
        match words {
            NotifyWords::Line(line) => Self { line, user: None },
            NotifyWords::Of { command, user } => Self { line: command, user },
        }
    }
}

impl From<NotifyCommand> for NotifyWords {
    fn from(command: NotifyCommand) -> Self {
        match command {
            NotifyCommand { line, user: None } => Self::Line(line),
            NotifyCommand { line, user } => Self::Of { command: line, user },
        }
    }
}

impl From<String> for NotifyCommand {
    fn from(line: String) -> Self {
        Self { line, user: None }
    }
}

impl From<&str> for NotifyCommand {
    fn from(line: &str) -> Self {
        line.to_owned().into()
    }
}

/// Commands that are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notify {
    /// Of any server that has come up or died; not of soft states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<NotifyCommand>,
    /// Of any server that has come up; by server, those that have a command of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<NotifyCommand>,
    /// Of any server that has died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<NotifyCommand>,
    /// Of single servers, in addition: `up` and `down`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<DestKey, [Option<NotifyCommand>; 2]>,
    /// The service has its quorum again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum_up: Option<NotifyCommand>,
    /// The service has lost its quorum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum_down: Option<NotifyCommand>,
    /// Who runs those that do not say it, `USER` or `USER:GROUP`; without, whoever we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// At the end `down` and `quorum_down` are told too, of live servers and services with a quorum (keepalived's `omega`);
    /// `change` is not.
    pub at_stop: bool,
}

impl Notify {
    /// Nobody is told.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            checks: Vec::new(),
            own: BTreeMap::new(),
            need: Need::default(),
            passive: None,
            initially: Initially::default(),
            inhibit: false,
            on_down: OnDown::default(),
            sorry: None,
            sorry_inhibit: false,
            quorum: 1,
            hysteresis: 0,
            panic: 0,
            damping: None,
            notify: Notify::default(),
        }
    }
}

impl Health {
    /// What this server is asked.
    pub fn checks_of(&self, server: &DestKey) -> &[Check] {
        self.own.get(server).unwrap_or(&self.checks)
    }

    /// Whether its numbers can be meant: there is a quorum, which can be lost; per cent are such; and every window can be
    /// filled with the failures that it asks for.
    pub fn is_sound(&self) -> bool {
        let mut windows =
            self.checks.iter().chain(self.own.values().flatten()).filter_map(|check| check.window);
        let fits = |w: Window| (1..=w.of).contains(&w.failures) && w.of <= Window::MAX;
        self.hysteresis < self.quorum && self.panic <= 100 && windows.all(fits)
    }

    /// The files that it names, to be made absolute.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.checks.iter_mut().chain(self.own.values_mut().flatten()).flat_map(Check::paths_mut)
    }
}

/// What the control plane makes of a server, beside what is configured: it may be taken out, or have another weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fitness {
    /// Whether it takes part.
    #[serde(default)]
    pub share: Share,
    /// The weight that it has in place of the configured one (a check may say so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
}

/// Whether a server takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// As it is configured.
    #[default]
    In,
    /// With weight 0: listed, and clients who come back to it do, unless it is dead: those are scheduled anew like all
    /// others, since what remembers them (persistence) gives way.
    Inhibited,
    /// Not for schedulers, nor in the listing of `ipvsadm`.
    Out,
}
