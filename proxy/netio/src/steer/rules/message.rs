//! Our rules as netlink messages.

use super::{Action, Rule};
use crate::netlink::rule::{
    FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_TO_TBL, FRA_DPORT_RANGE, FRA_DST, FRA_FWMARK, FRA_FWMASK, FRA_GOTO,
    FRA_IIFNAME, FRA_IP_PROTO, FRA_PRIORITY, FRA_PROTOCOL, FRA_SPORT_RANGE, FRA_SRC, FRA_SUPPRESS_PREFIXLEN,
    FRA_TABLE, Fixed, is_inverted,
};
use crate::netlink::{Attributes, Message};
use crate::steer::TAG;
use crate::steer::host::Family;

fn header(family: Family, source_bits: u8, table: u32, action: u8) -> Fixed {
    // Larger ids are in the attribute alone.
    let table = u8::try_from(table).unwrap_or(0);
    [family.number(), 0, source_bits, 0, table, 0, 0, action, 0, 0, 0, 0]
}

pub(super) fn pack(kind: u16, flags: u16, family: Family, tag: u8, rule: &Rule) -> Message {
    let source_bits = if rule.source.is_some() { family.bits() } else { 0 };
    let mut fixed = match rule.action {
        Action::Table(table) => header(family, source_bits, table, FR_ACT_TO_TBL),
        Action::Goto(_) => header(family, source_bits, 0, FR_ACT_GOTO),
        Action::Nop => header(family, source_bits, 0, FR_ACT_NOP),
    };
    fixed[1] = if rule.dest.is_some() { family.bits() } else { 0 };
    let mut m = Message::new(kind, flags, &fixed).u32(FRA_PRIORITY, rule.preference).u8(FRA_PROTOCOL, tag);
    match rule.action {
        Action::Table(table) => m = m.u32(FRA_TABLE, table),
        Action::Goto(preference) => m = m.u32(FRA_GOTO, preference),
        Action::Nop => {}
    }
    if let Some(device) = &rule.input {
        m = m.string(FRA_IIFNAME, device);
    }
    if let Some(protocol) = rule.protocol {
        m = m.u8(FRA_IP_PROTO, protocol);
    }
    if let Some(mark) = rule.mark {
        m = m.u32(FRA_FWMARK, mark).u32(FRA_FWMASK, mark);
    }
    if let Some((ip, port)) = rule.source {
        m = m.address(FRA_SRC, ip);
        if port != 0 {
            let [a, b] = port.to_ne_bytes();
            m = m.bytes(FRA_SPORT_RANGE, &[a, b, a, b]);
        }
    }
    if let Some((ip, port)) = rule.dest {
        let [a, b] = port.to_ne_bytes();
        m = m.address(FRA_DST, ip).bytes(FRA_DPORT_RANGE, &[a, b, a, b]);
    }
    m
}

/// A rule with its protocol tag. What ours never have is left out, but makes the rule another one than any of ours.
pub(super) fn parse(family: Family, payload: &[u8]) -> Option<(Rule, u8)> {
    const FRA_UNSPEC: u16 = 0;
    const KNOWN: [u16; 14] = [
        FRA_UNSPEC,
        FRA_DST,
        FRA_SRC,
        FRA_IIFNAME,
        FRA_GOTO,
        FRA_PRIORITY,
        FRA_FWMARK,
        FRA_SUPPRESS_PREFIXLEN,
        FRA_TABLE,
        FRA_FWMASK,
        FRA_PROTOCOL,
        FRA_IP_PROTO,
        FRA_SPORT_RANGE,
        FRA_DPORT_RANGE,
    ];
    let fixed: &Fixed = payload.first_chunk()?;
    if fixed[0] != family.number() {
        return None;
    }
    let attributes = Attributes::after(payload, 12);
    let action = match fixed[7] {
        FR_ACT_TO_TBL => Action::Table(attributes.u32(FRA_TABLE).unwrap_or_else(|| fixed[4].into())),
        FR_ACT_GOTO => Action::Goto(attributes.u32(FRA_GOTO)?),
        FR_ACT_NOP => Action::Nop,
        _ => return None,
    };
    let tag = attributes.u8(FRA_PROTOCOL).unwrap_or(0);
    let port_of =
        |kind| attributes.get(kind).and_then(|range| range.first_chunk()).map(|p| u16::from_ne_bytes(*p));
    let with_port = |kind| move |ip| (ip, port_of(kind).unwrap_or(0));
    let rule = Rule {
        preference: attributes.u32(FRA_PRIORITY).unwrap_or(0),
        input: attributes.string(FRA_IIFNAME),
        protocol: attributes.u8(FRA_IP_PROTO),
        mark: attributes.u32(FRA_FWMARK),
        source: attributes.address(FRA_SRC).map(with_port(FRA_SPORT_RANGE)),
        dest: attributes.address(FRA_DST).map(with_port(FRA_DPORT_RANGE)),
        action,
    };
    let strange = (fixed[1] != 0 && fixed[1] != family.bits())
        || (fixed[2] != 0 && fixed[2] != family.bits())
        || fixed[3] != 0
        || is_inverted(fixed)
        || attributes.u32(FRA_SUPPRESS_PREFIXLEN).is_some_and(|len| len != u32::MAX)
        || attributes.into_iter().any(|(kind, _)| !KNOWN.contains(&kind));
    // A stranger can still look up the local table, but is not the plain rule that we displace.
    let rule = if strange && tag != TAG { Rule { input: Some(String::new()), ..rule } } else { rule };
    Some((rule, tag))
}
