//! Clients that come with a VLAN tag where the host has no device for their VLAN: with the packet port they are answered by
//! the way they come. (The TUN port never sees them: the kernel looks at nothing that comes like this. Nor does it here at
//! what is not for a service: fragments, pings, closed ports.)

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatLab, NatOptions};

use crate::support::trunk::{DEVICE, Trunk};
use crate::support::{Engine, PATIENCE, talk, udp};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Port 80 and UDP port 4000 by NAT, port 81 by FullNAT.
fn start<'a>(lab: &'a NatLab, args: &[&str]) -> Engine<'a> {
    let engine = Engine::start(lab, &[&["--port", "packet"], args].concat());
    for family in FAMILIES {
        for (proto, l4_port) in [("tcp", 80), ("udp", 4000)] {
            let dests = [0, 1].map(|server| (lab.server_port(server, family, l4_port), 1));
            engine.service(proto, lab.vip.port(family, l4_port), "rr", &dests);
        }
        let (vip, server) = (lab.vip.port(family, 81), lab.server_port(0, family, 80));
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
        engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} --fullnat"));
    }
    engine
}

#[test]
fn a_client_in_a_vlan_is_answered_by_it() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let trunk = Trunk::new(&lab, &[5]);
    let engine = start(&lab, &["--workers", "2"]);
    let _http: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let _udp: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, 4000).unwrap()).collect();
    for family in FAMILIES {
        for l4_port in [80, 81] {
            talk::pages_and_transfers(&trunk.clients[0], lab.vip.port(family, l4_port));
        }
        talk::datagrams(&trunk.clients[0], lab.vip.port(family, 4000), &[0, 1, 1000, 1372]);
        // Whoever has no tag gets none.
        talk::pages_and_transfers(&lab.client, lab.vip.port(family, 80));
    }
    let (tagged, others) = trunk.seen();
    assert!(tagged > 200 && others == 0, "{tagged} frames with the tag, {others} without");
    let status = engine.status();
    assert!(status.counter("super-packets") > 100, "they come whole");
    assert_eq!((status.drops(), status.counter("unsent")), ([].into(), 0));
}

#[test]
fn vlans_with_the_same_addresses_do_not_mix() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let trunk = Trunk::new(&lab, &[5, 6]);
    let engine = start(&lab, &[]);
    let _udp: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, 4000).unwrap()).collect();
    for family in FAMILIES {
        let vip = lab.vip.port(family, 4000);
        let sockets: Vec<_> = trunk
            .clients
            .iter()
            .map(|client| {
                let socket = udp::bound(client, trunk.addr.port(family, 5000));
                client.run(|| socket.connect(vip)).unwrap().unwrap();
                socket
            })
            .collect();
        sockets[0].send(b"first").unwrap();
        assert_eq!(udp::receive(&sockets[0]).0, b"first");
        let before = engine.status().dropped("other-vlan");
        sockets[1].send(b"second").unwrap();
        sockets[1].set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(sockets[1].recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(engine.status().dropped("other-vlan"), before + 1);
        sockets[0].set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert_eq!(sockets[0].recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
        // From ports of their own both are served.
        for client in &trunk.clients {
            let text = client.name().as_bytes();
            assert_eq!(client::udp_exchange(client, vip, text, PATIENCE).unwrap(), text);
        }
    }
    assert_eq!(trunk.seen().1, 0, "frames without a tag");
}

#[test]
fn a_client_in_a_vlan_is_told_that_its_server_is_gone() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let trunk = Trunk::new(&lab, &[7]);
    let engine = start(&lab, &[]);
    let _http: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        let mut stream = client::connect(&trunk.clients[0], vip).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for server in [0, 1] {
            engine.ulvs(&format!("ipvsadm -d -t {vip} -r {}", lab.server_port(server, family, 80)));
        }
        assert_eq!(stream.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(trunk.seen().1, 0, "frames without a tag");
}

#[test]
fn what_is_not_for_a_service_is_the_kernels_to_pass_over() {
    const QUESTIONS: u64 = 10;
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let trunk = Trunk::new(&lab, &[5]);
    let engine = start(&lab, &[]);
    let before = engine.status().counter("received");
    for family in FAMILIES {
        let socket = udp::connected(&trunk.clients[0], lab.vip.port(family, 4001));
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for _ in 0..QUESTIONS {
            socket.send(b"anybody?").unwrap();
        }
        assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    // The host says a word on each of its devices now and then.
    let received = engine.status().counter("received") - before;
    assert!(received < QUESTIONS, "{received}");
    assert_eq!(trunk.seen(), (0, 0), "{DEVICE}");
}
