//! Which of several ports a packet is for: a program that makes a number of it.
//!
//! What a client sends is known by its own address and port, and so is what a server answers it, which by NAT has them as
//! its destination: both directions of a connection come to the same worker, whose processor has it in its cache (unless the last
//! four bytes of the client's IPv6 address are those of a server: more is not looked at). By
//! FullNAT a server answers an address of ours; its packets are for the worker that the port there says. Whatever has
//! happened to the other packets of a flow, it is always the same worker: nothing is overtaken.

use std::net::IpAddr;

use libc::sock_filter;

use super::filter::{MOST, Scope, words};
use super::program::{Label, Program, Size};

/// Protocols with ports in the first four bytes.
const WITH_PORTS: [u32; 3] = [libc::IPPROTO_TCP as u32, libc::IPPROTO_UDP as u32, libc::IPPROTO_SCTP as u32];

/// Odd, and half of their bits set: products with them have something of all bits in the upper half.
const FACTORS: [u32; 2] = [0x9e37_79b1, 0x85eb_ca6b];

impl Scope {
    /// Its answer is a number; the remainder of its division by the number of ports says which.
    pub(crate) fn spread(&self) -> Vec<sock_filter> {
        // Where ports are chosen, the link's header is off already.
        let mut program = Program::of_packets_with(0);
        let (v6, mixed, neither) = (program.label(), program.label(), program.label());
        program.ask(libc::SKF_AD_PROTOCOL);
        program.unless_equal(libc::ETH_P_IP as u32, v6);
        let (v4_ports, v4_bare) = (program.label(), program.label());
        // All fragments of a packet, of which only the first has ports, are for one.
        program.load(Size::Half, 6);
        program.if_any(0x3fff, v4_bare);
        program.load(Size::Byte, 9);
        program.search(&WITH_PORTS, v4_ports, v4_bare);
        program.place(v4_ports);
        program.load(Size::Byte, 0);
        program.with(libc::BPF_AND, 0xf);
        program.with(libc::BPF_LSH, 2);
        program.index();
        self.ends(&mut program, [12, 16], IpAddr::is_ipv4, mixed);
        program.place(v4_bare);
        addresses(&mut program, [12, 16]);
        program.go(mixed);
        program.place(v6);
        let (v6_ports, v6_bare) = (program.label(), program.label());
        program.unless_equal(libc::ETH_P_IPV6 as u32, neither);
        program.load(Size::Byte, 6);
        program.search(&WITH_PORTS, v6_ports, v6_bare);
        program.place(v6_ports);
        program.load(Size::Byte, 0);
        program.with(libc::BPF_AND, 0);
        program.with(libc::BPF_ADD, 40);
        program.index();
        self.ends(&mut program, [20, 36], IpAddr::is_ipv6, mixed);
        program.place(v6_bare);
        addresses(&mut program, [20, 36]);
        program.go(mixed);
        program.place(mixed);
        // All bits of it have a part in the lowest of the answer.
        program.with(libc::BPF_MUL, FACTORS[0]);
        program.keep();
        program.with(libc::BPF_RSH, 15);
        program.xor_kept();
        program.with(libc::BPF_MUL, FACTORS[1]);
        program.with(libc::BPF_RSH, 16);
        program.end_with_it();
        program.place(neither);
        program.end(0);
        program.finish()
    }

    /// The client's address and port, or those of both ends where either may be the client. The last four bytes of the
    /// source and of the destination are at these places.
    fn ends(&self, program: &mut Program, [from, to]: [u32; 2], of_family: fn(&IpAddr) -> bool, then: Label) {
        let (client, server) = (program.label(), program.label());
        let (answer, both) = (program.label(), program.label());
        if self.to.len() + self.from.len() > MOST {
            program.go(both);
        } else {
            program.load(Size::Word, from);
            program.search(&words(&self.from, of_family), server, client);
            program.place(server);
            program.load(Size::Word, to);
            program.search(&words(&self.to, of_family), both, answer);
            for (label, addr, port) in [(client, from, 0), (answer, to, 2)] {
                program.place(label);
                program.load_behind(Size::Half, port);
                program.keep();
                program.load(Size::Word, addr);
                program.with(libc::BPF_MUL, FACTORS[1]);
                program.xor_kept();
                program.go(then);
            }
        }
        program.place(both);
        program.load_behind(Size::Word, 0);
        program.keep();
        program.load(Size::Word, from);
        program.xor_kept();
        program.keep();
        program.load(Size::Word, to);
        program.xor_kept();
        program.go(then);
    }
}

fn addresses(program: &mut Program, [from, to]: [u32; 2]) {
    program.load(Size::Word, from);
    program.keep();
    program.load(Size::Word, to);
    program.xor_kept();
}
