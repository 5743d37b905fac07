//! TLS ends at the director: the handshake, with the clients that people have.

mod clients;
mod mutual;
mod names;
mod renewal;
mod resumption;
mod scene_shake;
mod stapling;
