//! A number in a file, as keepalived tracks files: one that is missing or empty says 0, so that `echo 1 > FILE` takes a
//! server out and `rm FILE` gives it back.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use sched::FileCheck;

use super::asking::Asking;
use super::{Success, Weighting, words};

/// More than any number has.
const LONGEST: u64 = 128;

#[derive(Debug)]
pub(super) struct Ready {
    check: FileCheck,
    path: Arc<Path>,
}

impl Ready {
    pub(super) fn new(check: &FileCheck) -> Result<Self, String> {
        if check.path.as_os_str().is_empty() {
            return Err("it names no file".into());
        }
        if !(-254..=254).contains(&check.weight) {
            return Err(format!("{} is no weight of a file: it is -254 to 254", check.weight));
        }
        Ok(Self { check: check.clone(), path: check.path.as_path().into() })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<Success, String> {
        let path = Arc::clone(&self.path);
        // The file may be on a disk that hangs: not on this thread.
        let said = match tokio::task::spawn_blocking(move || read(&path)).await {
            Ok(said) => {
                said.map_err(|e| format!("cannot read {}: {}", self.path.display(), asking.file_error(&e)))?
            }
            Err(_) => return Err(format!("cannot read {}", self.path.display())),
        };
        self.judge(&said)
    }

    fn judge(&self, said: &[u8]) -> Result<Success, String> {
        let FileCheck { weight, reverse, dynamic, .. } = self.check;
        let number = number(said).ok_or_else(|| format!("{} is no number", words::quote(said)))?;
        if !dynamic {
            return match (number == 0, reverse) {
                (true, false) | (false, true) => Ok(Success::default()),
                (false, false) => Err(format!("the file says {number}, where 0 was expected")),
                (true, true) => Err("the file says 0, where another number was expected".into()),
            };
        }
        let sign = if reverse { -1 } else { 1 };
        let product = i64::from(number) * i64::from(weight) * sign;
        let added = product.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        match added {
            i32::MIN => Err(format!("the file says {number}, which no weight outweighs")),
            added => Ok(Success { weight: Some(Weighting::Add(added)) }),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Not waiting for the other end of a pipe.
    let file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut said = Vec::new();
    file.take(LONGEST).read_to_end(&mut said)?;
    Ok(said)
}

/// `0`, `-3`, `0x10`: the first word.
fn number(said: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(said).ok()?;
    let Some(word) = text.split_ascii_whitespace().next() else { return Some(0) };
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?.try_into().ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
