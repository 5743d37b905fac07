//! What an operator can set while traffic flows: timeouts, the sysctls of IPVS, and where to be better than it.
//!
//! `ipvsadm --set`, `ulvs sysctl`, the configuration file and the API all end here, under the same names and within the
//! kernel's ranges.

mod sysctl;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use sysctl::{About, Sysctl};

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Settings {
    /// Whether the kernel's behaviour was asked for (`compat = "ipvs"`): then it was what the others began from.
    pub compat: bool,
    /// Connection timeouts.
    pub timeouts: Timeouts,
    values: [i32; Sysctl::ALL.len()],
}

impl Settings {
    /// Ours, or with `compat` the kernel's in everything.
    pub fn new(compat: bool) -> Self {
        let value = |s: Sysctl| if compat { s.about().ipvs } else { s.about().ours };
        Self { compat, timeouts: Timeouts::default(), values: Sysctl::ALL.map(value) }
    }

    /// The value of a sysctl.
    pub const fn get(&self, sysctl: Sysctl) -> i32 {
        self.values[sysctl as usize]
    }

    /// Whether a switch is on.
    pub const fn is_on(&self, sysctl: Sysctl) -> bool {
        self.get(sysctl) != 0
    }

    /// Writes a sysctl.
    ///
    /// # Errors
    /// When it does not take that value.
    pub fn set(&mut self, sysctl: Sysctl, value: i32) -> Result<(), SettingError> {
        self.put(sysctl, sysctl.accept(value)?);
        Ok(())
    }

    /// Writes what has been accepted.
    pub(crate) const fn put(&mut self, sysctl: Sysctl, value: i32) {
        self.values[sysctl as usize] = value;
    }

    /// With all of a change, or an error.
    ///
    /// # Errors
    /// A name that we do not know or a value out of range.
    pub fn changed(&self, change: &SettingsChange) -> Result<Self, SettingError> {
        let mut next = self.clone();
        next.timeouts = self.timeouts.changed(change.timeouts)?;
        for (name, value) in &change.sysctls {
            next.set(Sysctl::find(name)?, *value)?;
        }
        Ok(next)
    }

    /// What is different in `self` than in `old`, a line each.
    pub fn differences(&self, old: &Self) -> Vec<String> {
        let compat = (self.compat != old.compat)
            .then(|| format!("compat = \"{}\"", if self.compat { "ipvs" } else { "none" }));
        let timeouts = self.timeouts.named().into_iter().zip(old.timeouts.named());
        let timeouts = timeouts.filter(|(new, old)| new != old);
        let sysctls = Sysctl::ALL.into_iter().filter(|s| self.get(*s) != old.get(*s));
        compat
            .into_iter()
            .chain(timeouts.map(|((name, new), _)| format!("timeout {name} = {new}")))
            .chain(sysctls.map(|s| format!("{s} = {}", self.get(s))))
            .collect()
    }

    /// Takes over what changed between two versions of a file; what was set by hand and did not change there stays.
    pub fn reconciled(&self, old_file: &Self, new_file: &Self) -> Self {
        let pick = |now: u32, old: u32, new: u32| if old == new { now } else { new };
        let (now, old, new) = (self.timeouts, old_file.timeouts, new_file.timeouts);
        let mut values = self.values;
        for sysctl in Sysctl::ALL.into_iter().filter(|s| old_file.get(*s) != new_file.get(*s)) {
            values[sysctl as usize] = new_file.get(sysctl);
        }
        Self {
            compat: if old_file.compat == new_file.compat { self.compat } else { new_file.compat },
            timeouts: Timeouts {
                tcp: pick(now.tcp, old.tcp, new.tcp),
                tcp_fin: pick(now.tcp_fin, old.tcp_fin, new.tcp_fin),
                udp: pick(now.udp, old.udp, new.udp),
            },
            values,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(false)
    }
}

/// The timeouts that `ipvsadm --set` names, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// TCP ESTABLISHED.
    #[serde(default)]
    pub tcp: u32,
    /// TCP FIN_WAIT.
    #[serde(default)]
    pub tcp_fin: u32,
    /// UDP.
    #[serde(default)]
    pub udp: u32,
}

