//! What chooses: ours, or models in its place. Connections are numbers here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sched::{DestKey, DestLive, Flow, Op, ServiceKey, ServiceTable, Trash};

use crate::replay::Director;

/// Somebody who is told of every edit and every connection, and is asked who gets a flow.
pub(crate) trait Chooser: Default {
    /// An edit that is legal.
    fn edit(&mut self, op: &Op);

    /// Who gets this flow. Nothing is counted.
    fn pick(&mut self, key: &ServiceKey, flow: &Flow) -> Option<DestKey>;

    /// Connections of this server, a removed one perhaps, come and go.
    fn count(&mut self, server: DestKey, active: i32, inactive: i32);

    /// This server has taken so many microseconds to answer a SYN.
    fn measure(&mut self, server: DestKey, micros: u32);

    /// The servers of a service in the order of its list, with their active and inactive connections.
    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)>;
}

impl<C: Chooser> Director for C {
    fn edit(&mut self, op: &Op) {
        Chooser::edit(self, op);
    }

    fn connect(&mut self, key: &ServiceKey, flow: &Flow, keep: bool) -> Option<DestKey> {
        let server = self.pick(key, flow)?;
        self.count(server, i32::from(keep), i32::from(!keep));
        Some(server)
    }

    fn end(&mut self, server: DestKey, times_out: bool) {
        self.count(server, -1, i32::from(!times_out));
    }

    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)> {
        Chooser::loads(self, key)
    }
}

/// The crate.
#[derive(Default)]
pub(crate) struct Ours {
    table: ServiceTable,
    trash: Trash,
    lives: HashMap<DestKey, Arc<DestLive>>,
}

impl Chooser for Ours {
    fn edit(&mut self, op: &Op) {
        self.table = self.table.apply(&mut self.trash, std::slice::from_ref(op)).unwrap();
        for service in self.table.services() {
            self.lives.extend(service.dests.iter().map(|d| (d.live.key, Arc::clone(&d.live))));
        }
    }

    fn pick(&mut self, key: &ServiceKey, flow: &Flow) -> Option<DestKey> {
        self.table.get(key).unwrap().pick(flow).map(|dest| dest.live.key)
    }

    fn count(&mut self, server: DestKey, active: i32, inactive: i32) {
        let live = &self.lives[&server];
        live.active.fetch_add(active as u32, Relaxed);
        live.inactive.fetch_add(inactive as u32, Relaxed);
        live.update_overload();
    }

    fn measure(&mut self, server: DestKey, micros: u32) {
        self.lives[&server].count_handshake(micros);
    }

    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)> {
        let dests = self.table.get(key).unwrap().dests.iter();
        dests.map(|d| (d.live.key, d.active(), d.inactive())).collect()
    }
}
