//! A few questions to neighbours and servers, asked as a client's packet would come to them: an ARP request, the first
//! segment of a TCP connection, an echo request. For whoever looks for a mistake; never on the way of traffic.
//!
//! Needs `CAP_NET_RAW`. Answers are heard by a packet socket, whoever they are for and whatever drops them
//! later; a connection that a server begins is reset at once. All questions of a call are asked together and waited for
//! together. Belongs to the network namespace of the calling thread.

mod packets;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::link::{LinkHeader, LinkSocket};
use crate::survey::Mac;
use crate::sys::questions;

use self::packets::Heard;

/// Who has an address, asked on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Index of the device.
    pub device: u32,
    /// Its link address.
    pub mac: Mac,
    /// An address of this host's there.
    pub asker: Ipv4Addr,
    /// The address that is asked for.
    pub target: Ipv4Addr,
}

/// How a segment gets to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As the host routes packets to the address.
    Route,
    /// To a neighbour's link address, by a device with this index and link address (direct routing).
    Link {
        /// The device.
        device: u32,
        /// Its address.
        from: Mac,
        /// The neighbour.
        to: Mac,
    },
    /// In a packet to a server (tunnels).
    Tunnel {
        /// From an address of this host's.
        from: IpAddr,
        /// The server.
        to: IpAddr,
        /// What it is put in.
        kind: TunnelKind,
    },
}

/// What a packet in a tunnel is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP.
    Ipip,
    /// GRE.
    Gre,
    /// UDP to this port.
    Gue(u16),
}

/// The first segment of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn {
    /// Who the server believes to speak with.
    pub from: IpAddr,
    /// What it is asked for, of the same family.
    pub to: SocketAddr,
    /// How it gets there.
    pub by: By,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Somebody listens there.
    Open(Through),
    /// Nobody does.
    Refused(Through),
    /// A message of ICMP came.
    Told {
        /// What it says.
        what: Said,
        /// Who says so.
        from: IpAddr,
    },
}

/// What a message of ICMP says of a packet (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The host has nobody who takes packets of this protocol.
    NoProtocol,
    /// Nobody has the port.
    NoPort,
    /// There is no way, or nobody at its end.
    NoWay,
    /// Somebody forbids it.
    Forbidden,
    /// It is too large; what would not be (0: not said).
    TooLarge(u16),
    /// Something else.
    Other,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProtocol => "nobody takes packets of this protocol there",
            Self::NoPort => "nobody has this port there",
            Self::NoWay => "there is no way to it, or nobody there",
            Self::Forbidden => "it is forbidden",
            Self::TooLarge(_) => "the packet is too large",
            Self::Other => "the packet cannot go on",
        })
    }
}

/// The last hop of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// Index of the device that it came by.
    pub device: u32,
    /// The link address that it came from.
    pub mac: Mac,
}

/// An echo request that must not be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// From an address of this host's.
    pub from: IpAddr,
    /// To whom, of the same family.
    pub to: IpAddr,
    /// Bytes of the whole packet, from 28 (IPv6: 48).
    pub bytes: u16,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echoed {
    /// It came back.
    Back,
    /// Somebody says that it is too large, and what would not be (0: not said).
    TooLarge(u16),
}

/// The link addresses that answer for each address, in the order of the questions.
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`; `ENETDOWN` for a device that is down.
pub fn who_has(questions: &[Who], patience: Duration) -> io::Result<Vec<BTreeSet<Mac>>> {
    const ARP: u16 = 0x0806;
    let ear = questions::arp_answers()?;
    let link = LinkSocket::open()?;
    for who in questions {
        let header = LinkHeader::between(who.mac.0, [0xff; 6]);
        link.send_bytes(&packets::arp_request(who.mac, who.asker, who.target), ARP, who.device, &header)?;
    }
    let mut found = vec![BTreeSet::new(); questions.len()];
    // To the end: a second answer is what is looked for.
    listen(&ear, patience, |device, bytes| {
        if let Some((mac, ip)) = packets::arp_answer(bytes) {
            let asked = questions.iter().zip(&mut found);
            asked.filter(|(who, _)| who.device == device && who.target == ip).for_each(|(_, found)| {
                found.insert(mac);
            });
        }
        false
    })?;
    Ok(found)
}

/// What came of each segment, in their order; none where nothing did.
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`. A segment that cannot be sent is one that nothing comes of.
pub fn begin(syns: &[Syn], patience: Duration) -> io::Result<Vec<Option<Answer>>> {
    // Held, so that nobody else uses the port meanwhile.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    held.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    let port = held.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?.port();
    let ear = questions::answers(port)?;
    let sender = Sender::open()?;
    for syn in syns {
        let segment = packets::tcp(SocketAddr::new(syn.from, port), syn.to, packets::SYN, 1);
        // No way, no neighbour: nothing will come of it.
        let _ = sender.send(&segment, syn.by);
    }
    let mut answers = vec![None; syns.len()];
    let mut missing = syns.len();
    listen(&ear, patience, |device, bytes| {
        let Some((mac, heard)) = packets::heard(bytes) else { return false };
        let through = Through { device, mac };
        for (syn, answer) in syns.iter().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            *answer = match heard {
                Heard::Tcp { from, to, flags, acknowledged } if from == syn.to && to.ip() == syn.from => {
                    if flags & packets::RST != 0 {
                        Some(Answer::Refused(through))
                    } else if flags & packets::SYN != 0 {
                        let reset = packets::tcp(to, from, packets::RST, acknowledged);
                        // The server forgets it by itself otherwise.
                        let _ = sender.send(&reset, syn.by);
                        Some(Answer::Open(through))
                    } else {
                        None
                    }
                }
                Heard::Told { what, from, about } if is_about(about, syn) => {
                    Some(Answer::Told { what, from })
                }
                _ => None,
            };
            missing -= usize::from(answer.is_some());
        }
        missing == 0
    })?;
    Ok(answers)
}

