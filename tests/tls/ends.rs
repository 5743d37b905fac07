//! How connections end, each direction for itself: what one side says is what the other one hears.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::topo::NatOptions;
use lab::wait::wait_for;

use super::peers::{Peer, Port};
use super::site::{End, Session, Site, sessions};
use crate::scene::FAMILIES;
use crate::support::{Engine, PATIENCE};

over_both_stacks! {
    either_side_may_end_first_and_the_other_still_speaks,
    what_is_broken_on_one_side_is_broken_on_the_other_at_once,
    a_connection_without_close_notify_is_no_clean_end,
}

const PORT: u16 = 8000;

fn site(stack: &'static str) -> Site {
    Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() })
}

/// For both families: a session of bytes, from both sides.
fn each(site: &Site, case: impl Fn(&Engine<'_>, SocketAddr, Session, Peer)) {
    let port = Port::listen(&site.scene.lab.servers[0], PORT);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, PORT, "rr", "--alpn bytes");
        let open = || {
            let session = site.client().open(vip);
            let peer = port.take();
            (session, peer)
        };
        let (mut session, mut peer) = open();
        session.say(b"hello");
        assert_eq!(peer.hear(5), "hello");
        peer.say(b"world");
        assert_eq!(session.hear(5), "world");
        case(&engine, vip, session, peer);
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

/// The engine holds no session any more.
fn is_over(engine: &Engine<'_>, vip: SocketAddr) {
    let open = || sessions(engine, vip);
    wait_for("the session's end", PATIENCE, || (open() == 0).then_some(())).unwrap();
    assert_eq!(engine.connections("ESTABLISHED"), 0);
}

fn either_side_may_end_first_and_the_other_still_speaks(stack: &'static str) {
    let site = site(stack);
    let long = vec![b'x'; 3 << 20];
    each(&site, |engine, vip, mut session, mut peer| {
        session.end();
        assert_eq!(peer.rest(), (Vec::new(), true));
        let writer = std::thread::spawn({
            let long = long.clone();
            move || {
                peer.say(&long);
                peer.end();
                peer
            }
        });
        let (heard, end) = session.rest();
        assert_eq!((heard.len(), end), (long.len(), End::Clean));
        drop(writer.join().unwrap());
        is_over(engine, vip);
    });
    each(&site, |engine, vip, mut session, mut peer| {
        peer.end();
        let (heard, end) = session.rest();
        assert_eq!((heard.as_str(), end), ("", End::Clean));
        let reader = std::thread::spawn(move || peer.rest());
        session.say(&long);
        session.end();
        let (heard, clean) = reader.join().unwrap();
        assert_eq!((heard.len(), clean), (long.len(), true));
        is_over(engine, vip);
    });
}

fn what_is_broken_on_one_side_is_broken_on_the_other_at_once(stack: &'static str) {
    let site = site(stack);
    each(&site, |engine, vip, session, mut peer| {
        let began = Instant::now();
        session.reset();
        assert_eq!(peer.rest(), (Vec::new(), false));
        assert!(began.elapsed() < Duration::from_secs(5));
        is_over(engine, vip);
    });
    each(&site, |engine, vip, mut session, peer| {
        peer.reset();
        assert_eq!(session.rest(), (String::new(), End::Reset));
        is_over(engine, vip);
    });
    // In the middle of what is being said.
    each(&site, |engine, vip, mut session, mut peer| {
        peer.say(&vec![b'x'; 300_000]);
        session.hear(1000);
        peer.reset();
        let (_, end) = session.rest();
        assert_eq!(end, End::Reset);
        is_over(engine, vip);
    });
}

fn a_connection_without_close_notify_is_no_clean_end(stack: &'static str) {
    let site = site(stack);
    each(&site, |engine, vip, session, mut peer| {
        session.cut();
        assert_eq!(peer.rest(), (Vec::new(), false));
        is_over(engine, vip);
    });
}
