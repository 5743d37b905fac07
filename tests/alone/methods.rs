//! Every method through rings alone, with real sockets on both ends.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::client;
use lab::serve::{Http, UdpEcho};
use lab::topo::{ContainerLab, DirectLab, DirectOptions, NatLab, NatOptions, VipPlace};

use super::{Alone, servers, silent};
use crate::scene::FAMILIES;
use crate::support::complaints::Complaints;
use crate::support::decapsulator::Decapsulator;
use crate::support::sctp::{INIT, INIT_ACK, Packet, Sctp};
use crate::support::talk::{
    datagrams, longest_ping, order_is_kept_by_one_who_forgets, pages_and_transfers, works,
};
use crate::support::{PATIENCE, printed, udp};

#[test]
fn one_address_serves_as_vip_and_to_speak_to_servers() {
    let lab = ContainerLab::new(None).unwrap();
    let _servers = servers(&lab.servers);
    let own = Http::start(&lab.container, 8000).unwrap();
    let alone = Alone::start(&lab.container, lab.state_dir(), &[]);
    let complaints = Complaints::of(lab.servers.iter().chain([&lab.client]));
    for family in FAMILIES {
        let address = lab.container_addr.of(family);
        let vip = SocketAddr::new(address, 80);
        let ends: Vec<_> = [0, 1].map(|n| lab.server_port(n, family, 80)).into();
        alone.serve(vip, &ends, "--fullnat");
        works(&lab.client, vip);
        let url = format!("http://{vip}/");
        let page = || lab.client.exec(&["curl", "-sS", "--max-time", "10", &url]).unwrap();
        let mut pages = [page(), page()];
        pages.sort();
        assert_eq!(pages.map(|page| page.trim().to_owned()), ["server1", "server2"]);
        let seen = client::get(&lab.client, vip, "/whoami").unwrap().body;
        assert_eq!(seen.trim().parse::<SocketAddr>().unwrap().ip(), address, "what a server sees");

        // What else the container does and is asked.
        assert_eq!(
            client::get(&lab.client, SocketAddr::new(address, 8000), "/").unwrap().body,
            "container\n"
        );
        longest_ping(&lab.client, vip);
        for server in ends {
            assert!(client::get(&lab.container, server, "/").unwrap().body.starts_with("server"));
            client::download(&lab.container, server, 2_000_000, |_| ()).unwrap();
        }
    }
    silent(complaints);
    alone.end(&lab.container);
    drop(own);
}

/// With a kernel that does not forward, whoever's the VIP is.
#[test]
fn answers_pass_by_the_director_or_are_fetched_by_it() {
    let lips = [("10.0.0.5", "2001:db8:2::5"), ("10.0.0.6", "2001:db8:2::6")];
    for (vip, method, lips) in [
        (VipPlace::Routed, "-m", &[][..]),
        (VipPlace::Subnet, "--fullnat", &lips),
        (VipPlace::Loopback, "-m", &[]),
        (VipPlace::Interface, "--fullnat", &[]),
    ] {
        let lab = NatLab::new(&NatOptions { vip, forwarding: false, ..NatOptions::default() }).unwrap();
        // As containers have it: without any route its kernel would tell clients so.
        lab.director.exec(&["ip", "-6", "route", "add", "default", "dev", "to-client"]).unwrap();
        let _servers = servers(&lab.servers);
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        for (v4, v6) in lips {
            for lip in [v4, v6] {
                alone.engine.ulvs(&format!("ipvsadm -P -z {lip}"));
            }
        }
        let complaints = Complaints::of(lab.servers.iter().chain([&lab.client]));
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            let ends: Vec<_> = (0..lab.servers.len()).map(|n| lab.server_port(n, family, 80)).collect();
            alone.serve(vip, &ends, method);
            works(&lab.client, vip);
            longest_ping(&lab.client, vip);
        }
        silent(complaints);
        alone.end(&lab.director);
    }
}

