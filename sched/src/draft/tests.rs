use super::*;
use crate::model::{DestKey, DestSpec, Fitness, Share};
use crate::table::ServiceTable;

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap())
}

fn server(n: u16) -> DestKey {
    ([192, 168, (n >> 8) as u8, n as u8], 80).into()
}

/// A service of so many servers.
fn service(scheduler: &str, servers: u16) -> ServiceTable {
    let dests = (0..servers).map(|n| DestSpec::new(server(n))).collect();
    let service = ServiceSpec { dests, ..ServiceSpec::new(key(), scheduler) };
    ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service }]).unwrap()
}

fn fit(n: u16, share: Share) -> Op {
    Op::SetFitness { key: key(), addr: server(n), fitness: Fitness { share, weight: None } }
}

/// How often schedulers are told of something, and of how much each time.
fn told(draft: &Draft) -> Vec<usize> {
    let told = |effect: &Effect| match effect {
        Effect::DestsChanged(_, _, changes) => Some(changes.len()),
        _ => None,
    };
    draft.effects.iter().filter_map(told).collect()
}

#[test]
fn a_scheduler_hears_once_of_a_mass_failure() {
    let before = service("mh", 2_000);
    let mut draft = before.draft(&Trash::default());
    for n in (0..2_000).filter(|n| n % 4 != 0) {
        draft.apply(&fit(n, Share::Out)).unwrap();
        assert_eq!(
            draft.apply(&fit(2_000 + n, Share::Out)),
            Err(OpError::NoSuchDest),
            "each is judged by itself"
        );
    }
    draft.settle_fitness();
    assert_eq!(told(&draft), [1_500]);
    let (services, ..) = draft.commit(&mut Trash::default());
    let service = services.get(&key()).unwrap();
    assert_eq!((service.all.len(), service.dests.len()), (2_000, 500));
}

#[test]
fn what_comes_between_finds_the_servers_as_they_are_by_then() {
    let before = service("mh", 4);
    let mut draft = before.draft(&Trash::default());
    let ops = [
        fit(0, Share::Out),
        fit(1, Share::Out),
        Op::DelDest { key: key(), addr: server(0) },
        fit(1, Share::In),
        fit(2, Share::Out),
    ];
    for op in &ops {
        draft.apply(op).unwrap();
    }
    draft.settle_fitness();
    assert_eq!(told(&draft), [2, 2], "that a server is deleted which is out is nothing new");
    let dests = &draft.services.get(&key()).unwrap().dests;
    assert_eq!(dests.iter().map(|d| d.live.key).collect::<Vec<_>>(), [server(3), server(1)]);
}
