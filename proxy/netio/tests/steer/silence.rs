//! The kernel kept silent by sockets alone, without steering and without rights.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use netio::silence::{NotSilent, Port, Silence};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use socket2::{Domain, Protocol, Socket, Type};
use wire::build;
use wire::packet::{L4, Packet};

use crate::world::*;

/// The director's addresses.
const OWN: [&str; 2] = ["10.0.0.1", "fd00:a::1"];
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

fn at(of: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(of), port)
}

fn both(of: &str, port: u16) -> BTreeSet<Port> {
    [(TCP, at(of, port)), (UDP, at(of, port))].into()
}

/// Holds these and no others. Says which cannot be.
fn become_(silence: &mut Silence, want: &BTreeSet<Port>) -> Vec<NotSilent> {
    silence.keep(want.iter().copied());
    want.iter().filter_map(|port| silence.hold(*port).err()).collect()
}

/// What the client hears when it asks by TCP or UDP.
fn answer((protocol, to): Port) -> ErrorKind {
    const PATIENCE: Duration = Duration::from_millis(300);
    if protocol == TCP {
        return TcpStream::connect_timeout(&to, PATIENCE).unwrap_err().kind();
    }
    let socket = UdpSocket::bind((if to.is_ipv6() { "::" } else { "0.0.0.0" }, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to).unwrap();
    socket.send(b"x").unwrap();
    socket.recv(&mut [0; 10]).unwrap_err().kind()
}

fn is_silent(world: &World, port: Port) -> bool {
    let refuses = || match world.on_client(|| answer(port)) {
        ErrorKind::ConnectionRefused => true,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => false,
        other => panic!("{other:?}"),
    };
    // A machine that is busy may answer late.
    !(0..3).any(|_| refuses())
}

#[test]
fn held_ports_say_nothing_and_others_refuse() {
    let world = World::routed();
    world.on_director(|| {
        let mut silence = Silence::default();
        for own in OWN {
            assert_eq!(become_(&mut silence, &both(own, 80)).len(), 0);
            assert_eq!(silence.len(), 2);
            for (protocol, port, silent) in
                [(TCP, 80, true), (UDP, 80, true), (TCP, 81, false), (UDP, 81, false)]
            {
                assert_eq!(is_silent(&world, (protocol, at(own, port))), silent, "{protocol} {own} {port}");
            }
            let only_udp = [(UDP, at(own, 80))].into();
            assert_eq!(become_(&mut silence, &only_udp).len(), 0);
            assert!(!is_silent(&world, (TCP, at(own, 80))) && is_silent(&world, (UDP, at(own, 80))));
        }
        drop(silence);
        assert!(!is_silent(&world, (UDP, at(OWN[1], 80))));
    });
}

/// What the kernel of the client gets by TCP of the director after it has sent this; it has no socket for it.
fn resets(world: &World, packet: build::Build) -> usize {
    world.on_client(|| {
        let socket =
            socket::socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_NONBLOCK, SockProtocol::Tcp)
                .unwrap();
        inject(&packet.bytes());
        std::thread::sleep(Duration::from_millis(50));
        let mut buffer = [0; 2048];
        let mut resets = 0;
        while let Ok(len) = socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            let packet = Packet::parse(&buffer[..len]).unwrap();
            resets += usize::from(matches!(packet.l4, L4::Tcp { flags, .. } if flags.rst()));
        }
        resets
    })
}

#[test]
fn segments_of_connections_that_the_kernel_does_not_know_are_not_reset() {
    let world = World::routed();
    world.on_director(|| {
        let mut silence = Silence::default();
        assert_eq!(become_(&mut silence, &[(TCP, at(OWN[0], 20_000))].into()).len(), 0);
        let to = |port| build::tcp((CLIENT, 8080), (OWN[0], port)).seq(7).payload(b"data");
        for (port, answers) in [(20_000, 0), (20_001, 1)] {
            assert_eq!(resets(&world, to(port).ack(9)), answers, "data to {port}");
            assert_eq!(resets(&world, to(port).syn().ack(9)), answers, "SYN and ACK to {port}");
            assert_eq!(resets(&world, to(port).fin().ack(9)), answers, "FIN to {port}");
        }
    });
}

#[test]
fn an_address_that_comes_later_is_silent_from_the_first_packet_on() {
    let world = World::routed();
    world.on_client(|| {
        sh(&format!("ip route add {VIP}/32 via {}; ip -6 route add {VIP6}/128 via {}", OWN[0], OWN[1]))
    });
    world.on_director(|| {
        let mut silence = Silence::default();
        let want = [VIP, VIP6].iter().flat_map(|vip| both(vip, 80)).collect();
        assert_eq!(become_(&mut silence, &want).len(), 0);
        sh(&format!("ip addr add {VIP}/32 dev lo; ip addr add {VIP6}/128 dev lo nodad"));
        for port in want {
            assert!(is_silent(&world, port), "{port:?}");
        }
        assert!(!is_silent(&world, (TCP, at(VIP, 81))), "it is there");
    });
}