#[test]
fn servers_answer_past_the_director() {
    for vip in [VipPlace::Routed, VipPlace::Subnet, VipPlace::Loopback, VipPlace::Interface] {
        let options = DirectOptions { vip, forwarding: false, ..DirectOptions::default() };
        let lab = DirectLab::new(&options).unwrap();
        let echo = |server, family| UdpEcho::start_at(server, lab.vip.port(family, 80)).unwrap();
        let ends = |server| (Http::start(server, 80).unwrap(), FAMILIES.map(|family| echo(server, family)));
        let _servers: Vec<_> = lab.servers.iter().map(ends).collect();
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        let complaints = Complaints::of(lab.servers.iter().chain([&lab.client]));
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            let ends: Vec<_> = (0..lab.servers.len()).map(|n| lab.server_port(n, family, 80)).collect();
            alone.serve(vip, &ends, "-g");
            works(&lab.client, vip);
            longest_ping(&lab.client, vip);
        }
        silent(complaints);
        alone.end(&lab.director);
    }
}

#[test]
fn datagrams_that_wait_for_a_neighbour_are_not_overtaken() {
    let lab =
        DirectLab::new(&DirectOptions { servers: 2, forwarding: false, ..DirectOptions::default() }).unwrap();
    let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    for family in FAMILIES {
        for (n, method) in ["-g", "--fullnat"].into_iter().enumerate() {
            let (vip, server) =
                (lab.vip.port(family, 80 + n as u16), lab.server_port(n, family, 80 + n as u16));
            alone.serve(vip, &[server], method);
            let listens = if method == "-g" { vip } else { server };
            order_is_kept_by_one_who_forgets(&lab.director, (&lab.client, vip), (&lab.servers[n], listens));
        }
    }
    alone.end(&lab.director);
}

#[test]
fn requests_travel_in_tunnels_to_servers_behind_a_router() {
    let options =
        DirectOptions { servers: 1, server_path: vec![1500], forwarding: false, ..DirectOptions::default() };
    let lab = DirectLab::new(&options).unwrap();
    let server = &lab.servers[0];
    let far_end = Decapsulator::start(server);
    let _http = Http::start(server, 80).unwrap();
    let _udp = FAMILIES.map(|family| UdpEcho::start_at(server, lab.vip.port(family, 80)).unwrap());
    let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        alone.serve(vip, &[lab.server_port(0, family, 80)], "-i");
        pages_and_transfers(&lab.client, vip);
        datagrams(&lab.client, vip, &[0, 1, 1000]);
    }
    assert!(far_end.taken() > 100);
    alone.end(&lab.director);
}

/// A kernel without SCTP says of its own addresses that it has none.
#[test]
fn associations_pass_and_no_kernel_says_that_it_has_no_sctp() {
    for vip in [VipPlace::Loopback, VipPlace::Subnet] {
        let lab = NatLab::new(&NatOptions { vip, forwarding: false, ..NatOptions::default() }).unwrap();
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        for family in FAMILIES {
            let (vip, server) = (lab.vip.port(family, 3868), lab.server_port(0, family, 13_868));
            alone.engine.ulvs(&format!("ipvsadm -A --sctp-service {vip} -s rr"));
            alone.engine.ulvs(&format!("ipvsadm -a --sctp-service {vip} -r {server} -m"));
            let client_at = lab.client_addr.port(family, 5000);
            let (client, far) =
                (Sctp::open(&lab.client, vip.is_ipv4()), Sctp::open(&lab.servers[0], vip.is_ipv4()));
            // The sockets of its ends keep their kernels silent, too.
            let complaints = Complaints::of([&lab.client, &lab.servers[0]]);
            let packet = |from: u16, to: u16, chunk| Packet {
                src_port: from,
                dst_port: to,
                tag: 0,
                chunk,
                value: (0..16).collect(),
                intact: true,
            };
            client.send(vip.ip(), &packet(5000, 3868, INIT));
            assert_eq!(far.receive(), (packet(5000, 13_868, INIT), client_at.ip()));
            far.send(client_at.ip(), &packet(13_868, 5000, INIT_ACK));
            assert_eq!(client.receive(), (packet(3868, 5000, INIT_ACK), vip.ip()));
            silent(complaints);
        }
        alone.end(&lab.director);
    }
}

