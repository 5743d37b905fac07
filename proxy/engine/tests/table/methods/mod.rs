//! Rows of method, family, protocol and offload, each with every case that makes sense of them.

mod errors;
mod flows;
mod lost;
mod talk;

use sched::{ForwardMethod, Proto};

use crate::case::Step;
use crate::director::Director;
use crate::net::Net;
use engine::Knobs;
use talk::{Load, Talk};

/// What a case comes to in a row; `None` where there is no such thing.
type Steps = fn(&Talk<'_>) -> Option<Vec<Step>>;

const METHODS: [ForwardMethod; 3] = [ForwardMethod::Masq, ForwardMethod::FullNat, ForwardMethod::Route];

const LOADS: [(Proto, &[Load]); 3] = [
    (Proto::Tcp, &[Load::Whole, Load::Partial, Load::Super]),
    (Proto::Udp, &[Load::Whole, Load::Partial, Load::Super]),
    (Proto::Sctp, &[Load::Whole, Load::Partial]),
];

/// Runs the cases in every row and says how many there were.
fn run(cases: &[(&str, Steps)]) -> usize {
    let mut rows = 0;
    for net in METHODS.iter().flat_map(|method| Net::BOTH.map(|net| net.by(*method))) {
        for (proto, load) in LOADS.iter().flat_map(|(proto, loads)| loads.iter().map(|load| (*proto, *load)))
        {
            let talk = Talk { net: &net, proto, load };
            for (what, steps) in cases {
                let Some(steps) = steps(&talk) else { continue };
                rows += 1;
                let row = format!("{:?}, {:?}, {proto:?}, {load:?}: {what}", net.method, net.family);
                let mut director = Director::new(&net, 1000, Knobs::default());
                for (i, step) in steps.into_iter().enumerate() {
                    director.run(&format!("{row}: step {}", i + 1), step);
                }
                director.nothing_untold(&row);
            }
        }
    }
    rows
}

#[test]
fn every_method_forwards_every_protocol_in_every_form() {
    assert!(run(flows::CASES) >= 500);
}

#[test]
fn every_method_refuses_what_does_not_fit_and_translates_errors() {
    assert!(run(errors::CASES) >= 210);
}

#[test]
fn every_method_tells_what_is_not_forwarded() {
    assert!(run(lost::CASES) >= 160);
}
