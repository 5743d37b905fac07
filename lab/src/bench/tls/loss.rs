//! Downloads over a link that loses packets: what a contender's TCP makes of a bad network.

use std::time::Duration;

use anyhow::Context as _;

use super::contender::Contender;
use super::stand::{Bench, Stand};
use super::tools::Download;
use crate::link::{Impairment, Rate};
use crate::node::Node;

/// A contender, with the congestion control of the kernel if that is its TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    contender: Contender,
    control: Option<&'static str>,
}

/// The link between client and director.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Network {
    round_trip: Duration,
    /// Share of the packets to the client.
    loss: f64,
}

/// The kernel's congestion controls that are compared.
const CONTROLS: [&str; 2] = ["cubic", "bbr"];
const ROUND_TRIPS: [u64; 2] = [10, 50];
const LOSSES: [f64; 4] = [0.0, 0.0001, 0.001, 0.01];
/// Of the link. The queue before it holds what a round trip of it takes.
const BITS_PER_S: u64 = 1_000_000_000;
/// More than comes in time.
const ENDLESS: u64 = 1 << 40;

/// Every contender with every congestion control that this kernel has.
pub(super) fn senders(contenders: &[Contender]) -> anyhow::Result<Vec<Sender>> {
    let known = Node::new("kernel")?.sysctl_read("net.ipv4.tcp_available_congestion_control")?;
    let known = |control: &&str| known.split(' ').any(|name| name == *control);
    let mut senders = Vec::new();
    for &contender in contenders {
        if contender.is_on_kernel_tcp() {
            let controls = CONTROLS.into_iter().filter(known);
            senders.extend(controls.map(|control| Sender { contender, control: Some(control) }));
        } else {
            senders.push(Sender { contender, control: None });
        }
    }
    Ok(senders)
}

/// Every link, the best first.
pub(super) fn networks() -> impl Iterator<Item = Network> {
    ROUND_TRIPS
        .into_iter()
        .flat_map(|millis| LOSSES.map(|loss| Network { round_trip: Duration::from_millis(millis), loss }))
}

impl Sender {
    pub(super) fn name(self) -> String {
        let name = self.contender.name();
        self.control.map_or_else(|| name.to_owned(), |control| format!("{name}, {control}"))
    }

    /// Gbit/s of payload that one download has, from its first byte.
    pub(super) fn goodput(self, bench: &Bench, network: Network) -> anyhow::Result<f64> {
        let stand = Stand::new(bench, self.contender, true, Some(network.impairments()))?;
        // The sender is measured, not how much the client has room for.
        stand.lab.client.sysctl("net.ipv4.tcp_rmem", "4096 131072 67108864")?;
        if let Some(control) = self.control {
            use_control(&stand, control)?;
        }
        let url = stand.url(&format!("/bytes/{ENDLESS}"));
        let time = Duration::from_secs(bench.seconds.into());
        let got = Download::start(&stand.lab.client, &bench.site, &url, time)?.finish()?;
        Ok(got.bytes * 8e-9 / got.seconds)
    }
}

impl Network {
    pub(super) fn name(self) -> String {
        format!("{} ms, {} % lost", self.round_trip.as_millis(), self.loss * 100.0)
    }

    fn impairments(self) -> [Impairment; 2] {
        let queue = (BITS_PER_S as f64 / 8.0 * self.round_trip.as_secs_f64()) as u64;
        let there = Impairment { delay: self.round_trip / 2, ..Impairment::default() };
        let rate = Some(Rate { bits_per_s: BITS_PER_S, queue });
        [there, Impairment { loss: self.loss, rate, ..there }]
    }
}

/// By a route, because only the first network namespace may choose among all of them for its sockets.
pub(super) fn use_control(stand: &Stand<'_>, control: &str) -> anyhow::Result<()> {
    let director = &stand.lab.director;
    let route = director.exec(&["ip", "-4", "route", "show", "dev", "to-client"])?;
    let route = route.lines().next().context("the director has no route to the client")?;
    let words = ["ip", "-4", "route", "change"].into_iter().chain(route.split_whitespace());
    let words: Vec<&str> = words.chain(["dev", "to-client", "congctl", control]).collect();
    director.exec(&words).map(drop)
}
