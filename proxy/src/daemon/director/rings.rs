//! The packet port as the director sees it: which devices it is on, and what its rings are to receive.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::bail;
use control::config::Port as Choice;
use netio::packet::{Fared, Intake, Scope};
use netio::poll::Waker;
use netio::steer::{Targets, TargetsChange};

use super::Director;
use super::alone::lips;
use crate::daemon::worker::Turns;
use crate::reason::reason;

/// The rings of all workers.
pub(in crate::daemon) struct Rings {
    pub(in crate::daemon) intake: Intake,
    /// Names of the only devices to use; without any, all.
    pub(in crate::daemon) only: Vec<String>,
    /// Names of those that they are on, as it is told.
    pub(in crate::daemon) on: Vec<String>,
    /// How often workers had looked at them when they were looked after last.
    turned: Vec<u64>,
}

impl Rings {
    pub(in crate::daemon) const fn new(intake: Intake, only: Vec<String>) -> Self {
        Self { intake, only, on: Vec::new(), turned: Vec::new() }
    }

    /// Those that it is to be on and is not.
    fn missing(&self) -> Option<String> {
        let names: Vec<_> = self.only.iter().filter(|name| !self.on.contains(name)).cloned().collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// They receive what comes besides. What goes is received until the next [`Director::set_scope`], and taken by nobody.
    pub(super) fn widen(&mut self, change: &TargetsChange) {
        let scope = self.intake.scope();
        let (to, from) = (ips(&change.come.services), ips(&change.come.servers));
        if !to.is_subset(&scope.to) || !from.is_subset(&scope.from) {
            let mut scope = scope.clone();
            scope.to.extend(to);
            scope.from.extend(from);
            self.set(&scope);
        }
    }

    fn set(&mut self, scope: &Scope) {
        if let Err(error) = self.intake.set(scope) {
            tracing::warn!("what the packet port receives cannot be changed: {error}");
        }
    }
}

impl Director {
    /// Has the rings on the devices that there are now, and the kernel keep still on these.
    pub(super) fn follow_devices(&mut self) -> anyhow::Result<()> {
        let Some(rings) = &mut self.rings else { return Ok(()) };
        let wanted = |name: &str| rings.only.is_empty() || rings.only.iter().any(|only| only == name);
        let found: Vec<_> = self.ground.ethernet().into_iter().filter(|(_, name)| wanted(name)).collect();
        let devices: BTreeSet<_> = found.iter().map(|(index, _)| *index).collect();
        if rings.intake.scope().devices == devices {
            return Ok(());
        }
        let on: Vec<_> = found.into_iter().map(|(_, name)| name.to_owned()).collect();
        // What goes is received no more before the kernel answers again, and what comes only after it has fallen silent.
        let mut scope = rings.intake.scope().clone();
        scope.devices.retain(|device| devices.contains(device));
        rings.set(&scope);
        if let Err(error) = self.ground.set_rings(&devices, &self.wakers) {
            rings.set(&Scope::default());
            rings.on.clear();
            return Err(error.into());
        }
        rings.set(&Scope { devices, ..scope });
        rings.on = on;
        self.port_words.store(Arc::new(self.words()));
        Ok(())
    }

    /// Which port it is, for whoever asks.
    fn words(&self) -> String {
        match &self.rings {
            Some(rings) => {
                let on = if rings.on.is_empty() { "no device".to_owned() } else { rings.on.join(", ") };
                let missing = rings.missing().map_or_else(String::new, |names| format!(", not on {names}"));
                let alone = if self.ground.is_alone() { " alone, without a TUN device" } else { "" };
                format!("packet, on {on}{missing}{alone}")
            }
            None => "tun".to_owned(),
        }
    }

    /// The rings receive what is of interest to these targets.
    pub(super) fn set_scope(&mut self, targets: &Targets) {
        let (alone, mut to) = (self.ground.is_alone(), ips(&targets.services));
        if alone {
            to.extend(
                targets.vips.iter().copied().chain(lips(&self.ground)).chain(targets.lips.iter().copied()),
            );
        }
        let Some(rings) = &mut self.rings else { return };
        let devices = rings.intake.scope().devices.clone();
        rings.set(&Scope { devices, to, from: ips(&targets.servers), alone });
    }

