//! What an idle session costs. Alone in its process, because it is the process's memory that is looked at.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "relay/wire.rs"]
mod wire;
#[allow(dead_code)]
#[path = "relay/world.rs"]
mod world;

use std::sync::Arc;

use tls::{Relay, Terms};
use world::{World, http_terms};

const SESSIONS: usize = 1000;
/// Of it, 4 KiB are the buffer that rustls reads to.
const BOUND: usize = 10 * 1024;

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A session that has done its work and may have more: its relay, without the two legs.
fn idle(terms: &Arc<Terms>) -> Relay {
    let mut world = World::established(terms.clone());
    world.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
    assert_eq!(world.relay.buffered(), 0);
    world.relay
}

#[test]
fn an_idle_session_costs_little() {
    let terms = Arc::new(http_terms());
    let mut sessions: Vec<_> = (0..100).map(|_| idle(&terms)).collect();
    let before = resident();
    sessions.extend((0..SESSIONS).map(|_| idle(&terms)));
    let each = (resident() - before) / SESSIONS;
    assert!(each < BOUND, "{each} bytes for an idle session");
}
