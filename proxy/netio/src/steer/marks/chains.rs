//! The chains of the table: what is marked, in what order.

use super::{FRONT, OWN, STEERED};
use crate::nft::{Base, Change, Expression, Hook, Meta, Table};

/// Rules that are left out where nothing needs them, as each packet would pass them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// There are fronts.
    pub(super) fronts: bool,
    /// There are devices to keep from forwarding.
    pub(super) guards: bool,
    /// There are servers that answer from any port.
    pub(super) whole_servers: bool,
}

/// `sockets`: packets that belong to a socket are told apart; `of_fronts`: those of fronts can be;
/// `front_sockets`: they are spoken to by servers.
pub(super) fn chains(
    table: &Table,
    tun: u32,
    sockets: bool,
    (of_fronts, front_sockets): (bool, bool),
    needs: Needs,
) -> Vec<Change> {
    const MANGLE: i32 = -150;
    let tun = tun.to_ne_bytes();
    let from_tun = [
        Expression::Meta { key: Meta::InputInterface, register: 0 },
        Expression::Compare { register: 0, equal: true, value: &tun },
    ];
    let mut changes = vec![table.chain("prerouting", "filter", Hook::Prerouting, MANGLE)];
    if needs.fronts {
        // Even what this host itself says to one, which has been to our device.
        for matches in fronts(of_fronts) {
            changes.push(table.rule("prerouting", &marking(matches, FRONT)));
        }
    }
    changes.push(table.rule("prerouting", &[&from_tun[..], &[Expression::Accept]].concat()));
    if front_sockets && of_fronts {
        for matches in replies(needs) {
            changes.push(table.rule("prerouting", &to_socket_of_front(matches)));
        }
    }
    if sockets {
        changes.extend(own_sockets(table));
    }
    for matches in replies(needs).into_iter().chain([fragment4(), fragment6()]) {
        changes.push(table.rule("prerouting", &marking(matches, STEERED)));
    }
    // Nearly everything else: spared what follows, which is about ICMP.
    for protocol in [TCP, UDP] {
        changes.push(table.rule("prerouting", &[&of_protocol(protocol)[..], &[Expression::Accept]].concat()));
    }
    for matches in incoming_icmp() {
        changes.push(table.rule("prerouting", &marking(matches, STEERED)));
    }
    changes.push(table.chain("output", "route", Hook::Output, MANGLE));
    for matches in outgoing(needs) {
        changes.push(table.rule("output", &marking(matches, STEERED)));
    }
    if needs.guards {
        changes.extend(guard_forwarding(table, &tun));
    }
    changes
}

/// Devices whose forwarding was turned on for our sake forward to ours and nowhere else.
fn guard_forwarding(table: &Table, tun: &[u8]) -> Vec<Change> {
    const FILTER: i32 = 0;
    let mut changes = vec![table.chain("forward", "filter", Hook::Forward, FILTER)];
    for (family, set) in [(IPV4, "guarded4"), (IPV6, "guarded6")] {
        let mut guard = vec![Expression::Meta { key: Meta::InputInterface, register: 0 }];
        guard.push(Expression::Lookup { register: 0, set });
        guard.push(Expression::Meta { key: Meta::OutputInterface, register: 0 });
        guard.push(Expression::Compare { register: 0, equal: false, value: tun });
        guard.push(Expression::Drop);
        changes.push(table.rule("forward", &[&of_family(family)[..], &guard].concat()));
    }
    changes
}

/// Marks what belongs to an established connection of this host. A socket that listens on every address does not
/// count: it may well listen on the port of a service.
fn own_sockets(table: &Table) -> Vec<Change> {
    const CHAIN: &str = "sockets";
    let listens = [
        Expression::SocketWildcard { register: 0 },
        Expression::Compare { register: 0, equal: true, value: &[1] },
        Expression::Return,
    ];
    vec![
        table.subchain(CHAIN),
        table.rule(CHAIN, &listens),
        table.rule(CHAIN, &marking(vec![Expression::SocketTransparent { register: 0 }], OWN)),
        table.rule("prerouting", &[Expression::Jump { chain: CHAIN }]),
    ]
}

type Match = Vec<Expression<'static>>;

