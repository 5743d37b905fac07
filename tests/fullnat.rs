//! FullNAT with pools of local addresses: servers that know no way to the clients, many clients over few ports, and ports
//! that run out.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};

use lab::addr::{Family, Pair};
use lab::client::{self, Connection};
use lab::node::Node;
use lab::serve::UdpEcho;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::scene::{FAMILIES, Scene};
use crate::support::{Engine, PATIENCE};

/// Addresses in the servers' network that are nobody's.
fn lips() -> [Pair; 2] {
    [pair("10.0.0.5", "2001:db8:2::5"), pair("10.0.0.6", "2001:db8:2::6")]
}

fn pair(v4: &str, v6: &str) -> Pair {
    Pair { v4: v4.parse().unwrap(), v6: v6.parse().unwrap() }
}

/// A laboratory whose servers know nobody but their own network.
fn scene(servers: usize) -> Scene {
    let scene = Scene::new(&NatOptions { servers, ..NatOptions::default() });
    for server in &scene.lab.servers {
        server.exec(&["ip", "route", "del", "default"]).unwrap();
        server.exec(&["ip", "-6", "route", "del", "default"]).unwrap();
    }
    scene
}

/// A service for HTTP in both families whose servers are all behind FullNAT.
fn serve(engine: &Engine<'_>, lab: &NatLab, proto: &str) {
    let flag = crate::support::flag(proto);
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        engine.ulvs(&format!("ipvsadm -A {flag} {vip} -s rr"));
        for index in 0..lab.servers.len() {
            let server = lab.server_port(index, family, 80);
            engine.ulvs(&format!("ipvsadm -a {flag} {vip} -r {server} --fullnat"));
        }
    }
}

/// Whom the server of this connection sees.
fn seen(connection: &mut Connection) -> SocketAddr {
    connection.get("/whoami").unwrap().body.trim().parse().unwrap()
}

#[test]
fn servers_without_a_way_back_serve_all_the_same() {
    let scene = scene(2);
    let (lab, before) = (&scene.lab, scene.snapshot());
    let echoes: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, 80).unwrap()).collect();
    let engine = Engine::start(lab, &[]);
    for proto in ["tcp", "udp"] {
        serve(&engine, lab, proto);
    }
    for lip in lips() {
        engine.ulvs(&format!("ipvsadm -P -z {}", lip.v4));
        engine.ulvs(&format!("ipvsadm -P -z {} -F to-servers", lip.v6));
    }
    for family in FAMILIES {
        let (vip, pool) = (lab.vip.port(family, 80), lips().map(|lip| lip.of(family)));
        let used: BTreeSet<IpAddr> =
            (0..16).map(|_| seen(&mut Connection::open(&lab.client, vip).unwrap()).ip()).collect();
        assert_eq!(used, pool.into(), "all of the pool takes part, and nothing else");
        client::download(&lab.client, vip, 20_000_000, |_| ()).unwrap();
        client::upload(&lab.client, vip, 20_000_000, |_| ()).unwrap();
        client::udp_exchange(&lab.client, vip, &[7; 1200], PATIENCE).unwrap();
        // They are nobody's, and so they are answered for as VIPs are.
        client::ping(&lab.servers[0], pool[0], 56, PATIENCE).unwrap();
    }
    // What is taken out of a pool is given to nobody any more, and serves on who has it.
    let vip = lab.vip.port(Family::V4, 80);
    let mut lasting = Connection::open(&lab.client, vip).unwrap();
    let had = seen(&mut lasting);
    let [one, other] = lips().map(|lip| lip.v4);
    engine.ulvs(&format!("ipvsadm -Q -z {}", had.ip()));
    let left = if had.ip() == one { other } else { one };
    for _ in 0..8 {
        assert_eq!(seen(&mut Connection::open(&lab.client, vip).unwrap()).ip(), left);
    }
    assert_eq!(seen(&mut lasting), had);
    lasting.download(2_000_000, |_| ()).unwrap();
    engine.stop();
    scene.assert_as(&before, "FullNAT with a pool");
    drop(echoes);
}