#[test]
fn a_port_that_somebody_has_is_not_held_before_it_is_free() {
    let world = World::routed();
    world.on_director(|| {
        let somebody = TcpListener::bind(at(OWN[0], 443)).unwrap();
        let mut silence = Silence::default();
        let want = [(TCP, at(OWN[0], 80)), (TCP, at(OWN[0], 443)), (UDP, at(OWN[0], 0))];
        let mut failures = become_(&mut silence, &want.into());
        failures.sort_by_key(|failure| failure.port);
        let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
        let [taken, every] = &texts[..] else { panic!("{texts:?}") };
        assert!(taken.starts_with("cannot keep the kernel from answering at tcp 10.0.0.1:443: "), "{taken}");
        assert!(taken.contains("ss -anp") && every.contains("udp 10.0.0.1:0"), "{texts:?}");
        assert!(every.contains("--device /dev/net/tun"), "{every}");
        assert_eq!(silence.len(), 1);
        drop(somebody);
        assert!(silence.hold(want[1]).unwrap() && !silence.hold(want[1]).unwrap(), "held once");
        assert!(is_silent(&world, want[1]));
    });
}

#[test]
fn a_kernel_without_sctp_does_not_say_so_of_held_addresses() {
    let world = World::routed();
    let complaints = || {
        world.on_client(|| {
            let kind = (AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_NONBLOCK, SockProtocol::Icmp);
            let socket = socket::socket(kind.0, kind.1, kind.2, kind.3).unwrap();
            inject(&build::sctp((CLIENT, 1024), (OWN[0], 80)).chunk(1, &[7; 16]).bytes());
            std::thread::sleep(Duration::from_millis(50));
            let mut buffer = [0; 2048];
            std::iter::from_fn(|| socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok())
                .count()
        })
    };
    world.on_director(|| {
        assert_eq!(complaints(), 1, "protocol unreachable");
        let mut silence = Silence::default();
        for port in [80, 81] {
            silence.hold((SCTP, at(OWN[0], port))).unwrap();
            silence.hold((SCTP, at(OWN[1], port))).unwrap();
        }
        assert_eq!((silence.len(), complaints()), (2, 0));
        silence.keep([(SCTP, at(OWN[0], 82))]);
        assert_eq!((silence.len(), complaints()), (1, 0));
        drop(silence);
        assert_eq!(complaints(), 1, "nobody holds it any more");
    });
}

const PORTS: &str = "SILENCE_TEST_PORTS";

/// Not a test by itself: what the next one runs.
#[test]
fn unprivileged_process() {
    let Ok(ports) = env::var(PORTS) else { return };
    // What it has to have rings.
    let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
    Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
    let mut silence = Silence::default();
    let want = OWN.iter().flat_map(|own| ports.split(',').map(|port| (TCP, at(own, port.parse().unwrap()))));
    let failures = become_(&mut silence, &want.collect());
    println!("\nready");
    failures.iter().for_each(|failure| println!("{failure}"));
    println!("end");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn the_right_to_have_packet_sockets_is_all_it_takes() {
    let world = World::routed();
    world.on_director(|| {
        let start = |ports: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            command.args(["--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw"]);
            command.args(["--bounding-set", "-all,+net_raw"]);
            command.arg(env::current_exe().unwrap());
            command.args(["--exact", "silence::unprivileged_process", "--nocapture"]).env(PORTS, ports);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let said: Vec<_> =
                lines.skip_while(|line| line != "ready").take_while(|line| line != "end").skip(1).collect();
            (child, said)
        };
        sh("echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start");
        let (mut child, said) = start("80,8080");
        assert_eq!(said.len(), 2, "{said:?}");
        for line in said {
            assert!(
                line.contains(":80: ") && line.contains("ip_unprivileged_port_start of at most 80"),
                "{line}"
            );
        }
        // However far away the client is.
        for hops in [64, 255] {
            world.on_client(|| {
                sh(&format!("cd /proc/sys/net; echo {hops} | tee ipv4/ip_default_ttl ipv6/conf/*/hop_limit"))
            });
            for own in OWN {
                assert!(is_silent(&world, (TCP, at(own, 8080))), "{own} from {hops} hops");
                assert!(!is_silent(&world, (TCP, at(own, 80))));
            }
        }
        let ack = build::tcp((CLIENT, 1024), (OWN[0], 8080)).ack(9);
        assert_eq!((resets(&world, ack.clone()), resets(&world, ack.ttl(255))), (0, 0));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_silent(&world, (TCP, at(OWN[0], 8080))), "nothing is left behind");
    });
}
