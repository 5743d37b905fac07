//! States and timers as IPVS has them, written down apart from the engine.

use engine::{Knobs, State};
use sched::{Direction, Proto};
use wire::packet::TcpFlags;

use crate::packets::Segment;

const TABLE: &str = include_str!("../tcp_states.txt");

const NAMES: [(&str, State); 11] = [
    ("NO", State::None),
    ("ES", State::Established),
    ("SS", State::SynSent),
    ("SR", State::SynRecv),
    ("FW", State::FinWait),
    ("TW", State::TimeWait),
    ("CL", State::Close),
    ("CW", State::CloseWait),
    ("LA", State::LastAck),
    ("LI", State::Listen),
    ("SA", State::SynAck),
];

/// The table of the file, parsed once.
pub(crate) struct States(Vec<(&'static str, TcpFlags, Vec<State>)>);

impl States {
    pub(crate) fn new() -> Self {
        let rows = TABLE.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let leg = words
                .next()
                .filter(|leg| ["client", "server", "alone"].iter().any(|end| leg.ends_with(end)))?;
            let flag = match words.next()? {
                "syn" => TcpFlags::SYN,
                "fin" => TcpFlags::FIN,
                "ack" => TcpFlags::ACK,
                _ => TcpFlags::RST,
            };
            Some((leg, flag, words.map(named).collect()))
        });
        Self(rows.collect())
    }

    pub(crate) fn next(
        &self,
        direction: Direction,
        alone: bool,
        flags: TcpFlags,
        state: State,
        guarded: bool,
    ) -> State {
        let leg = match (direction, guarded) {
            (Direction::In, false) if alone => "alone",
            (Direction::In, true) if alone => "guarded-alone",
            (Direction::In, false) => "client",
            (Direction::In, true) => "guarded-client",
            (Direction::Out, false) => "server",
            (Direction::Out, true) => "guarded-server",
        };
        let order = [TcpFlags::RST, TcpFlags::SYN, TcpFlags::FIN, TcpFlags::ACK];
        let Some(flag) = order.into_iter().find(|flag| flags.contains(*flag)) else { return state };
        let row = self.0.iter().find(|(l, f, _)| (*l, *f) == (leg, flag)).expect("a row for each");
        row.2[NAMES.iter().position(|(_, s)| *s == state).expect("a column for each")]
    }
}

fn named(name: &str) -> State {
    NAMES.iter().find(|(n, _)| *n == name).expect("a state").1
}

pub(crate) fn timeout_millis(proto: Proto, state: State, knobs: &Knobs) -> u64 {
    let seconds = match state {
        State::Established if proto == Proto::Sctp => 900,
        State::Init1 | State::Rejected => 4,
        State::None => 2,
        State::Established => knobs.tcp_timeout.as_secs(),
        State::FinWait => knobs.tcp_fin_timeout.as_secs(),
        State::SynSent | State::TimeWait | State::Listen | State::SynAck => 120,
        State::SynRecv | State::CloseWait => 60,
        State::Close => 10,
        State::LastAck => 30,
        State::Udp => knobs.udp_timeout.as_secs(),
        // The other states of SCTP.
        _ => 61,
    };
    1000 * seconds
}

/// What one end has said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    pub(crate) begun: Option<u32>,
    next: Option<u32>,
    heard: Option<u32>,
}

impl End {
    pub(crate) fn says(&mut self, segment: &Segment) {
        let later = |known: Option<u32>, new: u32| match known {
            Some(known) if new.wrapping_sub(known) == 0 || new.wrapping_sub(known) >= 1 << 31 => Some(known),
            _ => Some(new),
        };
        let flags = segment.flags;
        if flags.rst() {
            return;
        }
        let len = segment.payload as u32 + u32::from(flags.syn()) + u32::from(flags.fin());
        let next = segment.seq.wrapping_add(len);
        if flags.syn() {
            if self.begun != Some(segment.seq) {
                *self = Self::default();
            }
            (self.begun, self.next) = (Some(segment.seq), Some(next));
        } else {
            self.next = later(self.next, next);
        }
        if flags.ack() {
            self.heard = later(self.heard, segment.ack);
        }
    }

    /// Sequence and acknowledgment numbers of the resets that it gets.
    pub(crate) fn resets(&self, other: &Self) -> Vec<(u32, u32)> {
        let (Some(heard), Some(next)) = (self.heard, self.next) else { return Vec::new() };
        let mut seqs = vec![heard];
        seqs.extend(other.next.filter(|said| *said != heard));
        seqs.into_iter().map(|seq| (seq, next)).collect()
    }

    /// Sequence and acknowledgment number of a reset in its name.
    pub(crate) fn last_words(&self) -> Option<(u32, u32)> {
        Some((self.next?, self.heard?))
    }
}

pub(crate) fn is_active(state: State) -> bool {
    matches!(state, State::Established | State::SynSent | State::SynRecv | State::SynAck)
}

/// Somebody may still believe in it.
pub(crate) fn is_open(state: State) -> bool {
    is_active(state) || matches!(state, State::FinWait | State::CloseWait)
}

pub(crate) fn is_over(state: State) -> bool {
    matches!(state, State::TimeWait | State::Close | State::Closed)
}
