//! The far end of tunnels, for kernels without one: takes packets out of the packets around them and lets the machine
//! have them as if they had come to it so. Strict: what IPVS would not have sent is a failure of the test.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::node::Node;
use lab::wait::wait_for;
use netio::tun::{Queue, Tun, TunConfig};
use socket2::{Domain, Protocol, Socket, Type};
use wire::checksum;
use wire::frame::{Checksum, Frame, Offload};

use super::PATIENCE;

/// UDP port for GUE.
pub const GUE_PORT: u16 = 6080;

const IPIP: i32 = 4;
const UDP: i32 = 17;
const IPV6: i32 = 41;
const GRE: i32 = 47;

/// A running one. It ends when this is dropped.
pub struct Decapsulator {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// So that nobody says that the port is closed.
    _udp: Vec<Socket>,
}

struct Shared {
    stop: AtomicBool,
    taken: AtomicU64,
    longest: AtomicU64,
    queue: Queue,
    wrong: Mutex<Vec<String>>,
}

impl Decapsulator {
    pub fn start(node: &Node) -> Self {
        let config = TunConfig { name: "decap0".to_owned(), queues: 1, offload: false };
        // A process that is being started has what we have had open, until it becomes another program.
        let open = || node.run(|| Tun::open(&config)).unwrap().ok();
        let mut tun = wait_for("decap0 to be nobody's", PATIENCE, open).unwrap();
        node.exec(&["ip", "link", "set", "decap0", "up", "mtu", "65535"]).unwrap();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            queue: tun.queues.remove(0),
            wrong: Mutex::default(),
        });
        let mut this = Self { shared, threads: Vec::new(), _udp: Vec::new() };
        for domain in [Domain::IPV4, Domain::IPV6] {
            for protocol in [IPIP, IPV6, GRE, UDP] {
                let socket = raw(node, domain, protocol);
                let shared = Arc::clone(&this.shared);
                let name = format!("decap-{protocol}");
                let thread = std::thread::Builder::new().name(name);
                this.threads.push(thread.spawn(move || shared.serve(&socket, domain, protocol)).unwrap());
            }
            this._udp.push(udp(node, domain));
        }
        this
    }

    /// Packets taken out so far.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Relaxed)
    }

    /// The longest of them since the last call, in bytes.
    pub fn longest_since(&self) -> u64 {
        self.shared.longest.swap(0, Relaxed)
    }
}

impl Drop for Decapsulator {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let wrong = self.shared.wrong.lock().unwrap();
        assert!(wrong.is_empty() || std::thread::panicking(), "outer packets: {wrong:?}");
    }
}

fn raw(node: &Node, domain: Domain, protocol: i32) -> Socket {
    let open = || Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)));
    let socket = node.run(open).unwrap().unwrap();
    socket.set_recv_buffer_size(8 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket
}

fn udp(node: &Node, domain: Domain) -> Socket {
    let any: IpAddr =
        if domain == Domain::IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = node.run(|| Socket::new(domain, Type::DGRAM, None)).unwrap().unwrap();
    if domain == Domain::IPV6 {
        socket.set_only_v6(true).unwrap();
    }
    socket.bind(&SocketAddr::new(any, GUE_PORT).into()).unwrap();
    socket
}

impl Shared {
    fn serve(&self, mut socket: &Socket, domain: Domain, protocol: i32) {
        let mut buffer = vec![0; 1 << 16];
        while !self.stop.load(Relaxed) {
            let len = match std::io::Read::read(&mut socket, &mut buffer) {
                Ok(len) => len,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                Err(e) => panic!("cannot read: {e}"),
            };
            // IPv4 alone has its header before the rest.
            let header = if domain == Domain::IPV4 { 20 } else { 0 };
            match unwrap(&buffer[header..len], protocol) {
                Ok(None) => {}
                Ok(Some(mut inner)) => {
                    self.taken.fetch_add(1, Relaxed);
                    self.longest.fetch_max(inner.len() as u64, Relaxed);
                    self.queue.send(&mut inner).unwrap();
                }
                Err(why) => self.wrong.lock().unwrap().push(why),
            }
        }
    }
}

/// The packet inside; none for other UDP. Each checksum is looked at, but for the UDP one of GUE.
fn unwrap(bytes: &[u8], protocol: i32) -> Result<Option<Frame>, String> {
    let word = |at| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut offload = Offload::default();
    let (inner, kind) = match protocol {
        GRE => {
            let checksum = word(0) == 0x8000;
            if checksum && checksum::sum(bytes) != 0xffff {
                return Err("GRE checksum".to_owned());
            }
            (&bytes[if checksum { 8 } else { 4 }..], if word(2) == 0x0800 { IPIP } else { IPV6 })
        }
        UDP if word(2) != GUE_PORT => return Ok(None),
        UDP => {
            let options = usize::from(bytes[8]) * 4;
            if options != 0 {
                let start = word(16);
                offload.checksum = Checksum::Partial { start, offset: word(18) - start };
            }
            (&bytes[12 + options..], i32::from(bytes[9]))
        }
        kind => (bytes, kind),
    };
    let mut frame = Frame::from_packet(inner);
    frame.offload = offload;
    let version = if kind == IPIP { 4 } else { 6 };
    if inner[0] >> 4 != version || !checksum::complete(&mut frame) {
        return Err(format!("protocol {protocol}, inside {kind}: {inner:?}"));
    }
    checksum::verify(frame.packet()).map_err(|why| format!("protocol {protocol}: {why}"))?;
    Ok(Some(frame))
}