/// What is for fronts, and the errors about what they say. `of_fronts`: only where a socket of theirs takes it. One that
/// is no more has no listener, and only its sessions that are still open get what is theirs.
fn fronts(of_fronts: bool) -> [Match; 5] {
    let lookup = |mut m: Match, set| {
        m.push(Expression::Lookup { register: 0, set });
        m
    };
    let taken = |mut m: Match| {
        if of_fronts {
            m.push(Expression::SocketTransparent { register: 0 });
            m.push(Expression::Compare { register: 0, equal: true, value: &[1] });
        }
        m
    };
    let mut to4 = of_family(IPV4).to_vec();
    to4.extend([
        network(16, 4, 0),
        Expression::Meta { key: Meta::Protocol, register: 1 },
        transport(2, 2, 2),
    ]);
    let mut to6 = of_family(IPV6).to_vec();
    to6.extend([
        network(24, 16, 0),
        Expression::Meta { key: Meta::Protocol, register: 4 },
        transport(2, 2, 5),
    ]);
    // The quoted header's source, protocol and source port; IPv4 options among them are not looked for.
    let quoting4 = |from, to| {
        let mut m = [of_family(IPV4), of_protocol(&[libc::IPPROTO_ICMP as u8])].concat();
        m.extend([transport(0, 1, 0), Expression::Range { register: 0, from, to }]);
        m.extend([transport(8 + 12, 4, 0), transport(8 + 9, 1, 1), transport(8 + 20, 2, 2)]);
        lookup(m, "fronts4")
    };
    let mut quoting6 = [of_family(IPV6), of_protocol(&[libc::IPPROTO_ICMPV6 as u8])].concat();
    quoting6.push(transport(0, 1, 4));
    quoting6 = errors6(quoting6);
    quoting6.extend([transport(8 + 8, 16, 0), transport(8 + 6, 1, 4), transport(8 + 40, 2, 5)]);
    [
        taken(lookup(to4, "fronts4")),
        taken(lookup(to6, "fronts6")),
        quoting4(&[3], &[4]),
        quoting4(&[11], &[12]),
        lookup(quoting6, "fronts6"),
    ]
}

/// A server's packet that a socket of a front waits for: left alone.
fn to_socket_of_front(mut m: Match) -> Match {
    m.push(Expression::SocketMark { register: 0 });
    m.push(Expression::Bitwise { register: 0, mask: &OWN_BITS, xor: &[0; 4] });
    m.push(Expression::Compare { register: 0, equal: true, value: &OWN_BITS });
    m.push(Expression::Accept);
    m
}

/// Replies of servers.
fn replies(needs: Needs) -> Vec<Match> {
    let mut all = vec![flow4(), flow6()];
    if needs.whole_servers {
        all.extend([whole4(), whole6()]);
    }
    all
}

/// What goes to our device of the ICMP that comes in.
fn incoming_icmp() -> Vec<Match> {
    let ping6 =
        |m: Match| [m, vec![Expression::Compare { register: 4, equal: true, value: &[128] }]].concat();
    let mut all = errors_about_servers().to_vec();
    all.extend([errors6(to_vip6()), ping6(to_vip6()), fragmented6(for_vip6())]);
    all
}

/// What goes to our device of that which this host makes. Servers on this host are among it.
fn outgoing(needs: Needs) -> Vec<Match> {
    let mut all = replies(needs);
    all.extend(errors_about_servers());
    all.push(errors6(to_vip6()));
    all
}

const TCP: &[u8] = &[libc::IPPROTO_TCP as u8];
const UDP: &[u8] = &[libc::IPPROTO_UDP as u8];
const IPV4: &[u8] = &[libc::AF_INET as u8];
const IPV6: &[u8] = &[libc::AF_INET6 as u8];

fn of_family(family: &'static [u8]) -> [Expression<'static>; 2] {
    [
        Expression::Meta { key: Meta::Family, register: 0 },
        Expression::Compare { register: 0, equal: true, value: family },
    ]
}

fn of_protocol(protocol: &'static [u8]) -> [Expression<'static>; 2] {
    [
        Expression::Meta { key: Meta::Protocol, register: 0 },
        Expression::Compare { register: 0, equal: true, value: protocol },
    ]
}

const fn network(offset: u32, len: u32, register: u32) -> Expression<'static> {
    Expression::Payload { base: Base::Network, offset, len, register }
}

const fn transport(offset: u32, len: u32, register: u32) -> Expression<'static> {
    Expression::Payload { base: Base::Transport, offset, len, register }
}

/// Source address, protocol and source port are a server's.
fn flow4() -> Match {
    let mut m = of_family(IPV4).to_vec();
    m.extend([network(12, 4, 0), Expression::Meta { key: Meta::Protocol, register: 1 }, transport(0, 2, 2)]);
    m.push(Expression::Lookup { register: 0, set: "flows4" });
    m
}

fn flow6() -> Match {
    let mut m = of_family(IPV6).to_vec();
    m.extend([network(8, 16, 0), Expression::Meta { key: Meta::Protocol, register: 4 }, transport(0, 2, 5)]);
    m.push(Expression::Lookup { register: 0, set: "flows6" });
    m
}

