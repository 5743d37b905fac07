//! Processes: going to the background, dying with the parent, and telling whether another one still runs.

mod detach;
mod identity;

use std::process::Command;

use nix::sys::signal::Signal;

use crate::sys;

pub use detach::{DetachError, Readiness, spawn_detached};
pub use identity::ProcessId;

/// Has the command killed (SIGKILL) when the thread that starts it ends, however that comes about. So the thread
/// must live for as long as the command shall. Where the parent is gone before the kernel could be told, starting
/// the command fails.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    sys::process::signal_at_parents_death(command, Signal::SIGKILL as i32);
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_command_dies_with_the_thread_that_started_it() {
        let thread = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            die_with_parent(command.arg("60")).stdout(Stdio::null()).spawn().unwrap()
        });
        let mut child = thread.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    }
}
