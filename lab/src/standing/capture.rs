//! Captures of every link, for Wireshark: a file for each interface of each machine, with all that passed it.
//!
//! Classic pcap, which everything reads. What a machine sends has not been segmented yet and its checksums are not
//! complete, as with tcpdump.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{LinkAddr, recvfrom};
use rtnetlink::packet_route::link::LinkAttribute;
use socket2::{Domain, Protocol, Socket, Type};

use crate::node::Node;

/// Running captures; dropping them completes the files.
#[derive(Debug)]
pub(crate) struct Captures {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Captures {
    /// Of every interface of these machines but loopbacks, in `DIR/MACHINE-INTERFACE.pcap`.
    pub(crate) fn start(machines: &[&Node], dir: &Path) -> anyhow::Result<Self> {
        let mut captures = Self { stop: Arc::default(), threads: Vec::new() };
        for node in machines {
            let socket = node.run(open)?.with_context(|| format!("cannot capture on {node}"))?;
            let mut files = BTreeMap::new();
            for (index, name) in interfaces(node)? {
                let path = dir.join(format!("{node}-{name}.pcap"));
                let file = Pcap::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
                files.insert(index, file);
            }
            let stop = Arc::clone(&captures.stop);
            let thread = thread::Builder::new().name(format!("capture-{node}"));
            captures.threads.push(thread.spawn(move || keep(&socket, files, &stop))?);
        }
        Ok(captures)
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It does not panic; and if it did, the capture would be short.
            let _ = thread.join();
        }
    }
}

/// Longest packet: a super-packet with its headers.
const LONGEST: usize = 1 << 18;
/// How long a packet may wait for its place in the file, in milliseconds.
const TURN: u16 = 50;

/// All packets of all interfaces.
fn open() -> io::Result<Socket> {
    const ETH_P_ALL: u16 = 3;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ETH_P_ALL.to_be()))))?;
    // More than anybody may have is refused; then it is less.
    let _ = socket.set_recv_buffer_size(16 << 20);
    Ok(socket)
}

/// Numbers and names.
fn interfaces(node: &Node) -> anyhow::Result<Vec<(usize, String)>> {
    node.netlink(async |handle| {
        let mut links = handle.link().get().execute();
        let mut found = Vec::new();
        while let Some(link) = links.try_next().await? {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) if name != "lo" => Some(name.clone()),
                _ => None,
            });
            found.extend(name.map(|name| (link.header.index as usize, name)));
        }
        Ok(found)
    })
}

fn keep(socket: &Socket, mut files: BTreeMap<usize, Pcap>, stop: &AtomicBool) {
    let mut packet = vec![0; LONGEST];
    loop {
        let last = stop.load(Ordering::Relaxed);
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let waiting = if last { PollTimeout::ZERO } else { PollTimeout::from(TURN) };
        match poll(&mut ready, waiting) {
            Ok(0) if last => return,
            Ok(0) => continue,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
        }
        let Ok((len, Some(from))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut packet) else { continue };
        if let Some(file) = files.get_mut(&from.ifindex())
            && file.packet(&packet[..len]).is_err()
        {
            // The disk is full, say: the file ends here.
            files.remove(&from.ifindex());
        }
    }
}

/// A file of packets with Ethernet headers.
struct Pcap(BufWriter<File>);

impl Pcap {
    fn create(path: &Path) -> io::Result<Self> {
        // Magic number (microseconds), version 2.4, no time zone, the longest packet, LINKTYPE_ETHERNET.
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, LONGEST as u32, 1];
        let mut file = BufWriter::new(File::create(path)?);
        header.iter().try_for_each(|word| file.write_all(&word.to_le_bytes()))?;
        Ok(Self(file))
    }

    fn packet(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let len = bytes.len() as u32;
        let header = [now.as_secs() as u32, now.subsec_micros(), len, len];
        header.iter().try_for_each(|word| self.0.write_all(&word.to_le_bytes()))?;
        self.0.write_all(bytes)
    }
}
