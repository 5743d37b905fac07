//! A lab whose director is a contender at work.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::config::Task;
use super::contender::Contender;
use super::site::Site;
use super::tools::{self, Download};
use crate::addr::Family;
use crate::bench::usage::Usage;
use crate::link::Impairment;
use crate::node::Child;
use crate::serve::Http;
use crate::topo::{NatLab, NatOptions};
use crate::wait::wait_for;

/// What all measurements of a run have in common.
pub(super) struct Bench {
    /// The program under test.
    pub(super) ulvs: PathBuf,
    /// Where temporary files go, if not where the system has them.
    pub(super) state_root: Option<PathBuf>,
    /// The certificate.
    pub(super) site: Site,
    /// Threads of the contenders.
    pub(super) threads: u16,
    /// Seconds for each measurement.
    pub(super) seconds: u32,
    /// Connections that a contender can have on each side, for want of file descriptors.
    pub(super) connections: u64,
}

/// The lab. Fields are in the order in which they have to end.
pub(super) struct Stand<'a> {
    pub(super) bench: &'a Bench,
    /// Protocol and cipher.
    pub(super) suite: String,
    process: Option<Child>,
    servers: Vec<Http>,
    pub(super) lab: NatLab,
}

/// Longest wait for a contender to serve its first request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The director's interface to the client.
const TO_CLIENT: &str = "to-client";

impl<'a> Stand<'a> {
    /// Builds the lab and has the contender serve in it. Fails where sessions are resumed that should not be, or the
    /// other way round.
    pub(super) fn new(
        bench: &'a Bench,
        contender: Contender,
        resumption: bool,
        client_link: Option<[Impairment; 2]>,
    ) -> anyhow::Result<Self> {
        let options = NatOptions {
            vip: contender.vip_place(),
            state_root: bench.state_root.clone(),
            client_link,
            ..NatOptions::default()
        };
        let lab = NatLab::new(&options)?;
        for node in [&lab.client, &lab.director] {
            // Nobody shall be slow for want of ports, or of room for a burst of connections.
            node.sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
            node.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
            node.sysctl("net.ipv4.tcp_max_syn_backlog", "65536")?;
        }
        let servers = lab.servers.iter().map(|server| Http::start(server, 80));
        let servers = servers.collect::<anyhow::Result<_>>()?;
        let task = Task { threads: bench.threads, resumption, connections: bench.connections };
        let process = contender.start(&lab, &bench.site, task, &bench.ulvs)?;
        let mut stand = Self { bench, suite: String::new(), process, servers, lab };
        stand.wait()?;
        let vip = stand.lab.vip.port(Family::V4, 443).to_string();
        let (suite, resumed) = tools::agreed(&stand.lab.client, &bench.site, &vip)?;
        ensure!(
            resumed == resumption,
            "a session was {}resumed, which is not what was configured",
            if resumed { "" } else { "not " }
        );
        stand.suite = suite;
        Ok(stand)
    }

    /// What to ask for.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.lab.vip.v4)
    }

    /// What the contender has used so far.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.lab.director, TO_CLIENT)
    }

    /// Opens so many TLS connections that have had one request and then are silent, until what is returned is dropped.
    pub(super) fn idle(&self, connections: u32) -> anyhow::Result<Vec<Child>> {
        let mut holders = Vec::new();
        let mut left = connections;
        while left > 0 {
            // A few at a time: nobody's backlog shall overflow.
            let some = left.min(250);
            let before = self.requests();
            holders.push(tools::hold(&self.lab.client, &self.bench.site, &self.url("/"), some)?);
            wait_for("idle connections", PATIENCE, || {
                (self.requests() - before >= u64::from(some)).then_some(())
            })?;
            left -= some;
        }
        Ok(holders)
    }

    /// What the servers have answered so far.
    pub(super) fn requests(&self) -> u64 {
        self.servers.iter().map(|server| server.counters().requests()).sum()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let url = self.url("/");
        wait_for("the contender to serve", PATIENCE, || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            let served = || Download::start(&self.lab.client, &self.bench.site, &url, PATIENCE)?.finish();
            ended.map(Err).or_else(|| served().ok().map(Ok))
        })?
        .map_err(|status| anyhow::anyhow!("it ended with {status} instead of serving"))
        .map(drop)
        .context("the contender does not serve")
    }
}
