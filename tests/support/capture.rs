//! What a machine's devices have sent and received, kept in a file that Wireshark opens if the test fails.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::node::Node;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes of each packet that are kept: its headers, and some.
const KEPT: usize = 256;
/// pcap: packets begin with the IP header.
const LINKTYPE_RAW: u32 = 101;

/// A running capture.
pub struct Capture {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Of all devices of a node, in a file with this name.
    pub fn start(node: &Node, name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("captures");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.pcap"));
        let all = Protocol::from(libc_be(ETH_P_ALL));
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(all));
        let mut socket = node.run(open).unwrap().unwrap();
        socket.set_recv_buffer_size(16 << 20).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("capture".to_owned());
        let run = move || {
            let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, KEPT as u32, LINKTYPE_RAW];
            header.iter().for_each(|word| file.write_all(&word.to_ne_bytes()).unwrap());
            let mut packet = vec![0; 1 << 16];
            while !stopped.load(Relaxed) {
                match socket.read(&mut packet) {
                    Ok(len) => record(&mut file, &packet[..len]),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => break,
                }
            }
            file.flush().unwrap();
        };
        Self { path, stop, thread: Some(thread.spawn(run).unwrap()) }
    }
}

impl Drop for Capture {
    #[expect(clippy::print_stderr, reason = "for whoever looks into the failure")]
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if std::thread::panicking() {
            eprintln!("what the director has seen: {}", self.path.display());
        } else {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

const ETH_P_ALL: u16 = 3;

/// Protocols of packet sockets are in network byte order.
fn libc_be(number: u16) -> i32 {
    i32::from(number.to_be())
}

fn record(file: &mut impl std::io::Write, packet: &[u8]) {
    let kept = &packet[..packet.len().min(KEPT)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let header = [now.as_secs() as u32, now.subsec_micros(), kept.len() as u32, packet.len() as u32];
    header.iter().for_each(|word| file.write_all(&word.to_ne_bytes()).unwrap());
    file.write_all(kept).unwrap();
}
