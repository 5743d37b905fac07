//! Whatever a machine is told that ends or denies something: resets, and ICMP other than pings and neighbours. With nobody
//! who has a reason to, it is a kernel that speaks where it should not.

use std::io::{ErrorKind, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::node::Node;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use wire::packet::{L4, Packet};

/// Listens on nodes, until it is asked.
pub struct Complaints {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Complaints {
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let start = |node: &Node| {
            let (socket, stop, name) = (open(node), Arc::clone(&stop), node.name().to_owned());
            std::thread::spawn(move || listen(socket, &stop, &name))
        };
        let threads = nodes.into_iter().map(start).collect();
        Self { stop, threads }
    }

    /// What was heard, a line each.
    pub fn end(self) -> Vec<String> {
        // Whatever is on its way.
        std::thread::sleep(Duration::from_millis(100));
        self.stop.store(true, Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn open(node: &Node) -> Socket {
    const ETH_P_ALL: u16 = 3;
    const PACKET_OUTGOING: u32 = 4;
    const SKF_AD_PKTTYPE: u32 = 0xffff_f004;
    let program = [
        SockFilter::new(0x20, 0, 0, SKF_AD_PKTTYPE),
        SockFilter::new(0x15, 0, 1, PACKET_OUTGOING),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, 256),
    ];
    let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
    let socket = node.run(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(all))).unwrap().unwrap();
    socket.attach_filter(&program).unwrap();
    socket.set_recv_buffer_size(16 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket
}

fn listen(mut socket: Socket, stop: &AtomicBool, name: &str) -> Vec<String> {
    let (mut heard, mut bytes) = (Vec::new(), [0; 256]);
    while !stop.load(Relaxed) {
        match socket.read(&mut bytes) {
            Ok(len) => heard.extend(complaint(&bytes[..len]).map(|text| format!("{name}: {text}"))),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
    heard
}

fn complaint(bytes: &[u8]) -> Option<String> {
    // Of a long one there is only the beginning.
    let mut whole = vec![0; 66_000];
    whole[..bytes.len()].copy_from_slice(bytes);
    let packet = Packet::parse(&whole).ok()?;
    let what = match packet.l4 {
        L4::Tcp { flags, src_port, dst_port, .. } if flags.rst() => {
            format!("a reset from port {src_port} to {dst_port}")
        }
        L4::Icmp { kind: kind @ (3 | 4 | 5 | 11 | 12), code, .. } => {
            format!("ICMP of type {kind}, code {code}")
        }
        L4::Icmp6 { kind: kind @ (1..=4 | 137), code, .. } => format!("ICMPv6 of type {kind}, code {code}"),
        _ => return None,
    };
    Some(format!("{what} from {} to {}", packet.src, packet.dst))
}
