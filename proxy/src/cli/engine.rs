//! `ulvs stop`, `reload`, `clean`: short orders to the engine, or to what it left.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control::api::{Blocking, ClientError};

use super::{fail, say};
use crate::daemon;
use crate::reason::reason;

/// How long the engine may take to put the host back.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Returns when the engine has ended and the host is as it was.
pub(super) fn stop() -> ExitCode {
    let mut client = match Blocking::connect() {
        Ok(client) => client,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(error) = client.stop() {
        return fail(&error.to_string());
    }
    drop(client);
    // The socket's name goes with the process, after everything has been undone.
    let began = Instant::now();
    while !matches!(Blocking::connect(), Err(ClientError::NoEngine)) {
        if began.elapsed() > STOP_LIMIT {
            return fail(
                "the engine was asked to stop and has not ended in 20 s; its log may say why (`ulvs status` tells where)",
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ExitCode::SUCCESS
}

pub(super) fn reload() -> ExitCode {
    match Blocking::connect().and_then(|mut client| client.reload()) {
        Ok(done) if done.changes.is_empty() => {
            say("nothing has changed");
            ExitCode::SUCCESS
        }
        Ok(done) => {
            for line in &done.changes {
                say(line);
            }
            ExitCode::SUCCESS
        }
        Err(ClientError::Failed(report)) if report.contains('\n') => {
            fail(&report);
            fail("nothing was changed")
        }
        Err(ClientError::Failed(text)) => fail(&format!("{text}; nothing was changed")),
        Err(error) => fail(&error.to_string()),
    }
}

pub(super) fn clean(state_dir: &Path) -> ExitCode {
    match daemon::clean(state_dir) {
        Ok(report) if report.any() => {
            say(&report.to_string());
            ExitCode::SUCCESS
        }
        Ok(_) => {
            say("nothing to undo in this network namespace");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&reason(&error)),
    }
}
