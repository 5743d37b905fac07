//! Mark rules in the way of packets: what is balanced, what is answered, what is left alone, and what rules count.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use engine::{Egress, Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::marks::{MarkCounts, Match, PortMatch, Prefix, SetMark};
use sched::{DestSpec, Family, Mark, MarkRule, Op, ServiceKey, ServiceSpec, Trash};
use wire::build::{ping, tcp};
use wire::packet::Packet;

const VIP: &str = "172.16.0.99";
const CLIENT: &str = "192.0.2.7";

struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    /// Mark 3 has two servers, which keep the port that the client asked for.
    fn new(rules: Vec<MarkRule>) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        let key = ServiceKey::Mark { mark: Mark(3.try_into().expect("not 0")), family: Family::Ipv4 };
        let dests = ["10.0.0.1:0", "10.0.0.2:0"].map(|addr| DestSpec::new(at(addr)));
        let service = ServiceSpec { dests: dests.into(), ..ServiceSpec::new(key, "rr") };
        let add = |rule| Op::AddMark { rule, at: None, counts: MarkCounts::default() };
        let ops: Vec<_> =
            std::iter::once(Op::AddService { service }).chain(rules.into_iter().map(add)).collect();
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        engine.set_services(Arc::new(table));
        Self { engine, worker: workers.remove(0), now }
    }

    /// What becomes of a SYN from this port of the client, and where it goes.
    fn syn(&mut self, from: u16, to: &str) -> (Verdict, SocketAddr) {
        let mut frame = tcp(client(from), at(to)).syn().frame();
        let verdict = self.worker.process(&mut frame, self.now);
        let packet = Packet::parse(frame.packet()).expect("a packet");
        (verdict, SocketAddr::new(packet.dst, packet.ports().expect("ports").1))
    }

    fn ping(&mut self, to: &str) -> Verdict {
        let to: IpAddr = to.parse().expect("an address");
        self.worker.process(&mut ping(client(0).ip(), to, 1, 1).frame(), self.now)
    }

    fn counted(&self) -> Vec<u64> {
        let services = self.engine.services();
        let marks = services.marks();
        let rules = marks.entries(Family::Ipv4).iter().map(|entry| entry.live.read().packets);
        rules.chain([marks.passed(Family::Ipv4).read().packets]).collect()
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::new(CLIENT.parse().expect("an address"), port)
}

fn rule(dest: &str, ports: &[&str]) -> MarkRule {
    let dest: Prefix = dest.parse().expect("a prefix");
    MarkRule {
        dest: Some(Match::is(dest)),
        protocol: Some(Match::is(6)),
        ports: vec![PortMatch::dports(ports.iter().map(|port| port.parse().expect("a port")).collect())],
        ..MarkRule::new(Family::Ipv4, SetMark::to(3))
    }
}

#[test]
fn a_marked_address_is_a_vip_and_a_prefix_is_not() {
    let mut director = Director::new(vec![rule(VIP, &["80", "443"]), rule("172.17.0.0/24", &["80"])]);
    let go = |server: &str| (Verdict::Transmit(Egress::Route), at(server));
    assert_eq!(director.syn(1, "172.16.0.99:80"), go("10.0.0.2:80"));
    assert_eq!(director.syn(2, "172.16.0.99:443"), go("10.0.0.1:443"), "one service: the next server");
    assert_eq!(director.syn(3, "172.17.0.5:80"), go("10.0.0.2:80"));
    assert_eq!(director.syn(4, "172.16.0.99:81"), (Verdict::Reply, client(4)), "reset");
    assert_eq!(director.ping(VIP), Verdict::Reply);
    assert_eq!(director.syn(5, "172.17.0.5:81"), (Verdict::Pass, at("172.17.0.5:81")));
    assert_eq!(director.ping("172.17.0.5"), Verdict::Pass);
}

