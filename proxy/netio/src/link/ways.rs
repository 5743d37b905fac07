//! How packets leave by link: which device, which link header, how long they may be.
//!
//! It is the kernel that routes: for each destination it is asked once, and its answer is remembered until something
//! changes. Policy rules, path MTU exceptions and unreachable destinations come right that way. A route with several ways, and
//! rules or routes that look at the source, are asked about for each pair of addresses; where rules look at other things
//! (protocol, ports, class), no answer can be remembered and there is no way here.
//!
//! No way means that the kernel is to have the packet: it knows what to do with it or what to say about it. That is
//! so, too, while a neighbour is unknown; it is being asked for from then on.
//!
//! What is not seen: marks that nf_tables would give a packet, IPsec policies, and filters behind the kernel's routing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netlink_sys::protocols::NETLINK_ROUTE;
use wire::frame::Tagged;

use super::LinkHeader;
use super::cache::{Cache, Entry, Key, Next, word, word4};
use super::hops::{Address, NextHop};
use super::keeper::Shared;
use super::view::{Header, Sight, View};
use crate::netlink::NetlinkSocket;
use crate::netlink::route::{self, Answer, Question};

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The index of the device.
    pub device: u32,
    /// What goes before the packet.
    pub header: LinkHeader,
    /// The largest packet in bytes that gets there as one, as far as the kernel knows.
    pub mtu: u32,
}

/// What becomes of a packet that nobody but us can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// It leaves like this.
    Now(Way),
    /// It waits for [`Ways::neighbour`] to know this one; the packet may have so many bytes.
    Later(NextHop, u32),
    /// There is no way by link, or none that can be told from a link.
    Never,
}

/// The ways that one worker knows.
#[derive(Debug)]
pub struct Ways {
    shared: Arc<Shared>,
    netlink: NetlinkSocket,
    cache: Cache,
    generation: u32,
    view: Arc<View>,
    rules: [Sight; 2],
}

