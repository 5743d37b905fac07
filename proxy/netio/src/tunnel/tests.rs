//! Against the real kernel, over the loopback of namespaces of the tests' own.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::without;

const PORT: u16 = 6080;

/// Runs the closure on a thread with a network of its own.
fn in_namespace<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test makes a network namespace: run it as root");
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        closure()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Something that came: its carrier, class and bytes.
type Came = (Carrier, Result<(u8, Vec<u8>), Refusal>);

/// Waits until so many have come.
fn recv(receiver: &mut Receiver, count: usize) -> Vec<Came> {
    let (mut came, patience) = (Vec::new(), Instant::now() + Duration::from_secs(5));
    while came.len() < count {
        assert!(Instant::now() < patience, "{} of {count} came", came.len());
        receiver
            .recv(|carrier, arrival| {
                came.push((carrier, arrival.map(|a| (a.class, a.bytes.to_vec()))));
            })
            .unwrap();
    }
    came
}

fn local(v6: bool, port: u16) -> SocketAddr {
    format!("{}:{port}", if v6 { "[::1]" } else { "127.0.0.1" }).parse().unwrap()
}

fn sender(v6: bool, protocol: c_int) -> Socket {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).unwrap();
    set_class(&socket, v6);
    socket
}

fn set_class(socket: &impl AsFd, v6: bool) {
    let (level, name) =
        if v6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
    sys::batch::set_option(socket, level, name, 0xb9).unwrap();
}

#[test]
fn each_kind_comes_over_either_family_with_its_class() {
    in_namespace(|| {
        let mut receiver = Receiver::open(PORT).unwrap();
        for v6 in [false, true] {
            for (protocol, carrier) in [
                (libc::IPPROTO_IPIP, Carrier::Ipip(Family::V4)),
                (libc::IPPROTO_IPV6, Carrier::Ipip(Family::V6)),
                (libc::IPPROTO_GRE, Carrier::Gre),
            ] {
                sender(v6, protocol).send_to(b"inside", &local(v6, 0).into()).unwrap();
                assert_eq!(recv(&mut receiver, 1), [(carrier, Ok((0xb9, b"inside".to_vec())))], "{v6}");
            }
            let socket = UdpSocket::bind(local(v6, 0)).unwrap();
            set_class(&socket, v6);
            for text in [&b"inside"[..], b""] {
                socket.send_to(text, local(v6, PORT)).unwrap();
                assert_eq!(recv(&mut receiver, 1), [(Carrier::Gue, Ok((0xb9, text.to_vec())))], "{v6}");
            }
            // RFC 6935.
            const UDP_NO_CHECK6_TX: c_int = 101;
            if v6 {
                sys::batch::set_option(&socket, libc::SOL_UDP, UDP_NO_CHECK6_TX, 1).unwrap();
                socket.send_to(b"unsummed", local(v6, PORT)).unwrap();
                assert_eq!(recv(&mut receiver, 1)[0].1, Ok((0xb9, b"unsummed".to_vec())));
            }
        }
        assert_eq!(receiver.lost(), 0);
    });
}

#[test]
fn datagrams_that_the_kernel_has_merged_come_one_by_one() {
    in_namespace(|| {
        let mut receiver = Receiver::open(PORT).unwrap();
        for v6 in [false, true] {
            let socket = UdpSocket::bind(local(v6, 0)).unwrap();
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &1000).unwrap();
            let bytes: Vec<_> = (0..2500).map(|at| (at / 7) as u8).collect();
            socket.send_to(&bytes, local(v6, PORT)).unwrap();
            let want: Vec<_> =
                bytes.chunks(1000).map(|part| (Carrier::Gue, Ok((0, part.to_vec())))).collect();
            assert_eq!(recv(&mut receiver, 3), want);
        }
    });
}

