//! From settings and files to what a front is at present. Keys of tickets are kept: they outlive what is made with them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sched::{ClientIdentity, Tickets, TlsFront};
use tls::{Clock, Counters, RedirectTerms, Terms, TicketKeys, TicketTimes, Timeouts};

use super::load::{self, Found};
use super::served::Current;

/// Makes fronts.
pub(super) struct Maker {
    clock: Arc<Clock>,
    own_tickets: Option<Arc<TicketKeys>>,
    shared_tickets: HashMap<PathBuf, (Found, Arc<TicketKeys>)>,
}

impl Maker {
    pub(super) fn new() -> Self {
        let clock = Clock::at(SystemTime::now());
        Self { clock, own_tickets: None, shared_tickets: HashMap::new() }
    }

    /// Tells all that was made the time.
    pub(super) fn tick(&self) {
        self.clock.set(SystemTime::now());
    }

    /// What a front is at present, of the files as they are now.
    ///
    /// # Errors
    /// What is wrong with which file, and the way out.
    pub(super) fn current(
        &mut self,
        spec: &Arc<TlsFront>,
        vips: Vec<IpAddr>,
        counters: &Arc<Counters>,
    ) -> anyhow::Result<Current> {
        // A certificate may have been made since the last tick.
        self.tick();
        let tickets = self.tickets(&spec.tickets)?;
        let (front, warnings) = load::front(spec, tickets, &self.clock)?;
        let front = Arc::new(front);
        let limits = spec.limits;
        let seconds = |n: u32| Duration::from_secs(n.into());
        let terms = Terms {
            accept: Arc::clone(&front) as _,
            http: spec.alpn.is_empty() || spec.alpn.iter().any(|p| p.starts_with("http/1")),
            forwarded: spec.identity == ClientIdentity::Forwarded,
            pool: spec.pool > 0,
            backend: load::backend(spec)?,
            attempts: limits.attempts,
            timeouts: Timeouts {
                handshake: seconds(limits.handshake),
                idle: seconds(limits.idle),
                half_closed: seconds(limits.half_closed),
                connect: seconds(limits.connect),
                ..Timeouts::default()
            },
            counters: Arc::clone(counters),
        };
        let redirect = spec.redirect_http.map(|_| {
            let name = front.pairs().first().and_then(|pair| pair.names().first()).map(ToString::to_string);
            let name = name.filter(|name| !name.starts_with('*'));
            let host = name.or_else(|| vips.first().map(url_host)).unwrap_or_default();
            Arc::new(RedirectTerms { port: spec.port, host, head: Timeouts::default().head })
        });
        Ok(Current { spec: Arc::clone(spec), vips, front, terms: Arc::new(terms), redirect, warnings })
    }

    fn tickets(&mut self, tickets: &Tickets) -> anyhow::Result<Option<Arc<TicketKeys>>> {
        Ok(match tickets {
            Tickets::Off => None,
            Tickets::Own => {
                let own = match &self.own_tickets {
                    Some(own) => Arc::clone(own),
                    None => TicketKeys::own(TicketTimes::default(), &self.clock)?,
                };
                self.own_tickets = Some(Arc::clone(&own));
                Some(own)
            }
            Tickets::Shared(path) => Some(self.shared(path)?),
        })
    }

    fn shared(&mut self, path: &Path) -> anyhow::Result<Arc<TicketKeys>> {
        if let Some((found, keys)) = self.shared_tickets.get(path)
            && !found.has_changed()
        {
            return Ok(Arc::clone(keys));
        }
        let found = Found::look(path);
        let keys = load::shared_tickets(path, &self.clock)?;
        self.shared_tickets.insert(path.to_owned(), (found, Arc::clone(&keys)));
        Ok(keys)
    }
}

/// As it stands in a URL (RFC 3986 section 3.2.2).
fn url_host(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
