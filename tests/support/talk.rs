//! What has to work whatever the method: small and large things both ways, with each byte compared.

use std::net::SocketAddr;
use std::time::Duration;

use lab::client;
use lab::node::Node;

use super::PATIENCE;

/// Bytes of a transfer.
const BYTES: u64 = 3 << 20;

/// HTTP on this port, and UDP that is echoed: pages, transfers, datagrams whole and in fragments.
pub fn works(client: &Node, vip: SocketAddr) {
    pages_and_transfers(client, vip);
    datagrams(client, vip, &[0, 1, 1000, 1372, 8000, 60_000]);
}

pub fn pages_and_transfers(client: &Node, vip: SocketAddr) {
    for _ in 0..3 {
        let page = client::get(client, vip, "/").unwrap_or_else(|error| panic!("a page of {vip}: {error:#}"));
        assert!(page.body.starts_with("server"), "{vip}: {page:?}");
    }
    client::download(client, vip, BYTES, |_| ()).unwrap_or_else(|error| panic!("from {vip}: {error:#}"));
    client::upload(client, vip, BYTES, |_| ()).unwrap_or_else(|error| panic!("to {vip}: {error:#}"));
}

pub fn datagrams(client: &Node, vip: SocketAddr, lens: &[usize]) {
    for &len in lens {
        let datagram: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
        datagram_comes_back(client, vip, &datagram);
    }
}

pub fn datagram_comes_back(client: &Node, vip: SocketAddr, datagram: &[u8]) {
    let exchange = || client::udp_exchange(client, vip, datagram, PATIENCE);
    // The first one whose fragments do not fit the way may be the price of knowing it, and is so again when that is forgotten.
    let answer = exchange().or_else(|error| if is_too_long(&error) { exchange() } else { Err(error) });
    let len = datagram.len();
    let answer = answer.unwrap_or_else(|error| panic!("{len} bytes to {vip}: {error:#}"));
    assert!(answer == datagram, "{len} bytes to {vip} come back as others");
}

/// The network has told the sender.
fn is_too_long(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.and_then(std::io::Error::raw_os_error) == Some(nix::errno::Errno::EMSGSIZE as i32)
}

/// The longest ping there is, in as many fragments as it takes.
pub fn longest_ping(client: &Node, vip: SocketAddr) {
    // IPv4 counts its own header, IPv6 does not.
    let len = if vip.is_ipv4() { 65_507 } else { 65_527 };
    client::ping(client, vip.ip(), len, Duration::from_secs(2))
        .unwrap_or_else(|error| panic!("a ping of {len} bytes to {vip}: {error:#}"));
}
