//! An engine without packets: the real table of services, and nothing behind it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use control::api::{
    Applied, ApplyMode, ClientError, ConnPage, ConnQuery, ConnView, OpFailure, ServiceList, ServiceView,
    Status, Timeouts,
};
use sched::{Op, Proto, ServiceTable, Trash};

use super::super::Engine;

#[derive(Default)]
pub(super) struct Fake {
    /// As if none were running.
    pub(super) stopped: bool,
    /// As if `compat = "ipvs"` were set.
    pub(super) compat: bool,
    timeouts: Timeouts,
    table: ServiceTable,
    trash: Trash,
}

impl Engine for Rc<RefCell<Fake>> {
    fn status(&mut self) -> Result<Status, ClientError> {
        let this = self.borrow();
        Ok(Status { compat: this.compat, timeouts: this.timeouts, ..Status::default() })
    }

    fn services(&mut self) -> Result<ServiceList, ClientError> {
        let this = self.borrow();
        Ok(ServiceList {
            generation: this.table.generation(),
            services: this.table.services().map(|s| ServiceView::of(s, &HashMap::new())).collect(),
            lips: this.table.shared_lips().collect(),
        })
    }

    /// Two pages with one connection each, as soon as there is a service; none where the kernel's answers are
    /// replayed, which had none.
    fn connections(&mut self, query: &ConnQuery) -> Result<ConnPage, ClientError> {
        if self.borrow().compat || self.borrow().table.is_empty() {
            return Ok(ConnPage::default());
        }
        let conn = |client: &str, vip: &str, dest: &str, expires, state: &'static str| ConnView {
            proto: Some(Proto::Tcp),
            template: false,
            pe: None,
            expires,
            state: state.into(),
            client: client.parse().unwrap(),
            vip: vip.parse().unwrap(),
            dest: dest.parse().unwrap(),
        };
        Ok(match query.cursor {
            0 => ConnPage {
                connections: vec![conn(
                    "10.77.1.2:34834",
                    "10.77.9.9:80",
                    "10.77.21.2:8080",
                    119,
                    "TIME_WAIT",
                )],
                next: Some(1),
            },
            _ => ConnPage {
                connections: vec![conn(
                    "[fd77::2]:34924",
                    "[fd77::1]:80",
                    "[fd78::2]:8080",
                    899,
                    "ESTABLISHED",
                )],
                next: None,
            },
        })
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), ClientError> {
        let this = &mut *self.borrow_mut();
        this.timeouts = this.timeouts.changed(timeouts).map_err(|e| ClientError::Failed(e.to_string()))?;
        Ok(())
    }

    fn apply(&mut self, mode: ApplyMode, ops: Vec<Op>) -> Result<Applied, ClientError> {
        let this = &mut *self.borrow_mut();
        let mut failures = Vec::new();
        match mode {
            ApplyMode::Atomic => {
                let refused = |(index, error)| ClientError::Refused { index, error };
                this.table = this.table.apply(&mut this.trash, &ops).map_err(refused)?;
            }
            ApplyMode::KeepGoing => {
                let (table, failed) = this.table.apply_each(&mut this.trash, &ops);
                this.table = table;
                failures = failed.into_iter().map(|(index, error)| OpFailure { index, error }).collect();
            }
        }
        Ok(Applied { generation: this.table.generation(), failures })
    }
}
