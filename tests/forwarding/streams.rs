//! Lives of connections: half closed, begun again from the same port, many at once in every direction.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::load::{self, Direction, LoadSpec, Mode};
use lab::pattern::Pattern;
use lab::serve::{Http, TcpEcho};
use lab::topo::{NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
};

use crate::support::{Engine, PATIENCE};

/// A client that has said all it had to say still hears the rest of the answer.
#[test]
fn a_half_closed_connection_goes_on() {
    let lab = NatLab::new(&NatOptions { servers: 1, ..NatOptions::default() }).unwrap();
    let _echo = TcpEcho::start(&lab.servers[0], 7).unwrap();
    let engine = Engine::start(&lab, &[]);
    for family in [Family::V4, Family::V6] {
        let vip = lab.vip.port(family, 7);
        engine.service("tcp", vip, "rr", &[(lab.server_port(0, family, 7), 1)]);
        let mut stream = client::connect(&lab.client, vip).unwrap();
        let pattern = Pattern::default();
        let bytes: Vec<u8> =
            (0..16).flat_map(|piece| pattern.at(piece * 262_144, 262_144).to_vec()).collect();
        let mut answer = Vec::new();
        thread::scope(|scope| {
            let mut reading = stream.try_clone().unwrap();
            let answer = &mut answer;
            scope.spawn(move || reading.read_to_end(answer).unwrap());
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        assert!(answer == bytes, "{} of {} bytes came back, or others", answer.len(), bytes.len());
    }
    assert_eq!(engine.status().drops(), [].into());
}

/// A SYN from a port whose last connection is over begins a new one, with a server of its own, at once.
#[test]
fn a_port_can_be_used_again_at_once() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let _http: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let engine = Engine::start(&lab, &[]);
    for family in [Family::V4, Family::V6] {
        let vip = lab.vip.port(family, 80);
        engine.service("tcp", vip, "rr", &[0, 1].map(|server| (lab.server_port(server, family, 80), 1)));
        let answers: Vec<_> = (0..6).map(|_| get_from_port(&lab, vip, 5555)).collect();
        assert_eq!(answers, ["server2", "server1", "server2", "server1", "server2", "server1"]);
    }
    assert_eq!(engine.status().counter("connections-created"), 12);
    assert_eq!(engine.status().drops(), [].into());
}

/// The server closes first, so that it is the server that remembers the connection for a while, not the client.
fn get_from_port(lab: &NatLab, target: SocketAddr, port: u16) -> String {
    // The acknowledgement of the last FIN may still be on its way.
    let connect = || lab.client.run(|| from_port(target, port)).unwrap();
    let mut stream = wait_for("the port to be free", PATIENCE, connect).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap().to_owned()
}

fn from_port(target: SocketAddr, port: u16) -> Option<TcpStream> {
    let (family, any) = match target {
        SocketAddr::V4(_) => (AddressFamily::Inet, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (AddressFamily::Inet6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    let fd: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, ReuseAddr, &true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, port))).unwrap();
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(target)) {
        Err(Errno::EADDRNOTAVAIL) => None,
        connected => {
            connected.unwrap();
            Some(TcpStream::from(fd))
        }
    }
}

/// Bulk both ways, requests on open connections and on new ones, all at once: no request fails, no packet is dropped.
#[test]
fn mixed_load_without_a_fault_vip_elsewhere() {
    mixed_load(VipPlace::Routed);
}

#[test]
fn mixed_load_without_a_fault_vip_local() {
    mixed_load(VipPlace::Loopback);
}

fn mixed_load(vip: VipPlace) {
    let lab = NatLab::new(&NatOptions { servers: 3, vip, ..NatOptions::default() }).unwrap();
    let _http: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let engine = Engine::start(&lab, &["--workers", "2"]);
    for family in [Family::V4, Family::V6] {
        let dests = [(0, 3), (1, 2), (2, 1)].map(|(at, weight)| (lab.server_port(at, family, 80), weight));
        engine.service("tcp", lab.vip.port(family, 80), "wlc", &dests);
    }
    let modes = [
        (Family::V4, Mode::Bulk { streams: 2, direction: Direction::Download }),
        (Family::V6, Mode::Bulk { streams: 2, direction: Direction::Upload }),
        (Family::V4, Mode::KeepAlive { concurrency: 16 }),
        (Family::V6, Mode::KeepAlive { concurrency: 16 }),
        (Family::V4, Mode::NewConn { concurrency: 8 }),
        (Family::V6, Mode::NewConn { concurrency: 8 }),
    ];
    thread::scope(|scope| {
        let loads = modes.map(|(family, mode)| {
            let spec = LoadSpec { target: lab.vip.port(family, 80), mode, duration: Duration::from_secs(2) };
            let client = &lab.client;
            (spec, scope.spawn(move || load::run(client, &spec).unwrap()))
        });
        for (spec, load) in loads {
            let report = load.join().unwrap();
            assert_eq!(report.errors, 0, "{spec:?}: {report:?}");
            assert!(report.bytes > 0, "{spec:?}: {report:?}");
        }
    });
    assert_eq!(engine.status().drops(), [].into());
}
