//! How long something is expected, who counts it, and what hangs on what.

use std::sync::atomic::Ordering::Relaxed;

use engine::{Defence, DropReason, Knobs, Limits, Verdict};
use sched::{ForwardMethod, OnDown, Op, ServiceKey};
use wire::build::tcp;

use crate::director::{Director, SENT, nets, with_port};
use crate::end_all::end_all;
use crate::for_each;
use crate::talk::{Talk, command, reply};

/// As a kernel's IPVS lists them.
#[test]
fn what_is_expected_is_listed_counted_and_given_up() {
    let [net, _] = nets();
    let mut director = Director::new(&net, ForwardMethod::Masq);
    let mut talk = Talk::open(&mut director, &net, 4000);
    talk.asks(&mut director, "PASV");
    talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
    director.wait(1);
    talk.asks(&mut director, &command(with_port(net.client, 6000)));
    assert_eq!(
        director.listed(),
        [
            "ESTABLISHED 900 198.51.100.10:4000 203.0.113.1:21 10.0.0.12:21",
            "LISTEN 119 198.51.100.10:0 203.0.113.1:40001 10.0.0.12:40001",
            "LISTEN 120 198.51.100.10:6000 203.0.113.1:20 10.0.0.12:20",
        ]
    );
    let table = director.engine.services();
    let service = table.services().next().unwrap();
    let live = &service.dests.iter().find(|dest| dest.live.key == talk.server_addr).unwrap().live;
    let counts = || [live.active.load(Relaxed), live.inactive.load(Relaxed)];
    assert_eq!((counts(), director.engine.connections_held()), ([1, 2], 3));

    director.sends(&tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn());
    assert_eq!((counts(), director.engine.connections_held()), ([2, 1], 3));
    // Packets are counted, but connections are the client's own.
    assert_eq!(service.live.stats.read().conns, 1);
    assert_eq!(live.stats.read().conns, 1);
    let packets = live.stats.read().in_packets;
    director.sends(&tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn());
    assert_eq!(live.stats.read().in_packets, packets + 1);
    assert_eq!(service.live.stats.read().in_packets, packets + 1);

    director.wait(119);
    assert!(director.listed().iter().any(|row| row.starts_with("LISTEN 1 ")), "{:?}", director.listed());
    director.wait(2);
    assert!(!director.listed().iter().any(|row| row.starts_with("LISTEN")));
    let late = tcp(with_port(talk.server_addr, 20), with_port(net.client, 6000)).syn();
    assert_eq!(director.process(&late).0, Verdict::Pass);
    director.wait(10);
    assert_eq!(counts(), [1, 0]);
}

#[test]
fn a_control_connection_takes_along_what_it_expects() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        talk.asks(&mut director, "PASV");
        talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
        talk.asks(&mut director, &command(with_port(net.client, 6000)));
        assert_eq!(director.engine.connections_held(), 3);
        // Over, it is only remembered.
        director.sends(&tcp(talk.client_addr, net.vip).seq(u32::MAX).rst());
        let syn = tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn();
        assert_eq!(director.process(&syn).0, Verdict::Reply);
        assert!(!director.listed().iter().any(|row| row.starts_with("LISTEN")));
        director.wait(12);
        assert_eq!(director.engine.connections_held(), 0);
        let mut taken = 0;
        director.engine.local_ports_in_use(|ports| taken += ports.taken);
        assert_eq!(taken, 0);
    });
}

#[test]
fn one_that_is_ended_takes_it_along_at_once() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        talk.asks(&mut director, &command(with_port(net.client, 6000)));
        assert_eq!(director.engine.connections_held(), 2);
        for dest in director.engine.services().services().flat_map(|service| service.dests.iter()) {
            end_all(&director.engine, &dest.live, OnDown::Reset);
        }
        director.worker.handle_timeout(director.now);
        assert_eq!(director.engine.connections_held(), 0);
    });
}

