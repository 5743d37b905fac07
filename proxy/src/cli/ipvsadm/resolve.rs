//! Names of hosts and services, both ways.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use control::save::{Names, Numeric};
use dns_lookup::{AddrInfoHints, SockType, getaddrinfo, getnameinfo};
use sched::Proto;

/// Knows names.
pub(in crate::cli) trait Resolve {
    /// The IPv4 address of a host; ipvsadm resolves names to nothing else.
    fn host(&self, name: &str) -> Option<Ipv4Addr>;

    /// The port of a service.
    fn port(&self, proto: Proto, name: &str) -> Option<u16>;

    /// The name of a host.
    fn host_name(&self, ip: IpAddr) -> Option<String>;

    /// The name of a service.
    fn port_name(&self, proto: Proto, port: u16) -> Option<String>;
}

/// Prints what has a name by its name.
pub(super) struct Named<'a>(pub(super) &'a dyn Resolve);

impl Names for Named<'_> {
    fn addr(&self, proto: Proto, addr: SocketAddr) -> String {
        let host = self.0.host_name(addr.ip()).unwrap_or_else(|| addr.ip().to_string());
        let port = self.0.port_name(proto, addr.port()).unwrap_or_else(|| addr.port().to_string());
        if addr.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// How addresses are to be printed.
pub(super) fn names(numeric: bool, resolve: &dyn Resolve) -> Box<dyn Names + '_> {
    if numeric { Box::new(Numeric) } else { Box::new(Named(resolve)) }
}

/// What the host's resolver says. A listing asks for the same names over and over: they are remembered.
#[derive(Default)]
pub(in crate::cli) struct System {
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    ports: RefCell<HashMap<(Proto, u16), Option<String>>>,
}

impl Resolve for System {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let hints = AddrInfoHints { address: libc::AF_INET, ..AddrInfoHints::default() };
        let mut found = getaddrinfo(Some(name), None, Some(hints)).ok()?.flatten();
        found.find_map(|info| match info.sockaddr.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
    }

    fn port(&self, proto: Proto, name: &str) -> Option<u16> {
        let socktype = match proto {
            // The C library lists hardly a name for SCTP: TCP's serve.
            Proto::Tcp | Proto::Sctp => SockType::Stream,
            Proto::Udp => SockType::DGram,
        };
        let hints = AddrInfoHints { socktype: socktype.into(), ..AddrInfoHints::default() };
        let mut found = getaddrinfo(None, Some(name), Some(hints)).ok()?.flatten();
        found.next().map(|info| info.sockaddr.port())
    }

    fn host_name(&self, ip: IpAddr) -> Option<String> {
        let ask = || {
            getnameinfo(&SocketAddr::new(ip, 0), libc::NI_NAMEREQD | libc::NI_NUMERICSERV).ok().map(|n| n.0)
        };
        self.hosts.borrow_mut().entry(ip).or_insert_with(ask).clone()
    }

    fn port_name(&self, proto: Proto, port: u16) -> Option<String> {
        let ask = || {
            let datagram = if proto == Proto::Udp { libc::NI_DGRAM } else { 0 };
            let addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
            getnameinfo(&addr, libc::NI_NUMERICHOST | datagram).ok().map(|n| n.1)
        };
        self.ports.borrow_mut().entry((proto, port)).or_insert_with(ask).clone()
    }
}
