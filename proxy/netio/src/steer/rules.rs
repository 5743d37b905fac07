//! The policy routing rules, a constant few of each family, and the way back of the one that they displace.
//!
//! In order of preference:
//!
//! | preference | rule | |
//! |---|---|---|
//! | 0 | `fwmark FRONT lookup 11704` | packets to fronts, to this host |
//! | 1 | `iif TUN goto 12` | what is written to the device goes where it would have gone without us |
//! | 1 | `fwmark OWN goto 12` | packets of this host's own sockets, where early demux cannot be turned off |
//! | 2, 3, 4 | `ipproto tcp`, `udp`, `sctp` `lookup 11701` | packets for VIPs, even where the host has the address |
//! | 5 | `ipproto icmp lookup 11701` | IPv4 only: neighbour discovery would come along; see `marks` |
//! | 7 | `fwmark STEERED lookup 11702` | replies of servers, and errors about packets to them |
//! | 9 | `lookup local` | moved here from 0 |
//! | 10 | `lookup 11703` | VIPs that are nobody's address, for other protocols and for neighbours who ask |
//! | 11 | `fwmark STEERED lookup 11702` | instead of 7 where sockets take their packets before they are routed |
//! | 12 | `lookup local` | for what comes from the device; 10 is not for it |
//!
//! The reverse path check asks with the device that a packet will leave through as input interface: of what goes to our
//! device it finds rule 1, so that neither the VIPs' routes nor, with `src_valid_mark`, the mark lead it astray.
//!
//! They come before any other rule, as `lookup local` at 0 did. Per protocol, because without that the host would
//! stop answering ARP for a VIP of its own. All carry protocol 117, by which they are found again.

mod message;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use self::message::{pack, parse};
use super::host::Family;
use super::marks::{FRONT, OWN, STEERED, one_by_one};
use super::routes::{FRONTS, NOBODYS, RETURN, VIPS};
use super::{SteerError, TAG};
use crate::netlink::rule::{self, RTM_DELRULE, RTM_NEWRULE, TABLE_LOCAL};
use crate::netlink::{CREATE, EXCL, NetlinkSocket, Tolerate};

/// What a rule does with a packet that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Table(u32),
    Goto(u32),
    Nop,
}

/// One rule of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    preference: u32,
    input: Option<String>,
    protocol: Option<u8>,
    mark: Option<u32>,
    /// Address and port, 0 for any.
    source: Option<(IpAddr, u16)>,
    /// Address and port.
    dest: Option<(IpAddr, u16)>,
    action: Action,
}

impl Rule {
    const fn new(preference: u32, action: Action) -> Self {
        Self { preference, input: None, protocol: None, mark: None, source: None, dest: None, action }
    }

    fn input(self, device: &str) -> Self {
        Self { input: Some(device.to_owned()), ..self }
    }

    fn protocol(self, number: i32) -> Self {
        Self { protocol: u8::try_from(number).ok(), ..self }
    }

    fn mark(self, mark: u32) -> Self {
        Self { mark: Some(mark), ..self }
    }
}

/// What decides which rules there shall be.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) family: Family,
    /// Name of our device.
    pub(super) tun: &'a str,
    /// Packets are marked; else each server gets a rule.
    pub(super) marks: bool,
    /// Packets of this host's own sockets are marked.
    pub(super) sockets: bool,
    /// Established sockets take packets before routing does: see [`super::Notice::EarlyDemux`].
    pub(super) local_first: bool,
    /// `lookup local` is or was at 0. Else somebody has put it elsewhere, where it stays.
    pub(super) local_at_0: bool,
    pub(super) servers: &'a BTreeSet<(u8, SocketAddr)>,
    pub(super) fronts: &'a BTreeSet<SocketAddr>,
}

