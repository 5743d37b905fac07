//! An engine with one worker, and the ledger that watches it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{Egress, Engine, HostView, Knobs, Limits, Part, Verdict, Worker};
use sched::{ForwardMethod, Met, OnDown, Op, Path, ServiceTable, Trash};
use wire::encap::{Encap, EncapKind};
use wire::frame::Frame;
use wire::packet::{Family, Packet};
use wire::{checksum, gso};

use crate::case::Step;
use crate::end_all::end_all;
use crate::foreseen::foresee;
use crate::ledger::{Ledger, Watched};
use crate::net::Net;

pub(crate) struct Director {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    watched: Watched,
    own: Vec<Frame>,
    /// How those left that were named last.
    ways: Vec<Egress>,
    /// How the host would send to each server. NAT does not need to know.
    way: Option<Path>,
    tunnels: Tunnels,
    now: Instant,
}

/// What is known of tunnels' packets once the first has left.
#[derive(Default)]
struct Tunnels {
    /// The identification that the next packet to a server has, of those that may be cut.
    ids: BTreeMap<IpAddr, u32>,
    /// The port that stands for a flow outside.
    ports: BTreeMap<(SocketAddr, SocketAddr), u16>,
}

impl Director {
    pub(crate) fn new(net: &Net, max_connections: usize, knobs: Knobs) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(7, Limits { max_connections }, 1, now);
        engine.set_knobs(knobs);
        engine.set_local_ports(&[net.lip().port()], &[net.lip().port()]);
        let worker = workers.remove(0);
        let mut director = Self {
            engine,
            worker,
            trash: Trash::default(),
            watched: Watched::default(),
            own: Vec::new(),
            ways: Vec::new(),
            way: (net.method != ForwardMethod::Masq).then(|| net.way()),
            tunnels: Tunnels::default(),
            now,
        };
        let services = net.services().into_iter().map(|service| Op::AddService { service }).collect();
        director.edit(services);
        director
    }

    /// Lets a step happen and compares all that it did with all that it should do.
    pub(crate) fn run(&mut self, place: &str, step: Step) {
        let before = Ledger::read(&self.engine, &self.watched);
        let mut expected = before.clone();
        if let Step::Own(frames) = &step {
            let own = std::mem::take(&mut self.own);
            assert_eq!(
                own.len(),
                frames.len(),
                "{place}: frames of our own: {own:#?}",
                own = describe_all(&own)
            );
            for (is, should) in own.iter().zip(frames) {
                same_frame(place, "nothing", is, should);
                assert_eq!(checksum::verify_frame(is), Ok(()), "{place}");
            }
            return;
        }
        self.nothing_untold(place);
        match step {
            Step::Own(_) => {}
            Step::Ways(ways) => assert_eq!(self.ways, ways, "{place}: ways"),
            Step::Orphans(n) => {
                let ended = self.engine.end_orphans_from(0, (u32::MAX, usize::MAX));
                assert_eq!(ended, (None, n), "{place}: orphans");
            }
            Step::Reset(leg, n) => {
                let dest = self.watched.dest(leg);
                assert_eq!(end_all(&self.engine, dest, OnDown::Reset), n, "{place}: connections");
            }
            Step::Dies(leg, how, n) => {
                let dest = self.watched.dest(leg);
                dest.set_down(true);
                assert_eq!(end_all(&self.engine, dest, how), n, "{place}: connections");
            }
            Step::Met(leg, all) => {
                let Met { answered, refused, unanswered, in_a_row } = self.watched.dest(leg).met();
                assert_eq!([answered, refused, unanswered, in_a_row.into()], all, "{place}: met");
            }
            Step::Frame { mut input, verdict, output, moves } => {
                let (arrived, right) = (describe(&input), checksum::verify_frame(&input).is_ok());
                let foreseen = foresee(&self.engine, &self.worker, &input, self.now, 1);
                let actual = self.worker.process(&mut input, self.now);
                self.drain();
                foreseen.comes_true(actual, &input, &self.own);
                assert_eq!(actual, verdict, "{place}: the verdict about\n  {arrived}");
                if let Some(mut output) = output {
                    if let (Some(is), Some(should)) = (&input.encap, &mut output.encap) {
                        self.tunnels.foretell(place, &input, is, should);
                    }
                    same_frame(place, &arrived, &input, &output);
                    // What was wrong may stay so; what we say ourselves is right.
                    if right || verdict == Verdict::Reply {
                        assert_eq!(checksum::verify_frame(&input), Ok(()), "{place}");
                    }
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
            Step::Drain(leg) => self.watched.dest(leg).set_draining(true),
            Step::NoWay => {
                self.way = None;
                self.edit(Vec::new());
            }
            Step::NoSource => {
                self.way = self.way.map(|way| Path { source: None, ..way });
                self.edit(Vec::new());
            }
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
            Step::Templates(mut templates) => {
                let mut found = Vec::new();
                self.engine.for_each_connection(self.now, Part::ALL, |conn| {
                    if conn.template {
                        found.push(conn);
                    }
                });
                found.sort_by_key(|conn| (conn.client, conn.vip, conn.pe.clone().map(|(_, id)| id)));
                templates.sort_by_key(|&(_, _, _, client, vip, _, id)| (client, vip, id));
                let found: Vec<_> = found
                    .iter()
                    .map(|c| {
                        let id = c.pe.as_ref().map(|(_, id)| id.as_str());
                        (c.proto, c.state_name(), c.expires_in.as_secs(), c.client, c.vip, c.dest, id)
                    })
                    .collect();
                assert_eq!(found, templates, "{place}: templates");
            }
            Step::Idle => assert_eq!(self.worker.poll_timeout(), None, "{place}: a timer runs"),
        }
        expected.resets(self.own.len());
        self.compare(place, &expected);
    }

    /// Whatever has left has been told of.
    pub(crate) fn nothing_untold(&self, place: &str) {
        assert!(self.own.is_empty(), "{place}: before it left, unasked for:\n{}", describe_all(&self.own));
    }

    fn drain(&mut self) {
        let mut own = Frame::new();
        if self.own.is_empty() {
            self.ways.clear();
        }
        while let Some(egress) = self.worker.next_own(&mut own) {
            self.own.push(own.clone());
            self.ways.push(egress);
        }
    }

    fn compare(&self, place: &str, expected: &Ledger) {
        let actual = Ledger::read(&self.engine, &self.watched);
        let difference = actual.difference(expected);
        assert!(difference.is_empty(), "{place}: counters\n{difference}all counters:\n{actual}");
    }

    fn edit(&mut self, ops: Vec<Op>) {
        let table: ServiceTable = self.engine.services().apply(&mut self.trash, &ops).expect("legal edits");
        self.watched.add(&table);
        for service in table.services() {
            service.dests.iter().for_each(|dest| dest.live.set_path(self.way));
        }
        self.engine.set_services(Arc::new(table));
    }

    fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(due) = self.worker.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.worker.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }
}