#[test]
fn one_port_serves_many_servers_and_the_last_port_is_told() {
    let scene = scene(3);
    let lab = &scene.lab;
    let engine = Engine::start(lab, &[]);
    serve(&engine, lab, "tcp");
    engine.ulvs("sysctl ulvs.lip_port_first=40000 ulvs.lip_port_last=40003");
    for family in FAMILIES {
        let vip = lab.vip.port(family, 80);
        for lip in lips() {
            // In the words of DPVS.
            engine.ulvs(&format!("ipvsadm --add-laddr -z {} -t {vip} -F to-servers", lip.of(family)));
        }
        // 3 servers, 2 addresses, 4 ports.
        let mut open: Vec<_> = (0..24).map(|_| Connection::open(&lab.client, vip).unwrap()).collect();
        let used: Vec<SocketAddr> = open.iter_mut().map(seen).collect();
        let distinct: BTreeSet<_> = used.iter().copied().collect();
        let all = lips().into_iter().flat_map(|lip| (40_000..40_004).map(move |port| lip.port(family, port)));
        assert_eq!(distinct, all.collect(), "each port of each address, once for each server: {used:?}");
        let refused = engine.status().dropped("ports-exhausted");
        let late =
            lab.client.run(|| std::net::TcpStream::connect_timeout(&vip, std::time::Duration::from_secs(2)));
        assert!(late.unwrap().is_err(), "there is no port left");
        assert!(engine.status().dropped("ports-exhausted") > refused);
        let listing = engine.ulvs(&format!("ipvsadm -G -t {vip}"));
        let connections: Vec<_> =
            listing.lines().skip(2).filter_map(|l| l.split_whitespace().nth(2)).collect();
        assert_eq!(connections, ["12", "12"], "{listing}");
        let told = engine.ulvs("status");
        assert!(
            told.lines().any(|line| line.starts_with("local ports") && line.contains("4 of 4")),
            "{told}"
        );
        if family == Family::V4 {
            engine.wait_for_log("4 of the 4 TCP ports of");
        }
    }
    engine.stop();
}

/// Connections that are over are remembered for minutes; a client that makes many has not to wait so long.
#[test]
fn short_connections_do_not_use_ports_up() {
    let scene = scene(1);
    let lab = &scene.lab;
    let engine = Engine::start(lab, &[]);
    serve(&engine, lab, "tcp");
    engine.ulvs("sysctl ulvs.lip_port_first=20000 ulvs.lip_port_last=20009");
    for family in FAMILIES {
        for end in ["keep-alive", "close"] {
            for _ in 0..50 {
                let mut stream = client::connect(&lab.client, lab.vip.port(family, 80)).unwrap();
                write!(stream, "GET / HTTP/1.1\r\nHost: vip\r\nConnection: {end}\r\n\r\n").unwrap();
                // Where the server closes, it remembers the connection as well, and objects to the next one at first.
                let answer = if end == "close" {
                    stream.read_to_end(&mut Vec::new())
                } else {
                    stream.read(&mut [0; 99])
                };
                assert!(answer.unwrap() > 0);
            }
        }
    }
    assert_eq!(engine.status().dropped("ports-exhausted"), 0);
    assert!(!engine.ulvs("status").contains("no port to speak from"));
    engine.ulvs("sysctl ulvs.lip_port_first=40000 ulvs.lip_port_last=40009");
    assert!(engine.ulvs("status").contains("no port to speak from"), "they are all the host's");
    engine.stop();
}

#[test]
fn ports_that_the_host_uses_itself_are_left_to_it() {
    let scene = scene(2);
    let lab = &scene.lab;
    lab.director.sysctl("net.ipv4.ip_local_port_range", "40000 60000").unwrap();
    lab.director.sysctl("net.ipv4.ip_local_reserved_ports", "39000-39998").unwrap();
    let engine = Engine::start(lab, &[]);
    serve(&engine, lab, "tcp");
    // 39999 and 60001 are left of these.
    engine.ulvs("sysctl ulvs.lip_port_first=39000 ulvs.lip_port_last=60001");
    for family in FAMILIES {
        let own = pair("10.0.0.1", "2001:db8:2::1").of(family);
        let vip = lab.vip.port(family, 80);
        engine.ulvs(&format!("ipvsadm -P -t {vip} -z {own}"));
        let mut open: Vec<_> = (0..4).map(|_| Connection::open(&lab.client, vip).unwrap()).collect();
        let used: BTreeSet<_> = open.iter_mut().map(seen).collect();
        assert_eq!(used, [39_999, 60_001].map(|port| SocketAddr::new(own, port)).into());
        // The host speaks to the same servers from its own.
        let server = lab.server_port(0, family, 80);
        let reply = client::get(&lab.director, server, "/whoami").unwrap().body;
        let from: SocketAddr = reply.trim().parse().unwrap();
        assert!((40_000..=60_000).contains(&from.port()), "{from}");
        client::ping(&lab.servers[0], own, 56, PATIENCE).unwrap();
    }
    engine.stop();
}

