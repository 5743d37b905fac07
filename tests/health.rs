//! Dead servers: each way of dying is found in time, traffic goes elsewhere, and comes back.

mod alpha;
mod crowd;
mod damping;
mod events;
mod faults;
mod fresh;
mod panic;
mod passive;
mod six;
mod stage;
mod way;
mod windows;
