//! Policy routing rules, whoever made them.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::netlink::{Attributes, Message, NetlinkSocket};
use crate::steer::TAG;
use crate::steer::host::Family;

/// A policy routing rule. `Display` writes it as `ip rule add` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place in the order.
    pub preference: u32,
    /// Of which family.
    pub ipv6: bool,
    /// It is one of an engine of ours.
    pub ours: bool,
    /// It looks up the table of local addresses and asks for nothing: the kernel's first rule.
    pub local: bool,
    /// The prefix of destinations that it is about, where it is about some only.
    pub to: Option<(IpAddr, u8)>,
    /// Conditions and action, in the words of ip-rule(8).
    pub words: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pref {} {}", self.preference, self.words)
    }
}

impl Rule {
    /// The same rule elsewhere in the order.
    pub fn at(&self, preference: u32) -> Self {
        Self { preference, ..self.clone() }
    }
}

pub(super) fn rules(netlink: &mut NetlinkSocket, family: Family) -> io::Result<Vec<Rule>> {
    const RTM_NEWRULE: u16 = 32;
    const RTM_GETRULE: u16 = 34;
    let mut fixed = [0; 12];
    fixed[0] = family.number();
    netlink.dump(&Message::new(RTM_GETRULE, 0, &fixed), |kind, payload| {
        let fixed: &[u8; 12] = payload.first_chunk()?;
        (kind == RTM_NEWRULE && fixed[0] == family.number()).then(|| parse(family, fixed, payload))
    })
}

fn parse(family: Family, fixed: &[u8; 12], payload: &[u8]) -> Rule {
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_IIFNAME: u16 = 3;
    const FRA_GOTO: u16 = 4;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;
    const FRA_OIFNAME: u16 = 17;
    const FRA_PROTOCOL: u16 = 21;
    const FRA_IP_PROTO: u16 = 22;
    const FIB_RULE_INVERT: u32 = 2;
    const RT_TABLE_LOCAL: u32 = 255;
    let attributes = Attributes::after(payload, 12);
    let prefix = |kind, bits| attributes.address(kind).map(|ip| (ip, bits));
    let mut words = Vec::new();
    if u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]) & FIB_RULE_INVERT != 0 {
        words.push("not".to_owned());
    }
    match prefix(FRA_SRC, fixed[2]) {
        Some((ip, bits)) => words.push(format!("from {ip}/{bits}")),
        None => words.push("from all".to_owned()),
    }
    let to = prefix(FRA_DST, fixed[1]);
    words.extend(to.map(|(ip, bits)| format!("to {ip}/{bits}")));
    words.extend(attributes.string(FRA_IIFNAME).map(|name| format!("iif {name}")));
    words.extend(attributes.string(FRA_OIFNAME).map(|name| format!("oif {name}")));
    if let Some(mark) = attributes.u32(FRA_FWMARK) {
        let mask = attributes.u32(FRA_FWMASK).unwrap_or(u32::MAX);
        words.push(format!("fwmark {mark:#x}/{mask:#x}"));
    }
    words.extend(attributes.u8(FRA_IP_PROTO).map(|number| format!("ipproto {number}")));
    let table = attributes.u32(FRA_TABLE).unwrap_or_else(|| fixed[4].into());
    let plain = words == ["from all"];
    words.push(match fixed[7] {
        1 => match table {
            253 => "lookup default".to_owned(),
            254 => "lookup main".to_owned(),
            RT_TABLE_LOCAL => "lookup local".to_owned(),
            other => format!("lookup {other}"),
        },
        2 => format!("goto {}", attributes.u32(FRA_GOTO).unwrap_or_default()),
        3 => "nop".to_owned(),
        6 => "blackhole".to_owned(),
        7 => "unreachable".to_owned(),
        8 => "prohibit".to_owned(),
        other => format!("action {other}"),
    });
    Rule {
        preference: attributes.u32(FRA_PRIORITY).unwrap_or_default(),
        ipv6: family == Family::Ipv6,
        ours: attributes.u8(FRA_PROTOCOL) == Some(TAG),
        local: plain && fixed[7] == 1 && table == RT_TABLE_LOCAL,
        to,
        words: words.join(" "),
    }
}
