//! The director itself: its firewall, its rules and settings, its programs, and the engine's own limits.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use socket2::{Domain, Socket, Type};

use super::nat::{interface, nat, without_engine};
use super::patient::Patient;
use super::{Mistake, Setting};
use crate::node::Node;
use crate::topo::VipPlace;

/// Where the router sends answers that come from elsewhere.
const ELSEWHERE: &str = "192.0.2.77";

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "rp-filter",
        check: "rp-filter",
        story: "clients come by one device and are answered by another, and the filter is strict",
        build: |setting| {
            let patient = without_engine(setting, VipPlace::Routed)?.serve_by("--port tun", "-m")?;
            patient.client_node().addr_add("lo", format!("{ELSEWHERE}/32").parse()?)?;
            patient.on(patient.director(), "ip route add 192.0.2.0/24 via 10.0.0.11")?;
            Ok(patient)
        },
        make: |patient| {
            patient.on(patient.director(), "sysctl -w net.ipv4.conf.to-client.rp_filter=1")?;
            knock(patient.client_node(), ELSEWHERE, SocketAddr::new(patient.vip(), 80))
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "rule-first",
        check: "rules",
        story: "somebody's routing rule comes before those of the engine",
        build: by_stack,
        make: |patient| {
            let line = format!("ip rule add pref 0 to {} lookup main && ip rule", patient.vip());
            patient.on(patient.director(), &line)
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "drop-policy",
        check: "filter",
        story: "a firewall drops what passes through, unless it was told otherwise",
        build: by_stack,
        make: |patient| {
            let line = "nft add table inet fw && nft add chain inet fw pass '{ type filter hook forward priority 0; policy drop; }'";
            patient.on(patient.director(), line)
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "port-taken",
        check: "port-taken",
        story: "a program of the director listens at the VIP and port of the service",
        build: interface,
        make: |patient| {
            let vip = patient.vip();
            let program = format!(
                "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => '{vip}', LocalPort => 80, Listen => 5, \
                 ReuseAddr => 1) or die; print \"listening\\n\"; $| = 1; print \"\\n\"; sleep 600"
            );
            let mut command = patient.director().command("perl");
            command.args(["-e", &program]).stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = patient.director().spawn(&mut command)?;
            let mut said = [0];
            let out = child.stdout.as_mut().context("no output")?;
            std::io::Read::read_exact(out, &mut said).context("it does not listen")?;
            patient.children.push(child);
            Ok(())
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "killed",
        check: "left-behind",
        story: "the engine was killed, and its rules are still there",
        build: nat,
        make: |patient| {
            patient.on(
                patient.director(),
                "kill -9 $(ulvs status --json | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')",
            )?;
            let end = Instant::now() + Duration::from_secs(5);
            while patient.shell(patient.director(), "ulvs status")?.status.success() {
                ensure!(Instant::now() < end, "the engine does not die");
            }
            patient.is_over = true;
            Ok(())
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "table-full",
        check: "limits",
        story: "the table of connections is too small for the clients that there are",
        build: |setting| limited(setting, 16),
        make: |patient| {
            let target = SocketAddr::new(patient.vip(), 80);
            let connect =
                || (0..16).filter_map(|_| TcpStream::connect_timeout(&target, Duration::from_secs(1)).ok());
            // The table remembers them for a while.
            patient.client_node().run(|| drop(connect().collect::<Vec<_>>()))
        },
        noticed: true,
        by_hand: Some(|patient| {
            patient.ulvs("stop")?;
            configured(patient, 10_000)
        }),
    },
    Mistake {
        name: "dropping",
        check: "drops",
        story: "somebody sends packets to the VIP that no service takes",
        build: nat,
        make: |patient| {
            let send = format!(
                "socket(my $s, 2, 3, 99) or die; my $to = pack('S n a4 x8', 2, 0, pack('C4', split(/\\./, '{}'))); while (1) {{ \
                 send($s, 'x' x 20, 0, $to); select(undef, undef, undef, 0.05) }}",
                patient.vip()
            );
            let mut command = patient.client_node().command("perl");
            command.args(["-e", &send]).stdin(Stdio::null());
            let child = patient.client_node().spawn(&mut command)?;
            patient.children.push(child);
            Ok(())
        },
        noticed: false,
        by_hand: Some(|patient| {
            patient.children.clear();
            Ok(())
        }),
    },
    Mistake {
        name: "no-offload",
        check: "notices",
        story: "the engine's device has no offload",
        build: nat,
        make: |patient| {
            patient.ulvs("ipvsadm -Sn > $ULVS_STATE_DIR/rules")?;
            patient.ulvs("stop")?;
            again(patient, "--port tun --offload off")
        },
        noticed: false,
        by_hand: Some(|patient| {
            patient.ulvs("stop")?;
            again(patient, "--offload auto")
        }),
    },
];

/// An engine whose packets pass the host's stack: rings take them before rules and chains see them. The VIP is an address
/// of the director's.
fn by_stack(setting: &Setting) -> anyhow::Result<Patient> {
    without_engine(setting, VipPlace::Interface)?.serve_by("--port tun", "-m")
}

/// A packet from an address of the client's, whatever comes of it.
fn knock(client: &Node, from: &str, to: SocketAddr) -> anyhow::Result<()> {
    let from: IpAddr = from.parse()?;
    client.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        let outcome = socket.connect_timeout(&to.into(), Duration::from_millis(300));
        ensure!(outcome.is_err(), "{from} is served");
        Ok(())
    })?
}

/// An engine with a configuration of its own.
fn limited(setting: &Setting, connections: u32) -> anyhow::Result<Patient> {
    let patient = without_engine(setting, VipPlace::Routed)?;
    configured(&patient, connections)?;
    Ok(patient)
}

fn configured(patient: &Patient, connections: u32) -> anyhow::Result<()> {
    let servers = patient.server_addrs().iter();
    let servers: String =
        servers.map(|server| format!("[[service.server]]\naddress = \"{}:80\"\n", server.v4)).collect();
    let text = format!(
        "[engine]\nmax_connections = {connections}\n[[service]]\nvip = \"{}\"\nports = [\"tcp/80\"]\nscheduler = \"rr\"\n{servers}",
        patient.vip()
    );
    let path = patient.directory().join("ulvs.toml");
    std::fs::write(&path, text)?;
    patient.ulvs(&format!("run --detach --config {}", path.display()))
}

/// The engine with the rules that were saved.
fn again(patient: &Patient, arguments: &str) -> anyhow::Result<()> {
    patient.ulvs(&format!("run --detach --rules $ULVS_STATE_DIR/rules {arguments}"))
}
