//! Where the daemon's words go.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use super::Options;

/// Logs to stderr, or to a file. `ULVS_LOG` chooses what (`debug`, `netio=debug`; the default is `info`).
pub(super) fn init(options: &Options) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("ULVS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match file(options)? {
        None => log.with_writer(std::io::stderr).init(),
        Some(path) => {
            let file = File::create(&path)
                .with_context(|| format!("cannot write the log {}: choose another with --log", path.display()))?;
            log.with_ansi(false).with_writer(file).init();
        }
    }
    Ok(())
}

fn file(options: &Options) -> anyhow::Result<Option<PathBuf>> {
    if options.log.is_some() || !options.detached {
        return Ok(options.log.clone());
    }
    let dir = &options.state_dir;
    std::fs::create_dir_all(dir).with_context(|| {
        format!("cannot make the state directory {}: choose another with --state-dir", dir.display())
    })?;
    // One per network namespace, like the daemon itself.
    let netns = netio::caps::netns_id().context("cannot tell which network namespace this is")?;
    Ok(Some(dir.join(format!("{}.log", netns.inode))))
}
