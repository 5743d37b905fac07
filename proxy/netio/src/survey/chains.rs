//! The chains of nf_tables that forwarded packets meet, iptables's (in their nf_tables form) among them: just enough to
//! tell that one of them drops what it was told nothing of.

use std::collections::BTreeSet;
use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::netlink::{Attributes, Message, NetlinkSocket};

/// Where a chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that pass through.
    Forward,
    /// Anywhere else.
    Other,
}

/// A chain that packets meet by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// `ip`, `ip6` or `inet`.
    pub family: &'static str,
    /// The table that it is in.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where it hangs.
    pub hook: Hook,
    /// What no rule accepts is dropped.
    pub drops: bool,
    /// Devices by which everything may come in, as a rule without another condition says,
    pub accepts_from: BTreeSet<String>,
    /// and go out.
    pub accepts_to: BTreeSet<String>,
}

const SUBSYSTEM: u16 = 10;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;

/// All of IPv4 and IPv6; none where the kernel has no nf_tables.
///
/// # Errors
/// Without `CAP_NET_ADMIN`.
pub fn chains() -> io::Result<Vec<BaseChain>> {
    let mut netlink = match NetlinkSocket::open(NETLINK_NETFILTER) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        netlink => netlink?,
    };
    let mut found = match netlink.dump(&query(GET_CHAIN), chain) {
        // The protocol is there, and nobody has loaded nf_tables.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {
            return Ok(Vec::new());
        }
        found => found?,
    };
    if found.iter().any(|chain| chain.drops) {
        for Accept { family, table, chain, input, device } in netlink.dump(&query(GET_RULE), accept)? {
            let its = |at: &&mut BaseChain| at.family == family && at.table == table && at.name == chain;
            if let Some(at) = found.iter_mut().find(its) {
                if input { &mut at.accepts_from } else { &mut at.accepts_to }.insert(device);
            }
        }
    }
    Ok(found)
}

fn query(command: u16) -> Message {
    Message::new(SUBSYSTEM << 8 | command, 0, &[0; 4])
}

fn family(number: u8) -> Option<&'static str> {
    [(1, "inet"), (2, "ip"), (10, "ip6")].into_iter().find(|(n, _)| *n == number).map(|(_, name)| name)
}

fn chain(kind: u16, payload: &[u8]) -> Option<BaseChain> {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    const NFTA_CHAIN_HOOK: u16 = 4;
    const NFTA_CHAIN_POLICY: u16 = 5;
    const NFTA_HOOK_HOOKNUM: u16 = 1;
    const NF_DROP: u32 = 0;
    let attributes = Attributes::after(payload, 4);
    let hook = match attributes.nested(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM)? {
        2 => Hook::Forward,
        _ => Hook::Other,
    };
    let chain = BaseChain {
        family: family(*payload.first()?)?,
        table: attributes.string(NFTA_CHAIN_TABLE)?,
        name: attributes.string(NFTA_CHAIN_NAME)?,
        hook,
        drops: attributes.be32(NFTA_CHAIN_POLICY) == Some(NF_DROP),
        accepts_from: BTreeSet::new(),
        accepts_to: BTreeSet::new(),
    };
    (kind == SUBSYSTEM << 8 | NEW_CHAIN).then_some(chain)
}

/// A rule that accepts all that one device receives or sends.
struct Accept {
    family: &'static str,
    table: String,
    chain: String,
    input: bool,
    device: String,
}

fn accept(kind: u16, payload: &[u8]) -> Option<Accept> {
    const NFTA_RULE_TABLE: u16 = 1;
    const NFTA_RULE_CHAIN: u16 = 2;
    const NFTA_RULE_EXPRESSIONS: u16 = 4;
    const NFTA_EXPR_NAME: u16 = 1;
    const NFTA_EXPR_DATA: u16 = 2;
    const NFTA_META_KEY: u16 = 2;
    const NFTA_CMP_OP: u16 = 2;
    const NFTA_CMP_DATA: u16 = 3;
    const NFTA_DATA_VALUE: u16 = 1;
    const NFTA_IMMEDIATE_DATA: u16 = 2;
    const NFTA_DATA_VERDICT: u16 = 2;
    const NFTA_VERDICT_CODE: u16 = 1;
    const NFT_META_IIFNAME: u32 = 6;
    const NFT_META_OIFNAME: u32 = 7;
    const NF_ACCEPT: u32 = 1;
    let attributes = Attributes::after(payload, 4);
    let (mut input, mut device, mut accepted) = (None, None, false);
    for (_, expression) in attributes.nested(NFTA_RULE_EXPRESSIONS) {
        let expression = Attributes::after(expression, 0);
        let data = expression.nested(NFTA_EXPR_DATA);
        match expression.string(NFTA_EXPR_NAME)?.as_str() {
            "meta" if input.is_none() => match data.be32(NFTA_META_KEY)? {
                NFT_META_IIFNAME => input = Some(true),
                NFT_META_OIFNAME => input = Some(false),
                _ => return None,
            },
            "cmp" if device.is_none() && data.be32(NFTA_CMP_OP)? == 0 => {
                device = data.nested(NFTA_CMP_DATA).string(NFTA_DATA_VALUE);
            }
            "counter" => {}
            "immediate" => {
                let verdict = data.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT);
                accepted = verdict.be32(NFTA_VERDICT_CODE)? == NF_ACCEPT;
            }
            _ => return None,
        }
    }
    let accept = Accept {
        family: family(*payload.first()?)?,
        table: attributes.string(NFTA_RULE_TABLE)?,
        chain: attributes.string(NFTA_RULE_CHAIN)?,
        input: input?,
        device: device?,
    };
    (accepted && kind == SUBSYSTEM << 8 | NEW_RULE).then_some(accept)
}
