//! `ulvs run` and `ulvs check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use control::api::Settings;
use control::config::{Offload, Port, Workers, is_device_name};
use control::source::{Loaded, Source};
use netio::process::spawn_detached;
use sched::counted;

use super::source::{ForeignArgs, source};
use super::text::printable;
use super::{StateDir, detached, fail, missing, rules, say, tls};
use crate::daemon::{self, Options};
use crate::reason::reason;

/// Starts the engine of this network namespace: opens a TUN device, steers the services' addresses into it, and
/// balances what comes. Ctrl-C or SIGTERM puts everything back and ends it; SIGHUP reads the configuration again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RunArgs {
    /// Services and engine settings; without it the table starts empty
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["keepalived", "ldirectord"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    foreign: ForeignArgs,
    /// Services, as ipvsadm-save writes them (customary: /etc/sysconfig/ipvsadm, /etc/ipvsadm.rules)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Write the services back to that file when it ends
    #[arg(long, requires = "rules")]
    save_on_stop: bool,
    /// Go to the background and return when the engine is ready, or with its error
    #[arg(short, long)]
    detach: bool,
    /// End when nobody else is in the network namespace any more: no other process, and no name for ip-netns(8)
    #[arg(long)]
    while_used: bool,
    /// Worker threads, one device queue each [default: the configuration's, or as many as processors, at most 4]
    #[arg(long, env = "ULVS_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
    /// Name of the TUN device [default: the configuration's, or ulvs0]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Where packets come from and go to [default: the configuration's, or tun]
    #[arg(long, value_enum, env = "ULVS_PORT", value_name = "PORT")]
    port: Option<PortArg>,
    /// Only this device for the packet port, and others of which this is said [default: the configuration's, or all]
    #[arg(long, value_name = "NAME", value_parser = device_name)]
    dev: Vec<String>,
    /// Checksum and segmentation offload on the device [default: the configuration's, or auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    offload: Option<OffloadArg>,
    /// Behave like the kernel even where it is poor [default: the configuration's, or to be better]
    #[arg(long, value_enum, value_name = "WHAT")]
    compat: Option<CompatArg>,
    /// Where to write the log [default: stderr, or a file in the state directory with --detach]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    state: StateDir,
}

const AFTER_HELP: &str = "\
Examples:
  ulvs run --detach
  ulvs run --config /etc/ulvs.toml
  ulvs run --keepalived /etc/keepalived/keepalived.conf
  ulvs run --rules /etc/sysconfig/ipvsadm --save-on-stop
  ulvs run --port packet --dev eth0 --workers 2
ULVS_LOG=debug in the environment has it log more.";

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OffloadArg {
    /// Where the kernel has it
    Auto,
    /// Fail without it
    On,
    /// Never: whole, finished packets only
    Off,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PortArg {
    /// The host's stack, by a TUN device
    Tun,
    /// The host's Ethernet devices, past its stack: the fast one. With a TUN device beside it for what is rare, or alone
    /// where there can be none (CAP_NET_RAW is enough)
    Packet,
    /// The latter where it works
    Auto,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum CompatArg {
    /// Linux IPVS
    Ipvs,
}

pub(super) fn main(args: RunArgs) -> ExitCode {
    let readiness = detached();
    if args.detach && readiness.is_none() {
        return match spawn_detached(std::env::args_os().skip(1)) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        };
    }
    let mut readiness = readiness;
    let outcome = options(args).and_then(|options| daemon::run(&options, &mut readiness));
    match (outcome, readiness) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(error), Some(readiness)) => {
            // Nobody may be waiting any more; the log has it as well.
            let _ = readiness.failed(&reason(&error));
            ExitCode::FAILURE
        }
        (Err(error), None) => fail(&reason(&error)),
    }
}