impl Ways {
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let netlink = NetlinkSocket::open(NETLINK_ROUTE)?;
        // No generation has this number: the first look takes the first one in.
        Ok(Self {
            shared,
            netlink,
            cache: Cache::new(),
            generation: 0,
            view: Arc::default(),
            rules: [Sight::default(); 2],
        })
    }

    /// The way of a packet, which begins with its IP header.
    #[inline]
    pub fn way(&mut self, packet: &[u8]) -> Option<Way> {
        self.heed();
        let key = self.key(packet)?;
        if let Some(entry) = self.cache.find(&key, self.generation)
            && let Next::Ethernet(ours, hop) = &entry.next
            && let Address::Known(theirs) = hop.address()
        {
            return Some(Way {
                device: entry.device,
                header: LinkHeader::between(*ours, theirs),
                mtu: entry.mtu,
            });
        }
        match self.search(key, packet, false) {
            Onward::Now(way) => Some(way),
            Onward::Later(..) | Onward::Never => None,
        }
    }

    /// The same where no kernel is to have the packet otherwise. The workers that [`super::Keeper::start`] was given are
    /// woken when a neighbour has answered for whom one has to wait.
    pub fn onward(&mut self, packet: &[u8]) -> Onward {
        self.heed();
        self.key(packet).map_or(Onward::Never, |key| self.search(key, packet, true))
    }

    /// What the way of a packet is remembered by. None where it cannot be, and for what a link alone does not tell the
    /// way of: link-local IPv6 (RFC 4007 section 6).
    #[inline]
    fn key(&self, packet: &[u8]) -> Option<Key> {
        let (from, to, rules) = match packet.first()? >> 4 {
            4 => {
                let ends: &[u8; 8] = packet.get(12..)?.first_chunk()?;
                let ends = u64::from_be_bytes(*ends);
                (word4((ends >> 32) as u32), word4(ends as u32), self.rules[0])
            }
            6 => {
                let ends: &[u8; 32] = packet.get(8..)?.first_chunk()?;
                let word = |at: usize| ends[at..].first_chunk().map(|word| u128::from_be_bytes(*word));
                let (from, to) = (word(0)?, word(16)?);
                // fe80::/10 and ff00::/8.
                if to >> 118 == 0xfe80 >> 6 || to >> 120 == 0xff {
                    return None;
                }
                (from, to, self.rules[1])
            }
            _ => return None,
        };
        match rules {
            Sight::Destination => Some(Key { from: 0, to, device: 0 }),
            Sight::Source => Some(Key { from, to, device: 0 }),
            Sight::Inside => None,
        }
    }

    /// Whether the host has a device for a VLAN: then its routes know the way back.
    pub fn know(&mut self, way: &Tagged) -> bool {
        self.heed();
        self.view.vlans.contains(&(way.device, way.vlan()))
    }

    /// The header for a neighbour by whom a packet is to go whatever the routes are. None while the neighbour is being
    /// asked for; the workers that [`super::Keeper::start`] was given are woken when it has answered.
    pub fn neighbour(&mut self, (device, ip): NextHop) -> Option<LinkHeader> {
        self.heed();
        let key = Key { to: word(ip), device, ..Key::default() };
        for _ in 0..2 {
            match self.cache.find(&key, self.generation).map(leave) {
                Some(Outcome::Way(way)) => return Some(way.header),
                Some(Outcome::Call) => {
                    self.call(&key, true);
                    return None;
                }
                Some(Outcome::None | Outcome::BySource) => return None,
                None | Some(Outcome::Again) => {
                    let next = self.next((device, ip));
                    let entry = Entry { device, next, ..Entry::new(key, self.generation) };
                    self.cache.put(entry);
                }
            }
        }
        None
    }

    /// Takes a change in.
    #[inline]
    fn heed(&mut self) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.renew(generation);
        }
    }

    #[cold]
    fn renew(&mut self, generation: u32) {
        self.generation = generation;
        self.view = self.shared.view.load_full();
        self.rules = self.view.rules;
    }

    /// What is not remembered, or not enough. `awaited` as in [`super::hops::Hops::call`].
    #[cold]
    fn search(&mut self, mut key: Key, packet: &[u8], awaited: bool) -> Onward {
        let Some((from, to)) = ends(packet) else { return Onward::Never };
        // At most: what is remembered is outdated, depends on the source, its hop is unknown.
        for _ in 0..4 {
            match self.cache.find(&key, self.generation).map(leave) {
                Some(Outcome::Way(way)) => return Onward::Now(way),
                Some(Outcome::None) => return Onward::Never,
                Some(Outcome::BySource) => key.from = word(from),
                Some(Outcome::Call) => return self.call(&key, awaited),
                None | Some(Outcome::Again) => {
                    let entry = self.ask(key, from, to);
                    self.cache.put(entry);
                }
            }
        }
        Onward::Never
    }

    /// Whom to wait for then.
    fn call(&self, key: &Key, awaited: bool) -> Onward {
        match self.cache.find(key, self.generation) {
            Some(Entry { next: Next::Ethernet(_, hop), mtu, .. }) => {
                self.shared.call(hop, awaited);
                Onward::Later(hop.at, *mtu)
            }
            _ => Onward::Never,
        }
    }

    /// Asks the kernel.
    fn ask(&mut self, key: Key, from: IpAddr, to: IpAddr) -> Entry {
        let nowhere = Entry::new(key, self.generation);
        let by_source = key.from != 0;
        let Some(answer) = self.route(by_source.then_some(from), to) else { return nowhere };
        if !by_source && self.has_several_ways(to) {
            return Entry { next: Next::BySource, ..nowhere };
        }
        let Some(device) = answer.device.filter(|device| Some(*device) != self.shared.input) else {
            return nowhere;
        };
        let Some(link) = self.view.links.get(&device) else { return nowhere };
        let mtu = answer.mtu.unwrap_or(u32::MAX).min(link.mtu(to));
        let next = self.next((device, answer.gateway.unwrap_or(to)));
        Entry { device, mtu, next, ..nowhere }
    }

    /// The route, if it is to one other host and by link alone.
    fn route(&mut self, from: Option<IpAddr>, to: IpAddr) -> Option<Answer> {
        let input = self.shared.input;
        let question = match (input, from) {
            // What comes in has a source, and the kernel looks whether that can be. The destination is one that can:
            // there is a way to it, or none at all.
            (Some(_), None) => Question { from: Some(to), input, ..Question::to(to) },
            _ => Question { from, input, ..Question::to(to) },
        };
        let answer = match route::ask(&mut self.netlink, &question) {
            // This host's own packets have an address of its own, VIPs may be nobody's.
            Err(_) if input.is_none() && from.is_some() => {
                route::ask(&mut self.netlink, &Question::to(to)).ok()?
            }
            answer => answer.ok()?,
        };
        (answer.unicast && !answer.rewrites).then_some(answer)
    }

    fn has_several_ways(&mut self, to: IpAddr) -> bool {
        let input = self.shared.input;
        let question = Question { from: input.map(|_| to), input, as_it_stands: true, ..Question::to(to) };
        route::ask(&mut self.netlink, &question).is_ok_and(|answer| answer.several)
    }

    fn next(&self, hop: NextHop) -> Next {
        match self.view.links.get(&hop.0).map(|link| link.header) {
            Some(Header::Ethernet(ours)) => {
                self.shared.hops.get(hop).map_or(Next::Nowhere, |hop| Next::Ethernet(ours, hop))
            }
            Some(Header::Bare) => Next::Bare,
            Some(Header::Other) | None => Next::Nowhere,
        }
    }
}

/// What an entry comes to.
enum Outcome {
    Way(Way),
    None,
    BySource,
    /// The neighbour is to be asked for.
    Call,
    /// The neighbour was forgotten meanwhile: the entry is to be made again.
    Again,
}

fn leave(entry: &Entry) -> Outcome {
    let header = match &entry.next {
        Next::Ethernet(ours, hop) => match hop.address() {
            Address::Known(theirs) => LinkHeader::between(*ours, theirs),
            Address::Unknown => return Outcome::Call,
            Address::Gone => return Outcome::Again,
        },
        Next::Bare => LinkHeader::None,
        Next::BySource => return Outcome::BySource,
        Next::Nowhere => return Outcome::None,
    };
    Outcome::Way(Way { device: entry.device, header, mtu: entry.mtu })
}

/// Source and destination.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let at = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
            Some((at(12)?.into(), at(16)?.into()))
        }
        _ => {
            let at = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?));
            Some((at(8)?.into(), at(24)?.into()))
        }
    }
}
