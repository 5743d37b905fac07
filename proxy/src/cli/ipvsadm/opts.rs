//! Every command and every option: those of ipvsadm 1.31, and a few of our own. One entry each; what an option does to
//! the request is in [`set`].

use super::Failure;
use super::request::Request;
use super::resolve::Resolve;
use super::rules::{Command, Kind};
use super::set;

/// A word that begins with `-`.
pub(super) struct Entry {
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) value: Value,
    pub(super) meaning: Meaning,
    pub(super) section: Section,
    pub(super) help: &'static str,
}

/// Whether a value follows, and what to call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag,
    Needs(&'static str),
    May(&'static str),
}

/// Takes the value of an option, `None` where there is none, into the request.
pub(super) type Set = fn(&mut Request, Option<&str>, &dyn Resolve) -> Result<(), Failure>;

/// What an [`Entry`] does.
pub(super) enum Meaning {
    Command(Command),
    /// Says something about a kind of thing, which may be said once.
    Sets(Kind, Set),
    /// `-6`: says more about the mark that was given before it.
    Ipv6,
    /// Stock ipvsadm takes it anywhere and does nothing.
    Nothing,
}

/// Where the help text has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Commands,
    Service,
    Options,
    Daemon,
    Ours,
    /// Another name of the entry before.
    Nowhere,
}

use Kind as K;
use Section as S;
use Value::{Flag, May, Needs};

