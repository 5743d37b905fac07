//! What does not fit, and errors that routers and hosts send.

use std::net::IpAddr;

use sched::Family;
use wire::build::{self, Build};

use super::Steps;
use super::talk::{Load, Talk};
use crate::case::{Move, Step, frame};

pub(super) const CASES: &[(&str, Steps)] = &[
    ("what fits the path exactly passes", |t| {
        Some(vec![
            t.begins(),
            Step::Mtu(t.leg(), path(t)),
            t.up(t.data(fitting(t)), &t.counted_in(fitting(t))).around(|outer| outer.mtu = path(t)),
        ])
    }),
    ("one byte more is refused with the client's view of it", |t| {
        let data = t.data(fitting(t) + UNIT);
        let (arrives, narrow) = (data(t.client(), t.service()), mtu(t));
        // Of a super-packet, the first segment as it would have been on the wire.
        let (arrives, narrow, quote) = match t.load {
            Load::Super => {
                let data = t.data(fitting(t));
                let whole = Talk { load: Load::Whole, ..*t };
                let first = whole.data(super::talk::SEGMENT)(t.client(), t.service());
                (data(t.client(), t.service()), narrow - 1, first.bytes())
            }
            // Finished, where that was left to the sender.
            _ => {
                let whole = Talk { load: Load::Whole, ..*t };
                (arrives, narrow, whole.data(fitting(t) + UNIT)(t.client(), t.service()).bytes())
            }
        };
        let moves: &[Move] = if t.load == Load::Super { &[Move::Super] } else { &[] };
        let refused = frame(arrives).gets(t.net.too_big(narrow, quoted(t, &quote)), moves);
        Some(vec![t.begins(), Step::Mtu(t.leg(), narrow + t.overhead()), refused])
    }),
    ("one byte more passes where it may be fragmented", |t| {
        if t.net.family != Family::Ipv4 || t.load == Load::Super {
            return None;
        }
        let (data, len) = (t.data(fitting(t) + UNIT), fitting(t) + UNIT);
        let may = move |from, to| data(from, to).may_fragment();
        let cut = t.up(may, &t.counted_in(len)).around(|outer| outer.mtu = path(t));
        Some(vec![t.begins(), Step::Mtu(t.leg(), path(t)), cut])
    }),
    ("the server's answers are not measured against its path", |t| {
        let len = if t.load == Load::Super { t.usual() } else { 1452 - t.headers() };
        Some(vec![t.begins(), Step::Mtu(t.leg(), 1300), t.down(t.data(len), &t.counted_out(len))?])
    }),
    ("a server's port unreachable reaches the client as the service's", |t| {
        about_a_request(t, t.server().ip(), build::unreachable_port)
    }),
    ("a router's time exceeded behind us comes from the service", |t| {
        about_a_request(t, t.net.router(), build::time_exceeded)
    }),
    ("a router's too big behind us comes from the service", |t| {
        about_a_request(t, t.net.router(), |from, to, quote| build::too_big(from, to, 1290, quote))
    }),
    ("a client's port unreachable reaches the server", |t| {
        about_an_answer(t, t.client().ip(), build::unreachable_port)
    }),
    ("a router's time exceeded before us reaches the server", |t| {
        about_an_answer(t, t.net.stranger().ip(), build::time_exceeded)
    }),
    ("a router's too big before us reaches the server", |t| {
        about_an_answer(t, t.net.stranger().ip(), |from, to, quote| build::too_big(from, to, 1290, quote))
    }),
];

type Error = fn(IpAddr, IpAddr, &[u8]) -> Build;

/// The least that a packet can be longer by: chunks of SCTP are padded.
const UNIT: usize = 4;

/// An MTU of the path to the server to try, what it is to a client, and the longest data that it lets through.
fn path(t: &Talk<'_>) -> u32 {
    mtu(t) + t.overhead()
}

fn mtu(t: &Talk<'_>) -> u32 {
    match t.load {
        Load::Super => (super::talk::SEGMENT + t.headers()) as u32,
        _ => 1300,
    }
}

fn fitting(t: &Talk<'_>) -> usize {
    match t.load {
        Load::Super => t.usual(),
        _ => 1300 - t.headers(),
    }
}

/// As much as an error quotes.
fn quoted<'a>(t: &Talk<'_>, packet: &'a [u8]) -> &'a [u8] {
    let room = if t.net.family == Family::Ipv4 { 576 - 28 } else { 1280 - 48 };
    &packet[..packet.len().min(room)]
}

/// Where answers come back through us, errors about requests do as well.
fn about_a_request(t: &Talk<'_>, from: IpAddr, error: Error) -> Option<Vec<Step>> {
    if !t.net.method.sees_replies() || t.load != Load::Whole {
        return None;
    }
    let data = t.data(t.usual());
    let quotes = [data(t.peer(), t.server()).bytes(), data(t.client(), t.service()).bytes()];
    let sent = error(from, t.peer().ip(), &quotes[0]);
    let bytes = sent.bytes().len() as u64;
    let known = error(t.service().ip(), t.client().ip(), &quotes[1]).ttl(65);
    Some(vec![t.begins(), frame(sent).leaves_as(known, &[Move::Out(t.leg(), 1, bytes)])])
}

/// Whoever finds fault with an answer writes to the service.
fn about_an_answer(t: &Talk<'_>, from: IpAddr, error: Error) -> Option<Vec<Step>> {
    if !t.net.method.sees_replies() || t.load != Load::Whole {
        return None;
    }
    let data = t.data(t.usual());
    let quotes = [data(t.service(), t.client()).bytes(), data(t.server(), t.peer()).bytes()];
    let sent = error(from, t.service().ip(), &quotes[0]);
    let bytes = sent.bytes().len() as u64;
    // Of FullNAT the server knows nobody but us.
    let teller = if t.peer() == t.client() { from } else { t.peer().ip() };
    let known = error(teller, t.server().ip(), &quotes[1]).ttl(65);
    Some(vec![t.begins(), frame(sent).leaves_as(known, &[Move::In(t.leg(), 1, bytes)])])
}
