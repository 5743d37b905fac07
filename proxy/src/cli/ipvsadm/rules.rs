//! Commands, what options are about, and which command takes which.

/// What ipvsadm is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Edit,
    Delete,
    AddServer,
    EditServer,
    DeleteServer,
    AddLip,
    DelLip,
    ListLips,
    Flush,
    List,
    Zero,
    Save,
    Restore,
    Set,
    StartDaemon,
    StopDaemon,
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
            Self::AddLip => "add-laddr",
            Self::DelLip => "del-laddr",
            Self::ListLips => "get-laddr",
            Self::Flush => "flush",
            Self::List => "list",
            Self::Zero => "zero",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Set => "set",
            Self::StartDaemon => "start-daemon",
            Self::StopDaemon => "stop-daemon",
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
    SchedFlags,
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
    SlowStart,
    ProxyProtocol,
    Toa,
    Mss,
    LocalAddress,
    Ifname,
    Json,
}

impl Kind {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        RULES.iter().find(|r| r.kind == self).map_or("", |r| r.name)
    }
}

/// How a [`Kind`] goes with the commands.
pub(super) struct Rule {
    pub(super) kind: Kind,
    name: &'static str,
    /// Commands that cannot do without it.
    pub(super) needed: &'static [Command],
    /// Other commands that take it.
    pub(super) allowed: &'static [Command],
}

const SERVICE: &[Command] = &[Command::Add, Command::Edit];
const SERVER: &[Command] = &[Command::AddServer, Command::EditServer];
const ANY_SERVER: &[Command] = &[Command::AddServer, Command::EditServer, Command::DeleteServer];
const OF_SERVICE: &[Command] = &[
    Command::Add,
    Command::Edit,
    Command::Delete,
    Command::AddServer,
    Command::EditServer,
    Command::DeleteServer,
];
const MAY_BE_OF_SERVICE: &[Command] =
    &[Command::List, Command::Zero, Command::AddLip, Command::DelLip, Command::ListLips];
const LIP: &[Command] = &[Command::AddLip, Command::DelLip];
const LIST: &[Command] = &[Command::List];
const START: &[Command] = &[Command::StartDaemon];
const NONE: &[Command] = &[];

/// Which command takes what, in the order of [`Kind`].
pub(super) const RULES: &[Rule] = &[
    rule(Kind::Numeric, "numeric", NONE, &[Command::List, Command::ListLips, Command::Save]),
    rule(Kind::Connection, "connection", NONE, LIST),
    rule(Kind::ServiceAddress, "service-address", OF_SERVICE, MAY_BE_OF_SERVICE),
    rule(Kind::Scheduler, "scheduler", NONE, SERVICE),
    rule(Kind::Persistent, "persistent", NONE, SERVICE),
    rule(Kind::Netmask, "netmask", NONE, SERVICE),
    rule(Kind::RealServer, "real-server", ANY_SERVER, NONE),
    rule(Kind::ForwardingMethod, "forwarding-method", NONE, SERVER),
    rule(Kind::Weight, "weight", NONE, SERVER),
    rule(Kind::UThreshold, "u-threshold", NONE, SERVER),
    rule(Kind::LThreshold, "l-threshold", NONE, SERVER),
    rule(Kind::McastInterface, "mcast-interface", NONE, START),
    rule(Kind::Timeout, "timeout", NONE, LIST),
    rule(Kind::Daemon, "daemon", NONE, LIST),
    rule(Kind::Stats, "stats", NONE, LIST),
    rule(Kind::Rate, "rate", NONE, LIST),
    rule(Kind::Thresholds, "thresholds", NONE, LIST),
    rule(Kind::PersistentConn, "persistent-conn", NONE, LIST),
    rule(Kind::NoSort, "nosort", NONE, LIST),
    rule(Kind::Syncid, "syncid", NONE, &[Command::List, Command::StartDaemon, Command::StopDaemon]),
    rule(Kind::Exact, "exact", NONE, LIST),
    rule(Kind::Ops, "ops", NONE, SERVICE),
    rule(Kind::Pe, "pe", NONE, SERVICE),
    rule(Kind::SchedFlags, "sched-flags", NONE, SERVICE),
    rule(Kind::McastGroup, "mcast-group", NONE, START),
    rule(Kind::McastPort, "mcast-port", NONE, START),
    rule(Kind::McastTtl, "mcast-ttl", NONE, START),
    rule(Kind::SyncMaxlen, "sync-maxlen", NONE, START),
    rule(Kind::TunInfo, "tun-info", NONE, LIST),
    rule(Kind::TunType, "tun-type", NONE, SERVER),
    rule(Kind::TunPort, "tun-port", NONE, SERVER),
    rule(Kind::TunNocsum, "tun-nocsum", NONE, SERVER),
    rule(Kind::TunCsum, "tun-csum", NONE, SERVER),
    rule(Kind::TunRemcsum, "tun-remcsum", NONE, SERVER),
    rule(Kind::SlowStart, "slow-start", NONE, SERVER),
    rule(Kind::ProxyProtocol, "proxy-protocol", NONE, SERVICE),
    rule(Kind::Toa, "toa", NONE, SERVICE),
    rule(Kind::Mss, "mss", NONE, SERVICE),
    rule(Kind::LocalAddress, "local-address", LIP, NONE),
    rule(Kind::Ifname, "ifname", NONE, LIP),
    rule(Kind::Json, "json", NONE, &[Command::List, Command::ListLips]),
];

const fn rule(
    kind: Kind,
    name: &'static str,
    needed: &'static [Command],
    allowed: &'static [Command],
) -> Rule {
    Rule { kind, name, needed, allowed }
}
