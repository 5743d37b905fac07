//! A flow that is to go to one given server, whatever scheduler, weights, thresholds and templates say, and whether the
//! server is in force or not.

use super::begin::{Choice, Refusal, Request};
use super::step::Step;
use crate::aims::Aim;
use crate::conn::FlowKey;
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    /// Whom the flow gets: whoever it is aimed at, or whom the service chooses.
    pub(super) fn aimed_or_chosen(
        &mut self,
        datagram: &[u8],
        request: &Request<'_>,
    ) -> Result<Choice, Refusal> {
        let key = FlowKey::new(request.proto, request.client, request.vip);
        self.watch.fetch(|twin| twin.aim(&key));
        match self.aims.get(&key) {
            Some(aim) => self.aimed(request, &aim),
            None => self.choose(datagram, request),
        }
    }

    /// If that server is gone, nobody: an answer of another one would be taken for its.
    fn aimed(&self, request: &Request<'_>, aim: &Aim) -> Result<Choice, Refusal> {
        aim.begins();
        self.watch.note(|| Note::Aimed { server: aim.server });
        let service = request.service;
        let dest = service.everyone().find(|dest| dest.live.key == aim.server);
        let dest = dest.filter(|_| service.key == aim.service).ok_or(Refusal::Nobody)?;
        Ok(Choice { aimed: true, ..Choice::of(dest) })
    }
}
