use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sched::{CheckKind, DestSpec, Health, Op, Proto, ServiceSpec, Trash};

use super::*;
use crate::api::ServerWord;
use crate::health::EventKind;
use crate::health::probe::Success;

/// Servers that answer or do not, all of them.
#[derive(Clone, Default)]
struct World {
    dead: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    out: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Asker for World {
    type Ready = Self;

    fn ready(&self, _: &Check) -> Self {
        self.made.fetch_add(1, Relaxed);
        self.clone()
    }

    async fn ask(ready: &Self, _: &Due) -> Outcome {
        ready.most.fetch_max(ready.out.fetch_add(1, Relaxed) + 1, Relaxed);
        ready.asked.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(30)).await;
        ready.out.fetch_sub(1, Relaxed);
        let result = if ready.dead.load(Relaxed) { Err("no".to_owned()) } else { Ok(Success::default()) };
        Outcome { result, took: Duration::from_millis(1), lacking: false }
    }
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap())
}

fn table(servers: u32) -> Arc<ServiceTable> {
    let check = Check { interval: 20, fall: 1, rise: 1, ..Check::new(CheckKind::Tcp) };
    let health = Some(Arc::new(Health { checks: vec![check], ..Health::default() }));
    let server = |i| DestSpec::new((std::net::Ipv4Addr::from_bits(0x0a01_0000 + i), 80).into());
    let dests = (0..servers).map(server).collect();
    let service = ServiceSpec { health, dests, ..ServiceSpec::new(key(), "rr") };
    let ops = [Op::AddService { service }];
    Arc::new(ServiceTable::default().apply(&mut Trash::default(), &ops).unwrap())
}

#[tokio::test]
async fn it_asks_until_it_is_dropped_and_tells_what_has_changed() {
    let world = World::default();
    let words = Arc::<StateWords>::default();
    let begun = Arc::new(AtomicBool::new(false));
    let begin = Arc::clone(&begun);
    let (prober, mut news) =
        Prober::start(world.clone(), 1, 20, Arc::clone(&words), move || begin.store(true, Relaxed)).unwrap();
    prober.follow(table(50));
    let (reply, answer) = oneshot::channel();
    prober.list(reply);
    assert_eq!(answer.await.unwrap().services[0].servers.len(), 50);
    assert!(begun.load(Relaxed));
    assert_eq!(words.look().len(), 50);
    world.dead.store(true, Relaxed);
    let mut down = 0;
    while down < 50 {
        let next = timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap();
        down += next.effects.turned.iter().filter(|turned| turned.down.is_some()).count();
        let told = next.effects.events.iter().filter(|event| event.kind == EventKind::Down).count();
        assert_eq!(told, next.effects.turned.len());
    }
    assert!(words.look().values().all(|state| state == "down"));
    let first = words.look().keys().next().copied().unwrap();
    let (reply, answer) = oneshot::channel();
    prober.say(ServerOrder { service: first.0, server: first.1, to: ServerWord::Up }, reply);
    let next = timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap();
    assert_eq!(next.waiting.len(), 1);
    next.waiting.into_iter().for_each(Waiting::tell);
    assert_eq!(answer.await.unwrap().unwrap().state, "up by hand");
    assert_eq!(world.made.load(Relaxed), 1, "the same check of fifty servers is made ready once");
    assert_eq!(world.most.load(Relaxed), 20, "no more are out than may be");
    assert!(world.asked.load(Relaxed) >= 50);
    assert_eq!(prober.stop().await, []);
    assert!(news.recv().await.is_none());
}
