//! Which packets are copied into a ring at all: a program of the classic Berkeley filter, made from the addresses that
//! are of interest. It lets through more than the ring's owner wants (ports are not looked at, nor all of an IPv6
//! address), and nothing that it cannot want.

use std::collections::BTreeSet;
use std::net::IpAddr;

use libc::sock_filter;

use crate::link::ETHERNET;

use super::program::{Label, Program, Size};

/// What a port is to receive: whole TCP and UDP packets with hops left, to the link address of one of the devices, whose
/// destination or source is one of the addresses. A VLAN tag is not looked at: where the tag has a device of its own, the
/// packet comes by the one beneath, and the frame has it ([`wire::frame::Frame::tagged`]).
///
/// Where nothing else hands packets over, it is all packets to and from the addresses, fragments and such included, and
/// all of ICMP: an error may be sent to anybody whose packet we have forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Indexes of the devices.
    pub devices: BTreeSet<u32>,
    /// Destinations.
    pub to: BTreeSet<IpAddr>,
    /// Sources.
    pub from: BTreeSet<IpAddr>,
    /// Nothing else hands packets over.
    pub alone: bool,
}

/// With more addresses all are let through: a program has at most 4,096 instructions.
pub(super) const MOST: usize = 1200;

/// The whole packet, however long.
const ALL: u32 = 0x4_0000;

/// Next headers behind which there may be TCP or UDP, but no fragment header at once: hop-by-hop options, routing,
/// destination options.
const EXTENSIONS: [u32; 3] = [0, 43, 60];

/// The longest packet that is a short one: what most links carry, with a little more for tunnels.
pub(super) const LONGEST: usize = 1536;

/// Each packet is for one of two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those of up to [`LONGEST`] bytes.
    Short,
    /// All others.
    Long,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Short, Self::Long];
}

impl Scope {
    /// For all packets of it, whatever their length.
    pub(crate) fn program(&self) -> Vec<sock_filter> {
        self.program_of(&Part::ALL)
    }

    /// For those of some parts, and to and from whatever addresses: a short one.
    pub(super) fn program_of_any(&self, parts: &[Part]) -> Vec<sock_filter> {
        self.program_with(parts, true)
    }

    /// For those of some parts.
    pub(super) fn program_of(&self, parts: &[Part]) -> Vec<sock_filter> {
        self.program_with(parts, self.to.len() + self.from.len() > MOST)
    }

    fn program_with(&self, parts: &[Part], any: bool) -> Vec<sock_filter> {
        let mut program = Program::of_packets_with(ETHERNET as u32);
        let (accept, reject) = (program.label(), program.label());
        let (short, of_part, of_device) = (program.label(), program.label(), program.label());
        program.ask_len();
        program.unless_over((ETHERNET + LONGEST) as u32, short);
        program.go(if parts.contains(&Part::Long) { of_part } else { reject });
        program.place(short);
        program.go(if parts.contains(&Part::Short) { of_part } else { reject });
        program.place(of_part);
        program.ask(libc::SKF_AD_IFINDEX);
        let devices: Vec<_> = self.devices.iter().copied().collect();
        program.search(&devices, of_device, reject);
        program.place(of_device);
        program.ask(libc::SKF_AD_PKTTYPE);
        program.unless_equal(u32::from(libc::PACKET_HOST), reject);
        program.ask(libc::SKF_AD_PROTOCOL);
        let (v6, later) = (program.label(), program.label());
        program.unless_equal(libc::ETH_P_IP as u32, v6);
        if self.alone {
            program.load(Size::Byte, 9);
            program.search(&[libc::IPPROTO_ICMP as u32], accept, later);
            program.place(later);
        } else {
            program.load(Size::Half, 6);
            program.if_any(0x3fff, reject);
            program.load(Size::Byte, 9);
            program.search(&[libc::IPPROTO_TCP as u32, libc::IPPROTO_UDP as u32], later, reject);
            program.place(later);
            program.load(Size::Byte, 8);
            program.unless_over(1, reject);
        }
        self.addresses(&mut program, any, (16, 12), IpAddr::is_ipv4, (accept, reject));
        program.place(v6);
        let (is_v6, of_protocol) = (program.label(), program.label());
        program.search(&[libc::ETH_P_IPV6 as u32], is_v6, reject);
        program.place(is_v6);
        program.load(Size::Byte, 6);
        if self.alone {
            program.search(&[libc::IPPROTO_ICMPV6 as u32], accept, of_protocol);
            program.place(of_protocol);
        } else {
            let mut protocols = EXTENSIONS.to_vec();
            protocols.extend([libc::IPPROTO_TCP as u32, libc::IPPROTO_UDP as u32]);
            protocols.sort_unstable();
            program.search(&protocols, of_protocol, reject);
            program.place(of_protocol);
            program.load(Size::Byte, 7);
            program.unless_over(1, reject);
        }
        // The last four bytes of each address.
        self.addresses(&mut program, any, (36, 20), IpAddr::is_ipv6, (accept, reject));
        program.place(accept);
        program.end(ALL);
        program.place(reject);
        program.end(0);
        program.finish()
    }

    fn addresses(
        &self,
        program: &mut Program,
        any: bool,
        (to, from): (u32, u32),
        of_family: fn(&IpAddr) -> bool,
        (accept, reject): (Label, Label),
    ) {
        if any {
            program.go(accept);
            return;
        }
        let not_to = program.label();
        for (at, addrs, otherwise) in [(to, &self.to, not_to), (from, &self.from, reject)] {
            let words = words(addrs, of_family);
            program.load(Size::Word, at);
            program.search(&words, accept, otherwise);
            if otherwise == not_to {
                program.place(not_to);
            }
        }
    }
}

/// The last four bytes of each address of a family, in order.
pub(super) fn words(addrs: &BTreeSet<IpAddr>, of_family: fn(&IpAddr) -> bool) -> Vec<u32> {
    let word = |addr: &IpAddr| match addr {
        IpAddr::V4(addr) => u32::from(*addr),
        IpAddr::V6(addr) => u128::from(*addr) as u32,
    };
    let mut words: Vec<_> = addrs.iter().filter(|addr| of_family(addr)).map(word).collect();
    words.sort_unstable();
    words.dedup();
    words
}
