//! What servers are told of a client: the header of the PROXY protocol, byte by byte and against a model of a receiver,
//! and TOA; and how large segments may be.

mod client;
mod director;
mod header;
mod options;
