//! Many clients of servers that want the PROXY protocol, each on a network that cuts, merges, repeats, reorders and loses
//! segments on both sides of the director. What the server has in the end is the header and exactly what the client has
//! sent; and all the while each of the two hears nothing of bytes that are not its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::{
    DestSpec, ForwardMethod, Op, Path, Proto, ProxyProtocol, ServiceKey, ServiceSpec, TcpOptions, Trash,
};
use wire::build::{Build, tcp};
use wire::checksum;
use wire::frame::Frame;
use wire::packet::{L4, Packet, TcpFlags};
use wire::tcp as segments;

use crate::client::METHODS;
use crate::director::{SENT, nets};
use crate::receiver::{Stream, accept};

const CONNECTIONS: u64 = 100_000;
/// Runs of the same connections in parts.
const PARTS: u64 = 8;

const VERSIONS: [ProxyProtocol; 2] = [ProxyProtocol::V1, ProxyProtocol::V2];

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A director with a service for each family, method and version.
struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
    frame: Frame,
    spare: Option<Frame>,
}

impl Director {
    fn new() -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        let mut ops = Vec::new();
        for net in nets() {
            for (at, (method, version)) in kinds().into_iter().enumerate() {
                let key = ServiceKey::addr(Proto::Tcp, SocketAddr::new(net.vip.ip(), 80 + at as u16));
                let dest = DestSpec { method, ..DestSpec::new(net.server) };
                let tcp = TcpOptions { proxy_protocol: Some(version), ..TcpOptions::default() };
                ops.push(Op::AddService {
                    service: ServiceSpec { dests: vec![dest], tcp, ..ServiceSpec::new(key, "rr") },
                });
            }
        }
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        for service in table.services() {
            let net = nets().into_iter().find(|net| Some(net.vip.ip()) == service.key.vip()).expect("one");
            let path = Path { device: 1, next_hop: net.server.ip(), source: Some(net.lip) };
            service.dests[0].live.set_path(Some(path));
        }
        engine.set_services(Arc::new(table));
        engine.set_host(HostView::new(nets().map(|net| net.lip)));
        engine.set_knobs(Knobs { reset_on_end: false, ..Knobs::default() });
        Self { engine, worker: workers.remove(0), now, frame: Frame::new(), spare: None }
    }

    /// What leaves for a segment, the segment itself last.
    fn pass(&mut self, build: &Build) -> Vec<Segment> {
        let bytes = build.bytes();
        // Super-packets alone have metadata; a frame is large, and made anew for them only.
        let mut frame = match bytes.len() {
            ..700 => self.spare.take().unwrap_or_default(),
            _ => build.frame(),
        };
        if bytes.len() < 700 {
            frame.set_packet(&bytes);
        }
        let verdict: Verdict = self.worker.process(&mut frame, self.now);
        assert_eq!(verdict, SENT);
        let last = Segment::read(&frame);
        self.spare = Some(frame);
        let mut sent = self.own();
        sent.push(last);
        sent
    }

    /// Time goes by.
    fn wait(&mut self, millis: u64) -> Vec<Segment> {
        self.now += Duration::from_millis(millis);
        let mut sent = Vec::new();
        while self.worker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.worker.handle_timeout(self.now);
            sent.extend(self.own());
        }
        sent
    }

    fn own(&mut self) -> Vec<Segment> {
        let mut sent = Vec::new();
        while self.worker.next_own(&mut self.frame).is_some() {
            sent.push(Segment::read(&self.frame));
        }
        sent
    }
}

fn kinds() -> [(ForwardMethod, ProxyProtocol); 4] {
    std::array::from_fn(|at| (METHODS[at / 2], VERSIONS[at % 2]))
}

/// As its receiver reads it.
#[derive(Clone, Debug)]
struct Segment {
    src: SocketAddr,
    dst: SocketAddr,
    seq: u32,
    ack: u32,
    window: u16,
    flags: TcpFlags,
    sack: Vec<(u32, u32)>,
    data: Vec<u8>,
}

