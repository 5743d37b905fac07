//! What the engine decides about a frame.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wire::frame::Tagged;
use wire::packet::ParseError;

use crate::front::Diverted;

/// What to do with the frame that was given to [`crate::Worker::process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $cause:literal;)+) => {
        /// Why a frame was dropped. Each has a counter of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum DropReason {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in counters and listings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What is usually behind it, and what to do about that.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause,)+ }
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
        "A capture length or an MTU cut the packet on its way, or somebody crafted it.";
    /// Neither IPv4 nor IPv6.
    BadVersion = "bad-version",
        "Something that is not IP was sent to a device of ours; seldom, a damaged frame.";
    /// A header that says that it is shorter than any.
    BadHeaderLength = "bad-header-length",
        "Damaged on its way, or crafted: a scanner.";
    /// An IP or UDP length that cannot be.
    BadLength = "bad-length",
        "Damaged on its way, or crafted: a scanner. A network card with broken offload makes them too.";
    /// IPv6 extension headers in an order or number that cannot be.
    BadExtension = "bad-extension",
        "A scanner of IPv6 firewalls; no honest host sends such headers.";
    /// It has no hop left, and whom it is for is elsewhere.
    HopsUsedUp = "hops-used-up",
        "A traceroute that passes by here, or a routing loop: see where the packet has come from, twice.";
    /// It would have begun something, or been answered, but its IPv4 header has a wrong checksum.
    BadHeaderChecksum = "bad-header-checksum",
        "A bad cable, memory or network card on its way; a tool that crafts packets without checksums.";
    /// It would have been refused, but is damaged: its transport checksum is wrong.
    BadChecksum = "bad-checksum",
        "A network card or a virtual link that leaves checksums to others and says that it has not: `ethtool -K DEV tx off` on the sender shows whether it is that.";
    /// For a VIP, by a way that its sender has chosen: a source route, or a routing header that is not used up.
    SourceRoute = "source-route",
        "A scanner. Nobody uses source routes to reach a service.";
    /// For a VIP, from an address that no host can have, or from a VIP that is nobody's; or by a link, from this host's own.
    MartianSource = "martian-source",
        "Somebody forges addresses; or a host on this network has taken the VIP: two directors, or a DR server that answers for it.";
    /// For a VIP, from the same address.
    Land = "land",
        "Somebody forges addresses (a LAND attack).";
    /// A fragment that is forwarded as a part of nothing: of an ICMP error, or of a connection whose segments are edited.
    Fragment = "fragment",
        "A segment cut on its way by a link with a small MTU, where segments are edited (PROXY protocol, TOA, FTP, SCTP ports): lower the MSS (`--mss`) or mend the path MTU.";
    /// A fragment that no datagram can have: nothing in it, a gap behind it, or an end beyond 65,535 bytes.
    BadFragment = "bad-fragment",
        "Crafted: no IP stack makes such fragments.";
    /// Of a datagram whose fragments overlap (RFC 5722), or a fragment that came twice.
    FragmentOverlap = "fragment-overlap",
        "An attack on reassembly; or a network that delivers packets twice.";
    /// A fragment that has waited in vain for the first one of its datagram, which has the ports.
    FragmentUnclaimed = "fragment-unclaimed",
        "The first fragment was lost or filtered on its way: firewalls drop fragments, and routes with several paths reorder them.";
    /// More fragments, or bytes of them that wait for the first one, than are kept.
    FragmentLimit = "fragment-limit",
        "A flood of fragments, or a great deal of UDP in pieces: have the senders use smaller datagrams.";
    /// A transport protocol that no service can have, sent to a VIP that is nobody's address.
    UnknownProtocol = "unknown-protocol",
        "Something other than TCP, UDP, SCTP and ICMP was sent to the VIP: a VPN or a routing protocol configured with the wrong address.";
    /// An ICMP message to a VIP that belongs to no connection.
    IcmpUnrelated = "icmp-unrelated",
        "An error about a connection that has ended, or about one that never came by here; or a ping of a kind that is not answered.";
    /// An ICMP error about a packet of a tunnel, which has been heeded: the sender of the packet inside need not know.
    IcmpHeeded = "icmp-heeded",
        "A router on the way to a tunnelled server has said what fits: that is heeded, and nothing is lost.";
    /// Of a connection that belongs to another VLAN.
    OtherVlan = "other-vlan",
        "Two VLANs have clients of the same address, or a client has moved to another one: its connection ends by itself.";
    /// With a VLAN tag that the host has no device for, and for nobody but the host.
    TaggedForHost = "tagged-for-host",
        "Something in a VLAN that the director has no device for speaks to the director itself: give the host one (`ip link add link DEV name DEV.ID type vlan id ID`), or leave it.";
    /// Of no connection, between two others, on a host that is no router.
    NotForwarded = "not-forwarded",
        "The director is used as a router and may not be one: `ip_forward` is 0; or a server's reply to a connection that has ended here.";
    /// The connection table holds as many connections as it may.
    TableFull = "table-full",
        "As many connections as there is room for, often a flood of SYNs: raise `max_connections`, or set `drop_entry` and `drop_packet`.";
    /// No server whose reply tuple is free: another connection of this client already uses it.
    ReplyTupleTaken = "reply-tuple-taken",
        "The same client port speaks to the same server through two services, or through a NAT that many clients share: give servers a port for each service.";
    /// The packet could have begun a connection, and the defence against floods (drop_packet) let it not.
    Defence = "defence",
        "`drop_packet` is on: always, or because room for connections is short.";
    /// The host has no way to the server (DR, tunnels).
    NoRoute = "no-route",
        "The neighbour does not answer, or the route to the server is missing: `ip route get SERVER` and `ip neigh` on the director.";
    /// The server is this host itself, and the VIP is no address of it (DR, tunnels).
    VipNotLocal = "vip-not-local",
        "The director is its own server by DR or a tunnel, and does not have the VIP: add it to `lo`.";
    /// The server is a loopback address of this host, which no packet can be rewritten to (NAT, FullNAT).
    LoopbackServer = "loopback-server",
        "A server at 127.0.0.1 or ::1: give the service an address of the director instead.";
    /// The connection's server was removed from its service.
    DestRemoved = "dest-removed",
        "The client still sends on a connection whose server was removed from the service; it ends by itself.";
    /// The rest of a datagram that began to go to a server before that was found dead.
    DestDown = "dest-down",
        "The server died while a datagram was on its way in fragments: its sender sends the whole again, or goes without.";
    /// All ports of the local addresses are taken towards this server (FullNAT).
    PortsExhausted = "ports-exhausted",
        "More connections to one server than local ports: add local addresses (`ipvsadm --add-laddr`), or servers.";
    /// The host has no address of the server's family that it could be spoken to from (FullNAT, tunnels).
    NoLocalAddress = "no-local-address",
        "FullNAT or a tunnel to a server whose family the director has no address of: add one, or a local address to the service.";
    /// For a service whose clients are told apart by their calls (SIP), but it has no Call-ID.
    NoCallId = "no-call-id",
        "Something that is not SIP over UDP was sent to a service with `--pe sip`.";
    /// It was to be refused with a reset or an ICMP error, of which too many have been sent lately.
    RefusalsLimited = "refusals-limited",
        "A flood, or a port scan, of ports that nobody serves.";
    /// Nobody to take it, or too big, and no answer is due: to a reset, an ICMP error, a later fragment, a broadcast.
    Unanswerable = "unanswerable",
        "A reset, an ICMP error or a broadcast that belongs to nothing: late packets of connections that have ended.";
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
    fn every_reason_has_its_place_a_name_a_meaning_and_a_cause() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert!(reason.cause().ends_with('.'), "{reason:?}");
            assert!(!reason.name().is_empty() && reason.meaning().ends_with('.'), "{reason:?}");
        }
    }
}