/// An address becomes the host's own and ceases to be, while connections have it.
#[test]
fn a_local_address_may_become_the_hosts_own_and_somebodys_no_more() {
    let scene = scene(1);
    let lab = &scene.lab;
    let engine = Engine::start(lab, &[]);
    serve(&engine, lab, "tcp");
    let lip = lips()[0];
    for family in FAMILIES {
        let (lip, vip) = (lip.of(family), lab.vip.port(family, 80));
        engine.ulvs(&format!("ipvsadm -P -z {lip}"));
        let mut lasting = Connection::open(&lab.client, vip).unwrap();
        let had = seen(&mut lasting);
        assert_eq!(had.ip(), lip);
        let prefix = if family == Family::V4 { 24 } else { 64 };
        let cidr = format!("{lip}/{prefix}");
        for change in ["add", "del"] {
            let mut words = vec!["ip", "addr", change, &cidr, "dev", "to-servers"];
            if change == "add" && family == Family::V6 {
                words.push("nodad");
            }
            lab.director.exec(&words).unwrap();
            works_from(&lab.client, vip, lip);
            assert_eq!(seen(&mut lasting), had, "{change}");
        }
    }
    engine.stop();
}

#[test]
fn pools_come_from_the_configuration_and_change_with_it() {
    let scene = scene(2);
    let lab = &scene.lab;
    let [one, other] = lips();
    let config = |shared: &[Pair], own: &[Pair]| {
        let lips = shared.iter().flat_map(|lip| [lip.v4, lip.v6]);
        let lips: String = lips.map(|lip| format!("[[lip]]\naddress = \"{lip}\"\n")).collect();
        let service = |family| {
            let own: Vec<_> = own.iter().map(|lip| format!("\"{}\"", lip.of(family))).collect();
            let text = scene.service_text(family, 2).replace(":80\"\n", ":80\"\nmethod = \"fullnat\"\n");
            text.replacen("scheduler", &format!("lips = [{}]\nscheduler", own.join(", ")), 1)
        };
        scene.write("ulvs.toml", &(lips + &FAMILIES.map(service).concat()))
    };
    let path = config(&[one], &[]);
    let check = lab.director.command(crate::support::binary()).args(["check", &path]).output().unwrap();
    let checked = crate::support::printed(&check);
    assert!(checked.contains("good: 2 services, 4 servers, 2 local addresses"), "{checked}");
    let engine = Engine::start(lab, &["--config", &path]);
    let everywhere = |lip: Pair| {
        for family in FAMILIES {
            works_from(&lab.client, lab.vip.port(family, 80), lip.of(family));
        }
    };
    everywhere(one);
    config(&[other], &[]);
    assert_eq!(
        engine.ulvs("reload").lines().collect::<Vec<_>>(),
        [
            format!("delete local address {}", one.v4),
            format!("delete local address {}", one.v6),
            format!("add local address {}", other.v4),
            format!("add local address {}", other.v6),
        ]
    );
    everywhere(other);
    config(&[other], &[one]);
    let changes = engine.ulvs("reload");
    assert!(changes.contains(&format!("add local address {} to TCP", one.v4)), "{changes}");
    everywhere(one);
    config(&[], &[]);
    engine.ulvs("reload");
    everywhere(pair("10.0.0.1", "2001:db8:2::1"));
    engine.stop();
}

fn works_from(client: &Node, vip: SocketAddr, lip: IpAddr) {
    let works = || {
        let mut connection = Connection::open(client, vip).ok()?;
        (connection.get("/whoami").ok()?.body.trim().parse::<SocketAddr>().ok()?.ip() == lip).then_some(())
    };
    wait_for(&format!("connections from {lip}"), PATIENCE, works).unwrap();
}
