//! The SCTP state table of IPVS: what one packet, seen on one leg, does to an association.
//!
//! The states are the server's (RFC 9260, section 4), finer where it is still closed: whether an INIT has been seen once
//! or again, and who waits for whose cookie. The cells are a kernel's answers, recorded by sending it every chunk in
//! every state that packets lead to.

use wire::packet::chunk;

use super::{Leg, State};

/// What a packet does, by the chunk that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Anything that goes on in an association: DATA, SACK, heartbeats, and what is not known.
    Data,
    /// INIT.
    Init,
    /// INIT ACK.
    InitAck,
    /// COOKIE ECHO.
    CookieEcho,
    /// COOKIE ACK.
    CookieAck,
    /// SHUTDOWN.
    Shutdown,
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete,
    /// ERROR.
    Error,
    /// ABORT.
    Abort,
}

impl Event {
    /// By the chunk's type (RFC 9260, section 3.2).
    pub(crate) const fn of(kind: u8) -> Self {
        match kind {
            chunk::INIT => Self::Init,
            chunk::INIT_ACK => Self::InitAck,
            chunk::ABORT => Self::Abort,
            chunk::SHUTDOWN => Self::Shutdown,
            chunk::SHUTDOWN_ACK => Self::ShutdownAck,
            chunk::ERROR => Self::Error,
            chunk::COOKIE_ECHO => Self::CookieEcho,
            chunk::COOKIE_ACK => Self::CookieAck,
            chunk::SHUTDOWN_COMPLETE => Self::ShutdownComplete,
            _ => Self::Data,
        }
    }
}

/// The state after `event` on `leg`.
pub(crate) const fn next(leg: Leg, event: Event, state: State) -> State {
    let table = match leg {
        Leg::Client => &CLIENT,
        Leg::Server => &SERVER,
        Leg::Alone => &ALONE,
    };
    let column = match state {
        State::None => 0,
        State::Established => 8,
        State::Init1 => 1,
        State::Init => 2,
        State::CookieSent => 3,
        State::CookieReplied => 4,
        State::CookieWait => 5,
        State::Cookie => 6,
        State::CookieEchoed => 7,
        State::ShutdownSent => 9,
        State::ShutdownReceived => 10,
        State::ShutdownAckSent => 11,
        State::Rejected => 12,
        _ => 13,
    };
    table[event as usize][column]
}

use State::{
    Closed as CL, Cookie as CO, CookieEchoed as CE, CookieReplied as CR, CookieSent as CS, CookieWait as CW,
    Established as ES, Init as IN, Init1 as I1, Rejected as RJ, ShutdownAckSent as SA,
    ShutdownReceived as SR, ShutdownSent as SS,
};

type Table = [[State; 14]; 10];

#[rustfmt::skip]
const CLIENT: Table = [
    //NO I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // data
    [I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN], // init
    [CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL], // init-ack
    [CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // cookie-echo
    [ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL], // cookie-ack
    [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL], // shutdown
    [CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL], // shutdown-ack
    [CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL], // shutdown-complete
    [CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL], // error
    [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL], // abort
];

#[rustfmt::skip]
const SERVER: Table = [
    //NO I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // data
    [CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW], // init
    [CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // init-ack
    [CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL], // cookie-echo
    [ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL], // cookie-ack
    [SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL], // shutdown
    [SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL], // shutdown-ack
    [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // shutdown-complete
    [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // error
    [CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL], // abort
];

#[rustfmt::skip]
const ALONE: Table = [
    //NO I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // data
    [I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, IN], // init
    [CE, CE, CE, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // init-ack
    [ES, ES, ES, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // cookie-echo
    [ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL], // cookie-ack
    [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL], // shutdown
    [CL, IN, IN, CS, CR, CW, CO, CE, CL, SS, SR, SA, RJ, CL], // shutdown-ack
    [CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, CL, SA, RJ, CL], // shutdown-complete
    [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL], // error
    [CL, CL, CL, CS, CR, CW, CO, CL, CL, SS, CL, SA, RJ, CL], // abort
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's answers.
    const REFERENCE: &str = include_str!("../../tests/sctp_states.txt");

    const STATES: [(&str, State); 14] = [
        ("NO", State::None),
        ("I1", I1),
        ("IN", IN),
        ("CS", CS),
        ("CR", CR),
        ("CW", CW),
        ("CO", CO),
        ("CE", CE),
        ("ES", ES),
        ("SS", SS),
        ("SR", SR),
        ("SA", SA),
        ("RJ", RJ),
        ("CL", CL),
    ];

    #[test]
    fn every_state_event_and_leg() {
        let chunks = [
            ("data", 0),
            ("init", 1),
            ("init-ack", 2),
            ("cookie-echo", 10),
            ("cookie-ack", 11),
            ("shutdown", 7),
            ("shutdown-ack", 8),
            ("shutdown-complete", 14),
            ("error", 9),
            ("abort", 6),
        ];
        let legs = [("client", Leg::Client), ("server", Leg::Server), ("alone", Leg::Alone)];
        let mut checked = 0;
        for line in REFERENCE.lines().filter(|line| !line.starts_with('#')).skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            let leg = legs.iter().find(|(name, _)| *name == words[0]).expect("a leg").1;
            let chunk = chunks.iter().find(|(name, _)| *name == words[1]).expect("a chunk").1;
            for ((_, state), cell) in STATES.iter().zip(&words[2..]) {
                let expected = STATES.iter().find(|(name, _)| name == cell).map_or(*state, |(_, to)| *to);
                assert_eq!(
                    next(leg, Event::of(chunk), *state),
                    expected,
                    "{leg:?} {} in {state:?}",
                    words[1]
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 14 * 10 * 3);
    }

    #[test]
    fn an_ordinary_association() {
        use Leg::{Client, Server};
        let steps = [
            (Client, 1, I1),
            (Server, 2, CS),
            (Client, 10, CR),
            (Server, 11, ES),
            (Client, 0, ES),
            (Server, 3, ES),
            (Client, 7, SR),
            (Server, 8, SA),
            (Client, 14, CL),
        ];
        let mut state = State::None;
        for (leg, chunk, expected) in steps {
            state = next(leg, Event::of(chunk), state);
            assert_eq!(state, expected, "chunk {chunk}");
        }
    }

    #[test]
    fn what_goes_on_in_an_association_counts_as_data() {
        for chunk in [0, 3, 4, 5, 12, 13, 15, 64, 130, 192, 255] {
            assert_eq!(Event::of(chunk), Event::Data, "{chunk}");
        }
    }
}
