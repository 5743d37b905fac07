//! `global_defs`, and the blocks beside the virtual servers.

use std::collections::HashMap;

use super::Shared;
use super::check::user_of;
use super::surplus;
use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;
use crate::settings::Timeouts;

/// What concerns VRRP.
const VRRP: &str = "VRRP is not handled yet: addresses and priorities stay as they are";
const VRRP_HELP: &str = "let keepalived do that beside ulvs: `keepalived --vrrp` leaves services alone";

/// Keywords of `global_defs` that have no meaning here, with what there is to say about them.
const NOTHING_HERE: &[(&str, &str, &[&str])] = &[
    (
        "no mail is sent",
        "let a command send it: notify_up, notify_down, quorum_up, quorum_down",
        &[
            "notification_email",
            "notification_email_from",
            "smtp_server",
            "smtp_helo_name",
            "smtp_connect_timeout",
            "smtp_alert",
            "smtp_alert_checker",
            "smtp_alert_vrrp",
            "no_email_faults",
            "no_checker_emails",
        ],
    ),
    (
        "ulvs knows no SNMP and no D-Bus",
        "ask it by `ulvs status --json` or its socket",
        &[
            "snmp_socket",
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
            "enable_snmp_checker",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "enable_dbus",
            "dbus_service_name",
            "dbus_no_interface_name",
        ],
    ),
    (
        "this is about keepalived's own process",
        "nothing has to be done",
        &[
            "router_id",
            "use_pid_dir",
            "instance",
            "child_wait_time",
            "process_names",
            "process_name",
            "checker_process_name",
            "bfd_process_name",
            "bfd_priority",
            "bfd_no_swap",
            "bfd_rt_priority",
            "bfd_rlimit_rttime",
            "bfd_cpu_affinity",
            "checker_priority",
            "checker_no_swap",
            "checker_rt_priority",
            "checker_rlimit_rttime",
            "checker_cpu_affinity",
            "max_auto_priority",
            "min_auto_priority_delay",
            "config_save_dir",
            "tmp_config_directory",
            "data_use_instance",
            "include_check",
            "json_version",
            "reload_check_config",
            "reload_repeat",
            "reload_time_file",
            "reload_file",
            "shutdown_script",
            "shutdown_script_timeout",
            "startup_script",
            "startup_script_timeout",
            "umask",
            "linkbeat_use_polling",
            "namespace_with_ipsets",
            "process_monitor_rcv_bufs",
            "process_monitor_rcv_bufs_force",
            "default_interface",
            "disable_local_igmp",
            "dynamic_interfaces",
            "random_seed",
            "state_dump_file",
            "stats_dump_file",
            "rs_init_notifies",
            "fifo_write_vrrp_states_on_reload",
        ],
    ),
    (
        "ulvs has no table that others share: it begins empty, and ends with it",
        "nothing has to be done",
        &["lvs_flush", "lvs_flush_on_stop", "lvs_flush_onstop"],
    ),
    (
        "connections are not told to another director yet",
        "connections end when the other one takes over",
        &["lvs_sync_daemon"],
    ),
    (
        "nothing is written to a FIFO",
        "let a command be told: notify_up, notify_down, quorum_up, quorum_down",
        &[
            "notify_fifo",
            "notify_fifo_script",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
            "vrrp_notify_fifo",
            "vrrp_notify_fifo_script",
        ],
    ),
    (
        "ulvs balances in the network namespace that it is started in",
        "start it there: ip netns exec NAME ulvs run",
        &["net_namespace", "net_namespace_ipvs"],
    ),
    (
        "failures are told where they change a server's state",
        "`ulvs health` shows what each server answered last",
        &["checker_log_all_failures"],
    ),
    ("commands are run as they are found", "let only root write them", &["enable_script_security"]),
    (
        "buffers of netlink are ulvs's own business",
        "nothing has to be done",
        &[
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
        ],
    ),
    (
        "a group becomes a service for each of its addresses, without rules of nftables",
        "for one service with one mark write in ulvs.toml a [[service]] with `mark`, and [[mark]] rules",
        &["nftables_ipvs", "nftables_ipvs_start_fwmark", "nftables", "nftables_counters", "nftables_ifindex"],
    ),
];

/// Blocks and lines that concern VRRP, beside those that begin with `vrrp_`.
const OF_VRRP: &[&str] = &[
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "track_group",
    "garp_group",
    "linkbeat_interfaces",
    "interface_up_down_delays",
];

/// A `track_file` block.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) path: String,
    pub(super) weight: i16,
    pub(super) reverse: bool,
}

