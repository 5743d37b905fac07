//! `-h` and `-v`.

use std::fmt::Write;

use super::opts::{ENTRIES, Entry, Section, Value};

/// What scripts look for when they ask for the version: the one that this personality follows.
pub(super) const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)";

const USAGE: &str = "\
Usage:
  ipvsadm -A|E virtual-service [-s scheduler] [-p [seconds]] [-M mask] [--pe engine] [-b flags] [-o]
  ipvsadm -D virtual-service
  ipvsadm -C
  ipvsadm -R
  ipvsadm -S [-n]
  ipvsadm -a|e virtual-service -r host[:port] [options]
  ipvsadm -d virtual-service -r host[:port]
  ipvsadm -L|l [virtual-service] [options]
  ipvsadm -P|Q [virtual-service] -z address
  ipvsadm -G [virtual-service]
  ipvsadm -Z [virtual-service]
  ipvsadm --set tcp tcpfin udp
  ipvsadm --start-daemon {master|backup} [daemon-options]
  ipvsadm --stop-daemon {master|backup}
  ipvsadm -h
The command comes first. This is ulvs in the role of ipvsadm: the same words, without the kernel module.
";

const EXAMPLES: &str = "
Examples:
  ipvsadm -A -t 10.0.0.1:80 -s wrr                     # a service ...
  ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2:80 -m -w 3  # ... with a server behind NAT
  ipvsadm -Ln                                          # what there is
  ipvsadm -Ln --stats                                  # and how busy it is
  ipvsadm -e -t 10.0.0.1:80 -r 192.168.1.2:80 -m -w 0  # no new clients for that server
  ipvsadm -A -f 3 -s sh -p 600                         # all that carries mark 3, as one service
  ipvsadm -Sn > /etc/ipvsadm.rules                     # save ...
  ipvsadm-restore < /etc/ipvsadm.rules                 # ... and restore
It talks to the engine of its network namespace, which `ulvs run --detach` starts. With ULVS_AUTOSTART=1 in the
environment the first command starts one, which ends when nobody else is in the namespace any more.
";

/// The help text.
pub(super) fn text() -> String {
    let mut text = format!("{VERSION}\n{USAGE}");
    for (title, section) in [
        ("Commands", Section::Commands),
        ("virtual-service", Section::Service),
        ("Options", Section::Options),
        ("Daemon Options", Section::Daemon),
        ("Only here", Section::Ours),
    ] {
        let _ = writeln!(text, "\n{title}:");
        for entry in ENTRIES.iter().filter(|e| e.section == section) {
            line(&mut text, entry);
        }
    }
    let schedulers: Vec<_> = sched::algo::ALL.iter().collect();
    let _ = writeln!(text, "\nSchedulers (default {}):", sched::algo::DEFAULT);
    for scheduler in schedulers {
        let flags: Vec<_> = scheduler.flags.iter().map(|(name, _)| *name).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" (-b {})", flags.join(",")) };
        let _ = writeln!(text, "  {:<17} {}{flags}", scheduler.name, scheduler.summary);
    }
    text + EXAMPLES
}

/// A command is a name and a letter; an option takes a value too.
fn line(text: &mut String, entry: &Entry) {
    let short = entry.short.map(|c| format!("-{c}")).unwrap_or_default();
    let value = match entry.value {
        Value::Flag => String::new(),
        Value::Needs(name) => name.to_owned(),
        Value::May(name) => format!("[{name}]"),
    };
    let rest = format!("{short} {value}");
    let _ = writeln!(text, "  --{:<15} {:<17} {}", entry.long, rest.trim_end(), entry.help);
}
