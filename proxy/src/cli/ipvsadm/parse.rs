//! From words to a [`Request`]: what belongs together, what excludes what, in the order in which ipvsadm complains.

use control::api::Timeouts;
use sched::{SchedFlags, TunnelKind, algo};

use super::Failure;
use super::opts::Meaning;
use super::popt::{Item, Popt};
use super::request::{Method, Request};
use super::resolve::Resolve;
use super::rules::{Command, Kind, RULES};
use super::{address, set};

/// Understands a command line without the program's name. None at all is a list.
pub(super) fn parse(words: &[String], names: &dyn Resolve) -> Result<Request, Failure> {
    if words.is_empty() {
        return Ok(Request::new(Command::List));
    }
    let mut popt = Popt::new(words);
    let first = popt.next().map_err(|_| try_help())?.ok_or_else(try_help)?;
    let Meaning::Command(command) = first.entry.meaning else { return Err(try_help()) };
    let mut request = Request::new(command);
    match command {
        Command::Help | Command::Version => return Ok(request),
        Command::StartDaemon => which_daemon(&first, "illegal start-daemon parameter specified")?,
        Command::StopDaemon => which_daemon(&first, "illegal start_daemon specified")?,
        _ => {}
    }
    while let Some(item) = popt.next()? {
        take(&mut request, &item, names)?;
    }
    let mut strays = popt.strays.into_iter();
    if command == Command::Set {
        request.timeouts = timeouts(&mut strays)?;
    }
    if let Some(stray) = strays.next() {
        return Err(Failure::options(format!("unexpected argument {stray}")));
    }
    request.flags = flags(&request)?;
    check(&request)?;
    Ok(request)
}

fn which_daemon(item: &Item<'_>, otherwise: &str) -> Result<(), Failure> {
    match item.value {
        Some("master" | "backup") => Ok(()),
        _ => Err(Failure::options(otherwise)),
    }
}

/// Puts an option into the request.
fn take(request: &mut Request, item: &Item<'_>, names: &dyn Resolve) -> Result<(), Failure> {
    match &item.entry.meaning {
        Meaning::Command(_) => Err(Failure::options(format!("invalid option `{}'", item.word))),
        Meaning::Sets(kind, set) => {
            if request.has(*kind) {
                return Err(Failure::options(format!("multiple '{}' options specified", kind.name())));
            }
            request.said.push(*kind);
            set(request, item.value, names)
        }
        Meaning::Ipv6 => set::ipv6(request),
        Meaning::Nothing => Ok(()),
    }
}

/// What follows `--set`.
fn timeouts<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Timeouts, Failure> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (words.next(), words.next(), words.next()) else {
        return Err(Failure::options("--set option requires 3 timeout values"));
    };
    let [tcp, tcp_fin, udp] = [set::seconds(tcp, 0)?, set::seconds(tcp_fin, 0)?, set::seconds(udp, 0)?];
    Ok(Timeouts { tcp, tcp_fin, udp })
}

/// What the names behind `-b` are to the scheduler behind `-s`.
fn flags(request: &Request) -> Result<SchedFlags, Failure> {
    const PLAIN: [(&str, SchedFlags); 3] =
        [("flag-1", SchedFlags::ONE), ("flag-2", SchedFlags::TWO), ("flag-3", SchedFlags::THREE)];
    let own = request.scheduler.as_deref().and_then(algo::find).map_or(&[][..], |a| a.flags);
    let mut flags = SchedFlags::default();
    for name in request.flag_names.split(',').filter(|name| !name.is_empty()) {
        let among = |known: &[(&str, SchedFlags)]| known.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
        flags = flags
            | among(&PLAIN).or_else(|| among(own)).ok_or_else(|| {
                let elsewhere = algo::ALL.iter().any(|a| among(a.flags).is_some());
                let what = if elsewhere { "incompatible" } else { "invalid" };
                Failure::options(format!("{what} scheduler flag `{name}'"))
            })?;
    }
    Ok(flags)
}

fn check(request: &Request) -> Result<(), Failure> {
    let command = request.command;
    for rule in RULES {
        let said = request.has(rule.kind);
        let needed = rule.needed.contains(&command);
        let (option, name) = (rule.kind.name(), command.name());
        if needed && !said {
            return Err(Failure::options(format!(
                "You need to supply the '{option}' option for the '{name}' command"
            )));
        }
        if said && !needed && !rule.allowed.contains(&command) {
            return Err(Failure::options(format!("Illegal '{option}' option with the '{name}' command")));
        }
    }
    match command {
        Command::List => check_list(request),
        Command::Add | Command::Edit => check_service(request),
        Command::AddServer | Command::EditServer => check_server(request),
        _ => Ok(()),
    }
}

