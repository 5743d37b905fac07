//! The table against the value, by real packets: of all that a device receives, the kernel must get what rings do not
//! take, and nothing else.
//!
//! A packet socket of ETH_P_ALL sees frames before the ingress hook, as a ring does; those of ETH_P_IP and ETH_P_IPV6
//! see them behind it, as the kernel's own protocols do.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, recvfrom};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use socket2::{Domain, Protocol, Socket, Type};
use wire::build::{self, Build};
use wire::frame::{Checksum, Frame, GsoKind, Offload};
use wire::packet::Packet;
use wire::packet::head::AnyHead;
use wire::vnet;

use super::table::Devices;
use super::*;
use crate::netns::Netns;
use crate::sys;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OTHERS: [u8; 6] = [2, 0, 0, 0, 0, 3];
/// What ends a round: no entry is ever about it.
const END: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// A host with the device d0, and a wire into it.
struct Link {
    host: Netns,
    device: u32,
    /// Sends into d0, out of this device.
    sender: OwnedFd,
    out: u32,
    before: Socket,
    behind: [Socket; 2],
}

impl Link {
    fn new() -> Self {
        let (host, peer) = (Netns::new().unwrap(), Netns::new().unwrap());
        let at = format!("/proc/{}/fd/{}", std::process::id(), peer.as_raw_fd());
        let lines = format!(
            "ip link add d0 address 02:00:00:00:00:01 type veth peer name e0 address 02:00:00:00:00:02 netns {at}
             ip link set d0 up"
        );
        host.run(|| sh(&lines)).unwrap();
        let (sender, out) = peer
            .run(|| {
                // Says nothing of its own accord.
                sh("echo 1 > /proc/sys/net/ipv6/conf/e0/disable_ipv6; ip link set e0 arp off up");
                (sys::packet::open().unwrap(), if_nametoindex("e0").unwrap())
            })
            .unwrap();
        let open = |ether_type: i32| host.run(|| socket(ether_type)).unwrap();
        Self {
            device: host.run(|| if_nametoindex("d0").unwrap()).unwrap(),
            before: open(libc::ETH_P_ALL),
            behind: [open(libc::ETH_P_IP), open(libc::ETH_P_IPV6)],
            host,
            sender,
            out,
        }
    }

    fn devices(&self) -> Devices {
        Devices::from([(self.device, "d0".to_owned())])
    }

    fn ingress(&self) -> Ingress {
        self.host.run(|| Ingress::open(Published::default(), Vec::new())).unwrap().unwrap()
    }

    fn send(&self, sent: &Sent) {
        let mut frame = sent.frame();
        let mut link = match sent.to {
            To::Host => OURS,
            To::Another => OTHERS,
            To::Everybody => [0xFF; 6],
        }
        .to_vec();
        link.extend(PEER);
        if let Some(tag) = sent.tag {
            link.extend([0x81, 0x00]);
            link.extend(tag.to_be_bytes());
        }
        let ether_type: u16 = if frame.packet()[0] >> 4 == 4 { 0x0800 } else { 0x86DD };
        link.extend(ether_type.to_be_bytes());
        let mut offload = frame.offload;
        if let Checksum::Partial { start, .. } = &mut offload.checksum {
            *start += link.len() as u16;
            offload.hdr_len += link.len() as u16;
        }
        let prefix = [&vnet::emit(&offload)[..], &link].concat();
        let ether_type = if sent.tag.is_some() { 0x8100 } else { ether_type };
        sys::packet::send(&self.sender, frame.with_prefix(&prefix), self.out, ether_type).unwrap();
    }

    /// Sends all of them. What came by then, before the hook and behind it.
    fn exchange(&self, all: &[Sent]) -> (Vec<Seen>, Vec<Seen>) {
        all.iter().for_each(|sent| self.send(sent));
        for end in END {
            let from = if end.starts_with('[') { "[2001:db8::2]:9" } else { "192.0.2.2:9" };
            self.send(&Sent::plain(build::udp(from, end)));
        }
        let before = received(&self.before, 2);
        let behind = self.behind.iter().flat_map(|socket| received(socket, 1)).collect();
        (before, behind)
    }
}

