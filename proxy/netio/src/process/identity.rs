//! One run of one process: the number alone is used again by others.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// A process, told from later ones with the same number by the time it started. Valid within one boot of the
/// kernel ([`crate::caps::boot_id`]) and one PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat` field 22).
    pub started: u64,
}

impl ProcessId {
    /// This process.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    ///
    /// # Errors
    /// `NotFound` when there is none, or one that has ended and waits for its parent; also when `/proc` is not
    /// mounted or hides others' processes.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        match parse(&stat) {
            Some(('Z' | 'X' | 'x', _)) => Err(io::ErrorKind::NotFound.into()),
            Some((_, started)) => Ok(Self { pid, started }),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == *self)
    }
}

/// State and start time. The program's name, in parentheses before them, may itself hold spaces and parentheses.
fn parse(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn finds_the_fields_behind_any_name() {
        let stat = "42 (a) R) (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000";
        assert_eq!(parse(stat), Some(('S', 987_654)));
        assert_eq!(parse("42 (cat) R 1 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_alive_and_an_earlier_one_with_its_number_is_not() {
        let this = ProcessId::current().unwrap();
        assert!(this.is_alive());
        assert!(!ProcessId { started: this.started - 1, ..this }.is_alive());
    }

    #[test]
    fn an_ended_process_is_dead_before_and_after_it_was_waited_for() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        child.kill().unwrap();
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!id.is_alive());
        assert_eq!(ProcessId::of(id.pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
