//! What clients meet at a server, and what becomes of its connections once it is dead, by every method.

use sched::{ForwardMethod, OnDown, Proto};
use wire::build;

use super::Steps;
use super::talk::{Load, Talk};
use crate::case::{Move, Step, resets, then, wait};

pub(super) const CASES: &[(&str, Steps)] = &[
    ("a handshake counts as answered", |t| {
        let steps = shaken(t)?;
        Some(then(steps, vec![met(t, [1, 0, 0, 0])]))
    }),
    ("a SYN that comes again as not answered", |t| {
        let once = [0, 0, 1, certain(t)];
        let steps = vec![asked(t)?, wait(1, &[]), again(t), met(t, once), wait(1, &[]), again(t)];
        Some(then(steps, vec![met(t, once), wait(63, &gone(t)), met(t, once)]))
    }),
    ("one that is given up as well", |t| {
        Some(vec![asked(t)?, wait(63, &gone(t)), met(t, [0, 0, 1, certain(t)])])
    }),
    ("of a dead server's connections TCP is reset, and no other told", |t| {
        if t.load != Load::Whole {
            return None;
        }
        let dies = Step::Dies(t.leg(), OnDown::Reset, 1);
        match t.proto {
            Proto::Tcp => {
                // Through a tunnel the server is told inside of one: `tests/tunnel.rs`.
                let around = matches!(t.net.method, ForwardMethod::Tunnel(_));
                (!around).then_some(then(shaken(t)?, vec![dies, wait(0, &gone(t)), both_told(t)]))
            }
            Proto::Udp | Proto::Sctp => Some(vec![t.begins(), dies, wait(0, &gone(t))]),
        }
    }),
    ("where they are moved nobody is", |t| {
        let begun = if t.proto == Proto::Tcp { shaken(t)? } else { vec![t.begins()] };
        let dies = Step::Dies(t.leg(), OnDown::Move, 1);
        (t.load == Load::Whole).then(|| then(begun, vec![dies, wait(0, &gone(t))]))
    }),
    ("and where they are kept datagrams still go", |t| {
        let begun = if t.proto == Proto::Tcp { shaken(t)? } else { vec![t.begins()] };
        let ended = usize::from(t.proto == Proto::Udp);
        let moves = if ended == 1 { gone(t).to_vec() } else { Vec::new() };
        let dies = Step::Dies(t.leg(), OnDown::Keep, ended);
        (t.load == Load::Whole).then(|| then(begun, vec![dies, wait(0, &moves)]))
    }),
];

/// Who answers past us may have answered an address that was forged: that says nothing about the server.
fn certain(t: &Talk<'_>) -> u64 {
    t.net.method.sees_replies().into()
}

/// A SYN that nobody has answered yet.
fn asked(t: &Talk<'_>) -> Option<Step> {
    (t.proto == Proto::Tcp && t.load == Load::Whole).then(|| t.begins())
}

fn again(t: &Talk<'_>) -> Step {
    t.up(t.first(), &[Move::In(t.leg(), 1, t.headers() as u64)])
}

/// Client and server have shaken hands, wherever the server's answer went.
fn shaken(t: &Talk<'_>) -> Option<Vec<Step>> {
    let mut steps = vec![asked(t)?];
    steps.extend(t.down(
        |from, to| build::tcp(from, to).syn().seq(900).ack(101),
        &[Move::Out(t.leg(), 1, t.headers() as u64)],
    ));
    let ack = |from, to| build::tcp(from, to).seq(101).ack(901);
    steps.push(t.up(ack, &[Move::In(t.leg(), 1, t.headers() as u64)]));
    Some(steps)
}

fn gone(t: &Talk<'_>) -> [Move; 2] {
    let load = if t.proto == Proto::Tcp { Move::Active } else { Move::Inactive };
    [Move::Gone(1), load(t.leg(), -1)]
}

fn both_told(t: &Talk<'_>) -> Step {
    let (from, to) =
        if t.net.method.sees_replies() { (t.peer(), t.server()) } else { (t.client(), t.service()) };
    resets(&[(t.service(), t.client(), 901, 101), (from, to, 101, 901)])
}

fn met(t: &Talk<'_>, all: [u64; 4]) -> Step {
    Step::Met(t.leg(), all)
}
