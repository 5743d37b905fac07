//! TLS ends at the director: real clients, real servers, by the host's TCP and by ours.

/// Each case by either TCP.
macro_rules! over_both_stacks {
    ($($case:ident),* $(,)?) => {
        mod kernel {
            $(#[test] fn $case() { super::$case("kernel"); })*
        }
        mod userspace {
            $(#[test] fn $case() { super::$case("userspace"); })*
        }
    };
}

mod choices;
mod clients;
mod dead;
mod ends;
mod hello;
mod http;
mod identity;
mod life;
mod limits;
mod malformed;
mod many;
mod mutual;
mod names;
mod paths;
mod peers;
mod plain;
mod pool;
mod renewal;
mod resumption;
mod scene;
mod site;
mod stapling;
mod survey;
mod transfers;
