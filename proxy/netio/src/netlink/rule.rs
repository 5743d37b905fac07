//! Policy routing rules, as netlink has them (`linux/fib_rules.h`).

use std::io;

use super::{Message, NetlinkSocket};

pub(crate) const RTM_NEWRULE: u16 = 32;
pub(crate) const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;

pub(crate) const FRA_DST: u16 = 1;
pub(crate) const FRA_SRC: u16 = 2;
pub(crate) const FRA_IIFNAME: u16 = 3;
pub(crate) const FRA_GOTO: u16 = 4;
pub(crate) const FRA_PRIORITY: u16 = 6;
pub(crate) const FRA_FWMARK: u16 = 10;
pub(crate) const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
pub(crate) const FRA_TABLE: u16 = 15;
pub(crate) const FRA_FWMASK: u16 = 16;
pub(crate) const FRA_OIFNAME: u16 = 17;
pub(crate) const FRA_PROTOCOL: u16 = 21;
pub(crate) const FRA_IP_PROTO: u16 = 22;
pub(crate) const FRA_SPORT_RANGE: u16 = 23;
pub(crate) const FRA_DPORT_RANGE: u16 = 24;

pub(crate) const FR_ACT_TO_TBL: u8 = 1;
pub(crate) const FR_ACT_GOTO: u8 = 2;
pub(crate) const FR_ACT_NOP: u8 = 3;

/// The table of the host's own addresses.
pub(crate) const TABLE_LOCAL: u32 = 255;

/// `struct fib_rule_hdr`: family, bits of destination and source, TOS, table, two reserved, action, flags. Attributes follow.
pub(crate) type Fixed = [u8; 12];

/// Whether a rule is about what does not match.
pub(crate) fn is_inverted(fixed: &Fixed) -> bool {
    const FIB_RULE_INVERT: u32 = 2;
    let [.., a, b, c, d] = *fixed;
    u32::from_ne_bytes([a, b, c, d]) & FIB_RULE_INVERT != 0
}

/// What `each` makes of all the rules of a family, by its number.
pub(crate) fn all<T>(
    netlink: &mut NetlinkSocket,
    family: u8,
    mut each: impl FnMut(&Fixed, &[u8]) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut query: Fixed = [0; 12];
    query[0] = family;
    netlink.dump(&Message::new(RTM_GETRULE, 0, &query), |kind, payload| {
        let fixed = payload.first_chunk()?;
        if kind == RTM_NEWRULE && fixed[0] == family { each(fixed, payload) } else { None }
    })
}
