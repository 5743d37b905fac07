//! Which fronts there are: follows the table of services, and the files that they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use control::api::TlsReload;
use sched::{Op, Service, ServiceKey, ServiceTable, Tickets, TlsFront, TlsStack};
use tls::Warning;
use tracing::{info, warn};

use super::host::{Kind, Threads};
use super::load::{self, Found};
use super::make::Maker;
use super::served::{Current, Served};
use super::user::Directory;
use super::view::{Listed, Listing};
use super::words::{changes, notices};

/// The fronts of the table in force.
pub(crate) struct Fronts {
    maker: Maker,
    /// None where nothing ends here.
    threads: Option<Threads>,
    /// What threads are made of, as long as there are none.
    workers: Vec<engine::Worker>,
    all: BTreeMap<ServiceKey, Entry>,
    /// Where nobody is let in any more, and whose sessions may still be open there.
    left: BTreeMap<SocketAddr, Arc<Served>>,
    /// Who serves whom by our own TCP.
    directory: Arc<Directory>,
    listing: Arc<Listing>,
}

struct Entry {
    served: Arc<Served>,
    listens: BTreeMap<SocketAddr, Kind>,
    found: Vec<Found>,
    /// Why the files as they are now are not used.
    refused: Option<String>,
}

impl Fronts {
    /// Without any front yet. `workers` choose the servers, one for each thread.
    pub(crate) fn new(workers: Vec<engine::Worker>, directory: Arc<Directory>) -> Self {
        Self {
            directory,
            listing: Arc::default(),
            maker: Maker::new(),
            threads: None,
            workers,
            all: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    /// Whether the fronts of these edits could be made.
    ///
    /// # Errors
    /// For which of them what is wrong with which file, and the way out.
    pub(crate) fn check(ops: &[Op]) -> Result<(), (usize, anyhow::Error)> {
        for (i, op) in ops.iter().enumerate() {
            let (key, tls) = match op {
                Op::AddService { service } => (service.key, service.tls.as_ref()),
                Op::SetTls { key, tls } => (*key, tls.as_ref()),
                _ => continue,
            };
            if let Some(tls) = tls {
                let checked = load::check(tls).with_context(|| format!("TLS cannot end at {key}"));
                checked.map_err(|error| (i, error))?;
            }
        }
        Ok(())
    }

    /// Brings the fronts in line with the table. Sessions that have begun go on.
    ///
    /// # Errors
    /// A front cannot be made, or its address not be listened at; the others are as they should be.
    pub(crate) fn follow(&mut self, table: &ServiceTable) -> anyhow::Result<()> {
        let wanted: Vec<&Arc<Service>> = table.services().filter(|service| service.tls.is_some()).collect();
        let gone: Vec<_> = self
            .all
            .keys()
            .filter(|key| !wanted.iter().any(|service| service.key == **key))
            .copied()
            .collect();
        for key in gone {
            self.remove(&key);
        }
        let mut result = Ok(());
        for service in wanted {
            let Some(spec) = &service.tls else { continue };
            let vips = table.front_vips(service);
            let kept = self.all.get(&service.key).is_some_and(|entry| {
                let current = entry.served.now.load();
                current.spec == *spec && current.vips == vips
            });
            if !kept {
                let made = self.put(service.key, spec, vips);
                let made = made.with_context(|| format!("TLS cannot end at {}", service.key));
                result = result.and(made);
            }
        }
        self.list();
        self.directory.store(Arc::new(self.all.values().flat_map(|entry| diverted(&entry.served)).collect()));
        result
    }

    /// The addresses at which the host's TCP takes the connections, or still has some.
    pub(crate) fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.all.values().flat_map(|entry| entry.listens.keys()).chain(self.left.keys()).copied().collect()
    }

    /// Lets those addresses go at which no session is left. Whether there was one.
    pub(crate) fn let_go(&mut self) -> bool {
        let before = self.left.len();
        self.left.retain(|_, served| served.counters.open.get() > 0);
        self.left.len() < before
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.all.is_empty()
    }

    /// All of them, for whoever asks.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        Arc::clone(&self.listing)
    }

    /// Tells them the time, which certificates are checked against. About once a second.
    pub(crate) fn tick(&self) {
        self.maker.tick();
    }

    /// What its owner should know of them, a line each.
    pub(crate) fn notices(&self) -> Vec<String> {
        let now = SystemTime::now();
        self.all.values().flat_map(|entry| notices(&entry.served, entry.refused.as_deref(), now)).collect()
    }

    /// Looks whether files have changed, and uses them if they are good.
    pub(crate) fn heed_files(&mut self) -> Vec<TlsReload> {
        let changed = |entry: &Entry| entry.found.iter().any(Found::has_changed);
        let keys: Vec<_> = self.all.iter().filter(|(_, entry)| changed(entry)).map(|(key, _)| *key).collect();
        keys.into_iter().map(|key| self.renew(key)).collect()
    }

    /// Reads all files again.
    pub(crate) fn reload(&mut self) -> Vec<TlsReload> {
        let keys: Vec<_> = self.all.keys().copied().collect();
        keys.into_iter().map(|key| self.renew(key)).collect()
    }

