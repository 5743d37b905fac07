//! A client, a director and a server in namespaces of their own, and a trivial engine on the director's device.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use netio::netns::Netns;
use netio::steer::{SteerConfig, Steering, Targets};
use netio::tun::{Queue, Received, Tun, TunConfig};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use nix::sys::time::{TimeVal, TimeValLike};
use tempfile::tempdir;
use wire::frame::Frame;
use wire::packet::Packet;
use wire::{edit, reply};

pub(crate) const CLIENT: &str = "10.0.0.2";
pub(crate) const SERVER: &str = "10.1.0.2";
pub(crate) const CLIENT6: &str = "fd00:a::2";
pub(crate) const SERVER6: &str = "fd00:b::2";
/// In nobody's subnet.
pub(crate) const VIP: &str = "10.99.0.1";
pub(crate) const VIP6: &str = "fd00:99::1";

pub(crate) const VIP_PORT: u16 = 80;
pub(crate) const SERVER_PORT: u16 = 8080;

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Runs a shell line in the namespace of this thread.
pub(crate) fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) struct World {
    pub(crate) client: Netns,
    pub(crate) director: Netns,
    pub(crate) server: Netns,
}

impl World {
    /// Client and server on subnets of their own, the director is their gateway but forwards nothing.
    pub(crate) fn routed() -> Self {
        let world = Self { client: netns(), director: netns(), server: netns() };
        world.on_director(|| {
            sh("ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward");
            for (device, peer, v4, v6) in [
                ("c0", at(&world.client), "10.0.0.1/24", "fd00:a::1/64"),
                ("s0", at(&world.server), "10.1.0.1/24", "fd00:b::1/64"),
            ] {
                sh(&format!(
                    "ip link add {device} type veth peer name e0; ip link set e0 netns {peer}
                     ip addr add {v4} dev {device}; ip addr add {v6} dev {device} nodad; ip link set {device} up"
                ));
            }
        });
        for (netns, v4, v6, gateway, gateway6) in [
            (&world.client, CLIENT, CLIENT6, "10.0.0.1", "fd00:a::1"),
            (&world.server, SERVER, SERVER6, "10.1.0.1", "fd00:b::1"),
        ] {
            let line = format!(
                "ip link set lo up; ip addr add {v4}/24 dev e0; ip addr add {v6}/64 dev e0 nodad; ip link set e0 up
                 ip route add default via {gateway}; ip route add default via {gateway6}"
            );
            netns.run(|| sh(&line)).unwrap();
        }
        world
    }

    pub(crate) fn on_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.client.run(work).unwrap()
    }

    pub(crate) fn on_director<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.director.run(work).unwrap()
    }

    pub(crate) fn on_server<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.server.run(work).unwrap()
    }
}

/// What `ip` calls the namespace.
pub(crate) fn at(netns: &Netns) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd())
}

/// A namespace that does not wait for duplicate address detection.
fn netns() -> Netns {
    let netns = Netns::new().unwrap();
    netns.run(|| sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")).unwrap();
    netns
}

/// Runs async code on a fresh runtime of this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn open_tun() -> Tun {
    Tun::open(&TunConfig { name: "ulvs0".to_owned(), queues: 1, offload: false }).unwrap()
}

pub(crate) fn config(tun: &Tun, state_dir: &Path) -> SteerConfig {
    SteerConfig {
        tun_name: tun.name.clone(),
        tun_index: tun.index,
        state_dir: state_dir.to_owned(),
        nftables: true,
    }
}

/// Services of both families, one TCP and one UDP server each.
pub(crate) fn targets(vips: &[&str]) -> Targets {
    let servers = [SERVER, SERVER6].map(|server| SocketAddr::new(ip(server), SERVER_PORT));
    Targets {
        vips: vips.iter().map(|vip| ip(vip)).collect(),
        servers: servers.iter().flat_map(|&server| [(6, server), (17, server)]).collect(),
        ..Targets::default()
    }
}

/// Runs `check` on the director while it steers, and looks whether everything is put back then.
pub(crate) fn steered(
    world: &World,
    vips: &[&str],
    setup: &str,
    check: impl AsyncFnOnce(&Engine, &mut Steering) + Send,
) {
    world.on_director(|| {
        sh(setup);
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let before = snapshot();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            let engine = Engine::start(tun, vips);
            steering.set_targets(&targets(vips)).unwrap();
            check(&engine, &mut steering).await;
            steering.stop().unwrap();
            assert_as_before(&before);
            drop(engine);
        });
    });
}

/// What the device saw: protocol, source, destination.
pub(crate) type Seen = (u8, IpAddr, IpAddr);

/// NAT with hardly a table: VIP:80 becomes the server's 8080 and back, everything else passes.
pub(crate) struct Engine {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    pub(crate) fn start(mut tun: Tun, vips: &[&str]) -> Self {
        let vips: BTreeSet<IpAddr> = vips.iter().map(|vip| ip(vip)).collect();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, until) = (seen.clone(), stop.clone());
        let queue = tun.queues.remove(0);
        let mut clients = BTreeMap::new();
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                serve(&queue, &vips, &mut clients, &log);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// What was seen since the last time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(
    queue: &Queue,
    vips: &BTreeSet<IpAddr>,
    clients: &mut BTreeMap<(IpAddr, u16), IpAddr>,
    log: &Mutex<Vec<Seen>>,
) {
    let mut frame = Frame::new();
    while let Ok(Received::Frame) = queue.recv(&mut frame) {
        let packet = Packet::parse(frame.packet()).unwrap();
        log.lock().unwrap().push((packet.protocol, packet.src, packet.dst));
        if vips.contains(&packet.dst) && reply::echo(&mut frame, &packet) {
            // Answered in place.
        } else if let Some((from, to)) = packet.ports() {
            if vips.contains(&packet.dst) && to == VIP_PORT {
                clients.insert((packet.src, from), packet.dst);
                let server = if packet.dst.is_ipv4() { SERVER } else { SERVER6 };
                edit::set_destination(&mut frame, &packet, ip(server), SERVER_PORT);
            } else if [ip(SERVER), ip(SERVER6)].contains(&packet.src) && from == SERVER_PORT {
                // Unless it is no answer to us: somebody talks to the server directly.
                if let Some(vip) = clients.get(&(packet.dst, to)) {
                    edit::set_source(&mut frame, &packet, *vip, VIP_PORT);
                }
            }
        }
        // Fails while the device is being taken down.
        let _ = queue.send(&mut frame);
    }
}

