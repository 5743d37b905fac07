use std::net::SocketAddr;

use engine::{DropReason, Knobs, State};
use sched::{Family, Netmask, Op, Persistence, PersistenceEngine, Proto, ServiceSpec};
use wire::build::{Build, tcp, udp};

use super::case::{Case, Leg, Move, Move::*, Step, case, frame, then, wait};
use super::net::{Net, spec};

pub(super) fn timeout(n: &Net, timeout: u32) -> Option<Persistence> {
    Some(Persistence { timeout, mask: Netmask::full(n.family) })
}

/// A service with the servers that it has, persistent.
fn edited(n: &Net, at: usize, persistence: Option<Persistence>) -> ServiceSpec {
    ServiceSpec { persistence, ..n.services().swap_remove(at) }
}

fn persistent(n: &Net, at: usize, seconds: u32) -> Step {
    Step::Edit(vec![Op::EditService { service: edited(n, at, timeout(n, seconds)) }])
}

fn weight(n: &Net, server: SocketAddr, weight: u32) -> Step {
    Step::Edit(vec![Op::EditDest { key: n.key(n.web()), dest: spec(server, weight) }])
}

/// A SYN to the web service that goes to this server.
pub(crate) fn syn(n: &Net, client: SocketAddr, leg: Leg, more: &[Move]) -> Step {
    let moves = [&[New(leg), Active(leg, 1), In(leg, 1, n.tcp())], more].concat();
    frame(tcp(client, leg.0).syn()).leaves_as(tcp(client, leg.1).syn().ttl(65), &moves)
}

/// A packet of the usual client's connection to the first server, either way.
fn up(n: &Net, packet: fn(Build) -> Build, moves: &[Move]) -> Step {
    let moves = [&[In(n.w1(), 1, n.tcp())], moves].concat();
    frame(packet(tcp(n.client(), n.web()))).leaves_as(packet(tcp(n.client(), n.s1())).ttl(65), &moves)
}

fn down(n: &Net, packet: fn(Build) -> Build, moves: &[Move]) -> Step {
    let moves = [&[Out(n.w1(), 1, n.tcp())], moves].concat();
    frame(packet(tcp(n.s1(), n.client()))).leaves_as(packet(tcp(n.web(), n.client())).ttl(65), &moves)
}

/// The one template there is, of the usual client for the web service.
fn remembers(n: &Net, state: &'static str, seconds: u64, server: SocketAddr) -> Step {
    Step::Templates(vec![(Some(Proto::Tcp), state, seconds, n.client_port(0), n.web(), server, None)])
}

/// The usual client opens a connection to a service that is persistent for so long.
pub(crate) fn open(n: &Net, seconds: u32) -> Vec<Step> {
    vec![persistent(n, 0, seconds), syn(n, n.client(), n.w1(), &[Template(n.w1(), 1)])]
}

fn shaken(n: &Net, seconds: u32) -> Vec<Step> {
    let rest = vec![down(n, |b| b.syn().ack(1), &[]), up(n, |b| b.ack(1), &[])];
    then(open(n, seconds), rest)
}

