//! Settings that have to have a certain value while traffic is steered.
//!
//! A value that is right already is not written. What was changed is held: when somebody else changes it, theirs is
//! what will be put back, and ours is set again.

use std::collections::BTreeMap;
use std::io;

use tracing::{info, warn};

use super::SteerError;
use super::host::Host;
use super::journal::Journal;
use super::rules::Displaced;
use crate::journal::Held;
use crate::netlink::NetlinkSocket;
use crate::sysctl::{Group, Knob};

/// Settings wanted, with their values.
pub(super) type Wanted = BTreeMap<Knob, i64>;

/// Settings held, and what they hang on.
#[derive(Debug, Default)]
pub(super) struct Knobs {
    held: BTreeMap<Knob, Held>,
    /// `net.ipv4.ip_forward`, as last seen: writing it overwrites the setting of every device.
    ip_forward: Option<i64>,
}

impl Knobs {
    /// What was held when the process ended.
    pub(super) fn left(held: &[Held]) -> Self {
        Self { held: held.iter().map(|h| (h.knob.clone(), h.clone())).collect(), ip_forward: None }
    }

    pub(super) fn held(&self) -> &BTreeMap<Knob, Held> {
        &self.held
    }

    /// Whether the setting was changed from 0 for our sake.
    pub(super) fn turned_on(&self, knob: &Knob) -> bool {
        self.held.get(knob).is_some_and(|held| held.original == 0)
    }

    /// Makes the settings be as wanted, and puts back those that are no longer. Goes on after a failure and returns
    /// the failures.
    ///
    /// # Errors
    /// Nothing was changed, because what was there could not be written down.
    pub(super) fn become_(
        &mut self,
        want: &Wanted,
        host: &Host,
        netlink: &mut NetlinkSocket,
        journal: &mut Journal,
        displaced: &[Displaced],
    ) -> Result<Vec<(Knob, SteerError)>, SteerError> {
        let mut failures = Vec::new();
        self.follow_ip_forward();

        let mut changes = Vec::new();
        for (knob, &value) in want {
            let Some(device) = name(knob, host) else { continue };
            match knob.at(device).read() {
                Ok(now) if now == value => {}
                Ok(now) => {
                    let held =
                        Held { knob: knob.clone(), device: device.to_owned(), original: now, ours: value };
                    if let Some(before) = self.held.insert(knob.clone(), held)
                        && before.ours == value
                    {
                        info!(
                            "somebody else has set {} to {now}, which is put back at the end",
                            knob.at(device)
                        );
                    }
                    changes.push((knob, device, now, value));
                }
                Err(source) => {
                    failures.push((knob.clone(), SteerError::setting(knob, device, value, None, source)))
                }
            }
        }
        if let Err(e) = journal.write(&self.held, displaced) {
            for (knob, ..) in &changes {
                self.held.remove(knob);
            }
            return Err(e);
        }
        for (knob, device, now, value) in changes {
            match knob.at(device).write(netlink, value) {
                Ok(()) => info!("changed {} {now} -> {value}", knob.at(device)),
                Err(source) => {
                    self.held.remove(knob);
                    failures
                        .push((knob.clone(), SteerError::setting(knob, device, value, Some(now), source)));
                }
            }
        }
        let released: Vec<_> = self.held.keys().filter(|knob| !want.contains_key(knob)).cloned().collect();
        for knob in released {
            self.release(&knob, host, netlink);
        }
        if let Err(e) = journal.write(&self.held, displaced) {
            warn!("{e}");
        }
        Ok(failures)
    }

    /// Puts everything back. Returns how many settings were changed.
    pub(super) fn release_all(&mut self, host: &Host, netlink: &mut NetlinkSocket) -> usize {
        let all: Vec<_> = self.held.keys().cloned().collect();
        all.iter().filter(|knob| self.release(knob, host, netlink)).count()
    }

    fn release(&mut self, knob: &Knob, host: &Host, netlink: &mut NetlinkSocket) -> bool {
        let Some(held) = self.held.remove(knob) else { return false };
        // A device that is gone has taken its settings along.
        let Some(device) = name(knob, host) else { return false };
        let located = knob.at(device);
        match located.read() {
            Ok(now) if now == held.ours && now != held.original => {}
            _ => return false,
        }
        match located.write(netlink, held.original) {
            Ok(()) => {
                info!("changed {located} {} -> {} back", held.ours, held.original);
                true
            }
            Err(e) => {
                warn!("cannot set {located} back to {}: {e}; do it by hand", held.original);
                false
            }
        }
    }

    /// When somebody turns the host into a router, or back, the values that we hold were overwritten as well, though
    /// those that are now as we want them do not show it.
    fn follow_ip_forward(&mut self) {
        let Ok(now) = Knob::new(Group::Ipv4, "ip_forward", 0).at("").read() else { return };
        if self.ip_forward.replace(now).is_some_and(|before| before != now) {
            let forwarding = |knob: &Knob| knob.group == Group::Ipv4Conf && knob.key == "forwarding";
            for held in self.held.values_mut().filter(|held| forwarding(&held.knob)) {
                held.original = now;
            }
        }
    }
}

/// The name that the setting's device has now; empty for those of no device.
fn name<'a>(knob: &Knob, host: &'a Host) -> Option<&'a str> {
    match knob.device {
        0 => Some(""),
        index => host.links.get(&index).map(|link| link.name.as_str()),
    }
}

/// A missing file: this kernel has no such setting.
pub(super) fn is_unknown(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
