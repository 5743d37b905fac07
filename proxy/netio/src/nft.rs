//! The little of nf_tables that steering needs, packed by hand (`linux/netfilter/nf_tables.h`), so that no `nft`
//! binary has to be there. One table per [`Table`]; changes are collected and sent as a transaction.
//!
//! All numbers are in network byte order.

mod expression;

use std::io;

pub(crate) use self::expression::{Base, Expression, Meta};
use crate::netlink::{ACK, Attributes, CREATE, EXCL, Message, NetlinkSocket};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DEL_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DEL_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DEL_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DEL_ELEMENT: u16 = 14;

/// What the chains of a table see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 and IPv6 packets (`NFPROTO_INET`).
    Inet = 1,
    /// All that single devices receive (`NFPROTO_NETDEV`).
    Netdev = 5,
}

/// Elements in one message, so that a list stays far below the 64 KiB of an attribute.
const ELEMENTS: usize = 500;

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
}

/// How a set's keys are shown by tools; the kernel only looks at their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Ipv4,
    Ipv6,
    Interface,
    /// Address, protocol, port.
    Ipv4Flow,
    Ipv6Flow,
    /// Address, protocol.
    Ipv4Protocol,
    Ipv6Protocol,
}

impl Key {
    /// The type number of userspace tools (6 bits per part) and the length in bytes.
    const fn describe(self) -> (u32, u32) {
        const IPV4: u32 = 7;
        const IPV6: u32 = 8;
        const PROTOCOL: u32 = 12;
        const SERVICE: u32 = 13;
        const INTERFACE: u32 = 20;
        match self {
            Self::Ipv4 => (IPV4, 4),
            Self::Ipv6 => (IPV6, 16),
            Self::Interface => (INTERFACE, 4),
            Self::Ipv4Flow => (IPV4 << 12 | PROTOCOL << 6 | SERVICE, 12),
            Self::Ipv4Protocol => (IPV4 << 6 | PROTOCOL, 8),
            Self::Ipv6Protocol => (IPV6 << 6 | PROTOCOL, 20),
            Self::Ipv6Flow => (IPV6 << 12 | PROTOCOL << 6 | SERVICE, 24),
        }
    }
}

/// A change to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Change(Message);

/// Whose a table is, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Nobody else can change it while the socket is open; then it is everybody's (Linux 6.9).
    OwnedAndLeft,
    /// Nobody else can change it, and it ends with the socket (Linux 5.12).
    Owned,
    /// Anybody can change it.
    Everybodys,
}

/// One table, and the socket that owns it.
#[derive(Debug)]
pub(crate) struct Table {
    socket: NetlinkSocket,
    family: Family,
    name: &'static str,
    sets: u32,
}

impl Table {
    /// Nothing is created yet.
    pub(crate) fn open(family: Family, name: &'static str) -> io::Result<Self> {
        let socket = NetlinkSocket::open(netlink_sys::protocols::NETLINK_NETFILTER)?;
        Ok(Self { socket, family, name, sets: 0 })
    }