/// Between two links of different lengths there is no kernel to say what is too long.
#[test]
fn servers_learn_what_is_too_long_for_the_way_to_a_client() {
    let options =
        NatOptions { client_mtu: 1400, forwarding: false, vip: VipPlace::Interface, ..NatOptions::default() };
    for method in ["-m", "--fullnat"] {
        let lab = NatLab::new(&options).unwrap();
        let _servers = servers(&lab.servers);
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            alone.serve(vip, &[lab.server_port(0, family, 80)], method);
            pages_and_transfers(&lab.client, vip);
            // Longer than an answer may be, and in fragments of its own that are not.
            let asked = vec![7; 1420];
            let answer = || client::udp_exchange(&lab.client, vip, &asked, Duration::from_millis(500));
            // The first answer is lost for the knowledge.
            let answer = answer().or_else(|_| answer()).unwrap();
            assert!(answer == asked);
        }
        alone.engine.ulvs("stop");
    }
}

/// The kernel hears of them as well, at addresses of its own.
#[test]
fn errors_get_to_whom_they_concern_once() {
    for (vip, method) in
        [(VipPlace::Interface, "--fullnat"), (VipPlace::Loopback, "-m"), (VipPlace::Subnet, "-m")]
    {
        let lab = NatLab::new(&NatOptions { vip, forwarding: false, ..NatOptions::default() }).unwrap();
        let alone = Alone::start(&lab.director, lab.state_dir(), &[]);
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            alone.serve(vip, &[lab.server_port(0, family, 80)], method);
            let complaints = Complaints::of([&lab.client]);
            // The server has no such port, and says so; whole and in fragments.
            for len in [10, 5000] {
                let socket = udp::connected(&lab.client, vip);
                socket.send(&vec![0; len]).unwrap();
                assert_eq!(udp::next_error(&socket).kind(), ErrorKind::ConnectionRefused);
            }
            let error = lab.client.run(|| TcpStream::connect_timeout(&vip, PATIENCE).unwrap_err());
            assert_eq!(error.unwrap().kind(), ErrorKind::ConnectionRefused, "the server's reset");
            let heard = complaints.end();
            assert!(
                heard.len() == 3 && heard.iter().all(|line| line.contains(&vip.ip().to_string())),
                "{heard:?}"
            );
        }
        alone.end(&lab.director);
    }
}

#[test]
fn tls_ends_in_our_own_tcp() {
    let lab = ContainerLab::new(None).unwrap();
    let _servers = servers(&lab.servers);
    let alone = Alone::start(&lab.container, lab.state_dir(), &[]);
    let dir = lab.state_dir().display();
    alone.engine.ulvs(&format!("ca init --dir {dir}"));
    alone.engine.ulvs(&format!("ca issue --dns www.ilinux.io --out {dir}/www --dir {dir}"));
    for family in FAMILIES {
        let vip = lab.container_addr.port(family, 443);
        alone.serve(vip, &[0, 1].map(|n| lab.server_port(n, family, 80)), "--fullnat");
        let add = format!("tls add tcp/{vip} --cert {dir}/www.crt --key {dir}/www.key --stack");
        let kernel = alone.engine.try_ulvs(&format!("{add} kernel"));
        assert!(
            !kernel.status.success() && printed(&kernel).contains("which is kept silent"),
            "{}",
            printed(&kernel)
        );
        alone.engine.ulvs(&format!("{add} userspace"));
        let complaints = Complaints::of(lab.servers.iter().chain([&lab.client]));
        let resolve = format!("www.ilinux.io:443:{}", vip.ip());
        let cacert = format!("{dir}/ca.crt");
        for _ in 0..2 {
            let curl = ["curl", "-sS", "--max-time", "10", "--cacert", &cacert, "--resolve", &resolve];
            let page = lab.client.exec(&[&curl[..], &["https://www.ilinux.io/"]].concat()).unwrap();
            assert!(page.starts_with("server"), "{page:?}");
        }
        silent(complaints);
    }
    alone.end(&lab.container);
}
