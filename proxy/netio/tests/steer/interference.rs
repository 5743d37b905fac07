//! Others change things meanwhile, or things end badly.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use netio::steer::{Notice, SteerConfig, SteerError, Steering, Targets, clean};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::tempdir;

use crate::world::*;

#[test]
fn what_others_break_is_mended_and_what_they_set_is_put_back() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    steered(&world, &[VIP, VIP6], "", async |_, steering| {
        settle(steering).await;
        for harm in [
            "ip rule flush proto 117; ip -6 rule flush proto 117",
            "ip rule del pref 9",
            "ip route flush table 11701; ip -6 route flush table 11702",
            "nft delete table inet ulvs 2>/dev/null || nft flush ruleset",
            "echo 0 > /proc/sys/net/ipv4/conf/c0/forwarding",
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/ip_forward",
            "echo 0 > /proc/sys/net/ipv6/conf/s0/force_forwarding",
            "ip link set ulvs0 down",
            "ip link set ulvs0 mtu 1400",
            "ip rule add pref 0 lookup local",
        ] {
            sh(harm);
            settle(steering).await;
            for vip in [VIP, VIP6] {
                assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip} after {harm}");
            }
        }
        // Settings that no event tells of are looked at every few seconds, and when anything else happens.
        sh(
            "echo 1 > /proc/sys/net/ipv4/ip_early_demux; ip addr add 10.5.0.1 dev lo; ip addr del 10.5.0.1 dev lo",
        );
        settle(steering).await;
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_early_demux"), "0\n");
        // A device that comes later.
        sh("ip link add late type veth peer name later; ip link set late up");
        settle(steering).await;
        assert_eq!(sh("cat /proc/sys/net/ipv4/conf/late/forwarding"), "1\n");
        sh("ip link del late");
        settle(steering).await;
    });
}

#[test]
fn puts_back_what_was_last_set_by_others() {
    let world = World::routed();
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            steering.set_targets(&targets(&[VIP])).unwrap();
            // The host becomes a router while we run: that is no setting of ours to take back.
            sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
            settle(&mut steering).await;
            assert!(!sh("nft list set inet ulvs guarded4").contains("c0"));
            sh("echo 5 > /proc/sys/net/ipv4/conf/ulvs0/accept_local");
            steering.stop().unwrap();
            assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
            assert_eq!(sh("cat /proc/sys/net/ipv4/conf/c0/forwarding"), "1\n");
            assert_eq!(sh("cat /proc/sys/net/ipv4/conf/ulvs0/accept_local"), "5\n");
        });
    });
}

#[test]
fn tells_what_the_engine_should_know() {
    let world = World::routed();
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let gone = config(&open_tun(), state.path());
            let error = Steering::start(gone).unwrap_err();
            assert!(matches!(error, SteerError::DeviceGone { .. }), "{error}");
            let tun = open_tun();
            let before = snapshot();
            let error = Steering::start(config(&tun, Path::new("/proc/nowhere"))).unwrap_err();
            assert!(error.to_string().contains("--state-dir"), "{error}");
            assert_as_before(&before);

            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            steering.set_targets(&targets(&[VIP])).unwrap();
            while !steering.next_change().await.unwrap().paths {}
            sh("ip addr add 10.99.0.0/16 dev lo");
            assert!(steering.next_change().await.unwrap().view);
            assert!(steering.host_view().local.contains(&ip(VIP)));
            sh("ip link set s0 mtu 1400");
            assert!(steering.next_change().await.unwrap().paths);
            assert_eq!(steering.path(ip(SERVER)).map(|path| path.mtu), Some(1400));
            sh("ip link del ulvs0");
            assert!(matches!(steering.next_change().await, Err(SteerError::DeviceGone { .. })));
            steering.stop().unwrap();
        });
    });
}

#[test]
fn a_moved_local_rule_stays_where_it_is() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    // As for virtual routing and forwarding.
    let setup = "ip rule add pref 32765 lookup local; ip rule del pref 0";
    steered(&world, &[VIP], setup, async |_, _| {
        assert!(world.on_client(|| tcp(VIP, VIP_PORT)));
    });
}

const STATE: &str = "STEER_TEST_STATE_DIR";

/// Not a test by itself: what the next one runs and kills.
#[test]
fn doomed_process() {
    let Ok(state) = env::var(STATE) else { return };
    block_on(async {
        let tun = open_tun();
        let mut steering = Steering::start(config(&tun, Path::new(&state))).unwrap();
        steering.set_targets(&targets(&["10.0.0.100", "fd00:a::100"])).unwrap();
        let device = nix::net::if_::if_nametoindex("c0").unwrap();
        steering.set_rings(&[device].into(), &[]).unwrap();
        assert!(sh("nft list table netdev ulvs").contains("c0"));
        println!("\nready");
        loop {
            steering.next_change().await.unwrap();
        }
    });
}

