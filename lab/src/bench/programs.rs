//! Programs of others: where they are, and which version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Where a program is, also where only root's `PATH` has it.
pub(super) fn find(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file()).with_context(|| {
        format!("{program} is not installed (Debian package {package}); install it, or measure without it")
    })
}

/// The first line of what a program says of its version.
pub(super) fn version(program: &Path, option: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(option).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    // What it was built for and from is too much.
    let name = line.split(['(', '[']).next().and_then(|line| line.split(" - ").next());
    Ok(name.unwrap_or_default().trim().to_owned())
}
