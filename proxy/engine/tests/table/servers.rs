use super::case::{Case, Move::*, Step, case, frame, then, wait};
use super::net::{Net, spec};
use super::tcp::{closed, established};
use engine::{DropReason, Knobs, State};
use sched::{Op, ServiceSpec};
use wire::build::tcp;

fn remove(n: &Net) -> Step {
    Step::Edit(vec![Op::DelDest { key: n.key(n.web()), addr: n.s1() }])
}

/// A packet of the established connection that reaches its server.
fn goes_through(n: &Net) -> Step {
    frame(tcp(n.client(), n.web()).seq(101).ack(901))
        .leaves_as(tcp(n.client(), n.s1()).seq(101).ack(901).ttl(65), &[In(n.w1(), 1, n.tcp())])
}

fn stops(n: &Net) -> Step {
    frame(tcp(n.client(), n.web()).seq(101).ack(901)).drops(DropReason::DestRemoved, &[])
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a removed server gets no more packets, and they keep nothing alive", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            then(
                established(n),
                vec![
                    remove(n),
                    wait(100, &[]),
                    stops(n),
                    frame(tcp(c, v).syn()).drops(DropReason::DestRemoved, &[]),
                    Step::Shows(c, State::Established, 800),
                    // What it still has to say is heard, as in the kernel.
                    frame(tcp(s, c).seq(901).ack(101))
                        .leaves_as(tcp(v, c).seq(901).ack(101).ttl(65), &[Out(leg, 1, n.tcp())]),
                    Step::Shows(c, State::Established, 900),
                    wait(901, &[Gone(1), Active(leg, -1)]),
                ],
            )
        })
        .knobs(Knobs::ipvs()),
        case("a server that comes back finds its connections", |n| {
            let back = Op::AddDest { key: n.key(n.web()), dest: spec(n.s1(), 1) };
            then(established(n), vec![remove(n), stops(n), Step::Edit(vec![back]), goes_through(n)])
        }),
        case("a connection that is over leaves its removed server", |n| {
            let (c, v, s2, old, new) = (n.client(), n.web(), n.s2(), n.w1(), n.w2());
            let again = frame(tcp(c, v).syn()).leaves_as(
                tcp(c, s2).syn().ttl(65),
                &[Gone(1), Inactive(old, -1), New(new), Active(new, 1), In(new, 1, n.tcp())],
            );
            then(closed(n), vec![remove(n), again])
        }),
        case("a server of weight 0 keeps its connections and gets no new ones", |n| {
            let (v, s2, two) = (n.web(), n.s2(), n.w2());
            let drain = Op::EditDest { key: n.key(v), dest: spec(n.s1(), 0) };
            let elsewhere = |port| {
                let client = n.client_port(port);
                frame(tcp(client, v).syn()).leaves_as(
                    tcp(client, s2).syn().ttl(65),
                    &[New(two), Active(two, 1), In(two, 1, n.tcp())],
                )
            };
            then(
                established(n),
                vec![Step::Edit(vec![drain]), elsewhere(1), elsewhere(2), elsewhere(3), goes_through(n)],
            )
        }),
        case("another scheduler and other servers do not touch a connection", |n| {
            let web = |scheduler: &str| ServiceSpec {
                key: n.key(n.web()),
                scheduler: scheduler.to_owned(),
                ..n.services().remove(0)
            };
            then(
                established(n),
                vec![
                    Step::Edit(vec![Op::EditService { service: web("wlc") }]),
                    goes_through(n),
                    Step::Edit(vec![Op::DelDest { key: n.key(n.web()), addr: n.s2() }]),
                    goes_through(n),
                ],
            )
        }),
        case("with the service its connections stop", |n| {
            let (c, v) = (n.client_port(40_001), n.web());
            then(
                established(n),
                vec![
                    Step::Edit(vec![Op::Flush]),
                    stops(n),
                    // The address is no VIP any more: its packets are the host's business.
                    frame(tcp(c, v).syn()).passes_as(tcp(c, v).syn().ttl(65)),
                ],
            )
        }),
    ]
}
