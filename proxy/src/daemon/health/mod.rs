//! The health of servers, as the daemon goes about it: starts the loop that asks them once anybody has to be asked, feeds
//! it the table, and does what follows from the answers besides editing the table: connections of the dead end, whoever
//! listens is told, commands are run. The edits are the director's.

mod aiming;
mod asker;
mod endings;
mod listeners;
mod teller;

use std::io;
use std::sync::Arc;

use control::api::{ApplyError, HealthList, ServerHealth, ServerOrder};
use control::health::Told;
use control::health::prober::{News, Prober, StateWords, Waiting};
use engine::Engine;
use sched::{Op, Service, ServiceTable};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

use self::asker::Network;
use self::endings::Endings;
pub(super) use self::listeners::Listeners;
use self::teller::Teller;
use super::random_seed;

/// Questions that are out at a time. Each has a socket.
const OUT: usize = 4096;
/// Open files that are for others: fronts, the control plane, ports.
const RESERVE: usize = 512;
/// Why there are no news any more.
const PANICKED: &str = "the checks of servers have panicked: a defect of ulvs; its log says where";
/// News that are done as one.
const TOGETHER: usize = 256;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Health {
    running: Option<Running>,
    endings: Endings,
    teller: Teller,
    words: Arc<StateWords>,
    listeners: Arc<Listeners>,
    /// What servers say is steered to the engine.
    steered: bool,
}

#[derive(Debug)]
struct Running {
    prober: Prober,
    news: mpsc::UnboundedReceiver<News>,
}

/// What is left to do once the table has been edited.
#[derive(Debug)]
pub(super) struct Rest {
    news: Vec<News>,
}

impl Health {
    pub(super) fn new(steered: bool) -> Self {
        Self { steered, ..Self::default() }
    }

    /// The states of servers in words.
    pub(super) fn words(&self) -> Arc<StateWords> {
        Arc::clone(&self.words)
    }

    /// Those who are told of events.
    pub(super) fn listeners(&self) -> Arc<Listeners> {
        Arc::clone(&self.listeners)
    }

    /// The table is this one now.
    pub(super) fn follow(&mut self, engine: &Arc<Engine>, before: &ServiceTable, table: &Arc<ServiceTable>) {
        let checked = |service: &Arc<Service>| service.health.is_some();
        let wanted = || before.changes(table).any(|(_, new)| new.is_some_and(checked));
        if self.running.is_none() && !wanted() {
            return;
        }
        match self.running(engine, table) {
            Ok(running) => running.prober.follow(Arc::clone(table)),
            Err(error) => warn!("servers are not checked: {error}"),
        }
    }

    /// Somebody says what a server is to be taken for.
    pub(super) fn say(
        &mut self,
        engine: &Arc<Engine>,
        table: &Arc<ServiceTable>,
        order: ServerOrder,
        reply: oneshot::Sender<Result<ServerHealth, ApplyError>>,
    ) {
        match self.running(engine, table) {
            Ok(running) => running.prober.say(order, reply),
            Err(error) => {
                let text = format!("servers cannot be looked after: {error}");
                // Whoever asked may have gone.
                let _ = reply.send(Err(ApplyError::System(text)));
            }
        }
    }

    /// How all are.
    pub(super) fn list(&self, reply: oneshot::Sender<HealthList>) {
        match &self.running {
            Some(running) => running.prober.list(reply),
            None => drop(reply.send(HealthList::default())),
        }
    }

