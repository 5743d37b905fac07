//! Fronts by our own TCP: each worker of the engine serves those whose packets it is given.
//!
//! A connection belongs to the worker that has taken it. The kernel gives the packets of a client to one queue; those of
//! its server may come in on another, whose worker sends them over by mail.

mod mail;
mod tcp;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use engine::{Diverted, FrontSide, Worker};
use mio::{Events, Poll};
use netio::poll::Waker;
use tls::stack::{Event, Received};
use tls::{Relay, Who};
use wire::frame::Frame;
use wire::icmp;
use wire::packet::{L4, Packet};

use self::mail::Post;
use self::tcp::{UserLeg, UserTcp};
use super::desk::Desk;
use super::host::HostTcp;
use super::served::Served;
use super::session::Talk;

/// Who serves clients that come to an address.
pub(crate) type Directory = ArcSwap<HashMap<SocketAddr, Arc<Served>>>;

/// The fronts of one worker.
pub(crate) struct Userspace {
    desk: Desk<UserTcp>,
    directory: Arc<Directory>,
    me: u16,
    post: Arc<Post>,
    /// Something has come since the last turn.
    busy: bool,
    /// The sockets of the host by which servers are spoken with.
    poll: Poll,
    ready: Events,
}

/// One for each worker, who is woken by its waker; and where to say who serves what. The seed has to be unpredictable.
pub(crate) fn userspaces(
    seed: [u64; 3],
    wakers: Vec<Waker>,
    now: Instant,
) -> std::io::Result<(Vec<Userspace>, Arc<Directory>)> {
    let directory = Arc::<Directory>::default();
    let post = Arc::new(Post::new(wakers));
    let one = |me: u16| {
        let poll = Poll::new()?;
        let host = HostTcp::new(poll.registry().try_clone()?);
        Ok(Userspace {
            desk: Desk::new(UserTcp::new(seed, me, host, now)),
            directory: Arc::clone(&directory),
            me,
            post: Arc::clone(&post),
            busy: false,
            poll,
            ready: Events::with_capacity(256),
        })
    };
    let all = (0..post.len()).map(one).collect::<std::io::Result<_>>()?;
    Ok((all, directory))
}

impl Userspace {
    /// Takes a frame that the engine has diverted. Whether it now holds an answer that is to be sent.
    pub(crate) fn receive(&mut self, diverted: Diverted, frame: &mut Frame, now: Instant) -> bool {
        match diverted.owner {
            Some(owner) if owner != self.me => {
                self.post.send(owner, diverted.side, frame);
                false
            }
            _ => self.take(diverted.side, frame, now),
        }
    }

    fn take(&mut self, side: FrontSide, frame: &mut Frame, now: Instant) -> bool {
        self.busy = true;
        let stack = self.desk.tcp.stack(side);
        let Ok(packet) = Packet::parse(frame.packet()) else { return false };
        if matches!(packet.l4, L4::Tcp { .. }) {
            return stack.receive(frame, now) == Received::Answer;
        }
        if let Some(quoted) = icmp::quoted(frame.packet(), &packet)
            && let Some(mtu) = quoted.mtu
        {
            let local = SocketAddr::new(quoted.src, quoted.src_port);
            let remote = SocketAddr::new(quoted.dst, quoted.dst_port);
            stack.shrink(local, remote, u16::try_from(mtu).unwrap_or(u16::MAX));
        }
        false
    }

    /// Has all sessions do what they can, and everything sent that there is. `frame` is one to make others in.
    pub(crate) fn run(
        &mut self,
        engine: &mut Worker,
        frame: &mut Frame,
        now: Instant,
        mut send: impl FnMut(&mut Frame),
    ) {
        while let Some((side, letter)) = self.post.next(self.me) {
            letter.open(frame);
            if self.take(side, frame, now) {
                send(frame);
            }
        }
        self.look_at_sockets(engine, now);
        let due = self.poll_timeout(now).is_some_and(|due| due <= now);
        if !std::mem::take(&mut self.busy) && !due {
            return;
        }
        self.desk.tcp.now = now;
        for side in [FrontSide::Client, FrontSide::Server] {
            self.desk.tcp.stack(side).handle_timeout(now);
        }
        self.desk.handle_timeout(engine, now);
        self.desk.take_turns(engine, now);
        loop {
            self.events(engine, now);
            // What is sent may be an end, or make room: which is told by events.
            let mut sent = false;
            for side in [FrontSide::Server, FrontSide::Client] {
                while self.desk.tcp.stack(side).poll_transmit(frame, now) {
                    sent = true;
                    send(frame);
                }
            }
            if !sent {
                break;
            }
        }
    }

    /// What becomes readable when [`Self::run`] has something to do.
    pub(crate) fn sockets(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }

    /// Has those go on whose sockets have become ready.
    fn look_at_sockets(&mut self, engine: &mut Worker, now: Instant) {
        if self.desk.tcp.sockets == 0 || self.poll.poll(&mut self.ready, Some(Duration::ZERO)).is_err() {
            return;
        }
        for event in &self.ready {
            self.busy = true;
            let place = event.token().0 / 2;
            if let Some((_, Some(UserLeg::Hosts(leg)))) = self.desk.legs(place) {
                leg.heed(event);
                self.desk.tcp.now = now;
                self.desk.ready(place, true, engine, now);
            }
        }
    }

    /// When to call [`Self::run`] though nothing has come.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let tcp = &self.desk.tcp;
        let stacks = [tcp.clients.poll_timeout(), tcp.servers.poll_timeout(), self.desk.poll_timeout(now)];
        stacks.into_iter().flatten().min()
    }

    fn events(&mut self, engine: &mut Worker, now: Instant) {
        for side in [FrontSide::Client, FrontSide::Server] {
            while let Some(event) = self.desk.tcp.stack(side).next_event() {
                match event {
                    Event::Accepted { flow, client, vip } => {
                        self.accept(flow, Who { client, vip }, engine, now)
                    }
                    Event::Ready(flow) => {
                        if let Some(place) = self.desk.tcp.place(side, flow) {
                            self.desk.ready(place, side == FrontSide::Server, engine, now);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self, flow: tls::stack::FlowId, who: Who, engine: &mut Worker, now: Instant) {
        let served = self.directory.load().get(&who.vip).map(Arc::clone);
        let limit = |served: &Served| served.now.load().spec.limits.handshakes_per_second;
        // A client that is turned away here has completed a handshake of TCP already: it is told.
        let may =
            |served: &Arc<Served>| served.rate.full_until(limit(served), now).is_none() && served.has_room();
        let served = served.filter(may);
        let Some(served) = served else {
            tls::Leg::abort(&mut self.desk.tcp.clients.leg(flow));
            self.desk.tcp.clients.release(flow);
            return;
        };
        served.rate.count(limit(&served), now);
        let current = served.current();
        let talk = Talk::Tls(Relay::new(Arc::clone(&current.terms), who, now));
        let place = self.desk.place();
        let client = self.desk.tcp.client(flow, place);
        self.desk.receive((served, current), (place, client, who), talk, (engine, now));
    }
}