/// It is over; ten seconds later it has ended.
fn reset(n: &Net) -> Vec<Step> {
    vec![
        up(n, Build::rst, &[Active(n.w1(), -1), Inactive(n.w1(), 1)]),
        wait(11, &[Gone(1), Inactive(n.w1(), -1)]),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a client comes back, the next one gets the next server", |n| {
            let back = |port| syn(n, n.client_port(port), n.w1(), &[]);
            let other = SocketAddr::new(n.stranger().ip(), 1);
            let next = syn(n, other, n.w2(), &[Template(n.w2(), 1)]);
            let both = vec![
                (Some(Proto::Tcp), "NONE", 50, n.client_port(0), n.web(), n.s1(), None),
                (Some(Proto::Tcp), "NONE", 50, SocketAddr::new(other.ip(), 0), n.web(), n.s2(), None),
            ];
            then(open(n, 50), vec![back(1), back(2), next, back(3), Step::Templates(both)])
        }),
        case("a handshake assures the template", |n| {
            then(shaken(n, 50), vec![remembers(n, "ASSURED", 50, n.s1())])
        }),
        case("the answer to a datagram assures the template", |n| {
            let (c, v, s, leg, bytes) = (n.client(), n.dns(), n.d1(), n.u1(), n.ip() + 8);
            let shown =
                |state| Step::Templates(vec![(Some(Proto::Udp), state, 50, n.client_port(0), v, s, None)]);
            vec![
                persistent(n, 2, 50),
                frame(udp(c, v)).leaves_as(
                    udp(c, s).ttl(65),
                    &[Template(leg, 1), New(leg), Inactive(leg, 1), In(leg, 1, bytes)],
                ),
                shown("NONE"),
                frame(udp(s, c)).leaves_as(udp(v, c).ttl(65), &[Out(leg, 1, bytes)]),
                shown("ASSURED"),
            ]
        }),
        case("the timer starts with each new connection, not with their packets", |n| {
            let rest = vec![
                wait(30, &[]),
                up(n, |b| b.ack(1), &[]),
                remembers(n, "ASSURED", 20, n.s1()),
                syn(n, n.client_port(1), n.w1(), &[]),
                remembers(n, "ASSURED", 50, n.s1()),
            ];
            then(shaken(n, 50), rest)
        }),
        case("without connections a template ends with its time", |n| {
            let ends = vec![
                remembers(n, "ASSURED", 39, n.s1()),
                wait(39, &[]),
                syn(n, n.client_port(1), n.w1(), &[]),
                remembers(n, "ASSURED", 50, n.s1()),
            ];
            let again = vec![
                frame(tcp(n.client_port(1), n.web()).rst())
                    .leaves_as(tcp(n.client_port(1), n.s1()).rst().ttl(65), &[In(n.w1(), 1, n.tcp())]),
                // A client's reset is ignored while its SYN is on its way: SYN_RECV, 60 seconds.
                wait(62, &[Gone(1), Active(n.w1(), -1)]),
            ];
            let over = vec![wait(128, &[Template(n.w1(), -1)]), Step::Templates(vec![]), Step::Idle];
            then(then(then(shaken(n, 50), reset(n)), ends), then(again, over))
        }),
        case("a template that its connections outlive goes on for as long again", |n| {
            let rest = vec![
                wait(120, &[]),
                remembers(n, "ASSURED", 30, n.s1()),
                syn(n, n.client_port(1), n.w1(), &[]),
                remembers(n, "ASSURED", 50, n.s1()),
            ];
            then(shaken(n, 50), rest)
        }),
        case("in IPVS such a template drops to 60 seconds for good", |n| {
            let rest = vec![
                wait(100, &[]),
                remembers(n, "ASSURED", 20, n.s1()),
                wait(10, &[]),
                syn(n, n.client_port(1), n.w1(), &[]),
                remembers(n, "ASSURED", 60, n.s1()),
            ];
            then(shaken(n, 60), rest)
        })
        .knobs(Knobs::ipvs()),
        case("whose time is short at first has 60 seconds then", |n| {
            let rest = vec![wait(6, &[]), remembers(n, "ASSURED", 58, n.s1())];
            then(shaken(n, 4), rest)
        })
        .knobs(Knobs::ipvs()),
        case("a template keeps the time that it was made with", |n| {
            let rest = vec![
                persistent(n, 0, 500),
                syn(n, n.client_port(1), n.w1(), &[]),
                remembers(n, "NONE", 50, n.s1()),
            ];
            then(open(n, 50), rest)
        }),
        case("persistence that is dropped and comes back finds its templates", |n| {
            let plain = Step::Edit(vec![Op::EditService { service: edited(n, 0, None) }]);
            let rest = vec![
                plain,
                syn(n, n.client_port(1), n.w2(), &[]),
                persistent(n, 0, 9),
                syn(n, n.client_port(2), n.w1(), &[]),
                remembers(n, "NONE", 50, n.s1()),
            ];
            then(open(n, 50), rest)
        }),
        case("weight 0 does not keep a client away that comes back", |n| {
            let rest = vec![weight(n, n.s1(), 0), syn(n, n.client_port(1), n.w1(), &[])];
            then(open(n, 50), rest)
        }),
        case("unless weight 0 shall end templates", |n| {
            let knobs = Knobs { expire_quiescent_template: true, ..Knobs::default() };
            let rest = vec![
                Step::Knobs(knobs),
                syn(n, n.client_port(1), n.w1(), &[]),
                weight(n, n.s1(), 0),
                syn(n, n.client_port(2), n.w2(), &[Template(n.w1(), -1), Template(n.w2(), 1)]),
                remembers(n, "NONE", 50, n.s2()),
            ];
            then(open(n, 50), rest)
        }),
        case("or the server is being drained", |n| {
            let rest = vec![
                syn(n, n.client_port(1), n.w1(), &[]),
                Step::Drain(n.w1()),
                weight(n, n.s1(), 0),
                syn(n, n.client_port(2), n.w2(), &[Template(n.w1(), -1), Template(n.w2(), 1)]),
                remembers(n, "NONE", 50, n.s2()),
            ];
            then(open(n, 50), rest)
        }),
        case("an overloaded server gets no new client, but those who come back", |n| {
            let full = sched::DestSpec { upper: 1, ..spec(n.s1(), 1) };
            let other = SocketAddr::new(n.stranger().ip(), 1);
            let rest = vec![
                Step::Edit(vec![Op::EditDest { key: n.key(n.web()), dest: full }]),
                syn(n, n.client_port(1), n.w1(), &[]),
                syn(n, other, n.w2(), &[Template(n.w2(), 1)]),
            ];
            then(open(n, 50), rest)
        }),
        case("a removed server ends the template, its clients go elsewhere", |n| {
            let gone = Op::DelDest { key: n.key(n.web()), addr: n.s1() };
            let rest = vec![
                Step::Edit(vec![gone]),
                syn(n, n.client_port(1), n.w2(), &[Template(n.w1(), -1), Template(n.w2(), 1)]),
                remembers(n, "NONE", 50, n.s2()),
            ];
            then(open(n, 50), rest)
        }),
        case("with nobody to serve there is no template", |n| {
            let first = tcp(n.client(), n.web()).syn();
            vec![
                persistent(n, 0, 50),
                weight(n, n.s1(), 0),
                weight(n, n.s2(), 0),
                frame(first.clone()).gets(n.unreachable(&first.bytes()), &[]),
                Step::Templates(vec![]),
                Step::Idle,
            ]
        }),
        case("clients behind one mask share a server", |n| {
            let mask = match n.family {
                Family::Ipv4 => Netmask::V4([255, 255, 255, 0].into()),
                Family::Ipv6 => Netmask::V6(64),
            };
            let service = edited(n, 0, Some(Persistence { timeout: 50, mask }));
            let network = SocketAddr::new(mask.apply(n.client().ip()), 0);
            let neighbour = n.neighbour();
            vec![
                Step::Edit(vec![Op::EditService { service }]),
                syn(n, n.client(), n.w1(), &[Template(n.w1(), 1)]),
                syn(n, neighbour, n.w1(), &[]),
                Step::Templates(vec![(Some(Proto::Tcp), "NONE", 50, network, n.web(), n.s1(), None)]),
            ]
        }),
        case("each service remembers for itself", |n| {
            let other = syn(n, n.client_port(1), n.x1(), &[Template(n.x1(), 1)]);
            then(open(n, 50), vec![persistent(n, 1, 50), other])
        }),
        case("templates take places as connections do", |n| {
            let refused = frame(tcp(n.client_port(1), n.web()).syn()).drops(DropReason::TableFull, &[]);
            let other = SocketAddr::new(n.stranger().ip(), 1);
            let stranger = frame(tcp(other, n.web()).syn()).drops(DropReason::TableFull, &[]);
            then(open(n, 50), vec![refused, stranger, remembers(n, "NONE", 50, n.s1())])
        })
        .max_connections(2),
        case("a client that comes back never gets another server, even where its port is taken", |n| {
            let service = edited(n, 1, timeout(n, 50));
            let taken = frame(tcp(n.client_port(1), n.web2()).syn()).drops(DropReason::ReplyTupleTaken, &[]);
            let rest = vec![
                syn(n, n.client_port(1), n.w1(), &[]),
                Step::Edit(vec![Op::EditService { service }]),
                syn(n, n.client_port(2), n.x1(), &[Template(n.x1(), 1)]),
                taken,
            ];
            then(open(n, 50), rest)
        }),
        case("a port that is used again stays with the server", |n| {
            let over = up(n, Build::rst, &[Active(n.w1(), -1), Inactive(n.w1(), 1)]);
            let again = syn(n, n.client(), n.w1(), &[Gone(1), Inactive(n.w1(), -1)]);
            then(shaken(n, 50), vec![over, again, Step::Shows(n.client(), State::SynRecv, 60)])
        }),
        case("in IPVS such a connection is the one that it was", |n| {
            let over = up(n, Build::rst, &[Active(n.w1(), -1), Inactive(n.w1(), 1)]);
            let again = up(n, Build::syn, &[Active(n.w1(), 1), Inactive(n.w1(), -1)]);
            then(shaken(n, 50), vec![over, again, Step::Shows(n.client(), State::SynRecv, 60)])
        })
        .knobs(Knobs::ipvs()),
        case("calls of SIP stay together, whatever the port", |n| {
            let calls = sip(n);
            let none = frame(udp(n.client_port(9), n.dns()).payload(b"INVITE\r\nFrom: x\r\n\r\n"))
                .drops(DropReason::NoCallId, &[]);
            let mut steps = vec![calls];
            steps.extend([
                message(n, 1, "one", true, n.d1()),
                message(n, 2, "two", true, n.d2()),
                message(n, 3, "one", false, n.d1()),
                message(n, 4, "two", false, n.d2()),
                none,
                // A port that is known needs no Call-ID.
                frame(udp(n.client_port(2), n.dns()).payload(b"x")).leaves_as(
                    udp(n.client_port(2), n.d2()).payload(b"x").ttl(65),
                    &[In(n.u2(), 1, n.ip() + 9)],
                ),
                Step::Templates(vec![
                    (Some(Proto::Udp), "NONE", 50, n.client_port(0), n.dns(), n.d1(), Some("one")),
                    (Some(Proto::Udp), "NONE", 50, n.client_port(0), n.dns(), n.d2(), Some("two")),
                ]),
            ]);
            steps
        }),
        case("a SIP engine has no use for TCP", |n| {
            let service = ServiceSpec { pe: Some(PersistenceEngine::Sip), ..edited(n, 0, timeout(n, 50)) };
            vec![
                Step::Edit(vec![Op::EditService { service }]),
                frame(tcp(n.client(), n.web()).syn()).drops(DropReason::NoCallId, &[]),
            ]
        }),
    ]
}

fn sip(n: &Net) -> Step {
    let service = ServiceSpec { pe: Some(PersistenceEngine::Sip), ..edited(n, 2, timeout(n, 50)) };
    Step::Edit(vec![Op::EditService { service }])
}

fn message(n: &Net, port: u16, id: &str, first: bool, server: SocketAddr) -> Step {
    let text = format!("INVITE sip:a@b SIP/2.0\r\nCall-ID: {id}\r\n\r\n");
    let (client, leg, bytes) = (n.client_port(port), Leg(n.dns(), server), n.ip() + 8 + text.len() as u64);
    let mut moves = vec![New(leg), Inactive(leg, 1), In(leg, 1, bytes)];
    moves.extend(first.then_some(Template(leg, 1)));
    frame(udp(client, n.dns()).payload(text.as_bytes()))
        .leaves_as(udp(client, server).payload(text.as_bytes()).ttl(65), &moves)
}
