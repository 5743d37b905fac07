//! The loop that asks all questions, on a thread of its own with a runtime of its own: it shares nothing with those who
//! handle packets. It owns the roster and does nothing itself; what follows goes to whoever started it, as [`News`].
//!
//! One sleep until the next question is due, one list of questions that are out: a server costs nothing while it is not
//! asked. What has come in the meantime is news together.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sched::{Check, DestKey, ServiceKey, ServiceTable};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tracing::warn;

use super::event::Told;
use super::probe::Outcome;
use super::roster::{Due, Effects, Roster};
use crate::api::{ApplyError, HealthList, ServerHealth, ServerOrder};

/// How long its last words are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that are taken together.
const TOGETHER: usize = 512;

/// Who asks questions.
pub trait Asker: Send + 'static {
    /// A check made ready.
    type Ready: 'static;

    /// Makes a check ready, once for all servers that are asked it.
    fn ready(&self, check: &Check) -> Self::Ready;

    /// Asks. Has to come to an end by itself.
    fn ask(ready: &Self::Ready, due: &Due) -> impl Future<Output = Outcome>;
}

/// What follows from answers, and from what somebody said.
#[derive(Debug)]
pub struct News {
    /// What is to be done.
    pub effects: Effects,
    /// Who waits until that has been done.
    pub waiting: Vec<Waiting>,
}

/// Somebody who has said something about a server.
#[derive(Debug)]
pub struct Waiting {
    reply: oneshot::Sender<Result<ServerHealth, ApplyError>>,
    result: Result<ServerHealth, ApplyError>,
}

impl Waiting {
    /// It has been done.
    pub fn tell(self) {
        // Perhaps nobody waits any more.
        let _ = self.reply.send(self.result);
    }
}

/// The states of servers in words, for whoever lists them.
#[derive(Debug, Default)]
pub struct StateWords(Mutex<HashMap<(ServiceKey, DestKey), String>>);

impl StateWords {
    /// Looks at them; nothing changes meanwhile.
    pub fn look(&self) -> MutexGuard<'_, HashMap<(ServiceKey, DestKey), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum Order {
    Follow(Arc<ServiceTable>),
    Say(ServerOrder, oneshot::Sender<Result<ServerHealth, ApplyError>>),
    List(oneshot::Sender<HealthList>),
    Stop(oneshot::Sender<Vec<Told>>),
}

