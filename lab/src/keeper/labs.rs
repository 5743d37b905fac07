//! The directory of labs: `/run/ulvs/labs` for root, below `XDG_RUNTIME_DIR` for others, or what `ULVS_LABS` says. A
//! directory for each lab, with a lock that its keeper holds and the card that it has written.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::card::Card;
use crate::outside::Outside;
use crate::wait::wait_for;

/// The directory.
pub(super) struct Labs(PathBuf);

/// A lab's directory, held by its keeper.
pub(super) struct Held {
    dir: Outside,
    _lock: File,
}

/// How long a lab may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
const LOCK: &str = "lock";
const CARD: &str = "lab.json";

impl Labs {
    pub(super) fn open() -> anyhow::Result<Self> {
        let dir = match std::env::var_os("ULVS_LABS") {
            Some(dir) => PathBuf::from(dir),
            None if geteuid().is_root() => "/run/ulvs/labs".into(),
            None => match std::env::var_os("XDG_RUNTIME_DIR") {
                Some(dir) => Path::new(&dir).join("ulvs/labs"),
                None => format!("/tmp/ulvs-labs-{}", geteuid()).into(),
            },
        };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.with_context(|| {
            format!("cannot make {}, where labs are noted; ULVS_LABS can name another place", dir.display())
        })?;
        // What is in it is believed: nobody else may have put it there.
        let owner = fs::metadata(&dir)?.uid();
        ensure!(
            owner == geteuid().as_raw(),
            "{} belongs to another user; let ULVS_LABS name another place",
            dir.display()
        );
        Ok(Self(dir))
    }

    /// Refuses a name that is taken, or is none.
    pub(super) fn check_free(&self, name: &str) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        ensure!(is_name, "{name:?} is no name for a lab: letters, digits, dashes, such as lecture-2");
        if self.0.join(name).exists() && self.free(name)?.is_none() {
            bail!(
                "a lab {name} is up already: `ulvs lab down {name}` ends it, `--as OTHER` puts another one beside it"
            );
        }
        Ok(())
    }

    /// Takes the name, for as long as the keeper lives.
    pub(super) fn hold(&self, name: &str) -> anyhow::Result<Held> {
        self.check_free(name)?;
        let dir = Outside::open(&self.0.join(name))?;
        let lock = File::create(dir.path().join(LOCK))?;
        let locked = lock.try_lock();
        locked.ok().with_context(|| format!("another lab {name} is coming up at this moment"))?;
        Ok(Held { dir, _lock: lock })
    }

    /// The labs that are up, by name, and the names of those whose keepers were killed: they are cleared away.
    pub(super) fn all(&self) -> anyhow::Result<(Vec<Card>, Vec<String>)> {
        let (mut cards, mut stale) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        for name in names {
            match self.free(&name)? {
                Some(lock) => {
                    self.clear(&name, lock)?;
                    stale.push(name);
                }
                // One that is still coming up has no card.
                None => cards.extend(self.card(&name)?),
            }
        }
        Ok((cards, stale))
    }

    /// The lab of that name.
    pub(super) fn named(&self, name: &str) -> anyhow::Result<Card> {
        self.find(Some(name), "")
    }

    /// The lab of that name, or the only one; where there are several, `which` is how to say the name.
    pub(super) fn find(&self, name: Option<&str>, which: &str) -> anyhow::Result<Card> {
        let mut cards = self.all()?.0;
        let names: Vec<_> = cards.iter().map(|card| card.name.clone()).collect();
        match (name, cards.len()) {
            (_, 0) => {
                bail!("no lab is up; `ulvs lab up NAME` puts one up, `ulvs lab list` shows which there are")
            }
            (None, 1) => Ok(cards.remove(0)),
            (None, _) => bail!("several labs are up, say which with {which}: {}", names.join(", ")),
            (Some(name), _) => match cards.into_iter().find(|card| card.name == name) {
                Some(card) => Ok(card),
                None => bail!("no lab {name} is up; there is {}", names.join(", ")),
            },
        }
    }

    /// Kills the keeper, and waits until nothing is left of the lab.
    pub(super) fn end(&self, card: &Card) -> anyhow::Result<()> {
        let pid = i32::try_from(card.pid).map(Pid::from_raw).context("the keeper's process has no number")?;
        // Its lock is held, so it is still the one that was noted. It ends all that it has started.
        match kill(pid, Signal::SIGKILL) {
            // Somebody else has ended it at this moment, which is what was wanted.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => bail!("cannot end process {pid}, which keeps {}: {errno}", card.name),
        }
        let what = format!("the end of the lab {}", card.name);
        let ended = || match self.free(&card.name) {
            Ok(None) if self.0.join(&card.name).exists() => None,
            free => Some(free),
        };
        match wait_for(&what, PATIENCE, ended)?? {
            Some(lock) => self.clear(&card.name, lock),
            None => Ok(()),
        }
    }

    /// The lock of a lab, if nobody has it. Whoever has got it may clear the lab away. None of one that is gone, too.
    fn free(&self, name: &str) -> anyhow::Result<Option<File>> {
        let path = self.0.join(name).join(LOCK);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match File::open(self.0.join(name)) {
                Ok(dir) => dir,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error).with_context(|| format!("cannot open the lab {name}")),
            },
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
        };
        match lock.try_lock() {
            // Whoever had it has cleared the lab away. One that is there now is another one.
            Ok(()) if lock.metadata()?.nlink() == 0 => Ok(None),
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    fn card(&self, name: &str) -> anyhow::Result<Option<Card>> {
        let path = self.0.join(name).join(CARD);
        match fs::read(&path) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&text).with_context(|| format!("{} is not ours", path.display()))?,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn clear(&self, name: &str, lock: File) -> anyhow::Result<()> {
        let dir = self.0.join(name);
        let cleared = fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()));
        drop(lock);
        cleared
    }
}

impl Held {
    /// Removes what is noted of the lab. By way of the directory itself, since its path may lead elsewhere from here.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let shown = self.dir.shown();
        let name = shown.file_name().context("a lab's directory has a name")?;
        fs::remove_dir_all(self.dir.path().join("..").join(name))
            .with_context(|| format!("cannot remove {}", shown.display()))
    }

    /// Lets everybody know.
    pub(super) fn write(&self, card: &Card) -> anyhow::Result<()> {
        let (new, path) = (self.dir.path().join("new"), self.dir.path().join(CARD));
        fs::write(&new, serde_json::to_vec_pretty(card)?)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot note the lab in {}", self.dir.shown().display()))
    }
}