impl Segment {
    fn read(frame: &Frame) -> Self {
        assert_eq!(checksum::verify_frame(frame), Ok(()));
        let packet = Packet::parse(frame.packet()).expect("a packet");
        let L4::Tcp { seq, ack, flags, src_port, dst_port, .. } = packet.l4 else { panic!("{packet}") };
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let blocks = segments::options(frame, &packet).filter(|option| option.kind == 5);
        let blocks = blocks.flat_map(|option| option.data.chunks(8).map(|b| (word(&b[..4]), word(&b[4..]))));
        Self {
            src: SocketAddr::new(packet.src, src_port),
            dst: SocketAddr::new(packet.dst, dst_port),
            seq,
            ack,
            window: segments::numbers(frame, &packet).expect("TCP").window,
            flags,
            sack: blocks.collect(),
            data: packet.payload(frame.packet()).to_vec(),
        }
    }
}

/// One connection with both of its ends.
struct Talk<'a> {
    director: &'a mut Director,
    rng: &'a mut Rng,
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    /// Whom the server answers, once it has heard something.
    peer: Option<SocketAddr>,
    /// First sequence numbers.
    begun: [u32; 2],
    /// Of both windows, if both ends have it.
    scale: Option<u8>,
    data: Vec<u8>,
    fin: bool,
    header: usize,
    /// On their way from the director to the server.
    flying: Vec<Segment>,
    received: Stream,
    /// The client has heard the server's SYN, and so much of what it says.
    answered: bool,
    heard: usize,
    /// What the server has said so far.
    said: usize,
    /// What the client knows to have arrived.
    acknowledged: usize,
}

