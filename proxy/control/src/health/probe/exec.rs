//! A command: it is right if it ends with 0. keepalived's MISC_CHECK, `misc_dynamic` included.
//!
//! It runs in `/`, in a process group of its own, hears nothing and is not heard: what it prints is lost. If the question
//! is over before it is, all of the group is killed at once; what it left behind when it ended by itself goes on. Under
//! another user it has no groups but that user's one. [`command`](crate::health::command) says what
//! its environment has.

use std::io;
use std::process::ExitStatus;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Uid, User};
use sched::{ExecCheck, Weight};
use std::os::unix::process::ExitStatusExt;
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::asking::{Asking, Stage};
use super::{Success, Target, Weighting, words};
use crate::health::command::{Running, facts};

#[derive(Debug)]
pub(super) struct Ready {
    program: String,
    arguments: Vec<String>,
    user: Option<String>,
    /// Who that is, once it is known.
    who: OnceLock<(Uid, Gid)>,
    dynamic: bool,
}

/// What is wrong with it whatever files and users there are.
pub(super) fn check(check: &ExecCheck) -> Result<(), String> {
    let Some(program) = check.command.first().filter(|program| !program.is_empty()) else {
        return Err("it names no command".into());
    };
    if check.command.iter().any(|word| word.contains('\0')) {
        return Err("no word of a command can have a NUL character in it".into());
    }
    if program.contains('/') && !program.starts_with('/') {
        return Err(format!("`{program}` would depend on where we were started: write its path from `/` on"));
    }
    if check.user.as_deref().is_some_and(|user| user.is_empty() || user.starts_with(':')) {
        return Err("it names no user: write `USER` or `USER:GROUP`".into());
    }
    Ok(())
}

impl Ready {
    pub(super) fn new(check: &ExecCheck) -> Result<Self, String> {
        let [program, arguments @ ..] = check.command.as_slice() else {
            return Err("it names no command".into());
        };
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            user: check.user.clone(),
            who: OnceLock::new(),
            dynamic: check.dynamic,
        })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<Success, String> {
        let mut command = Command::new(&self.program);
        let Target { service, dest, server, up, .. } = asking.target;
        let state = if *up { "up" } else { "down" };
        command.args(&self.arguments).envs(facts(*service, Some(*dest), Some(*server), state));
        if let Some(user) = &self.user {
            let (user, group) = self.who(user, asking).await?;
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        let running = Running::start(&mut command).map_err(|e| {
            // There can be no more processes, or none that has all of this one's memory.
            if words::is_ours(&e) || e.raw_os_error() == Some(Errno::EAGAIN as i32) {
                asking.lacks();
            }
            self.cannot(&e)
        })?;
        asking.reached(Stage::Running);
        self.judge(running.ended().await.map_err(|e| self.cannot(&e))?)
    }

    /// Why it does not run.
    fn cannot(&self, error: &io::Error) -> String {
        match (&self.user, error.raw_os_error().map(Errno::from_raw)) {
            (Some(user), Some(Errno::EPERM)) => {
                format!("may not become `{user}`: that takes CAP_SETUID and CAP_SETGID")
            }
            (_, Some(Errno::EACCES | Errno::EPERM)) => {
                format!("may not run `{}`: is it executable, for that user too?", self.program)
            }
            _ => format!("cannot run `{}`: {}", self.program, words::io(error)),
        }
    }

    async fn who(&self, user: &str, asking: &Asking<'_>) -> Result<(Uid, Gid), String> {
        if let Some(known) = self.who.get() {
            return Ok(*known);
        }
        let name = user.to_owned();
        // That may be asked over the network: not on this thread.
        let found = match spawn_blocking(move || who(&name)).await {
            Ok(found) => found.map_err(|e| asking.error(&e))?,
            Err(_) => return Err(format!("nobody says who `{user}` is")),
        };
        Ok(*self.who.get_or_init(|| found))
    }

    fn judge(&self, status: ExitStatus) -> Result<Success, String> {
        match status.code() {
            Some(0) => Ok(Success::default()),
            Some(code @ 2..) if self.dynamic => {
                Ok(Success { weight: Some(Weighting::Absolute(Weight(code.unsigned_abs() - 2))) })
            }
            Some(code) => Err(format!("exit code {code}")),
            None => {
                let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
                Err(format!("ended by {}", signal.map_or("an unknown signal", Signal::as_str)))
            }
        }
    }
}

/// `USER` or `USER:GROUP`, names or numbers; a user's group is their own one, unless another is named.
///
/// # Errors
/// Which of them this host does not know; or it cannot tell.
pub fn who(text: &str) -> io::Result<(Uid, Gid)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let unknown =
        |what: &str, name: &str| io::Error::other(format!("there is no {what} `{name}` on this host"));
    let group = match group {
        Some(group) => Some(match group.parse() {
            Ok(number) => Gid::from_raw(number),
            Err(_) => known(Group::from_name(group))?.ok_or_else(|| unknown("group", group))?.gid,
        }),
        None => None,
    };
    let entry = match user.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(user),
    };
    match (known(entry)?, user.parse(), group) {
        (Some(entry), _, group) => Ok((entry.uid, group.unwrap_or(entry.gid))),
        (None, Ok(number), Some(group)) => Ok((Uid::from_raw(number), group)),
        (None, ..) => Err(unknown("user", user)),
    }
}

/// What was found; other errors than those of this host mean that nothing was.
fn known<T>(found: nix::Result<Option<T>>) -> io::Result<Option<T>> {
    match found.map_err(io::Error::from) {
        Err(error) if words::is_ours(&error) => Err(error),
        found => Ok(found.ok().flatten()),
    }
}

#[cfg(test)]
mod tests;
