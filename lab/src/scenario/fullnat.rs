//! FullNAT with a pool of local addresses: servers that know no way to the clients, and one port for many of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Scenario;
use crate::addr::Family;
use crate::client::{self, Connection};
use crate::serve::Http;
use crate::snapshot::Snapshot;
use crate::stage::{Stage, short};
use crate::topo::{NatLab, NatOptions};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fullnat",
    summary: "servers that know no way to the clients, behind a pool of two addresses",
    run,
};

/// Addresses of the servers' network that nobody has.
const LIPS: [&str; 2] = ["10.0.0.5", "10.0.0.6"];
const SERVERS: usize = 3;
/// As many ports as the demonstration of their end needs.
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_001;
const TRANSFER: u64 = 256 << 20;

fn run(stage: &mut Stage) -> anyhow::Result<()> {
    stage.step("Servers without a way back")?;
    stage.say(
        "The director stands between clients and servers. The servers know their own network and nothing else: their\n\
         default routes are taken away. Behind plain NAT they could not answer anybody:\n",
    )?;
    let options = NatOptions { servers: SERVERS, state_root: stage.state_root(), ..NatOptions::default() };
    let lab = NatLab::new(&options)?;
    for server in &lab.servers {
        server.exec(&["ip", "route", "del", "default"])?;
    }
    stage.say(&lab.to_string())?;
    let servers = lab.servers.iter().map(|server| Http::start(server, 80));
    let servers = servers.collect::<anyhow::Result<Vec<_>>>()?;
    let before = Snapshot::take(&lab.director)?;

    stage.step("FullNAT")?;
    stage.say(
        "With --fullnat the servers see an address and a port of ours, a LIP. Two LIPs are enough for a demonstration.\n\
         They are nobody's addresses: the balancer answers for them, as it does for the VIP. -P, -z and -G are the words\n\
         of DPVS; without -t a LIP is for all services:",
    )?;
    stage.ulvs(&lab.director, "run --detach")?;
    let vip = lab.vip.port(Family::V4, 80);
    stage.ulvs(&lab.director, &format!("ipvsadm -A -t {vip} -s rr"))?;
    for index in 0..SERVERS {
        let server = lab.server_port(index, Family::V4, 80);
        stage.ulvs(&lab.director, &format!("ipvsadm -a -t {vip} -r {server} --fullnat"))?;
    }
    for lip in LIPS {
        stage.ulvs(&lab.director, &format!("ipvsadm -P -z {lip}"))?;
    }
    requests(stage, &lab, vip)?;
    ports(stage, &lab, vip)?;

    stage.step("Put everything back")?;
    stage.ulvs(&lab.director, "stop")?;
    let changed = before.diff(&Snapshot::take(&lab.director)?);
    for line in &changed {
        stage.say(&format!("    {line}"))?;
    }
    stage.check("the director is as it was", changed.is_empty())?;
    drop(servers);
    Ok(())
}

/// Whom the server of a connection sees, and which server it is.
fn seen(connection: &mut Connection) -> anyhow::Result<(SocketAddr, String)> {
    let seen = connection.get("/whoami")?.body.trim().parse()?;
    Ok((seen, connection.get("/")?.body.trim().to_owned()))
}

fn requests(stage: &mut Stage, lab: &NatLab, vip: SocketAddr) -> anyhow::Result<()> {
    stage.step("Requests")?;
    stage.say(&format!(
        "The client, {}, connects fifteen times and asks whom the server sees:\n",
        lab.client_addr.v4
    ))?;
    let mut used = BTreeSet::new();
    for _ in 0..15 {
        let (peer, server) = seen(&mut Connection::open(&lab.client, vip)?)?;
        stage.say(&format!("  {server} sees {peer}"))?;
        used.insert(peer.ip());
    }
    let pool = LIPS.map(|lip| lip.parse::<IpAddr>());
    stage.say("")?;
    stage.check(
        "every LIP took part, and nothing else",
        pool.into_iter().collect::<Result<_, _>>() == Ok(used),
    )?;
    let result = stage
        .progress("received", TRANSFER, |progress| client::download(&lab.client, vip, TRANSFER, progress));
    let transfer = result?;
    let rate = transfer.gbit_per_s();
    stage.fact("transfer", serde_json::json!({ "bytes": transfer.bytes, "gbit_per_s": rate }));
    stage.check(&format!("256 MiB in {}: {rate:.1} Gbit/s, hashing included", short(transfer.elapsed)), true)
}

fn ports(stage: &mut Stage, lab: &NatLab, vip: SocketAddr) -> anyhow::Result<()> {
    stage.step("How far a port goes")?;
    let all = SERVERS * LIPS.len() * PORTS.count();
    stage.say(&format!(
        "A port is taken only towards one server. So with but two ports, two LIPs and three servers there can be {all}\n\
         connections at a time:"
    ))?;
    let (first, last) = (PORTS.start(), PORTS.end());
    stage.ulvs(&lab.director, &format!("sysctl ulvs.lip_port_first={first} ulvs.lip_port_last={last}"))?;
    let mut open = Vec::new();
    let mut used = BTreeSet::new();
    for _ in 0..all {
        let mut connection = Connection::open(&lab.client, vip)?;
        used.insert(seen(&mut connection)?);
        open.push(connection);
    }
    stage.ulvs(&lab.director, "ipvsadm -G")?;
    let peers: BTreeSet<_> = used.iter().map(|(peer, _)| peer).collect();
    stage.check(&format!("{all} connections are open"), used.len() == all)?;
    stage.check(
        &format!("they have {} addresses and ports", LIPS.len() * PORTS.count()),
        peers.len() == LIPS.len() * PORTS.count(),
    )?;
    stage.say("\nOne more has to wait until another ends, and the balancer says so:")?;
    let refused = Connection::open(&lab.client, vip).is_err();
    let status = stage.ulvs(&lab.director, "status")?;
    stage.check("it is refused", refused)?;
    stage.check("the reason has a name and is counted", status.contains("ports-exhausted"))
}