#[test]
fn what_finds_no_room_is_counted_afterwards() {
    in_namespace(|| {
        let mut receiver = Receiver::open(PORT).unwrap();
        let socket = UdpSocket::bind(local(false, 0)).unwrap();
        const SENT: usize = 20_000;
        for _ in 0..SENT {
            socket.send_to(&[0; 1000], local(false, PORT)).unwrap();
        }
        let mut came = 0;
        while let n @ 1.. = receiver.recv(|_, _| ()).unwrap() {
            came += n;
        }
        assert!(came < SENT && receiver.lost() == 0, "{came} came");
        socket.send_to(&[0; 1000], local(false, PORT)).unwrap();
        recv(&mut receiver, 1);
        assert_eq!(came as u64 + receiver.lost(), SENT as u64);
    });
}

#[test]
fn the_longest_packets_come_whole_and_in_fragments_too() {
    in_namespace(|| {
        let set = Command::new("ip").args(["link", "set", "lo", "mtu", "1500"]).status().unwrap();
        assert!(set.success());
        let mut receiver = Receiver::open(PORT).unwrap();
        for v6 in [false, true] {
            let bytes: Vec<_> = (0..65_507).map(|at| (at / 7) as u8).collect();
            UdpSocket::bind(local(v6, 0)).unwrap().send_to(&bytes, local(v6, PORT)).unwrap();
            assert!(recv(&mut receiver, 1) == [(Carrier::Gue, Ok((0, bytes.clone())))], "{v6}");
            sender(v6, libc::IPPROTO_IPIP).send_to(&bytes[..65_000], &local(v6, 0).into()).unwrap();
            let came = recv(&mut receiver, 1);
            assert!(came == [(Carrier::Ipip(Family::V4), Ok((0xb9, bytes[..65_000].to_vec())))], "{v6}");
        }
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    in_namespace(|| {
        for v6 in [false, true] {
            let _holder = UdpSocket::bind(local(v6, PORT)).unwrap();
            let error = Receiver::open(PORT).unwrap_err();
            assert!(matches!(error, TunnelError::PortTaken { port: PORT }), "{error}");
            let text = error.to_string();
            assert!(text.contains("6080") && text.contains("--gue-port"), "{text}");
        }
    });
}

#[test]
fn a_missing_capability_is_named() {
    if without::is_second() {
        let error = Receiver::open(PORT).unwrap_err();
        assert!(matches!(error, TunnelError::NoCapability), "{error}");
        assert!(error.to_string().contains("CAP_NET_RAW"));
        return;
    }
    let test = "tunnel::tests::a_missing_capability_is_named";
    in_namespace(|| without::run_second("net_raw", test, || ()));
}

/// A strict filter everywhere, and IPv6 off for new devices: what is right on the device is so all the same.
#[test]
fn the_device_takes_packets_from_anywhere() {
    use crate::tun::{Tun, TunConfig};
    in_namespace(|| {
        let script = "for name in all default; do sysctl -qw net.ipv4.conf.$name.rp_filter=1; done; \
                      sysctl -qw net.ipv6.conf.default.disable_ipv6=1; \
                      ip address add 203.0.113.1/32 dev lo; ip -6 address add 2001:db8::1/128 dev lo; \
                      ip link add out type veth peer name far; ip link set out up; ip link set far up; \
                      sysctl -qw net.ipv6.conf.out.disable_ipv6=0; \
                      ip route add default dev out; ip -6 route add default dev out";
        assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success());
        let tun = Tun::open(&TunConfig { name: "t%d".into(), queues: 1, offload: true }).unwrap();
        bring_up(&tun).unwrap();
        for (client, vip) in [("198.51.100.1:9", "203.0.113.1:53"), ("[2001:db8:1::1]:9", "[2001:db8::1]:53")]
        {
            let server = UdpSocket::bind(vip).unwrap();
            server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let packet = wire::build::udp(client, vip).payload_len(40_000).bytes();
            tun.queues[0].send(&mut wire::frame::Frame::from_packet(&packet)).unwrap();
            let mut buffer = vec![0; 65_536];
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((len, from), (40_000, client.parse().unwrap()));
        }
    });
}
