//! The server names a port, and the client connects.

use std::net::SocketAddr;

use engine::{DropReason, Verdict};
use sched::{ForwardMethod, Op, Proto, ServiceKey, ServiceSpec};
use wire::build::tcp;

use crate::director::{Director, nets, with_port};
use crate::for_each;
use crate::talk::{Talk, extended_reply, port_of, reply};

#[test]
fn the_client_gets_to_the_port_that_its_server_has_named() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let [vip, server] = [net.vip, talk.server_addr].map(|addr| with_port(addr, 40_001));
        assert_eq!(talk.asks(&mut director, "PASV"), "PASV");
        assert_eq!(talk.answers(&mut director, &reply(server)), reply(vip));

        let client = with_port(net.client, 5000);
        let [peer, to] = director.sends(&tcp(client, vip).syn());
        assert_eq!((peer.ip(), to), (talk.peer.ip(), server));
        assert_eq!(peer == client, method == ForwardMethod::Masq);
        director.gives(&tcp(client, vip).syn(), &tcp(peer, server).syn().ttl(65));
        director.gives(&tcp(server, peer).syn().ack(1), &tcp(vip, client).syn().ack(1).ttl(65));
        let data = |from, to| tcp(from, to).seq(1).ack(1).payload_len(3000).gso(1000);
        director.gives(&data(client, vip), &data(peer, server).ttl(65));
        director.gives(&data(server, peer), &data(vip, client).ttl(65));
        // It was expected once.
        assert_eq!(director.process(&tcp(with_port(client, 5001), vip).syn()).0, Verdict::Reply);
    });
}

#[test]
fn either_family_has_the_extended_form() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        talk.asks(&mut director, "epsv");
        assert_eq!(talk.answers(&mut director, &extended_reply(1024)), extended_reply(1024));
        let [_, to] = director.sends(&tcp(with_port(net.client, 1), with_port(net.vip, 1024)).syn());
        assert_eq!(to, with_port(talk.server_addr, 1024));
    });
}

/// Two servers have named the same port to one client, and a third port is a service's.
#[test]
fn a_port_that_is_somebody_elses_becomes_another_one() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let key = ServiceKey::addr(Proto::Tcp, with_port(net.vip, 40_002));
        director.edit(&[Op::AddService { service: ServiceSpec::new(key, "rr") }]);
        let mut talks = [4000, 4001].map(|port| Talk::open(&mut director, net, port));
        assert_ne!(talks[0].server_addr, talks[1].server_addr);
        let mut expected = Vec::new();
        for (talk, port) in [(0, 40_001), (1, 40_001), (1, 40_002)] {
            let talk = &mut talks[talk];
            talk.asks(&mut director, "PASV");
            let server = with_port(talk.server_addr, port);
            let told = talk.answers(&mut director, &reply(server));
            let at = with_port(net.vip, port_of(&told));
            assert_eq!(told, reply(at));
            expected.push((at, server));
        }
        assert_eq!(expected[0].0.port(), 40_001);
        assert!(expected[1].0.port() >= 1024 && expected[1].0.port() != 40_001);
        assert!(expected[2].0.port() >= 1024 && expected[2].0.port() != 40_002);
        for (n, (at, server)) in expected.into_iter().enumerate() {
            assert_eq!(director.sends(&tcp(with_port(net.client, 5000 + n as u16), at).syn())[1], server);
        }
    });
}

/// The address by which clients outside know the VIP, or the VIP itself: somebody has thought about it.
#[test]
fn an_address_that_is_not_the_servers_stays_and_its_port_is_expected() {
    let [net, _] = nets();
    for (named, told) in
        [("203.0.113.1", "203.0.113.1"), ("192.0.2.77", "192.0.2.77"), ("0.0.0.0", "203.0.113.1")]
    {
        let mut director = Director::new(&net, ForwardMethod::Masq);
        let mut talk = Talk::open(&mut director, &net, 4000);
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 40_001);
        talk.asks(&mut director, "PASV");
        assert_eq!(talk.answers(&mut director, &reply(at(named))), reply(at(told)));
        let [_, to] = director.sends(&tcp(with_port(net.client, 1), with_port(net.vip, 40_001)).syn());
        assert_eq!(to, with_port(talk.server_addr, 40_001));
    }
}

#[test]
fn nobody_gets_to_a_port_that_was_not_meant_for_him() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let server = talk.server_addr;
        let at = |port| with_port(net.vip, port);
        let refused = |director: &mut Director, from, to| {
            assert_eq!(director.process(&tcp(from, to).syn()).0, Verdict::Reply, "{from} {to}");
        };
        // Nobody has asked; a privileged port; the name of a file; an end without a beginning.
        for (asks, says) in [
            (None, reply(with_port(server, 40_001))),
            (Some("PASV"), reply(with_port(server, 1023))),
            (Some("PASV"), format!("213-Status\r\n{}\r\n213 End", reply(with_port(server, 40_001)))),
            (Some("NOOP"), format!("200 {}", reply(with_port(server, 40_001)))),
        ] {
            if let Some(line) = asks {
                talk.asks(&mut director, line);
            }
            assert_eq!(talk.answers(&mut director, &says), says);
            refused(&mut director, with_port(net.client, 5000), at(40_001));
            refused(&mut director, with_port(net.client, 5000), at(1023));
        }
        talk.asks(&mut director, "PASV");
        talk.answers(&mut director, &reply(with_port(server, 40_003)));
        let stranger = if net.client.is_ipv4() { "198.51.100.11:5000" } else { "[2001:db8:1::11]:5000" };
        refused(&mut director, stranger.parse().unwrap(), at(40_003));
        refused(&mut director, with_port(net.client, 5000), at(40_004));
        // No SYN, no beginning.
        let stray = director.process(&tcp(with_port(net.client, 5000), at(40_003)).ack(1)).0;
        assert_eq!(stray, Verdict::Reply);
        assert_eq!(director.sends(&tcp(with_port(net.client, 5000), at(40_003)).syn())[1].port(), 40_003);
    });
}

#[test]
fn by_fullnat_a_data_connection_needs_a_port_too() {
    for net in nets() {
        let mut director = Director::new(&net, ForwardMethod::FullNat);
        let mut talk = Talk::open(&mut director, &net, 4000);
        talk.asks(&mut director, "PASV");
        talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
        director.engine.set_local_ports(&[], &[]);
        let syn = tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn();
        assert_eq!(director.process(&syn).0, Verdict::Drop(DropReason::PortsExhausted));
    }
}
