//! The packet port: receive rings on the host's real devices, and sending straight out of their memory.
//!
//! A [`Port`] is for one worker and sees all devices that its [`Scope`] names; the kernel spreads flows over the ports that
//! are opened together, both directions of a connection to the same where it can. A packet stays in its slot of the ring
//! while it is decided about, edited and sent, whole with its offload metadata: it is copied by nobody. Slots go back to
//! the kernel when their batch is done.
//!
//! The host's stack gets every packet as well: who uses this sees to it that one of the two keeps still. What the host
//! itself sends and what is for other link addresses never comes here, last hops and fragments only where nothing else
//! hands them over.
//!
//! A port's memory stays until the process ends, even where the port does not.

mod filter;
mod outgoing;
mod program;
mod rings;
mod spread;
mod spreader;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use wire::frame::{Arrival, Frame, MAX_PACKET, Tagged};
use wire::packet::Family;
use wire::vnet;

use crate::link::{self, ETHERNET, LinkHeader, PREFIX};
use crate::sys;
use crate::sys::ring::PACKET_AT;

use filter::Part;
pub use filter::Scope;
use outgoing::Outgoing;
use rings::Rings;
use spreader::Spreader;

/// Packets that are taken, and sent, in one go.
pub const BATCH: usize = 64;

/// Slots for short packets, and with the others 43 MiB. So many come within milliseconds when thousands of clients come or hang
/// up at once, and what finds no slot is lost.
pub const SLOTS: usize = 4080;

/// A packet that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it is.
    pub slot: usize,
    /// Index of the device that it came by.
    pub device: u32,
    /// It can be read: the slot has had room for it, and its metadata are known.
    pub readable: bool,
}

/// One worker's rings, and what it sends with. Needs `CAP_NET_RAW`.
pub struct Port {
    rings: Rings,
    /// The packets in the slots.
    frames: Box<[Frame]>,
    outgoing: Outgoing,
}

/// What ports that were opened together receive.
#[derive(Debug)]
pub struct Intake {
    sockets: Vec<[OwnedFd; 2]>,
    /// Where there are several.
    spreaders: Option<[Spreader; 2]>,
    scope: Scope,
    /// How often in a row a ring has taken none of its packets.
    deaf: Vec<[u8; 2]>,
}

/// How ports have fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    /// Packets that no slot was free for.
    pub lost: u64,
    /// A ring takes nothing any more, though slots are free: see [`Intake::look`].
    pub stopped: bool,
}

impl Intake {
    /// Has them receive what is in this scope from now on. What came before may still be there.
    ///
    /// # Errors
    /// `ENOMEM`; some may have the scope that was before then.
    pub fn set(&mut self, scope: &Scope) -> io::Result<()> {
        if self.scope != *scope {
            for (n, part) in Part::ALL.into_iter().enumerate() {
                let program = scope.program_of(&[part]);
                for socket in self.sockets.iter().map(|sockets| &sockets[n]) {
                    sys::ring::filter(socket, &program)
                        .or_else(|_| in_steps(socket, &program, scope, part))?;
                }
            }
            for spreader in self.spreaders.iter_mut().flatten() {
                spreader.change(&self.scope, scope);
            }
            self.scope.clone_from(scope);
        }
        Ok(())
    }

    /// How they have fared since the last look; `emptied` says that all slots have been given back since then.
    ///
    /// A packet whose kind of super-packet cannot be described to us (UFO of a guest, SCTP) stops a ring for good: the kernel
    /// keeps the slot that it was for as if it were being filled (as of Linux 6.18, `tpacket_rcv`).
    pub fn look(&mut self, emptied: bool) -> Fared {
        /// Of these looks one may have come too early.
        const CERTAIN: u8 = 2;
        let mut fared = Fared::default();
        for (socket, deaf) in self.sockets.iter().flatten().zip(self.deaf.as_flattened_mut()) {
            // Fails for nobody's socket but one that is closed.
            let [taken, lost] = sys::ring::taken_and_lost(socket).unwrap_or_default();
            fared.lost += lost;
            match (taken, lost) {
                (0, 0) => {}
                (0, _) if emptied => *deaf += 1,
                _ => *deaf = 0,
            }
            fared.stopped |= *deaf >= CERTAIN;
        }
        fared
    }

    /// What they receive.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// What a socket may have for its options (`net.core.optmem_max`, 20 kB before Linux 6.8) is less than the old program and the
/// new one take together, or than the new one does. A shorter one that lets more through goes in between, or stays.
fn in_steps(socket: &OwnedFd, program: &[libc::sock_filter], scope: &Scope, part: Part) -> io::Result<()> {
    sys::ring::filter(socket, &scope.program_of_any(&[part]))?;
    let _ = sys::ring::filter(socket, program);
    Ok(())
}

/// What would help where there can be no port, for this reason.
pub fn way_out(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOMEM | Errno::ENOBUFS) => {
            "the rings take 43 MiB for each worker: --workers 1 takes least"
        }
        Some(Errno::EMFILE | Errno::ENFILE) => "let it have more files open (ulimit -n)",
        _ => "they need CAP_NET_RAW (`docker run --cap-add NET_RAW ...`) and a kernel with CONFIG_PACKET",
    }
}