#[test]
fn every_packet_that_matches_is_counted_on_new_flows_and_old() {
    let mut director =
        Director::new(vec![rule(VIP, &["80"]), MarkRule::new(Family::Ipv4, SetMark { value: 0, mask: 0 })]);
    assert_eq!(director.syn(1, "172.16.0.99:80").0, Verdict::Transmit(Egress::Route));
    let ack = tcp(client(1), at("172.16.0.99:80")).ack(1);
    assert_eq!(director.worker.process(&mut ack.frame(), director.now), Verdict::Transmit(Egress::Route));
    assert_eq!(director.ping(VIP), Verdict::Reply);
    let reply = tcp(at("10.0.0.2:80"), client(1)).syn().ack(1);
    assert_eq!(director.worker.process(&mut reply.frame(), director.now), Verdict::Transmit(Egress::Route));
    assert_eq!(director.counted(), [2, 4, 4]);
}

#[test]
fn the_input_device_is_known_by_the_way_back_and_not_for_this_hosts_own() {
    let input = |name: &str| Some(Match::is(name.parse().expect("a name")));
    let mut director = Director::new(vec![MarkRule { input: input("wan"), ..rule(VIP, &["80"]) }]);
    let view = || HostView::new([]).with_ways([("192.0.2.0/24".parse().expect("a prefix"), "wan".into())]);
    let mut verdict = |view: HostView, port| {
        director.engine.set_host(view);
        director.syn(port, "172.16.0.99:80").0
    };
    assert_eq!(verdict(view(), 1), Verdict::Transmit(Egress::Route));
    assert_eq!(verdict(HostView::new([]), 2), Verdict::Reply, "nobody knows: no rule with -i matches");
    let own = HostView::new([client(0).ip()])
        .with_ways([("192.0.2.0/24".parse().expect("a prefix"), "wan".into())]);
    assert_eq!(verdict(own, 3), Verdict::Reply);
}

#[test]
fn with_cache_bypass_what_has_no_server_goes_to_whom_it_is_for() {
    let mut director = Director::new(vec![rule("172.17.0.0/24", &["80"])]);
    let key = ServiceKey::Mark { mark: Mark(3.try_into().expect("not 0")), family: Family::Ipv4 };
    let edit = |director: &Director, ops: &[Op]| {
        let table = director.engine.services().apply(&mut Trash::default(), ops).expect("legal edits");
        director.engine.set_services(Arc::new(table));
    };
    let gone = ["10.0.0.1:0", "10.0.0.2:0"].map(|addr| Op::DelDest { key, addr: at(addr) });
    edit(&director, &gone);
    let refused = |director: &mut Director, to: &str| {
        let mut frame = tcp(client(1), at(to)).syn().frame();
        director.worker.process(&mut frame, director.now) == Verdict::Reply
    };
    assert!(refused(&mut director, "172.17.0.5:80"), "nobody is there");

    director.engine.set_knobs(Knobs { cache_bypass: true, ..Knobs::default() });
    let on = (Verdict::Transmit(Egress::Route), at("172.17.0.5:80"));
    assert_eq!(director.syn(2, "172.17.0.5:80"), on);
    let mut ack = tcp(client(2), at("172.17.0.5:80")).ack(1).frame();
    assert_eq!(director.worker.process(&mut ack, director.now), on.0);
    assert_eq!(ack.packet(), tcp(client(2), at("172.17.0.5:80")).ack(1).ttl(65).bytes());
    // To the host itself it would come again and again.
    director.engine.set_host(HostView::new([at("172.17.0.9:80").ip()]));
    assert!(refused(&mut director, "172.17.0.9:80"));
    director.engine.set_host(HostView::new([]));

    let dest = DestSpec::new(at("10.0.0.1:0"));
    edit(&director, &[Op::AddDest { key, dest }]);
    assert_eq!(director.syn(4, "172.17.0.5:80").1, at("10.0.0.1:80"), "a server is there again");
    let mut ack = tcp(client(2), at("172.17.0.5:80")).ack(2).frame();
    assert_eq!(director.worker.process(&mut ack, director.now), on.0);
    assert_eq!(Packet::parse(ack.packet()).expect("a packet").dst, on.1.ip(), "what has begun goes on");
}
