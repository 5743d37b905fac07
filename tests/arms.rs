//! How the director stands in its network: with one arm, with servers behind other routers, with the VIP as a second
//! address; and clients that are where one would not expect them, on the director or on the servers' link.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::addr::{Family, Pair};
use lab::client::{self, Connection};
use lab::node::Node;
use lab::serve::{Http, UdpEcho};
use lab::topo::{DirectLab, DirectOptions, NatOptions, VipPlace};

use crate::scene::{FAMILIES, Scene};
use crate::support::{Engine, PATIENCE};

/// Who stands where in a director with one arm.
struct Arm {
    lab: DirectLab,
    _servers: Vec<(Http, UdpEcho)>,
}

impl Arm {
    fn new(options: DirectOptions) -> Self {
        let lab = DirectLab::new(&DirectOptions { vip_on_servers: false, ..options }).unwrap();
        let serve = |server| (Http::start(server, 80).unwrap(), UdpEcho::start(server, 80).unwrap());
        Self { _servers: lab.servers.iter().map(serve).collect(), lab }
    }

    /// The director is the servers' way to everybody, as NAT wants it.
    fn by_the_director(self) -> Self {
        for server in &self.lab.servers {
            let Pair { v4, v6 } = self.lab.director_addr;
            server.exec(&["ip", "route", "replace", "default", "via", &v4.to_string()]).unwrap();
            server.exec(&["ip", "-6", "route", "replace", "default", "via", &v6.to_string()]).unwrap();
        }
        self
    }

    fn engine(&self, method: &str) -> Engine<'_> {
        let engine = Engine::start_on(&self.lab.director, self.lab.state_dir(), &[]);
        let servers = self.lab.server_addrs.iter().copied();
        configure(&engine, self.lab.vip, &servers.collect::<Vec<_>>(), method);
        engine
    }

    /// Everybody gets what is asked for through the VIP, in both families. `seen` says whom the servers see then.
    fn works(&self, family: Family, seen: impl Fn(&Node, IpAddr) -> IpAddr) {
        let lab = &self.lab;
        let vip = lab.vip.port(family, 80);
        let everybody = [(&lab.client, lab.client_addr), (&lab.director, lab.director_addr)];
        let servers = lab.servers.iter().zip(lab.server_addrs.iter().copied());
        for (node, own) in everybody.into_iter().chain(servers) {
            assert_eq!(peer(node, vip), seen(node, own.of(family)), "{node}, {family:?}");
            works_from(node, vip);
        }
    }
}

/// The address that the director would use itself to speak with its servers: with several on a link, the kernel chooses.
fn towards_servers(lab: &DirectLab, family: Family) -> IpAddr {
    let server = lab.server_addrs[0].of(family).to_string();
    let route = lab.director.exec(&["ip", "route", "get", &server]).unwrap();
    let mut words = route.split_whitespace().skip_while(|word| *word != "src");
    words.nth(1).unwrap_or_else(|| panic!("no source in {route}")).parse().unwrap()
}

/// A service of either protocol in both families.
fn configure(engine: &Engine<'_>, vip: Pair, servers: &[Pair], method: &str) {
    for family in FAMILIES {
        let vip = vip.port(family, 80);
        for flag in ["-t", "-u"] {
            engine.ulvs(&format!("ipvsadm -A {flag} {vip} -s rr"));
            for server in servers {
                let server = server.port(family, 80);
                engine.ulvs(&format!("ipvsadm -a {flag} {vip} -r {server} {method}"));
            }
        }
    }
}

/// Whom a server sees.
fn peer(node: &Node, vip: SocketAddr) -> IpAddr {
    let reply = client::get(node, vip, "/whoami").unwrap_or_else(|error| panic!("{node} {vip}: {error:#}"));
    reply.body.trim().parse::<SocketAddr>().unwrap().ip()
}

/// All servers take part, and a lot passes in both directions.
fn works_from(node: &Node, vip: SocketAddr) {
    let pages = [0, 1].map(|_| client::get(node, vip, "/").unwrap().body);
    assert_ne!(pages[0], pages[1], "{node}");
    client::download(node, vip, 3_000_000, |_| ()).unwrap();
    client::upload(node, vip, 3_000_000, |_| ()).unwrap();
    for payload in [&[3; 10][..], &[4; 1200]] {
        client::udp_exchange(node, vip, payload, PATIENCE).unwrap();
    }
}

/// A server, or somebody on its link, would be answered straight by NAT: it sees the director instead. The others are
/// seen as they are.
fn by_nat(lab: &DirectLab, family: Family) -> impl Fn(&Node, IpAddr) -> IpAddr {
    move |node, own| {
        let beside = lab.servers.iter().any(|server| server.name() == node.name());
        if beside { towards_servers(lab, family) } else { own }
    }
}