fn sh(lines: &str) {
    let output = Command::new("sh").args(["-ec", lines]).output().unwrap();
    assert!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
}

fn socket(ether_type: i32) -> Socket {
    let protocol = Protocol::from(i32::from((ether_type as u16).to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).unwrap();
    socket.set_recv_buffer_size(8 << 20).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket
}

/// A frame as a socket has it: whether it was sent to this host, and the packet.
type Seen = (bool, Vec<u8>);

/// What the socket has of the peer's, up to as many ends.
fn received(socket: &Socket, mut ends: usize) -> Vec<Seen> {
    const ETHERNET: usize = 14;
    const OUTGOING: u8 = 4;
    let mut seen = Vec::new();
    while ends > 0 {
        let mut buffer = vec![0; 70_000];
        let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer).unwrap();
        let kind = from.unwrap().pkttype();
        if kind == OUTGOING || buffer[6..12] != PEER {
            continue;
        }
        let packet = buffer[ETHERNET..len].to_vec();
        let is_end = |p: Packet| END.iter().any(|end| SocketAddr::new(p.dst, 9) == end.parse().unwrap());
        if Packet::parse(&packet).is_ok_and(is_end) {
            ends -= 1;
        } else {
            seen.push((kind == 0, packet));
        }
    }
    seen
}

#[derive(Clone, Copy, Debug)]
enum To {
    Host,
    Another,
    Everybody,
}

/// A frame to send.
#[derive(Clone, Debug)]
struct Sent {
    packet: Vec<u8>,
    /// Segment size of a super-packet, and bytes in front of its payload; else 0.
    gso: (u16, u16),
    to: To,
    tag: Option<u16>,
}

impl Sent {
    fn plain(build: Build) -> Self {
        Self { packet: build.bytes(), gso: (0, 0), to: To::Host, tag: None }
    }

    fn frame(&self) -> Frame {
        let mut frame = Frame::from_packet(&self.packet);
        if let (size @ 1.., header) = self.gso {
            let v6 = self.packet[0] >> 4 == 6;
            frame.offload = Offload {
                checksum: Checksum::Partial { start: header - 20, offset: 16 },
                gso: if v6 { GsoKind::TcpV6 } else { GsoKind::TcpV4 },
                gso_size: size,
                hdr_len: header,
                ecn: false,
            };
        }
        frame
    }
}

const ADDRESSES: [[&str; 3]; 2] = [["10.9.0.1", "10.1.0.2", "10.0.0.1"], ["fd09::1", "fd01::2", "fd00::1"]];
const PORTS: [u16; 4] = [0, 80, 443, 8080];
const PROTOCOLS: [u8; 4] = [0, 6, 17, 132];

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = select(ADDRESSES.as_flattened());
    (ip, select(&PORTS[..])).prop_map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port))
}

fn wanted() -> impl Strategy<Value = BTreeSet<Entry>> {
    let flows = || vec((select(&PROTOCOLS[..]), address()), 0..12);
    (flows(), flows(), vec(address(), 0..3), vec(address(), 0..3)).prop_map(
        |(services, servers, own, fronts)| {
            let fronts = fronts.into_iter().filter(|at| at.port() != 0).collect();
            entries(Kind::Service, &services)
                .chain(entries(Kind::Server, &servers))
                .chain(of_host(own.into_iter().map(|own| own.ip())))
                .chain(of_fronts(&fronts))
                .collect()
        },
    )
}

