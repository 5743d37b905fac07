//! An engine with one worker, and the ledger that watches it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{Engine, HostView, Limits, Part, Worker};
use sched::{Op, ServiceTable, Trash};
use wire::checksum;
use wire::frame::Frame;
use wire::packet::{Family, Packet};

use crate::case::Step;
use crate::ledger::{Ledger, Watched};
use crate::net::Net;

pub(crate) struct Director {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    watched: Watched,
    now: Instant,
}

impl Director {
    pub(crate) fn new(net: &Net, max_connections: usize) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(7, Limits { max_connections }, 1, now);
        let worker = workers.remove(0);
        let mut director = Self { engine, worker, trash: Trash::default(), watched: Watched::default(), now };
        let services = net.services().into_iter().map(|service| Op::AddService { service }).collect();
        director.edit(services);
        director
    }

    /// Lets a step happen and compares all that it did with all that it should do.
    pub(crate) fn run(&mut self, place: &str, step: Step) {
        let before = Ledger::read(&self.engine, &self.watched);
        let mut expected = before.clone();
        match step {
            Step::Frame { mut input, verdict, output, moves } => {
                let arrived = describe(&input);
                let actual = self.worker.process(&mut input, self.now);
                assert_eq!(actual, verdict, "{place}: the verdict about\n  {arrived}");
                if let Some(output) = output {
                    same_frame(place, &arrived, &input, &output);
                }
                expected.verdict(verdict);
                expected.moves(&moves, &self.watched);
            }
            Step::Wait { millis, moves } => {
                self.wait(millis);
                expected.moves(&moves, &self.watched);
            }
            Step::Edit(ops) => {
                self.edit(ops);
                // New servers enter the ledger with zeros.
                let zeros = Ledger::read(&self.engine, &self.watched);
                assert_eq!(before.difference(&zeros), "", "{place}: an edit moved counters");
                return;
            }
            Step::Host(local) => self.engine.set_host(HostView::new(local)),
            Step::Closed(local) => {
                let host = [Family::V4, Family::V6].into_iter().fold(HostView::new(local), HostView::closed);
                self.engine.set_host(host);
            }
            Step::Knobs(knobs) => self.engine.set_knobs(knobs),
            Step::Mtu(leg, mtu) => self.watched.dest(leg).mtu.store(mtu, Relaxed),
            Step::Shows(client, state, seconds) => {
                let mut found = Vec::new();
                self.engine.for_each_connection(self.now, Part::ALL, |conn| {
                    if conn.client == client {
                        found.push((conn.state, conn.expires_in.as_secs()));
                    }
                });
                assert_eq!(found, [(state, seconds)], "{place}: the connection of {client}");
            }
            Step::Idle => assert_eq!(self.worker.poll_timeout(), None, "{place}: a timer runs"),
        }
        self.compare(place, &expected);
    }

    fn compare(&self, place: &str, expected: &Ledger) {
        let actual = Ledger::read(&self.engine, &self.watched);
        let difference = actual.difference(expected);
        assert!(difference.is_empty(), "{place}: counters\n{difference}all counters:\n{actual}");
    }

    fn edit(&mut self, ops: Vec<Op>) {
        let table: ServiceTable = self.engine.services().apply(&mut self.trash, &ops).expect("legal edits");
        self.watched.add(&table);
        self.engine.set_services(Arc::new(table));
    }

    fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(due) = self.worker.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.worker.handle_timeout(self.now);
        }
        self.now = until;
    }
}

fn same_frame(place: &str, arrived: &str, actual: &Frame, expected: &Frame) {
    let same = actual.packet() == expected.packet() && actual.offload == expected.offload;
    assert!(same, "{place}:\n  {arrived}\nbecame\n  {}\nand not\n  {}", describe(actual), describe(expected));
    assert_eq!(checksum::verify_frame(actual), Ok(()), "{place}");
}

fn describe(frame: &Frame) -> String {
    let bytes = &frame.packet()[..frame.len().min(128)];
    let hex = |word: &[u8]| word.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let words: Vec<_> = bytes.chunks(4).map(hex).collect();
    let text = match Packet::parse(frame.packet()) {
        Ok(packet) => format!("{packet} ttl {}", packet.ttl),
        Err(error) => error.to_string(),
    };
    format!("{text}\n  {:?}\n  {} bytes: {}", frame.offload, frame.len(), words.join(" "))
}