/// The loop, from outside. It ends when this is dropped.
#[derive(Debug)]
pub struct Prober {
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Starts it. No more than `most` questions are out at a time, each with a socket; `begin` is the first thing that the
    /// thread does; `words` are kept up to date.
    ///
    /// # Errors
    /// There can be no thread, or no runtime.
    pub fn start<A: Asker>(
        asker: A,
        seed: u64,
        most: usize,
        words: Arc<StateWords>,
        begin: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<News>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let (news, outbox) = mpsc::unbounded_channel();
        let work = move || {
            begin();
            let (roster, ready) = (Roster::new(seed), HashMap::new());
            let looping = Loop { asker, roster, most, ready, lacking: false, words, news };
            runtime.block_on(looping.run(inbox));
            // Whoever reads a file that does not come is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("ulvs-health".to_owned()).spawn(work)?;
        Ok((Self { orders: Some(orders), thread: Some(thread) }, outbox))
    }

    /// The table of services is this one now.
    pub fn follow(&self, table: Arc<ServiceTable>) {
        self.send(Order::Follow(table));
    }

    /// Somebody says what a server is to be taken for; `reply` hears of it when that has been done.
    pub fn say(&self, order: ServerOrder, reply: oneshot::Sender<Result<ServerHealth, ApplyError>>) {
        self.send(Order::Say(order, reply));
    }

    /// Everything that there is to show.
    pub fn list(&self, reply: oneshot::Sender<HealthList>) {
        self.send(Order::List(reply));
    }

    /// The end. Returns the commands that are to be told of it.
    pub async fn stop(mut self) -> Vec<Told> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Stop(reply));
        let told = timeout(PATIENCE, answer).await;
        if told.is_err() {
            // It hangs, and with it would we.
            self.thread = None;
        }
        told.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn send(&self, order: Order) {
        // It ends with us, and not before.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop<A: Asker> {
    asker: A,
    roster: Roster,
    most: usize,
    /// Checks made ready, by where they are: kept as long as anybody has them.
    ready: HashMap<*const Check, (Arc<Check>, Rc<A::Ready>)>,
    /// This host has lacked what it takes to ask, and that was said.
    lacking: bool,
    words: Arc<StateWords>,
    news: mpsc::UnboundedSender<News>,
}

impl<A: Asker> Loop<A> {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut out = FuturesUnordered::new();
        loop {
            let mut news = News { effects: Effects::default(), waiting: Vec::new() };
            let due = self.roster.next_due().filter(|_| out.len() < self.most);
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order, &mut news),
                    None => return,
                },
                Some((due, outcome)) = out.next() => {
                    self.answered(&due, outcome, &mut news);
                    for _ in 1..TOGETHER {
                        let Some(Some((due, outcome))) = out.next().now_or_never() else { break };
                        self.answered(&due, outcome, &mut news);
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    news.effects.extend(self.roster.tick(Instant::now()));
                }
            }
            let now = Instant::now();
            while out.len() < self.most
                && let Some(due) = self.roster.due(now)
            {
                let ready = self.ready(&due.check);
                out.push(async move {
                    let outcome = A::ask(&ready, &due).await;
                    (due, outcome)
                });
            }
            news.effects.extend(self.roster.settle());
            self.publish(news);
        }
    }

    fn obey(&mut self, order: Order, news: &mut News) {
        let now = Instant::now();
        match order {
            Order::Follow(table) => {
                news.effects.extend(self.roster.follow(table, now));
                self.ready.retain(|_, (check, _)| Arc::strong_count(check) > 1);
            }
            Order::Say(order, reply) => {
                let ServerOrder { service, server, to } = order;
                let result = match self.roster.order(service, server, to.hand(), now) {
                    Ok(effects) => {
                        news.effects.extend(effects);
                        news.effects.extend(self.roster.settle());
                        let gone = || ApplyError::System("the server has gone".to_owned());
                        self.roster.show(service, server, now).ok_or_else(gone)
                    }
                    Err(error) => Err(ApplyError::Refused { index: 0, error }),
                };
                news.waiting.push(Waiting { reply, result });
            }
            Order::List(reply) => drop(reply.send(self.roster.list(now))),
            Order::Stop(reply) => drop(reply.send(self.roster.stop().told)),
        }
    }

    fn answered(&mut self, due: &Due, outcome: Outcome, news: &mut News) {
        if let Err(why) = &outcome.result
            && outcome.lacking
            && !std::mem::replace(&mut self.lacking, true)
        {
            let (service, server) = (due.service, due.server);
            warn!(
                "server {server} of {service} was not asked, which is not held against it: {why}; others may share that"
            );
        }
        news.effects.extend(self.roster.answer(due, outcome, Instant::now()));
    }

    fn ready(&mut self, check: &Arc<Check>) -> Rc<A::Ready> {
        let make = || (Arc::clone(check), Rc::new(self.asker.ready(check)));
        Rc::clone(&self.ready.entry(Arc::as_ptr(check)).or_insert_with(make).1)
    }

    fn publish(&self, mut news: News) {
        let words = std::mem::take(&mut news.effects.words);
        if !words.is_empty() {
            let mut known = self.words.look();
            for (service, server, state) in words {
                match state {
                    Some(state) => drop(known.insert((service, server), state)),
                    None => drop(known.remove(&(service, server))),
                }
            }
        }
        if !news.effects.is_empty() || !news.waiting.is_empty() {
            // Nobody who wants to know: then it ends soon.
            let _ = self.news.send(news);
        }
    }
}

#[cfg(test)]
mod tests;
