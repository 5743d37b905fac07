//! What a host is like, for whoever looks for a mistake in it: links, addresses, neighbours, policy routing rules, chains
//! of nf_tables, who listens where, settings and counters. Looks and changes nothing; what may not be seen is left out
//! or is an error that says so. All of it is that of the network namespace of the calling thread.

mod chains;
mod links;
mod rules;
mod sockets;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink::NetlinkSocket;
use crate::netlink::route::{self, Question};
use crate::steer::host::{Family, covers};

pub use chains::{BaseChain, Hook, chains};
pub use links::{Address, Link, Mac, Neighbour};
pub use rules::Rule;
pub use sockets::{Listener, Owner, listeners};

/// One look at a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Its devices.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
    /// What it believes of its neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Its policy routing rules of both families, in their order.
    pub rules: Vec<Rule>,
}

/// How a packet gets to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Index of the device that leads there.
    pub device: u32,
    /// The router in between; none on a link of this host's.
    pub gateway: Option<IpAddr>,
    /// The address that this host would use.
    pub source: Option<IpAddr>,
    /// The largest packet in bytes that the kernel believes to get there.
    pub mtu: u32,
}

impl Survey {
    /// Looks.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn take() -> io::Result<Self> {
        let mut netlink = NetlinkSocket::open(NETLINK_ROUTE)?;
        let mut survey = Self { links: links::links(&mut netlink)?, ..Self::default() };
        survey.neighbours = links::neighbours(&mut netlink)?;
        for family in Family::available() {
            survey.addresses.extend(links::addresses(&mut netlink, family)?);
            survey.rules.extend(rules::rules(&mut netlink, family)?);
        }
        Ok(survey)
    }

    /// A device by its index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Whether what comes in by the device `from` may come to the device `to`: they are one, or a port and its bridge, a
    /// device and a VLAN of it, and so on.
    pub fn leads(&self, from: u32, to: u32) -> bool {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(device) = reached.get(next).copied() {
            next += 1;
            let master = self.link(device).and_then(|link| link.master);
            let above = self.links.iter().filter(|link| link.lower == Some(device)).map(|link| link.index);
            for device in master.into_iter().chain(above) {
                if !reached.contains(&device) {
                    reached.push(device);
                }
            }
        }
        reached.contains(&to)
    }

    /// A device by its name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The devices that have an address.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &Link> {
        let on = self.addresses.iter().filter(move |address| address.ip == ip);
        on.filter_map(|address| self.link(address.device))
    }

    /// The device on whose link an address is, with this host's own address there: the narrowest subnet counts.
    pub fn on_link(&self, ip: IpAddr) -> Option<(&Link, &Address)> {
        let around = self.addresses.iter().filter(|a| covers(a.ip, a.prefix, ip));
        let links = around.filter_map(|a| Some((self.link(a.device)?, a)));
        links.filter(|(link, a)| link.resolves && a.prefix < host_bits(ip)).max_by_key(|(_, a)| a.prefix)
    }
}

const fn host_bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// How packets of this host's own get to another.
///
/// # Errors
/// The one that a packet would meet: there is no way, or it is forbidden.
pub fn way(to: IpAddr) -> io::Result<Way> {
    let mut netlink = NetlinkSocket::open(NETLINK_ROUTE)?;
    let answer = route::ask(&mut netlink, &Question::to(to))?;
    let device = answer.device.ok_or_else(|| io::Error::from_raw_os_error(libc::ENETUNREACH))?;
    let mtu = links::links(&mut netlink)?.iter().find(|link| link.index == device).map(|link| link.mtu);
    let mtu = answer.mtu.or(mtu).unwrap_or(1500);
    Ok(Way { device, gateway: answer.gateway, source: answer.source, mtu })
}

/// A setting by the name that sysctl(8) has for it (a dot in a device's name is a slash there); none where there is no
/// such setting, or it is no number.
pub fn sysctl(name: &str) -> Option<i64> {
    fs::read_to_string(sysctl_path(name)).ok()?.trim().parse().ok()
}

/// Name of the device with this index.
pub fn device(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

/// Whether there is a device of this name.
pub fn is_device(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// Whether a setting could be changed: `/proc/sys` is read-only in many containers.
pub fn is_writable(name: &str) -> bool {
    fs::OpenOptions::new().write(true).open(sysctl_path(name)).is_ok()
}

fn sysctl_path(name: &str) -> String {
    let swapped = name.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    });
    format!("/proc/sys/{}", swapped.collect::<String>())
}

/// The counters of `/proc/net/netstat` and `/proc/net/snmp`, as `TcpExt.ListenDrops`.
pub fn counters() -> BTreeMap<String, u64> {
    let files = ["/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"].map(fs::read_to_string);
    files.iter().flatten().flat_map(|text| pairs(text)).collect()
}

/// Two lines for each group: names, then values.
fn pairs(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<_> = text.lines().collect();
    let both = lines.chunks_exact(2).filter_map(|both| both[0].split_once(':').zip(both[1].split_once(':')));
    both.flat_map(|((group, names), (_, values))| {
        let values = values.split_whitespace().map(|value| value.parse().unwrap_or_default());
        names.split_whitespace().map(move |name| format!("{group}.{name}")).zip(values).collect::<Vec<_>>()
    })
    .collect()
}

/// The services of the kernel's own IPVS, as `/proc/net/ip_vs` has them: `TCP 10.0.0.1:80`, `FWM 3`. None where it is
/// not loaded.
pub fn ipvs() -> Vec<String> {
    fs::read_to_string("/proc/thread-self/net/ip_vs").map(|text| ipvs_services(&text)).unwrap_or_default()
}

fn ipvs_services(text: &str) -> Vec<String> {
    let address = |word: &str| {
        let (ip, port) = word.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let v4 = || Some(IpAddr::from(Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?)));
        let ip = ip.trim_matches(['[', ']']).parse().ok().or_else(v4)?;
        Some(std::net::SocketAddr::new(ip, port).to_string())
    };
    let service = |line: &str| {
        let mut words = line.split_whitespace();
        let (kind, what) = (words.next()?, words.next()?);
        match kind {
            "TCP" | "UDP" | "SCTP" => Some(format!("{kind} {}", address(what)?)),
            "FWM" => Some(format!("FWM {}", u32::from_str_radix(what, 16).ok()?)),
            _ => None,
        }
    };
    text.lines().filter_map(service).collect()
}

/// Notes that an engine of this network namespace has made in its state directory of what has to be put back: none
/// once it has ended by itself.
pub fn note(state_dir: &Path) -> Option<std::path::PathBuf> {
    let path = crate::journal::path(state_dir, crate::steer::NOTES).ok()?;
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_names_of_their_groups() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 1 22\nIpExt: InNoRoutes\nIpExt: 3\n";
        let expected =
            [("TcpExt.SyncookiesSent", 1), ("TcpExt.IPReversePathFilter", 22), ("IpExt.InNoRoutes", 3)];
        assert_eq!(pairs(text), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn services_of_the_kernel_are_read_as_it_writes_them() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  AC100063:0050 rr  \n  \
                    -> AC100007:0050      Masq    1      0          0         \n\
                    UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0035 wlc  \nFWM  00000003 sh \n";
        assert_eq!(ipvs_services(text), ["TCP 172.16.0.99:80", "UDP [2001:db8::1]:53", "FWM 3"]);
    }
}
