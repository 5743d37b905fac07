//! What there is to show.

use std::time::{Duration, Instant};

use sched::{DestKey, ServiceKey};

use super::Roster;
use super::ward::{Member, Ward};
use crate::api::{CheckView, HealthList, ServerHealth, ServiceHealth};
use crate::health::machine::Rules;
use crate::health::server::Asked;

impl Roster {
    /// Everything, in the order of `ipvsadm -L`.
    pub fn list(&self, now: Instant) -> HealthList {
        let services = self.wards.iter().map(|(key, ward)| self.service(*key, ward, now));
        HealthList { services: services.collect() }
    }

    /// One server.
    pub fn show(&self, service: ServiceKey, server: DestKey, now: Instant) -> Option<ServerHealth> {
        let member = self.wards.get(&service)?.members.get(&server)?;
        Some(self.server(server, member, now))
    }

    fn service(&self, key: ServiceKey, ward: &Ward, now: Instant) -> ServiceHealth {
        let servers = ward.members.iter().map(|(server, member)| self.server(*server, member, now));
        ServiceHealth {
            service: key,
            checked: ward.is_checked(),
            quorum: ward.quorum,
            weight: ward.weight,
            needed: ward.health.quorum,
            hysteresis: ward.health.hysteresis,
            sorry: ward.sorry(),
            on_sorry: ward.serves_sorry(),
            panic: ward.panic,
            servers: servers.collect(),
        }
    }

    fn server(&self, key: DestKey, member: &Member, now: Instant) -> ServerHealth {
        let server = &member.server;
        ServerHealth {
            server: key,
            state: server.words(now),
            alive: server.is_alive(),
            used: !member.is_down(),
            draining: member.is_draining(),
            weight: member.configured(),
            effective: member.effective(),
            warming: None,
            since_ms: millis(now.saturating_duration_since(server.since)),
            reason: server.reason_now().to_owned(),
            falls: server.falls,
            rises: server.rises,
            checks: server.asked.iter().map(|asked| self.check(asked, now)).collect(),
        }
    }

    fn check(&self, asked: &Asked, now: Instant) -> CheckView {
        let last = asked.last.as_ref();
        let due = asked.id.and_then(|id| self.schedule.at(id));
        CheckView {
            kind: asked.check.kind.name().to_owned(),
            state: asked.machine.state().words(Rules::from(&*asked.check)),
            ok: last.map(|last| last.error.is_none()),
            error: last.and_then(|last| last.error.clone()),
            took_ms: last.map(|last| last.took.as_secs_f64() * 1e3),
            ago_ms: last.map(|last| millis(now.saturating_duration_since(last.at))),
            next_ms: due.map(|at| millis(at.saturating_duration_since(now))),
            interval_ms: asked.check.interval,
            asked: asked.asked,
            failed: asked.failed,
            failures_in_window: asked.check.window.map(|_| asked.machine.failures()),
        }
    }
}

const fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}
