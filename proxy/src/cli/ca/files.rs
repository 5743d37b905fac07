//! Files of PEM: keys are for their owner only, and what was issued is never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tls::ca::CaError;

use super::say;

/// More than any file of PEM holds.
const LONGEST: u64 = 16 << 20;

/// The whole file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    open(path).and_then(|file| contents(path, &file))
}

/// The whole file of a key, unless others than its owner can read it.
pub(super) fn read_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = open(path)?;
    if let Some(mode) = open_to_others(path, &file)? {
        let path = path.display();
        bail!("{path}: others can read this key (mode {mode:04o}): `chmod 600 {path}` keeps it secret");
    }
    contents(path, &file)
}

/// The mode of a file that not only its owner can use.
pub(super) fn open_to_others(path: &Path, file: &File) -> anyhow::Result<Option<u32>> {
    let mode = file.metadata().with_context(|| path.display().to_string())?.permissions().mode() & 0o7777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn contents(path: &Path, file: &File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// What is wrong with the contents of a file, with its name.
pub(super) fn at(path: &Path, error: CaError) -> anyhow::Error {
    let path = path.display();
    match error {
        CaError::EncryptedKey => anyhow::anyhow!(
            "{path}: the key is encrypted: `openssl pkey -in {path} -out {path}.plain` takes the passphrase off"
        ),
        error => anyhow::Error::new(error).context(path.to_string()),
    }
}

/// Complains about the first of these files that is there, and where there is no place for them.
pub(super) fn refuse_existing(stem: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    if let Some(dir) = stem.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) {
        bail!("cannot write {}: {} is no directory: make it first", stem.display(), dir.display());
    }
    for (ending, _) in files {
        let path = with_ending(stem, ending);
        if path.symlink_metadata().is_ok() {
            bail!("{} is there already: remove it first if it is no longer needed", path.display());
        }
    }
    Ok(())
}

/// Writes all of these files or none; never over what is there.
pub(super) fn create(stem: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    refuse_existing(stem, files)?;
    for (done, (ending, text)) in files.iter().enumerate() {
        if let Err(error) = create_one(&with_ending(stem, ending), *ending == "key", text) {
            for (ending, _) in &files[..done] {
                let _ = std::fs::remove_file(with_ending(stem, ending));
            }
            return Err(error);
        }
    }
    for (ending, _) in files {
        say(&with_ending(stem, ending).display().to_string());
    }
    Ok(())
}

fn create_one(path: &Path, secret: bool, text: &str) -> anyhow::Result<()> {
    let mode = if secret { 0o600 } else { 0o644 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| {
        let _ = std::fs::remove_file(path);
        format!("cannot write {}", path.display())
    })
}

/// Writes a file that is written again and again: readers see the old one or the new one.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = with_ending(path, "new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Names have dots of their own: an ending is added, not exchanged.
fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}
