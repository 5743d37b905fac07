//! The chains of the table: what of that which a device receives is dropped. [`super::Taken::takes`] says the same.
//!
//! What this rests on (Linux 6.18): packet sockets of ETH_P_ALL get a frame before the ingress hook; a VLAN tag has been
//! taken off by then, and is not looked at. Where the lengths of a packet are wrong there is no transport header to
//! load, and it is the kernel's to drop.

use super::entry::{Counts, Entry, Kind};
use crate::nft::{Base, Change, Expression, Key, Meta, Table};

/// Before other people's chains (flow tables are at 0): what is to be dropped is spared those.
const PRIORITY: i32 = -300;

/// Names and keys of the sets, for IPv4 and IPv6: services, servers, own addresses, fronts; services and servers of every port.
const KINDS: [(&str, &str, Key, Key); 6] = [
    ("services4", "services6", Key::Ipv4Flow, Key::Ipv6Flow),
    ("servers4", "servers6", Key::Ipv4Flow, Key::Ipv6Flow),
    ("own4", "own6", Key::Ipv4, Key::Ipv6),
    ("fronts4", "fronts6", Key::Ipv4Flow, Key::Ipv6Flow),
    ("whole_services4", "whole_services6", Key::Ipv4Protocol, Key::Ipv6Protocol),
    ("whole_servers4", "whole_servers6", Key::Ipv4Protocol, Key::Ipv6Protocol),
];

/// Names and kinds of all sets.
pub(super) fn sets() -> impl Iterator<Item = (&'static str, Key)> {
    KINDS.into_iter().flat_map(|(v4, v6, key4, key6)| [(v4, key4), (v6, key6)])
}

/// The set that an entry is in.
pub(super) const fn set_of(entry: Entry) -> &'static str {
    let at = match (entry.kind(), entry.is_whole()) {
        (Kind::Service, false) => 0,
        (Kind::Server, false) => 1,
        (Kind::Own, _) => 2,
        (Kind::Front, _) => 3,
        (Kind::Service, true) => 4,
        (Kind::Server, true) => 5,
    };
    let (v4, v6, ..) = KINDS[at];
    if entry.is_ipv6() { v6 } else { v4 }
}

/// Rules that are left out where nothing needs them, as packets would pass them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    fronts: bool,
    whole_services: bool,
    whole_servers: bool,
}

impl From<Counts> for Needs {
    fn from(counts: Counts) -> Self {
        let Counts { fronts, whole_services, whole_servers } = counts;
        Self { fronts: fronts > 0, whole_services: whole_services > 0, whole_servers: whole_servers > 0 }
    }
}

/// The base chain of a device.
pub(super) fn of_device(table: &Table, chain: &str, device: &str) -> [Change; 4] {
    let to_others = [
        Expression::Meta { key: Meta::PacketType, register: 0 },
        Expression::Compare { register: 0, equal: false, value: &[0] },
        Expression::Accept,
    ];
    let family = |ether_type: &'static [u8], chain| {
        [
            Expression::Meta { key: Meta::EtherType, register: 0 },
            Expression::Compare { register: 0, equal: true, value: ether_type },
            Expression::Jump { chain },
        ]
    };
    [
        table.ingress_chain(chain, device, PRIORITY),
        table.rule(chain, &to_others),
        table.rule(chain, &family(&[0x08, 0x00], IPV4.chain)),
        table.rule(chain, &family(&[0x86, 0xDD], IPV6.chain)),
    ]
}

/// The chains that those of the devices jump to, still empty.
pub(super) fn subchains(table: &Table) -> [Change; 2] {
    [table.subchain(IPV4.chain), table.subchain(IPV6.chain)]
}

/// Takes the rules out of the chains that [`subchains`] made.
pub(super) fn flush(table: &Table) -> [Change; 2] {
    [table.flush(IPV4.chain), table.flush(IPV6.chain)]
}

/// The rules of the chains that [`subchains`] made.
pub(super) fn rules(table: &Table, needs: Needs) -> Vec<Change> {
    [IPV4, IPV6]
        .iter()
        .flat_map(|layout| {
            let rules = layout.odd().into_iter().chain(layout.decide(needs));
            rules.map(|rule| table.rule(layout.chain, &rule))
        })
        .collect()
}

