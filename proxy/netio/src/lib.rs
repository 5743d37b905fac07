//! How bytes move: TUN queues, rings of packet sockets, netlink, namespaces and the process itself. The one crate with
//! `unsafe`; it carries out what it is told and decides no policy.

pub mod front;
mod journal;
pub mod link;
mod netlink;
pub mod netns;
mod nft;
pub mod packet;
pub mod place;
pub mod poll;
pub mod ports;
pub mod probe;
pub mod process;
pub mod real;
pub mod segments;
pub mod silence;
pub mod steer;
pub mod survey;
mod sys;
mod sysctl;
pub mod tun;
pub mod tunnel;
#[cfg(test)]
mod without;