#[test]
fn an_idle_control_connection_lives_as_long_as_its_data() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        talk.asks(&mut director, "PASV");
        let (server, vip) = (with_port(talk.server_addr, 40_001), with_port(net.vip, 40_001));
        talk.answers(&mut director, &reply(server));
        let client = with_port(net.client, 5000);
        let [peer, _] = director.sends(&tcp(client, vip).syn());
        director.sends(&tcp(server, peer).syn().ack(1));
        // Nor does the defence against floods take it, with its few packets.
        let knobs = Knobs { drop_entry: Defence::Always, ..Knobs::default() };
        director.engine.set_knobs(knobs);
        for _ in 0..20 {
            (0..10).for_each(|_| drop(director.process(&tcp(client, vip).seq(1).ack(1).payload_len(10))));
            director.wait(100);
        }
        director.engine.set_knobs(Knobs::default());
        assert_eq!(director.engine.connections_held(), 2);
        assert_eq!(talk.answers(&mut director, "226 Transfer complete."), "226 Transfer complete.");
        director.wait(1000);
        assert_eq!(director.engine.connections_held(), 0);
    });
}

#[test]
fn a_full_table_has_no_room_for_what_is_expected() {
    for net in nets() {
        let mut director = Director::with(&net, ForwardMethod::Masq, Limits { max_connections: 2 });
        let mut talk = Talk::open(&mut director, &net, 4000);
        let name = |port| command(with_port(net.client, port));
        assert_eq!(talk.asks(&mut director, &name(6000)), name(6000));
        talk.asks(&mut director, &name(6001));
        let from = with_port(talk.server_addr, 20);
        let connects =
            |director: &mut Director, port| director.process(&tcp(from, with_port(net.client, port)).syn()).0;
        assert_eq!(connects(&mut director, 6001), Verdict::Pass);
        assert_eq!(director.engine.connections_held(), 2);
        let other = tcp(with_port(net.client, 4001), net.vip).syn();
        assert_eq!(director.process(&other).0, Verdict::Drop(DropReason::TableFull));
        director.sends(&tcp(from, with_port(net.client, 6000)).syn());
        assert_eq!(director.engine.connections_held(), 2);
    }
}

#[test]
fn a_server_that_is_gone_is_connected_to_no_more() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        talk.asks(&mut director, "PASV");
        talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
        let key = ServiceKey::addr(sched::Proto::Tcp, net.vip);
        director.edit(&[Op::DelDest { key, addr: talk.server_addr }]);
        let syn = tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn();
        assert_eq!(director.process(&syn).0, Verdict::Drop(DropReason::DestRemoved));
    });
}

/// As the kernel does it with everything that has a controller.
#[test]
fn with_the_kernels_settings_a_data_connection_is_not_begun_anew() {
    for_each(|net, method| {
        for (knobs, again) in [(Knobs::default(), Verdict::Reply), (Knobs::ipvs(), SENT)] {
            let mut director = Director::new(net, method);
            director.engine.set_knobs(knobs);
            let mut talk = Talk::open(&mut director, net, 4000);
            talk.asks(&mut director, "PASV");
            talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
            let (client, vip) = (with_port(net.client, 5000), with_port(net.vip, 40_001));
            let [peer, server] = director.sends(&tcp(client, vip).syn());
            director.sends(&tcp(server, peer).rst().ack(1));
            assert_eq!(director.process(&tcp(client, vip).seq(99).syn()).0, again);
        }
    });
}

/// Who has been told to connect says nothing about how quick a server is.
#[test]
fn data_connections_are_not_timed() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let timed = |director: &Director| {
            let table = director.engine.services();
            let service = table.services().next().unwrap();
            service.dests.iter().map(|dest| dest.live.handshake_us()).collect::<Vec<_>>()
        };
        let before = timed(&director);
        let told = talk.asks(&mut director, &command(with_port(net.client, 6000)));
        let peer = with_port(talk.peer, crate::talk::port_of(&told));
        let [vip, client] = director.sends(&tcp(with_port(talk.server_addr, 20), peer).syn());
        director.sends(&tcp(client, vip).syn().ack(1));
        director.wait(1);
        director.sends(&tcp(with_port(talk.server_addr, 20), peer).seq(1).rst());
        assert_eq!(timed(&director), before);
    });
}