/// Checks a configuration file and says what is wrong with it, and where
#[derive(Debug, Args)]
#[command(after_help = CHECK_AFTER_HELP)]
pub(super) struct CheckArgs {
    /// A file of our own
    #[arg(required_unless_present_any = ["keepalived", "ldirectord"], conflicts_with_all = ["keepalived", "ldirectord"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    foreign: ForeignArgs,
}

const CHECK_AFTER_HELP: &str = "\
Examples:
  ulvs check /etc/ulvs.toml
  ulvs check --keepalived /etc/keepalived/keepalived.conf";

pub(super) fn check(args: CheckArgs) -> ExitCode {
    let Some(source) = source(args.file, args.foreign) else { return fail("which file is to be checked?") };
    let file = source.path();
    match source.load() {
        Ok(Loaded { config, notes }) => {
            let mut warnings = match tls::check(file, &config) {
                Ok(warnings) => warnings,
                Err(text) => return fail(&text),
            };
            warnings.extend(missing::missing(&config));
            let services = config.services();
            let (services, servers) = (services.len(), services.iter().map(|s| s.dests.len()).sum::<usize>());
            let lips = match config.lips().len() {
                0 => String::new(),
                1 => ", 1 local address".to_owned(),
                n => format!(", {n} local addresses"),
            };
            say(&format!(
                "{}: good: {}, {}{lips}",
                file.display(),
                counted(services, "service"),
                counted(servers, "server")
            ));
            for line in config.settings(false).differences(&Settings::default()) {
                say(&format!("  {line}"));
            }
            for warning in warnings {
                say(&format!("  warning: {}", printable(&warning)));
            }
            if !notes.is_empty() {
                say(&format!("not quite as it is written: {}\n{notes}", notes.counts()));
            }
            ExitCode::SUCCESS
        }
        Err(report) => fail(&report),
    }
}

fn device_name(text: &str) -> Result<String, &'static str> {
    let help = "a device has a name of 1 to 15 bytes, as `ip link` shows it; say --dev again for another one";
    if is_device_name(text) { Ok(text.to_owned()) } else { Err(help) }
}

fn options(args: RunArgs) -> anyhow::Result<Options> {
    // Absolute, so that a reload finds it wherever the process stands.
    let source = source(args.config, args.foreign).map(Source::absolute).transpose()?;
    let loaded = source.as_ref().map(Source::load).transpose().map_err(anyhow::Error::msg)?;
    let Loaded { config: file, notes } = loaded.unwrap_or_default();
    let rules = args.rules.map(|path| rules::read(&path, args.save_on_stop)).transpose()?;
    if let (Some(rules), Some(source)) = (&rules, &source) {
        rules.check_beside(source.path(), &file).map_err(anyhow::Error::msg)?;
    }
    let mut engine = file.engine.clone();
    if let Some(n) = args.workers {
        engine.workers = Workers::Count(std::num::NonZeroUsize::MIN.saturating_add(usize::from(n) - 1));
    }
    if let Some(device) = args.device {
        engine.device = device;
    }
    match args.port {
        Some(PortArg::Tun) => engine.port = Port::Tun,
        Some(PortArg::Packet) => engine.port = Port::Packet,
        Some(PortArg::Auto) => engine.port = Port::Auto,
        None => {}
    }
    if !args.dev.is_empty() {
        if engine.port == Port::Tun {
            bail!("--dev is for the packet port, and this would be the TUN port: say --port packet as well");
        }
        engine.interfaces = args.dev;
    }
    match args.offload {
        Some(OffloadArg::Auto) => engine.offload = Offload::Auto,
        Some(OffloadArg::On) => engine.offload = Offload::On,
        Some(OffloadArg::Off) => engine.offload = Offload::Off,
        None => {}
    }
    Ok(Options {
        engine,
        compat: args.compat.is_some(),
        file,
        notes,
        source,
        rules,
        state_dir: args.state.state_dir,
        log: args.log,
        detached: args.detach,
        while_used: args.while_used,
    })
}
