//! What the processes of a node use: of `/proc`, so that it does not matter who started them or whether they detached
//! themselves. Work that the kernel does on their behalf in interrupts is charged to whoever runs then; only the whole
//! machine's CPU has all of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use netio::netns::Netns;

use crate::node::Node;

/// Ticks of `/proc` in a second: the same on every Linux.
const TICKS: f64 = 100.0;

/// At a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::bench) struct Usage {
    /// Seconds of CPU so far, of processes that live.
    pub(super) cpu: f64,
    /// Resident memory in KiB; pages that processes share count for each.
    pub(super) resident: f64,
    /// TCP sockets of the node, both families.
    pub(super) sockets: f64,
    /// Bytes that left by the node's interface towards the client.
    pub(super) sent: f64,
}

impl Usage {
    /// As it is now.
    pub(super) fn of(node: &Node, interface: &str) -> anyhow::Result<Self> {
        let mut usage = Self::default();
        for pid in processes(node.netns())? {
            // Whoever ends meanwhile uses nothing.
            usage.cpu += cpu_of(&[pid]);
            let status = fs::read_to_string(format!("/proc/{pid}/status"));
            usage.resident += status.ok().as_deref().and_then(resident).unwrap_or(0.0);
        }
        let (sockets, devices) = node.run(|| {
            let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
            (read("sockstat").and_then(|v4| Ok(v4 + &read("sockstat6")?)), read("dev"))
        })?;
        usage.sockets = in_use(&sockets.context("cannot count sockets")?);
        usage.sent = sent(&devices.context("cannot read the interfaces' counters")?, interface)
            .with_context(|| format!("no interface {interface} in {node}"))?;
        Ok(usage)
    }

    /// What was used since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            resident: self.resident - before.resident,
            sockets: self.sockets - before.sockets,
            sent: self.sent - before.sent,
        }
    }
}

/// Seconds of CPU that were not idle so far, of all cores together.
pub(super) fn machine() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("is /proc mounted?")?;
    busy(&stat).context("/proc/stat is not understood")
}

/// proc_stat(5): user, nice, system, idle, iowait, irq, softirq.
fn busy(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else { return None };
    Some((user + nice + system + irq + softirq) / TICKS)
}

/// Seconds of CPU so far, of these processes as far as they live.
pub(super) fn cpu_of(pids: &[u32]) -> f64 {
    let of = |pid| cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    pids.iter().filter_map(of).sum()
}

/// Those in a namespace.
pub(super) fn processes(netns: &Netns) -> anyhow::Result<Vec<u32>> {
    use std::os::fd::AsRawFd as _;
    let own = fs::metadata(format!("/proc/self/fd/{}", netns.as_raw_fd())).context("is /proc mounted?")?;
    let entries = fs::read_dir("/proc").context("is /proc mounted?")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let inside = |pid: &u32| {
        fs::metadata(format!("/proc/{pid}/ns/net"))
            .is_ok_and(|theirs| (theirs.dev(), theirs.ino()) == (own.dev(), own.ino()))
    };
    Ok(pids.filter(inside).collect())
}

/// proc_pid_stat(5): `utime` and `stime` are the 14th and 15th, and the name before them may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, after) = stat.rsplit_once(") ")?;
    let mut numbers = after.split(' ').skip(11).map(str::parse::<f64>);
    Some((numbers.next()?.ok()? + numbers.next()?.ok()?) / TICKS)
}

fn resident(status: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

fn in_use(sockstat: &str) -> f64 {
    let tcp = sockstat.lines().filter(|line| line.starts_with("TCP: ") || line.starts_with("TCP6: "));
    tcp.filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()).sum()
}

fn sent(devices: &str, interface: &str) -> Option<f64> {
    let line = devices.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))?;
    line.split_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_understood() {
        let stat = "12 (a) (b) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10 18446744073709551615";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n"), Some(1234.0));
        let sockets =
            "sockets: used 9\nTCP: inuse 5 orphan 0 tw 7 alloc 9 mem 3\nUDP: inuse 2 mem 0\nTCP6: inuse 3\n";
        assert_eq!(in_use(sockets), 8.0);
        let devices = "Inter-|\n face |bytes\n  eth0: 1 2 0 0 0 0 0 0 77 4 0 0 0 0 0 0\n eth01: 9 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(sent(devices, "eth0"), Some(77.0));
        assert_eq!(sent(devices, "eth9"), None);
        assert_eq!(busy("cpu  100 50 200 1000 77 30 20 9 0 0\ncpu0 1 1 1\n"), Some(4.0));
    }

    #[test]
    fn a_busy_process_of_the_node_is_counted_and_others_are_not() {
        let node = Node::new("busy").unwrap();
        let before = Usage::of(&node, "lo").unwrap();
        assert_eq!((before.cpu, before.resident), (0.0, 0.0));
        let mut command = node.command("sh");
        let _child = node.spawn(command.args(["-c", "while :; do :; done"])).unwrap();
        let used = crate::wait::wait_for("a tick", std::time::Duration::from_secs(10), || {
            let used = Usage::of(&node, "lo").ok()?.since(before);
            (used.cpu > 0.0).then_some(used)
        });
        assert!(used.unwrap().resident > 100.0);
    }
}