    /// See [`NetlinkSocket::port`].
    pub(crate) const fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Sends changes as transactions: one, unless there are very many elements.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        // A transaction is one datagram, which the socket's send buffer bounds.
        const BYTES: usize = 100_000;
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut batch = vec![Message::new(BATCH_BEGIN, 0, &header(0, SUBSYSTEM))];
            let mut bytes = 0;
            while let Some(Change(message)) =
                changes.next_if(|change| bytes == 0 || bytes + change.0.len() < BYTES)
            {
                bytes += message.len();
                let last = changes.peek().is_none_or(|next| bytes + next.0.len() >= BYTES);
                batch.push(if last { message.with_flags(ACK) } else { message });
            }
            batch.push(Message::new(BATCH_END, 0, &header(0, SUBSYSTEM)));
            self.socket.batch(batch)?;
        }
        Ok(())
    }

    /// Objects in the table, None where there is no such table.
    pub(crate) fn objects(&mut self) -> io::Result<Option<u32>> {
        const NFTA_TABLE_USE: u16 = 3;
        let mut objects = None;
        let query = self.message(GET_TABLE, 0).string(1, self.name);
        match self.socket.query(query, |_, payload| {
            objects = Attributes::after(payload, 4).be32(NFTA_TABLE_USE);
        }) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            result => result.map(|()| objects),
        }
    }

    /// Creates the table.
    pub(crate) fn create(&self, keeping: Keeping) -> Change {
        const NFTA_TABLE_FLAGS: u16 = 2;
        const NFT_TABLE_F_OWNER: u32 = 2;
        const NFT_TABLE_F_PERSIST: u32 = 4;
        let message = self.message(NEW_TABLE, CREATE | EXCL).string(1, self.name);
        Change(match keeping {
            Keeping::OwnedAndLeft => message.be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST),
            Keeping::Owned => message.be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER),
            Keeping::Everybodys => message,
        })
    }

    /// Removes the table with all that is in it.
    pub(crate) fn delete(&self) -> Change {
        Change(self.message(DEL_TABLE, 0).string(1, self.name))
    }

    /// A set of keys.
    pub(crate) fn set(&mut self, name: &str, key: Key) -> Change {
        self.sets += 1;
        let (kind, len) = key.describe();
        let message = self.message(NEW_SET, CREATE).string(1, self.name).string(2, name).be32(3, 0);
        let message = message.be32(4, kind).be32(5, len).be32(10, self.sets);
        // For the eyes of `nft list` alone: interface numbers are in host byte order.
        const NFTA_SET_USERDATA: u16 = 13;
        const KEY_BYTE_ORDER: u8 = 0;
        const HOST: u32 = 1;
        let [a, b, c, d] = HOST.to_ne_bytes();
        let order = [KEY_BYTE_ORDER, 4, a, b, c, d];
        Change(if key == Key::Interface { message.bytes(NFTA_SET_USERDATA, &order) } else { message })
    }

    /// A base chain that accepts by default. `kind` is `filter` or `route`.
    pub(crate) fn chain(&self, name: &str, kind: &str, hook: Hook, priority: i32) -> Change {
        const NFTA_CHAIN_TYPE: u16 = 7;
        Change(
            self.message(NEW_CHAIN, CREATE)
                .string(1, self.name)
                .string(3, name)
                .nest(4, |m| m.be32(1, hook as u32).be32(2, priority.cast_unsigned()))
                .string(NFTA_CHAIN_TYPE, kind),
        )
    }

    /// A base chain that sees what a device receives, before any protocol does (`NF_NETDEV_INGRESS`).
    pub(crate) fn ingress_chain(&self, name: &str, device: &str, priority: i32) -> Change {
        const NFTA_CHAIN_TYPE: u16 = 7;
        const INGRESS: u32 = 0;
        Change(
            self.message(NEW_CHAIN, CREATE)
                .string(1, self.name)
                .string(3, name)
                .nest(4, |m| m.be32(1, INGRESS).be32(2, priority.cast_unsigned()).string(3, device))
                .string(NFTA_CHAIN_TYPE, "filter"),
        )
    }

    /// Removes a chain with its rules.
    pub(crate) fn delete_chain(&self, name: &str) -> Change {
        Change(self.message(DEL_CHAIN, 0).string(1, self.name).string(3, name))
    }

    /// Removes all rules of a chain.
    pub(crate) fn flush(&self, chain: &str) -> Change {
        Change(self.message(DEL_RULE, 0).string(1, self.name).string(2, chain))
    }

    /// A chain that only others jump to.
    pub(crate) fn subchain(&self, name: &str) -> Change {
        Change(self.message(NEW_CHAIN, CREATE).string(1, self.name).string(3, name))
    }

    /// A rule at the end of a chain.
    pub(crate) fn rule(&self, chain: &str, expressions: &[Expression<'_>]) -> Change {
        const NFTA_RULE_EXPRESSIONS: u16 = 4;
        let message =
            self.message(NEW_RULE, CREATE | crate::netlink::APPEND).string(1, self.name).string(2, chain);
        Change(message.nest(NFTA_RULE_EXPRESSIONS, |m| {
            expressions.iter().fold(m, |m, expression| m.nest(1, |m| expression.pack(m)))
        }))
    }

    /// Adds keys to a set.
    pub(crate) fn add(&self, set: &str, keys: &[Vec<u8>]) -> Vec<Change> {
        self.elements(NEW_ELEMENT, CREATE, set, keys)
    }

    /// Takes keys out of a set.
    pub(crate) fn remove(&self, set: &str, keys: &[Vec<u8>]) -> Vec<Change> {
        self.elements(DEL_ELEMENT, 0, set, keys)
    }

    fn elements(&self, command: u16, flags: u16, set: &str, keys: &[Vec<u8>]) -> Vec<Change> {
        let part = |keys: &[Vec<u8>]| {
            let message = self.message(command, flags).string(1, self.name).string(2, set);
            Change(
                message
                    .nest(3, |m| keys.iter().fold(m, |m, key| m.nest(1, |m| m.nest(1, |m| m.bytes(1, key))))),
            )
        };
        keys.chunks(ELEMENTS).map(part).collect()
    }

    fn message(&self, command: u16, flags: u16) -> Message {
        Message::new(SUBSYSTEM << 8 | command, flags, &header(self.family as u8, 0))
    }
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
