//! TLS ends at the director: the handshake, with the clients that people have.

mod clients;
mod mutual;
mod names;
mod scene_shake;
