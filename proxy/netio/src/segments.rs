//! Smaller segments from clients: what a host says in its SYN or the answer to one about the segments that it takes
//! (the MSS option, RFC 9293 section 3.7.1) is lowered as it leaves. For packets that come in tunnels, which make them
//! longer on their way: without it each client has to be told by ICMP first, if that gets through to it.

use std::io;
use std::net::IpAddr;

use crate::nft::{Base, Change, Expression, Family, Hook, Keeping, Key, Meta, Table};

/// Name of the nf_tables table, family `inet`.
const TABLE: &str = "ulvs-real";

/// Lowers what this host's network namespace says, until it is dropped, or the process ends.
#[derive(Debug)]
pub struct SegmentLimit {
    table: Table,
}

impl SegmentLimit {
    /// For connections of these addresses: at most so many bytes of payload in a segment of IPv4, and of IPv6. Who says
    /// less is left alone. In the network namespace of the calling thread.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or in a kernel without nf_tables or without tables that have an owner (Linux 5.12).
    pub fn open(addrs: &[IpAddr], v4: u16, v6: u16) -> io::Result<Self> {
        let mut table = Table::open(Family::Inet, TABLE)?;
        if table.objects()?.is_some() {
            // Somebody's that has ended in between.
            table.commit(vec![table.delete()])?;
        }
        let mut changes = vec![table.create(Keeping::Owned)];
        changes.push(table.set("addrs4", Key::Ipv4));
        changes.push(table.set("addrs6", Key::Ipv6));
        let keys = |v4: bool| {
            let of_family = addrs.iter().filter(move |addr| addr.is_ipv4() == v4);
            of_family.map(|addr| match addr {
                IpAddr::V4(addr) => addr.octets().to_vec(),
                IpAddr::V6(addr) => addr.octets().to_vec(),
            })
        };
        for (set, v4) in [("addrs4", true), ("addrs6", false)] {
            let keys: Vec<_> = keys(v4).collect();
            if !keys.is_empty() {
                changes.extend(table.add(set, &keys));
            }
        }
        const MANGLE: i32 = -150;
        changes.push(table.chain("output", "filter", Hook::Output, MANGLE));
        changes.push(limit(&table, libc::AF_INET, (12, 4, "addrs4"), v4));
        changes.push(limit(&table, libc::AF_INET6, (8, 16, "addrs6"), v6));
        table.commit(changes)?;
        Ok(Self { table })
    }
}

impl Drop for SegmentLimit {
    fn drop(&mut self) {
        // It would end with its socket, but a child that is being started may have that open for a moment.
        let _ = self.table.commit(vec![self.table.delete()]);
    }
}

/// SYNs of the addresses in the set, whose source address is there in the header.
fn limit(table: &Table, family: i32, (offset, len, set): (u32, u32, &str), mss: u16) -> Change {
    const TCP: &[u8] = &[libc::IPPROTO_TCP as u8];
    const SYN: &[u8] = &[2];
    let mss = mss.to_be_bytes();
    let rule = [
        Expression::Meta { key: Meta::Family, register: 0 },
        Expression::Compare { register: 0, equal: true, value: &[family as u8] },
        Expression::Meta { key: Meta::Protocol, register: 0 },
        Expression::Compare { register: 0, equal: true, value: TCP },
        Expression::Payload { base: Base::Network, offset, len, register: 0 },
        Expression::Lookup { register: 0, set },
        Expression::Payload { base: Base::Transport, offset: 13, len: 1, register: 0 },
        Expression::Bitwise { register: 0, mask: SYN, xor: &[0] },
        Expression::Compare { register: 0, equal: true, value: SYN },
        Expression::Value { register: 0, value: &mss },
        Expression::LowerMss { register: 0 },
    ];
    table.rule("output", &rule)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::TcpMaxSeg;

    use super::*;
    use crate::netns::Netns;

    /// Payload of the largest segment that a client of this address would send.
    fn segment(addr: IpAddr) -> u32 {
        let listener = TcpListener::bind((addr, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        getsockopt(&client, TcpMaxSeg).unwrap()
    }

    fn tables() -> String {
        let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn what_is_invited_is_lowered_and_what_is_less_is_left() {
        let netns = Netns::new().unwrap();
        let work = || {
            Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
            let addrs: [IpAddr; 2] = ["127.0.0.7".parse().unwrap(), "::1".parse().unwrap()];
            let other: IpAddr = "127.0.0.8".parse().unwrap();
            let before = addrs.map(segment);
            assert!(before.iter().all(|mss| *mss > 10_000), "{before:?}");
            let limit = SegmentLimit::open(&addrs, 1400, 1380).unwrap();
            // Timestamps take twelve bytes.
            assert_eq!(addrs.map(segment), [1400 - 12, 1380 - 12]);
            assert_eq!(segment(other), before[0]);
            drop(limit);
            assert_eq!(addrs.map(segment), before);
            let limit = SegmentLimit::open(&addrs, u16::MAX, u16::MAX).unwrap();
            assert_eq!(addrs.map(segment), before);
            assert!(tables().contains("ulvs-real"));
            drop(limit);
            assert_eq!(tables(), "");
        };
        netns.run(work).unwrap();
    }
}