/// What is neither a virtual server nor a group of them.
pub(super) fn read(item: &Item, shared: &mut Shared, timeouts: &mut Timeouts, notes: &mut Notes) {
    match item.name() {
        "global_defs" => {
            surplus::look(item, notes);
            item.items().iter().for_each(|item| definition(item, shared, timeouts, notes));
        }
        "track_file" | "vrrp_track_file" => shared.files.extend(tracked(item, notes)),
        "SSL" => {
            let text = "servers are shown no certificate of ours, and theirs are not looked at";
            let help = "in ulvs.toml a check has `verify` and `ca`: see `ulvs import keepalived`";
            notes.unhandled(item.place(), text, help);
        }
        "bfd_instance" => {
            let text = "BFD is not spoken here";
            notes.unhandled(item.place(), text, "let another daemon speak it, where routers want it");
        }
        name if item.block.is_some() && (name.starts_with("vrrp_") || OF_VRRP.contains(&name)) => {
            // Each is listed.
            let which = item.arg(0).map_or_else(|| name.to_owned(), |which| format!("{name} {which}"));
            let text = format!("`{which}` is about VRRP, which is not handled yet");
            notes.unhandled(item.place(), text, VRRP_HELP);
        }
        // Some of them may stand outside the block.
        _ => definition(item, shared, timeouts, notes),
    }
}

fn definition(item: &Item, shared: &mut Shared, timeouts: &mut Timeouts, notes: &mut Notes) {
    match item.name() {
        "lvs_timeouts" => lvs_timeouts(item, timeouts, notes),
        "script_user" => {
            value::word(item, "nobody", notes);
            surplus::look(item, notes);
            shared.script_user = user_of(&item.args.iter().map(|w| w.text.as_str()).collect::<Vec<_>>());
        }
        name => match NOTHING_HERE.iter().find(|(_, _, names)| names.contains(&name)) {
            Some((text, help, _)) => notes.unhandled(item.place(), *text, *help),
            None if name.starts_with("vrrp_") => notes.unhandled(item.place(), VRRP, VRRP_HELP),
            None => {
                let named = NOTHING_HERE.iter().flat_map(|(_, _, names)| names.iter().copied());
                let blocks = ["virtual_server", "virtual_server_group", "global_defs", "track_file"];
                let known: Vec<_> = named.chain(blocks).chain(["lvs_timeouts", "script_user"]).collect();
                value::unknown(item, &known, notes);
            }
        },
    }
}

/// `lvs_timeouts tcp 900 tcpfin 120 udp 300`
fn lvs_timeouts(item: &Item, timeouts: &mut Timeouts, notes: &mut Notes) {
    const HELP: &str = "write seconds, up to 31 days: lvs_timeouts tcp 900 tcpfin 120 udp 300";
    value::word(item, "tcp 900 tcpfin 120 udp 300", notes);
    for (i, pair) in item.args.chunks(2).enumerate() {
        let [name, value] = pair else {
            notes.error(item.place_of(2 * i), "this timeout has no value", HELP);
            continue;
        };
        let known = match name.text.as_str() {
            "tcp" => Some(&mut timeouts.tcp),
            "tcpfin" => Some(&mut timeouts.tcp_fin),
            "udp" => Some(&mut timeouts.udp),
            _ => None,
        };
        let seconds = value.text.parse().ok().filter(|s| Timeouts::RANGE.contains(s));
        match (known, seconds) {
            (Some(timeout), Some(seconds)) => *timeout = seconds,
            (Some(_), None) => notes.error(&value.place, format!("`{}` is no timeout", value.text), HELP),
            (None, _) => notes.error(&name.place, format!("there is no timeout `{}`", name.text), HELP),
        }
    }
}

fn tracked(item: &Item, notes: &mut Notes) -> HashMap<String, Tracked> {
    surplus::look(item, notes);
    let mut path = None;
    let (mut weight_of, mut found) = ((1, false), HashMap::new());
    for item in item.items() {
        match item.name() {
            "file" => {
                surplus::look(item, notes);
                path = value::word(item, "/var/lib/load", notes).map(str::to_owned);
            }
            "weight" => weight_of = weight(item, notes).unwrap_or(weight_of),
            "init_file" => {
                surplus::look(item, notes);
                let text = "the file is not written; while it is not there, it counts as 0";
                notes.changed(item.place(), text, "write the number into it at boot");
            }
            _ => value::unknown(item, &["file", "weight", "init_file"], notes),
        }
    }
    match (value::word(item, "NAME", notes), path) {
        (Some(_), Some(path)) if !path.starts_with('/') => {
            let text = format!("`{path}` is somewhere else wherever ulvs is started");
            notes.error(item.place(), text, "write the whole path of the file");
        }
        (Some(name), Some(path)) => {
            let (weight, reverse) = weight_of;
            found.insert(name.to_owned(), Tracked { path, weight, reverse });
        }
        (Some(_), None) => {
            notes.error(item.place(), "this track_file names no file", "add file \"/var/lib/load\"");
        }
        (None, _) => {}
    }
    found
}

/// `weight 2 reverse`
pub(super) fn weight(item: &Item, notes: &mut Notes) -> Option<(i16, bool)> {
    let text = value::word(item, "1", notes)?;
    let Ok(number) = text.parse::<i32>() else {
        notes.error(item.place_of(0), format!("`{text}` is no weight"), "write a whole number");
        return None;
    };
    let weight = number.clamp(-254, 254);
    if weight != number {
        let text = format!("a weight from -254 to 254 is used: {weight}");
        notes.changed(item.place_of(0), text, "let the file have larger numbers");
    }
    let reverse = item.arg(1) == Some("reverse");
    surplus::at_most(item, 1 + usize::from(reverse), notes);
    Some((i16::try_from(weight).ok()?, reverse))
}
