//! Questions, as the network is asked them.

use std::sync::Arc;

use control::health::Due;
use control::health::probe::{Outcome, Question, Target, Tools};
use control::health::prober::Asker;
use engine::Engine;
use sched::Check;

use super::aiming::Aiming;

/// Asks by sockets, commands and files.
pub(super) struct Network(Arc<Tools>);

impl Network {
    pub(super) fn new(engine: &Arc<Engine>, steered: bool) -> Self {
        let aiming = Arc::new(Aiming { engine: Arc::clone(engine), steered });
        Self(Tools::new(tls::provider(), tls::anybody(), Some(aiming)))
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
