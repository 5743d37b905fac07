//! `ulvs lab httpd`: the web server of a lab's machine, as `systemctl start httpd` there wants it. Plain HTTP on port
//! 80; HTTPS on port 443 where `ssl.conf` names a certificate. The embedded server, or nginx with `--real`.
//!
//! Both have the same pages: `/` and `/test1.html` are the machine's name, `/whoami` is the client's address as the
//! server sees it, `/bytes/N` is a stream of N bytes (of nginx for those N that scenarios fetch), `/discard` says how many
//! bytes were posted. With a file `/root/broken` every page is an error 500, and `/root/html/test1.html` takes the place of
//! that page.

mod conf;
mod https;
mod nginx;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use netio::process::{Readiness, spawn_detached};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::crypto::CryptoProvider;

use self::conf::Conf;
use crate::serve::{Http, Site};
use crate::wait::wait_for;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum HttpdCommand {
    /// Start it in the background
    Start,
    /// End it
    Stop,
    /// End it and start it
    Restart,
    /// Look at its configuration
    Test,
    /// Serve in the foreground
    Run,
}

/// Where people change something of the pages.
const ROOT: &str = "/root";
/// How long it may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn main(command: HttpdCommand, provider: Arc<CryptoProvider>) -> anyhow::Result<ExitCode> {
    let machine = Machine::here()?;
    match command {
        HttpdCommand::Start => machine.start()?,
        HttpdCommand::Stop => machine.stop()?,
        HttpdCommand::Restart => {
            // A configuration that is wrong shall not cost the running one.
            Conf::read()?;
            machine.stop()?;
            machine.start()?;
        }
        HttpdCommand::Test => {
            Conf::read()?;
            writeln!(std::io::stdout(), "Syntax OK")?;
        }
        HttpdCommand::Run => return machine.run(provider),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where we are.
struct Machine {
    name: String,
    state: PathBuf,
    real: bool,
}

impl Machine {
    fn here() -> anyhow::Result<Self> {
        let Some(state) = std::env::var_os("LAB_DIR").and_then(|_| std::env::var_os("ULVS_STATE_DIR")) else {
            bail!(
                "this is the web server of a lab's machines: `ulvs lab up nat`, then `ulvs lab shell server1`"
            )
        };
        let name =
            fs::read_to_string("/proc/sys/kernel/hostname").context("cannot tell this machine's name")?;
        let real = std::env::var_os("LAB_SERVER").is_some_and(|which| which == "nginx");
        Ok(Self { name: name.trim_end().to_owned(), state: state.into(), real })
    }

    fn pid_file(&self) -> PathBuf {
        self.state.join("httpd.pid")
    }

    fn pid(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok().map(Pid::from_raw)?;
        kill(pid, None).is_ok().then_some(pid)
    }

    fn start(&self) -> anyhow::Result<()> {
        let conf = Conf::read()?;
        if self.pid().is_some() {
            return Ok(());
        }
        if self.real {
            nginx::start(&self.name, &self.state, &self.pid_file(), &conf)
        } else {
            spawn_detached(["lab", "httpd", "run"])?;
            Ok(())
        }
    }

    fn stop(&self) -> anyhow::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        match kill(pid, Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => bail!("cannot end httpd, process {pid}: {errno}"),
        }
        wait_for("the web server to end", PATIENCE, || kill(pid, None).is_err().then_some(()))
    }

    fn run(&self, provider: Arc<CryptoProvider>) -> anyhow::Result<ExitCode> {
        let readiness = Readiness::from_env();
        match (self.serve(provider), readiness) {
            (Ok(_servers), readiness) => {
                if let Some(readiness) = readiness {
                    // Whoever has started it may be gone; that does not matter to the clients.
                    let _ = readiness.ready();
                }
                loop {
                    std::thread::park();
                }
            }
            (Err(error), Some(readiness)) => {
                let _ = readiness.failed(&format!("{error:#}"));
                Ok(ExitCode::FAILURE)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn serve(&self, provider: Arc<CryptoProvider>) -> anyhow::Result<Vec<Http>> {
        let conf = Conf::read()?;
        let site = Site { name: self.name.clone(), root: Some(ROOT.into()) };
        let http = conf.ports.iter().map(|port| Http::here(&site, *port)).collect::<anyhow::Result<_>>()?;
        if let Some(tls) = &conf.tls {
            https::start(&site, tls, provider)?;
        }
        let own = std::process::id().to_string();
        write(&self.pid_file(), &own)?;
        Ok(http)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