impl Plan<'_> {
    /// The rules.
    pub(super) fn rules(&self) -> BTreeSet<Rule> {
        const END: u32 = 12;
        let local = if self.local_at_0 { Action::Table(TABLE_LOCAL) } else { Action::Nop };
        let to_vips = |preference, protocol| Rule::new(preference, Action::Table(VIPS)).protocol(protocol);

        let mut rules = BTreeSet::from([
            Rule::new(1, Action::Goto(END)).input(self.tun),
            to_vips(2, libc::IPPROTO_TCP),
            to_vips(3, libc::IPPROTO_UDP),
            to_vips(4, libc::IPPROTO_SCTP),
            Rule::new(9, local),
            Rule::new(10, Action::Table(NOBODYS)),
            Rule::new(END, local),
        ]);
        if self.family == Family::Ipv4 {
            rules.insert(to_vips(5, libc::IPPROTO_ICMP));
        }
        if self.sockets {
            rules.insert(Rule::new(1, Action::Goto(END)).mark(OWN));
        }
        let fronts = self.fronts.iter().filter(|front| Family::of(front.ip()) == self.family);
        let to_fronts = Rule::new(0, Action::Table(FRONTS));
        if self.marks {
            rules.extend(fronts.map(|_| to_fronts.clone().mark(FRONT)));
        } else {
            rules.extend(fronts.map(|front| Rule {
                dest: Some((front.ip(), front.port())),
                ..to_fronts.clone().protocol(libc::IPPROTO_TCP)
            }));
        }
        let replies = if self.local_first { 11 } else { 7 };
        if self.marks {
            rules.insert(Rule::new(replies, Action::Table(RETURN)).mark(STEERED));
        } else {
            let servers = self.servers.iter().filter(|(_, server)| Family::of(server.ip()) == self.family);
            let servers = servers.flat_map(|&(protocol, server)| one_by_one(protocol, server));
            rules.extend(servers.map(|(protocol, server)| Rule {
                source: Some((server.ip(), server.port())),
                ..Rule::new(replies, Action::Table(RETURN)).protocol(protocol.into())
            }));
        }
        rules
    }
}

/// The rule `lookup local` at preference 0, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Displaced {
    pub(crate) family: Family,
    /// Its protocol (who made it): the kernel itself, or nobody in particular.
    protocol: u8,
}

impl Displaced {
    /// As the kernel makes it.
    pub(super) const fn original(family: Family) -> Self {
        const RTPROT_KERNEL: u8 = 2;
        Self { family, protocol: RTPROT_KERNEL }
    }

    /// Puts it back.
    pub(super) fn restore(self, netlink: &mut NetlinkSocket) -> Result<(), SteerError> {
        let rule = Rule::new(0, Action::Table(TABLE_LOCAL));
        netlink
            .request(pack(RTM_NEWRULE, CREATE | EXCL, self.family, self.protocol, &rule))
            .tolerate(libc::EEXIST)
            .map_err(SteerError::netlink("put the rule `lookup local` back to preference 0"))
    }

    /// Takes it away.
    pub(super) fn remove(self, netlink: &mut NetlinkSocket) -> Result<(), SteerError> {
        let rule = Rule::new(0, Action::Table(TABLE_LOCAL));
        netlink
            .request(pack(RTM_DELRULE, 0, self.family, self.protocol, &rule))
            .tolerate(libc::ENOENT)
            .map_err(SteerError::netlink("move the rule `lookup local` from preference 0"))
    }
}

/// The rules of one family as they are.
#[derive(Debug)]
pub(super) struct Found {
    family: Family,
    ours: BTreeSet<Rule>,
    /// Somebody's `lookup local` at 0.
    pub(super) local_at_0: Option<Displaced>,
    /// Any rule but ours that looks up `local`.
    pub(super) has_local: bool,
}

impl Found {
    pub(super) fn read(netlink: &mut NetlinkSocket, family: Family) -> Result<Self, SteerError> {
        let all = rule::all(netlink, family.number(), |_, payload| parse(family, payload))
            .map_err(SteerError::netlink("read the policy routing rules"))?;
        let mut found = Self { family, ours: BTreeSet::new(), local_at_0: None, has_local: false };
        for (rule, protocol) in all {
            if protocol == TAG {
                found.ours.insert(rule);
                continue;
            }
            found.has_local |= rule.action == Action::Table(TABLE_LOCAL);
            if rule == Rule::new(0, Action::Table(TABLE_LOCAL)) {
                found.local_at_0 = Some(Displaced { family, protocol });
            }
        }
        Ok(found)
    }

    /// Whether any rule is ours.
    pub(super) fn any(&self) -> bool {
        !self.ours.is_empty()
    }