impl Port {
    /// One port for each of `workers`, in the network namespace of the calling thread; any thread may use them. They receive
    /// nothing before their intake is told what.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `EAFNOSUPPORT` in a kernel without packet sockets; `ENOMEM`.
    pub fn open(workers: usize, slots: usize) -> io::Result<(Vec<Self>, Intake)> {
        let mut ports = Vec::new();
        for _ in 0..workers {
            ports.push(Self::one(slots)?);
        }
        let sockets = ports.iter().map(|port| port.rings.sockets()).collect::<io::Result<Vec<_>>>()?;
        sockets.iter().flatten().try_for_each(sys::ring::receive)?;
        let spreaders = match &sockets[..] {
            [[short, long], _, ..] => {
                for part in 0..Part::ALL.len() {
                    sys::ring::share(sockets.iter().map(|sockets| &sockets[part]))?;
                }
                Some([Spreader::new(short)?, Spreader::new(long)?])
            }
            _ => None,
        };
        let deaf = vec![[0; 2]; sockets.len()];
        Ok((ports, Intake { sockets, spreaders, scope: Scope::default(), deaf }))
    }

    fn one(slots: usize) -> io::Result<Self> {
        let (rings, frames) = Rings::open(slots)?;
        Ok(Self { rings, frames, outgoing: Outgoing::open()? })
    }

    /// Takes the next packet of a batch, if there is one and the batch is not full. It stays until [`Port::done`].
    pub fn receive(&mut self) -> Option<Received> {
        let (slot, described) = self.rings.next()?;
        let readable = fill(&mut self.frames[slot], &described).is_some();
        Some(Received { slot, device: described.device, readable })
    }

    /// The packet in a slot that was received and is not given back yet.
    pub fn frame(&mut self, slot: usize) -> &mut Frame {
        &mut self.frames[slot]
    }

    /// Packets that are there and were not looked at yet.
    pub fn waiting(&self) -> usize {
        self.rings.waiting()
    }

    /// What has packets: to be waited for, all of them.
    pub fn inlets(&self) -> [BorrowedFd<'_>; 2] {
        self.rings.inlets()
    }

    /// Sends the packet in a slot out of a device, with the next [`Port::flush`] at the latest. Nothing may be done to it
    /// meanwhile.
    pub fn send(&mut self, slot: usize, family: Family, device: u32, header: &LinkHeader) {
        let mut prefix = [0; PREFIX];
        let frame = &mut self.frames[slot];
        let (prefix, ethertype) = link::prefix(&frame.offload, family, header, &mut prefix);
        frame.with_prefix(prefix);
        self.outgoing.push(outgoing::Packet { slot, prefix: prefix.len(), device, ethertype });
    }

    /// Sends what waits to be sent. Says how many the kernel would not take.
    pub fn flush(&mut self) -> u64 {
        self.outgoing.flush(&self.frames)
    }

    /// Ends a batch: sends what waits, and gives the slots back. Says how many packets the kernel would not take.
    ///
    /// # Panics
    /// When a frame of a slot was put elsewhere: its memory would change under whoever has it.
    pub fn done(&mut self) -> u64 {
        let refused = self.flush();
        self.rings.give_back(&self.frames);
        refused
    }
}

/// Tells the frame what is in its memory. None for what it cannot hold or describe.
fn fill(frame: &mut Frame, described: &sys::ring::Described) -> Option<()> {
    let ours = described.packet_at == PACKET_AT && described.link_at == PACKET_AT - ETHERNET;
    if !ours || described.kept != described.len {
        return None;
    }
    let len = described.len.checked_sub(ETHERNET).filter(|len| *len <= MAX_PACKET)?;
    let before = frame.receive_area(vnet::LEN + ETHERNET);
    let (before, link) = before.split_first_chunk::<{ vnet::LEN }>()?;
    let offload = link::without_link(vnet::parse(before).ok()?)?;
    let tagged = described.tag.and_then(|tag| {
        let &[ours, theirs] = link.first_chunk::<12>()?.as_chunks().0 else { return None };
        Some(Tagged { device: described.device, ours, theirs, tag })
    });
    frame.filled(len, offload);
    frame.arrival = Arrival::Link;
    // Number 0 is no VLAN: such a tag has a priority only (IEEE 802.1Q section 9.6).
    frame.tagged = tagged.filter(|tagged| tagged.vlan()[2..] != [0, 0]);
    Some(())
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("inlets", &self.inlets()).finish_non_exhaustive()
    }
}
