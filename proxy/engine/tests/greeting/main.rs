//! What servers are told of a client: the header of the PROXY protocol, case by case and for a crowd of clients on a bad
//! network, and TOA; and how large segments may be.

mod client;
mod crowd;
mod director;
#[path = "../end_all/mod.rs"]
mod end_all;
#[path = "../foreseen/mod.rs"]
mod foreseen;
mod header;
mod options;
mod receiver;
