//! The client names a port, and the server connects.

use std::net::SocketAddr;

use engine::Verdict;
use sched::ForwardMethod;
use wire::build::tcp;

use crate::director::{Director, nets, with_port};
use crate::for_each;
use crate::talk::{Talk, command, port_of};

#[test]
fn the_server_gets_to_the_port_that_its_client_has_named() {
    for_each(|net, method| {
        // Which port it connects from is its own business; the client sees the one that FTP has for it.
        for port in [20, 33_333] {
            let mut director = Director::new(net, method);
            let mut talk = Talk::open(&mut director, net, 4000);
            let client = with_port(net.client, 6000);
            let told = talk.asks(&mut director, &command(client));
            let peer = match method {
                ForwardMethod::FullNat => with_port(talk.peer, port_of(&told)),
                _ => client,
            };
            assert_eq!(told, command(peer));
            let [server, vip] = [with_port(talk.server_addr, port), with_port(net.vip, 20)];
            director.gives(&tcp(server, peer).syn(), &tcp(vip, client).syn().ttl(65));
            director.gives(&tcp(server, peer).syn(), &tcp(vip, client).syn().ttl(65));
            director.gives(&tcp(client, vip).syn().ack(1), &tcp(peer, server).syn().ack(1).ttl(65));
            let data = |from, to| tcp(from, to).seq(1).ack(1).payload_len(3000).gso(1000);
            director.gives(&data(server, peer), &data(vip, client).ttl(65));
            director.gives(&data(client, vip), &data(peer, server).ttl(65));
        }
    });
}

#[test]
fn ipv4_has_the_extended_form_too() {
    let [net, _] = nets();
    for method in [ForwardMethod::Masq, ForwardMethod::FullNat] {
        let mut director = Director::new(&net, method);
        let mut talk = Talk::open(&mut director, &net, 4000);
        let client = with_port(net.client, 6000);
        let extended = |at: SocketAddr| format!("eprt |1|{}|{}|", at.ip(), at.port());
        let told = talk.asks(&mut director, &extended(client));
        let peer = with_port(talk.peer, port_of(&told));
        assert_eq!(told, extended(peer));
        let syn = tcp(with_port(talk.server_addr, 20), peer).syn();
        assert_eq!(director.sends(&syn), [with_port(net.vip, 20), client]);
    }
}

/// One transfer after another, to the same port of the client's and to others.
#[test]
fn a_client_may_name_the_same_port_again() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        for port in [6000, 6000, 6001, 6000] {
            let client = with_port(net.client, port);
            let told = talk.asks(&mut director, &command(client));
            let [server, vip] = [with_port(talk.server_addr, 20), with_port(net.vip, 20)];
            let peer =
                if method == ForwardMethod::FullNat { with_port(talk.peer, port_of(&told)) } else { client };
            assert_eq!(director.sends(&tcp(server, peer).syn()), [vip, client]);
            assert_eq!(director.sends(&tcp(client, vip).syn().ack(1)), [peer, server]);
            for (from, to, end) in [(server, peer, true), (client, vip, true), (server, peer, false)] {
                let last = tcp(from, to).ack(2);
                director.sends(&if end { last.fin() } else { last });
            }
        }
    });
}

/// RFC 2577 section 3: nobody has somebody else connected to.
#[test]
fn what_is_not_the_clients_own_is_left_alone() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let stranger = if net.client.is_ipv4() { "198.51.100.11:6000" } else { "[2001:db8:1::11]:6000" };
        let other_family = if net.client.is_ipv4() { "[2001:db8:1::10]:6000" } else { "198.51.100.10:6000" };
        let own = with_port(net.client, 1023).to_string();
        for named in [stranger, other_family, &own] {
            let named: SocketAddr = named.parse().unwrap();
            assert_eq!(talk.asks(&mut director, &command(named)), command(named));
            if named.is_ipv4() == net.client.is_ipv4() {
                let syn = tcp(with_port(talk.server_addr, 20), named).syn();
                assert_eq!(director.process(&syn).0, Verdict::Pass);
            }
        }
        assert_eq!(director.engine.connections_held(), 1);
    });
}

#[test]
fn another_server_does_not_get_there() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let told = talk.asks(&mut director, &command(with_port(net.client, 6000)));
        let peer = with_port(talk.peer, port_of(&told));
        let other = net.servers.into_iter().find(|server| *server != talk.server_addr).unwrap();
        assert_eq!(director.process(&tcp(with_port(other, 20), peer).syn()).0, Verdict::Pass);
        director.sends(&tcp(with_port(talk.server_addr, 20), peer).syn());
    });
}

#[test]
fn by_fullnat_a_command_stays_where_no_port_is_left() {
    for net in nets() {
        let mut director = Director::new(&net, ForwardMethod::FullNat);
        let mut talk = Talk::open(&mut director, &net, 4000);
        director.engine.set_local_ports(&[7000], &[7000]);
        let named = |port| command(with_port(net.client, port));
        assert_eq!(port_of(&talk.asks(&mut director, &named(6000))), 7000);
        assert_eq!(talk.asks(&mut director, &named(6001)), named(6001));
        // Nobody has connected, and the port is free again.
        director.wait(131);
        assert_eq!(port_of(&talk.asks(&mut director, &named(6002))), 7000);
    }
}