/// Source address and protocol are a server's.
fn whole4() -> Match {
    let mut m = of_family(IPV4).to_vec();
    m.extend([network(12, 4, 0), Expression::Meta { key: Meta::Protocol, register: 1 }]);
    m.push(Expression::Lookup { register: 0, set: "whole4" });
    m
}

fn whole6() -> Match {
    let mut m = of_family(IPV6).to_vec();
    m.extend([network(8, 16, 0), Expression::Meta { key: Meta::Protocol, register: 4 }]);
    m.push(Expression::Lookup { register: 0, set: "whole6" });
    m
}

fn fragment4() -> Match {
    let mut m = of_family(IPV4).to_vec();
    m.push(network(6, 2, 0));
    // Offset and "more fragments", without the flags above them (RFC 791 section 3.1): all that the engine is to know
    // together, the first one too, whose port may be nobody's.
    m.push(Expression::Bitwise { register: 0, mask: &[0x3F, 0xFF], xor: &[0, 0] });
    m.push(Expression::Compare { register: 0, equal: false, value: &[0, 0] });
    m.extend([network(12, 4, 0), Expression::Lookup { register: 0, set: "servers4" }]);
    m
}

fn fragment6() -> Match {
    let mut m = of_family(IPV6).to_vec();
    m.push(Expression::HasFragmentHeader { register: 0 });
    m.push(Expression::Compare { register: 0, equal: true, value: &[1] });
    m.extend([network(8, 16, 0), Expression::Lookup { register: 0, set: "servers6" }]);
    m
}

/// Errors that quote a packet to a server: 8 bytes of ICMP, then the quoted header with its destination.
fn errors_about_servers() -> [Match; 3] {
    let quoting4 = |from, to| {
        let mut m = [of_family(IPV4), of_protocol(&[libc::IPPROTO_ICMP as u8])].concat();
        m.extend([transport(0, 1, 0), Expression::Range { register: 0, from, to }]);
        m.extend([transport(8 + 16, 4, 0), Expression::Lookup { register: 0, set: "servers4" }]);
        m
    };
    let mut quoting6 = [of_family(IPV6), of_protocol(&[libc::IPPROTO_ICMPV6 as u8])].concat();
    quoting6.push(transport(0, 1, 4));
    quoting6 = errors6(quoting6);
    quoting6.extend([transport(8 + 24, 16, 0), Expression::Lookup { register: 0, set: "servers6" }]);
    // Destination unreachable (and source quench); time exceeded and parameter problem (RFC 792).
    [quoting4(&[3], &[4]), quoting4(&[11], &[12]), quoting6]
}

/// ICMPv6 to a VIP.
fn for_vip6() -> Match {
    let mut m = [of_family(IPV6), of_protocol(&[libc::IPPROTO_ICMPV6 as u8])].concat();
    m.extend([network(24, 16, 0), Expression::Lookup { register: 0, set: "vips6" }]);
    m
}

/// The same, with the type in register 4. That of a later fragment cannot be loaded, and then nothing matches.
fn to_vip6() -> Match {
    [for_vip6(), vec![transport(0, 1, 4)]].concat()
}

/// Goes on with fragments: of a ping, as nothing else that long comes in ICMPv6 but its errors. Neighbour discovery, which
/// the host must have, is never fragmented (RFC 6980 section 5).
fn fragmented6(mut m: Match) -> Match {
    m.push(Expression::HasFragmentHeader { register: 4 });
    m.push(Expression::Compare { register: 4, equal: true, value: &[1] });
    m
}

/// Goes on when register 4 has the type of an error (RFC 4443 section 2.1).
fn errors6(mut m: Match) -> Match {
    m.push(Expression::Range { register: 4, from: &[1], to: &[4] });
    m
}

fn marking(mut m: Match, mark: u32) -> Vec<Expression<'static>> {
    let (mask, xor) = match mark {
        OWN => (&OWN_MASK, &OWN_BITS),
        FRONT => (&FRONT_MASK, &FRONT_BITS),
        _ => (&STEERED_MASK, &STEERED_BITS),
    };
    m.push(Expression::Meta { key: Meta::Mark, register: 0 });
    m.push(Expression::Bitwise { register: 0, mask, xor });
    m.push(Expression::SetMark { register: 0 });
    m.push(Expression::Accept);
    m
}

static STEERED_BITS: [u8; 4] = STEERED.to_ne_bytes();
static STEERED_MASK: [u8; 4] = (!STEERED).to_ne_bytes();
static OWN_BITS: [u8; 4] = OWN.to_ne_bytes();
static OWN_MASK: [u8; 4] = (!OWN).to_ne_bytes();
static FRONT_BITS: [u8; 4] = FRONT.to_ne_bytes();
static FRONT_MASK: [u8; 4] = (!FRONT).to_ne_bytes();
