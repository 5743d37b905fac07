//! What the engine decides about a frame.

use std::net::IpAddr;

use wire::frame::Tagged;
use wire::packet::ParseError;

use crate::front::Diverted;

/// What to do with the frame that was given to [`crate::Worker::process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Send the frame, which now carries the addresses of its next leg, this way.
    Transmit(Egress),
    /// Send the frame, which now holds an answer of our own (RST, ICMP error, echo reply).
    Reply,
    /// The frame is for whoever ends connections here (a front).
    Divert(Diverted),
    /// Give the frame back to the host's stack: it is not ours.
    Pass,
    /// Forget the frame: a copy of it waits for what will decide about it, the first fragment of its datagram.
    Wait,
    /// Forget the frame.
    Drop(DropReason),
}

/// Which way a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// By the host's routing, to the destination address of the packet.
    Route,
    /// To a neighbour's link address, whatever the addresses of the packet: DR.
    Neighbour {
        /// Index of the device.
        device: u32,
        /// The neighbour's address on that link.
        next_hop: IpAddr,
    },
    /// The way that the client's packets come, which are tagged: no route leads there.
    Back(Tagged),
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a frame was dropped. Each has a counter of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in counters and listings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line that says what it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

drop_reasons! {
    /// Shorter than its headers say.
    Truncated = "truncated",
    /// Neither IPv4 nor IPv6.
    BadVersion = "bad-version",
    /// A header that says that it is shorter than any.
    BadHeaderLength = "bad-header-length",
    /// An IP or UDP length that cannot be.
    BadLength = "bad-length",
    /// IPv6 extension headers in an order or number that cannot be.
    BadExtension = "bad-extension",
    /// It has no hop left, and whom it is for is elsewhere.
    HopsUsedUp = "hops-used-up",
    /// It would have begun something, or been answered, but its IPv4 header has a wrong checksum.
    BadHeaderChecksum = "bad-header-checksum",
    /// It would have been refused, but is damaged: its transport checksum is wrong.
    BadChecksum = "bad-checksum",
    /// For a VIP, by a way that its sender has chosen: a source route, or a routing header that is not used up.
    SourceRoute = "source-route",
    /// For a VIP, from an address that no host can have, or from a VIP that is nobody's; or by a link, from this host's own.
    MartianSource = "martian-source",
    /// For a VIP, from the same address.
    Land = "land",
    /// A fragment that is forwarded as a part of nothing: of an ICMP error, or of a connection whose segments are edited.
    Fragment = "fragment",
    /// A fragment that no datagram can have: nothing in it, a gap behind it, or an end beyond 65,535 bytes.
    BadFragment = "bad-fragment",
    /// Of a datagram whose fragments overlap (RFC 5722), or a fragment that came twice.
    FragmentOverlap = "fragment-overlap",
    /// A fragment that has waited in vain for the first one of its datagram, which has the ports.
    FragmentUnclaimed = "fragment-unclaimed",
    /// More fragments, or bytes of them that wait for the first one, than are kept.
    FragmentLimit = "fragment-limit",
    /// A transport protocol that no service can have, sent to a VIP that is nobody's address.
    UnknownProtocol = "unknown-protocol",
    /// An ICMP message to a VIP that belongs to no connection.
    IcmpUnrelated = "icmp-unrelated",
    /// An ICMP error about a packet of a tunnel, which has been heeded: the sender of the packet inside need not know.
    IcmpHeeded = "icmp-heeded",
    /// Of a connection that belongs to another VLAN.
    OtherVlan = "other-vlan",
    /// With a VLAN tag that the host has no device for, and for nobody but the host.
    TaggedForHost = "tagged-for-host",
    /// Of no connection, between two others, on a host that is no router.
    NotForwarded = "not-forwarded",
    /// The connection table holds as many connections as it may.
    TableFull = "table-full",
    /// No server whose reply tuple is free: another connection of this client already uses it.
    ReplyTupleTaken = "reply-tuple-taken",
    /// The packet could have begun a connection, and the defence against floods (drop_packet) let it not.
    Defence = "defence",
    /// The host has no way to the server (DR, tunnels).
    NoRoute = "no-route",
    /// The server is this host itself, and the VIP is no address of it (DR, tunnels).
    VipNotLocal = "vip-not-local",
    /// The server is a loopback address of this host, which no packet can be rewritten to (NAT, FullNAT).
    LoopbackServer = "loopback-server",
    /// The connection's server was removed from its service.
    DestRemoved = "dest-removed",
    /// All ports of the local addresses are taken towards this server (FullNAT).
    PortsExhausted = "ports-exhausted",
    /// The host has no address of the server's family that it could be spoken to from (FullNAT, tunnels).
    NoLocalAddress = "no-local-address",
    /// For a service whose clients are told apart by their calls (SIP), but it has no Call-ID.
    NoCallId = "no-call-id",
    /// It was to be refused with a reset or an ICMP error, of which too many have been sent lately.
    RefusalsLimited = "refusals-limited",
    /// Nobody to take it, or too big, and no answer is due: to a reset, an ICMP error, a later fragment, a broadcast.
    Unanswerable = "unanswerable",
}

impl From<ParseError> for DropReason {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Truncated => Self::Truncated,
            ParseError::BadVersion => Self::BadVersion,
            ParseError::BadHeaderLength => Self::BadHeaderLength,
            ParseError::BadLength => Self::BadLength,
            ParseError::BadExtension => Self::BadExtension,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_a_name_and_a_meaning() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert!(!reason.name().is_empty() && reason.meaning().ends_with('.'), "{reason:?}");
        }
    }
}
