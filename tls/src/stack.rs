//! TCP in user space, for the fronts: connections on IP frames. No IO, no clock: frames, times and a seed are arguments.
//!
//! The shape follows what each part is good at:
//! - **Handshakes** are the stack's own. Those of clients cost nothing until they are complete: every SYN is answered
//!   with a cookie, which the client's acknowledgment brings back (`cookie`). A flood leaves no trace, and a burst of
//!   any size is answered. (It also means that nothing is sent again to a client whose acknowledgment got lost: the
//!   client has to speak first, as with TLS it does.) Those towards servers are a few numbers until then (`opening`).
//! - **Receiving** is done by smoltcp's sockets, one for each connection that has lately received something
//!   (`receiver`).
//! - **Sending** is the stack's own: with selective acknowledgments, RACK-TLP and CUBIC (`sender`).
//!
//! A connection with nothing to do is some 900 bytes. Rings are allocated when something comes or is written, grow with
//! use, and are given back after [`Limits::idle`].
//!
//! Each packet costs one look-up, however many connections there are. What came for nobody is answered by a reset.
//!
//! The contract: after [`Stack::receive`], [`Stack::handle_timeout`] and any use of a [`StackLeg`], take frames with
//! [`Stack::poll_transmit`] until there are none, and events with [`Stack::next_event`]. Call
//! [`Stack::handle_timeout`] at [`Stack::poll_timeout`]. Times never go back. Every connection that was accepted or
//! opened is [released](Stack::release) in the end, whatever became of it.

mod cookie;
mod flow;
mod flows;
mod handshake;
mod leg;
mod limits;
mod opening;
mod receiver;
mod segment;
mod sender;
mod siphash;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use wire::frame::{Frame, GsoKind};

use self::cookie::Baker;
use self::flow::{Context, Flow, Kind};
use self::flows::{Ends, Known, Slot};
use self::receiver::Shared;
use self::segment::{Segment, mss_of};
use self::siphash::SipHash;
use self::timers::Timers;

pub use handshake::ConnectError;
pub use leg::StackLeg;
pub use limits::{Counters, Limits};

/// A connection of one stack. It is never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

/// What has happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client has opened one.
    Accepted {
        /// The connection.
        flow: FlowId,
        /// The client's end.
        client: SocketAddr,
        /// The end that the client went to.
        vip: SocketAddr,
    },
    /// There is something to read, the end, an error, or room to write again after there was none. Told once, until
    /// it is taken; who is told reads and writes until that would block.
    Ready(FlowId),
}

/// What [`Stack::receive`] has made of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It has been taken in; what is in the frame now is of no use.
    Taken,
    /// The frame now holds the answer, to be sent.
    Answer,
}

/// All connections of one worker.
#[derive(Debug)]
pub struct Stack {
    limits: Limits,
    start: Instant,
    now: Duration,
    /// What timestamps begin with.
    clock_offset: u32,
    baker: Baker,
    shared: Shared,
    known: HashMap<Ends, Known, SeedableRandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    queue: VecDeque<FlowId>,
    events: VecDeque<Event>,
    /// In the order in which they are forgotten.
    remnants: VecDeque<(Duration, u64, Ends)>,
    /// How many there have been.
    buried: u64,
    counters: Counters,
}

impl Stack {
    /// A stack without connections. The seed has to be secret: cookies and sequence numbers come from it.
    pub fn new(seed: [u64; 3], limits: Limits, now: Instant) -> Self {
        let key = SipHash::new(seed[0], seed[1]);
        Self {
            limits,
            start: now,
            now: Duration::ZERO,
            clock_offset: key.hash(&[]) as u32,
            baker: Baker::new(key),
            shared: Shared::new(),
            known: HashMap::with_hasher(SeedableRandomState::with_seed(seed[2], SharedSeed::global_fixed())),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            queue: VecDeque::new(),
            events: VecDeque::new(),
            remnants: VecDeque::new(),
            buried: 0,
            counters: Counters::default(),
        }
    }