/// All of them, in the order of the help text.
pub(super) const ENTRIES: &[Entry] = &[
    command(Some('A'), "add-service", Command::Add, "add a service"),
    command(Some('E'), "edit-service", Command::Edit, "replace all settings of a service"),
    command(Some('D'), "delete-service", Command::Delete, "remove a service"),
    command(Some('C'), "clear", Command::Flush, "remove everything"),
    command(Some('R'), "restore", Command::Restore, "read commands from stdin, all or none"),
    command(Some('S'), "save", Command::Save, "print commands that make the table"),
    command(Some('a'), "add-server", Command::AddServer, "add a real server to a service"),
    command(Some('e'), "edit-server", Command::EditServer, "replace all settings of a real server"),
    command(Some('d'), "delete-server", Command::DeleteServer, "remove a real server"),
    ours(Some('P'), "add-laddr", Command::AddLip, "add a local address (LIP), for a service or for all"),
    ours(Some('Q'), "del-laddr", Command::DelLip, "remove one"),
    ours(Some('G'), "get-laddr", Command::ListLips, "print them"),
    command(Some('L'), "list", Command::List, "print the table, or one service"),
    Entry { section: S::Nowhere, ..command(Some('l'), "list", Command::List, "") },
    command(Some('Z'), "zero", Command::Zero, "set counters to zero, of all services or of one"),
    command(None, "set", Command::Set, "timeouts in seconds; 0 leaves one as it is"),
    daemon_command("start-daemon", Command::StartDaemon, "start the sync daemon (not yet)"),
    daemon_command("stop-daemon", Command::StopDaemon, "stop the sync daemon (not yet)"),
    command(Some('h'), "help", Command::Help, "print this"),
    command(Some('v'), "version", Command::Version, "print the version"),
    entry(S::Service, Some('t'), "tcp-service", Needs("host[:port]"), K::ServiceAddress, set::tcp, "TCP"),
    entry(S::Service, Some('u'), "udp-service", Needs("host[:port]"), K::ServiceAddress, set::udp, "UDP"),
    entry(S::Service, None, "sctp-service", Needs("host[:port]"), K::ServiceAddress, set::sctp, "SCTP"),
    entry(
        S::Service,
        Some('f'),
        "fwmark-service",
        Needs("mark"),
        K::ServiceAddress,
        set::mark,
        "packets with this mark, from 1; see `ulvs mark`",
    ),
    Entry {
        short: Some('6'),
        long: "ipv6",
        value: Flag,
        meaning: Meaning::Ipv6,
        section: S::Options,
        help: "behind -f: the mark's IPv6 packets",
    },
    option(Some('s'), "scheduler", Needs("scheduler"), K::Scheduler, set::scheduler, "how it chooses"),
    option(None, "pe", Needs("engine"), K::Pe, set::engine, "what tells clients apart: sip (its Call-ID)"),
    option(
        Some('p'),
        "persistent",
        May("seconds"),
        K::Persistent,
        set::persistent,
        "clients come back to their server; 360 if not said",
    ),
    option(
        Some('M'),
        "netmask",
        Needs("mask"),
        K::Netmask,
        set::netmask,
        "with -p, who is one client: 255.255.255.0, or 64 for IPv6",
    ),
    option(Some('r'), "real-server", Needs("host[:port]"), K::RealServer, set::server, "which server"),
    option(
        Some('g'),
        "gatewaying",
        Flag,
        K::ForwardingMethod,
        set::gatewaying,
        "direct routing; the default",
    ),
    option(Some('i'), "ipip", Flag, K::ForwardingMethod, set::tunnel, "tunnel"),
    option(Some('m'), "masquerading", Flag, K::ForwardingMethod, set::masquerading, "NAT"),
    option(
        None,
        "fullnat",
        Flag,
        K::ForwardingMethod,
        set::fullnat,
        "NAT of both addresses: servers need no way back past us (not in stock ipvsadm)",
    ),
    option(None, "tun-type", Needs("type"), K::TunType, set::tun_type, "ipip (the default), gue or gre"),
    option(None, "tun-port", Needs("port"), K::TunPort, set::tun_port, "UDP port of the tunnel's end (gue)"),
    option(None, "tun-nocsum", Flag, K::TunNocsum, set::said, "no checksum around (gue, gre); the default"),
    option(None, "tun-csum", Flag, K::TunCsum, set::said, "a checksum around (gue, gre)"),
    option(None, "tun-remcsum", Flag, K::TunRemcsum, set::said, "remote checksum (gue)"),
    option(Some('w'), "weight", Needs("weight"), K::Weight, set::weight, "its share; 0 takes nobody new"),
    option(
        Some('x'),
        "u-threshold",
        Needs("connections"),
        K::UThreshold,
        set::upper,
        "nobody new from here; 0 for no limit",
    ),
    option(
        Some('y'),
        "l-threshold",
        Needs("connections"),
        K::LThreshold,
        set::lower,
        "again below here; 0 for 3/4 of -x",
    ),
    option(Some('c'), "connection", Flag, K::Connection, set::said, "list the connections"),
    option(None, "timeout", Flag, K::Timeout, set::said, "list the timeouts"),
    option(None, "daemon", Flag, K::Daemon, set::said, "list the sync daemons"),
    option(None, "stats", Flag, K::Stats, set::said, "list the counters"),
    option(None, "rate", Flag, K::Rate, set::said, "list counts per second"),
    option(Some('X'), "exact", Flag, K::Exact, set::said, "numbers in full"),
    option(None, "thresholds", Flag, K::Thresholds, set::said, "list the thresholds"),
    option(
        None,
        "persistent-conn",
        Flag,
        K::PersistentConn,
        set::said,
        "list who comes back; with -c, by what engine",
    ),
    option(None, "tun-info", Flag, K::TunInfo, set::said, "list the kinds of tunnels"),
    // Sorted is one of the orders that unsorted may have.
    option(None, "nosort", Flag, K::NoSort, set::said, "list in any order"),
    Entry {
        short: None,
        long: "sort",
        value: Flag,
        meaning: Meaning::Nothing,
        section: S::Options,
        help: "list sorted, as always",
    },
    option(Some('o'), "ops", Flag, K::Ops, set::said, "schedule each packet by itself (UDP, marks)"),
    option(Some('n'), "numeric", Flag, K::Numeric, set::said, "addresses and ports as numbers"),
    option(
        Some('b'),
        "sched-flags",
        Needs("flags"),
        K::SchedFlags,
        set::sched_flags,
        "switches of the scheduler, with commas between",
    ),
    daemon("syncid", "number", K::Syncid, set::syncid, "only with its like, 0 to 255"),
    daemon("sync-maxlen", "bytes", K::SyncMaxlen, set::sync_maxlen, "longest message"),
    daemon("mcast-interface", "device", K::McastInterface, set::mcast_interface, "where it is sent"),
    daemon("mcast-group", "address", K::McastGroup, set::mcast_group, "to whom"),
    daemon("mcast-port", "port", K::McastPort, set::mcast_port, "UDP port"),
    daemon("mcast-ttl", "hops", K::McastTtl, set::mcast_ttl, "how far, 1 to 255"),
    entry(S::Ours, None, "json", Flag, K::Json, set::said, "with -L, in all its forms, and -G: for programs"),
    entry(
        S::Ours,
        None,
        "slow-start",
        Needs("seconds"),
        K::SlowStart,
        set::slow_start,
        "with -a and -e: how long it takes to reach its weight",
    ),
    entry(
        S::Ours,
        None,
        "proxy-protocol",
        Needs("version"),
        K::ProxyProtocol,
        set::proxy_protocol,
        "with -A and -E: tell servers the client's address, v1 or v2 (-m, --fullnat)",
    ),
    entry(
        S::Ours,
        None,
        "toa",
        Flag,
        K::Toa,
        set::toa,
        "with -A and -E: the same by TCP option 254, for DPVS's module",
    ),
    entry(
        S::Ours,
        None,
        "mss",
        Needs("bytes"),
        K::Mss,
        set::mss,
        "with -A and -E: largest TCP segments; auto for what fits the path to the server",
    ),
    entry(
        S::Ours,
        Some('z'),
        "local-address",
        Needs("address"),
        K::LocalAddress,
        set::local_address,
        "with -P and -Q: what servers behind --fullnat see",
    ),
    entry(
        S::Ours,
        Some('F'),
        "ifname",
        Needs("device"),
        K::Ifname,
        set::said,
        "with -P and -Q, as DPVS wants it: routing tells it here",
    ),
];

const fn command(short: Option<char>, long: &'static str, command: Command, help: &'static str) -> Entry {
    Entry { short, long, value: Flag, meaning: Meaning::Command(command), section: S::Commands, help }
}

const fn ours(short: Option<char>, long: &'static str, which: Command, help: &'static str) -> Entry {
    Entry { section: Section::Ours, ..command(short, long, which, help) }
}

const fn daemon_command(long: &'static str, which: Command, help: &'static str) -> Entry {
    Entry { value: Needs("master|backup"), ..command(None, long, which, help) }
}

const fn option(
    short: Option<char>,
    long: &'static str,
    value: Value,
    kind: Kind,
    set: Set,
    help: &'static str,
) -> Entry {
    entry(S::Options, short, long, value, kind, set, help)
}

const fn daemon(long: &'static str, value: &'static str, kind: Kind, set: Set, help: &'static str) -> Entry {
    entry(S::Daemon, None, long, Needs(value), kind, set, help)
}

const fn entry(
    section: Section,
    short: Option<char>,
    long: &'static str,
    value: Value,
    kind: Kind,
    set: Set,
    help: &'static str,
) -> Entry {
    Entry { short, long, value, meaning: Meaning::Sets(kind, set), section, help }
}
