//! Two ends of a control connection, each of which numbers its own bytes and puts together what it gets.

use std::net::SocketAddr;
use std::ops::Range;

use sched::Direction;
use wire::build::{Build, tcp};
use wire::packet::{L4, Packet};

use crate::director::{Director, Net, SENT};

pub(crate) struct End {
    /// Where its stream begins.
    begin: u32,
    pub(crate) said: Vec<u8>,
    pub(crate) heard: Vec<u8>,
}

impl End {
    fn next(&self) -> u32 {
        self.begin.wrapping_add(self.said.len() as u32)
    }
}

pub(crate) struct Talk {
    pub(crate) client_addr: SocketAddr,
    vip: SocketAddr,
    pub(crate) server_addr: SocketAddr,
    /// Whom the server sees.
    pub(crate) peer: SocketAddr,
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) gso: u16,
}

impl Talk {
    /// Shakes hands.
    pub(crate) fn open(director: &mut Director, net: &Net, client_port: u16) -> Self {
        let client_addr = SocketAddr::new(net.client.ip(), client_port);
        // The client's numbers pass zero soon.
        let begin = [u32::MAX - 40, 5000];
        let [peer, server_addr] = director.sends(&tcp(client_addr, net.vip).syn().seq(begin[0] - 1));
        let end = |begin| End { begin, said: Vec::new(), heard: Vec::new() };
        let ends = begin.map(end);
        let [client, server] = ends;
        let mut talk = Self { client_addr, vip: net.vip, server_addr, peer, client, server, gso: 0 };
        let answer = tcp(server_addr, peer).syn().seq(begin[1] - 1).ack(begin[0]);
        assert_eq!(director.sends(&answer), [net.vip, client_addr]);
        talk.sends(director, Direction::In, 0..0);
        talk
    }

    /// Sends a line, and returns what the other end gets for it.
    pub(crate) fn says(&mut self, director: &mut Director, who: Direction, line: &str) -> String {
        let text = self.says_raw(director, who, format!("{line}\r\n").as_bytes());
        let text = String::from_utf8(text).unwrap();
        text.strip_suffix("\r\n").unwrap().to_owned()
    }

    pub(crate) fn asks(&mut self, director: &mut Director, line: &str) -> String {
        self.says(director, Direction::In, line)
    }

    pub(crate) fn answers(&mut self, director: &mut Director, line: &str) -> String {
        self.says(director, Direction::Out, line)
    }

    /// The same with any bytes.
    pub(crate) fn says_raw(&mut self, director: &mut Director, who: Direction, bytes: &[u8]) -> Vec<u8> {
        let from = self.end(who).said.len();
        self.end(who).said.extend(bytes);
        self.sends(director, who, from..from + bytes.len())
    }

    /// Sends a segment with a part of what an end has said, again or for the first time, and with the acknowledgment of
    /// all that it has heard. Returns the new part of what the other end gets, and checks the rest.
    pub(crate) fn sends(&mut self, director: &mut Director, who: Direction, part: Range<usize>) -> Vec<u8> {
        let segment = self.segment(who, part);
        let (verdict, frame) = director.process(&segment);
        assert_eq!(verdict, SENT);
        let packet = Packet::parse(frame.packet()).unwrap();
        let (from, to) = packet.ports().unwrap();
        let between = [SocketAddr::new(packet.src, from), SocketAddr::new(packet.dst, to)];
        let expected = match who {
            Direction::In => [self.peer, self.server_addr],
            Direction::Out => [self.vip, self.client_addr],
        };
        assert_eq!(between, expected);
        let L4::Tcp { seq, ack, .. } = packet.l4 else { panic!("{packet}") };
        let (begin, said) = (self.end(who).begin, self.end(who).said.len());
        let other = self.end(if who == Direction::In { Direction::Out } else { Direction::In });
        assert_eq!(ack, other.next(), "all that it has said is acknowledged");
        let at = seq.wrapping_sub(begin) as usize;
        let payload = packet.payload(frame.packet());
        assert!(at <= other.heard.len(), "no gap: {at} of {said}");
        let known = (other.heard.len() - at).min(payload.len());
        assert_eq!(
            String::from_utf8_lossy(&payload[..known]),
            String::from_utf8_lossy(&other.heard[at..at + known]),
            "it is the same again"
        );
        let new = payload[known..].to_vec();
        other.heard.extend(&new);
        new
    }

    /// A segment as an end makes it.
    pub(crate) fn segment(&self, who: Direction, part: Range<usize>) -> Build {
        let (end, other, [from, to]) = match who {
            Direction::In => (&self.client, &self.server, [self.client_addr, self.vip]),
            Direction::Out => (&self.server, &self.client, [self.server_addr, self.peer]),
        };
        let seq = end.begin.wrapping_add(part.start as u32);
        let ack = other.begin.wrapping_add(end.heard.len() as u32);
        let segment = tcp(from, to).seq(seq).ack(ack).payload(&end.said[part]);
        if self.gso == 0 { segment } else { segment.gso(self.gso) }
    }

    fn end(&mut self, who: Direction) -> &mut End {
        match who {
            Direction::In => &mut self.client,
            Direction::Out => &mut self.server,
        }
    }
}

/// A command that names an address, in the words of its family.
pub(crate) fn command(at: SocketAddr) -> String {
    if at.is_ipv4() { format!("PORT {}", commas(at)) } else { format!("EPRT |2|{}|{}|", at.ip(), at.port()) }
}

/// A reply that does.
pub(crate) fn reply(at: SocketAddr) -> String {
    if at.is_ipv4() {
        format!("227 Entering Passive Mode ({}).", commas(at))
    } else {
        extended_reply(at.port())
    }
}

pub(crate) fn extended_reply(port: u16) -> String {
    format!("229 Entering Extended Passive Mode (|||{port}|)")
}

fn commas(at: SocketAddr) -> String {
    format!("{},{},{}", at.ip().to_string().replace('.', ","), at.port() >> 8, at.port() & 255)
}

/// The port that a line names.
pub(crate) fn port_of(line: &str) -> u16 {
    let numbers: Vec<_> = line.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
    let last = |n: usize| numbers[numbers.len() - n].parse::<u16>().unwrap();
    if line.contains('|') { last(1) } else { last(2) << 8 | last(1) }
}