    /// Takes a frame. Every SYN in it is for this stack: whoever calls has decided that.
    pub fn receive(&mut self, frame: &mut Frame, now: Instant) -> Received {
        self.advance(now);
        self.counters.received += 1;
        let Some(segment) = Segment::parse(frame) else {
            self.counters.bad += 1;
            return Received::Taken;
        };
        let ends = Ends { local: segment.to, remote: segment.from };
        let opens = segment.flags.syn() && !segment.flags.ack() && !segment.flags.rst();
        let remnant = match self.known.get(&ends) {
            Some(Known::Flow(flow)) => {
                let flow = *flow;
                self.deliver(flow, frame, &segment);
                return Received::Taken;
            }
            Some(Known::Remnant(remnant, _)) => Some(*remnant),
            None => None,
        };
        let answer = if opens {
            self.greet(&segment)
        } else if let Some(offer) = self.taste(&segment) {
            self.accept(frame, &segment, offer);
            None
        } else if let Some(remnant) = remnant {
            remnant.answer(&segment, self.clock())
        } else if segment.flags.rst() {
            None
        } else {
            self.counters.resets += 1;
            Some(segment.reset())
        };
        let Some(answer) = answer else { return Received::Taken };
        answer.write(frame, [&[], &[]], 1);
        self.counters.sent += 1;
        Received::Answer
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Ready(flow) = event
            && let Some(slot) = self.slot(flow)
        {
            slot.announced = false;
        }
        Some(event)
    }

    /// The connection, to be used.
    pub fn leg(&mut self, flow: FlowId) -> StackLeg<'_> {
        StackLeg { stack: self, flow }
    }

    /// Nobody will use the connection any more, whose id is void from here on; an event
    /// of it may still be in the queue. What was written still goes, if the
    /// other end takes it within a minute, and the end after it. What was not read, or comes later, is refused with a
    /// reset.
    pub fn release(&mut self, flow: FlowId) {
        self.act(flow, |flow, cx| flow.release(cx.now));
    }

    /// Somewhere on the way from `local` to `remote` packets over `mtu` bytes do not pass (RFC 1191, RFC 8201).
    pub fn shrink(&mut self, local: SocketAddr, remote: SocketAddr, mtu: u16) {
        if let Some(Known::Flow(flow)) = self.known.get(&Ends { local, remote }) {
            let mss = mss_of(mtu.max(if local.is_ipv4() { 552 } else { 1280 }), local.ip());
            self.act(*flow, |flow, _| flow.shrink(mss));
        }
    }

    /// Makes `out` the next frame to send; `false` when there is none for now.
    pub fn poll_transmit(&mut self, out: &mut Frame, now: Instant) -> bool {
        self.advance(now);
        while let Some(id) = self.queue.front().copied() {
            let kind = self.change(id, |flow, cx| flow.next_frame(out, cx)).flatten();
            let Some(kind) = kind else {
                self.queue.pop_front();
                if let Some(slot) = self.slot(id) {
                    slot.queued = false;
                }
                self.settle(id);
                continue;
            };
            self.counters.sent += 1;
            self.counters.resent += u64::from(kind == Kind::Resent);
            self.counters.super_packets += u64::from(out.offload.gso != GsoKind::None);
            return true;
        }
        false
    }

    /// When to call [`Stack::handle_timeout`], if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let forget = self.remnants.front().map(|(until, ..)| *until);
        self.timers.first().into_iter().chain(forget).min().map(|at| self.start + at)
    }

    /// Does what has to be done by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some((at, id)) = self.timers.pop(self.now) {
            let Some(slot) = self.slot(id).filter(|slot| slot.armed == Some(at)) else { continue };
            slot.armed = None;
            let timeouts = |flow: &Flow| flow.timeouts();
            let before = self.slot(id).and_then(|slot| slot.flow.as_deref().map(timeouts)).unwrap_or(0);
            let news = self.act(id, |flow, cx| {
                let news = flow.handle_timeout(cx);
                (news, flow.timeouts())
            });
            if let Some((news, after)) = news {
                // One that is given up by it has none any more.
                self.counters.timeouts += after.saturating_sub(before);
                self.announce(id, news);
            }
        }
        while self.remnants.front().is_some_and(|(until, ..)| *until <= self.now) {
            self.forget();
        }
    }

    /// What the stack has done and holds.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn deliver(&mut self, id: FlowId, frame: &mut Frame, segment: &Segment) {
        let news = self.act(id, |flow, cx| flow.receive(frame, segment, cx));
        self.announce(id, news.unwrap_or(false));
    }

    fn context(&mut self) -> (&mut Vec<Slot>, Context<'_>) {
        let clock = self.clock();
        let Limits { receive, send, idle, .. } = self.limits;
        (&mut self.slots, Context { shared: &mut self.shared, now: self.now, clock, receive, send, idle })
    }

    /// The value of timestamps: milliseconds.
    fn clock(&self) -> u32 {
        self.clock_offset.wrapping_add(self.now.as_millis() as u32)
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now.saturating_duration_since(self.start));
    }
}
