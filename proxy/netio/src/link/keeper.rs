//! Keeps what workers know of the network true: hears of every change from the kernel, and has it resolve the
//! neighbours that are in use and find out whether they still answer, as its own traffic would.
//!
//! It has a thread of its own, so that a change is heard while the control plane is busy. Routes are not read here: a
//! change makes all answers outdated by a new generation, and workers ask again for what they use. A neighbour's
//! new link address is just written down, nobody has to ask again for that.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::Ways;
use super::hops::{Hop, Hops, NextHop};
use super::neighbour::{self, Neighbour, RTM_DELNEIGH, RTM_NEWNEIGH};
use super::view::{self, Header, View};
use crate::netlink::NetlinkSocket;
use crate::netlink::message::split;
use crate::netlink::route::RTM_NEWROUTE;
use crate::netlink::rule::{RTM_DELRULE, RTM_NEWRULE};
use crate::poll::{Waker, wait};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;

/// Multicast groups of rtnetlink (`RTNLGRP_*`): links, neighbours, then addresses, routes, rules and settings of
/// either family, next hop objects.
const GROUPS: [u32; 11] = [1, 3, 5, 7, 8, 9, 11, 19, 24, 25, 32];

/// Room for news, in bytes: bursts of routes come faster than they are read.
const NEWS: usize = 1 << 20;

/// How often next hops in use are used in the kernel's eyes. It forgets them after a minute otherwise, and checks five
/// seconds after a use that came later than `base_reachable_time` (30 s) after the last sign of life.
const USE: Duration = Duration::from_secs(5);
/// How soon those that have not answered are asked again when somebody needs them.
const AGAIN: Duration = Duration::from_millis(200);
/// Path MTUs and some settings change without an event.
const REFRESH: Duration = Duration::from_secs(10);
/// Least time between two generations: a routing daemon may change thousands of routes at once.
const BREATH: Duration = Duration::from_millis(20);

/// What workers see of it.
#[derive(Debug)]
pub(super) struct Shared {
    /// Another one whenever an answer about a route may be another.
    pub(super) generation: AtomicU32,
    pub(super) view: ArcSwap<View>,
    pub(super) hops: Hops,
    /// The device that packets are taken to come in by.
    pub(super) input: Option<u32>,
    calls: Waker,
    stop: AtomicBool,
}

impl Shared {
    /// The address of the hop is needed.
    pub(super) fn call(&self, hop: &Arc<Hop>, awaited: bool) {
        if self.hops.call(hop, awaited) {
            self.calls.wake();
        }
    }
}

