//! Frames that came in on another worker's queue than their connection belongs to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use engine::FrontSide;
use netio::poll::Waker;
use wire::frame::{Frame, Offload};

/// Letters that wait for a worker, at most: more are lost, as on any other wire that is full.
const MOST: usize = 4096;

/// A frame in its envelope.
pub(super) struct Letter {
    bytes: Vec<u8>,
    offload: Offload,
}

impl Letter {
    /// Makes `frame` the one that was sent.
    pub(super) fn open(self, frame: &mut Frame) {
        frame.set_packet(&self.bytes);
        frame.offload = self.offload;
    }
}

/// A box for each worker.
pub(super) struct Post(Vec<PostBox>);

struct PostBox {
    letters: Mutex<VecDeque<(FrontSide, Letter)>>,
    /// There is something in it, perhaps: spares the lock.
    any: AtomicBool,
    waker: Waker,
}

impl Post {
    pub(super) fn new(wakers: Vec<Waker>) -> Self {
        let one = |waker| PostBox { letters: Mutex::default(), any: AtomicBool::new(false), waker };
        Self(wakers.into_iter().map(one).collect())
    }

    /// How many workers there are.
    pub(super) fn len(&self) -> u16 {
        self.0.len().try_into().unwrap_or(u16::MAX)
    }

    pub(super) fn send(&self, to: u16, side: FrontSide, frame: &Frame) {
        let Some(at) = self.0.get(usize::from(to)) else { return };
        let mut letters = at.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() < MOST {
            letters.push_back((side, Letter { bytes: frame.packet().to_vec(), offload: frame.offload }));
        }
        let first = !at.any.swap(true, Ordering::Release);
        drop(letters);
        if first {
            at.waker.wake();
        }
    }

    pub(super) fn next(&self, of: u16) -> Option<(FrontSide, Letter)> {
        let at = self.0.get(usize::from(of)).filter(|at| at.any.load(Ordering::Acquire))?;
        let mut letters = at.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = letters.pop_front();
        at.any.store(!letters.is_empty(), Ordering::Release);
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_arrive_in_order_with_their_offload_and_only_so_many() {
        let post = Post::new((0..2).map(|_| Waker::new().unwrap()).collect());
        assert!(post.next(1).is_none());
        let mut frame = Frame::from_packet(&[0x45, 1]);
        frame.offload.gso_size = 1448;
        for n in 0..MOST as u16 + 10 {
            frame.packet_mut().copy_from_slice(&n.to_be_bytes());
            post.send(1, FrontSide::Server, &frame);
        }
        assert!(post.next(0).is_none());
        let mut got = 0_u16;
        let mut back = Frame::new();
        while let Some((side, letter)) = post.next(1) {
            letter.open(&mut back);
            assert_eq!(
                (side, back.packet(), back.offload.gso_size),
                (FrontSide::Server, &got.to_be_bytes()[..], 1448)
            );
            got += 1;
        }
        assert_eq!(usize::from(got), MOST);
    }
}