impl<'a> Talk<'a> {
    fn new(director: &'a mut Director, rng: &'a mut Rng, number: u64) -> Self {
        let net = rng.pick(&nets());
        let kind = rng.below(4);
        let ports = 60_000;
        let host = number / ports % 200 + 1;
        let ip = match net.client.ip() {
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & !0xff | host as u32).into()),
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !0xff | u128::from(host)).into()),
        };
        let client = SocketAddr::new(ip, 1024 + (number % ports) as u16);
        let vip = SocketAddr::new(net.vip.ip(), 80 + kind as u16);
        let line = || format!("PROXY TCPx {} {} {} {}\r\n", client.ip(), vip.ip(), client.port(), vip.port());
        let header = match kinds()[kind].1 {
            ProxyProtocol::V1 => line().len(),
            ProxyProtocol::V2 if client.is_ipv4() => 28,
            ProxyProtocol::V2 => 52,
        };
        // Many pass zero soon.
        let begun = [(); 2].map(|()| match rng.below(2) {
            0 => (rng.below(200) as u32).wrapping_sub(150),
            _ => rng.next() as u32,
        });
        let len = match rng.below(40) {
            0..2 => 0,
            2 => 2000 + rng.below(2000),
            _ => 1 + rng.below(80),
        };
        Self {
            client,
            vip,
            server: net.server,
            peer: None,
            begun,
            scale: rng.one_in(2).then(|| rng.below(9) as u8),
            data: (0..len).map(|_| rng.next() as u8).collect(),
            fin: rng.one_in(2),
            header,
            flying: Vec::new(),
            received: Stream::default(),
            answered: false,
            heard: 0,
            said: 0,
            acknowledged: 0,
            director,
            rng,
        }
    }

    /// The client sends this.
    fn sends(&mut self, build: &Build) {
        let sent = self.director.pass(build);
        self.fly(sent);
    }

    /// Some get lost behind the director, some double.
    fn fly(&mut self, sent: Vec<Segment>) {
        for segment in sent {
            match self.rng.below(12) {
                0 => {}
                1 => self.flying.extend([segment.clone(), segment]),
                _ => self.flying.push(segment),
            }
        }
    }

    /// Something reaches the server: most often what was sent first.
    fn arrives(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let at = if self.rng.one_in(3) { self.rng.below(self.flying.len()) } else { 0 };
        let segment = self.flying.remove(at);
        assert_eq!(segment.dst, self.server);
        assert_eq!(*self.peer.get_or_insert(segment.src), segment.src);
        if segment.flags.syn() {
            assert_eq!((segment.seq, segment.data.len()), (self.begun[0], 0));
            return;
        }
        let at = segment.seq.wrapping_sub(self.begun[0].wrapping_add(1)) as usize;
        assert!(at <= self.header + self.data.len() + 1, "from {at}");
        assert_eq!(
            segment.ack.wrapping_sub(self.begun[1].wrapping_add(1)) as usize,
            self.heard_at_most(&segment)
        );
        self.received.take(at, &segment.data, segment.flags.fin());
    }

    /// What the client has acknowledged goes through as it is.
    fn heard_at_most(&self, segment: &Segment) -> usize {
        let heard = segment.ack.wrapping_sub(self.begun[1].wrapping_add(1)) as usize;
        assert!(heard <= self.heard, "{heard} of {}", self.heard);
        heard
    }

    /// The server says how far it has got, and sometimes more.
    fn answers(&mut self) {
        let Some(peer) = self.peer else { return };
        let have = self.received.acknowledges();
        let (seq, ack) = (self.begun[1].wrapping_add(1), self.begun[0].wrapping_add(1));
        let window = self.rng.pick(&[0xffff, 9000, 1000, 60, 20]);
        let mut build = tcp(self.server, peer).ack(ack.wrapping_add(have as u32)).window(window);
        let syn = !self.answered || have == 0 && self.rng.one_in(8);
        let mut says = 0;
        if syn {
            build = build.syn().seq(self.begun[1]);
            if let Some(scale) = self.scale {
                build = build.tcp_options(&[3, 3, scale]);
            }
        } else {
            says = self.rng.pick(&[0, 0, 1, 9]);
            build = build.seq(seq.wrapping_add(self.said as u32)).payload_len(says);
        }
        let island = self.received.island().filter(|_| !syn);
        if let Some((left, right)) = island {
            let mut option = vec![1, 1, 5, 10];
            option.extend(ack.wrapping_add(left as u32).to_be_bytes());
            option.extend(ack.wrapping_add(right as u32).to_be_bytes());
            build = build.tcp_options(&option);
        }
        let mut sent = self.director.pass(&build);
        assert_eq!(sent.len(), 1, "an answer is one segment");
        let answer = sent.remove(0);
        self.is_right(&answer, have, window, syn);
        for (left, right) in answer.sack {
            // Bytes of the client's that the server has.
            let (left, right) = (self.behind_syn(left), self.behind_syn(right));
            let (from, to) = island.expect("asked for");
            assert!(left < right && from.saturating_sub(self.header) == left && to - self.header == right);
        }
        if !syn {
            self.said += says;
        }
        if syn || !self.rng.one_in(8) {
            (self.answered, self.heard) = (true, self.heard.max(self.said));
            self.acknowledged = self.acknowledged.max(have.saturating_sub(self.header));
        } else {
            // It got lost, so what it said is said again.
            self.said -= says;
        }
    }

    /// What the client hears is about its own bytes.
    fn is_right(&self, answer: &Segment, have: usize, window: u16, syn: bool) {
        assert_eq!((answer.src, answer.dst), (self.vip, self.client));
        let own = |place: usize| place.saturating_sub(self.header);
        assert_eq!(self.behind_syn(answer.ack), own(have), "acknowledged, of {have}");
        let scale = self.scale.filter(|_| !syn).unwrap_or(0);
        let edge = own(have + (usize::from(window) << scale));
        assert_eq!(usize::from(answer.window), (edge - own(have)) >> scale, "window");
    }

    fn behind_syn(&self, number: u32) -> usize {
        number.wrapping_sub(self.begun[0].wrapping_add(1)) as usize
    }

    fn syn(&mut self) {
        let mut syn = tcp(self.client, self.vip).syn().seq(self.begun[0]);
        if self.scale.is_some() {
            syn = syn.tcp_options(&[3, 3, 7]);
        }
        // Some clients send what they have at once (RFC 7413); it has to come again.
        if self.rng.one_in(10) {
            syn = syn.payload(&self.data[..self.data.len().min(20)]);
        }
        self.sends(&syn);
    }

    /// The client sends these bytes, and its end with the last one.
    fn piece(&mut self, from: usize, to: usize) {
        let (seq, ack) = (self.begun[0].wrapping_add(1), self.begun[1].wrapping_add(1));
        let data = &self.data[from..to];
        let build = tcp(self.client, self.vip).seq(seq.wrapping_add(from as u32)).payload(data);
        let mut build = build.ack(ack.wrapping_add(self.heard as u32));
        if self.fin && to == self.data.len() {
            build = build.fin();
        }
        if self.rng.one_in(2) {
            build = build.flags(TcpFlags::PSH);
        }
        if self.rng.one_in(3) {
            build = build.tcp_options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        }
        if data.len() > 700 {
            build = build.gso(600);
        }
        self.sends(&build);
    }

    /// Pieces of the data in some order, some of them twice, some over others; among them bare acknowledgments.
    fn pieces(&mut self) -> Vec<(usize, usize)> {
        let len = self.data.len();
        let mut cuts: Vec<_> =
            (0..self.rng.below(4)).map(|_| self.rng.below(len + 1)).chain([0, len]).collect();
        cuts.sort_unstable();
        let mut pieces: Vec<_> = cuts.windows(2).map(|two| (two[0], two[1])).collect();
        if self.rng.one_in(2) {
            pieces.insert(0, (0, 0));
        }
        for _ in 0..self.rng.below(3) {
            let (a, b) = (self.rng.below(len + 1), self.rng.below(len + 1));
            pieces.push((a.min(b), a.max(b)));
        }
        for _ in 0..self.rng.below(4) {
            let (a, b) = (self.rng.below(pieces.len()), self.rng.below(pieces.len()));
            pieces.swap(a, b);
        }
        pieces
    }

    /// From the SYN to the last byte.
    fn run(mut self) {
        self.syn();
        while !self.answered {
            if self.rng.one_in(4) || self.flying.is_empty() && self.peer.is_none() {
                self.syn();
            }
            self.arrives();
            if self.rng.one_in(2) {
                self.answers();
            }
        }
        for (from, to) in self.pieces() {
            // Some get lost before the director.
            if !self.rng.one_in(10) {
                self.piece(from, to);
            }
            if self.rng.one_in(6) {
                let millis = self.rng.pick(&[1, 50, 120, 400]);
                let sent = self.director.wait(millis);
                self.fly(sent);
            }
            if self.rng.one_in(2) {
                self.arrives();
            }
            if self.rng.one_in(4) {
                self.answers();
            }
        }
        self.ends();
    }

    /// The client sends again what is missing, until nothing is.
    fn ends(mut self) {
        let whole = self.header + self.data.len() + usize::from(self.fin);
        for _ in 0..60 {
            while !self.flying.is_empty() {
                self.arrives();
            }
            if self.received.acknowledges() == whole {
                break;
            }
            self.answers();
            let from = self.acknowledged.min(self.data.len());
            let to = (from + 600).min(self.data.len());
            if from < to || self.fin || self.received.contiguous() == 0 {
                self.piece(from, to);
            }
            let sent = self.director.wait(200);
            self.fly(sent);
        }
        assert_eq!(self.received.acknowledges(), whole, "of header, data and end");
        let stream = self.received.whole().expect("no gap");
        let (client, vip, data) = accept(&stream).expect("a header");
        assert_eq!((client, vip), (self.client, self.vip));
        assert!(data == self.data, "the client's bytes");
        self.answers();
    }
}

/// Prints which connection has failed.
struct Place(u64);

impl Drop for Place {
    #[expect(clippy::print_stdout, reason = "for whoever looks for the cause")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("connection {}: ULVS_GREETING={} runs it alone", self.0, self.0);
        }
    }
}

fn connection(director: &mut Director, number: u64) {
    let _place = Place(number);
    let mut rng = Rng(number);
    Talk::new(director, &mut rng, number).run();
}

#[test]
fn servers_get_a_header_and_exactly_what_their_clients_send() {
    if let Some(number) = std::env::var("ULVS_GREETING").ok().map(|text| text.parse().expect("a number")) {
        return connection(&mut Director::new(), number);
    }
    std::thread::scope(|scope| {
        for part in 0..PARTS {
            scope.spawn(move || {
                let mut director = Director::new();
                let numbers = (0..CONNECTIONS).filter(|number| number % PARTS == part);
                let n = numbers.map(|number| connection(&mut director, number)).count() as u64;
                let counters = director.engine.counters();
                assert!(counters.greetings > n + n / 10, "none was sent again: {counters:?}");
                assert_eq!(counters.created, n);
            });
        }
    });
}
