//! A client of a persistent service comes back to the server that it had.

use std::net::SocketAddr;
use std::sync::Arc;

use sched::{Dest, Persistence, PersistenceEngine, Proto};

use super::begin::{Choice, Refusal, Request};
use super::step::Step;
use crate::conn::Millis;
use crate::persist::{Client, Inserted, Template, TemplateKey, sip};
use crate::verdict::DropReason;
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    /// The server of the client's template, whatever its weight and thresholds; where there is none that is valid, the
    /// scheduler's choice, which the client then comes back to.
    pub(super) fn come_back(
        &mut self,
        datagram: &[u8],
        request: &Request<'_>,
        persistence: Persistence,
    ) -> Result<Choice, Refusal> {
        let Request { service, proto, client, vip, .. } = *request;
        let call_id = match service.pe {
            None => None,
            Some(PersistenceEngine::Sip) if proto == Proto::Udp => {
                Some(sip::call_id(datagram).ok_or(Refusal::Dropped(DropReason::NoCallId))?)
            }
            Some(PersistenceEngine::Sip) => return Err(Refusal::Dropped(DropReason::NoCallId)),
        };
        let client = Client::of(service, persistence, proto, client.ip(), vip);
        loop {
            self.watch.fetch(|twin| twin.template(&client, call_id));
            let template = match self.templates.find(&client, call_id).filter(|t| self.is_valid(request, t)) {
                Some(template) => {
                    self.watch.note(|| Note::Template {
                        server: Some(template.server),
                        left_ms: Some(template.left(self.now)),
                    });
                    template
                }
                None => self.remember(request, persistence, &client, call_id)?,
            };
            // It may have ended meanwhile, in another worker.
            if template.join(self.now) {
                return Ok(self.choice_of(request, template));
            }
        }
    }

    /// Whether a template may still be used. One that may not ends at once; its members go on.
    fn is_valid(&self, request: &Request<'_>, template: &Arc<Template>) -> bool {
        let dest = &template.dest;
        let quiescent = |dest: &Dest| self.knobs.expire_quiescent_template && dest.weight.0 == 0;
        let leaves = match request.service.in_force(dest) {
            Some(dest) => quiescent(dest),
            // Taken out, or a sorry server that is needed no more; or one of another service that shares the template.
            None => request.service.everyone().any(|d| Arc::ptr_eq(&d.live, dest)),
        };
        let leaves = leaves || dest.is_draining() || dest.is_down();
        let valid = dest.is_available() && !leaves;
        if !valid {
            self.watch.note(|| Note::TemplateEnds { server: template.server });
        }
        if !valid && self.templates.remove(template) {
            self.counters.expired();
        }
        valid
    }

    fn remember(
        &mut self,
        request: &Request<'_>,
        persistence: Persistence,
        client: &Client,
        call_id: Option<&[u8]>,
    ) -> Result<Arc<Template>, Refusal> {
        self.watch.note(|| Note::Template { server: None, left_ms: None });
        let dest = self.pick(request)?;
        let port = if client.vip.port() == 0 { 0 } else { dest.live.key.port() };
        let template = Arc::new(Template::new(
            TemplateKey { client: *client, call_id: call_id.map(Into::into) },
            Arc::clone(&dest.live),
            SocketAddr::new(dest.live.key.ip(), port),
            dest.method,
            Millis::from(persistence.timeout) * 1000,
            self.now,
        ));
        match self.templates.insert(&template) {
            Inserted::Yes => {
                self.counters.created();
                self.templates_wheel.arm(&template, &*template, self.now);
                Ok(template)
            }
            Inserted::Raced(other) => Ok(other),
            Inserted::Full => Err(Refusal::Dropped(DropReason::TableFull)),
        }
    }

    fn choice_of(&self, request: &Request<'_>, template: Arc<Template>) -> Choice {
        let dest = Arc::clone(&template.dest);
        let method = request.service.in_force(&dest).map_or(template.method, |dest| dest.method);
        Choice { dest, method, template: Some(template), bypass: false }
    }
}
