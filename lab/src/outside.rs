//! A directory that is held while the process goes into namespaces of its own, where its path may lead elsewhere.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    shown: PathBuf,
    handle: Arc<File>,
}

impl Outside {
    /// Opens it; makes it first if need be.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || {
            fs::create_dir_all(path)?;
            File::open(path)
        };
        let handle = open().with_context(|| format!("cannot use the directory {}", path.display()))?;
        Ok(Self { shown: path.to_owned(), handle: Arc::new(handle) })
    }

    /// As the user knows it.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// As this process, and no other, can use it wherever it is.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd()).into()
    }
}
