//! What has to work whatever the method: small and large things both ways, with each byte compared.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use lab::client::{self, UdpClient};
use lab::node::Node;
use nix::sys::socket::{setsockopt, sockopt};

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

/// Datagrams come in their order, all of them, to a director that has forgotten its neighbours when they begin to come, and
/// learns of the server's link address while they do. `server` is a machine, and where a server of its is to listen.
pub fn order_is_kept_by_one_who_forgets(
    director: &Node,
    (client, vip): (&Node, SocketAddr),
    server: (&Node, SocketAddr),
) {
    const EACH: u16 = 400;
    let (client, server) =
        (UdpClient::open(client, vip).unwrap(), server.0.run(|| UdpSocket::bind(server.1)).unwrap().unwrap());
    setsockopt(&server, sockopt::RcvBufForce, &(4 << 20)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    for round in 0..10 {
        director.exec(&["ip", "neigh", "flush", "all"]).unwrap();
        let come = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut come, mut buffer) = (Vec::new(), [0; 2]);
                while come.len() < usize::from(EACH) && server.recv(&mut buffer).is_ok() {
                    come.push(u16::from_be_bytes(buffer));
                }
                come
            });
            (0..EACH).for_each(|n| _ = client.socket().send(&n.to_be_bytes()));
            reader.join().unwrap()
        });
        assert!(come.iter().copied().eq(0..EACH), "round {round} at {vip}: {come:?}");
    }
}
