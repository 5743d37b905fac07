//! `ulvs real`: the real server's side of direct routing.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use netio::real::{self, Change, Method, RealConfig, State};
use serde_json::json;

use super::{StateDir, fail, say};

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
}

const AFTER_HELP: &str = "\
With direct routing (ipvsadm -g) the director passes packets for the VIP on unchanged, and the server answers the client
itself. So the server has to have the VIP, and its neighbours must not notice, or they would send their packets to it
instead of the director. `start` does what that takes, prints what it changes, and notes it, so that `stop` undoes
exactly that, even after a crash:
  VIP on lo           the server takes packets for the VIP for its own; it never begins anything from there
  arp_ignore = 1      it does not answer ARP questions for the VIP
  arp_announce = 2    it does not ask ARP questions in the VIP's name
  rp_filter = 2       requests may come in by another device than answers leave by (where it was 1; off stays off)
For IPv6 the address is enough. Settings that are right already are left alone.
Examples:
  ulvs real start --vip 10.0.0.1
  ulvs real start --vip 10.0.0.2 2001:db8::2     (besides the first)
  ulvs real status
  ulvs real stop --vip 10.0.0.2
  ulvs real stop
On the director that goes with:
  ulvs ipvsadm -A -t 10.0.0.1:80
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2 -g";

#[derive(Debug, Args)]
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
    #[command(flatten)]
    state: StateDir,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodArg {
    /// Direct routing, ipvsadm -g
    Dr,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// The virtual addresses to give up [default: all of them]
    #[arg(long = "vip", num_args = 1.., value_delimiter = ',', value_name = "VIP")]
    vips: Vec<IpAddr>,
    #[command(flatten)]
    state: StateDir,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  all is as it was started\n  1  something of it has been lost, or an error\n  3  nothing was started"
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
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn start(args: StartArgs) -> Result<ExitCode, String> {
    let MethodArg::Dr = args.method;
    let config = RealConfig {
        vips: args.vips,
        method: Method::Dr,
        device: args.device,
        state_dir: args.state.state_dir,
    };
    let changes = real::start(&config).map_err(|error| error.to_string())?;
    Ok(told(&changes, "nothing had to be changed"))
}

fn stop(args: &StopArgs) -> Result<ExitCode, String> {
    let vips = Some(args.vips.as_slice()).filter(|vips| !vips.is_empty());
    let changes = real::stop(&args.state.state_dir, vips).map_err(|error| error.to_string())?;
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
    let State { vips, lost, .. } = &state;
    if args.json {
        let row = |vip: &real::Vip| json!({"vip": vip.ip, "method": vip.method, "device": vip.device});
        say(&json!({"vips": vips.iter().map(row).collect::<Vec<_>>(), "lost": lost}).to_string());
    } else if vips.is_empty() {
        say("this host is a real server for no VIP: `ulvs real start --vip VIP` makes it one");
    } else {
        vips.iter().for_each(|vip| say(&format!("{:<12} {} on {}", vip.method, vip.ip, vip.device)));
        lost.iter().for_each(|lost| say(&format!("{:<12} {lost}", "lost")));
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
