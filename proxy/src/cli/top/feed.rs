//! Fetches what the engine says, again and again, and carries out wishes, in a thread of its own: the screen stays alive
//! while an engine is slow, ends, or comes back.

use std::sync::mpsc::Sender;
use std::time::Duration;

use control::api::{Client, ClientError, ConnQuery, DrainOrder};
use ratatui::crossterm::event::Event;
use sched::counted;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::model::Sample;

/// An engine that is silent for so long is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often one is looked for that has gone, at least.
const RETRY: Duration = Duration::from_secs(1);

/// What happens to the screen.
#[derive(Debug)]
pub(super) enum News {
    Sample(Box<Sample>),
    /// There is no engine, or none that answers.
    Lost(String),
    /// A wish was carried out or refused.
    Said(String),
    Terminal(Event),
    /// It is time to go.
    End,
}

/// What the screen asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Drain(DrainOrder),
    /// Fetch at once, and from now on with these connections.
    Look(Option<ConnQuery>),
}

/// Says that it is over, however it came to that.
pub(super) struct Farewell(pub(super) Sender<News>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens when the screen was the first to go.
        let _ = self.0.send(News::End);
    }
}

/// Everything that a sample is made of.
pub(super) async fn sample(client: &mut Client, look: Option<&ConnQuery>) -> Result<Sample, ClientError> {
    let status = client.status().await?;
    let services = client.services().await?;
    let drains = client.drains().await?;
    let connections = match look {
        Some(query) => Some(client.connections(query).await?),
        None => None,
    };
    Ok(Sample { status, services, drains, connections })
}

/// Runs until nobody listens, or a signal says that it is enough.
pub(super) async fn run(interval: Duration, mut asks: UnboundedReceiver<Ask>, news: Farewell) {
    let (Ok(mut term), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    let mut client = None;
    let mut look = None;
    loop {
        let began = Instant::now();
        let outcome = match timeout(PATIENCE, fetch(&mut client, look.as_ref())).await {
            Ok(Ok(sample)) => News::Sample(Box::new(sample)),
            Ok(Err(error)) => News::Lost(lost(&error)),
            Err(_) => News::Lost(format!("it has not answered in {} s", PATIENCE.as_secs())),
        };
        let mut pace = interval;
        if matches!(outcome, News::Lost(_)) {
            client = None;
            pace = pace.min(RETRY);
        }
        if news.0.send(outcome).is_err() {
            return;
        }
        tokio::select! {
            () = sleep_until(began + pace) => {}
            _ = term.recv() => return,
            _ = hangup.recv() => return,
            ask = asks.recv() => match ask {
                None => return,
                Some(Ask::Look(query)) => look = query,
                Some(Ask::Drain(order)) => {
                    let said = match timeout(PATIENCE, drain(&mut client, &order)).await {
                        Ok(said) => said,
                        Err(_) => "the engine does not answer: it may drain or not".to_owned(),
                    };
                    if news.0.send(News::Said(said)).is_err() {
                        return;
                    }
                }
            },
        }
    }
}

async fn fetch(client: &mut Option<Client>, look: Option<&ConnQuery>) -> Result<Sample, ClientError> {
    sample(connected(client).await?, look).await
}

async fn connected(client: &mut Option<Client>) -> Result<&mut Client, ClientError> {
    Ok(match client {
        Some(client) => client,
        None => client.insert(Client::connect().await?),
    })
}

async fn drain(client: &mut Option<Client>, order: &DrainOrder) -> String {
    let drained = match connected(client).await {
        Ok(client) => client.drain(order).await,
        Err(error) => Err(error),
    };
    let DrainOrder { server, undo, .. } = order;
    match drained {
        Ok(view) if *undo => format!("{server} has its weight back: {}", view.weight.0),
        Ok(view) => {
            let left = counted(view.active + view.inactive, "connection");
            format!("{server} gets nobody new; {left} left")
        }
        Err(error) => error.to_string(),
    }
}

/// In the room that a line has.
fn lost(error: &ClientError) -> String {
    match error {
        ClientError::NoEngine => "no engine is running here; waiting for one".to_owned(),
        ClientError::Talk(_) => "the engine has gone; waiting for it".to_owned(),
        other => other.to_string(),
    }
}
