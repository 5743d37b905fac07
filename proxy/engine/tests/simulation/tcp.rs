//! States and timers as IPVS has them, written down apart from the engine.

use engine::State;
use sched::Direction;
use wire::packet::TcpFlags;

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
pub(crate) struct States(Vec<(Direction, TcpFlags, Vec<State>)>);

impl States {
    pub(crate) fn new() -> Self {
        let rows = TABLE.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let direction = match words.next()? {
                "client" => Direction::In,
                "server" => Direction::Out,
                _ => return None,
            };
            let flag = match words.next()? {
                "syn" => TcpFlags::SYN,
                "fin" => TcpFlags::FIN,
                "ack" => TcpFlags::ACK,
                _ => TcpFlags::RST,
            };
            Some((direction, flag, words.map(named).collect()))
        });
        Self(rows.collect())
    }

    pub(crate) fn next(&self, direction: Direction, flags: TcpFlags, state: State) -> State {
        let order = [TcpFlags::RST, TcpFlags::SYN, TcpFlags::FIN, TcpFlags::ACK];
        let Some(flag) = order.into_iter().find(|flag| flags.contains(*flag)) else { return state };
        let row = self.0.iter().find(|(d, f, _)| (*d, *f) == (direction, flag)).expect("a row for each");
        row.2[NAMES.iter().position(|(_, s)| *s == state).expect("a column for each")]
    }
}

fn named(name: &str) -> State {
    NAMES.iter().find(|(n, _)| *n == name).expect("a state").1
}

pub(crate) fn timeout_millis(state: State) -> u64 {
    1000 * match state {
        State::None => 2,
        State::Established => 900,
        State::SynSent | State::FinWait | State::TimeWait | State::Listen | State::SynAck => 120,
        State::SynRecv | State::CloseWait => 60,
        State::Close => 10,
        State::LastAck => 30,
        State::Udp => 300,
    }
}

pub(crate) fn is_active(state: State) -> bool {
    matches!(state, State::Established | State::SynSent | State::SynRecv | State::SynAck)
}

pub(crate) fn is_over(state: State) -> bool {
    matches!(state, State::TimeWait | State::Close)
}
