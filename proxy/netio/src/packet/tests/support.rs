//! Two namespaces with a link between them, and the mirror at its far end.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use std::os::fd::AsRawFd;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use wire::frame::{Frame, Offload};
use wire::packet::Family;

use super::super::{Intake, Port, Received, Scope};
use crate::link::{LinkHeader, LinkSocket};
use crate::netns::Netns;
use crate::poll::{Waker, wait};

/// Addresses of the near host, IPv4 and IPv6.
pub(super) const OWN: [&str; 2] = ["10.99.0.1", "fd99::1"];
/// Addresses that it believes to be at the far end.
pub(super) const NOBODY: [&str; 2] = ["10.99.0.2", "fd99::2"];

const NEAR_LINK: &str = "02:00:00:00:00:01";
const FAR_LINK: &str = "02:00:00:00:00:02";

pub(super) struct World {
    near: Netns,
    far: Netns,
}

impl World {
    pub(super) fn new() -> Self {
        let world = Self { near: Netns::new().unwrap(), far: Netns::new().unwrap() };
        let far = format!("/proc/{}/fd/{}", std::process::id(), world.far.as_raw_fd());
        world.near(|| {
            run(&format!(
                "ip link add eth0 address {NEAR_LINK} type veth peer name eth0 address {FAR_LINK} netns {far}"
            ));
            run("ip addr add 10.99.0.1/16 brd 10.99.0.255 dev eth0");
            run("ip addr add fd99::1/64 dev eth0 nodad");
            run("ip link set eth0 up");
        });
        world.far(|| {
            run("ip addr add 10.99.0.77/16 dev eth0");
            run("ip link set eth0 up");
        });
        world.near(|| {
            let deadline = Instant::now() + Duration::from_secs(5);
            while output("ip -br link show eth0").contains("NO-CARRIER") {
                assert!(Instant::now() < deadline, "the link does not come up");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        for addr in NOBODY {
            world.at_far_link(addr);
        }
        world
    }

    pub(super) fn near<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.near.run(work).unwrap()
    }

    pub(super) fn far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.far.run(work).unwrap()
    }

    /// Has the near host believe that an address is there.
    pub(super) fn at_far_link(&self, addr: &str) {
        self.near(|| run(&format!("ip neigh replace {addr} lladdr {FAR_LINK} dev eth0")));
    }

    /// Index of the far end's device.
    pub(super) fn device(&self) -> u32 {
        self.far(|| nix::net::if_::if_nametoindex("eth0").unwrap())
    }

    /// What is for nobody.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            devices: [self.device()].into(),
            to: NOBODY.iter().map(|addr| ip(addr)).collect(),
            ..Scope::default()
        }
    }

    /// Back to the near host.
    pub(super) fn back(&self) -> LinkHeader {
        LinkHeader::Ethernet([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    }

    /// Sends a packet as it is from the near end of the link.
    pub(super) fn send_from_near(&self, frame: &mut Frame, header: &LinkHeader) {
        let family = if frame.packet()[0] >> 4 == 4 { Family::V4 } else { Family::V6 };
        self.near(|| {
            let device = nix::net::if_::if_nametoindex("eth0").unwrap();
            LinkSocket::open().unwrap().send(frame, family, device, header).unwrap();
        });
    }

    /// A small one at the far end, with nothing in its scope.
    pub(super) fn port(&self) -> (Port, Intake) {
        let (mut ports, intake) = self.far(|| Port::open(1, 1).unwrap());
        (ports.remove(0), intake)
    }

    /// Several at the far end, with nothing in their scope.
    pub(super) fn ports(&self, number: usize) -> Ports {
        let (ports, intake) = self.far(|| Port::open(number, 1).unwrap());
        Ports { ports, intake }
    }

    pub(super) fn mirror(&self, ports: usize, slots: usize) -> Mirror {
        let (ports, mut intake) = self.far(|| Port::open(ports, slots).unwrap());
        intake.set(&self.scope()).unwrap();
        let header = self.back();
        let threads = ports.into_iter().enumerate().map(|(number, port)| {
            let waker = Waker::new().unwrap();
            let stop = waker.clone();
            (stop, std::thread::spawn(move || reflect(number, port, &waker, &header)))
        });
        Mirror { threads: threads.collect() }
    }
}

/// Ports that were opened together.
pub(super) struct Ports {
    ports: Vec<Port>,
    intake: Intake,
}

impl Ports {
    pub(super) fn set(&mut self, scope: &Scope) {
        self.intake.set(scope).unwrap();
    }

    /// The number of the port to which a packet with these ends comes from the near host.
    pub(super) fn at(&mut self, world: &World, from: SocketAddr, to: SocketAddr) -> usize {
        let header = LinkHeader::Ethernet([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        world.send_from_near(&mut udp_packet(from, to), &header);
        self.next()
    }

    /// The number of the port to which the next packet comes.
    pub(super) fn next(&mut self) -> usize {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            for (number, port) in self.ports.iter_mut().enumerate() {
                if port.receive().is_some() {
                    port.done();
                    return number;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing comes");
    }
}

/// What the mirror has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) port: usize,
    pub(super) len: usize,
    pub(super) offload: Offload,
}

pub(super) struct Mirror {
    threads: Vec<(Waker, JoinHandle<Vec<Seen>>)>,
}

impl Mirror {
    pub(super) fn stop(self) -> Vec<Seen> {
        self.threads
            .into_iter()
            .flat_map(|(waker, thread)| {
                waker.wake();
                thread.join().unwrap()
            })
            .collect()
    }
}

fn reflect(number: usize, mut port: Port, waker: &Waker, header: &LinkHeader) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        while let Some(Received { slot, device, readable }) = port.receive() {
            assert!(readable);
            let frame = port.frame(slot);
            seen.push(Seen { port: number, len: frame.len(), offload: frame.offload });
            let family = swap_ends(frame);
            port.send(slot, family, device, header);
        }
        assert_eq!(port.done(), 0);
        let [short, long] = port.inlets();
        if wait(&short, [long], waker, None).unwrap().woken {
            return seen;
        }
    }
}

/// Source and destination address.
pub(super) fn swap_ends(frame: &mut Frame) -> Family {
    let packet = frame.packet_mut();
    let (family, at, len) = if packet[0] >> 4 == 4 { (Family::V4, 12, 4) } else { (Family::V6, 8, 16) };
    let (source, destination) = packet[at..].split_at_mut(len);
    source.swap_with_slice(&mut destination[..len]);
    family
}

/// What comes soon.
pub(super) fn wait_for_one(port: &mut Port) -> Option<Received> {
    let deadline = Instant::now() + Duration::from_millis(60);
    while Instant::now() < deadline {
        if let Some(received) = port.receive() {
            return Some(received);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// A datagram of four bytes.
pub(super) fn udp_packet(from: SocketAddr, to: SocketAddr) -> Frame {
    wire::build::udp(from, to).payload_len(4).frame()
}

pub(super) fn udp(addr: &str, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((ip(addr), port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

pub(super) fn ip(addr: &str) -> IpAddr {
    addr.parse().unwrap()
}

pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

pub(super) fn run(line: &str) {
    output(line);
}

fn output(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Has this thread run on one processor, if there are so many.
pub(super) fn pin_to(processor: usize) {
    let mut set = CpuSet::new();
    let all = std::thread::available_parallelism().unwrap().get();
    set.set(processor % all).unwrap();
    // Where this one is not for us, it stays where it is.
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}
