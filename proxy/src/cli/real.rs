//! `ulvs real`: the real server's side of direct routing and of tunnels.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use netio::real::{self, Change, Method, RealConfig, State, TunnelOptions, Tunnels};
use netio::tunnel;
use serde_json::json;

use super::{StateDir, detached, fail, say};
use crate::decapsulator::{self, Process};
use crate::reason::reason;

/// The exit code of `status` where nothing was started, as for service scripts (LSB, "program is not running").
const NOT_STARTED: u8 = 3;

/// Run this on the real servers, not on the director.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum RealCommand {
    /// Make this host a real server for virtual addresses
    Start(StartArgs),
    /// Put back what start has changed
    Stop(StopArgs),
    /// Show what this host is a real server for, and whether it still can be
    Status(StatusArgs),
    /// Take packets out of tunnels, in the foreground: what start has running in the background
    #[command(hide = true)]
    Serve(ServeArgs),
}

const AFTER_HELP: &str = "\
With direct routing (ipvsadm -g) the director passes packets for the VIP on unchanged, with tunnels \
(ipvsadm -i) inside others; the server answers the client itself. So the server has to have the VIP, \
and its neighbours must not notice, or they would send their packets to it instead of the director. \
`start` does what that takes, prints what it changes, and notes it, so that `stop` undoes exactly \
that, even after a crash:
  VIP on lo           the server takes packets for the VIP for its own; it never
                      begins anything from there
  arp_ignore = 1      it does not answer ARP questions for the VIP
  arp_announce = 2    it does not ask ARP questions in the VIP's name
  rp_filter = 2       requests may come in by another device than answers leave
                      by (where it was 1; off stays off; not with tunnels, whose
                      packets come from the director)
For IPv6 the address is enough. Settings that are right already are left alone.
With --method tun a process in the background takes packets for the VIPs, and for nobody else, out of \
IPIP, GRE and GUE, over IPv4 and IPv6, and gives them to the kernel by a device of its own, ulvs-real0. \
The kernel needs no tunnel devices for that (ipip, sit, ip_gre, fou). It also lowers what the VIPs say \
about the segments that they take (nf_tables inet ulvs-real), so that those fit into tunnels. It takes root, or CAP_NET_ADMIN \
and CAP_NET_RAW, and /dev/net/tun. A firewall on the server has to let in from the director what it \
sends: protocol 4 or 41 (IPIP), 47 (GRE), or the UDP port of GUE.
Examples:
  ulvs real start --vip 10.0.0.1
  ulvs real start --vip 10.0.0.2 2001:db8::2  # besides the first
  ulvs real status
  ulvs real stop --vip 10.0.0.2
  ulvs real stop
On the director that goes with:
  ulvs ipvsadm -A -t 10.0.0.1:80
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2 -g
Examples of tunnels, all of which this takes:
  ulvs real start --vip 10.0.0.1 --method tun
On the director, one of:
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2 -i
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2 -i --tun-type gre --tun-csum
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2 -i --tun-type gue \\
      --tun-port 6080
