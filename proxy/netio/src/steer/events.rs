//! What the kernel tells of its own accord: links, addresses, settings, our routes and rules, nf_tables.

use std::fmt;
use std::io;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::routes::{self, RTM_DELROUTE};
use crate::netlink::message::split;
use crate::netlink::route::RTM_NEWROUTE;

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
    /// Who is ourselves, on each of the two: what we change is no news.
    ours: u32,
    ours_nftables: Vec<u32>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Listens in the network namespace of the calling thread. Needs a tokio runtime.
    /// Changes that the socket with the port `ours` asks for are passed over.
    pub(super) fn open(ours: u32) -> io::Result<Self> {
        let route = listen(NETLINK_ROUTE, &GROUPS)?;
        let nftables = listen(NETLINK_NETFILTER, &[NFTABLES]).ok();
        Ok(Self { route, nftables, ours, ours_nftables: Vec::new() })
    }

    /// Passes over changes of nf_tables that this socket asks for.
    pub(super) fn pass_over_nftables(&mut self, ours: u32) {
        self.ours_nftables.push(ours);
    }

    /// Waits for what comes next. May be dropped while waiting.
    pub(super) async fn next(&mut self) -> Event {
        let (received, of_nftables) = match &mut self.nftables {
            Some(nftables) => tokio::select! {
                received = self.route.recv_from_full() => (received, false),
                received = nftables.recv_from_full() => (received, true),
            },
            None => (self.route.recv_from_full().await, false),
        };
        // An error is too much at once for the socket's buffer.
        let Ok((datagram, _)) = received else { return Event::Anything };
        let is_ours = |port| if of_nftables { self.ours_nftables.contains(&port) } else { port == self.ours };
        let news = split(&datagram).filter(|(header, _)| !is_ours(header.port));
        news.map(|(header, payload)| if of_nftables { Event::Anything } else { judge(header.kind, payload) })
            .max()
            .unwrap_or(Event::Nothing)
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
