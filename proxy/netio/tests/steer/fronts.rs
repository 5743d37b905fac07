//! Fronts: sockets of the director that take connections to VIPs, and speak with servers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use netio::front;
use netio::steer::{SteerConfig, Steering, Targets};
use tempfile::tempdir;

use crate::world::*;

const FRONT_PORT: u16 = 443;

/// Echoes what comes to a front, by a connection to the real server.
fn relay(listener: &TcpListener, server: SocketAddr) -> std::io::Result<()> {
    listener.set_nonblocking(false)?;
    let listener = listener.try_clone()?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            client.set_nonblocking(false).unwrap();
            let server = front::connect(server).unwrap();
            server.set_nonblocking(false).unwrap();
            std::thread::spawn(move || splice(&mut client, server));
        }
    });
    Ok(())
}

fn splice(client: &mut TcpStream, mut server: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let mut left = read;
        server.write_all(&buffer[..read]).unwrap();
        while left > 0 {
            let Ok(back @ 1..) = server.read(&mut buffer) else { return };
            client.write_all(&buffer[..back]).unwrap();
            left -= back;
        }
    }
}

/// With a front at each VIP.
fn fronted(nftables: bool, setup: &str, check: impl AsyncFnOnce(&World, &Engine, &mut Steering) + Send) {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    world.on_director(|| {
        sh(setup);
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let before = snapshot();
            let config = SteerConfig { nftables, ..config(&tun, state.path()) };
            let mut steering = Steering::start(config).unwrap();
            let engine = Engine::start(tun, &[VIP, VIP6]);
            let fronts = [(VIP, SERVER), (VIP6, SERVER6)].map(|(vip, server)| {
                let (front, server) =
                    (SocketAddr::new(ip(vip), FRONT_PORT), SocketAddr::new(ip(server), SERVER_PORT));
                relay(&front::listen(front).unwrap(), server).unwrap();
                front
            });
            let targets =
                Targets { fronts: BTreeSet::from(fronts), front_sockets: true, ..targets(&[VIP, VIP6]) };
            steering.set_targets(&targets).unwrap();
            engine.seen();
            check(&world, &engine, &mut steering).await;
            steering.stop().unwrap();
            assert_as_before(&before);
            drop(engine);
        });
    });
}

#[test]
fn packets_of_a_front_do_not_pass_the_device() {
    fronted(true, "", async |world, engine, _| {
        for vip in [VIP, VIP6] {
            assert!(world.on_client(|| tcp(vip, FRONT_PORT)), "{vip}");
            assert_eq!(engine.seen(), [], "{vip}: neither the client's nor the server's");
        }
        for vip in [VIP, VIP6] {
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip}: other ports as ever");
            assert!(!engine.seen().is_empty());
        }
    });
}

#[test]
fn a_front_may_be_at_an_address_of_the_host_and_has_clients_there() {
    let setup = format!("ip addr add {VIP}/32 dev lo; ip addr add {VIP6}/128 dev lo nodad");
    for setup in ["", &setup] {
        fronted(true, setup, async |world, _, steering| {
            settle(steering).await;
            for vip in [VIP, VIP6] {
                assert!(world.on_client(|| tcp(vip, FRONT_PORT)), "{vip}");
                assert!(tcp(vip, FRONT_PORT), "{vip} from the director, {setup:?}");
            }
        });
    }
}

#[test]
fn without_nftables_too() {
    fronted(false, "", async |world, _, _| {
        for vip in [VIP, VIP6] {
            assert!(world.on_client(|| tcp(vip, FRONT_PORT)), "{vip}");
            assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip}");
        }
    });
}

#[test]
fn reverse_path_filters_do_not_matter_to_fronts() {
    for marks_count in [0, 1] {
        let setup = format!(
            "for conf in /proc/sys/net/ipv4/conf/*; do echo 1 > $conf/rp_filter; done
             echo {marks_count} > /proc/sys/net/ipv4/conf/all/src_valid_mark"
        );
        fronted(true, &setup, async |world, _, _| {
            assert!(world.on_client(|| tcp(VIP, FRONT_PORT)), "src_valid_mark {marks_count}");
            assert!(tcp(VIP, FRONT_PORT), "from the director, src_valid_mark {marks_count}");
        });
    }
}

#[test]
fn a_front_that_goes_leaves_its_port_to_the_service() {
    fronted(true, "", async |world, _, steering| {
        steering.set_targets(&targets(&[VIP, VIP6])).unwrap();
        // The relay listens still.
        assert!(!world.on_client(|| tcp(VIP, FRONT_PORT)));
        assert!(world.on_client(|| tcp(VIP, VIP_PORT)));
    });
}
