//! Refuses clients on this host itself at ports that are held: their packets cross no device that a ring is on, and where
//! the kernel keeps silent they would wait in vain. They get what they would get where nobody listens: a reset, or the
//! word that the port is unreachable.
//!
//! It takes `CAP_NET_RAW`, and has a thread of its own.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;
use wire::frame::{Checksum, Frame, MAX_PACKET};
use wire::packet::{L4, Packet};
use wire::reply;

use super::Port;
use crate::link::ETHERNET;
use crate::packet::Scope;
use crate::poll::{Waker, wait};
use crate::sys::{questions, ring};

/// `lo` has it in every network namespace.
const LOOPBACK: u32 = 1;

#[derive(Debug, Default)]
struct Shared {
    ports: ArcSwap<BTreeSet<Port>>,
    stop: AtomicBool,
}

/// Refuses until it is dropped.
#[derive(Debug)]
pub(crate) struct Refuser {
    shared: Arc<Shared>,
    waker: Waker,
    socket: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Refuser {
    /// Refuses nobody yet. Belongs to the network namespace of the calling thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (shared, waker) = (Arc::<Shared>::default(), Waker::new()?);
        let socket = Arc::new(questions::hear(libc::ETH_P_ALL, &Scope::default().program())?);
        let listener = Listener {
            shared: Arc::clone(&shared),
            waker: waker.clone(),
            socket: Arc::clone(&socket),
            v4: whole_packets(Domain::IPV4)?,
            // Not every kernel has IPv6.
            v6: whole_packets(Domain::IPV6).ok(),
        };
        let thread = std::thread::Builder::new().name("refuser".to_owned()).spawn(move || listener.run())?;
        Ok(Self { shared, waker, socket, thread: Some(thread) })
    }

    /// At exactly these ports from now on.
    pub(crate) fn set(&self, ports: &BTreeSet<Port>) {
        if **self.shared.ports.load() == *ports {
            return;
        }
        let to = ports.iter().map(|(_, at)| at.ip()).collect();
        let scope = Scope { devices: [LOOPBACK].into(), to, alone: true, ..Scope::default() };
        self.shared.ports.store(Arc::new(ports.clone()));
        if let Err(error) = ring::filter(&*self.socket, &scope.program()) {
            debug!(%error, "clients on this host are not refused");
        }
    }
}

impl Drop for Refuser {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic has been told already.
            let _ = thread.join();
        }
    }
}

/// Sends packets that have their headers already, from whomever they say.
fn whole_packets(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))
}

/// The thread's own.
struct Listener {
    shared: Arc<Shared>,
    waker: Waker,
    socket: Arc<OwnedFd>,
    v4: Socket,
    v6: Option<Socket>,
}

impl Listener {
    fn run(self) {
        let (mut bytes, mut frame) = (vec![0; ETHERNET + MAX_PACKET], Frame::new());
        while !self.shared.stop.load(Ordering::Relaxed) {
            if let Err(error) = wait(&*self.socket, None, &self.waker, None) {
                tracing::error!("cannot wait for clients on this host, none is refused any more: {error}");
                return;
            }
            while let Ok(came) = questions::recv(&*self.socket, &mut bytes) {
                if let Some(packet) = bytes.get(ETHERNET..came.len) {
                    frame.set_packet(packet);
                    self.refuse(&mut frame);
                }
            }
        }
    }

    fn refuse(&self, frame: &mut Frame) {
        let Ok(packet) = Packet::parse(frame.packet()) else { return };
        let Some((_, port)) = packet.ports() else { return };
        if !self.shared.ports.load().contains(&(packet.protocol, SocketAddr::new(packet.dst, port))) {
            return;
        }
        // On this link nobody computes checksums, and nothing gets damaged.
        let offset = if matches!(packet.l4, L4::Tcp { .. }) { 16 } else { 6 };
        frame.offload.checksum = Checksum::Partial { start: packet.l4_offset as u16, offset };
        let answers = match packet.l4 {
            L4::Tcp { .. } => reply::tcp_reset(frame, &packet),
            _ => reply::icmp_unreachable_port(frame, &packet, packet.dst),
        };
        let socket = if packet.src.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        if let Some(socket) = socket.filter(|_| answers)
            && let Err(error) = socket.send_to(frame.packet(), &to(packet.src).into())
        {
            debug!(%error, "a client on this host is not refused");
        }
    }
}

fn to(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}
