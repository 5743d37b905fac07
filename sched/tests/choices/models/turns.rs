//! Those that go round the list.

use std::collections::HashMap;

use sched::{Change, DestKey, Flow};

use super::{Model, Server};

/// In list order, from behind the last pick.
#[derive(Default)]
pub(super) struct Rr {
    last: Option<DestKey>,
}

impl Model for Rr {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        let mut turn: Vec<_> = list.iter().collect();
        turn.rotate_left(behind(list, self.last));
        let server = turn.into_iter().find(|server| server.can_be_chosen())?;
        self.last = Some(server.addr);
        self.last
    }

    fn changed(&mut self, _list: &[Server], change: Change) {
        match change {
            Change::Removed { gone, previous } if self.last == Some(gone) => self.last = previous,
            _ => {}
        }
    }
}

/// The kernel's walk, every round of it.
#[derive(Default)]
pub(super) struct Wrr {
    last: Option<DestKey>,
    bar: i128,
    top: i128,
    step: i128,
}

impl Model for Wrr {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        if self.top == 0 {
            return None;
        }
        let begin = behind(list, self.last);
        let from_head = self.last.is_none();
        let mut rest = begin..list.len();
        let (mut restarted, mut last_round) = (false, false);
        loop {
            // The last round that begins again at the head ends where the first one began.
            let end = if last_round && restarted && !from_head { begin } else { list.len() };
            for server in &list[rest.start..end.max(rest.start)] {
                if !server.overloaded && server.weight >= self.bar {
                    self.last = Some(server.addr);
                    return self.last;
                }
            }
            if end < list.len() || (last_round && restarted && !from_head) {
                return None;
            }
            rest = 0..list.len();
            self.bar -= self.step;
            if self.bar <= 0 {
                self.bar = self.top;
                if last_round || from_head {
                    self.last = None;
                    return None;
                }
                restarted = true;
            }
            last_round = self.bar <= self.step;
        }
    }

    fn changed(&mut self, list: &[Server], change: Change) {
        self.last = None;
        self.step = list.iter().map(|server| server.weight).fold(0, gcd).max(1);
        let most = list.iter().map(|server| server.weight).max().unwrap_or(0);
        self.top = (most + 1 - self.step).max(0);
        if matches!(change, Change::Bound) || self.bar == 0 || self.bar > self.top {
            self.bar = self.top;
        } else if self.step > 1 {
            self.bar = self.bar / self.step * self.step + 1;
        }
    }
}

/// Everybody earns its weight, the richest pays for all.
#[derive(Default)]
pub(super) struct Swrr {
    credits: HashMap<DestKey, i128>,
    sum: i128,
}

impl Model for Swrr {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        let there: Vec<_> = list.iter().filter(|server| server.can_be_chosen()).collect();
        for server in &there {
            *self.credits.get_mut(&server.addr)? += server.weight;
        }
        let most = there.iter().map(|server| self.credits[&server.addr]).max()?;
        let richest = there.iter().find(|server| self.credits[&server.addr] == most)?;
        *self.credits.get_mut(&richest.addr)? -= there.iter().map(|server| server.weight).sum::<i128>();
        Some(richest.addr)
    }

    fn changed(&mut self, list: &[Server], _change: Change) {
        let sum = list.iter().map(|server| server.weight).sum();
        let old = std::mem::take(&mut self.credits);
        let kept = |server: &Server| old.get(&server.addr).map_or(0, |c| c * sum / self.sum.max(1));
        self.credits = list.iter().map(|server| (server.addr, kept(server))).collect();
        self.sum = sum;
    }
}

fn behind(list: &[Server], last: Option<DestKey>) -> usize {
    list.iter().position(|server| Some(server.addr) == last).map_or(0, |i| i + 1)
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
