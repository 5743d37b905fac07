//! What the kernel tells of its own accord: links, addresses, settings, our routes and rules, nf_tables.

use std::fmt;
use std::io;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::routes::{self, RTM_DELROUTE, RTM_NEWROUTE};
use crate::netlink::message::split;

/// Multicast groups of rtnetlink (`RTNLGRP_*`).
const GROUPS: [u32; 9] = [1, 5, 7, 8, 9, 11, 19, 24, 25];
/// `NFNLGRP_NFTABLES`.
const NFTABLES: u32 = 7;

/// What has happened, as far as anything has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Nothing of ours.
    Nothing,
    /// Some route changed: ways and path MTUs may be others.
    Route,
    /// Look at everything again.
    Anything,
}

/// The sockets that listen.
pub(super) struct Events {
    route: TokioSocket,
    /// Not everywhere there is nf_tables.
    nftables: Option<TokioSocket>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Listens in the network namespace of the calling thread. Needs a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        let route = listen(NETLINK_ROUTE, &GROUPS)?;
        Ok(Self { route, nftables: listen(NETLINK_NETFILTER, &[NFTABLES]).ok() })
    }

    /// Waits for what comes next. May be dropped while waiting.
    pub(super) async fn next(&mut self) -> Event {
        let received = match &mut self.nftables {
            Some(nftables) => tokio::select! {
                received = self.route.recv_from_full() => received,
                _ = nftables.recv_from_full() => return Event::Anything,
            },
            None => self.route.recv_from_full().await,
        };
        match received {
            Ok((datagram, _)) => split(&datagram).map(|(header, payload)| judge(header.kind, payload)).max(),
            // Too much at once for the socket's buffer.
            Err(_) => None,
        }
        .unwrap_or(Event::Anything)
    }
}

fn judge(kind: u16, payload: &[u8]) -> Event {
    if !matches!(kind, RTM_NEWROUTE | RTM_DELROUTE) {
        return Event::Anything;
    }
    match routes::table_of(payload) {
        Some(routes::VIPS | routes::RETURN | routes::NOBODYS | routes::LOCAL) => Event::Anything,
        _ => Event::Route,
    }
}

fn listen(protocol: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    for &group in groups {
        socket.socket_mut().add_membership(group)?;
    }
    Ok(socket)
}
