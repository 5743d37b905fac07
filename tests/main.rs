//! The built binary against real kernels' sockets, in network namespaces of its own. Needs root.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test crate: a panic is a failure, and nobody uses it"
)]

mod alone;
mod arms;
mod bench;
mod bulk;
mod ca;
mod conformance;
mod container;
mod control;
mod doctor;
mod ends;
mod examples;
mod explain;
mod foreign;
mod forwarding;
mod fronts;
mod ftp;
mod fullnat;
mod health;
mod health_cli;
mod health_vip;
mod host;
mod labs;
mod ldirectord;
mod lifecycle;
mod marks;
mod methods;
mod mtu;
mod operate;
mod packet;
mod proxy_protocol;
mod real;
mod reload;
mod rootless;
mod scene;
mod sctp;
mod selftest;
mod soak;
mod support;
mod surroundings;
mod tls;
mod top;
mod tunnels;
mod vlan;
mod words;