    /// Waits for news; for ever while nobody is asked. The edits to make first, then [`Self::carry_out`]. None ever again
    /// once the thread that asks has panicked: servers could die unnoticed.
    pub(super) async fn news(&mut self) -> anyhow::Result<(Vec<Op>, Rest)> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let first = running.news.recv().await.ok_or_else(|| anyhow::anyhow!(PANICKED))?;
        let mut news = vec![first];
        while news.len() < TOGETHER
            && let Ok(next) = running.news.try_recv()
        {
            news.push(next);
        }
        let ops = news.iter_mut().flat_map(|news| std::mem::take(&mut news.effects.ops)).collect();
        Ok((ops, Rest { news }))
    }

    /// Does what is left to do.
    pub(super) fn carry_out(&mut self, rest: Rest) {
        for News { effects, waiting } in rest.news {
            for turned in effects.turned {
                self.endings.turn(&turned);
            }
            for event in &effects.events {
                info!("{event}");
                self.listeners.tell(event);
            }
            effects.told.into_iter().for_each(|told| self.teller.tell(told));
            waiting.into_iter().for_each(Waiting::tell);
        }
    }

    /// When to call [`Self::end_connections`].
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.endings.next_look()
    }

    /// Ends connections of the dead; the workers have to be woken.
    pub(super) fn end_connections(&mut self, engine: &Engine) {
        self.endings.look(engine, Instant::now());
    }

    /// The end: tells those commands that want to know of it, and waits for them, briefly.
    pub(super) async fn stop(&mut self) {
        let told: Vec<Told> = match self.running.take() {
            Some(running) => running.prober.stop().await,
            None => Vec::new(),
        };
        told.into_iter().for_each(|told| self.teller.tell(told));
        self.teller.finish().await;
    }

    fn running(&mut self, engine: &Arc<Engine>, table: &Arc<ServiceTable>) -> io::Result<&Running> {
        let running = match self.running.take() {
            Some(running) => running,
            None => {
                let words = Arc::clone(&self.words);
                let (prober, news) = Prober::start(
                    Network::new(engine, self.steered),
                    random_seed(),
                    room_for_questions(),
                    words,
                    || {
                        // Those who handle packets come first.
                        if let Err(error) = netio::process::lower_priority() {
                            warn!("checks of servers run as urgently as packets: {error}");
                        }
                    },
                )?;
                prober.follow(Arc::clone(table));
                Running { prober, news }
            }
        };
        Ok(self.running.insert(running))
    }
}

/// How many questions there may be at a time, with as many open files as the process may have.
fn room_for_questions() -> usize {
    if let Err(error) = netio::process::raise_open_files() {
        warn!("no more files can be open for checks: {error}");
    }
    at_a_time(netio::process::open_files().unwrap_or(RESERVE))
}

/// A few, however few files there are.
fn at_a_time(files: usize) -> usize {
    files.saturating_sub(RESERVE).max(files / 4).clamp(1, OUT)
}

#[cfg(test)]
mod tests {
    use control::health::Due;
    use control::health::probe::Outcome;
    use control::health::prober::Asker;
    use sched::{Check, CheckKind, DestSpec, Proto, ServiceKey, ServiceSpec, Trash};

    use super::*;

    /// Does not survive its first question.
    struct Frail;

    impl Asker for Frail {
        type Ready = ();

        fn ready(&self, _: &Check) {
            panic!("the panic of a test");
        }

        async fn ask((): &(), _: &Due) -> Outcome {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_panic_of_those_who_ask_is_the_end_rather_than_silence() {
        let (prober, news) = Prober::start(Frail, 1, 1, Arc::default(), || ()).unwrap();
        let check = Check { interval: 1, ..Check::new(CheckKind::Tcp) };
        let health = Some(Arc::new(sched::Health { checks: vec![check], ..sched::Health::default() }));
        let dests = vec![DestSpec::new("192.168.1.1:80".parse().unwrap())];
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let service = ServiceSpec { health, dests, ..ServiceSpec::new(key, "rr") };
        let ops = [Op::AddService { service }];
        prober.follow(Arc::new(ServiceTable::default().apply(&mut Trash::default(), &ops).unwrap()));
        let mut health = Health { running: Some(Running { prober, news }), ..Health::default() };
        assert_eq!(health.news().await.unwrap_err().to_string(), PANICKED);
    }

    #[test]
    fn questions_leave_open_files_for_others() {
        for (files, questions) in [(1_048_576, 4096), (1024, 512), (512, 128), (1, 1)] {
            assert_eq!(at_a_time(files), questions, "{files}");
        }
    }
}
