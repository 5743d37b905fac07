//! Against the real driver, in network namespaces of the tests' own.
//!
//! The device has the addresses .1 (or ::1), and nobody has .2. [`Mirror`] swaps source and destination address of
//! what the kernel sends to .2, so that it comes back to the kernel's own sockets: a checksum does not change by it,
//! whether it is complete or partial.

mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use super::*;
use crate::without;
use support::*;
use wire::frame::{Checksum, Frame, GsoKind, Offload};

#[test]
fn offload_opens_with_several_queues() {
    in_namespace(|| {
        let tun = open("t%d", 2, true);
        assert_eq!((tun.name.as_str(), tun.queues.len()), ("t0", 2));
        assert_eq!(tun.index, nix::net::if_::if_nametoindex("t0").unwrap());
        assert_eq!(tun.offload, Offloads { checksum: true, tso: true, uso: true });
        assert!(tun.refused.is_none());
        assert_eq!(tun.queues[0].recv(&mut Frame::new()).unwrap(), Received::Empty);
        drop(tun);
        assert!(nix::net::if_::if_nametoindex("t0").is_err(), "a closed device is gone");
    });
}

#[test]
fn tcp_passes_in_super_packets_both_ways() {
    for ip in [V4, V6] {
        let seen = in_namespace(move || {
            let mirror = Mirror::start(open("t0", 1, true));
            exchange_tcp(&ip, 4 << 20);
            mirror.stop()
        });
        let kind = if ip.local == V4.local { GsoKind::TcpV4 } else { GsoKind::TcpV6 };
        assert!(seen.iter().any(|s| s.offload.gso == kind && s.len > 20_000), "no super-packet");
        let mut data = seen.iter().filter(|s| s.len > 100);
        assert!(data.all(|s| s.offload.checksum != Checksum::Complete), "a finished checksum");
    }
}

#[test]
fn plain_passes_finished_packets_only() {
    for ip in [V4, V6] {
        let seen = in_namespace(move || {
            let tun = open("t0", 4, false);
            assert_eq!((tun.queues.len(), tun.offload), (1, Offloads::default()));
            let mirror = Mirror::start(tun);
            exchange_tcp(&ip, 1 << 20);
            mirror.stop()
        });
        assert!(seen.len() > 700, "{} packets for a mebibyte", seen.len());
        assert!(seen.iter().all(|s| s.offload == Offload::default() && s.len <= 1500));
    }
}

#[test]
fn udp_super_packets_are_cut_into_datagrams_by_the_kernel() {
    for ip in [V4, V6] {
        let seen = in_namespace(move || {
            let mirror = Mirror::start(open("t0", 1, true));
            let (client, server) = (udp(ip.local, 5001), udp(ip.local, 5002));
            setsockopt(&client, UdpGsoSegment, &1000).unwrap();
            client.send_to(&pattern(2500), (ip.remote, 5002)).unwrap();
            let mut got = Vec::new();
            for expected in [1000, 1000, 500] {
                let mut buf = [0; 2000];
                let (len, from) = server.recv_from(&mut buf).unwrap();
                assert_eq!((len, from), (expected, (ip.remote, 5001).into()));
                got.extend_from_slice(&buf[..len]);
            }
            assert_eq!(got, pattern(2500));
            mirror.stop()
        });
        let [one] = seen[..] else { panic!("{} packets instead of one", seen.len()) };
        assert_eq!((one.offload.gso, one.offload.gso_size), (GsoKind::Udp, 1000));
        assert_eq!(one.len, ip.header + 8 + 2500);
    }
}

