//! Waiting for something to become true, instead of sleeping and hoping.

use std::thread;
use std::time::{Duration, Instant};

/// Asks again every few milliseconds until `question` has an answer.
///
/// # Errors
/// When there is none within `patience`; the error names `what` was waited for.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut question: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = question() {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_until_there_is_an_answer() {
        let mut calls = 0;
        let third = || {
            calls += 1;
            (calls == 3).then_some(calls)
        };
        assert_eq!(wait_for("three", Duration::from_secs(5), third).unwrap(), 3);
        let error = wait_for("never", Duration::ZERO, || None::<()>).unwrap_err();
        assert!(error.to_string().contains("never"));
    }
}
