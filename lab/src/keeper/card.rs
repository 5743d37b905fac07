//! What a keeper lets others know of its lab.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::node::Node;
use crate::topo::Topology;

/// A lab that is up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) scenario: String,
    pub(super) drawing: String,
    /// The keeper, as seen from where it was started.
    pub(super) pid: u32,
    pub(super) machines: Vec<Machine>,
}

/// A machine of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) name: String,
    /// The keeper's descriptors of its network, mounts and name.
    pub(super) descriptors: [i32; 3],
    pub(super) env: BTreeMap<String, String>,
}

impl Card {
    pub(super) fn of(name: &str, scenario: &str, pid: u32, topology: &dyn Topology) -> anyhow::Result<Self> {
        let machines = topology.machines().into_iter().map(Machine::of).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            name: name.to_owned(),
            scenario: scenario.to_owned(),
            drawing: topology.to_string(),
            pid,
            machines,
        })
    }

    /// The machine that somebody wants who names none.
    pub(super) fn usual_machine(&self) -> &str {
        let director = ["director", "container"].into_iter().find(|name| self.machine(name).is_ok());
        director.unwrap_or_else(|| self.machines.first().map_or("", |machine| &machine.name))
    }

    pub(super) fn machine(&self, name: &str) -> anyhow::Result<&Machine> {
        match self.machines.iter().find(|machine| machine.name == name) {
            Some(machine) => Ok(machine),
            None => bail!("the lab {} has no machine {name:?}; it has {}", self.name, self.names()),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.machines.iter().map(|machine| machine.name.as_str()).collect();
        names.join(", ")
    }

    /// In one line, for people.
    pub(super) fn line(&self) -> String {
        let scenario =
            if self.name == self.scenario { String::new() } else { format!(" ({})", self.scenario) };
        format!("{}{scenario}, kept by process {}: {}", self.name, self.pid, self.names())
    }

    /// For programs.
    pub(super) fn summary(&self) -> Value {
        let hosts: Vec<_> = self.machines.iter().map(|machine| &machine.name).collect();
        json!({ "name": self.name, "scenario": self.scenario, "pid": self.pid, "hosts": hosts })
    }
}

impl Machine {
    fn of(node: &Node) -> anyhow::Result<Self> {
        let room = node.room().with_context(|| format!("{node} has no files of its own"))?;
        let [mounts, name] = room.descriptors();
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        Ok(Self {
            name: node.name().to_owned(),
            descriptors: [node.netns().as_raw_fd(), mounts, name],
            env: node.env().iter().map(|(key, value)| (text(key), text(value))).collect(),
        })
    }
}
