//! Captures of every link, for Wireshark: a file for each interface of each machine, with all that passed it. An interface
//! that is made later has one as soon as something passes.
//!
//! What a machine sends has not been segmented yet and its checksums are not complete, as with tcpdump.

mod pcap;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

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

use self::pcap::Pcap;
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
    /// By name; none is there any more after an error.
    files: BTreeMap<String, Option<Pcap>>,
}

impl Files {
    fn new(node: &Node, dir: &Path) -> Self {
        let (netns, machine, dir) = (node.netns().clone(), node.name().to_owned(), dir.to_owned());
        Self { netns, machine, dir, names: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// An interface with its file.
    fn add(&mut self, index: usize, name: &str, kind: u16) -> io::Result<()> {
        let known = self.files.get(name);
        if !matches!(known, Some(Some(_))) {
            let path = self.dir.join(format!("{}-{name}.pcap", self.machine));
            let file = Pcap::open(&path, kind, known.is_some())?;
            self.files.insert(name.to_owned(), Some(file));
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
        {
            attempt(file, |file| file.packet(bytes));
        }
    }

    /// Somebody may be reading the files while the lab is up.
    fn flush(&mut self) {
        self.files.values_mut().for_each(|file| attempt(file, Pcap::flush));
    }
}

/// Writes to a file that is still there. An error, of a disk that is full, say, ends it.
fn attempt(file: &mut Option<Pcap>, write: impl FnOnce(&mut Pcap) -> io::Result<()>) {
    if file.as_mut().is_some_and(|file| write(file).is_err())
        && let Some(file) = file.take()
    {
        file.end();
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{BufWriter, Write as _};

    use super::*;

    /// What is in a file: its packets, if it is whole.
    fn packets(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        let (header, mut rest) = bytes.split_at(24);
        assert_eq!(header[..4], 0xa1b2_c3d4_u32.to_le_bytes());
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            packets.push(rest[16..16 + len].to_vec());
            rest = &rest[16 + len..];
        }
        packets
    }

    #[test]
    fn a_capture_that_a_full_disk_has_ended_goes_on_when_its_device_is_made_again() {
        let (node, dir) = (Node::new("m").unwrap(), tempfile::tempdir().unwrap());
        let path = dir.path().join("m-eth0.pcap");
        fs::write(&path, "of an earlier lab").unwrap();
        let mut files = Files::new(&node, dir.path());
        files.add(7, "eth0", libc::ARPHRD_ETHER).unwrap();
        let large = vec![1; LONGEST];
        files.packet(b"first", 7, libc::ARPHRD_ETHER);
        files.packet(&large, 7, libc::ARPHRD_ETHER);
        files.flush();
        // Nothing can be written to a file that is open for reading.
        let file = files.files.get_mut("eth0").unwrap().as_mut().unwrap();
        file.out = BufWriter::new(File::open(&path).unwrap());
        files.packet(b"lost", 7, libc::ARPHRD_ETHER);
        files.flush();
        files.packet(b"lost too", 7, libc::ARPHRD_ETHER);
        files.flush();
        assert_eq!(packets(&path), [&b"first"[..], &large]);
        files.add(8, "eth0", libc::ARPHRD_ETHER).unwrap();
        files.packet(b"second", 8, libc::ARPHRD_ETHER);
        files.flush();
        assert_eq!(packets(&path), [&b"first"[..], &large, b"second"]);
    }

    #[test]
    fn a_part_of_a_packet_does_not_stay_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m-eth0.pcap");
        let mut file = Pcap::open(&path, libc::ARPHRD_ETHER, false).unwrap();
        file.packet(b"first").unwrap();
        file.flush().unwrap();
        // All that there was room for.
        file.out.get_mut().write_all(b"its head").unwrap();
        file.end();
        let mut file = Pcap::open(&path, libc::ARPHRD_ETHER, true).unwrap();
        file.packet(b"second").unwrap();
        file.flush().unwrap();
        assert_eq!(packets(&path), [&b"first"[..], b"second"]);
    }
}
