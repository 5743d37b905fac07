//! The VIP is an address of the host, on `lo` or on an interface, put there before or after the service.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use lab::addr::Cidr;
use lab::client::Connection;
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatOptions, VipPlace};
use lab::wait::wait_for;

use super::{SSH, add_services, host_is_usable, open, services_work, still_carry};
use crate::scene::{FAMILIES, Scene};
use crate::support::{Engine, PATIENCE};

#[test]
fn on_lo_before_the_service() {
    before_the_service(VipPlace::Loopback);
}

#[test]
fn on_an_interface_before_the_service() {
    before_the_service(VipPlace::Interface);
}

#[test]
fn on_lo_after_the_service_and_removed_again() {
    after_the_service(VipPlace::Routed, "lo", [32, 128]);
}

#[test]
fn on_an_interface_after_the_service_and_removed_again() {
    after_the_service(VipPlace::Subnet, "to-client", [24, 64]);
}

/// Neither forwards nor believes in asymmetric ways.
fn scene(vip: VipPlace) -> Scene {
    Scene::new(&NatOptions { vip, forwarding: false, rp_filter: Some(1), ..NatOptions::default() })
}

fn before_the_service(vip: VipPlace) {
    let scene = scene(vip);
    let _udp: Vec<_> = scene.lab.servers.iter().map(|server| UdpEcho::start(server, 53).unwrap()).collect();
    let _ssh = Http::start(scene.director(), SSH).unwrap();
    host_is_usable(&scene);
    let before = scene.snapshot();
    let mut ssh = open(&scene.lab.client, |family| scene.lab.vip.port(family, SSH));
    ssh.extend(open(scene.director(), |family| scene.lab.vip.port(family, SSH)));

    let engine = Engine::start(&scene.lab, &[]);
    still_carry(&mut ssh);
    for _ in 0..2 {
        add_services(&scene, &engine);
        still_carry(&mut ssh);
        services_work(&scene);
        host_is_usable(&scene);
        engine.ulvs("ipvsadm -C");
        still_carry(&mut ssh);
        host_is_usable(&scene);
    }
    add_services(&scene, &engine);
    engine.stop();
    still_carry(&mut ssh);
    host_is_usable(&scene);
    scene.assert_as(&before, "`ulvs stop`");
}

fn after_the_service(vip: VipPlace, device: &str, prefixes: [u8; 2]) {
    let scene = scene(vip);
    let _udp: Vec<_> = scene.lab.servers.iter().map(|server| UdpEcho::start(server, 53).unwrap()).collect();
    let _ssh = Http::start(scene.director(), SSH).unwrap();
    let before = scene.snapshot();
    let engine = Engine::start(&scene.lab, &[]);
    add_services(&scene, &engine);
    services_work(&scene);
    let mut through = open(&scene.lab.client, |family| scene.lab.vip.port(family, 80));
    through.extend(open(scene.director(), |family| scene.lab.vip.port(family, 80)));
    still_carry(&mut through);
    for _ in 0..2 {
        for (family, prefix) in FAMILIES.into_iter().zip(prefixes) {
            scene.director().addr_add(device, Cidr { addr: scene.lab.vip.of(family), prefix }).unwrap();
        }
        settled(&scene, 0);
        services_work(&scene);
        host_is_usable(&scene);
        still_carry(&mut through);
        let mut ssh = open(&scene.lab.client, |family| scene.lab.vip.port(family, SSH));
        still_carry(&mut ssh);

        for family in FAMILIES {
            scene.director().addr_del(device, scene.lab.vip.of(family)).unwrap();
        }
        settled(&scene, FAMILIES.len());
        services_work(&scene);
        still_carry(&mut through);
        for family in FAMILIES {
            lab::client::ping(&scene.lab.client, scene.lab.vip.of(family), 56, PATIENCE).unwrap();
        }
    }
    engine.stop();
    scene.assert_as(&before, "`ulvs stop`");
}

/// Waits until the engine has noticed for how many VIPs it has to stand in: those that are nobody's address have a route
/// in a table of their own.
fn settled(scene: &Scene, nobodys: usize) {
    let routes = |family| {
        let listed = scene.director().output(&["ip", family, "route", "show", "table", "11703"]).unwrap();
        String::from_utf8_lossy(&listed.stdout).lines().count()
    };
    let what = format!("{nobodys} VIPs that are nobody's");
    wait_for(&what, PATIENCE, || (routes("-4") + routes("-6") == nobodys).then_some(())).unwrap();
}

/// A server of the host itself on the port that is balanced from now on.
#[test]
fn connections_to_the_hosts_own_server_outlive_a_service_on_its_port() {
    let scene = scene(VipPlace::Loopback);
    let _web = Http::start(scene.director(), 80).unwrap();
    let vip = |family| scene.lab.vip.port(family, 80);
    let mut old = open(&scene.lab.client, vip);
    old.extend(open(scene.director(), vip));
    still_carry(&mut old);
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    let mut new = open(&scene.lab.client, vip);
    new.extend(open(scene.director(), vip));
    let names = |connections: &mut [Connection]| -> Vec<String> {
        connections.iter_mut().map(|connection| connection.get("/").unwrap().body).collect()
    };
    assert!(names(&mut new).iter().all(|name| name.starts_with("server")));
    assert!(names(&mut old).iter().all(|name| name == "director\n"));
    still_carry(&mut old);
    still_carry(&mut new);
    engine.stop();
    still_carry(&mut old);
}

/// Not a single packet of theirs is refused while the engine learns whose the VIP is.
#[test]
fn busy_connections_to_the_hosts_own_server_do_not_notice_the_start() {
    let scene = scene(VipPlace::Loopback);
    let _web = Http::start(scene.director(), 80).unwrap();
    for _ in 0..5 {
        let stop = AtomicBool::new(false);
        let mut busy = open(&scene.lab.client, |family| scene.lab.vip.port(family, 80));
        std::thread::scope(|scope| {
            for connection in &mut busy {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        assert_eq!(connection.get("/").unwrap().body, "director\n");
                    }
                });
            }
            let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
            std::thread::sleep(Duration::from_millis(50));
            engine.stop();
            stop.store(true, Relaxed);
        });
    }
}
