//! Stories, word for word.

use std::sync::Arc;
use std::time::Instant;

use engine::{Engine, Limits, Supposed, Worker};
use sched::marks::{MarkCounts, Match, Prefix, SetMark};
use sched::{
    DestSpec, Family, Mark, MarkRule, Netmask, Op, Persistence, Proto, ServiceKey, ServiceSpec, Trash, Weight,
};
use wire::build::{Build, ping, tcp, udp};

use super::*;

struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    fn new(ops: &[Op]) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(1, Limits::default(), 1, now);
        let table = engine.services().apply(&mut Trash::default(), ops);
        engine.set_services(Arc::new(table.unwrap()));
        Self { engine, worker: workers.remove(0), now }
    }

    fn tells(&self, packet: &Build, expected: &str) {
        let told = story(&Explained::of(&self.worker, packet.frame(), self.now, Supposed::default()));
        assert!(told == expected, "\n{told}\n\ninstead of\n\n{expected}");
    }

    fn sends(&mut self, packet: &Build) {
        let verdict = self.worker.process(&mut packet.frame(), self.now);
        assert!(matches!(verdict, Verdict::Transmit(_)), "{verdict:?}");
    }
}

fn dests(weights: &[u32]) -> Vec<DestSpec> {
    let spec = |(i, weight): (usize, &u32)| DestSpec {
        weight: Weight(*weight),
        ..DestSpec::new(format!("192.168.0.{}:80", 7 + i).parse().unwrap())
    };
    weights.iter().enumerate().map(spec).collect()
}

fn service(scheduler: &str, weights: &[u32]) -> ServiceSpec {
    let key = ServiceKey::addr(Proto::Tcp, "172.16.0.99:80".parse().unwrap());
    ServiceSpec { dests: dests(weights), ..ServiceSpec::new(key, scheduler) }
}

#[test]
fn a_client_that_begins_gets_a_server_for_a_reason() {
    let director = Director::new(&[Op::AddService { service: service("wlc", &[3, 1, 0]) }]);
    director.tells(
        &tcp("10.0.0.9:40000", "172.16.0.99:80").syn().seq(1),
        "\
packet    IP 10.0.0.9:40000 > 172.16.0.99:80: tcp [S] seq 1 length 0, ttl 64
lookup    no connection has TCP 10.0.0.9:40000 > 172.16.0.99:80
service   TCP 172.16.0.99:80, scheduler wlc
compare   wlc: connections per weight, an active one counts 257 times: the least
            192.168.0.8:80           257 x 0 active + 0 inactive / weight 1 = 0
            192.168.0.7:80           257 x 0 active + 0 inactive / weight 3 = 0
            192.168.0.9:80           out: weight 0
server    192.168.0.8:80 by Masq
state     NONE -> SYN_RECV
change    destination 172.16.0.99:80 -> 192.168.0.8:80
          ttl (the host will take one more, and a director counts as one) 64 -> 65
verdict   sent on by the host's routing: IP 10.0.0.9:40000 > 192.168.0.8:80: tcp [S] seq 1 length 0
",
    );
}

#[test]
fn a_reply_and_a_packet_of_a_known_connection_are_found() {
    let mut director = Director::new(&[Op::AddService { service: service("rr", &[1]) }]);
    director.sends(&tcp("10.0.0.9:40000", "172.16.0.99:80").syn().seq(1));
    director.tells(
        &tcp("192.168.0.7:80", "10.0.0.9:40000").syn().seq(7).ack(2),
        "\
packet    IP 192.168.0.7:80 > 10.0.0.9:40000: tcp [S.] seq 7 ack 2 length 0, ttl 64
lookup    connection 10.0.0.9:40000 > 172.16.0.99:80 > 192.168.0.7:80
          Masq, SYN_RECV, expires in 60 s; the packet is the server's, a reply
state     stays SYN_RECV
change    source 192.168.0.7:80 -> 172.16.0.99:80
          ttl (the host will take one more, and a director counts as one) 64 -> 65
verdict   sent on by the host's routing: IP 172.16.0.99:80 > 10.0.0.9:40000: tcp [S.] seq 7 ack 2 length 0
",
    );
}

