//! The side of a real server: `ulvs doctor --real`.

use std::net::SocketAddr;
use std::time::Duration;

use super::Mistake;
use super::direct::{direct, tunnel};
use super::patient::{Patient, Place};

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "real-arp",
        check: "real-arp",
        story: "a real server's VIP was added by hand, and arp_ignore was forgotten",
        build: |setting| direct(setting).map(on_server),
        make: |patient| patient.on(patient.server(0), "sysctl -w net.ipv4.conf.all.arp_ignore=0"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "real-announce",
        check: "real-arp",
        story: "a real server asks for its neighbours in the VIP's name",
        build: |setting| direct(setting).map(on_server),
        make: |patient| patient.on(patient.server(0), "sysctl -w net.ipv4.conf.all.arp_announce=0"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "real-filter",
        check: "real-filter",
        story: "a real server answers clients by another device than the director's, and its filter is strict",
        build: |setting| {
            let patient = on_server(direct(setting)?);
            patient.client_node().addr_add("lo", "192.0.2.77/32".parse()?)?;
            patient.on(patient.server(0), "ip route add 192.0.2.0/24 dev lo")?;
            Ok(patient)
        },
        make: |patient| {
            patient.on(patient.server(0), "sysctl -w net.ipv4.conf.eth0.rp_filter=1")?;
            let to = SocketAddr::new(patient.server_addrs()[0].v4, 80);
            patient.client_node().run(|| {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                socket.bind(&SocketAddr::from(([192, 0, 2, 77], 0)).into())?;
                let outcome = socket.connect_timeout(&to.into(), Duration::from_millis(300));
                anyhow::ensure!(outcome.is_err(), "the server answers");
                Ok(())
            })?
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "real-lost",
        check: "real-lost",
        story: "somebody has removed the VIP that `ulvs real start` had given to a server",
        build: |setting| {
            let patient = on_server(direct(setting)?);
            patient.on(patient.server(0), &format!("ip address del {}/32 dev lo", patient.vip()))?;
            patient.on(patient.server(0), &format!("ulvs real start --vip {}", patient.vip()))?;
            Ok(patient)
        },
        make: |patient| patient.on(patient.server(0), &format!("ip address del {}/32 dev lo", patient.vip())),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "real-tunnels",
        check: "real-tunnels",
        story: "the process that takes packets out of tunnels was killed",
        build: |setting| tunnel(setting).map(on_server),
        make: |patient| {
            patient.on(
                patient.server(0),
                "kill -9 $(ulvs real status --json | sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')",
            )
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "real-listener",
        check: "real-listener",
        story: "no program of a real server listens",
        build: |setting| direct(setting).map(on_server),
        make: |patient| {
            patient.end_first_server();
            Ok(())
        },
        noticed: true,
        by_hand: Some(Patient::start_first_server),
    },
];

fn on_server(mut patient: Patient) -> Patient {
    patient.at = Place::FirstServer;
    patient.arguments = vec!["--real".to_owned()];
    patient
}
