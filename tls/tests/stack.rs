//! TCP in user space over simulated networks, in virtual time: what one end writes, the other end reads.

#![allow(clippy::unwrap_used)]

#[path = "stack/burst.rs"]
mod burst;
#[path = "stack/frames.rs"]
mod frames;
#[path = "stack/life.rs"]
mod life;
#[path = "stack/loss.rs"]
mod loss;
#[path = "stack/net.rs"]
mod net;