#[test]
fn a_mark_makes_one_service_of_two_ports_and_a_template_leads_back() {
    let mark = Mark(3.try_into().unwrap());
    let key = ServiceKey::Mark { mark, family: Family::Ipv4 };
    let persistence = Some(Persistence { timeout: 300, mask: Netmask::full(Family::Ipv4) });
    let any_port = |spec: DestSpec| DestSpec { addr: (spec.addr.ip(), 0).into(), ..spec };
    let dests = dests(&[1, 1]).into_iter().map(any_port).collect();
    let by_mark = ServiceSpec { dests, persistence, ..ServiceSpec::new(key, "rr") };
    let vip = Prefix::new("172.16.0.99".parse().unwrap(), 32).unwrap();
    let rule = MarkRule { dest: Some(Match::is(vip)), ..MarkRule::new(Family::Ipv4, SetMark::to(3)) };
    let mut director = Director::new(&[
        Op::AddService { service: by_mark },
        Op::AddService { service: service("rr", &[1]) },
        Op::AddMark { rule, at: None, counts: MarkCounts::default() },
    ]);
    director.sends(&tcp("10.0.0.9:40000", "172.16.0.99:80").syn().seq(1));
    director.tells(
        &tcp("10.0.0.9:40001", "172.16.0.99:443").syn().seq(1),
        "\
packet    IP 10.0.0.9:40001 > 172.16.0.99:443: tcp [S] seq 1 length 0, ttl 64
lookup    no connection has TCP 10.0.0.9:40001 > 172.16.0.99:443
mark      rule \"to 172.16.0.99 mark 3\" matches: mark 3
service   FWM 3, scheduler rr, persistent for 300 s
          not TCP 172.16.0.99:80: another port: 80, not 443
client    comes back: its template says 192.168.0.8:0, for 300 s yet; no scheduler is asked
server    192.168.0.8:443 by Masq
state     NONE -> SYN_RECV
change    destination 172.16.0.99:443 -> 192.168.0.8:443
          ttl (the host will take one more, and a director counts as one) 64 -> 65
verdict   sent on by the host's routing: IP 10.0.0.9:40001 > 192.168.0.8:443: tcp [S] seq 1 length 0
",
    );
}

#[test]
fn what_is_supposed_of_a_packet_counts_for_its_story_alone() {
    let key = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: Family::Ipv4 };
    let by_mark = ServiceSpec { dests: dests(&[1]), ..ServiceSpec::new(key, "rr") };
    let input = Some(Match::is("eth+".parse().unwrap()));
    let rule = MarkRule { input, ..MarkRule::new(Family::Ipv4, SetMark::to(3)) };
    let rules = Op::AddMark { rule, at: None, counts: MarkCounts::default() };
    let service = Op::AddService { service: by_mark };
    for (ops, device, mark, parts) in [
        (&[service.clone(), rules.clone()][..], None, 0, &["mark      none: of 1 rules, 0 match"][..]),
        (
            &[service.clone(), rules.clone()],
            Some("eth0"),
            0,
            &[
                "suppose   comes in on eth0\n",
                "rule \"in by eth+ mark 3\" matches: mark 3",
                "service   FWM 3",
            ],
        ),
        (
            &[service.clone(), rules],
            Some("wan"),
            3,
            &[
                "suppose   comes in on wan, and comes with mark 3\n",
                "mark      stays 3: of 1 rules, none matches",
            ],
        ),
        (
            std::slice::from_ref(&service),
            None,
            3,
            &["suppose   comes with mark 3\n", "service   FWM 3", "server    192.168.0.7"],
        ),
        (std::slice::from_ref(&service), None, 4, &["suppose   comes with mark 4\n", "service   none"]),
    ] {
        let mut director = Director::new(ops);
        let packet = tcp("10.0.0.9:40000", "172.16.0.99:80").syn().seq(1);
        let supposed = Supposed { input: device.map(str::to_owned), mark };
        let told = story(&Explained::of(&director.worker, packet.frame(), director.now, supposed));
        parts.iter().for_each(|part| assert!(told.contains(part), "no {part:?} in {told}"));
        let verdict = director.worker.process(&mut packet.frame(), director.now);
        assert_eq!(verdict, Verdict::Pass, "nobody has supposed anything of the packet itself");
    }
}