    fn renew(&mut self, service: ServiceKey) -> TlsReload {
        let mut reload = TlsReload { service, changes: Vec::new(), error: None };
        let Some(entry) = self.all.get(&service) else { return reload };
        let (served, before) = (Arc::clone(&entry.served), entry.served.current());
        // First, so that what changes meanwhile is seen the next time.
        let found = find(&before.spec);
        match self.maker.current(&before.spec, before.vips.clone(), &served.counters) {
            Ok(current) => {
                reload.changes = changes(&before.front, &current.front);
                tell_warnings(service, &current.warnings);
                served.now.store(Arc::new(current));
                reload.changes.iter().for_each(|line| info!(%service, "{line}"));
            }
            Err(error) => {
                let text = crate::reason::reason(&error);
                warn!(%service, "certificates stay as they were: {text}");
                reload.error = Some(text);
            }
        }
        if let Some(entry) = self.all.get_mut(&service) {
            entry.found = found;
            entry.refused.clone_from(&reload.error);
        }
        self.list();
        reload
    }

    fn put(&mut self, key: ServiceKey, spec: &Arc<TlsFront>, vips: Vec<IpAddr>) -> anyhow::Result<()> {
        let before = self.all.get(&key).map(|entry| Arc::clone(&entry.served));
        let counters = before.as_ref().map_or_else(Arc::default, |served| Arc::clone(&served.counters));
        let found = find(spec);
        let current = self.maker.current(spec, vips, &counters)?;
        tell_warnings(key, &current.warnings);
        let wanted = listens(&current);
        let listens = before.as_ref().and_then(|_| self.all.get(&key)).map(|entry| entry.listens.clone());
        let listens = listens.unwrap_or_default();
        if spec.stack == TlsStack::Userspace && before.is_none() {
            info!(
                service = %key,
                "clients speak with a TCP of our own: where packets get lost on their way, stack = \"kernel\" gives more, \
                 above all with BBR"
            );
        }
        let served = match before {
            Some(served) => {
                served.now.store(Arc::new(current));
                served
            }
            None => Arc::new(Served::new(key, counters, current)),
        };
        for (at, kind) in &listens {
            if wanted.get(at) != Some(kind) {
                self.close(*at, &served);
            }
        }
        let mut entry = Entry { served, listens: BTreeMap::new(), found, refused: None };
        let mut result = Ok(());
        for (at, kind) in wanted {
            if listens.get(&at) != Some(&kind) {
                let taken =
                    self.all.iter().any(|(other, entry)| *other != key && entry.listens.contains_key(&at));
                let listening = match taken {
                    true => Err(std::io::Error::from(std::io::ErrorKind::AddrInUse)),
                    false => self.threads().and_then(|threads| threads.listen(&entry.served, at, kind)),
                };
                if let Err(error) = listening {
                    result = Err(anyhow::Error::new(error).context(format!("cannot listen at {at}")));
                    continue;
                }
                info!(service = %key, %at, "TLS ends here");
            }
            entry.listens.insert(at, kind);
        }
        self.all.insert(key, entry);
        if result.is_err() {
            self.remove(&key);
        }
        result
    }

    fn list(&self) {
        let one =
            |entry: &Entry| Listed { served: Arc::clone(&entry.served), refused: entry.refused.clone() };
        self.listing.store(Arc::new(self.all.values().map(one).collect()));
    }

    fn remove(&mut self, key: &ServiceKey) {
        if let Some(entry) = self.all.remove(key) {
            entry.listens.keys().for_each(|at| self.close(*at, &entry.served));
            info!(service = %key, "TLS ends here no longer");
        }
    }

    fn close(&mut self, at: SocketAddr, served: &Arc<Served>) {
        if let Some(threads) = &self.threads {
            threads.close(at);
        }
        if served.counters.open.get() > 0 {
            self.left.insert(at, Arc::clone(served));
        }
    }

    /// The threads, which are started when the first front needs them.
    fn threads(&mut self) -> std::io::Result<&Threads> {
        if self.threads.is_none() {
            netio::process::raise_open_files()?;
            let threads = Threads::start(std::mem::take(&mut self.workers)).map_err(std::io::Error::other)?;
            self.threads = Some(threads);
        }
        self.threads.as_ref().ok_or_else(|| std::io::ErrorKind::Other.into())
    }
}

fn find(spec: &TlsFront) -> Vec<Found> {
    let tickets = match &spec.tickets {
        Tickets::Shared(path) => Some(path.clone()),
        Tickets::Own | Tickets::Off => None,
    };
    load::files(spec).into_iter().chain(tickets).map(|path| Found::look(&path)).collect()
}

/// Where the host's TCP has to listen.
fn listens(current: &Current) -> BTreeMap<SocketAddr, Kind> {
    let spec = &current.spec;
    let tls = (spec.stack == TlsStack::Kernel).then_some((spec.port, Kind::Tls));
    let redirect = spec.redirect_http.map(|port| (port, Kind::Redirect));
    let ports = || tls.into_iter().chain(redirect);
    let at = |vip: &IpAddr| {
        let vip = *vip;
        ports().map(move |(port, kind)| (SocketAddr::new(vip, port), kind))
    };
    current.vips.iter().flat_map(at).collect()
}

/// Where clients reach a front by our own TCP.
fn diverted(served: &Arc<Served>) -> Vec<(SocketAddr, Arc<Served>)> {
    let current = served.now.load();
    let ours = current.vips.iter().filter(|_| current.spec.stack == TlsStack::Userspace);
    ours.map(|vip| (SocketAddr::new(*vip, current.spec.port), Arc::clone(served))).collect()
}

fn tell_warnings(key: ServiceKey, warnings: &[Warning]) {
    for warning in warnings {
        warn!(service = %key, "{warning}");
    }
}
