//! The thread that does the work: read a batch, take each packet out of its tunnel, merge what belongs together, hand
//! it to the kernel; spin a little, then sleep.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::{ArcSwap, Cache};
use netio::poll::{self, Waker};
use netio::tun::Queue;
use netio::tunnel::Receiver;
use wire::checksum;
use wire::decap;
use wire::frame::{Frame, GsoKind};
use wire::gro::Gro;

use super::counters::Counters;

/// Flows that are merged at a time: those of a batch that send in bulk.
const FLOWS: usize = 16;
/// Looks in vain before sleeping. A wake-up costs more than these.
const SPIN: u32 = 20;

/// Addresses in order; packets for others are not let in, or whoever can reach this host could use it as a way to
/// whatever it can reach.
pub(super) type Vips = ArcSwap<Vec<IpAddr>>;

/// What the thread has, and what it shares with others.
pub(super) struct Reader {
    pub(super) receiver: Receiver,
    pub(super) queue: Queue,
    pub(super) vips: Arc<Vips>,
    pub(super) counters: Arc<Counters>,
    pub(super) waker: Waker,
    pub(super) stop: Arc<AtomicBool>,
}

impl Reader {
    /// Works until it is told to stop.
    ///
    /// # Errors
    /// The device is gone, or the kernel has no memory.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut gro = Gro::new(if self.queue.offloads() { FLOWS } else { 0 });
        let mut vips = Cache::new(Arc::clone(&self.vips));
        let mut empty = 0;
        while !self.stop.load(Relaxed) {
            if self.batch(&mut gro, vips.load())? > 0 {
                empty = 0;
                continue;
            }
            empty += 1;
            if empty > SPIN {
                empty = 0;
                poll::wait(&self.receiver, None, &self.waker, None)?;
            }
        }
        Ok(())
    }

    /// Says how many packets came.
    fn batch(&mut self, gro: &mut Gro, vips: &[IpAddr]) -> io::Result<usize> {
        let Self { receiver, queue, counters, .. } = self;
        let mut outcome = Ok(());
        let mut send = |frame: &mut Frame| {
            let segments = segments(frame);
            // A plain device takes finished packets only.
            let ready = queue.offloads() || checksum::complete(frame);
            match if ready { queue.send(frame) } else { Err(io::ErrorKind::InvalidInput.into()) } {
                Ok(()) => counters.handed_over(segments),
                Err(error) => {
                    counters.not_taken.fetch_add(segments, Relaxed);
                    if error.raw_os_error() == Some(libc::EBADFD) {
                        outcome = Err(error);
                    }
                }
            }
        };
        let count = receiver.recv(|carrier, arrival| {
            counters.came(carrier);
            let opened = arrival.and_then(|arrival| {
                let inner = decap::open(arrival.bytes, arrival.carrier, arrival.class)?;
                Ok((arrival.bytes, inner))
            });
            match opened {
                Err(refusal) => counters.refused(refusal),
                Ok((_, inner)) if vips.binary_search(&inner.packet.dst).is_err() => {
                    counters.not_served.fetch_add(1, Relaxed);
                }
                Ok((bytes, inner)) => {
                    gro.add(&bytes[inner.at..], &inner.packet, inner.checksum, &mut send);
                }
            }
        })?;
        gro.flush(&mut send);
        counters.lost.store(receiver.lost(), Relaxed);
        outcome.map(|()| count)
    }
}

/// Packets that came for this frame.
fn segments(frame: &Frame) -> u64 {
    let offload = &frame.offload;
    match offload.gso {
        GsoKind::None => 1,
        _ => (frame.len() - usize::from(offload.hdr_len)).div_ceil(usize::from(offload.gso_size)) as u64,
    }
}
