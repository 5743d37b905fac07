//! Captures of every link, for Wireshark: a file for each interface of each machine, with all that passed it. An interface
//! that is made later has one as soon as something passes.
//!
//! Classic pcap, which everything reads. What a machine sends has not been segmented yet and its checksums are not
//! complete, as with tcpdump.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use netio::netns::Netns;
use nix::libc;
use nix::net::if_::if_indextoname;
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
            let mut files = Files::new(node, dir);
            for (index, name, kind) in interfaces(node)? {
                files.add(index, &name, kind).with_context(|| {
                    format!("cannot write what passes {name} of {node} in {}", dir.display())
                })?;
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

/// Numbers, names, and what packets begin with.
fn interfaces(node: &Node) -> anyhow::Result<Vec<(usize, String, u16)>> {
    node.netlink(async |handle| {
        let mut links = handle.link().get().execute();
        let mut found = Vec::new();
        while let Some(link) = links.try_next().await? {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) if name != LOOPBACK => Some(name.clone()),
                _ => None,
            });
            let (index, kind) = (link.header.index as usize, link.header.link_layer_type.into());
            found.extend(name.map(|name| (index, name, kind)));
        }
        Ok(found)
    })
}

/// The one interface whose packets nobody wants to see.
const LOOPBACK: &str = "lo";

/// A file for each interface of a machine, those that are made later among them: an engine's own, say. One that is made
/// again goes on with the file of its name.
struct Files {
    netns: Netns,
    machine: String,
    dir: PathBuf,
    /// By the interface's number: its name, if it has a file.
    names: BTreeMap<usize, Option<String>>,
    files: BTreeMap<String, Pcap>,
}

impl Files {
    fn new(node: &Node, dir: &Path) -> Self {
        let (netns, machine, dir) = (node.netns().clone(), node.name().to_owned(), dir.to_owned());
        Self { netns, machine, dir, names: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// An interface with its file.
    fn add(&mut self, index: usize, name: &str, kind: u16) -> io::Result<()> {
        if !self.files.contains_key(name) {
            let path = self.dir.join(format!("{}-{name}.pcap", self.machine));
            self.files.insert(name.to_owned(), Pcap::create(&path, kind)?);
        }
        self.names.insert(index, Some(name.to_owned()));
        Ok(())
    }

    /// Takes up an interface that nobody has told of.
    fn discover(&mut self, index: usize, kind: u16) {
        // One that is gone already has no name, and one whose file cannot be written has none.
        self.names.insert(index, None);
        let name = u32::try_from(index).ok().and_then(|index| {
            let name = self.netns.run(|| if_indextoname(index)).ok()?.ok()?;
            name.into_string().ok()
        });
        if let Some(name) = name.filter(|name| name != LOOPBACK) {
            let _ = self.add(index, &name, kind);
        }
    }

    fn packet(&mut self, bytes: &[u8], index: usize, kind: u16) {
        if !self.names.contains_key(&index) {
            self.discover(index, kind);
        }
        if let Some(Some(name)) = self.names.get(&index)
            && let Some(file) = self.files.get_mut(name)
            && file.packet(bytes).is_err()
        {
            // The disk is full, say: the file ends here.
            self.files.remove(name);
        }
    }

    /// Somebody may be reading the files while the lab is up.
    fn flush(&mut self) {
        self.files.retain(|_, file| file.0.flush().is_ok());
    }
}

/// Writes packets into their files until it shall stop and there are no more. How many were lost.
fn keep(socket: &Socket, mut files: Files, stop: &AtomicBool) -> u64 {
    let mut packet = vec![0; LONGEST];
    loop {
        let last = stop.load(Ordering::Relaxed);
        while let Some((len, interface, kind)) = receive(socket, &mut packet) {
            files.packet(&packet[..len], interface, kind);
        }
        files.flush();
        if last {
            return getsockopt(socket, PacketStatistics).map_or(0, |[_, lost]| lost.into());
        }
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // A signal, or an error that reading will find as well.
        let _ = poll(&mut ready, PollTimeout::from(TURN));
    }
}

/// The next packet, if there is one: its length, its interface's number, and what packets there begin with.
fn receive(socket: &Socket, packet: &mut [u8]) -> Option<(usize, usize, u16)> {
    let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), packet).ok()?;
    let from = from?;
    Some((len, from.ifindex(), from.hatype()))
}

/// A file of packets: with Ethernet headers or, of an interface whose packets have none, with nothing before IP.
struct Pcap(BufWriter<File>);

impl Pcap {
    fn create(path: &Path, kind: u16) -> io::Result<Self> {
        const LINKTYPE_ETHERNET: u32 = 1;
        const LINKTYPE_RAW: u32 = 101;
        let has_header = matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
        let link = if has_header { LINKTYPE_ETHERNET } else { LINKTYPE_RAW };
        // Magic number (microseconds), version 2.4, no time zone, the longest packet.
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, LONGEST as u32, link];
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
