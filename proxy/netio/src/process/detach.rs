//! Going to the background by starting the program again, never by a bare fork: threads do not survive one.
//!
//! The second process has a session of its own, nothing on its standard descriptors and no descriptor of ours but
//! the end of a pipe, on which it reports one word: that it is ready, or why it failed. The pipe's number and inode
//! are in an environment variable; the inode keeps a process further down, which inherits the variable but not the
//! pipe, from taking some file of its own for it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::OFlag;

use crate::sys;

const VARIABLE: &str = "ULVS_READINESS";
const READY: &[u8] = b"+";
const FAILED: &[u8] = b"-";

/// Why there is no process in the background.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// It could not be started.
    #[error("cannot start the program again in the background: {0}")]
    Start(#[source] io::Error),
    /// It started and said why it cannot go on.
    #[error("{0}")]
    Failed(String),
    /// It ended without a word.
    #[error(
        "the process in the background ended before it was ready ({0}): run it in the foreground to see why"
    )]
    Died(String),
}

/// Starts this program again in the background with `args`, and waits until it calls [`Readiness::ready`]. Gives
/// its process number. It keeps the working directory and the environment, and nothing else of ours.
///
/// # Errors
/// [`DetachError`]: it could not be started, reported a failure, or ended first.
pub fn spawn_detached(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<u32, DetachError> {
    spawn_detached_as(std::env::args_os().next(), args)
}

/// The same under another name, for a program that does different things under different names.
///
/// # Errors
/// See [`spawn_detached`].
pub fn spawn_detached_as(
    name: Option<OsString>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<u32, DetachError> {
    let (near, far) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| DetachError::Start(e.into()))?;
    let child = start(name, args, &far).map_err(DetachError::Start)?;
    drop(far);
    await_report(child, near)
}

/// The word that a process in the background owes to the one that started it.
#[derive(Debug)]
pub struct Readiness {
    pipe: File,
}

impl Readiness {
    /// What this process owes, if it was started by [`spawn_detached`]. Only the first call gets it. Call it before
    /// other processes are started, or they would hold the pipe too.
    pub fn from_env() -> Option<Self> {
        let (fd, inode) = decode(&std::env::var_os(VARIABLE)?)?;
        sys::process::take_inherited_pipe(fd, inode).map(|pipe| Self { pipe: pipe.into() })
    }

    /// Lets the caller of [`spawn_detached`] return.
    ///
    /// # Errors
    /// `BrokenPipe` when nobody waits any more.
    pub fn ready(mut self) -> io::Result<()> {
        self.pipe.write_all(READY)
    }

    /// Lets the caller of [`spawn_detached`] return with this text as its error.
    ///
    /// # Errors
    /// `BrokenPipe` when nobody waits any more.
    pub fn failed(mut self, text: &str) -> io::Result<()> {
        self.pipe.write_all(&[FAILED, text.as_bytes()].concat())
    }
}

fn start(
    name: Option<OsString>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    far: &OwnedFd,
) -> io::Result<Child> {
    // The file that runs now, even if another has taken its place on disk since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = name {
        command.arg0(name);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env(VARIABLE, encode(far)?);
    sys::process::detach(&mut command, far.as_raw_fd());
    command.spawn()
}

fn await_report(mut child: Child, near: OwnedFd) -> Result<u32, DetachError> {
    let mut pipe = File::from(near);
    let mut word = [0];
    let told = pipe.read_exact(&mut word).is_ok();
    if told && word == READY {
        return Ok(child.id());
    }
    let mut text = Vec::new();
    // A text that breaks off says more than none.
    let _ = pipe.read_to_end(&mut text);
    if told {
        return Err(DetachError::Failed(String::from_utf8_lossy(&text).into_owned()));
    }
    Err(DetachError::Died(match child.wait() {
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    }))
}

fn encode(pipe: &impl AsFd) -> io::Result<OsString> {
    let pipe = pipe.as_fd();
    let inode = File::from(pipe.try_clone_to_owned()?).metadata()?.ino();
    Ok(format!("{}:{inode}", pipe.as_raw_fd()).into())
}

fn decode(value: &OsStr) -> Option<(RawFd, u64)> {
    let (fd, inode) = value.to_str()?.split_once(':')?;
    Some((fd.parse().ok()?, inode.parse().ok()?))
}

/// Each test runs itself a second time, in the background.
#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, getpid, getsid};

    use super::*;

    fn again(test: &str) -> Result<u32, DetachError> {
        spawn_detached(["--exact", &format!("process::detach::tests::{test}"), "--nocapture"])
    }

    #[test]
    fn returns_when_ready_and_leaves_it_running() {
        if let Some(readiness) = Readiness::from_env() {
            assert!(Readiness::from_env().is_none(), "given out once");
            std::thread::sleep(Duration::from_millis(100));
            readiness.ready().unwrap();
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        let id = again("returns_when_ready_and_leaves_it_running").unwrap();
        let pid = Pid::from_raw(id.cast_signed());
        assert_eq!(getsid(Some(pid)).unwrap(), pid, "the leader of its own session");
        kill(pid, Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(pid, None).unwrap();
    }

    #[test]
    fn hands_over_the_reason_of_a_failure() {
        if let Some(readiness) = Readiness::from_env() {
            readiness.failed("port 80: taken\nby another").unwrap();
            return;
        }
        let error = again("hands_over_the_reason_of_a_failure").unwrap_err();
        assert!(
            matches!(&error, DetachError::Failed(text) if text == "port 80: taken\nby another"),
            "{error}"
        );
    }

    #[test]
    fn tells_that_it_died_without_a_word() {
        if let Some(_readiness) = Readiness::from_env() {
            std::process::exit(7);
        }
        let error = again("tells_that_it_died_without_a_word").unwrap_err();
        assert!(matches!(&error, DetachError::Died(status) if status.contains('7')), "{error}");
    }

    #[test]
    fn inherits_nothing() {
        if let Some(readiness) = Readiness::from_env() {
            readiness.failed(&descriptors()).unwrap();
            return;
        }
        // Without close-on-exec: whoever inherits the second keeps a reader of the first waiting.
        let (_leak, _leaked) = nix::unistd::pipe().unwrap();
        let DetachError::Failed(found) = again("inherits_nothing").unwrap_err() else { panic!("no report") };
        let mut found = found.lines();
        for standard in 0..3 {
            assert_eq!(found.next(), Some(format!("{standard} /dev/null").as_str()));
        }
        let pipe = found.next().unwrap_or_default();
        assert!(pipe.contains(" pipe:"), "{pipe}");
        assert_eq!(found.next(), None);
    }

    #[test]
    fn a_process_that_was_not_detached_owes_nothing() {
        let (_near, far) = nix::unistd::pipe().unwrap();
        let (fd, inode) = decode(&encode(&far).unwrap()).unwrap();
        assert!(sys::process::take_inherited_pipe(fd, inode + 1).is_none(), "another pipe");
        assert!(sys::process::take_inherited_pipe(999_999, inode).is_none(), "a closed one");
        assert_eq!(decode(OsStr::new("x")), None);
    }

    /// The descriptors of this process and what each is, one a line.
    fn descriptors() -> String {
        let own = format!("/proc/{}/fd", getpid());
        let mut found: Vec<(u32, String)> = fs::read_dir("/proc/self/fd")
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let target = fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned();
                (entry.file_name().to_str().unwrap().parse().unwrap(), target)
            })
            .filter(|(_, target)| *target != own)
            .collect();
        found.sort();
        found.iter().map(|(fd, target)| format!("{fd} {target}\n")).collect()
    }
}
