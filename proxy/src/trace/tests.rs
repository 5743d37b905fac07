use std::future::Future;
use std::sync::Arc;

use engine::{Engine, Limits};
use sched::{DestSpec, Op, Proto, ServiceKey, ServiceSpec, Trash};

use super::*;

fn director() -> (Engine, engine::Worker, Instant) {
    let now = Instant::now();
    let (engine, mut workers) = Engine::new(1, Limits::default(), 1, now);
    let dests = vec![DestSpec::new("192.168.0.7:80".parse().unwrap())];
    let key = ServiceKey::addr(Proto::Tcp, "172.16.0.99:80".parse().unwrap());
    let service = ServiceSpec { dests, ..ServiceSpec::new(key, "rr") };
    let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
    engine.set_services(Arc::new(table.unwrap()));
    (engine, workers.remove(0), now)
}

/// What a reader is told of `clients` that begin, at once.
fn told(order: &TraceOrder, clients: u16) -> Vec<Traced> {
    let (_engine, mut worker, now) = director();
    let taps = Arc::<Taps>::default();
    assert!(!taps.are_on());
    let mut lines = taps.open(order).unwrap();
    assert!(taps.are_on());
    for port in 0..clients {
        let syn = wire::build::tcp(("10.0.0.9", 4000 + port), "172.16.0.99:80").syn();
        let verdict = taps.process(0, &mut worker, &mut syn.frame(), now);
        assert!(matches!(verdict, Verdict::Transmit(_)));
    }
    let mut all = Vec::new();
    while let Some(line) = now_or_never(lines.next()) {
        all.push(serde_json::from_str(&line).unwrap());
    }
    drop(lines);
    assert!(!taps.are_on(), "nobody reads any more");
    all
}

fn now_or_never<T>(future: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), future).await.ok().flatten() })
}

#[test]
fn a_reader_is_told_of_what_it_wants_and_no_more_than_that() {
    let order = |filter: &str, rate| TraceOrder { filter: filter.into(), rate, snaplen: 0 };
    assert_eq!(told(&order("", 0), 5).len(), 5);
    assert_eq!(told(&order("port 4003 new", 0), 5).len(), 1);
    assert_eq!(told(&order("dropped", 0), 5).len(), 0);
    assert_eq!(told(&order("", 3), 5).len(), 3, "of a second");
}

#[test]
fn a_line_has_the_packet_before_and_after_and_its_reasons() {
    let told = told(&TraceOrder { snaplen: 20, ..TraceOrder::default() }, 1).remove(0).told;
    assert_eq!(told.arrived.dst.as_deref(), Some("172.16.0.99:80"));
    assert_eq!(told.arrived.bytes.len(), 40, "two digits a byte");
    assert_eq!(told.leaves.and_then(|packet| packet.dst).as_deref(), Some("192.168.0.7:80"));
    assert!(told.notes.iter().any(|note| matches!(note, engine::Note::Chosen { .. })), "{:?}", told.notes);
}

#[test]
fn there_is_an_end_to_readers() {
    let taps = Arc::<Taps>::default();
    let all: Vec<_> = (0..READERS).map(|_| taps.open(&TraceOrder::default()).unwrap()).collect();
    assert!(taps.open(&TraceOrder::default()).is_err_and(|text| text.starts_with("8 others trace already")));
    drop(all);
    assert!(taps.open(&TraceOrder::default()).is_ok());
}
