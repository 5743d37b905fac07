//! Questions, as the network is asked them.

use std::sync::Arc;

use control::health::Due;
use control::health::probe::{Outcome, Question, Target, Tools};
use control::health::prober::Asker;
use sched::Check;

/// Asks by sockets, commands and files.
pub(super) struct Network(Arc<Tools>);

impl Network {
    pub(super) fn new() -> Self {
        Self(Tools::new(tls::provider(), None))
    }
}

impl Asker for Network {
    type Ready = Question;

    fn ready(&self, check: &Check) -> Question {
        Question::new(check, &self.0)
    }

    async fn ask(ready: &Question, due: &Due) -> Outcome {
        ready.ask(&Target::of(&due.check, due.service, due.server, due.up)).await
    }
}
