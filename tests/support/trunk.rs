//! Clients in VLANs. The kernel need have no devices for them: what is at the other end of the director's trunk puts the
//! tags on and takes them off. A frame that comes without one is nobody's there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use lab::addr::Pair;
use lab::link::{End, veth};
use lab::node::Node;
use lab::topo::NatLab;
use netio::link::LinkHeader;
use netio::packet::{Port, Received, Scope};
use netio::poll::{self, Waker};
use wire::packet::Family;

/// The director's device.
pub const DEVICE: &str = "trunk";

/// A switch with a client in each VLAN. All clients have the same addresses.
pub struct Trunk {
    pub clients: Vec<Node>,
    pub addr: Pair,
    seen: Arc<Seen>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    _switch: Node,
}

/// Frames from the director.
#[derive(Default)]
struct Seen {
    tagged: AtomicU64,
    others: AtomicU64,
}

/// One VLAN at the switch.
struct Member {
    device: u32,
    vlan: u16,
    to_client: LinkHeader,
    to_director: LinkHeader,
}

impl Trunk {
    pub fn new(lab: &NatLab, vlans: &[u16]) -> Self {
        let switch = Node::new("switch").unwrap();
        veth(end(&lab.director, DEVICE), end(&switch, DEVICE)).unwrap();
        let (director, trunk) = (link(&lab.director, DEVICE), link(&switch, DEVICE));
        let addr = Pair { v4: "192.0.2.10".parse().unwrap(), v6: "2001:db8:5::10".parse().unwrap() };
        let (mut clients, mut members) = (Vec::new(), Vec::new());
        for &vlan in vlans {
            let (client, name) = (Node::new(format!("vlan{vlan}")).unwrap(), format!("port{vlan}"));
            veth(end(&client, "eth0"), end(&switch, &name)).unwrap();
            let (here, port) = (link(&client, "eth0"), link(&switch, &name));
            let gateway = port.text;
            for line in [
                format!("ip addr add {}/24 dev eth0", addr.v4),
                format!("ip addr add {}/64 dev eth0 nodad", addr.v6),
                format!("ip neigh replace 192.0.2.1 lladdr {gateway} dev eth0"),
                format!("ip neigh replace 2001:db8:5::1 lladdr {gateway} dev eth0"),
                "ip route add default via 192.0.2.1".to_owned(),
                "ip route add default via 2001:db8:5::1".to_owned(),
            ] {
                client.exec(&line.split(' ').collect::<Vec<_>>()).unwrap();
            }
            let [high, low] = vlan.to_be_bytes();
            let to_director = [&director.mac[..], &trunk.mac, &[0x81, 0, high, low]].concat();
            members.push(Member {
                device: port.index,
                vlan,
                to_client: LinkHeader::Ethernet([here.mac, port.mac].concat().try_into().unwrap()),
                to_director: LinkHeader::Tagged(to_director.try_into().unwrap()),
            });
            clients.push(client);
        }
        for node in clients.iter().chain([&switch, &lab.director]) {
            node.links_ready().unwrap();
        }
        let (mut ports, mut intake) = switch.run(|| Port::open(1, 128)).unwrap().unwrap();
        let devices = members.iter().map(|member| member.device).chain([trunk.index]).collect();
        let to = [lab.vip, addr].into_iter().flat_map(|pair| [pair.v4, pair.v6]).collect();
        intake.set(&Scope { devices, to, ..Scope::default() }).unwrap();
        let (waker, seen) = (Waker::new().unwrap(), Arc::<Seen>::default());
        let (stop, tally, port) = (waker.clone(), Arc::clone(&seen), ports.remove(0));
        let thread = std::thread::spawn(move || switching(port, trunk.index, &members, &tally, &stop));
        Self { clients, addr, seen, waker, thread: Some(thread), _switch: switch }
    }

    /// Frames that the director has sent with the tag of a client, and without.
    pub fn seen(&self) -> (u64, u64) {
        (self.seen.tagged.load(Relaxed), self.seen.others.load(Relaxed))
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn switching(mut port: Port, trunk: u32, members: &[Member], seen: &Seen, stop: &Waker) {
    loop {
        while let Some(Received { slot, device, readable }) = port.receive() {
            assert!(readable);
            let frame = port.frame(slot);
            let family = if frame.packet()[0] >> 4 == 4 { Family::V4 } else { Family::V6 };
            if device != trunk {
                let member = members.iter().find(|member| member.device == device).unwrap();
                port.send(slot, family, trunk, &member.to_director);
                continue;
            }
            let vlan = frame.tagged.map(|way| u16::from_be_bytes([way.tag[2] & 0x0f, way.tag[3]]));
            let member = members.iter().find(|member| Some(member.vlan) == vlan);
            match member {
                Some(member) => {
                    seen.tagged.fetch_add(1, Relaxed);
                    port.send(slot, family, member.device, &member.to_client);
                }
                None => _ = seen.others.fetch_add(1, Relaxed),
            }
        }
        assert_eq!(port.done(), 0, "the switch cannot send");
        let [short, long] = port.inlets();
        if poll::wait(&short, [long], stop, None).unwrap().woken {
            return;
        }
    }
}

/// A device: its index and link address.
struct Link {
    index: u32,
    mac: [u8; 6],
    text: String,
}

fn end<'a>(node: &'a Node, name: &'a str) -> End<'a> {
    End { node, name, mtu: 1500 }
}

fn link(node: &Node, name: &str) -> Link {
    let line = node.exec(&["ip", "-o", "link", "show", name]).unwrap();
    let (index, _) = line.split_once(':').unwrap();
    let text = line.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let bytes: Vec<_> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Link { index: index.parse().unwrap(), mac: bytes.try_into().unwrap(), text: text.to_owned() }
}
