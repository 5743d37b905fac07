//! Many sessions at a time.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::topo::NatOptions;
use lab::wait::wait_for;

use super::site::{Session, Site, counter, sessions};
use crate::support::PATIENCE;

over_both_stacks! {
    five_hundred_sessions_are_served_side_by_side,
    a_thousand_who_come_at_once_are_let_in,
    five_thousand_idle_sessions_are_held,
}

/// Clients that work side by side.
const THREADS: usize = 8;

/// So many sessions, opened by several at a time.
fn open(site: &Site, vip: SocketAddr, n: usize) -> Vec<Session> {
    let open = || {
        let client = site.client();
        (0..n / THREADS).map(|_| client.open(vip)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(open)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn five_hundred_sessions_are_served_side_by_side(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, 80, "rr", "");
    let open = open(&site, vip, 504);
    let mut open: Vec<_> = open.into_iter().map(|session| Connection::over(session, vip)).collect();
    let mut by_server = [0; 2];
    for round in 0..3 {
        std::thread::scope(|scope| {
            let threads = open.chunks_mut(64).map(|part| {
                scope.spawn(move || {
                    let get = |connection: &mut Connection<Session>| connection.get("/").unwrap().body;
                    part.iter_mut().map(get).collect::<Vec<_>>()
                })
            });
            for body in threads.collect::<Vec<_>>().into_iter().flat_map(|thread| thread.join().unwrap()) {
                by_server[usize::from(body == "server2\n")] += 1;
            }
        });
        assert_eq!(by_server, [252 * (round + 1); 2]);
    }
    assert_eq!(engine.connections("ESTABLISHED"), 504);
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

/// Before any of them has said a word.
fn a_thousand_who_come_at_once_are_let_in(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V6, 80, "rr", "--handshake-timeout 60s");
    let streams: Vec<_> = (0..1000).map(|_| client::connect(&site.scene.lab.client, vip).unwrap()).collect();
    let client = site.client();
    for stream in streams {
        client.over(stream, vip).unwrap();
    }
    assert_eq!(counter(&engine, vip, "handshakes-full"), 1000);
    assert_eq!(counter(&engine, vip, "handshakes-failed"), 0);
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn five_thousand_idle_sessions_are_held(stack: &'static str) {
    const MANY: usize = 5000;
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, 80, "rr", "");
    let mut open = open(&site, vip, MANY);
    let held = sessions(&engine, vip);
    assert_eq!(held, MANY as u64);
    for session in open.iter_mut().step_by(50) {
        session.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(session.hear_until("\n\r\n").starts_with("HTTP/1.1 200 OK"));
    }
    drop(open);
    let over = || (sessions(&engine, vip) == 0).then_some(());
    wait_for("the sessions' end", PATIENCE, over).unwrap();
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}
