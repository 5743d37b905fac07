//! `ulvs ca` and openssl: the lecture's session with either tool and mixed, what is kept secret, what is refused.

mod desk;
mod files;
mod lecture;
mod mutual;
