//! Plain models: each algorithm as its description says it, without regard for speed, over a list that holds all there
//! is to know of a server.

mod chance;
mod hashing;
mod least;
mod locality;
mod ranks;
mod turns;

use sched::{Change, DestKey, DestSpec, Flow, Op, SchedFlags, ServiceKey};

use crate::director::Chooser;

/// A server, with its connections.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    addr: DestKey,
    weight: i128,
    /// The latest weight above 0 since it was added.
    last_weight: i128,
    upper: i128,
    lower: i128,
    active: i128,
    inactive: i128,
    overloaded: bool,
    /// Average handshake in microseconds.
    handshake: Option<i128>,
}

impl Server {
    fn can_be_chosen(&self) -> bool {
        self.weight > 0 && !self.overloaded
    }

    fn weight(&self) -> usize {
        usize::try_from(self.weight).unwrap()
    }

    fn load(&self) -> i128 {
        257 * self.active + self.inactive
    }

    fn set(&mut self, spec: &DestSpec) {
        self.weight = spec.weight.0.into();
        if self.weight > 0 {
            self.last_weight = self.weight;
        }
        self.upper = spec.upper.into();
        self.lower = spec.lower.into();
        self.update_overload();
    }

    fn update_overload(&mut self) {
        let connections = self.active + self.inactive;
        let lower = if self.lower > 0 { self.lower } else { self.upper - self.upper / 4 };
        if self.upper > 0 && connections >= self.upper {
            self.overloaded = true;
        } else if self.upper == 0 || connections < lower {
            self.overloaded = false;
        }
    }
}

/// One algorithm. Lists are newest first.
pub(crate) trait Model {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey>;

    fn changed(&mut self, list: &[Server], change: Change) {
        let _ = (list, change);
    }

    /// The service has other flags now.
    fn switched(&mut self, flags: SchedFlags) {
        let _ = flags;
    }

    /// The removed servers, before each pick.
    fn removed(&mut self, removed: &[Server]) {
        let _ = removed;
    }
}

/// The model of this algorithm.
fn model(name: &str, flags: SchedFlags) -> Box<dyn Model> {
    match name {
        "rr" => Box::new(turns::Rr::default()),
        "wrr" => Box::new(turns::Wrr::default()),
        "swrr" => Box::new(turns::Swrr::default()),
        "lc" => Box::new(least::Lc),
        "wlc" => Box::new(least::Wlc),
        "sed" => Box::new(least::Sed),
        "nq" => Box::new(least::Nq),
        "fo" => Box::new(ranks::Fo),
        "ovf" => Box::new(ranks::Ovf),
        "dh" => Box::new(hashing::Dh),
        "sh" => Box::new(hashing::Sh(flags)),
        "mh" => Box::new(hashing::Mh::new(flags)),
        "lblc" => Box::new(locality::Lblc::default()),
        "lblcr" => Box::new(locality::Lblcr::default()),
        "twos" => Box::new(chance::Twos),
        "p2c-latency" => Box::new(chance::P2cLatency),
        other => panic!("no model of {other}"),
    }
}

/// A director of one service, with a model in the place of its scheduler.
#[derive(Default)]
pub(crate) struct Plain {
    service: Option<Service>,
    /// Removed servers keep their connections.
    removed: Vec<Server>,
}

struct Service {
    key: ServiceKey,
    scheduler: String,
    model: Box<dyn Model>,
    list: Vec<Server>,
}

impl Plain {
    fn service(&mut self, key: &ServiceKey) -> &mut Service {
        self.service.as_mut().filter(|service| service.key == *key).unwrap()
    }

    fn add(&mut self, key: &ServiceKey, spec: &DestSpec) {
        let old = self.removed.iter().position(|server| server.addr == spec.addr);
        let mut server = old.map(|i| self.removed.remove(i)).unwrap_or_else(|| Server {
            addr: spec.addr,
            weight: 0,
            last_weight: 0,
            upper: 0,
            lower: 0,
            active: 0,
            inactive: 0,
            overloaded: false,
            handshake: None,
        });
        server.last_weight = 0;
        server.set(spec);
        let service = self.service(key);
        service.list.insert(0, server);
        service.model.changed(&service.list, Change::Added(spec.addr));
    }
}

impl Chooser for Plain {
    fn edit(&mut self, op: &Op) {
        match op {
            Op::AddService { service } => {
                assert!(
                    self.service.is_none() && service.dests.is_empty(),
                    "one service, servers come later"
                );
                let scheduler = service.scheduler.clone();
                let model = model(&scheduler, service.flags);
                self.service = Some(Service { key: service.key, scheduler, model, list: Vec::new() });
            }
            Op::EditService { service: spec } => {
                let service = self.service(&spec.key);
                if service.scheduler != spec.scheduler {
                    service.model = model(&spec.scheduler, spec.flags);
                    service.scheduler.clone_from(&spec.scheduler);
                    service.model.changed(&service.list, Change::Bound);
                }
                service.model.switched(spec.flags);
            }
            Op::DelService { .. } => self.removed.extend(self.service.take().unwrap().list),
            Op::AddDest { key, dest } => self.add(key, dest),
            Op::EditDest { key, dest } => {
                let service = self.service(key);
                service.list.iter_mut().find(|server| server.addr == dest.addr).unwrap().set(dest);
                service.model.changed(&service.list, Change::Edited(dest.addr));
            }
            Op::DelDest { key, addr } => {
                let service = self.service(key);
                let i = service.list.iter().position(|server| server.addr == *addr).unwrap();
                let gone = service.list.remove(i);
                let previous = i.checked_sub(1).map(|previous| service.list[previous].addr);
                service.model.changed(&service.list, Change::Removed { gone: *addr, previous });
                self.removed.push(gone);
            }
            other => panic!("{other:?}"),
        }
    }

    fn pick(&mut self, key: &ServiceKey, flow: &Flow) -> Option<DestKey> {
        let service = self.service.as_mut().filter(|service| service.key == *key).unwrap();
        service.model.removed(&self.removed);
        service.model.pick(&service.list, flow)
    }

    fn count(&mut self, server: DestKey, active: i32, inactive: i32) {
        let server = self.server(server);
        server.active += i128::from(active);
        server.inactive += i128::from(inactive);
        server.update_overload();
    }

    fn measure(&mut self, server: DestKey, micros: u32) {
        let server = self.server(server);
        let micros = i128::from(micros.max(1));
        // Rounded up.
        server.handshake = Some(server.handshake.map_or(micros, |old| (7 * old + micros + 7) / 8));
    }

    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)> {
        let service = self.service.as_ref().filter(|service| service.key == *key).unwrap();
        let number = |n: i128| u64::try_from(n).unwrap();
        service.list.iter().map(|s| (s.addr, number(s.active), number(s.inactive))).collect()
    }
}

impl Plain {
    fn server(&mut self, addr: DestKey) -> &mut Server {
        let listed = self.service.iter_mut().flat_map(|service| &mut service.list);
        listed.chain(&mut self.removed).find(|server| server.addr == addr).unwrap()
    }
}