    /// Once this returns, the rings go by what they were told.
    pub(super) fn await_rings(&self) {
        if self.rings.is_some() {
            Turns::await_all(&self.turns, || self.wakers.iter().for_each(Waker::wake));
        }
    }

    /// Sees how they have fared. Where one has stopped, it goes on without any.
    ///
    /// # Errors
    /// Where rings are all there is.
    pub(super) fn look_at_rings(&mut self) -> anyhow::Result<()> {
        let Some(rings) = &mut self.rings else { return Ok(()) };
        let turned: Vec<_> = self.turns.iter().map(|turns| turns.count()).collect();
        // Who was in the middle of a turn has begun another one.
        let emptied = turned.iter().zip(&rings.turned).all(|(now, before)| *now >= before + 2);
        let Fared { lost, stopped } = rings.intake.look(emptied);
        rings.turned = turned;
        if lost == 0 {
            return Ok(());
        }
        self.errors.lost.fetch_add(lost, Relaxed);
        // A ring that has stopped wakes nobody, and the next look is to be sure.
        self.wakers.iter().for_each(Waker::wake);
        if !stopped {
            return Ok(());
        }
        const WHY: &str = "one of its rings has stopped: the kernel could not describe a packet (a super-packet of UDP \
                           fragments or of SCTP, perhaps from a guest)";
        if self.ground.is_alone() {
            bail!("the packet port receives nothing any more: {WHY}; it works again after a start");
        }
        tracing::error!(
            "the packet port is left, and the TUN port goes on: {WHY}; the packet port works again after a start"
        );
        self.close_rings();
        self.rings = None;
        self.ground.set_rings(&BTreeSet::new(), &self.wakers)?;
        self.port_words.store(Arc::new(self.words()));
        self.port_reason.store(Arc::new(format!("the packet port was left: {WHY}")));
        Ok(())
    }

    /// They receive nothing more.
    pub(super) fn close_rings(&mut self) {
        if let Some(rings) = &mut self.rings {
            rings.set(&Scope::default());
        }
    }

    /// Where the engine begins with the packet port, if there are rings, for the reason given. Without being asked for it
    /// goes on without it where that does not work.
    pub(in crate::daemon) fn begin_rings(
        &mut self,
        rings: Option<Rings>,
        choice: Choice,
        mut why: String,
    ) -> anyhow::Result<()> {
        self.rings = rings;
        if let Err(error) = self.follow_devices() {
            if choice == Choice::Packet {
                return Err(error);
            }
            why = reason(&error);
            self.rings = None;
        }
        self.port_words.store(Arc::new(self.words()));
        if let Some(names) = self.rings.as_ref().and_then(Rings::missing) {
            tracing::warn!(
                "the packet port is not on {names}: it waits for an Ethernet device of that name to be up"
            );
        }
        if choice == Choice::Auto {
            tracing::info!("port auto: {}, because {why}", self.words());
        }
        self.port_reason.store(Arc::new(why));
        Ok(())
    }

    /// Where rings are all there is, the addresses that they are to know may be others.
    pub(super) fn keep_up_alone(&mut self) {
        if self.ground.is_alone() {
            let targets = self.ground.targets().clone();
            self.set_scope(&targets);
        }
    }

    /// The same as [`Self::follow_devices`] whenever something may have happened. What is wrong is tried again later.
    pub(super) fn keep_up_with_devices(&mut self) {
        match self.follow_devices() {
            Ok(()) => self.no_rings = None,
            Err(error) => {
                let text = reason(&error);
                if self.no_rings.as_ref() != Some(&text) {
                    tracing::warn!("{text}");
                    self.no_rings = Some(text);
                }
            }
        }
    }
}

fn ips(of: &BTreeSet<(u8, SocketAddr)>) -> BTreeSet<IpAddr> {
    of.iter().map(|(_, addr)| addr.ip()).collect()
}
