//! Every command and every option of ipvsadm 1.31, one entry each.

use sched::{Proto, Weight};

use super::Failure;
use super::address;
use super::request::{Request, Server};
use super::resolve::Resolve;

/// What ipvsadm is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Edit,
    Delete,
    AddServer,
    EditServer,
    DeleteServer,
    Flush,
    List,
    Zero,
    Save,
    Restore,
    Help,
    Version,
}

impl Command {
    /// As messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Add => "add-service",
            Self::Edit => "edit-service",
            Self::Delete => "delete-service",
            Self::AddServer => "add-server",
            Self::EditServer => "edit-server",
            Self::DeleteServer => "delete-server",
            Self::Flush => "flush",
            Self::List => "list",
            Self::Zero => "zero",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Help => "help",
            Self::Version => "version",
        }
    }
}

/// What an option is about. Several options may be about the same thing (`-t`, `-u`); it may be said once.
///
/// The order is the order in which ipvsadm complains about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Numeric,
    Connection,
    ServiceAddress,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    ForwardingMethod,
    Weight,
    UThreshold,
    LThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    Syncid,
    Exact,
    Ops,
    Pe,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

/// How a [`Kind`] goes with the commands.
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// As messages call it.
    pub(super) name: &'static str,
    /// Commands that cannot do without it.
    pub(super) needed: &'static [Command],
    /// Other commands that take it.
    pub(super) allowed: &'static [Command],
}

const SERVICE: &[Command] = &[Command::Add, Command::Edit];
const SERVER: &[Command] = &[Command::AddServer, Command::EditServer];
const LIST: &[Command] = &[Command::List];
const NONE: &[Command] = &[];

/// Which command takes what, in the order of [`Kind`].
pub(super) const RULES: &[Rule] = &[
    rule(Kind::Numeric, "numeric", NONE, &[Command::List, Command::Save]),
    rule(Kind::Connection, "connection", NONE, LIST),
    rule(
        Kind::ServiceAddress,
        "service-address",
        &[
            Command::Add,
            Command::Edit,
            Command::Delete,
            Command::AddServer,
            Command::EditServer,
            Command::DeleteServer,
        ],
        &[Command::List, Command::Zero],
    ),
    rule(Kind::Scheduler, "scheduler", NONE, SERVICE),
    rule(Kind::Persistent, "persistent", NONE, SERVICE),
    rule(Kind::Netmask, "netmask", NONE, SERVICE),
    rule(
        Kind::RealServer,
        "real-server",
        &[Command::AddServer, Command::EditServer, Command::DeleteServer],
        NONE,
    ),
    rule(Kind::ForwardingMethod, "forwarding-method", NONE, SERVER),
    rule(Kind::Weight, "weight", NONE, SERVER),
    rule(Kind::UThreshold, "u-threshold", NONE, SERVER),
    rule(Kind::LThreshold, "l-threshold", NONE, SERVER),
    rule(Kind::McastInterface, "mcast-interface", NONE, NONE),
    rule(Kind::Timeout, "timeout", NONE, LIST),
    rule(Kind::Daemon, "daemon", NONE, LIST),
    rule(Kind::Stats, "stats", NONE, LIST),
    rule(Kind::Rate, "rate", NONE, LIST),
    rule(Kind::Thresholds, "thresholds", NONE, LIST),
    rule(Kind::PersistentConn, "persistent-conn", NONE, LIST),
    rule(Kind::NoSort, "nosort", NONE, LIST),
    rule(Kind::Syncid, "syncid", NONE, LIST),
    rule(Kind::Exact, "exact", NONE, LIST),
    rule(Kind::Ops, "ops", NONE, SERVICE),
    rule(Kind::Pe, "pe", NONE, SERVICE),
    rule(Kind::McastGroup, "mcast-group", NONE, NONE),
    rule(Kind::McastPort, "mcast-port", NONE, NONE),
    rule(Kind::McastTtl, "mcast-ttl", NONE, NONE),
    rule(Kind::SyncMaxlen, "sync-maxlen", NONE, NONE),
    rule(Kind::TunInfo, "tun-info", NONE, LIST),
    rule(Kind::TunType, "tun-type", NONE, SERVER),
    rule(Kind::TunPort, "tun-port", NONE, SERVER),
    rule(Kind::TunNocsum, "tun-nocsum", NONE, SERVER),
    rule(Kind::TunCsum, "tun-csum", NONE, SERVER),
    rule(Kind::TunRemcsum, "tun-remcsum", NONE, SERVER),
];

const fn rule(
    kind: Kind,
    name: &'static str,
    needed: &'static [Command],
    allowed: &'static [Command],
) -> Rule {
    Rule { kind, name, needed, allowed }
}

