//! What only tunnels have: a packet around the packet.

use engine::{DropReason, Knobs};
use sched::Family;

use super::Steps;
use super::talk::{Load, SEGMENT, Talk};
use crate::case::{Step, frame};

pub(super) const CASES: &[(&str, Steps)] = &[
    ("with pmtu_disc off what is too long is cut outside, if it is of IPv4", |t| {
        if t.load == Load::Super {
            return None;
        }
        let (data, len) = (t.data(1304 - t.headers()), 1304 - t.headers());
        let (mtu, path) = (1300, 1300 + t.overhead());
        let knobs = Knobs { pmtu_disc: false, ..Knobs::default() };
        let step = if t.net.family == Family::Ipv4 {
            t.up(data, &t.counted_in(len)).around(|outer| {
                outer.dont_fragment = false;
                outer.mtu = path;
            })
        } else {
            let quote = Talk { load: Load::Whole, ..*t }.data(len)(t.client(), t.service());
            let refusal = t.net.too_big(mtu, &quote.bytes()[..1280 - 48]);
            frame(data(t.client(), t.service())).gets(refusal, &[])
        };
        Some(vec![t.begins(), Step::Mtu(t.leg(), path), Step::Knobs(knobs), step])
    }),
    ("the path gets narrow and wide again", |t| {
        let len = if t.load == Load::Super { t.usual() } else { 1280 - t.headers() };
        let (wide, narrow) = (1600 + t.overhead(), (SEGMENT + t.headers()) as u32 + t.overhead());
        let at = |mtu| {
            [Step::Mtu(t.leg(), mtu), t.up(t.data(len), &t.counted_in(len)).around(|outer| outer.mtu = mtu)]
        };
        Some([t.begins()].into_iter().chain([wide, narrow, wide].into_iter().flat_map(at)).collect())
    }),
    ("what may be cut is told apart, each segment by itself", |t| {
        let data = t.data(t.usual());
        let may = move |from, to| {
            let build = data(from, to);
            if build.bytes()[0] >> 4 == 4 { build.may_fragment() } else { build }
        };
        let step = || t.up(&may, &t.counted_in(t.usual()));
        Some(vec![t.begins(), step(), step(), step()])
    }),
    ("there are no more than 255 hops", |t| {
        let data = t.data(t.usual());
        let far = move |from, to| data(from, to).ttl(255);
        let (arrives, leg) = (far(t.client(), t.service()), t.leg());
        let outer = t.outer(leg, &arrives.bytes());
        let leaves = far(t.client(), t.service());
        let step = frame(arrives).leaves_by(t.egress(), leaves, &t.counted_in(t.usual())).inside(outer);
        Some(vec![t.begins(), step.around(|outer| outer.ttl = 255)])
    }),
    ("without an address of our own outside nothing goes", |t| {
        let data = frame(t.data(t.usual())(t.client(), t.service()));
        let counted = t.counted_in(t.usual());
        Some(vec![t.begins(), Step::NoSource, data.drops(DropReason::NoLocalAddress, &counted)])
    }),
];
