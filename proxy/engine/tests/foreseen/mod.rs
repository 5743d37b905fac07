//! What is said to become of a frame, before it does; and that saying so changes nothing.

use std::cell::Cell;
use std::time::Instant;

use engine::{Engine, Explanation, Part, Supposed, Verdict, Worker};
use wire::frame::Frame;

/// Of so many frames that are explained one has all compared before and after, down to what no listing shows.
const WHOLE: u64 = 64;

/// What was said of one frame; nothing, if it was not this one's turn.
pub(crate) struct Foreseen(Option<(Frame, Explanation)>);

thread_local! {
    /// Frames of a test.
    static FRAMES: Cell<u64> = const { Cell::new(0) };
}

/// Has a worker explain one in `every` frames. What the engine knows is the same before and after.
pub(crate) fn foresee(engine: &Engine, worker: &Worker, frame: &Frame, now: Instant, every: u64) -> Foreseen {
    let frames = FRAMES.replace(FRAMES.get() + 1);
    if !frames.is_multiple_of(every) {
        return Foreseen(None);
    }
    let whole = (frames / every).is_multiple_of(WHOLE);
    let before = state(engine, worker, now, whole);
    let mut copy = frame.clone();
    let explanation = worker.explain(&mut copy, now, Supposed::default());
    let after = state(engine, worker, now, whole);
    assert!(before == after, "an explanation has changed something: {}", difference(&before, &after));
    Foreseen(Some((copy, explanation)))
}

impl Foreseen {
    /// It has come true; `own` has left since.
    pub(crate) fn comes_true(&self, verdict: Verdict, frame: &Frame, own: &[Frame]) {
        let Some((foreseen, explanation)) = &self.0 else { return };
        let Explanation { verdict: said, own: said_own, notes, .. } = explanation;
        assert_eq!(*said, verdict, "it was said, because of {notes:#?}");
        if !matches!(verdict, Verdict::Drop(_) | Verdict::Wait) {
            let same = (foreseen.packet(), foreseen.offload, foreseen.encap)
                == (frame.packet(), frame.offload, frame.encap);
            assert!(same, "said to become\n{:?}, and became\n{frame:?}, because of {notes:#?}", foreseen);
        }
        let bytes = |frame: &Frame| frame.packet().to_vec();
        let (said, own): (Vec<_>, Vec<_>) =
            (said_own.iter().map(|own| bytes(&own.frame)).collect(), own.iter().map(bytes).collect());
        assert!(own.ends_with(&said), "said to leave besides: {said:?}, and has left: {own:?}");
        assert!(!notes.is_empty() || !matches!(verdict, Verdict::Transmit(_)), "no reason is given");
    }
}

fn state(engine: &Engine, worker: &Worker, now: Instant, whole: bool) -> String {
    let mut connections = Vec::new();
    engine.for_each_connection(now, Part::ALL, |conn| connections.push(format!("{conn:?}")));
    connections.sort();
    let services: Vec<_> = engine.services().services().map(|service| format!("{service:?}")).collect();
    let rest = if whole { format!("{worker:?}") } else { String::new() };
    format!("{:?} {} {connections:?} {services:?} {rest}", engine.counters(), engine.connections_held())
}

fn difference(before: &str, after: &str) -> String {
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(300);
    let part = |text: &str| text.chars().skip(same).take(600).collect::<String>();
    format!("\n{}\nhas become\n{}", part(before), part(after))
}