/// The keeper; it stops when this is dropped.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeps things for the network namespace of the calling thread.
    ///
    /// Routes are those of packets that come in by the device `input`, without a mark; without one, of this host's own
    /// packets. `workers` are woken when a neighbour that packets of theirs wait for is found.
    ///
    /// # Errors
    /// What netlink says.
    pub fn start(input: Option<u32>, workers: Vec<Waker>) -> io::Result<Self> {
        let mut events = Socket::new(NETLINK_ROUTE)?;
        events.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            // Those of a later kernel may be missing.
            let added = events.add_membership(group);
            if group <= 25 {
                added?;
            }
        }
        // As much of it as there may be.
        let _ = events.set_rx_buf_sz(NEWS as libc::c_int);
        let mut netlink = NetlinkSocket::open(NETLINK_ROUTE)?;
        let by_source = view::has_source_routes(&mut netlink);
        let view = View::read(&mut netlink, input, by_source)?;
        let shared = Arc::new(Shared {
            generation: AtomicU32::new(1),
            view: ArcSwap::from_pointee(view),
            hops: Hops::default(),
            input,
            calls: Waker::new()?,
            stop: AtomicBool::new(false),
        });
        let now = Instant::now();
        let listener = Listener {
            shared: Arc::clone(&shared),
            netlink,
            events,
            buffer: Vec::with_capacity(64 << 10),
            workers,
            asked: Vec::new(),
            by_source,
            look: false,
            changed: false,
            last_generation: now,
            next_use: now + USE,
            next_again: now,
            next_refresh: now + REFRESH,
        };
        let thread =
            std::thread::Builder::new().name("neighbours".to_owned()).spawn(move || listener.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// For one worker.
    ///
    /// # Errors
    /// No netlink socket can be opened. It has to be in the same network namespace.
    pub fn ways(&self) -> io::Result<Ways> {
        Ways::new(Arc::clone(&self.shared))
    }

    /// A number that is another one whenever routes, devices or addresses may be others.
    pub fn generation(&self) -> u32 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Keeps these though nobody uses them.
    pub fn add(&self, wanted: impl IntoIterator<Item = NextHop>) {
        let new = self.shared.hops.pin(wanted);
        new.iter().for_each(|hop| self.shared.call(hop, false));
    }

    /// Keeps these, and of the others those that are used.
    pub fn keep(&self, wanted: &BTreeSet<NextHop>) {
        self.shared.hops.unpin_all_but(|hop| wanted.contains(hop));
        self.add(wanted.iter().copied());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.calls.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic has been told already.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Listener {
    shared: Arc<Shared>,
    netlink: NetlinkSocket,
    events: Socket,
    buffer: Vec<u8>,
    workers: Vec<Waker>,
    /// Asked for lately: they are not asked for again yet.
    asked: Vec<Arc<Hop>>,
    /// There are routes that look at the source.
    by_source: bool,
    /// Devices or rules may be others,
    look: bool,
    /// or anything else that an answer depends on.
    changed: bool,
    last_generation: Instant,
    next_use: Instant,
    next_again: Instant,
    next_refresh: Instant,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Listener {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let due = self.due().saturating_duration_since(Instant::now());
            if let Err(error) = wait(&self.events, None, &self.shared.calls, Some(due)) {
                tracing::warn!("cannot wait for news of the network, trying again: {error}");
                std::thread::sleep(AGAIN);
            }
            self.heed();
            let now = Instant::now();
            if now >= self.next_refresh {
                self.next_refresh = now + REFRESH;
                self.look = true;
            }
            if (self.changed || self.look) && now >= self.last_generation + BREATH {
                self.renew(now);
            }
            let called = self.shared.hops.called();
            if !called.is_empty() {
                self.ask(&called);
                // However many more are called for, these are answered then.
                if self.asked.is_empty() {
                    self.next_again = now + AGAIN;
                }
                self.asked.extend(called);
            }
            if !self.asked.is_empty() && now >= self.next_again {
                Hops::answer(&std::mem::take(&mut self.asked));
            }
            if now >= self.next_use {
                self.next_use = now + USE;
                let in_use = self.shared.hops.look();
                self.ask(&in_use);
            }
        }
    }

    fn due(&self) -> Instant {
        let again = (!self.asked.is_empty()).then_some(self.next_again);
        let generation = (self.changed || self.look).then_some(self.last_generation + BREATH);
        [again, generation].into_iter().flatten().fold(self.next_use.min(self.next_refresh), Instant::min)
    }

    /// Reads the news.
    fn heed(&mut self) {
        /// Whatever comes faster than this does not keep everything else waiting.
        const MOST: usize = 1000;
        for _ in 0..MOST {
            self.buffer.clear();
            match self.events.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Too much at once: something was lost.
                Err(_) => {
                    self.by_source |= view::has_source_routes(&mut self.netlink);
                    self.look = true;
                    self.read_neighbours();
                    continue;
                }
            }
            let buffer = std::mem::take(&mut self.buffer);
            for (header, payload) in split(&buffer) {
                match header.kind {
                    RTM_NEWNEIGH | RTM_DELNEIGH => self.learn(header.kind, payload),
                    RTM_NEWLINK | RTM_DELLINK | RTM_NEWRULE | RTM_DELRULE => self.look = true,
                    RTM_NEWROUTE if !self.by_source && view::looks_at_source(payload) => {
                        (self.by_source, self.look) = (true, true);
                    }
                    _ => self.changed = true,
                }
            }
            self.buffer = buffer;
        }
    }

    /// Makes all answers outdated. What they are made of is there before that.
    fn renew(&mut self, now: Instant) {
        if self.look {
            match View::read(&mut self.netlink, self.shared.input, self.by_source) {
                Ok(view) => self.shared.view.store(Arc::new(view)),
                Err(error) => tracing::warn!("cannot read devices and rules, trying again soon: {error}"),
            }
        }
        (self.look, self.changed, self.last_generation) = (false, false, now);
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// Finds out what the kernel knows of these, and uses them in its eyes: as if a packet had been sent, so that it
    /// looks for those whom it does not know, and now and then for the others. What comes of that is news.
    fn ask(&mut self, hops: &[Arc<Hop>]) {
        let view = self.shared.view.load_full();
        for hop in hops {
            let (device, ip) = hop.at;
            // A device that is gone says so elsewhere.
            if view.links.get(&device).is_none_or(|link| link.header == Header::Bare) {
                continue;
            }
            if let Some(found) = neighbour::find(&mut self.netlink, hop.at) {
                self.tell(hop, found.address);
                if found.fixed {
                    continue;
                }
            }
            if let Err(error) = neighbour::use_(&mut self.netlink, hop.at) {
                tracing::debug!(%ip, device, %error, "the kernel does not look for a neighbour");
            }
        }
    }

    fn learn(&mut self, kind: u16, payload: &[u8]) {
        let Some(found) = neighbour::parse(kind, payload) else { return };
        if let Some(hop) = self.shared.hops.find(found.at) {
            self.tell(&hop, found.address);
        }
    }

    fn tell(&self, hop: &Hop, address: Option<[u8; 6]>) {
        if hop.learn(address) {
            self.workers.iter().for_each(Waker::wake);
        }
    }

    fn read_neighbours(&mut self) {
        let Ok(found) = neighbour::all(&mut self.netlink) else { return };
        let mut there = HashSet::new();
        for Neighbour { at, address, .. } in found {
            there.insert(at);
            if let Some(hop) = self.shared.hops.find(at) {
                self.tell(&hop, address);
            }
        }
        for hop in self.shared.hops.all().iter().filter(|hop| !there.contains(&hop.at)) {
            hop.learn(None);
        }
    }
}
