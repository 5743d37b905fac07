//! A namespace with a device in it, and the mirror behind the device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rtnetlink::LinkUnspec;
use wire::frame::{Checksum, Frame, Offload};

use super::super::{Queue, Received, Tun, TunConfig};
use crate::poll::{Waker, wait};

/// What differs between the two versions of IP.
#[derive(Clone, Copy)]
pub(super) struct Ip {
    /// The device's address.
    pub(super) local: IpAddr,
    /// Nobody's address, routed into the device.
    pub(super) remote: IpAddr,
    /// Bytes of the IP header.
    pub(super) header: usize,
    prefix: u8,
    /// Where the addresses are in the header, and how long each is.
    addresses: (usize, usize),
}

pub(super) const V4: Ip = Ip {
    local: IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)),
    remote: IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2)),
    header: 20,
    prefix: 24,
    addresses: (12, 4),
};

pub(super) const V6: Ip = Ip {
    local: IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1)),
    remote: IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 2)),
    header: 40,
    prefix: 64,
    addresses: (8, 16),
};

impl Ip {
    /// A datagram from the remote address, port 5001, to the local one, port 5002, and what makes it a whole one:
    /// its checksum field holds the pseudo-header sum.
    pub(super) fn datagram(&self, payload: &[u8]) -> (Vec<u8>, Checksum) {
        let length = (8 + payload.len()) as u16;
        let mut packet = match (self.remote, self.local) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut header = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0].to_vec();
                header[2..4].copy_from_slice(&(20 + length).to_be_bytes());
                header.extend(src.octets().iter().chain(&dst.octets()));
                let sum = !sum(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                header
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let mut header = [0x60, 0, 0, 0, 0, 0, 17, 64].to_vec();
                header[4..6].copy_from_slice(&length.to_be_bytes());
                header.extend(src.octets().iter().chain(&dst.octets()));
                header
            }
            _ => unreachable!("both are of one version"),
        };
        let (at, len) = self.addresses;
        let mut pseudo = packet[at..at + 2 * len].to_vec();
        pseudo.extend([0, 17]);
        pseudo.extend(length.to_be_bytes());
        for field in [5001, 5002, length, sum(&pseudo)] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(payload);
        (packet, Checksum::Partial { start: self.header as u16, offset: 6 })
    }
}

/// RFC 1071 sum, not complemented.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Runs the test's body on a thread with an empty network namespace of its own, and hands a failure on.
pub(super) fn in_namespace<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    assert!(nix::unistd::Uid::effective().is_root(), "this test makes a network namespace: run it as root");
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        body()
    });
    thread.join().unwrap_or_else(|failure| std::panic::resume_unwind(failure))
}

pub(super) fn open(name: &str, queues: usize, offload: bool) -> Tun {
    Tun::open(&TunConfig { name: name.into(), queues, offload }).unwrap()
}

/// Device and loopback up, the addresses on the device.
pub(super) fn bring_up(tun: &Tun) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        for index in [1, tun.index] {
            handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
        }
        for ip in [V4, V6] {
            handle.address().add(tun.index, ip.local, ip.prefix).execute().await.unwrap();
        }
    });
    // The kernel makes an IPv6 address usable a little later, even where it looks for no duplicate; the last thing
    // that comes is its route.
    let deadline = Instant::now() + Duration::from_secs(5);
    let routes = || std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
    while !routes().lines().any(|route| route.starts_with("fd990000000000000000000000000001 80 ")) {
        assert!(Instant::now() < deadline, "no route for the IPv6 address:\n{}", routes());
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn udp(ip: IpAddr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((ip, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Bytes that do not repeat within a packet's length.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i % 251) ^ (i / 251)) as u8).collect()
}

/// A packet that the mirror sent back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) queue: usize,
    pub(super) len: usize,
    pub(super) offload: Offload,
}

/// A thread per queue that sends back what goes to the remote address.
pub(super) struct Mirror {
    threads: Vec<(Waker, JoinHandle<Vec<Seen>>)>,
}

impl Mirror {
    pub(super) fn start(tun: Tun) -> Self {
        bring_up(&tun);
        let threads = tun.queues.into_iter().enumerate().map(|(number, queue)| {
            let waker = Waker::new().unwrap();
            let stop = waker.clone();
            (waker, std::thread::spawn(move || mirror(number, &queue, &stop)))
        });
        Self { threads: threads.collect() }
    }

    pub(super) fn stop(self) -> Vec<Seen> {
        let stop = |(waker, thread): (Waker, JoinHandle<Vec<Seen>>)| {
            waker.wake();
            thread.join().unwrap()
        };
        self.threads.into_iter().flat_map(stop).collect()
    }
}

fn mirror(number: usize, queue: &Queue, stop: &Waker) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut frame = Frame::new();
    loop {
        match queue.recv(&mut frame).unwrap() {
            Received::Empty if wait(queue, None, stop, None).unwrap().woken => return seen,
            Received::Empty => continue,
            Received::Frame => {}
            Received::Unreadable(why) => panic!("{why:?}"),
        }
        let (at, len) = if frame.packet()[0] >> 4 == 4 { V4.addresses } else { V6.addresses };
        let (src, dst) = frame.packet_mut()[at..at + 2 * len].split_at_mut(len);
        // The kernel also sends multicast of its own.
        let remote = match V4.remote {
            IpAddr::V4(v4) if len == 4 => *dst == v4.octets(),
            _ => matches!(V6.remote, IpAddr::V6(v6) if *dst == v6.octets()),
        };
        if remote {
            src.swap_with_slice(dst);
            queue.send(&mut frame).unwrap();
            seen.push(Seen { queue: number, len: frame.len(), offload: frame.offload });
        }
    }
}
