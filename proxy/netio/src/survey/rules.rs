//! Policy routing rules, whoever made them.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::netlink::rule::{
    self, FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_TO_TBL, FRA_DST, FRA_FWMARK, FRA_FWMASK, FRA_GOTO, FRA_IIFNAME,
    FRA_IP_PROTO, FRA_OIFNAME, FRA_PRIORITY, FRA_PROTOCOL, FRA_SRC, FRA_TABLE, Fixed, TABLE_LOCAL,
    is_inverted,
};
use crate::netlink::{Attributes, NetlinkSocket};
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
    rule::all(netlink, family.number(), |fixed, payload| Some(parse(family, fixed, payload)))
}

fn parse(family: Family, fixed: &Fixed, payload: &[u8]) -> Rule {
    let attributes = Attributes::after(payload, 12);
    let prefix = |kind, bits| attributes.address(kind).map(|ip| (ip, bits));
    let mut words = Vec::new();
    if is_inverted(fixed) {
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
        FR_ACT_TO_TBL => match table {
            253 => "lookup default".to_owned(),
            254 => "lookup main".to_owned(),
            TABLE_LOCAL => "lookup local".to_owned(),
            other => format!("lookup {other}"),
        },
        FR_ACT_GOTO => format!("goto {}", attributes.u32(FRA_GOTO).unwrap_or_default()),
        FR_ACT_NOP => "nop".to_owned(),
        6 => "blackhole".to_owned(),
        7 => "unreachable".to_owned(),
        8 => "prohibit".to_owned(),
        other => format!("action {other}"),
    });
    Rule {
        preference: attributes.u32(FRA_PRIORITY).unwrap_or_default(),
        ipv6: family == Family::Ipv6,
        ours: attributes.u8(FRA_PROTOCOL) == Some(TAG),
        local: plain && fixed[7] == FR_ACT_TO_TBL && table == TABLE_LOCAL,
        to,
        words: words.join(" "),
    }
}
