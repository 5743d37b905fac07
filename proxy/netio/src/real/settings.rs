//! The settings of a real server. Each has to have at least a certain value in force, which for these is the larger one
//! of `all` and the device's.

use std::io;

use super::{Change, RealError};
use crate::journal::Held;
use crate::netlink::NetlinkSocket;
use crate::steer::host::Host;
use crate::sysctl::{Group, Knob};

/// Answer ARP only for addresses of the device that the question came in on; larger values are stricter still, and
/// keep silent about addresses of scope host too.
const ARP_IGNORE: (&str, i64) = ("arp_ignore", 1);
/// Ask with an address of the device that the question leaves by.
const ARP_ANNOUNCE: (&str, i64) = ("arp_announce", 2);
const RP_FILTER: &str = "rp_filter";
/// A source may be reached by any device.
const LOOSE: i64 = 2;
const STRICT: i64 = 1;

/// The name that stands for all devices.
const ALL: &str = "all";

/// A setting to be changed.
struct Step<'a> {
    knob: Knob,
    device: &'a str,
    now: i64,
    want: i64,
}

/// Makes the settings be as a real server needs them, if `plain` one that packets come to as they are. `note` is told
/// what will be held, before anything is changed.
pub(super) fn apply(
    host: &Host,
    netlink: &mut NetlinkSocket,
    changes: &mut Vec<Change>,
    plain: bool,
    mut held: Vec<Held>,
    note: impl FnOnce(Vec<Held>) -> Result<(), RealError>,
) -> Result<(), RealError> {
    let steps = steps(host, plain, writable(ALL, ARP_IGNORE.0));
    for step in &steps {
        match held.iter_mut().find(|held| held.knob == step.knob) {
            // Somebody has overwritten ours: theirs is what to put back.
            Some(had) => (had.original, had.ours) = (step.now, step.want),
            None => held.push(Held {
                knob: step.knob.clone(),
                device: step.device.to_owned(),
                original: step.now,
                ours: step.want,
            }),
        }
    }
    note(held)?;
    for Step { knob, device, now, want } in steps {
        let at = knob.at(device);
        at.write(netlink, want).map_err(|source| RealError::Setting {
            name: at.to_string(),
            want,
            now,
            source,
        })?;
        changes.push(Change::Setting { name: at.to_string(), from: now, to: want });
    }
    Ok(())
}

/// Puts back all but those to `keep`. A setting that somebody else has changed since is left alone. Those that could
/// not be put back stay held.
pub(super) fn release(
    host: &Host,
    netlink: &mut NetlinkSocket,
    changes: &mut Vec<Change>,
    held: &mut Vec<Held>,
    keep: &[Held],
) -> Result<(), RealError> {
    let mut result = Ok(());
    held.retain(|held| {
        if keep.contains(held) {
            return true;
        }
        let Held { knob, original, ours, .. } = held;
        let device = match knob.device {
            0 => Some(ALL),
            index => host.links.get(&index).map(|link| link.name.as_str()),
        };
        // A device that is gone has taken its settings along.
        let Some(at) = device.map(|device| knob.at(device)) else { return false };
        if !at.read().is_ok_and(|now| now == *ours) {
            return false;
        }
        match at.write(netlink, *original) {
            Ok(()) => {
                changes.push(Change::Setting { name: at.to_string(), from: *ours, to: *original });
                false
            }
            Err(source) => {
                let error = RealError::Setting { name: at.to_string(), want: *original, now: *ours, source };
                result = std::mem::replace(&mut result, Ok(())).and(Err(error));
                true
            }
        }
    });
    result
}

/// Those that are still needed where there is an IPv4 address left, if `plain` one that packets come to as they are.
pub(super) fn needed(held: &[Held], plain: bool) -> Vec<Held> {
    held.iter().filter(|held| plain || held.knob.key != RP_FILTER).cloned().collect()
}

/// What is not as it has to be, in words.
pub(super) fn unmet(host: &Host, plain: bool) -> Vec<String> {
    steps(host, plain, false)
        .iter()
        .map(|Step { knob, device, now, want }| format!("{} is {now}, not {want}", knob.at(device)))
        .collect()
}

/// What has to be changed. For `all` devices at once, which covers those to come, or for each by itself where that
/// cannot be written.
fn steps(host: &Host, plain: bool, all_at_once: bool) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let devices = host.links.iter().filter(|(_, link)| !link.loopback);
    let devices = || devices.clone().map(|(index, link)| (*index, link.name.as_str()));
    for (key, want) in [ARP_IGNORE, ARP_ANNOUNCE] {
        let Ok(all) = read(0, ALL, key) else { continue };
        if all >= want {
            continue;
        }
        let knob = |device| Knob::new(Group::Ipv4Conf, key, device);
        if all_at_once {
            steps.push(Step { knob: knob(0), device: ALL, now: all, want });
            continue;
        }
        // Where nobody asks for neighbours nobody is told.
        let asked = devices().filter(|(index, _)| host.links[index].resolves);
        steps.extend(asked.filter_map(|(index, device)| {
            let now = read(index, device, key).ok()?;
            (now < want).then(|| Step { knob: knob(index), device, now, want })
        }));
    }
    if !plain {
        return steps;
    }
    let all = read(0, ALL, RP_FILTER).unwrap_or(0);
    steps.extend(devices().filter_map(|(index, device)| {
        let now = read(index, device, RP_FILTER).ok()?;
        let knob = Knob::new(Group::Ipv4Conf, RP_FILTER, index);
        // Off stays off: then nothing is in the way.
        (now.max(all) == STRICT).then_some(Step { knob, device, now, want: LOOSE })
    }));
    steps
}

fn read(index: u32, device: &str, key: &str) -> io::Result<i64> {
    Knob::new(Group::Ipv4Conf, key, index).at(device).read()
}

/// Whether the setting's file can be written.
fn writable(device: &str, key: &str) -> bool {
    let path = format!("/proc/sys/net/ipv4/conf/{device}/{key}");
    std::fs::OpenOptions::new().write(true).open(path).is_ok()
}
