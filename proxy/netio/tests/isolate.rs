//! `netns::isolate`, in processes of its own because it must be called before any thread is started: this file has no
//! test harness, and runs itself once for each case.

use std::error::Error;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netio::netns::{self, Netns};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The exit code of the isolated process, to see that it comes through.
const CODE: u8 = 7;

fn main() -> Result<ExitCode> {
    if let Some(case) = std::env::args().nth(1).filter(|arg| arg.starts_with("isolated-")) {
        return isolated(case == "isolated-rootless");
    }
    for case in ["isolated-as-it-comes", "isolated-rootless"] {
        // Nobody else sleeps exactly this long.
        let seconds = format!("{}.{}", 100 + case.len(), std::process::id());
        let status = Command::new(std::env::current_exe()?).args([case, &seconds]).status()?;
        assert_eq!(status.code(), Some(CODE.into()), "{case} ended with {status}");
        let deadline = Instant::now() + Duration::from_secs(5);
        while running(&seconds)? {
            assert!(Instant::now() < deadline, "{case}: a process has outlived its namespaces");
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn isolated(rootless: bool) -> Result<ExitCode> {
    let outside = fs::read_link("/proc/self/ns/net")?;
    let isolation = netns::isolate(rootless)?;
    assert!(isolation.rootless || !rootless);
    assert_ne!(fs::read_link("/proc/self/ns/net")?, outside);
    assert!(isolation.private_run);
    assert_eq!(fs::read_dir("/run")?.count(), 0);
    assert_eq!(std::process::id(), 2, "init is the only other process");
    // All the privilege that a lab needs is there.
    let netns = Netns::new()?;
    netns.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    let seconds = std::env::args().nth(2).ok_or("no duration")?;
    Command::new("setsid").args(["sleep", &seconds]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(CODE.into())
}

/// Whether a process with this last argument is there.
fn running(argument: &str) -> Result<bool> {
    let wanted = format!("\0{argument}\0");
    let found = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.starts_with(b"sleep") && String::from_utf8_lossy(&line).ends_with(&wanted));
    Ok(found)
}