/// A list is of one thing, and only services have formats.
fn check_list(request: &Request) -> Result<(), Failure> {
    const EXCLUDE_EACH_OTHER: [(Kind, Kind); 6] = [
        (Kind::ServiceAddress, Kind::Connection),
        (Kind::Timeout, Kind::Connection),
        (Kind::Timeout, Kind::ServiceAddress),
        (Kind::Daemon, Kind::Connection),
        (Kind::Daemon, Kind::ServiceAddress),
        (Kind::Daemon, Kind::Timeout),
    ];
    for (one, other) in EXCLUDE_EACH_OTHER {
        if request.has(one) && request.has(other) {
            let (one, other) = (one.name(), other.name());
            return Err(Failure::options(format!(
                "The option '{one}' conflicts with the '{other}' option in the 'list' command"
            )));
        }
    }
    let any = |kinds: &[Kind]| kinds.iter().any(|k| request.has(*k));
    let formatted = any(&[Kind::Stats, Kind::Rate, Kind::Thresholds]);
    let bare = any(&[Kind::Timeout, Kind::Daemon]);
    if formatted && (bare || request.has(Kind::Connection)) || bare && request.has(Kind::PersistentConn) {
        return Err(Failure::options("options conflicts in the list command"));
    }
    Ok(())
}

fn check_service(request: &Request) -> Result<(), Failure> {
    let Some(key) = request.service else { return Ok(()) };
    if request.has(Kind::Netmask) {
        address::netmask(&request.netmask, key.family())?;
    }
    if let sched::ServiceKey::Addr { proto, l4_port, .. } = key {
        if l4_port == 0 && !request.has(Kind::Persistent) {
            return Err(Failure::options("Zero port specified for non-persistent service"));
        }
        if request.has(Kind::Ops) && proto != sched::Proto::Udp {
            return Err(Failure::options("One-Packet Scheduling is only for UDP virtual services"));
        }
    }
    Ok(())
}

fn check_server(request: &Request) -> Result<(), Failure> {
    let (Some(key), Some(server)) = (request.service, request.server) else { return Ok(()) };
    if request.method == Method::Tunnel {
        return check_tunnel(request);
    }
    if key.family() != server.ip.into() {
        return Err(Failure::options("Different address family is allowed only for tunneling servers"));
    }
    if TUNNEL.iter().any(|kind| request.has(*kind)) || request.has(Kind::TunType) {
        return Err(Failure::options("Tunnel options conflict with forward method"));
    }
    Ok(())
}

/// What the kinds of tunnels take of, in this order.
const TUNNEL: [Kind; 4] = [Kind::TunPort, Kind::TunNocsum, Kind::TunCsum, Kind::TunRemcsum];

fn check_tunnel(request: &Request) -> Result<(), Failure> {
    let (name, takes): (_, &[Kind]) = match request.tunnel {
        TunnelKind::Ipip => ("ipip", &[]),
        TunnelKind::Gue => ("gue", &TUNNEL),
        TunnelKind::Gre => ("gre", &[Kind::TunNocsum, Kind::TunCsum]),
    };
    if request.tunnel == TunnelKind::Gue && !request.has(Kind::TunPort) {
        return Err(Failure::options(format!(
            "You need to supply the 'tun-port' option for the '{name}' tunnel type"
        )));
    }
    if let Some(kind) = TUNNEL.iter().find(|kind| request.has(**kind) && !takes.contains(kind)) {
        return Err(Failure::options(format!(
            "Illegal '{}' option with the '{name}' tunnel type",
            kind.name()
        )));
    }
    let mut checksums = TUNNEL[1..].iter().filter(|kind| request.has(**kind));
    if let (Some(one), Some(other)) = (checksums.next(), checksums.next()) {
        let (one, other) = (one.name(), other.name());
        return Err(Failure::options(format!(
            "The option '{other}' conflicts with the '{one}' option in the '{name}' tunnel type"
        )));
    }
    Ok(())
}

pub(super) fn try_help() -> Failure {
    Failure::refused("Try `ipvsadm -h' or 'ipvsadm --help' for more information.")
}