/// A word that begins with `-`.
pub(super) struct Entry {
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) value: Value,
    pub(super) meaning: Meaning,
    pub(super) help: &'static str,
}

/// Whether a value follows, and what to call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag,
    Needs(&'static str),
    May(&'static str),
}

/// What an [`Entry`] does.
pub(super) enum Meaning {
    Command(Command),
    /// Changes the request.
    Sets(Kind, fn(&mut Request, &str, &dyn Resolve) -> Result<(), Failure>),
    /// Stock ipvsadm has it, this version does not; the text completes "this version of ulvs has no …".
    Later(Option<Kind>, &'static str),
    /// As [`Meaning::Later`], and it is a command.
    LaterCommand(&'static str),
    /// `-6`: as [`Meaning::Later`], but only after `-f`.
    LaterAfterMark(&'static str),
    /// Stock ipvsadm takes it anywhere and does nothing.
    Nothing,
}

use Meaning::{Later, LaterAfterMark, LaterCommand, Nothing, Sets};
use Value::{Flag, May, Needs};

/// All of them, in the order of the help text.
pub(super) const ENTRIES: &[Entry] = &[
    command('A', "add-service", Command::Add, "add a service"),
    command('E', "edit-service", Command::Edit, "replace the settings of a service"),
    command('D', "delete-service", Command::Delete, "remove a service"),
    command('a', "add-server", Command::AddServer, "add a real server to a service"),
    command('e', "edit-server", Command::EditServer, "replace the settings of a real server"),
    command('d', "delete-server", Command::DeleteServer, "remove a real server"),
    command('C', "clear", Command::Flush, "remove everything"),
    command('L', "list", Command::List, "print the table, or one service"),
    command('l', "list", Command::List, "the same"),
    command('Z', "zero", Command::Zero, "set the counters of all services, or of one, to zero"),
    command('S', "save", Command::Save, "print commands that make the table"),
    command('R', "restore", Command::Restore, "read such commands from stdin"),
    command('h', "help", Command::Help, "print this"),
    command('v', "version", Command::Version, "print the version"),
    later_command("set", "way to change timeouts"),
    later_command("start-daemon", SYNC),
    later_command("stop-daemon", SYNC),
    entry(Some('t'), "tcp-service", Needs("host:port"), Sets(Kind::ServiceAddress, tcp), "a TCP service"),
    entry(Some('u'), "udp-service", Needs("host:port"), Sets(Kind::ServiceAddress, udp), "a UDP service"),
    later(None, "sctp-service", Needs("host:port"), Some(Kind::ServiceAddress), "SCTP"),
    later(Some('f'), "fwmark-service", Needs("mark"), Some(Kind::ServiceAddress), MARKS),
    Entry { short: Some('6'), long: "ipv6", value: Flag, meaning: LaterAfterMark(MARKS), help: "" },
    entry(Some('s'), "scheduler", Needs("name"), Sets(Kind::Scheduler, scheduler), "how it chooses"),
    later(Some('p'), "persistent", May("seconds"), Some(Kind::Persistent), PERSISTENCE),
    later(Some('M'), "netmask", Needs("mask"), Some(Kind::Netmask), PERSISTENCE),
    later(None, "pe", Needs("name"), Some(Kind::Pe), PERSISTENCE),
    later(Some('o'), "ops", Flag, Some(Kind::Ops), "one-packet scheduling"),
    later(Some('b'), "sched-flags", Needs("flags"), None, "scheduler flags"),
    entry(Some('r'), "real-server", Needs("host:port"), Sets(Kind::RealServer, server), "a real server"),
    entry(Some('m'), "masquerading", Flag, Sets(Kind::ForwardingMethod, flag), "forward by NAT"),
    later(Some('g'), "gatewaying", Flag, Some(Kind::ForwardingMethod), "direct routing (-m is NAT)"),
    later(Some('i'), "ipip", Flag, Some(Kind::ForwardingMethod), TUNNELS),
    later(None, "tun-type", Needs("type"), Some(Kind::TunType), TUNNELS),
    later(None, "tun-port", Needs("port"), Some(Kind::TunPort), TUNNELS),
    later(None, "tun-nocsum", Flag, Some(Kind::TunNocsum), TUNNELS),
    later(None, "tun-csum", Flag, Some(Kind::TunCsum), TUNNELS),
    later(None, "tun-remcsum", Flag, Some(Kind::TunRemcsum), TUNNELS),
    entry(
        Some('w'),
        "weight",
        Needs("number"),
        Sets(Kind::Weight, weight),
        "its share; 0 takes no new connections",
    ),
    later(Some('x'), "u-threshold", Needs("number"), Some(Kind::UThreshold), THRESHOLDS),
    later(Some('y'), "l-threshold", Needs("number"), Some(Kind::LThreshold), THRESHOLDS),
    entry(Some('n'), "numeric", Flag, Sets(Kind::Numeric, flag), "addresses and ports as numbers"),
    entry(Some('c'), "connection", Flag, Sets(Kind::Connection, flag), "list the connections"),
    entry(None, "stats", Flag, Sets(Kind::Stats, flag), "list the counters"),
    entry(Some('X'), "exact", Flag, Sets(Kind::Exact, flag), "counters in full"),
    entry(None, "timeout", Flag, Sets(Kind::Timeout, flag), "list the timeouts"),
    // Sorted is one of the orders that unsorted may have.
    entry(None, "nosort", Flag, Sets(Kind::NoSort, flag), "list in any order"),
    Entry { short: None, long: "sort", value: Flag, meaning: Nothing, help: "list sorted, as always" },
    later(None, "rate", Flag, Some(Kind::Rate), "rates"),
    later(None, "thresholds", Flag, Some(Kind::Thresholds), THRESHOLDS),
    later(None, "persistent-conn", Flag, Some(Kind::PersistentConn), PERSISTENCE),
    later(None, "tun-info", Flag, Some(Kind::TunInfo), TUNNELS),
    later(None, "daemon", Flag, Some(Kind::Daemon), SYNC),
    later(None, "syncid", Needs("number"), Some(Kind::Syncid), SYNC),
    later(None, "sync-maxlen", Needs("bytes"), Some(Kind::SyncMaxlen), SYNC),
    later(None, "mcast-interface", Needs("device"), Some(Kind::McastInterface), SYNC),
    later(None, "mcast-group", Needs("address"), Some(Kind::McastGroup), SYNC),
    later(None, "mcast-port", Needs("port"), Some(Kind::McastPort), SYNC),
    later(None, "mcast-ttl", Needs("number"), Some(Kind::McastTtl), SYNC),
];

const MARKS: &str = "firewall-mark services";
const PERSISTENCE: &str = "persistence";
const TUNNELS: &str = "tunnels";
const THRESHOLDS: &str = "connection thresholds";
const SYNC: &str = "connection synchronisation";

const fn command(short: char, long: &'static str, command: Command, help: &'static str) -> Entry {
    Entry { short: Some(short), long, value: Flag, meaning: Meaning::Command(command), help }
}

const fn later(
    short: Option<char>,
    long: &'static str,
    value: Value,
    kind: Option<Kind>,
    what: &'static str,
) -> Entry {
    Entry { short, long, value, meaning: Later(kind, what), help: "" }
}

const fn later_command(long: &'static str, what: &'static str) -> Entry {
    Entry { short: None, long, value: Flag, meaning: LaterCommand(what), help: "" }
}

const fn entry(
    short: Option<char>,
    long: &'static str,
    value: Value,
    meaning: Meaning,
    help: &'static str,
) -> Entry {
    Entry { short, long, value, meaning, help }
}

/// It is enough that it was said.
fn flag(_: &mut Request, _: &str, _: &dyn Resolve) -> Result<(), Failure> {
    Ok(())
}

fn tcp(request: &mut Request, value: &str, names: &dyn Resolve) -> Result<(), Failure> {
    service(request, Proto::Tcp, value, names)
}

fn udp(request: &mut Request, value: &str, names: &dyn Resolve) -> Result<(), Failure> {
    service(request, Proto::Udp, value, names)
}

fn service(request: &mut Request, proto: Proto, value: &str, names: &dyn Resolve) -> Result<(), Failure> {
    let (ip, port) = address::parse(value, proto, names)
        .ok_or_else(|| Failure::options("illegal virtual server address[:port] specified"))?;
    request.service = Some((proto, ip, port.unwrap_or(0)));
    Ok(())
}

fn server(request: &mut Request, value: &str, names: &dyn Resolve) -> Result<(), Failure> {
    // A port's name may depend on the protocol. Before the service is known, TCP is the best guess.
    let proto = request.service.map_or(Proto::Tcp, |(proto, ..)| proto);
    let (ip, port) = address::parse(value, proto, names)
        .ok_or_else(|| Failure::options("illegal real server address[:port] specified"))?;
    request.server = Some(Server { ip, port });
    Ok(())
}

fn scheduler(request: &mut Request, value: &str, _: &dyn Resolve) -> Result<(), Failure> {
    request.scheduler = Some(value.to_owned());
    Ok(())
}

fn weight(request: &mut Request, value: &str, _: &dyn Resolve) -> Result<(), Failure> {
    let weight = address::number(value).and_then(|n| u32::try_from(n).ok()).map(Weight);
    let legal = weight.filter(|w| *w <= Weight::MAX);
    request.weight = legal.ok_or_else(|| Failure::options("illegal weight specified"))?;
    Ok(())
}
