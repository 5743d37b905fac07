//! Mistakes that people make with LVS, each made in a laboratory of its own: `ulvs doctor` finds nothing before, finds the
//! mistake after, the command that it prints mends it, and then it finds nothing any more.
//!
//! A new one is an entry in one of the lists. It uses the topologies of [`crate::topo`] as they are. Mistakes are made, and
//! mended, by the programs that people use for it: `ip`, `sysctl` and `nft` have to be there, `unshare` and `perl` too.

mod before;
mod direct;
mod host;
mod nat;
mod patient;
mod real;
mod run;
mod tls;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use netio::netns;
use serde_json::json;

use self::patient::Patient;

/// What to play.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Names of checks or of mistakes; none: all.
    pub only: Vec<String>,
    /// Say which there are, and play none.
    pub list: bool,
    /// One JSON object for each, on a line.
    pub json: bool,
    /// In a user namespace, as is done without asking when not run as root.
    pub rootless: bool,
}

/// A mistake.
struct Mistake {
    /// What it is called.
    name: &'static str,
    /// The doctor's check that finds it.
    check: &'static str,
    /// What somebody did, in a sentence.
    story: &'static str,
    /// A laboratory where all is well.
    build: fn(&Setting) -> anyhow::Result<Patient>,
    /// Makes the mistake.
    make: fn(&mut Patient) -> anyhow::Result<()>,
    /// Clients notice.
    noticed: bool,
    /// Mends what no command does. None: what the doctor prints is carried out.
    by_hand: Option<fn(&mut Patient) -> anyhow::Result<()>>,
}

/// What laboratories are built with.
struct Setting {
    ulvs: PathBuf,
    state_root: Option<PathBuf>,
}

fn all() -> impl Iterator<Item = &'static Mistake> {
    [nat::ALL, host::ALL, tls::ALL, direct::ALL, real::ALL, before::ALL].into_iter().flatten()
}

/// The names of all mistakes.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|mistake| mistake.name)
}

/// Plays mistakes. Says whether each was found and mended.
///
/// Call it before any thread is started: the process moves into namespaces of its own.
///
/// # Errors
/// When the machine does not permit a laboratory at all, or there is no mistake of that name.
pub fn main(wanted: &Wanted, ulvs: &Path) -> anyhow::Result<bool> {
    let chosen = |mistake: &&Mistake| {
        wanted.only.is_empty() || wanted.only.iter().any(|only| only == mistake.check || only == mistake.name)
    };
    let chosen: Vec<_> = all().filter(chosen).collect();
    let mut out = io::stdout();
    if wanted.list {
        for Mistake { name, check, story, .. } in chosen {
            if wanted.json {
                writeln!(out, "{}", json!({"name": name, "check": check, "story": story}))?;
            } else {
                writeln!(out, "{name:<18} {check:<14} {story}")?;
            }
        }
        return Ok(true);
    }
    anyhow::ensure!(
        !chosen.is_empty(),
        "there is no laboratory for {}; `ulvs doctor --lab --list` shows those there are",
        wanted.only.join(", ")
    );
    let isolation = netns::isolate(wanted.rootless)?;
    netio::process::raise_open_files().context("cannot raise the limit of open files")?;
    let state_root = isolation.private_run.then(|| PathBuf::from("/run"));
    let setting = Setting { ulvs: ulvs.to_owned(), state_root };
    let mut good = true;
    for mistake in chosen {
        good &= run::play(mistake, &setting, wanted.json)?;
    }
    Ok(good)
}
