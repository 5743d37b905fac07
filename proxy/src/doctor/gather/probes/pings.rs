//! Pings of two sizes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netio::probe::{self, Echo};

use super::{PATIENCE, list};
use crate::doctor::facts::{Facts, Probes};

/// Whether the largest packet gets to a server, and whether a small one does.
pub(super) fn ask(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) -> io::Result<()> {
    const SMALL: u16 = 84;
    let mut large = Vec::new();
    let ips: BTreeSet<IpAddr> = servers.iter().map(SocketAddr::ip).collect();
    for ip in ips {
        if let Some(Ok(way)) = facts.ways.get(&ip)
            && let Some(from) = way.source
            && !facts.host.addresses.iter().any(|address| address.ip == ip)
        {
            large.push(Echo { from, to: ip, bytes: u16::try_from(way.mtu).unwrap_or(u16::MAX) });
        }
    }
    if large.is_empty() {
        return Ok(());
    }
    facts.asked.push(format!("a small and a large ping to {}", list(large.iter().map(|echo| echo.to))));
    let small: Vec<_> = large.iter().map(|echo| Echo { bytes: SMALL, ..*echo }).collect();
    let answers = probe::echo(&[small, large.clone()].concat(), PATIENCE)?;
    let (first, second) = answers.split_at(large.len());
    probes.small = large.iter().map(|echo| echo.to).zip(first.iter().copied()).collect();
    let told = large.iter().zip(second).map(|(echo, answer)| (echo.to, (echo.bytes, *answer)));
    probes.large = told.collect();
    Ok(())
}