/// Packets of all kinds, most of them plain.
fn sent() -> impl Strategy<Value = Sent> {
    let flow = (any::<bool>(), any::<Index>(), any::<Index>(), select(&PORTS[..]), select(&PORTS[..]));
    let to = prop_oneof![8 => Just(To::Host), 1 => Just(To::Another), 1 => Just(To::Everybody)];
    let tag = prop_oneof![8 => Just(None), 1 => Just(Some(5)), 1 => Just(Some(0))];
    (flow, 0..12_u8, 0..12_u8, any::<u16>(), to, tag).prop_map(
        |((v6, from, to_ip, from_port, to_port), kind, shape, id, to, tag)| {
            let of = &ADDRESSES[usize::from(v6)];
            let from = SocketAddr::new(from.get(of).parse().unwrap(), from_port);
            let dst = SocketAddr::new(to_ip.get(of).parse().unwrap(), to_port);
            let build = match kind {
                0..=4 => build::tcp(from, dst).syn().seq(id.into()),
                5..=9 => build::udp(from, dst).payload(&id.to_be_bytes()),
                10 => build::sctp(from, dst).chunk(1, &[0; 16]).tag(id.into()),
                _ => build::ping(from.ip(), dst.ip(), id, 1),
            };
            let build = build.id(id).may_fragment();
            if shape == 0 && kind < 5 {
                let packet = build.payload_len(5000).partial().bytes();
                return Sent { packet, gso: (1000, if v6 { 60 } else { 40 }), to, tag };
            }
            Sent { packet: shaped(build, shape, v6), gso: (0, 0), to, tag }
        },
    )
}

fn shaped(build: Build, shape: u8, v6: bool) -> Vec<u8> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const OPTIONS: u8 = 60;
    let fragments = || build.clone().payload_len(600).fragments(256);
    match (shape, v6) {
        (1, _) => fragments()[0].clone(),
        (2, _) => fragments()[1].clone(),
        (3, _) => fragments()[2].clone(),
        (4, false) => build.ipv4_options(&[1, 1, 1, 0]).bytes(),
        (4, true) => build.extension(OPTIONS, &[1, 4, 0, 0, 0, 0]).bytes(),
        (5, true) => build.extension(HOP_BY_HOP, &[1, 4, 0, 0, 0, 0]).bytes(),
        (6, true) => build.extension(ROUTING, &[4, 1, 0, 0, 0, 0]).bytes(),
        (7, true) => build.extension(FRAGMENT, &[0, 0, 0, 0, 0, 7]).bytes(),
        (8, true) => build.extension(AUTHENTICATION, &[0; 14]).bytes(),
        (5, false) => build.ttl(1).bytes(),
        // More bytes than the packet has, as Ethernet fills up short ones.
        (6 | 9, _) => [build.bytes(), vec![0x50; 20]].concat(),
        _ => build.bytes(),
    }
}

#[test]
fn the_kernel_gets_exactly_what_rings_do_not_take() {
    let link = Link::new();
    let ingress = RefCell::new(link.ingress());
    let devices = link.devices();
    let (taken_ever, left_ever) = (Cell::new(0), Cell::new(0));
    // Each round changes what there is by then, most of them without making the table anew.
    let rounds = (wanted(), vec(sent(), 1..60));
    TestRunner::new(Config {
        failure_persistence: None,
        cases: 256,
        max_shrink_iters: 500,
        ..Config::default()
    })
    .run(&rounds, |(want, all)| {
        let mut ingress = ingress.borrow_mut();
        ingress.become_(want, &devices).unwrap();
        let (before, behind) = link.exchange(&all);
        prop_assert_eq!(before.len(), all.len());
        let taken = ingress.published().load_full();
        let takes = |(to_host, packet): &&Seen| {
            *to_host && AnyHead::of(packet).is_some_and(|head| taken.takes(&head))
        };
        let mut left: Vec<_> = before.iter().filter(|seen| !takes(seen)).map(|(_, p)| p.clone()).collect();
        let mut kernels: Vec<_> = behind.into_iter().map(|(_, packet)| packet).collect();
        left.sort();
        kernels.sort();
        prop_assert_eq!(&left, &kernels);
        taken_ever.set(taken_ever.get() + before.len() - left.len());
        left_ever.set(left_ever.get() + left.len());
        Ok(())
    })
    .unwrap();
    let (taken_ever, left_ever) = (taken_ever.get(), left_ever.get());
    assert!(taken_ever > 500 && left_ever > 500, "{taken_ever} and {left_ever}: too few to tell anything");
}
