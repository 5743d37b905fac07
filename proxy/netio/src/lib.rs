//! How bytes move: TUN queues, netlink, namespaces and the process itself. The one crate with `unsafe`; it carries
//! out what it is told and decides no policy.

pub mod caps;
pub mod netns;
pub mod poll;
pub mod process;
mod sys;
pub mod thread;
pub mod tun;
