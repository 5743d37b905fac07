//! What a kernel does with the chunks of SCTP, as it was recorded.

use engine::State;
use sched::Direction;

const TABLE: &str = include_str!("../sctp_states.txt");

/// Every chunk that the table knows, and some that are data to it.
pub(crate) const CHUNKS: [(u8, &str); 14] = [
    (1, "init"),
    (2, "init-ack"),
    (10, "cookie-echo"),
    (11, "cookie-ack"),
    (7, "shutdown"),
    (8, "shutdown-ack"),
    (14, "shutdown-complete"),
    (9, "error"),
    (6, "abort"),
    (0, "data"),
    (3, "data"),
    (4, "data"),
    (5, "data"),
    (200, "data"),
];

pub(crate) const INIT: u8 = 1;
pub(crate) const ABORT: u8 = 6;
pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;

const NAMES: [(&str, State); 14] = [
    ("NO", State::None),
    ("I1", State::Init1),
    ("IN", State::Init),
    ("CS", State::CookieSent),
    ("CR", State::CookieReplied),
    ("CW", State::CookieWait),
    ("CO", State::Cookie),
    ("CE", State::CookieEchoed),
    ("ES", State::Established),
    ("SS", State::ShutdownSent),
    ("SR", State::ShutdownReceived),
    ("SA", State::ShutdownAckSent),
    ("RJ", State::Rejected),
    ("CL", State::Closed),
];

pub(crate) fn next(direction: Direction, alone: bool, chunk: u8, state: State) -> State {
    let leg = match direction {
        Direction::In if alone => "alone",
        Direction::In => "client",
        Direction::Out => "server",
    };
    let event = CHUNKS.iter().find(|(kind, _)| *kind == chunk).expect("a chunk").1;
    let column = NAMES.iter().position(|(_, named)| *named == state).expect("a column");
    let rows = TABLE.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row[..2] == [leg, event]).expect("a row");
    match row[2 + column] {
        "-" => state,
        name => NAMES.iter().find(|(known, _)| *known == name).expect("a state").1,
    }
}
