//! Mistakes in a configuration, found before an engine has it: `ulvs doctor --config FILE`.

use super::nat::without_engine;
use super::patient::Patient;
use super::{Mistake, Setting};
use crate::topo::VipPlace;

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "interface-down",
        check: "interfaces",
        story: "the packet port is to use a device that is down",
        build: |setting| {
            configured(
                setting,
                "[engine]\nport = \"packet\"\ninterfaces = [\"to-client\", \"to-servers\", \"spare\"]\n",
            )
        },
        make: |patient| patient.director().link_down("spare"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "no-interface",
        check: "interfaces",
        story: "the packet port is to use a device that does not exist",
        build: |setting| {
            configured(setting, "[engine]\nport = \"packet\"\ninterfaces = [\"to-client\", \"to-servers\"]\n")
        },
        make: |patient| {
            write(patient, "[engine]\nport = \"packet\"\ninterfaces = [\"to-client\", \"eth7\"]\n")
        },
        noticed: false,
        by_hand: Some(|patient| write(patient, "")),
    },
    Mistake {
        name: "read-only",
        check: "forwarding",
        story: "a service of IPv6 in a container whose settings are read-only, and IPv6 is not forwarded",
        build: |setting| {
            let mut patient = configured(setting, "")?;
            patient.mounts = Some("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
            Ok(patient)
        },
        make: |patient| {
            let line = "sysctl -w net.ipv6.conf.all.forwarding=0";
            patient.on(patient.director(), line)?;
            write(
                patient,
                "[[service]]\nvip = \"2001:db8:ff::1\"\nports = [\"tcp/80\"]\n[[service.server]]\naddress = \"[2001:db8:2::11]:80\"\n",
            )
        },
        noticed: false,
        by_hand: None,
    },
];

fn configured(setting: &Setting, more: &str) -> anyhow::Result<Patient> {
    let mut patient = without_engine(setting, VipPlace::Routed)?;
    patient.director().bridge_add("spare")?;
    write(&patient, more)?;
    let path = patient.directory().join("ulvs.toml");
    patient.arguments = vec!["--config".to_owned(), path.display().to_string()];
    patient.port = None;
    Ok(patient)
}

/// A service, and what else is in the file.
fn write(patient: &Patient, more: &str) -> anyhow::Result<()> {
    let service = format!(
        "[[service]]\nvip = \"{}\"\nports = [\"tcp/80\"]\n[[service.server]]\naddress = \"{}:80\"\n",
        patient.vip(),
        patient.server_addrs()[0].v4
    );
    Ok(std::fs::write(patient.directory().join("ulvs.toml"), format!("{more}{service}"))?)
}
