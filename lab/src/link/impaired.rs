//! A link that delays, loses, reorders, doubles and slows packets, for kernels without netem: a TUN device at either
//! end and a thread for each direction between them.
//!
//! The devices have no offloads, so the kernel cuts super-packets to the MTU and finishes checksums before it hands
//! them over, and every packet meets its own fate. They carry IP, not Ethernet: there is no ARP on this link, and
//! nobody on it can answer for a neighbour.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context as _, bail};
use netio::poll::{self, Waker};
use netio::tun::{Queue, Received, Tun, TunConfig};
use nix::sys::prctl::set_timerslack;
use wire::frame::Frame;

use super::End;
use super::line::{Counts, Impairment, Line};

/// A running link. Dropping it takes the link away.
#[derive(Debug)]
pub struct Impaired {
    lines: [Arc<Mutex<Line>>; 2],
    wakers: [Waker; 2],
    threads: Vec<JoinHandle<()>>,
}

/// A direction of an [`Impaired`] link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first end to the second.
    There,
    /// From the second end to the first.
    Back,
}

/// Packets that the kernel may have ready before it drops some. The link's own queue is in its [`Impairment`].
const QUEUED: u32 = 10_000;
/// Packets taken before those that are due get their turn.
const BATCH: usize = 64;
/// How late, in nanoseconds, the kernel may wake the thread to spare itself work; by default it is 50 microseconds.
const SLACK: u64 = 1000;

/// Connects two nodes; both ends are up afterwards. `impairments` are those of the ways there and back, and `seed`
/// decides which packets they hit.
pub fn impaired(a: End<'_>, b: End<'_>, impairments: [Impairment; 2], seed: u64) -> anyhow::Result<Impaired> {
    let (near, far) = (Arc::new(device(a)?), Arc::new(device(b)?));
    let [there, back] = impairments;
    let lines = [Line::new(there, seed), Line::new(back, seed.wrapping_add(1))];
    let mut link = Impaired {
        lines: lines.map(|line| Arc::new(Mutex::new(line))),
        wakers: wakers()?,
        threads: Vec::new(),
    };
    let ways = [(near.clone(), far.clone()), (far, near)];
    for (index, (from, to)) in ways.into_iter().enumerate() {
        let (line, waker) = (link.lines[index].clone(), link.wakers[index].clone());
        let way = if index == 0 {
            format!("{} to {}", a.node, b.node)
        } else {
            format!("{} to {}", b.node, a.node)
        };
        let thread = thread::Builder::new().name("impaired".to_owned()).spawn(move || {
            if let Err(error) = carry(&from, &to, &line, &waker) {
                // Nobody waits for the thread's result; what goes over the link will not arrive.
                let _ = writeln!(io::stderr(), "the link from {way} is dead: {error}");
            }
        });
        link.threads.push(thread.context("cannot start a thread for a link")?);
    }
    Ok(link)
}

impl Impaired {
    /// Changes what happens to packets from now on; those under way arrive as they would have.
    pub fn set(&self, way: Way, impairment: Impairment) {
        self.line(way).impairment = impairment;
    }

    /// What became of packets so far.
    pub fn counts(&self, way: Way) -> Counts {
        self.line(way).counts
    }

    fn line(&self, way: Way) -> MutexGuard<'_, Line> {
        lock(&self.lines[usize::from(way == Way::Back)])
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        for waker in &self.wakers {
            waker.wake();
        }
        for thread in self.threads.drain(..) {
            // It said on standard error what it died of.
            let _ = thread.join();
        }
    }
}

fn wakers() -> anyhow::Result<[Waker; 2]> {
    Ok([Waker::new()?, Waker::new()?])
}

fn device(End { node, name, mtu }: End<'_>) -> anyhow::Result<Queue> {
    let config = TunConfig { name: name.to_owned(), queues: 1, offload: false };
    let mut tun =
        node.run(|| Tun::open(&config))?.with_context(|| format!("cannot make a link in {node}"))?;
    node.link_change(name, async |_, builder| Ok(builder.mtu(mtu).txqueuelen(QUEUED).up()))?;
    match tun.queues.pop() {
        Some(queue) => Ok(queue),
        None => bail!("the device {name} in {node} has no queue"),
    }
}

/// Carries packets one way until it is woken.
fn carry(from: &Queue, to: &Queue, line: &Mutex<Line>, waker: &Waker) -> io::Result<()> {
    set_timerslack(SLACK)?;
    let start = Instant::now();
    let mut frame = Frame::new();
    loop {
        let due = lock(line).due();
        if poll::wait(from, None, waker, due.map(|due| due.saturating_sub(start.elapsed())))?.woken {
            return Ok(());
        }
        let mut line = lock(line);
        for _ in 0..BATCH {
            match from.recv(&mut frame)? {
                Received::Frame => line.push(start.elapsed(), frame.packet()),
                Received::Empty => break,
                Received::Unreadable(_) => {}
            }
        }
        while let Some(packet) = line.pop(start.elapsed()) {
            frame.set_packet(&packet);
            // What the far end does not take (it may be down) is lost, as on any cable.
            let _ = to.send(&mut frame);
            line.recycle(packet);
        }
    }
}

/// The lock, also after a panic of whoever held it: counts and packets are valid at every step.
fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
