//! Those who want to hear of events, a line of JSON each. Nobody waits for them: who does not take its lines in time
//! hears no more.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use control::api::{EventLine, Lines};
use control::health::Event;
use tokio::sync::mpsc;

/// Lines that one may be behind.
const BEHIND: usize = 4096;
/// Listeners at a time.
const MOST: usize = 32;

#[derive(Debug, Default)]
pub(in crate::daemon) struct Listeners(Mutex<Vec<mpsc::Sender<String>>>);

impl Listeners {
    /// Another one.
    ///
    /// # Errors
    /// In words: there are too many already.
    pub(in crate::daemon) fn open(&self) -> Result<Lines, String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|listener| !listener.is_closed());
        if all.len() == MOST {
            return Err(format!("{MOST} others listen already: end one of them first"));
        }
        let (sender, receiver) = mpsc::channel(BEHIND);
        all.push(sender);
        Ok(Lines::new(receiver, || {}))
    }

    pub(super) fn tell(&self, event: &Event) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = EventLine { at_ms: since.as_millis() as u64, event: event.clone() };
        let line = serde_json::to_string(&line).unwrap_or_default();
        all.retain(|listener| listener.try_send(line.clone()).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use control::health::EventKind;
    use sched::{Proto, ServiceKey};

    use super::*;

    fn event() -> Event {
        let service = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let (state, reason) = ("quorum lost".to_owned(), "live servers weigh 0".to_owned());
        Event { service, server: None, kind: EventKind::QuorumDown, state, reason }
    }

    #[tokio::test]
    async fn each_listener_gets_each_line_and_who_sleeps_none_after_a_while() {
        let listeners = Listeners::default();
        let (mut one, mut other) = (listeners.open().unwrap(), listeners.open().unwrap());
        for _ in 0..BEHIND {
            listeners.tell(&event());
        }
        let line: EventLine = serde_json::from_str(&one.next().await.unwrap()).unwrap();
        assert_eq!(line.event, event());
        listeners.tell(&event());
        listeners.tell(&event());
        for _ in 0..BEHIND {
            assert!(other.next().await.is_some());
        }
        assert!(other.next().await.is_none(), "it was too late for one");
    }

    #[test]
    fn there_are_not_too_many_and_those_who_left_count_no_more() {
        let listeners = Listeners::default();
        let mut all: Vec<_> = (0..MOST).map(|_| listeners.open().unwrap()).collect();
        assert!(listeners.open().is_err());
        all.pop();
        assert!(listeners.open().is_ok());
    }
}