impl Timeouts {
    /// What `ipvsadm --set` takes: up to 31 days.
    pub(crate) const RANGE: RangeInclusive<u32> = 1..=31 * 24 * 3600;
    /// All zero: as a change, none.
    pub const KEEP: Self = Self { tcp: 0, tcp_fin: 0, udp: 0 };

    /// With those of `change` that are not 0.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn changed(self, change: Self) -> Result<Self, SettingError> {
        let mut fields = [self.tcp, self.tcp_fin, self.udp];
        for (field, (name, value)) in fields.iter_mut().zip(change.named()) {
            if value == 0 {
                continue;
            }
            if !Self::RANGE.contains(&value) {
                let (name, value) = (format!("timeout {name}"), value.to_string());
                return Err(SettingError::Range { name, value, range: 1..=*Self::RANGE.end() as i32 });
            }
            *field = value;
        }
        let [tcp, tcp_fin, udp] = fields;
        Ok(Self { tcp, tcp_fin, udp })
    }

    /// Each with its name in the configuration file.
    pub const fn named(&self) -> [(&'static str, u32); 3] {
        [("tcp", self.tcp), ("tcp_fin", self.tcp_fin), ("udp", self.udp)]
    }
}

impl Default for Timeouts {
    /// The kernel's.
    fn default() -> Self {
        Self { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

/// What to set: all of it, or if something is wrong with it, nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Timeouts; those that are 0 stay.
    #[serde(default = "keep")]
    pub timeouts: Timeouts,
    /// Sysctls by name, with or without prefix.
    #[serde(default)]
    pub sysctls: BTreeMap<String, i32>,
}

impl Default for SettingsChange {
    /// Nothing.
    fn default() -> Self {
        Self { timeouts: Timeouts::KEEP, sysctls: BTreeMap::new() }
    }
}

const fn keep() -> Timeouts {
    Timeouts::KEEP
}

/// Why something was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.what(), self.way_out())]
pub enum SettingError {
    /// Nobody knows it.
    Unknown {
        /// As it was written.
        name: String,
        /// What it resembles.
        meant: Option<Sysctl>,
    },
    /// The kernel has it, and here it would do nothing.
    Senseless {
        /// With its prefix.
        name: String,
        /// Why, and what there is in its place.
        why: &'static str,
    },
    /// Not a number that it takes.
    Range {
        /// With its prefix.
        name: String,
        /// As it was written.
        value: String,
        /// What it takes.
        range: RangeInclusive<i32>,
    },
}

impl SettingError {
    /// What is wrong.
    pub fn what(&self) -> String {
        match self {
            Self::Unknown { name, .. } => format!("there is no `{name}`"),
            Self::Senseless { name, .. } => format!("{name} has no meaning here"),
            Self::Range { name, value, .. } => format!("{name} cannot be {value}"),
        }
    }

    /// What to do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::Unknown { meant: Some(meant), .. } => format!("did you mean {meant}?"),
            Self::Unknown { meant: None, .. } => "`ulvs sysctl --help` lists what there is".to_owned(),
            Self::Senseless { why, .. } => (*why).to_owned(),
            Self::Range { range, .. } => {
                format!("it takes a whole number from {} to {}", range.start(), range.end())
            }
        }
    }
}

/// How [`Settings`] travel: sysctls by full name, so that either end may know some that the other does not.
#[derive(Serialize, Deserialize)]
struct Wire {
    compat: bool,
    timeouts: Timeouts,
    sysctls: BTreeMap<String, i32>,
}

impl From<Settings> for Wire {
    fn from(settings: Settings) -> Self {
        let sysctls = Sysctl::ALL.into_iter().map(|s| (s.to_string(), settings.get(s))).collect();
        Self { compat: settings.compat, timeouts: settings.timeouts, sysctls }
    }
}

impl From<Wire> for Settings {
    fn from(wire: Wire) -> Self {
        let mut settings = Self::new(wire.compat);
        settings.timeouts = wire.timeouts;
        for sysctl in Sysctl::ALL {
            if let Some(value) = wire.sysctls.get(&sysctl.to_string()) {
                settings.values[sysctl as usize] = *value;
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests;