/// Whether a message of ICMP quotes this segment, or the packet that it was in.
fn is_about(about: (IpAddr, IpAddr), syn: &Syn) -> bool {
    match syn.by {
        By::Tunnel { from, to, .. } => about == (from, to),
        By::Route | By::Link { .. } => about == (syn.from, syn.to.ip()),
    }
}

/// What came of each request, in their order; none where nothing did.
///
/// # Errors
/// As [`begin`].
pub fn echo(echoes: &[Echo], patience: Duration) -> io::Result<Vec<Option<Echoed>>> {
    let ear = questions::answers(0)?;
    let sender = Sender::open()?;
    let name = (std::process::id() & 0xffff) as u16;
    for (number, echo) in echoes.iter().enumerate() {
        let request = packets::echo(echo.from, echo.to, name, number as u16, echo.bytes);
        let _ = sender.send(&request, By::Route);
    }
    let mut answers = vec![None; echoes.len()];
    listen(&ear, patience, |_, bytes| {
        match packets::heard(bytes) {
            Some((_, Heard::EchoReply { from, name: whose, number })) if whose == name => {
                let number = usize::from(number);
                if echoes.get(number).is_some_and(|echo| echo.to == from) {
                    answers[number] = Some(Echoed::Back);
                }
            }
            Some((_, Heard::Told { what: Said::TooLarge(mtu), about, .. })) => {
                let mine = echoes.iter().zip(&mut answers).filter(|(echo, _)| (echo.from, echo.to) == about);
                mine.filter(|(echo, _)| echo.bytes > mtu).for_each(|(_, answer)| {
                    answer.get_or_insert(Echoed::TooLarge(mtu));
                });
            }
            _ => {}
        }
        answers.iter().all(Option::is_some)
    })?;
    Ok(answers)
}

/// Hands out what comes, with the device's index, until told that it is enough or time is up.
fn listen(ear: &impl AsFd, patience: Duration, mut enough: impl FnMut(u32, &[u8]) -> bool) -> io::Result<()> {
    let end = Instant::now() + patience;
    let mut bytes = [0; 2048];
    loop {
        match questions::recv(ear, &mut bytes) {
            Ok(came) if enough(came.device, &bytes[..came.len.min(2048)]) => return Ok(()),
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A device went down: others may still be heard.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
            Err(error) => return Err(error),
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let milliseconds = u16::try_from(left.as_millis().max(1)).unwrap_or(u16::MAX);
        match poll(&mut [PollFd::new(ear.as_fd(), PollFlags::POLLIN)], PollTimeout::from(milliseconds)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

struct Sender {
    v4: Socket,
    /// Where the kernel has it.
    v6: Option<Socket>,
    link: LinkSocket,
}

impl Sender {
    fn open() -> io::Result<Self> {
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)));
        Ok(Self { v4: raw(Domain::IPV4)?, v6: raw(Domain::IPV6).ok(), link: LinkSocket::open()? })
    }

    fn send(&self, packet: &[u8], by: By) -> io::Result<()> {
        match by {
            By::Link { device, from, to } => {
                let ethertype = if packets::is_v6(packet) { packets::IPV6 } else { packets::IPV4 };
                self.link.send_bytes(packet, ethertype, device, &LinkHeader::between(from.0, to.0))
            }
            By::Route => self.route(packet),
            By::Tunnel { from, to, kind } => self.route(&packets::wrap(packet, from, to, kind)),
        }
    }

    /// The header comes along; the kernel looks up the way.
    fn route(&self, packet: &[u8]) -> io::Result<()> {
        let bad = || io::Error::from(io::ErrorKind::InvalidInput);
        let (socket, to): (_, IpAddr) = if packets::is_v6(packet) {
            let to = packet.get(24..40).and_then(|ip| <[u8; 16]>::try_from(ip).ok()).ok_or_else(bad)?;
            (self.v6.as_ref().ok_or(io::ErrorKind::Unsupported)?, Ipv6Addr::from(to).into())
        } else {
            let to = packet.get(16..20).and_then(|ip| <[u8; 4]>::try_from(ip).ok()).ok_or_else(bad)?;
            (&self.v4, Ipv4Addr::from(to).into())
        };
        socket.send_to(packet, &SocketAddr::new(to, 0).into()).map(drop)
    }
}
