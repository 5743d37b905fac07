//! Collects the facts: reads the host, asks the engine, sends a few packets.

mod engine;
mod fronts;
mod probes;
mod real;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use control::api::{Blocking, ClientError};
use control::config::Port;
use control::source::Source;
use netio::survey::{self, Survey};

use super::Subject;
use super::facts::Facts;

/// From one look at counters to the next: whoever sends now does so twice in it.
const BETWEEN: Duration = Duration::from_millis(1200);

/// What facts are worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Somebody goes by what comes of these.
    pub(super) packets: Packets,
    /// None is to be sent all the same.
    pub(super) passive: bool,
    /// Somebody goes by what changes meanwhile.
    pub(super) time: bool,
}

/// Packets that are worth sending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packets {
    pub(super) arp: bool,
    pub(super) pings: bool,
    /// Those, and whatever else there is.
    pub(super) all: bool,
}

impl Packets {
    const fn any(self) -> bool {
        self.arp || self.pings || self.all
    }
}

/// Collects them.
///
/// # Errors
/// There is nothing to look at.
pub(super) fn gather(subject: &Subject, state_dir: &Path, effort: Effort) -> Result<Facts, String> {
    let mut facts = Facts::default();
    let mut began = Instant::now();
    let mut engine = match subject {
        Subject::Running => running(&mut facts, state_dir)?,
        Subject::Config(source) => {
            configured(&mut facts, source)?;
            None
        }
        Subject::Real => None,
    };
    facts.counters[0] = survey::counters();
    facts.left_behind = if facts.engine.is_none() { survey::note(state_dir) } else { None };
    host(&mut facts);
    if matches!(subject, Subject::Real) {
        real::look(&mut facts, state_dir);
        facts.counters[1] = facts.counters[0].clone();
        return Ok(facts);
    }
    if let Some(engine) = &mut engine {
        engine::connections(&mut facts, engine);
    }
    if effort.packets.any() && effort.passive {
        facts
            .unseen
            .push("whatever takes a packet to find out (--passive): servers, ways back, ARP".to_owned());
    } else if effort.packets.any() && !facts.services.is_empty() {
        facts.probes = Some(probes::ask(&mut facts, effort.packets));
    }
    if let Some(engine) = &mut engine {
        if effort.time && facts.probes.is_some() {
            // The kernel resets what answers to questions that it has not asked: that is not somebody else's doing.
            engine::anew(&mut facts, engine);
            began = Instant::now();
        }
        if effort.time {
            std::thread::sleep(BETWEEN.saturating_sub(began.elapsed()));
        }
        engine::later(&mut facts, engine);
    }
    facts.counters[1] = survey::counters();
    Ok(facts)
}

/// None where one was killed: what it has left is to be told of.
fn running(facts: &mut Facts, state_dir: &Path) -> Result<Option<Blocking>, String> {
    let mut client = match Blocking::connect() {
        Ok(client) => client,
        Err(ClientError::NoEngine) if survey::note(state_dir).is_some() => return Ok(None),
        Err(ClientError::NoEngine) => return Err(NO_ENGINE.to_owned()),
        Err(other) => return Err(other.to_string()),
    };
    engine::ask(facts, &mut client).map_err(|error| error.to_string())?;
    Ok(Some(client))
}

const NO_ENGINE: &str = "no engine is running in this network namespace: start one with `ulvs run --detach`, or look at \
                         services before one has them with `ulvs doctor --config FILE`, or at a real server with `ulvs \
                         doctor --real`";

fn configured(facts: &mut Facts, source: &Source) -> Result<(), String> {
    let config = source.load()?.config;
    facts.services = config.services().to_vec();
    facts.marks = config.marks().to_vec();
    facts.interfaces = if config.engine.port == Port::Tun { Vec::new() } else { config.engine.interfaces };
    facts.tls = fronts::of_specs(&facts.services);
    facts.config = Some(source.path().to_owned());
    if let Ok(mut client) = Blocking::connect()
        && let Ok(status) = client.status()
    {
        facts.unseen.push(format!(
            "an engine is running here (pid {}): what it does is not what this file says until it has read it",
            status.pid
        ));
    }
    Ok(())
}

/// What can be read of the host.
fn host(facts: &mut Facts) {
    match Survey::take() {
        Ok(host) => facts.host = host,
        Err(error) => facts.unseen.push(format!("links, addresses and rules of this host: {error}")),
    }
    match survey::chains() {
        Ok(chains) => facts.chains = chains,
        Err(error) => {
            facts.unseen.push(format!("the chains of nftables ({error}): it needs CAP_NET_ADMIN (root)"))
        }
    }
    let legacy = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if !legacy.trim().is_empty() {
        facts.unseen.push("rules of iptables-legacy: look with `iptables-legacy -S FORWARD`".to_owned());
    }
    facts.listeners = survey::listeners();
    if facts.listeners.iter().any(|listener| listener.owner.is_none()) {
        // Not even root sees the processes of others' PID namespaces.
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let why =
            if is_root { "they are the kernel's, or of another PID namespace" } else { "it needs root" };
        facts.unseen.push(format!("which programs some of the listening sockets belong to: {why}"));
    }
    facts.ipvs = survey::ipvs();
    facts.names = names(&std::fs::read_to_string("/etc/hosts").unwrap_or_default());
    facts.sysctls_fixed = !survey::is_writable("net.ipv4.ip_forward");
    let devices = facts.host.links.iter().map(|link| link.name.replace('.', "/"));
    let devices: Vec<_> = ["all".to_owned(), "default".to_owned()].into_iter().chain(devices).collect();
    let of = |device: &String| {
        let keys = ["rp_filter", "forwarding", "proxy_arp", "arp_ignore", "arp_announce"];
        keys.map(|key| format!("net.ipv4.conf.{device}.{key}"))
    };
    let names = devices.iter().flat_map(of);
    let more = [
        "net.ipv4.ip_forward",
        "net.ipv6.conf.all.forwarding",
        "net.netfilter.nf_conntrack_count",
        "net.netfilter.nf_conntrack_max",
    ];
    let more = more.map(str::to_owned);
    let read = |name: String| survey::sysctl(&name).map(|value| (name, value));
    facts.sysctls = names.chain(more).filter_map(read).collect();
    let servers = facts.services.iter().flat_map(|s| &s.dests).map(|dest| dest.addr.ip());
    let way = |ip| (ip, survey::way(ip).map_err(|error| error.to_string()));
    facts.ways = servers.map(way).collect();
}

/// What a file like `/etc/hosts` calls addresses, as far as that may be the name of a site.
fn names(text: &str) -> BTreeMap<IpAddr, Vec<String>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse) else { continue };
        all.entry(ip).or_default().extend(words.filter(|word| word.contains('.')).map(str::to_lowercase));
    }
    all.retain(|_, names| !names.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_names_sites() {
        let text = "127.0.0.1 localhost\n# 10.0.0.1 no.example\n10.0.0.9\tWWW.example director #a.b\n10.0.0.9 b.example\nx y.z\n";
        let expected = ["www.example", "b.example"].map(str::to_owned).to_vec();
        assert_eq!(names(text), BTreeMap::from([("10.0.0.9".parse().unwrap(), expected)]));
    }
}