/// TCP and UDP echo on a port, for both families, until the test ends.
pub(crate) fn echo(netns: &Netns, port: u16) {
    netns
        .run(|| {
            let any = SocketAddr::new(ip("::"), port);
            let (tcp, udp) = (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
            std::thread::spawn(move || {
                for stream in tcp.incoming() {
                    let mut stream = stream.unwrap();
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(read @ 1..) = stream.read(&mut buffer) {
                            stream.write_all(&buffer[..read]).unwrap();
                        }
                    });
                }
            });
            std::thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok((read, from)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(&buffer[..read], from);
                }
            });
        })
        .unwrap();
}

/// Two lines over one TCP connection from the namespace of this thread.
pub(crate) fn tcp(to: &str, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::new(ip(to), port), PATIENCE) else {
        return false;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    [b"one\n", b"two\n"].iter().all(|line| {
        let mut back = [0; 4];
        stream.write_all(&line[..]).is_ok() && stream.read_exact(&mut back).is_ok() && back == line[..]
    })
}

/// One datagram there and back.
pub(crate) fn udp(to: &str, port: u16, len: usize) -> bool {
    let socket = UdpSocket::bind((if to.contains(':') { "::" } else { "0.0.0.0" }, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((to, port)).unwrap();
    let (data, mut back) = (vec![7; len], vec![0; len + 1]);
    socket.send(&data).is_ok() && socket.recv(&mut back).is_ok_and(|read| back[..read] == data)
}

/// One echo request and its answer.
pub(crate) fn ping(to: &str) -> bool {
    let to = ip(to);
    let id = u16::try_from(std::process::id() & 0xFFFF).unwrap();
    let request = wire::build::ping(to, to, id, 7).payload(b"ulvs").bytes();
    let (family, protocol, header, answer) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 20, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 40, 129),
    };
    let socket = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
    socket::setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(1)).unwrap();
    let target = SockaddrStorage::from(SocketAddr::new(to, 0));
    if socket::sendto(socket.as_raw_fd(), &request[header..], &target, MsgFlags::empty()).is_err() {
        return false;
    }
    let mut buffer = [0; 2048];
    while let Ok(read) = socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        // Only IPv4 gives the header along.
        let icmp = &buffer[if to.is_ipv4() { header } else { 0 }..read];
        if icmp[0] == answer && icmp[4..6] == id.to_be_bytes() {
            return true;
        }
    }
    false
}

/// Sends a whole packet from the namespace of this thread.
pub(crate) fn inject(packet: &[u8]) {
    let dst = Packet::parse(packet).unwrap().dst;
    let family = if dst.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).unwrap();
    let target = SockaddrStorage::from(SocketAddr::new(dst, 0));
    socket::sendto(socket.as_raw_fd(), packet, &target, MsgFlags::empty()).unwrap();
}

/// Long enough for a busy machine, short enough for a test that expects nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until the kernel has noticed that the links have carriers: on a busy machine it takes its time, and routes
/// change with it.
fn carriers() {
    let unnoticed = || {
        let state = sh("ip -o link; ip route show table all; ip -6 route show table all");
        ["NO-CARRIER", "linkdown"].iter().any(|word| state.contains(word))
    };
    for _ in 0..100 {
        if !unnoticed() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Everything that has to be as it was afterwards.
pub(crate) fn snapshot() -> String {
    carriers();
    let mut text = sh("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip -o addr; ip -o link
         ip neigh show proxy; ip -6 neigh show proxy; nft list ruleset; cat /proc/thread-self/net/anycast6 || true");
    for tree in ["/proc/sys/net/ipv4", "/proc/sys/net/ipv6"] {
        settings(Path::new(tree), &mut text);
    }
    // Once a device has been up, that shows; it ends with its last descriptor anyway.
    let marks_of_use = ["stable_secret", "ulvs0: <"];
    text.lines()
        .filter(|line| !marks_of_use.iter().any(|mark| line.contains(mark)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn settings(directory: &Path, text: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            settings(&path, text);
        } else if let Ok(value) = fs::read_to_string(&path) {
            text.push_str(&format!("{}={value}", path.display()));
        }
    }
}

/// Says what is different.
pub(crate) fn assert_as_before(before: &str) {
    let after = snapshot();
    let only_in = |a: &str, b: &str| {
        let b: BTreeSet<_> = b.lines().collect();
        a.lines().filter(|line| !b.contains(line)).collect::<Vec<_>>().join("\n")
    };
    let (lost, new) = (only_in(before, &after), only_in(&after, before));
    assert!(before == after, "lost:\n{lost}\nnew:\n{new}");
}

/// Waits for steering to see what has just been changed.
pub(crate) async fn settle(steering: &mut Steering) {
    let end = tokio::time::Instant::now() + Duration::from_millis(200);
    while let Ok(change) = tokio::time::timeout_at(end, steering.next_change()).await {
        change.unwrap();
    }
}
