//! Names of protocols.

/// Those that iptables knows by itself, and what else /etc/protocols has of what is met.
const PROTOCOLS: [(&str, u8); 14] = [
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("icmp", 1),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("esp", 50),
    ("ah", 51),
    ("sctp", 132),
    ("dccp", 33),
    ("igmp", 2),
    ("gre", 47),
    ("ospf", 89),
    ("vrrp", 112),
];

/// The name of a protocol, or its number.
pub(super) fn protocol(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, n)| *n == number);
    named.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// What a name or number stands for; 0 is every protocol.
pub(super) fn protocol_number(text: &str) -> Option<u8> {
    let text = text.to_ascii_lowercase();
    if text == "all" {
        return Some(0);
    }
    text.parse().ok().or_else(|| PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, n)| *n))
}
