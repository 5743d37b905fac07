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
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{self, GetStruct};
use nix::sys::socket::{LinkAddr, getsockopt, recvfrom, setsockopt};
use rtnetlink::packet_route::link::LinkAttribute;
use socket2::{Domain, Protocol, Socket, Type};

use crate::node::Node;

/// Running captures; dropping them completes the files.
#[derive(Debug)]
pub(crate) struct Captures {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
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

    /// Completes the files. How many packets the kernel had no room for until they were read.
    pub(crate) fn finish(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // They do not panic; and if one did, its capture would be short.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).sum()
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.end();
    }
}

/// How many packets there were since it was asked last, and how many of them found no room.
#[derive(Clone, Copy)]
struct PacketStatistics;

nix::getsockopt_impl!(
    PacketStatistics,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    [u32; 2],
    GetStruct<[u32; 2]>
);

/// Longest packet: a super-packet with its headers.
const LONGEST: usize = 1 << 18;
/// How long it may take to notice the end, in milliseconds.
const TURN: u16 = 50;
/// Room for what arrives while a file is written to. The kernel takes it only as it is filled.
const BUFFER: usize = 64 << 20;

/// All packets of all interfaces.
fn open() -> io::Result<Socket> {
    const ETH_P_ALL: u16 = 3;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ETH_P_ALL.to_be()))))?;
    // Only root may have more than the machine's rmem_max; others get that.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER);
    }
    socket.set_nonblocking(true)?;
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

/// Writes packets into their files until it shall stop and there are no more. How many were lost.
fn keep(socket: &Socket, mut files: BTreeMap<usize, Pcap>, stop: &AtomicBool) -> u64 {
    let mut packet = vec![0; LONGEST];
    loop {
        let last = stop.load(Ordering::Relaxed);
        while let Some((len, interface)) = receive(socket, &mut packet) {
            if let Some(file) = files.get_mut(&interface)
                && file.packet(&packet[..len]).is_err()
            {
                // The disk is full, say: the file ends here.
                files.remove(&interface);
            }
        }
        // Somebody may be reading the files while the lab is up.
        files.retain(|_, file| file.0.flush().is_ok());
        if last {
            return getsockopt(socket, PacketStatistics).map_or(0, |[_, lost]| lost.into());
        }
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // A signal, or an error that reading will find as well.
        let _ = poll(&mut ready, PollTimeout::from(TURN));
    }
}

/// The next packet, if there is one: its length, and its interface's number.
fn receive(socket: &Socket, packet: &mut [u8]) -> Option<(usize, usize)> {
    let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), packet).ok()?;
    Some((len, from?.ifindex()))
}

/// A file of packets with Ethernet headers.
struct Pcap(BufWriter<File>);

impl Pcap {
    fn create(path: &Path) -> io::Result<Self> {
        // Magic number (microseconds), version 2.4, no time zone, the longest packet, LINKTYPE_ETHERNET.
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, LONGEST as u32, 1];
        let mut file = BufWriter::new(File::create(path)?);
        header.iter().try_for_each(|word| file.write_all(&word.to_le_bytes()))?;
        // A link on which nothing ever passes has a file that can be read, too.
        file.flush()?;
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
