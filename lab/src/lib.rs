//! Real namespaces, real packets: topologies of anonymous network namespaces, servers and load on real kernel sockets,
//! and the scenarios of `ulvs lab`.
//!
//! There is no global state: no names in `/run/netns`, no working directory, no environment. (Labs that stay up are noted
//! in a directory, see `keeper`.) Any number of labs may
//! live in one process, on as many threads, and never meet. Nothing needs a program besides this one; only the bench
//! of other balancers needs those balancers.

pub mod addr;
mod bench;
pub mod cli;
pub mod client;
pub mod hint;
mod httpd;
mod keeper;
pub mod link;
pub mod load;
pub mod mistake;
pub mod node;
mod outside;
pub mod pattern;
mod play;
mod scenario;
pub mod serve;
pub mod snapshot;
mod standing;
pub mod topo;
pub mod wait;