impl Tunnels {
    /// Fills in what is left to chance the first time, and only then.
    fn foretell(&mut self, place: &str, frame: &Frame, is: &Encap, should: &mut Encap) {
        let packet = Packet::parse(frame.packet()).expect("a packet");
        if !should.dont_fragment {
            should.id = *self.ids.entry(is.dst).or_insert(is.id);
            self.ids.insert(is.dst, is.id.wrapping_add(gso::segments(frame, &packet)));
        }
        if let (EncapKind::Gue { source_port: is, .. }, EncapKind::Gue { source_port: should, .. }) =
            (is.kind, &mut should.kind)
        {
            assert!(is >= 49_152, "{place}: {is} is no port for that");
            let ports = packet.ports().expect("a flow");
            let flow = (SocketAddr::new(packet.src, ports.0), SocketAddr::new(packet.dst, ports.1));
            *should = *self.ports.entry(flow).or_insert(is);
        }
    }
}

fn same_frame(place: &str, arrived: &str, actual: &Frame, expected: &Frame) {
    let same = actual.packet() == expected.packet()
        && actual.offload == expected.offload
        && actual.encap == expected.encap;
    assert!(same, "{place}:\n  {arrived}\nbecame\n  {}\nand not\n  {}", describe(actual), describe(expected));
}

fn describe_all(frames: &[Frame]) -> String {
    frames.iter().map(|frame| describe(frame) + "\n").collect()
}

fn describe(frame: &Frame) -> String {
    let bytes = &frame.packet()[..frame.len().min(128)];
    let hex = |word: &[u8]| word.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let words: Vec<_> = bytes.chunks(4).map(hex).collect();
    let text = match Packet::parse(frame.packet()) {
        Ok(packet) => format!("{packet} ttl {}", packet.ttl),
        Err(error) => error.to_string(),
    };
    let (offload, len) = (frame.offload, frame.len());
    let around = frame.encap.map(|encap| format!("inside {encap:?}\n  ")).unwrap_or_default();
    format!("{text}\n  {around}{offload:?}\n  {len} bytes: {}", words.join(" "))
}