#[test]
fn nat_with_one_arm_and_a_vip_of_nobody_on_the_link() {
    let arm = Arm::new(DirectOptions { vip: VipPlace::Subnet, ..DirectOptions::default() }).by_the_director();
    let engine = arm.engine("-m");
    FAMILIES.into_iter().for_each(|family| arm.works(family, by_nat(&arm.lab, family)));
    engine.stop();
}

#[test]
fn nat_with_one_arm_and_the_vip_as_a_second_address() {
    let arm =
        Arm::new(DirectOptions { vip: VipPlace::Interface, ..DirectOptions::default() }).by_the_director();
    let engine = arm.engine("-m");
    FAMILIES.into_iter().for_each(|family| arm.works(family, by_nat(&arm.lab, family)));
    engine.stop();
}

#[test]
fn fullnat_with_one_arm_needs_no_route_through_the_director() {
    for (place, lip) in [
        (VipPlace::Subnet, None),
        (VipPlace::Interface, None),
        (VipPlace::Routed, Some(["10.0.0.77", "2001:db8:2::77"])),
    ] {
        let arm = Arm::new(DirectOptions { vip: place, ..DirectOptions::default() });
        let engine = arm.engine("--fullnat");
        for lip in lip.iter().flatten() {
            engine.ulvs(&format!("ipvsadm -P -z {lip}"));
        }
        for (family, index) in [(Family::V4, 0), (Family::V6, 1)] {
            let lip =
                lip.map_or_else(|| towards_servers(&arm.lab, family), |lip| lip[index].parse().unwrap());
            arm.works(family, |_, _| lip);
        }
        engine.stop();
    }
}

#[test]
fn fullnat_reaches_servers_behind_other_routers() {
    let arm = Arm::new(DirectOptions {
        vip: VipPlace::Subnet,
        server_path: vec![1500, 1400],
        ..DirectOptions::default()
    });
    let engine = arm.engine("--fullnat");
    for family in FAMILIES {
        arm.works(family, |_, _| towards_servers(&arm.lab, family));
    }
    engine.stop();
}

#[test]
fn a_server_is_a_client_of_its_own_vip() {
    let places = [VipPlace::Routed, VipPlace::Loopback, VipPlace::Interface].map(|vip| (vip, vec![]));
    for (vip, path) in places.into_iter().chain([(VipPlace::Routed, vec![1500])]) {
        let behind_router = !path.is_empty();
        let scene = Scene::new(&NatOptions { vip, path, ..NatOptions::default() });
        let (lab, before) = (&scene.lab, scene.snapshot());
        let echoes: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, 80).unwrap()).collect();
        let engine = Engine::start(lab, &[]);
        configure(&engine, lab.vip, &lab.server_addrs, "-m");
        let own = if behind_router { ["10.1.0.1", "2001:db8:3::1"] } else { ["10.0.0.1", "2001:db8:2::1"] };
        for (family, own) in FAMILIES.into_iter().zip(own) {
            let vip = lab.vip.port(family, 80);
            for server in &lab.servers {
                assert_eq!(peer(server, vip).to_string(), own);
                works_from(server, vip);
            }
            assert_eq!(peer(&lab.client, vip), lab.client_addr.of(family), "NAT for everybody else");
        }
        // With it turned off it is as with the kernel: whoever is answered straight does not understand it.
        engine.ulvs("sysctl ulvs.hairpin=0");
        let vip = lab.vip.port(Family::V4, 80);
        let connect = || std::net::TcpStream::connect_timeout(&vip, Duration::from_secs(1));
        assert!(lab.servers[0].run(connect).unwrap().is_err());
        engine.stop();
        scene.assert_as(&before, "hairpins");
        drop(echoes);
    }
}

#[test]
fn under_compat_a_hairpin_is_the_kernels() {
    let scene = Scene::new(&NatOptions::default());
    let lab = &scene.lab;
    let engine = Engine::start(lab, &["--compat", "ipvs"]);
    configure(&engine, lab.vip, &lab.server_addrs, "-m");
    let vip = lab.vip.port(Family::V4, 80);
    assert_eq!(engine.ulvs("sysctl -n ulvs.hairpin").trim(), "0");
    let connect = || std::net::TcpStream::connect_timeout(&vip, Duration::from_secs(1));
    assert!(lab.servers[0].run(connect).unwrap().is_err());
    assert!(Connection::open(&lab.client, vip).is_ok());
    engine.stop();
}
