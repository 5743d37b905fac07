//! Where the daemon's words go.

use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use tracing_subscriber::EnvFilter;

use super::Options;

/// Logs to stderr, or to a file. `ULVS_LOG` chooses what (`debug`, `netio=debug`; the default is `info`).
/// Returns the file, if it is one.
pub(super) fn init(options: &Options) -> anyhow::Result<Option<PathBuf>> {
    let filter = EnvFilter::try_from_env("ULVS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let Some(path) = file(options)? else {
        log.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
        return Ok(None);
    };
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
        let option = if options.log.is_some() { "--log" } else { "--state-dir" };
        anyhow!("cannot write the log {}: {error}; choose another place with {option}", path.display())
    })?;
    log.with_ansi(false).with_writer(file).init();
    // Its usual place, stderr, may be /dev/null.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(Some(path))
}

fn file(options: &Options) -> anyhow::Result<Option<PathBuf>> {
    if options.log.is_some() || !options.detached {
        // Absolute, so that `ulvs status` can tell it to somebody elsewhere.
        return Ok(options.log.as_ref().map(std::path::absolute).transpose()?);
    }
    let dir = &options.state_dir;
    std::fs::create_dir_all(dir).map_err(|error| {
        anyhow!(
            "cannot make the state directory {}: {error}; choose another place with --state-dir",
            dir.display()
        )
    })?;
    // One per network namespace, like the daemon itself.
    let netns = netio::place::netns_id().context("cannot tell which network namespace this is")?;
    Ok(Some(dir.join(format!("{}.log", netns.inode))))
}
