//! Keeping the kernel silent about ports whose packets rings take, where there is no right to have nf_tables do it
//! ([`crate::steer::Steering::set_rings`], which is better in all ways): a listening TCP socket, or a bound UDP socket,
//! that drops all that comes, by a filter where the kernel lets us have one. Of SCTP a raw socket that takes nothing: to a
//! kernel without SCTP of its own that is somebody who has heard it, so that it says of no address that nobody has.
//!
//! - It takes no capability but `CAP_NET_RAW` for SCTP, and the one for ports below
//!   `net.ipv4.ip_unprivileged_port_start`.
//! - It is for what is sent to an address and a port: services, and the local ports of FullNAT, of which each costs a
//!   descriptor. What servers answer to clients themselves (NAT) is to nobody's port here; there the kernel is silent
//!   only as long as it does not forward.
//! - An address need not be the host's, and becomes silent at once should it become one. For as long as it is none, the
//!   kernel has nothing to say if it does not forward.
//! - All of a port is silent: fragments, packets with options, and connections that this host itself opens to it, which
//!   `Refuser` sees to.
//!
//! The sockets end with the process, so that nothing is left behind after any end.

mod refuser;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use thiserror::Error;

use crate::sys::socket::{expect_signature, set_least_hops};

pub(crate) use refuser::Refuser;

/// IP protocol number, of TCP, UDP or SCTP, and where packets are sent to.
pub type Port = (u8, SocketAddr);

/// A port that the kernel goes on answering at.
#[derive(Debug, Error)]
#[error("cannot keep the kernel from answering at {} {}: {source}{}", name(port.0), port.1, hint(source, port))]
pub struct NotSilent {
    /// The port.
    pub port: Port,
    /// The kernel's answer.
    pub source: io::Error,
}

impl NotSilent {
    /// No descriptor is left, or no memory: it is not about this port.
    pub(crate) fn is_exhaustion(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
    }
}

/// The ports that are held.
#[derive(Debug, Default)]
pub struct Silence {
    held: BTreeMap<Port, Socket>,
}

impl Silence {
    /// Holds this one as well, in the network namespace of the calling thread. Says whether it was not held before.
    ///
    /// # Errors
    /// [`NotSilent`]: then the kernel answers there as ever.
    pub fn hold(&mut self, port: Port) -> Result<bool, NotSilent> {
        let port = of_socket(port);
        if self.held.contains_key(&port) {
            return Ok(false);
        }
        let socket = hold(port).map_err(|source| NotSilent { port, source })?;
        self.held.insert(port, socket);
        Ok(true)
    }

    /// Lets go of all but these.
    pub fn keep(&mut self, wanted: impl IntoIterator<Item = Port>) {
        let wanted: BTreeSet<_> = wanted.into_iter().map(of_socket).collect();
        self.held.retain(|port, _| wanted.contains(port));
    }

    /// How many sockets that are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// What is held for a port: of SCTP all that are at its address.
fn of_socket((protocol, addr): Port) -> Port {
    let sctp = i32::from(protocol) == libc::IPPROTO_SCTP;
    (protocol, if sctp { SocketAddr::new(addr.ip(), 0) } else { addr })
}

/// Whether the kernel has SCTP, and would answer with an ABORT. To ask it for a socket might have it load the module.
fn kernel_has_sctp() -> bool {
    let protocols = std::fs::read_to_string("/proc/net/protocols").unwrap_or_default();
    protocols.lines().any(|line| line.starts_with("SCTP"))
}

/// A socket that whatever is sent there ends at.
fn hold((protocol, addr): Port) -> io::Result<Socket> {
    /// `ret #0`: keep no byte of it (`linux/bpf_common.h`).
    const DROP: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    let (kind, protocol) = match i32::from(protocol) {
        libc::IPPROTO_TCP => (Type::STREAM, Protocol::TCP),
        libc::IPPROTO_UDP => (Type::DGRAM, Protocol::UDP),
        libc::IPPROTO_SCTP if !kernel_has_sctp() => (Type::RAW, Protocol::from(libc::IPPROTO_SCTP)),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    if addr.port() == 0 && kind != Type::RAW {
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
        // A raw socket is of one family anyway, and refuses to be told.
        if kind != Type::RAW {
            socket.set_only_v6(true)?;
        }
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
        libc::IPPROTO_SCTP => "sctp".to_owned(),
        _ => format!("protocol {protocol}"),
    }
}

fn hint(error: &io::Error, (_, addr): &Port) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::AddrInUse, _) => "; end what uses it (`ss -anp`)".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => format!(
            "; it needs CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start of at most {} (in a container: `--sysctl \
             net.ipv4.ip_unprivileged_port_start=0`)",
            addr.port()
        ),
        (io::ErrorKind::Unsupported, None) => {
            "; it takes nftables and a TUN device (`docker run --cap-add NET_ADMIN --device /dev/net/tun`), as it is not \
             one port of TCP or UDP, or of SCTP on a kernel that has none of its own"
                .to_owned()
        }
        (_, Some(libc::EMFILE)) => "; raise the limit of open files (`ulimit -n`)".to_owned(),
        _ => String::new(),
    }
}
