//! Commands that are run about servers, those of checks and those that are told: in a process group of their own, hearing
//! nothing and not heard. With who waits for one ends all of its group; what it left behind when it ended by itself goes on.

use std::io;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its group, until it has ended.
    group: Option<Pid>,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let group = child.id().and_then(|id| id.try_into().ok()).map(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The kernel does not know it.
    pub async fn ended(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group = None;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // The first of the group is our child and has not been waited for: the number is nobody else's. The runtime
            // takes leave of it.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
