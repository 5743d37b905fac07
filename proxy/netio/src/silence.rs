//! Keeping the kernel silent about ports whose packets rings take, where there is no right to have nf_tables do it
//! ([`crate::steer::Steering::set_rings`], which is better in all ways): a listening TCP socket, or a bound UDP socket,
//! that drops all that comes, by a filter where the kernel lets us have one.
//!
//! - It takes no capability but the one for ports below `net.ipv4.ip_unprivileged_port_start`.
//! - It is for what is sent to an address and a port: services, and the local ports of FullNAT, of which each costs a
//!   descriptor. What servers answer to clients themselves (NAT) is to nobody's port here; there the kernel is silent
//!   only as long as it does not forward.
//! - An address need not be the host's, and becomes silent at once should it become one. For as long as it is none, the
//!   kernel has nothing to say if it does not forward.
//! - All of a port is silent: fragments, and connections that this host itself opens to it, which wait in vain.
//!
//! The sockets end with the process, so that nothing is left behind after any end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use thiserror::Error;

use crate::poll::Waker;
use crate::steer::Published;
use crate::steer::rings::republish;
use crate::sys::socket::{expect_signature, set_least_hops};

/// IP protocol number, of TCP or UDP, and where packets are sent to.
pub type Port = (u8, SocketAddr);

/// A port that the kernel goes on answering at, so that no ring takes it.
#[derive(Debug, Error)]
#[error("cannot keep the kernel from answering at {} {}: {source}{}", name(port.0), port.1, hint(source, port))]
pub struct NotSilent {
    /// The port.
    pub port: Port,
    /// The kernel's answer.
    pub source: io::Error,
}

/// The ports that are held, and the value that says to the rings that these are theirs.
#[derive(Debug)]
pub struct Silence {
    published: Published,
    wakers: Vec<Waker>,
    held: BTreeMap<Port, Socket>,
}

impl Silence {
    /// None are held yet. `wakers` as in [`crate::steer::Steering::set_rings`].
    pub fn new(wakers: Vec<Waker>) -> Self {
        Self { published: Published::default(), wakers, held: BTreeMap::new() }
    }

    /// What rings take: all that is sent to ports that are held, as far as [`crate::steer::Taken::takes`] takes anything.
    pub fn taken(&self) -> Published {
        Published::clone(&self.published)
    }

    /// Holds these and no others, in the network namespace of the calling thread. Returns those that cannot be had; they are
    /// tried again with the next call, so that it is worth one every few seconds.
    pub fn become_(&mut self, want: &BTreeSet<Port>) -> Vec<NotSilent> {
        let gone: Vec<_> = self.held.keys().filter(|port| !want.contains(port)).copied().collect();
        if !gone.is_empty() {
            republish(&self.published, &self.wakers, &gone, &[]);
            self.held.retain(|port, _| want.contains(port));
        }
        let (mut come, mut failures) = (Vec::new(), Vec::new());
        for port in want {
            if self.held.contains_key(port) {
                continue;
            }
            match hold(*port) {
                Ok(socket) => {
                    self.held.insert(*port, socket);
                    come.push(*port);
                }
                Err(source) => failures.push(NotSilent { port: *port, source }),
            }
        }
        if !come.is_empty() {
            republish(&self.published, &self.wakers, &[], &come);
        }
        failures
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

impl Drop for Silence {
    /// Rings may outlive it.
    fn drop(&mut self) {
        self.become_(&BTreeSet::new());
    }
}

/// A socket that whatever is sent there ends at.
fn hold((protocol, addr): Port) -> io::Result<Socket> {
    /// `ret #0`: keep no byte of it (`linux/bpf_common.h`).
    const DROP: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    let (kind, protocol) = match i32::from(protocol) {
        libc::IPPROTO_TCP => (Type::STREAM, Protocol::TCP),
        libc::IPPROTO_UDP => (Type::DGRAM, Protocol::UDP),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    if addr.port() == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let socket = Socket::new(Domain::for_address(addr), kind.cloexec(), Some(protocol))?;
    // Before it can get anything.
    match socket.attach_filter(&[DROP]) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && protocol == Protocol::TCP => {
            ignore_all(&socket, addr.is_ipv6())?;
        }
        result => result?,
    }
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    // Without SO_REUSEADDR: connections that somebody has here would get their packets, and the ring would too.
    socket.bind(&addr.into())?;
    if protocol == Protocol::TCP {
        socket.listen(1)?;
    }
    Ok(socket)
}

/// The same for TCP by other means: a kernel may let nobody filter it without `CAP_NET_ADMIN` (Linux 6.18).
fn ignore_all(socket: &Socket, v6: bool) -> io::Result<()> {
    // Nearly all begin with 64 or 128 hops.
    set_least_hops(socket, v6, u8::MAX)?;
    // The rest is not signed with a key that nobody knows, which not every kernel can tell (CONFIG_TCP_MD5SIG).
    let key = std::fs::read("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let key = key.first_chunk().copied().unwrap_or([0x55; 16]);
    match expect_signature(socket, v6, key) {
        Err(e) if e.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(e),
        _ => Ok(()),
    }
}

fn name(protocol: u8) -> String {
    match i32::from(protocol) {
        libc::IPPROTO_TCP => "tcp".to_owned(),
        libc::IPPROTO_UDP => "udp".to_owned(),
        _ => format!("protocol {protocol}"),
    }
}

fn hint(error: &io::Error, (_, addr): &Port) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::AddrInUse, _) => "; end what uses it (`ss -anp`)".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => format!(
            "; it needs CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start of at most {}",
            addr.port()
        ),
        (io::ErrorKind::Unsupported, None) => {
            "; only with nftables (CAP_NET_ADMIN), as it is not one port of TCP or UDP".to_owned()
        }
        (_, Some(libc::EMFILE)) => "; raise the limit of open files (`ulimit -n`)".to_owned(),
        _ => String::new(),
    }
}