#[test]
fn what_a_killed_process_leaves_behind_is_undone() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    world.on_director(|| {
        let state = tempdir().unwrap();
        let start = || {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["--exact", "interference::doomed_process", "--nocapture"]).env(STATE, state.path());
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap() == "ready"));
            child
        };
        let before = snapshot();
        let mut child = start();
        assert!(matches!(clean(state.path()), Err(SteerError::Busy { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(snapshot(), before);
        let report = clean(state.path()).unwrap();
        assert!(report.rules > 0 && report.proxies == 1 && report.restored_rules == 2, "{report:?}");
        assert_as_before(&before);
        assert!(!clean(state.path()).unwrap().any());

        // Without its notes, by what tells ours from others'; settings alone cannot be known.
        let mut child = start();
        child.kill().unwrap();
        child.wait().unwrap();
        let settings = |text: &str| text.lines().filter(|line| !line.starts_with("/proc")).count();
        clean(tempdir().unwrap().path()).unwrap();
        assert_eq!(settings(&snapshot()), settings(&before));
        clean(state.path()).unwrap();
        assert_as_before(&before);

        // The next one starts as if nothing had been.
        let mut child = start();
        child.kill().unwrap();
        child.wait().unwrap();
        block_on(async {
            let tun = open_tun();
            let mut steering = Steering::start(config(&tun, state.path())).unwrap();
            let engine = Engine::start(tun, &[VIP, VIP6]);
            steering.set_targets(&targets(&[VIP, VIP6])).unwrap();
            assert!(world.on_client(|| tcp(VIP, VIP_PORT)));
            steering.stop().unwrap();
            drop(engine);
        });
        assert_as_before(&before);
        assert_eq!(state.path().read_dir().unwrap().count(), 0);
    });
}

/// Makes `/proc/sys` read-only for this thread, as a container has it.
fn protect_settings() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("/proc/sys"), "/proc/sys", none, MsFlags::MS_BIND, none).unwrap();
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(none, "/proc/sys", none, read_only, none).unwrap();
}

#[test]
fn read_only_settings_are_set_by_netlink() {
    let (near, own) = ("10.0.0.100", "10.0.0.1");
    for nftables in [true, false] {
        let world = World::routed();
        for (netns, port) in [(&world.server, SERVER_PORT), (&world.director, 22), (&world.client, 9)] {
            echo(netns, port);
        }
        world.on_director(|| {
            protect_settings();
            block_on(async {
                let state = tempdir().unwrap();
                let tun = open_tun();
                let before = snapshot();
                let config = SteerConfig { nftables, ..config(&tun, state.path()) };
                let mut steering = Steering::start(config).unwrap();
                let engine = Engine::start(tun, &[VIP, near, own]);
                let mut ipv4 = targets(&[VIP, near, own]);
                ipv4.servers.retain(|(_, server)| server.is_ipv4());
                steering.set_targets(&ipv4).unwrap();
                assert_eq!(sh("cat /proc/sys/net/ipv4/conf/c0/forwarding"), "1\n");
                assert_eq!(sh("cat /proc/sys/net/ipv4/neigh/c0/proxy_delay"), "0\n");
                assert_eq!(steering.notices().contains(&Notice::EarlyDemux), !nftables);
                for vip in [VIP, near, own] {
                    assert!(world.on_client(|| tcp(vip, VIP_PORT)), "{vip}");
                }
                assert!(tcp(SERVER, SERVER_PORT), "from the director");
                if nftables {
                    assert!(world.on_client(|| tcp(own, 22)), "another port");
                    assert!(tcp(CLIENT, 9), "from the VIP");
                    assert!(tcp(VIP, VIP_PORT), "from the director");
                    assert!(tcp(own, 22), "from the director");
                }

                let error = steering.set_targets(&targets(&[VIP6])).unwrap_err().to_string();
                assert!(error.contains("force_forwarding") && error.contains("all.forwarding=1"), "{error}");
                steering.stop().unwrap();
                assert_as_before(&before);
                drop(engine);
            });
        });
    }
}

#[test]
fn works_without_nftables() {
    let world = World::routed();
    echo(&world.server, SERVER_PORT);
    echo(&world.director, 22);
    world.on_director(|| {
        block_on(async {
            let state = tempdir().unwrap();
            let tun = open_tun();
            let before = snapshot();
            let config = SteerConfig { nftables: false, ..config(&tun, state.path()) };
            let mut steering = Steering::start(config).unwrap();
            let engine = Engine::start(tun, &[VIP, VIP6]);
            steering.set_targets(&targets(&[VIP, VIP6])).unwrap();
            assert!(matches!(steering.notices().first(), Some(Notice::NoNftables { .. })));
            for vip in [VIP, VIP6] {
                assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip}");
                assert!(world.on_client(|| udp(vip, VIP_PORT, 100)), "udp {vip}");
                assert!(world.on_client(|| ping(vip)), "ping {vip}");
                assert!(tcp(vip, VIP_PORT), "tcp {vip} from the director");
            }
            let whole = [SERVER, SERVER6].map(|server| (0, (ip(server), 0).into())).into();
            steering.set_targets(&Targets { servers: whole, ..targets(&[VIP, VIP6]) }).unwrap();
            for vip in [VIP, VIP6] {
                assert!(world.on_client(|| tcp(vip, VIP_PORT)), "tcp {vip}, its server from any port");
            }
            steering.stop().unwrap();
            assert_as_before(&before);
            drop(engine);
        });
    });
}