    /// Adds what is missing, then removes what is too many. Returns the number of changes.
    pub(super) fn become_(
        &self,
        netlink: &mut NetlinkSocket,
        want: &BTreeSet<Rule>,
    ) -> Result<usize, SteerError> {
        for rule in want.difference(&self.ours) {
            netlink
                .request(pack(RTM_NEWRULE, CREATE | EXCL, self.family, TAG, rule))
                .tolerate(libc::EEXIST)
                .map_err(SteerError::netlink("add a policy routing rule"))?;
        }
        for rule in self.ours.difference(want) {
            netlink
                .request(pack(RTM_DELRULE, 0, self.family, TAG, rule))
                .tolerate(libc::ENOENT)
                .map_err(SteerError::netlink("delete a policy routing rule"))?;
        }
        Ok(want.symmetric_difference(&self.ours).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(family: Family) -> Plan<'static> {
        static NONE: BTreeSet<(u8, SocketAddr)> = BTreeSet::new();
        static NO_FRONTS: BTreeSet<SocketAddr> = BTreeSet::new();
        let (marks, sockets, local_first, local_at_0) = (true, false, false, true);
        Plan {
            family,
            tun: "ulvs0",
            marks,
            sockets,
            local_first,
            local_at_0,
            servers: &NONE,
            fronts: &NO_FRONTS,
        }
    }

    #[test]
    fn each_rule_is_read_back_as_it_was_written() {
        let servers = BTreeSet::from(
            ["10.0.0.1:80", "[fd00::1]:80", "10.0.0.2:0"].map(|server| (6, server.parse().unwrap())),
        );
        let fronts = BTreeSet::from(["10.0.0.9:443", "[fd00::9]:443"].map(|front| front.parse().unwrap()));
        for family in [Family::Ipv4, Family::Ipv6] {
            let unmarked =
                Plan { marks: false, local_at_0: false, servers: &servers, fronts: &fronts, ..plan(family) };
            let sockets = Plan { sockets: true, local_first: true, fronts: &fronts, ..plan(family) };
            for rule in [plan(family), unmarked, sockets].iter().flat_map(Plan::rules) {
                let bytes = pack(RTM_NEWRULE, 0, family, TAG, &rule).into_payload();
                assert_eq!(parse(family, &bytes), Some((rule, TAG)));
            }
        }
    }

    #[test]
    fn the_number_of_rules_does_not_depend_on_the_servers() {
        let servers = (1..=1000).map(|port| (6, SocketAddr::new([10, 0, 0, 1].into(), port))).collect();
        let many = Plan { servers: &servers, ..plan(Family::Ipv4) };
        assert_eq!(many.rules(), plan(Family::Ipv4).rules());
        let unmarked = Plan { marks: false, ..many };
        assert!(unmarked.rules().len() > 1000);
    }

    #[test]
    fn a_server_of_any_port_and_protocol_has_a_rule_for_each_protocol() {
        let servers = BTreeSet::from([(0, "10.0.0.1:0".parse().unwrap())]);
        let unmarked = |servers| Plan { marks: false, servers, ..plan(Family::Ipv4) }.rules().into_iter();
        let of_server = |rule: &Rule| rule.source == Some(([10, 0, 0, 1].into(), 0));
        let protocols: Vec<_> = unmarked(&servers).filter(of_server).map(|rule| rule.protocol).collect();
        assert_eq!(protocols, [Some(6), Some(17), Some(132)]);
    }

    #[test]
    fn local_addresses_are_looked_up_behind_vips() {
        let rules = plan(Family::Ipv4).rules();
        let first = |action| rules.iter().find(|rule| rule.action == action).map(|rule| rule.preference);
        assert!(first(Action::Table(VIPS)) < first(Action::Table(TABLE_LOCAL)));
        assert!(first(Action::Table(TABLE_LOCAL)) < first(Action::Table(NOBODYS)));
        // Somebody has moved it: then it stays there, and only the end of the jump is ours.
        let moved = Plan { local_at_0: false, ..plan(Family::Ipv4) };
        assert!(moved.rules().iter().all(|rule| rule.action != Action::Table(TABLE_LOCAL)));
    }
}
