//! A director with two links, a neighbour on each, and a device without one that packets are taken to come in by.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::link::{Keeper, LinkHeader, Ways};
use crate::netns::Netns;

/// Long enough for a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody far away, and a VIP that is nobody's.
pub(super) const SOURCE: &str = "172.16.0.99";
const SOURCE6: &str = "fd77::99";

pub(super) struct World {
    director: Netns,
    pub(super) a: Netns,
    pub(super) b: Netns,
    keeper: Option<Keeper>,
}

impl World {
    pub(super) fn new() -> Self {
        let netns = || {
            let netns = Netns::new().expect("this test makes network namespaces: run it as root");
            netns
                .run(|| sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up"))
                .unwrap();
            netns
        };
        let world = Self { director: netns(), a: netns(), b: netns(), keeper: None };
        let at = |netns: &Netns| {
            format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(netns))
        };
        let (a, b) = (at(&world.a), at(&world.b));
        let peers = [(&world.a, 1, 1500), (&world.b, 2, 1400)];
        world
            .director
            .run(|| {
                sh(&format!(
                    "ip link add wa type veth peer name e0 netns {a}; ip link add wb mtu 1400 type veth peer name e0 netns {b}
                     ip tuntap add dev in0 mode tun; ip link set in0 up
                     cd /proc/sys/net/ipv4/conf/in0; echo 1 > forwarding; echo 1 > accept_local; echo 0 > rp_filter
                     echo 0 > ../all/rp_filter; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
                     for n in 1 2; do
                       if [ $n = 1 ]; then d=wa; else d=wb; fi
                       ip addr add 10.$n.0.1/24 dev $d; ip addr add fd00:$n::1/64 dev $d nodad; ip link set $d up
                     done"
                ));
            })
            .unwrap();
        for (netns, n, mtu) in peers {
            let line = format!(
                "ip addr add 10.{n}.0.2/24 dev e0; ip addr add fd00:{n}::2/64 dev e0 nodad; ip link set e0 up mtu {mtu}
                 echo 1 > /proc/sys/net/ipv4/conf/e0/arp_notify"
            );
            netns.run(|| sh(&line)).unwrap();
        }
        world
            .director
            .run(|| {
                // A link that has no carrier yet has no IPv6 routes.
                eventually("the links are up", || !sh("ip -o link show type veth").contains("NO-CARRIER"));
                sh("ip route add default via 10.1.0.2; ip route add 198.51.100.0/24 via 10.2.0.2
                    ip route add 203.0.113.0/24 via 10.1.0.2 mtu 1300; ip route add 198.18.0.0/16 via inet6 fd00:1::2
                    ip -6 route add default via fd00:2::2; ip -6 route add 2001:db8:1::/48 via fd00:1::2 mtu 1290");
            })
            .unwrap();
        world
    }

    /// Runs the test's body in the director's namespace, with a keeper there.
    pub(super) fn on_director(mut self, body: impl FnOnce(&mut Self) + Send) {
        let director = self.director.clone();
        director
            .run(|| {
                self.keeper = Some(Keeper::start(Some(index("in0")), Vec::new()).unwrap());
                body(&mut self);
            })
            .unwrap();
    }

    pub(super) fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().unwrap()
    }

    pub(super) fn ways(&self) -> Ways {
        self.keeper().ways().unwrap()
    }

    /// From a device of the director's to a neighbour.
    pub(super) fn header(&self, device: &str, to: &Netns) -> LinkHeader {
        let mut addresses = [0; 12];
        addresses[..6].copy_from_slice(&to.run(|| link_address("e0")).unwrap());
        addresses[6..].copy_from_slice(&link_address(device));
        LinkHeader::Ethernet(addresses)
    }
}

/// Runs shell lines in the namespace of this thread.
pub(super) fn sh(lines: &str) -> String {
    let output = Command::new("sh").args(["-ec", lines]).output().unwrap();
    assert!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn index(device: &str) -> u32 {
    nix::net::if_::if_nametoindex(device).unwrap()
}

fn link_address(device: &str) -> [u8; 6] {
    let text = sh(&format!("ip -br link show {device}"));
    let address = text.split_whitespace().nth(2).unwrap();
    let bytes: Vec<_> = address.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// A packet between these; the source stands for one of the other family, too.
pub(super) fn packet(from: &str, to: &str) -> Vec<u8> {
    let to: IpAddr = to.parse().unwrap();
    let from = if from == SOURCE && to.is_ipv6() { SOURCE6 } else { from };
    wire::build::udp((from, 80), (to, 1024)).bytes()
}

/// Waits until it is so.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The director's link address in a header, as `ip` writes it.
pub(super) fn lladdr(header: LinkHeader) -> String {
    let LinkHeader::Ethernet([.., a, b, c, d, e, f]) = header else { unreachable!() };
    format!("lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