(For another port: --gue-port here, --tun-port there.)";

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ulvs real start --vip 10.0.0.1\n  ulvs real start --vip 10.0.0.1 --method tun"
)]
pub(super) struct StartArgs {
    /// The virtual addresses
    #[arg(long = "vip", required = true, num_args = 1.., value_delimiter = ',', value_name = "VIP")]
    vips: Vec<IpAddr>,
    /// How the director forwards to this server
    #[arg(long, value_enum, default_value = "dr")]
    method: MethodArg,
    /// The device that gets the virtual addresses: one without neighbours
    #[arg(long = "dev", default_value = "lo", value_name = "DEVICE")]
    device: String,
    /// With tunnels: the UDP port on which GUE comes [default: the running one's, or 6080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    gue_port: Option<u16>,
    /// With tunnels: merge segments on the way in [default: the running one's, or auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    offload: Option<OffloadArg>,
    #[command(flatten)]
    state: StateDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    /// Direct routing, ipvsadm -g
    Dr,
    /// Tunnels, ipvsadm -i
    Tun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OffloadArg {
    /// Where the kernel takes super-packets
    Auto,
    /// Never: packets are handed over one by one
    Off,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The virtual addresses
    #[arg(long = "vip", required = true, num_args = 1.., value_delimiter = ',', value_name = "VIP")]
    vips: Vec<IpAddr>,
    /// The UDP port on which GUE comes
    #[arg(long, value_name = "PORT", default_value_t = TunnelOptions::GUE_PORT)]
    gue_port: u16,
    /// Merge segments on the way in
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    offload: OffloadArg,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ulvs real stop\n  ulvs real stop --vip 10.0.0.2")]
pub(super) struct StopArgs {
    /// The virtual addresses to give up [default: all of them]
    #[arg(long = "vip", num_args = 1.., value_delimiter = ',', value_name = "VIP")]
    vips: Vec<IpAddr>,
    #[command(flatten)]
    state: StateDir,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  all is as it was started\n  1  something of it has been lost, or an error\n  3  nothing was started\nExample:\n  ulvs real status"
)]
pub(super) struct StatusArgs {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
}

pub(super) fn main(command: RealCommand) -> ExitCode {
    let outcome = match command {
        RealCommand::Start(args) => start(args),
        RealCommand::Stop(args) => stop(&args),
        RealCommand::Status(args) => status(&args),
        RealCommand::Serve(args) => return serve(args),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn start(args: StartArgs) -> Result<ExitCode, String> {
    let method = match args.method {
        MethodArg::Dr => Method::Dr,
        MethodArg::Tun => Method::Tun,
    };
    let tunnels = TunnelOptions {
        gue_port: args.gue_port,
        merge: args.offload.map(|offload| offload == OffloadArg::Auto),
    };
    if method != Method::Tun && tunnels != TunnelOptions::default() {
        return Err("--gue-port and --offload are for tunnels: add --method tun".to_owned());
    }
    let (device, state_dir) = (args.device, args.state.state_dir);
    let config = RealConfig { vips: args.vips, method, device, tunnels, state_dir };
    let changes = real::start(&config, &mut Process).map_err(|error| error.to_string())?;
    let code = told(&changes, "nothing had to be changed");
    if method == Method::Tun {
        notices().iter().for_each(|notice| row("notice", notice));
    }
    Ok(code)
}

fn stop(args: &StopArgs) -> Result<ExitCode, String> {
    let vips = Some(args.vips.as_slice()).filter(|vips| !vips.is_empty());
    let changes = real::stop(&args.state.state_dir, vips, &mut Process).map_err(|error| error.to_string())?;
    Ok(told(&changes, "nothing had to be put back"))
}

fn told(changes: &[Change], nothing: &str) -> ExitCode {
    changes.iter().for_each(|change| say(&change.to_string()));
    if changes.is_empty() {
        say(nothing);
    }
    ExitCode::SUCCESS
}

fn status(args: &StatusArgs) -> Result<ExitCode, String> {
    let state = real::state(&args.state.state_dir).map_err(|error| error.to_string())?;
    let State { vips, tunnels, mut lost, .. } = state;
    let (mut decapsulator, mut notices) = (None, Vec::new());
    if let Some(tunnels) = tunnels {
        decapsulator = decapsulator::status().map_err(|error| reason(&error))?;
        lost.extend(missing(decapsulator.as_ref(), &vips, tunnels));
        notices = self::notices();
    }
    if args.json {
        let row = |vip: &real::Vip| json!({"vip": vip.ip, "method": vip.method, "device": vip.device});
        let vips: Vec<_> = vips.iter().map(row).collect();
        say(&json!({"vips": vips, "decapsulator": decapsulator, "lost": lost, "notices": notices})
            .to_string());
    } else if vips.is_empty() {
        say("this host is a real server for no VIP: `ulvs real start --vip VIP` makes it one");
    } else {
        let method = |vip: &real::Vip| row(&vip.method.to_string(), &format!("{} on {}", vip.ip, vip.device));
        vips.iter().for_each(method);
        decapsulator.iter().for_each(show);
        notices.iter().for_each(|notice| row("notice", notice));
        lost.iter().for_each(|lost| row("lost", lost));
        if !lost.is_empty() {
            say("start it again to get back what was lost");
        }
    }
    Ok(match (vips.is_empty(), lost.is_empty()) {
        (true, _) => ExitCode::from(NOT_STARTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// What the decapsulator does not do that it should, in words.
fn missing(status: Option<&decapsulator::Status>, vips: &[real::Vip], tunnels: Tunnels) -> Option<String> {
    let Some(status) = status else {
        return Some("the process that takes packets out of tunnels has ended".to_owned());
    };
    let pid = status.pid;
    if !status.device_up {
        return Some(format!("{}, the device of process {pid}, is down or gone", status.device));
    }
    if status.tunnels != tunnels {
        return Some(format!("process {pid} takes packets out of tunnels in another way than was asked for"));
    }
    let mut served = vips.iter().filter(|vip| vip.method == Method::Tun);
    let forgotten = served.find(|vip| !status.vips.contains(&vip.ip))?;
    Some(format!("process {pid} does not take packets for {} out of tunnels", forgotten.ip))
}

/// What works against tunnels here.
fn notices() -> Vec<String> {
    // Only a convenience.
    let rivals = tunnel::rivals().unwrap_or_default().into_iter();
    let told = |device| {
        format!(
            "the kernel takes packets out of tunnels too, by {device}, so that they may come twice: \
             `ip link set {device} down`"
        )
    };
    rivals.map(told).collect()
}

fn show(status: &decapsulator::Status) {
    let decapsulator::Status { pid, device, tunnels, offload, segments, counters, drops, .. } = status;
    row("decapsulator", &format!("pid {pid}, device {device}, GUE on port {}", tunnels.gue_port));
    row("offload", offload);
    row("segments", segments);
    for (name, counts) in [("packets", counters), ("dropped", drops)] {
        let some = counts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}"));
        let some = some.collect::<Vec<_>>().join(", ");
        row(name, if some.is_empty() { "none" } else { &some });
    }
}

fn row(name: &str, text: &str) {
    say(&format!("{name:<12} {text}"));
}

fn serve(args: ServeArgs) -> ExitCode {
    let mut readiness = detached();
    let tunnels = Tunnels { gue_port: args.gue_port, merge: args.offload == OffloadArg::Auto };
    match (decapsulator::run(args.vips, tunnels, &mut readiness), readiness) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(error), Some(readiness)) => {
            // Nobody may be waiting any more.
            let _ = readiness.failed(&reason(&error));
            ExitCode::FAILURE
        }
        (Err(error), None) => fail(&reason(&error)),
    }
}
