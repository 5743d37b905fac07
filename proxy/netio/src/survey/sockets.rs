//! Who listens where, as `/proc` tells it.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// Its name, as it has chosen it: with whatever characters.
    pub command: String,
}

/// A TCP socket that listens, or a UDP socket that is bound and connected to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// 6 or 17.
    pub protocol: u8,
    /// Where; an unspecified address is all addresses.
    pub at: SocketAddr,
    /// Whose it is, where that may be seen.
    pub owner: Option<Owner>,
}

impl Listener {
    /// Whether it would get what is sent there.
    pub fn hears(&self, at: SocketAddr) -> bool {
        let any = self.at.ip().is_unspecified() && (at.is_ipv4() || self.at.is_ipv6());
        self.at.port() == at.port() && (any || self.at.ip() == at.ip())
    }
}

/// All of them.
pub fn listeners() -> Vec<Listener> {
    let mut found = Vec::new();
    for (file, protocol) in [("tcp", 6), ("tcp6", 6), ("udp", 17), ("udp6", 17)] {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| listener(line, protocol)));
    }
    let owners = if found.is_empty() { HashMap::new() } else { owners() };
    let with_owner = |(mut listener, inode): (Listener, u64)| {
        listener.owner = owners.get(&inode).cloned();
        listener
    };
    found.into_iter().map(with_owner).collect()
}

/// A line of `/proc/net/tcp` and the like, with the socket's inode.
fn listener(line: &str, protocol: u8) -> Option<(Listener, u64)> {
    const LISTEN: &str = "0A";
    /// Of UDP: bound, and connected to nobody.
    const UNCONNECTED: &str = "07";
    let words: Vec<_> = line.split_whitespace().collect();
    let state = if protocol == 6 { LISTEN } else { UNCONNECTED };
    if words.get(3) != Some(&state) {
        return None;
    }
    let listener = Listener { protocol, at: address(words.get(1)?)?, owner: None };
    Some((listener, words.get(9)?.parse().ok()?))
}

/// The address in words of host order, four bytes each.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = if ip.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
        IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Whose sockets are whose, by inode: of the processes whose descriptors may be seen.
fn owners() -> HashMap<u64, Owner> {
    let mut owners = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return owners };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let inode =
            |link: &std::path::Path| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
        let inodes: Vec<u64> = links.filter_map(|link| inode(&link)).collect();
        if inodes.is_empty() {
            continue;
        }
        // Any bytes but NUL: whoever shows it to people has to make it harmless.
        let command = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let command = String::from_utf8_lossy(command.trim_ascii_end()).into_owned();
        owners.extend(inodes.into_iter().map(|inode| (inode, Owner { pid, command: command.clone() })));
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found_with_its_owner() {
        fs::write(format!("/proc/{}/comm", std::process::id()), b"odd \xe2\x80").unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let found = listeners().into_iter().find(|listener| listener.at == at).unwrap();
        let owner = Owner { pid: std::process::id(), command: "odd \u{fffd}".to_owned() };
        assert_eq!((found.protocol, found.owner), (6, Some(owner)));
        drop(socket);
        assert!(!listeners().iter().any(|listener| listener.at == at));
    }

    #[test]
    fn a_socket_for_all_addresses_hears_each_of_its_family() {
        let at = |text: &str| Listener { protocol: 6, at: text.parse().unwrap(), owner: None };
        let hears = |socket: &str, to: &str| at(socket).hears(to.parse().unwrap());
        assert!(hears("0.0.0.0:80", "10.0.0.1:80") && hears("[::]:80", "10.0.0.1:80"));
        assert!(hears("10.0.0.1:80", "10.0.0.1:80"));
        assert!(!hears("10.0.0.2:80", "10.0.0.1:80") && !hears("0.0.0.0:81", "10.0.0.1:80"));
        assert!(!hears("0.0.0.0:80", "[fd00::1]:80"));
    }
}
