//! What somebody who is not a file wants to be otherwise: services and servers, settings, the weight of a server that is drained.

use std::time::Duration;

use control::api::{Applied, Apply, ApplyError, ApplyMode, DrainOrder, DrainView, OpFailure, SetError};
use control::settings::{Settings, SettingsChange};
use sched::{Dest, DestSpec, Op, OpError, ServiceKey, Weight};
use tokio::time::Instant;

use super::Director;
use crate::front::Fronts;
use crate::reason::reason;

impl Director {
    pub(super) fn apply(&mut self, request: Apply) -> Result<Applied, ApplyError> {
        let files = |(index, error)| ApplyError::Files { index, reason: reason(&error) };
        Fronts::check(&request.ops).map_err(files)?;
        let table = self.engine.services();
        let (table, failures) = match request.mode {
            ApplyMode::Atomic => {
                let table = table.apply(&mut self.trash, &request.ops);
                (table.map_err(|(index, error)| ApplyError::Refused { index, error })?, Vec::new())
            }
            ApplyMode::KeepGoing => table.apply_each(&mut self.trash, &request.ops),
        };
        let generation = table.generation();
        self.put_in_force(table).map_err(ApplyError::System)?;
        let failures = failures.into_iter().map(|(index, error)| OpFailure { index, error }).collect();
        Ok(Applied { generation, failures })
    }

    pub(super) fn set(&mut self, change: &SettingsChange) -> Result<Settings, SetError> {
        let settings = self.settings.load().changed(change)?;
        self.put_settings(settings.clone());
        Ok(settings)
    }

    /// Takes a server's weight away, or gives it back.
    pub(super) fn drain(&mut self, order: DrainOrder) -> Result<DrainView, ApplyError> {
        let DrainOrder { service: key, server, deadline, undo } = order;
        let refused = |error| move || ApplyError::Refused { index: 0, error };
        let table = self.engine.services();
        let service = table.get(&key).ok_or_else(refused(OpError::NoSuchService))?;
        let dest = service.find(&server).ok_or_else(refused(OpError::NoSuchDest))?;
        if undo {
            let ended = self.drains.end(key, server);
            let unknown = || ApplyError::System(format!("{server} of {key} is not being drained"));
            let ended = ended.ok_or_else(unknown)?;
            self.weigh(key, dest, ended.weight)?;
            return Ok(ended);
        }
        // Before the table changes: whoever looks after its health leaves its weight alone then.
        dest.live.set_draining(true);
        if let Err(error) = self.weigh(key, dest, Weight(0)) {
            dest.live.set_draining(false);
            return Err(error);
        }
        let deadline = deadline.map(|s| Instant::now() + Duration::from_secs(s.into()));
        Ok(self.drains.begin(key, &dest.live, dest.configured, deadline))
    }

    fn weigh(&mut self, key: ServiceKey, dest: &Dest, weight: Weight) -> Result<(), ApplyError> {
        if weight != dest.configured || dest.fitness.weight.is_some() {
            let ops = vec![Op::EditDest { key, dest: DestSpec { weight, ..dest.spec() } }];
            self.apply(Apply { mode: ApplyMode::Atomic, ops })?;
        }
        Ok(())
    }
}
