//! What is in files: the configuration, read at the start and whenever somebody asks, and the rules that outlive us.

use anyhow::Context;
use control::api::{Apply, ApplyMode, Reloaded};
use control::config::Config;
use control::settings::Timeouts;
use control::source::Loaded;
use control::state;
use sched::Op;
use tracing::{error, info};

use super::{Director, Rules, rules};
use crate::front::Fronts;

impl Director {
    /// Puts the settings and services of the configuration file in force, or the services of the rules file.
    pub(in crate::daemon) fn load(&mut self, file: Config, rules: Option<Rules>) -> anyhow::Result<()> {
        let mut settings = file.settings(self.compat);
        if let Some(rules) = &rules {
            settings.timeouts = settings.timeouts.changed(rules.timeouts)?;
        }
        self.put_settings(settings);
        let services = rules.as_ref().map_or_else(|| file.services(), |rules| &rules.services);
        let mut ops: Vec<_> = services.iter().map(|s| Op::AddService { service: s.clone() }).collect();
        ops.extend(state::diff_marks(&[], file.marks()));
        let lips = rules.as_ref().map_or_else(|| file.lips(), |rules| &rules.lips);
        ops.extend(state::diff_lips(None, &[], lips));
        Fronts::check(&ops).map_err(|(_, error)| error)?;
        let table = self.engine.services().apply(&mut self.trash, &ops);
        let table = table.map_err(|(i, error)| anyhow::anyhow!("cannot {}: {error}", ops[i]))?;
        self.put_in_force(table).map_err(anyhow::Error::msg)?;
        self.file = file;
        self.rules = rules;
        Ok(())
    }

    /// Writes the rules file, if it is to be written. Timeouts that are the configuration's are not put into it.
    pub(in crate::daemon) fn save_rules(&self) -> anyhow::Result<()> {
        let Some(Rules { path, save: true, .. }) = &self.rules else { return Ok(()) };
        let table = self.engine.services();
        let services: Vec<_> = table.services().map(|s| s.spec()).collect();
        let lips: Vec<_> = table.shared_lips().collect();
        let timeouts = self.settings.load().timeouts;
        let configured = self.file.settings(self.compat).timeouts;
        let timeouts = if timeouts == configured { Timeouts::default() } else { timeouts };
        rules::write(path, &services, &lips, timeouts)
            .with_context(|| format!("the services were not saved: cannot write {}", path.display()))?;
        info!(path = %path.display(), services = services.len(), "rules saved");
        Ok(())
    }

    pub(in crate::daemon) fn reload_and_log(&mut self) {
        if self.source.is_none() && self.fronts.any() {
            // Certificates are files, too. What comes of it is logged there.
            self.fronts.reload();
            return;
        }
        match self.reload() {
            Ok(done) if done.changes.is_empty() => info!("reload: nothing has changed"),
            Ok(done) => done.changes.iter().for_each(|line| info!("reload: {line}")),
            Err(text) => error!("reload: nothing was changed: {text}"),
        }
    }

    pub(super) fn reload(&mut self) -> Result<Reloaded, String> {
        let Some(source) = &self.source else {
            return Err("the engine was started without --config: there is no file to read again".to_owned());
        };
        let Loaded { config, notes } = source.load()?;
        if let Some(rules) = &self.rules {
            rules.check_beside(source.path(), &config)?;
        }
        let running = self.engine.services();
        let specs: Vec<_> = running.services().map(|s| s.spec()).collect();
        let mut ops = state::reconcile(&specs, self.file.services(), config.services());
        let lips: Vec<_> = running.shared_lips().collect();
        ops.extend(state::reconcile_lips(&lips, self.file.lips(), config.lips()));
        let rules: Vec<_> = running.marks().rules().cloned().collect();
        ops.extend(state::reconcile_marks(&rules, self.file.marks(), config.marks()));
        let mut changes: Vec<_> = ops.iter().map(ToString::to_string).collect();
        let mut generation = running.generation();
        if !ops.is_empty() {
            generation =
                self.apply(Apply { mode: ApplyMode::Atomic, ops }).map_err(|e| e.to_string())?.generation;
        }
        let before = self.settings.load_full();
        let settings = before.reconciled(&self.file.settings(self.compat), &config.settings(self.compat));
        changes.extend(settings.differences(&before));
        for reloaded in self.fronts.reload() {
            let key = reloaded.service;
            changes.extend(reloaded.changes.iter().map(|line| format!("{key}: {line}")));
            changes
                .extend(reloaded.error.map(|text| format!("{key}: certificates stay as they were: {text}")));
        }
        self.put_settings(settings);
        if config.engine != self.file.engine {
            changes.push("[engine] has changed: that takes effect when ulvs is started again".to_owned());
        }
        self.file = config;
        self.tell_notes(&notes);
        Ok(Reloaded { generation, changes })
    }
}
