//! Asking the kernel for a route: for one packet, what its tables, rules and path MTU exceptions come to.

use std::io;
use std::net::IpAddr;

use super::{Attributes, Message, NetlinkSocket};

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RTA_NEWDST: u16 = 19;
const RTA_ENCAP_TYPE: u16 = 21;
const RTAX_MTU: u16 = 2;

const RTN_UNICAST: u8 = 1;

/// A packet to be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) to: IpAddr,
    pub(crate) from: Option<IpAddr>,
    /// The device that it has come in by; None for one of this host's own.
    pub(crate) input: Option<u32>,
    /// Ask for the route as it stands in its table, with all of its ways.
    pub(crate) as_it_stands: bool,
}

impl Question {
    /// A packet of this host's own.
    pub(crate) const fn to(to: IpAddr) -> Self {
        Self { to, from: None, input: None, as_it_stands: false }
    }
}

/// What the kernel answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// To one other host: not to this one, nor to several.
    pub(crate) unicast: bool,
    pub(crate) device: Option<u32>,
    pub(crate) source: Option<IpAddr>,
    /// The router, where there is one in between.
    pub(crate) gateway: Option<IpAddr>,
    /// The route's MTU, where it has one (a path MTU exception among others).
    pub(crate) mtu: Option<u32>,
    /// It has more than one way. Only known of a route as it stands.
    pub(crate) several: bool,
    /// Something is put around the packet, or its labels are changed.
    pub(crate) rewrites: bool,
}

/// Asks. Where there is no way, that is an error: the one that the packet would meet.
pub(crate) fn ask(netlink: &mut NetlinkSocket, question: &Question) -> io::Result<Answer> {
    const RTM_F_FIB_MATCH: u32 = 0x2000;
    let (family, bits) = match question.to {
        IpAddr::V4(_) => (libc::AF_INET as u8, 32),
        IpAddr::V6(_) => (libc::AF_INET6 as u8, 128),
    };
    let mut fixed = [family, bits, if question.from.is_some() { bits } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if question.as_it_stands {
        fixed[8..].copy_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
    }
    let mut query = Message::new(RTM_GETROUTE, 0, &fixed).address(RTA_DST, question.to);
    if let Some(from) = question.from {
        query = query.address(RTA_SRC, from);
    }
    if let Some(input) = question.input {
        query = query.u32(RTA_IIF, input);
    }
    let mut answer = Answer::default();
    netlink.query(query, |kind, payload| {
        if kind == RTM_NEWROUTE {
            answer = parse(payload);
        }
    })?;
    Ok(answer)
}

fn parse(payload: &[u8]) -> Answer {
    let attributes = Attributes::after(payload, 12);
    Answer {
        unicast: payload.get(7) == Some(&RTN_UNICAST),
        device: attributes.u32(RTA_OIF),
        source: attributes.address(RTA_PREFSRC),
        gateway: attributes.address(RTA_GATEWAY).or_else(|| via(attributes.get(RTA_VIA)?)),
        mtu: attributes.nested(RTA_METRICS).u32(RTAX_MTU),
        several: attributes.get(RTA_MULTIPATH).is_some(),
        rewrites: attributes.into_iter().any(|(kind, _)| kind == RTA_ENCAP_TYPE || kind == RTA_NEWDST),
    }
}

/// A router of the other family (`struct rtvia`: the family, then its address).
fn via(value: &[u8]) -> Option<IpAddr> {
    let address = value.get(2..)?;
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(address).ok()?));
    v4().or_else(|| Some(IpAddr::from(<[u8; 16]>::try_from(address).ok()?)))
}
