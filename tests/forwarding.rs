//! The forwarding matrix {TCP, UDP} x {IPv4, IPv6} x {offload, plain} x {VIP an address of the director, nobody's},
//! and what else has to be right about single packets: first ones, hops, errors, refusals, choices.

mod choices;
mod fragments;
mod hops;
mod impaired;
mod matrix;
mod neighbours;
mod pings;
mod refusals;
mod streams;