#[test]
fn the_kernel_finishes_a_partial_checksum_that_we_wrote() {
    for ip in [V4, V6] {
        in_namespace(move || {
            let tun = open("t0", 1, true);
            bring_up(&tun);
            let server = udp(ip.local, 5002);
            let (packet, partial) = ip.datagram(b"unfinished");
            let mut buf = [0; 100];

            let mut frame = Frame::from_packet(&packet);
            frame.offload.checksum = partial;
            tun.queues[0].send(&mut frame).unwrap();
            let (len, from) = server.recv_from(&mut buf).unwrap();
            assert_eq!((&buf[..len], from), (&b"unfinished"[..], (ip.remote, 5001).into()));
            assert_eq!((frame.packet(), frame.offload.checksum), (&packet[..], partial), "still whole");

            // The same bytes, called finished, are a broken packet.
            tun.queues[0].send(&mut Frame::from_packet(&packet)).unwrap();
            server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            assert_eq!(server.recv_from(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        });
    }
}

#[test]
fn flows_spread_over_the_queues_and_none_is_lost() {
    const FLOWS: u16 = 64;
    let seen = in_namespace(|| {
        let mirror = Mirror::start(open("t0", 2, true));
        let server = udp(V4.local, 7000);
        for port in 0..FLOWS {
            udp(V4.local, 8000 + port).send_to(b"x", (V4.remote, 7000)).unwrap();
            assert_eq!(server.recv_from(&mut [0; 8]).unwrap().1.port(), 8000 + port);
        }
        mirror.stop()
    });
    let on_first = seen.iter().filter(|s| s.queue == 0).count();
    assert_eq!(seen.len(), usize::from(FLOWS));
    assert!((1..usize::from(FLOWS)).contains(&on_first), "{on_first} of {FLOWS} on the first queue");
}

#[test]
fn what_a_plain_queue_cannot_carry_is_refused() {
    in_namespace(|| {
        let tun = open("t0", 1, false);
        bring_up(&tun);
        let mut frame = Frame::from_packet(&V4.datagram(b"x").0);
        frame.offload.checksum = V4.datagram(b"x").1;
        assert_eq!(tun.queues[0].send(&mut frame).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        frame.offload = Offload { gso: GsoKind::Udp, gso_size: 1, ..Offload::default() };
        assert_eq!(tun.queues[0].send(&mut frame).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn metadata_that_the_kernel_rejects_and_a_device_that_is_down_are_errors() {
    in_namespace(|| {
        let tun = open("t0", 1, true);
        let queue = &tun.queues[0];
        let mut frame = Frame::from_packet(&V4.datagram(b"x").0);
        assert_eq!(queue.send(&mut frame).unwrap_err().raw_os_error(), Some(libc::EIO));
        bring_up(&tun);
        frame.offload = Offload { gso: GsoKind::TcpV4, ..Offload::default() };
        assert_eq!(queue.send(&mut frame).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn a_name_that_is_taken_is_busy() {
    in_namespace(|| {
        for holder in [true, false] {
            let _held = open("t0", 1, holder);
            for offload in [true, false] {
                let config = TunConfig { name: "t0".into(), queues: 1, offload };
                let error = Tun::open(&config).unwrap_err();
                assert!(matches!(&error, TunError::Busy { name } if name == "t0"), "{error}");
            }
        }
    });
}

#[test]
fn a_missing_or_forbidden_device_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = TunConfig { name: "t0".into(), queues: 1, offload: true };

    let path = directory.path().join("tun");
    let error = Tun::open_at(&path, &config).unwrap_err();
    assert!(matches!(error, TunError::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("modprobe tun"), "{text}");

    OpenOptions::new().write(true).create(true).truncate(false).mode(0o000).open(&path).unwrap();
    let error = std::thread::spawn(move || {
        // Of this thread alone; takes away root's right to open everything.
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
        Tun::open_at(&path, &config).unwrap_err()
    });
    let error = error.join().unwrap();
    assert!(matches!(error, TunError::Forbidden { .. }), "{error}");
}

#[test]
fn names_and_queue_counts_are_checked() {
    for name in ["", "sixteen-letters-", "a/b", "a b"] {
        let error = Tun::open(&TunConfig { name: name.into(), queues: 1, offload: true }).unwrap_err();
        assert!(matches!(error, TunError::BadName { .. }), "{error}");
    }
    let error = Tun::open(&TunConfig { name: "t0".into(), queues: 0, offload: true }).unwrap_err();
    assert!(matches!(error, TunError::NoQueues { .. }), "{error}");
}

#[test]
fn a_missing_capability_is_named() {
    if without::is_second() {
        for offload in [true, false] {
            let error = Tun::open(&TunConfig { name: "t0".into(), queues: 1, offload }).unwrap_err();
            assert!(matches!(error, TunError::NoCapability { .. }), "{error}");
            assert!(error.to_string().contains("CAP_NET_ADMIN"));
        }
        return;
    }
    let test = "tun::tests::a_missing_capability_is_named";
    in_namespace(|| without::run_second("net_admin", test, || ()));
}

/// Sends `bytes` each way over one connection to the other address and compares them.
fn exchange_tcp(ip: &Ip, bytes: usize) {
    let listener = TcpListener::bind((ip.local, 80)).unwrap();
    let (local, remote) = (ip.local, ip.remote);
    let client = std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let mut stream = TcpStream::connect((remote, 80)).unwrap();
            stream.write_all(&pattern(bytes)).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!((from.ip(), stream.local_addr().unwrap().ip()), (remote, local));
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(&got).unwrap();
        drop(stream);
        client.join().unwrap()
    });
    assert!(client == pattern(bytes), "the bytes that came back differ");
}
