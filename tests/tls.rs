//! TLS ends at the director: the handshake, with the clients that people have.

mod clients;
mod hello;
mod malformed;
mod mutual;
mod names;
mod plain;
mod renewal;
mod resumption;
mod scene_shake;
mod stapling;
mod survey;