type Rule = Vec<Expression<'static>>;

/// Where things are in a packet of a family.
struct Layout {
    chain: &'static str,
    /// Names of the sets, in the order of [`KINDS`].
    sets: [&'static str; KINDS.len()],
    protocol: u32,
    hops: u32,
    src: u32,
    dst: u32,
    /// Length of an address.
    len: u32,
}

const IPV4: Layout = Layout {
    chain: "ipv4",
    sets: [KINDS[0].0, KINDS[1].0, KINDS[2].0, KINDS[3].0, KINDS[4].0, KINDS[5].0],
    protocol: 9,
    hops: 8,
    src: 12,
    dst: 16,
    len: 4,
};

const IPV6: Layout = Layout {
    chain: "ipv6",
    sets: [KINDS[0].1, KINDS[1].1, KINDS[2].1, KINDS[3].1, KINDS[4].1, KINDS[5].1],
    // "Next header": with extension headers, fragments among them, it is none of the protocols in the sets.
    protocol: 6,
    hops: 7,
    src: 8,
    dst: 24,
    len: 16,
};

impl Layout {
    /// What is never taken.
    fn odd(&self) -> Vec<Rule> {
        let returns = |mut rule: Rule, equal, value| {
            rule.push(Expression::Compare { register: 0, equal, value });
            rule.push(Expression::Return);
            rule
        };
        // No length: a super-packet of more than 64 KiB, which has its length elsewhere.
        let endless = |at| returns(vec![network(at, 2, 0)], true, &[0, 0]);
        // The last hop: a router answers.
        let hops =
            vec![network(self.hops, 1, 0), Expression::Bitwise { register: 0, mask: &[0xFE], xor: &[0] }];
        let mut rules = vec![returns(hops, true, &[0])];
        if self.len != IPV4.len {
            rules.push(endless(4));
            return rules;
        }
        rules.extend([
            // Options.
            returns(vec![network(0, 1, 0)], false, &[0x45]),
            endless(2),
            // Fragments, by offset and "more fragments" (RFC 791 section 3.1).
            returns(
                vec![
                    network(4, 4, 0),
                    Expression::Bitwise { register: 0, mask: &[0, 0, 0x3F, 0xFF], xor: &[0; 4] },
                ],
                false,
                &[0; 4],
            ),
        ]);
        rules
    }

    fn decide(&self, needs: Needs) -> Vec<Rule> {
        let [services, servers, own, fronts, whole_services, whole_servers] = self.sets;
        let (from, to) = ((self.src, 0), (self.dst, 2));
        let mut rules = Vec::new();
        if needs.fronts {
            rules.push([self.flow(to, fronts), vec![Expression::Return]].concat());
        }
        rules.push([self.flow(to, services), vec![Expression::Drop]].concat());
        if needs.whole_services {
            rules.push([self.whole(to, whole_services), vec![Expression::Drop]].concat());
        }
        let to_host = Expression::Lookup { register: 0, set: own };
        rules.push(vec![network(self.dst, self.len, 0), to_host, Expression::Return]);
        rules.push([self.flow(from, servers), vec![Expression::Drop]].concat());
        if needs.whole_servers {
            rules.push([self.whole(from, whole_servers), vec![Expression::Drop]].concat());
        }
        rules
    }

    /// Goes on when the set has address, protocol and port.
    fn flow(&self, (addr, port): (u32, u32), set: &'static str) -> Rule {
        let after = self.len / 4;
        vec![
            network(addr, self.len, 0),
            network(self.protocol, 1, after),
            transport(port, 2, after + 1),
            Expression::Lookup { register: 0, set },
        ]
    }

    /// Goes on when the set has address and protocol, and there is a port.
    fn whole(&self, (addr, port): (u32, u32), set: &'static str) -> Rule {
        let after = self.len / 4;
        vec![
            transport(port, 2, 0),
            network(addr, self.len, 0),
            network(self.protocol, 1, after),
            Expression::Lookup { register: 0, set },
        ]
    }
}

const fn network(offset: u32, len: u32, register: u32) -> Expression<'static> {
    Expression::Payload { base: Base::Network, offset, len, register }
}

const fn transport(offset: u32, len: u32, register: u32) -> Expression<'static> {
    Expression::Payload { base: Base::Transport, offset, len, register }
}
