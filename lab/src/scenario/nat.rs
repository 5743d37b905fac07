//! NAT with weights: what `make demo` shows to someone who has never seen LVS.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::Scenario;
use crate::addr::Family;
use crate::client;
use crate::serve::Http;
use crate::snapshot::Snapshot;
use crate::stage::{Stage, short};
use crate::topo::{NatLab, NatOptions};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "nat",
    summary: "weighted round robin over three servers by NAT, then 1 GiB through it",
    run,
};

/// Weights of the servers, in the order in which they are added.
const WEIGHTS: [u32; 3] = [3, 2, 1];
/// What the kernel's IPVS chose for those weights and twelve connections, as recorded: indices of servers.
const KERNEL_WRR: [usize; 12] = [2, 1, 0, 0, 1, 0, 2, 1, 0, 0, 1, 0];
/// 1 GiB.
const TRANSFER: u64 = 1 << 30;

fn run(stage: &mut Stage) -> anyhow::Result<()> {
    stage.step("A network in a box")?;
    stage.say(
        "Five network namespaces stand for five machines, with cables between them. They exist only while this\n\
         program runs. The client will talk to one address, the VIP, behind which there is no machine at all:\n",
    )?;
    let options =
        NatOptions { servers: WEIGHTS.len(), state_root: stage.state_root(), ..NatOptions::default() };
    let lab = NatLab::new(&options)?;
    stage.say(&lab.to_string())?;
    stage.say("Each server runs a small web server whose only page is its own name.")?;
    let servers: Vec<Http> =
        lab.servers.iter().map(|server| Http::start(server, 80)).collect::<anyhow::Result<_>>()?;
    let before = Snapshot::take(&lab.director)?;

    stage.step("Start the balancer")?;
    stage.say("ulvs runs on the director. It takes packets for the VIP out of the kernel and puts them back rewritten.")?;
    stage.ulvs(&lab.director, "run --detach")?;
    configure(stage, &lab)?;

    let vip = lab.vip.port(Family::V4, 80);
    requests(stage, &lab, vip)?;
    listings(stage, &lab)?;
    pings(stage, &lab)?;
    transfer(stage, &lab, vip)?;

    stage.step("Put everything back")?;
    stage.ulvs(&lab.director, "stop")?;
    let changed = before.diff(&Snapshot::take(&lab.director)?);
    for line in &changed {
        stage.say(&format!("    {line}"))?;
    }
    let facts = before.len();
    stage.check(
        &format!("the director is as it was: {facts} links, routes, rules and settings"),
        changed.is_empty(),
    )?;
    drop(servers);
    Ok(())
}

fn configure(stage: &mut Stage, lab: &NatLab) -> anyhow::Result<()> {
    let vip = lab.vip.port(Family::V4, 80);
    stage.say(
        "\nNow the service: TCP port 80 of the VIP, balanced by weighted round robin (wrr). Then its servers: -m is\n\
         NAT, -w the weight. Of every six connections the first server shall get three, the second two, the last one.",
    )?;
    stage.ulvs(&lab.director, &format!("ipvsadm -A -t {vip} -s wrr"))?;
    for (index, weight) in WEIGHTS.iter().enumerate() {
        let server = lab.server_port(index, Family::V4, 80);
        stage.ulvs(&lab.director, &format!("ipvsadm -a -t {vip} -r {server} -m -w {weight}"))?;
    }
    Ok(())
}

fn requests(stage: &mut Stage, lab: &NatLab, vip: SocketAddr) -> anyhow::Result<()> {
    stage.step("Twelve requests")?;
    stage.say(&format!(
        "The client fetches http://{vip}/ twelve times, each over a new TCP connection. Right beside it: what the\n\
         kernel's own IPVS chose when it was asked the same.\n"
    ))?;
    stage.say("  request   answered by   kernel IPVS   took")?;
    let mut answers = Vec::new();
    for (number, expected) in KERNEL_WRR.iter().map(|&index| lab.servers[index].name()).enumerate() {
        let reply = client::get(&lab.client, vip, "/")?;
        let (answer, took) = (reply.body.trim().to_owned(), short(reply.elapsed));
        let mark = if answer == expected { "" } else { "   <- differs" };
        stage.say(&format!("  {:>7}   {answer:<11}   {expected:<11}   {took}{mark}", number + 1))?;
        answers.push(answer);
    }
    let expected = KERNEL_WRR.iter().map(|&index| lab.servers[index].name());
    let same = answers.iter().map(String::as_str).eq(expected);
    stage.fact("answers", answers);
    stage.say("")?;
    stage.check("every request was answered by the server that the kernel's IPVS would have chosen", same)
}

fn listings(stage: &mut Stage, lab: &NatLab) -> anyhow::Result<()> {
    stage.step("What the balancer knows")?;
    stage.say(
        "The services and servers, with connections that are open (ActiveConn) and closing (InActConn):",
    )?;
    let services = stage.ulvs(&lab.director, "ipvsadm -Ln")?;
    stage.say(
        "\nAnd each connection: how long it will be remembered, from whom, to which VIP, by which server:",
    )?;
    let connections = stage.ulvs(&lab.director, "ipvsadm -Lnc")?;
    let servers = (0..lab.servers.len()).map(|index| lab.server_port(index, Family::V4, 80).to_string());
    let listed = servers.clone().all(|server| services.contains(&server));
    let rows = connections.lines().filter(|line| line.starts_with("TCP")).count();
    stage.say("")?;
    stage.check("every server is listed", listed)?;
    stage.check("every connection is listed", rows == KERNEL_WRR.len())
}

fn pings(stage: &mut Stage, lab: &NatLab) -> anyhow::Result<()> {
    stage.step("Ping the VIP")?;
    stage.say("No machine has this address. The balancer answers in its name, as a machine would:")?;
    for _ in 0..3 {
        let took = client::ping(&lab.client, lab.vip.v4, 56, Duration::from_secs(3))?;
        stage.check(&format!("echo from {} in {}", lab.vip.v4, short(took)), true)?;
    }
    Ok(())
}

fn transfer(stage: &mut Stage, lab: &NatLab, vip: SocketAddr) -> anyhow::Result<()> {
    stage.step("1 GiB through the VIP")?;
    stage.say(
        "The server hashes what it sends, the client hashes what arrives. Every byte passes the balancer.",
    )?;
    let result = stage
        .progress("received", TRANSFER, |progress| client::download(&lab.client, vip, TRANSFER, progress));
    let transfer = result?;
    let rate = transfer.gbit_per_s();
    stage.say(&format!("  SHA-256 {} on both ends", transfer.sha256))?;
    stage.fact("transfer", json!({ "bytes": transfer.bytes, "gbit_per_s": rate, "sha256": transfer.sha256 }));
    stage.check(&format!("1 GiB in {}: {rate:.1} Gbit/s, hashing included", short(transfer.elapsed)), true)
}
