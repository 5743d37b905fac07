//! What the director stands on: a host that it may change, whose stack hands packets over by a TUN device, or one that it
//! has to leave as it is, where rings are all there is.

use std::net::IpAddr;

use netio::poll::Waker;
use netio::steer::{Alone, HostChange, HostView, Path, SteerError, Steering, Targets, Wanted};

use crate::reason::reason;

/// Either of them.
pub(in crate::daemon) enum Ground {
    Steered(Box<Steering>),
    Alone(Box<Alone>),
}

impl Ground {
    /// Rings are all there is.
    pub(super) const fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(_))
    }

    pub(super) fn is_local(&self, ip: IpAddr) -> bool {
        match self {
            Self::Steered(steering) => steering.is_local(ip),
            Self::Alone(alone) => alone.is_local(ip),
        }
    }

    pub(super) fn changed(&mut self) -> HostChange {
        match self {
            Self::Steered(steering) => steering.changed(),
            Self::Alone(alone) => alone.changed(),
        }
    }

    pub(super) fn targets(&self) -> &Targets {
        match self {
            Self::Steered(steering) => steering.targets(),
            Self::Alone(alone) => alone.targets(),
        }
    }

    pub(super) fn host_view(&self) -> &HostView {
        match self {
            Self::Steered(steering) => steering.host_view(),
            Self::Alone(alone) => alone.host_view(),
        }
    }

    pub(super) fn path(&self, server: IpAddr) -> Option<Path> {
        match self {
            Self::Steered(steering) => steering.path(server),
            Self::Alone(alone) => alone.path(server),
        }
    }

    pub(super) fn notices(&self) -> Vec<String> {
        match self {
            Self::Steered(steering) => steering.notices().iter().map(ToString::to_string).collect(),
            Self::Alone(alone) => alone.notices().iter().cloned().collect(),
        }
    }

    /// The devices that rings can be on, by index and name.
    pub(super) fn ethernet(&self) -> Vec<(u32, &str)> {
        match self {
            Self::Steered(steering) => steering.ethernet().collect(),
            Self::Alone(alone) => alone.ethernet().collect(),
        }
    }

    /// The kernel leaves to rings on these devices what is theirs.
    pub(super) fn set_rings(
        &mut self,
        devices: &std::collections::BTreeSet<u32>,
        wakers: &[Waker],
    ) -> Result<(), SteerError> {
        match self {
            Self::Steered(steering) => steering.set_rings(devices, wakers),
            Self::Alone(_) => Ok(()),
        }
    }

    /// Goes on with these and no others.
    pub(super) fn set(&mut self, wanted: Wanted) -> Result<(), SteerError> {
        match self {
            Self::Steered(steering) => steering.set_targets(&wanted.targets),
            Self::Alone(alone) => {
                alone.set(wanted);
                Ok(())
            }
        }
    }

    pub(super) async fn next_change(&mut self) -> Result<HostChange, SteerError> {
        match self {
            Self::Steered(steering) => steering.next_change().await,
            Self::Alone(alone) => Ok(alone.next_change().await),
        }
    }

    /// Leaves the host as it was found.
    pub(super) fn stop(self) {
        if let Self::Steered(steering) = self
            && let Err(error) = steering.stop()
        {
            tracing::error!(
                "the host is not quite as it was: {}; `ulvs clean` tries again",
                reason(&error.into())
            );
        }
    }
}
