//! What the engine says of itself.

use std::net::SocketAddr;
use std::path::Path;

use control::api::{Blocking, ClientError, ConnQuery};
use control::config::{Config, Port};
use control::settings::Sysctl;

use super::fronts;
use crate::doctor::facts::{Engine, Facts, Seen};

/// So many connections are looked at.
const CONNECTIONS: usize = 20_000;

pub(super) fn ask(facts: &mut Facts, client: &mut Blocking) -> Result<(), ClientError> {
    let status = client.status()?;
    facts.services = client.services()?.services.iter().map(|service| service.spec()).collect();
    let marks = client.marks()?;
    let rules = marks.ipv4.rules.into_iter().chain(marks.ipv6.rules);
    facts.marks = rules.map(|view| view.rule).collect();
    facts.tls = fronts::of_views(client.tls()?.fronts);
    let hairpin = client.settings()?.get(Sysctl::Hairpin) != 0;
    // What was said on the command line of `ulvs run` is not known.
    let config = status.config.as_ref().and_then(|file| Config::load(Path::new(file)).ok());
    let engine = config.map(|config| config.engine).filter(|engine| engine.port != Port::Tun);
    facts.interfaces = engine.map(|engine| engine.interfaces).unwrap_or_default();
    facts.engine =
        Some(Engine { descriptors: descriptors(status.pid), status, hairpin, ..Engine::default() });
    Ok(())
}

/// What connections say of servers.
pub(super) fn connections(facts: &mut Facts, client: &mut Blocking) {
    let Some(engine) = &mut facts.engine else { return };
    let (mut query, mut looked_at) = (ConnQuery { limit: 1000, ..ConnQuery::default() }, 0);
    loop {
        let page = match client.connections(&query) {
            Ok(page) => page,
            Err(error) => return facts.unseen.push(format!("connections: {error}")),
        };
        looked_at += page.connections.len();
        for conn in page.connections.iter().filter(|conn| !conn.template) {
            let seen: &mut Seen = engine.servers.entry(conn.dest).or_default();
            if conn.state == "SYN_RECV" {
                seen.half_open += 1;
                seen.clients.insert(conn.client.ip());
            } else {
                seen.other += 1;
            }
        }
        match page.next {
            Some(_) if looked_at >= CONNECTIONS => {
                return facts.unseen.push(format!("connections beyond the first {looked_at}"));
            }
            Some(next) => query.cursor = next,
            None => return,
        }
    }
}

/// What it has dropped until now.
pub(super) fn anew(facts: &mut Facts, client: &mut Blocking) {
    if let (Some(engine), Ok(status)) = (&mut facts.engine, client.status()) {
        engine.status.drops = status.drops;
    }
}

/// The engine a moment later.
pub(super) fn later(facts: &mut Facts, client: &mut Blocking) {
    let Some(engine) = &mut facts.engine else { return };
    match client.status() {
        Ok(status) => engine.later = status,
        Err(error) => {
            engine.later = engine.status.clone();
            facts.unseen.push(format!("what the engine does now: {error}"));
        }
    }
}

/// Open descriptors of a process, and how many it may have.
fn descriptors(pid: u32) -> Option<(u64, u64)> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    Some((u64::try_from(open).ok()?, line.split_whitespace().nth(3)?.parse().ok()?))
}

/// A server that answers on any port has none to be asked at.
pub(super) const fn has_port(at: &SocketAddr) -> bool {
    at.port() != 0
}
