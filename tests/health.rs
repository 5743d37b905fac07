//! Dead servers: each way of dying is found in time, traffic goes elsewhere, and comes back.

mod faults;
mod fresh;
mod stage;
mod way;