#[test]
fn what_nobody_serves_is_told_with_what_is_near() {
    let director = Director::new(&[Op::AddService { service: service("rr", &[1]) }]);
    director.tells(
        &udp("10.0.0.9:40000", "172.16.0.99:81"),
        "\
packet    IP 10.0.0.9:40000 > 172.16.0.99:81: udp length 0, ttl 64
lookup    no connection has UDP 10.0.0.9:40000 > 172.16.0.99:81
service   none
          not TCP 172.16.0.99:80: another protocol and port: TCP 80
address   172.16.0.99 is a VIP and nobody's address: the director answers for it
verdict   answered by the director: IP 172.16.0.99 > 10.0.0.9: icmp type 3 code 3
",
    );
}

#[test]
fn a_drop_is_told_with_its_meaning_and_what_is_usually_behind_it() {
    let director = Director::new(&[Op::AddService { service: service("rr", &[1]) }]);
    director.tells(&tcp("127.0.0.1:40000", "172.16.0.99:80").syn().seq(1), "\
packet    IP 127.0.0.1:40000 > 172.16.0.99:80: tcp [S] seq 1 length 0, ttl 64
lookup    no connection has TCP 127.0.0.1:40000 > 172.16.0.99:80
service   TCP 172.16.0.99:80, scheduler rr
fault     it begins nothing: martian-source
verdict   dropped: martian-source
meaning   For a VIP, from an address that no host can have, or from a VIP that is nobody's; or by a link, from this host's own.
usually   Somebody forges addresses; or a host on this network has taken the VIP: two directors, or a DR server that answers for it.
");
    let mut engine = Vec::new();
    director.engine.for_each_connection(director.now, engine::Part::ALL, |conn| engine.push(conn));
    assert_eq!(engine.len(), 0, "nothing has begun");
}

#[test]
fn of_many_servers_the_nearest_are_told() {
    let director = Director::new(&[Op::AddService { service: service("rr", &[1; 20]) }]);
    let told = story(&Explained::of(
        &director.worker,
        tcp("10.0.0.9:40000", "172.16.0.99:80").syn().frame(),
        director.now,
        Supposed::default(),
    ));
    assert!(told.contains("            192.168.0.26:80          turn 1\n"), "{told}");
    assert!(told.contains("  and 12 more\n"), "{told}");
    assert!(told.lines().count() <= 25, "{told}");
}

#[test]
fn a_checksum_that_is_not_filled_in_yet_is_no_damage_and_another_is() {
    let director = Director::new(&[Op::AddService { service: service("rr", &[1]) }]);
    // Of what is answered, checksums are looked at.
    let packet = || udp("10.0.0.9:40000", "172.16.0.99:81").payload_len(5);
    let verdict = |packet: &Build| {
        let frame = super::super::frame_of(&packet.bytes(), false);
        Explained::of(&director.worker, frame, director.now, Supposed::default()).verdict
    };
    assert_eq!(verdict(&packet().partial()), Verdict::Reply);
    assert_eq!(verdict(&packet().wrong_checksum()), Verdict::Drop(engine::DropReason::BadChecksum));
}

#[test]
fn why_nobody_is_chosen_is_told() {
    for (weights, why) in [(&[][..], "the service has no servers"), (&[0, 0], "all weights are 0")] {
        let director = Director::new(&[Op::AddService { service: service("rr", weights) }]);
        let packet = tcp("10.0.0.9:40000", "172.16.0.99:80").syn().frame();
        let told = story(&Explained::of(&director.worker, packet, director.now, Supposed::default()));
        assert!(told.contains(&format!("server    nobody can be chosen: {why}\n")), "{told}");
    }
}

#[test]
fn why_a_ping_is_answered_or_given_back_is_told() {
    let director = Director::new(&[Op::AddService { service: service("rr", &[1]) }]);
    director.tells(
        &ping("10.0.0.9", "172.16.0.99", 1, 1),
        "\
packet    IP 10.0.0.9 > 172.16.0.99: icmp type 8 code 0, ttl 64
address   an echo request for a VIP or LIP that is nobody's address: the director answers it itself
verdict   answered by the director: IP 172.16.0.99 > 10.0.0.9: icmp type 0 code 0
",
    );
    let frame = ping("10.0.0.9", "172.16.0.98", 1, 1).frame();
    let told = story(&Explained::of(&director.worker, frame, director.now, Supposed::default()));
    assert!(
        told.contains("address   its destination is no VIP, or an address of the host as well"),
        "{told}"
    );
}
