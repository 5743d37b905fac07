//! A container with one address that balances by FullNAT: no route leads through it, no privilege but one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::Scenario;
use crate::addr::Family;
use crate::client;
use crate::serve::Http;
use crate::snapshot::Snapshot;
use crate::stage::{Stage, short};
use crate::topo::{Confinement, ContainerLab};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "container",
    summary: "a container with one address and one capability balances by FullNAT",
    run,
};

/// What the container's balancer listens for, and its servers.
const PORT: u16 = 80;
/// Where the container has a server of its own.
const OWN_PORT: u16 = 8000;
const TRANSFER: u64 = 256 << 20;

fn run(stage: &mut Stage) -> anyhow::Result<()> {
    stage.step("A container in a network")?;
    stage.say(
        "The container has one interface and one address. Clients talk to that address; the servers are in another\n\
         network, and their way back to the client leads past the container:\n",
    )?;
    let lab = ContainerLab::new(stage.state_root().as_deref())?;
    stage.say(&lab.to_string())?;
    let servers = lab.servers.iter().map(|server| Http::start(server, PORT));
    let servers = servers.collect::<anyhow::Result<Vec<_>>>()?;
    let own = Http::start(&lab.container, OWN_PORT)?;
    let before = Snapshot::take(&lab.container)?;

    stage.step("Start the balancer in it")?;
    stage.say(
        "As little as it takes: every capability dropped but one, /proc/sys read-only, mounts and processes of its own.\n\
         For Docker that is\n\n    \
         docker run --cap-drop ALL --cap-add NET_ADMIN --device /dev/net/tun \\\n      \
         --sysctl net.ipv6.conf.all.forwarding=1 IMAGE ulvs run\n\n\
         where the --sysctl is for IPv6 only. Here:",
    )?;
    let command = lab.confined(&Confinement::default(), stage.program());
    let mut engine = stage.serve(&lab.container, command, "run")?;
    let vip = lab.container_addr.port(Family::V4, PORT);
    stage.say(
        "\nFullNAT writes an address of ours into the packets as well, so that the servers answer us and nobody has to be\n\
         told a route. Without a pool of such addresses it is the one that we would use ourselves:",
    )?;
    stage.ulvs(&lab.container, &format!("ipvsadm -A -t {vip} -s rr"))?;
    for index in 0..lab.servers.len() {
        let server = lab.server_port(index, Family::V4, PORT);
        stage.ulvs(&lab.container, &format!("ipvsadm -a -t {vip} -r {server} --fullnat"))?;
    }

    requests(stage, &lab, vip)?;
    own_traffic(stage, &lab)?;
    stage.say("\nAnd what the balancer knows:")?;
    stage.ulvs(&lab.container, "ipvsadm -Ln")?;

    stage.step("Put everything back")?;
    stage.ulvs(&lab.container, "stop")?;
    engine.wait()?;
    let changed = before.diff(&Snapshot::take(&lab.container)?);
    for line in &changed {
        stage.say(&format!("    {line}"))?;
    }
    stage.check("the container is as it was", changed.is_empty())?;
    drop((servers, own));
    Ok(())
}

fn requests(stage: &mut Stage, lab: &ContainerLab, vip: SocketAddr) -> anyhow::Result<()> {
    stage.step("Requests")?;
    stage.say(&format!("The client fetches http://{vip}/ four times, and asks whom the servers see:"))?;
    let mut answers = BTreeSet::new();
    for _ in 0..4 {
        let reply = client::get(&lab.client, vip, "/")?;
        let answer = reply.body.trim().to_owned();
        stage.say(&format!("  {answer} in {}", short(reply.elapsed)))?;
        answers.insert(answer);
    }
    let seen: SocketAddr = client::get(&lab.client, vip, "/whoami")?.body.trim().parse()?;
    stage.say(&format!("  a server sees {seen}\n"))?;
    stage.check("both servers took part", answers.len() == lab.servers.len())?;
    stage.check("the servers see the container's address", seen.ip() == vip.ip())?;
    let result = stage
        .progress("received", TRANSFER, |progress| client::download(&lab.client, vip, TRANSFER, progress));
    let transfer = result?;
    stage.fact(
        "transfer",
        serde_json::json!({ "bytes": transfer.bytes, "gbit_per_s": transfer.gbit_per_s() }),
    );
    let rate = transfer.gbit_per_s();
    stage.check(&format!("256 MiB in {}: {rate:.1} Gbit/s, hashing included", short(transfer.elapsed)), true)
}

fn own_traffic(stage: &mut Stage, lab: &ContainerLab) -> anyhow::Result<()> {
    stage.step("What the container does beside")?;
    stage.say(
        "The address is still the container's own: it has a server on another port, answers pings, and is a client of\n\
         the very servers that it balances.\n",
    )?;
    let own = client::get(&lab.client, lab.container_addr.port(Family::V4, OWN_PORT), "/")?;
    stage.check("its own server answers the client", own.body.trim() == "container")?;
    client::ping(&lab.client, lab.container_addr.v4, 56, Duration::from_secs(3))?;
    stage.check("it answers pings", true)?;
    let server = lab.server_port(0, Family::V4, PORT);
    let reply = client::get(&lab.container, server, "/")?;
    stage.check("it speaks to a server itself", reply.body.trim() == "server1")
}
