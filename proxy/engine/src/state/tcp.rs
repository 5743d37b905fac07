//! The TCP state table of IPVS: what one packet, seen on one leg, does to a connection.
//!
//! Not RFC 9293's machine: a director sees flags, not sequence numbers. Exactly one flag of a packet acts, in the
//! order RST, SYN, FIN, ACK. A packet with none of the four changes nothing (the kernel closes the connection on
//! it, which lets a stray packet end other people's connections).

use super::{Leg, State};

/// The flag that acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// SYN, or SYN and ACK.
    Syn,
    /// FIN.
    Fin,
    /// ACK alone.
    Ack,
    /// RST.
    Rst,
}

impl Event {
    /// The flag of a packet that acts, if any.
    pub(crate) const fn of(syn: bool, fin: bool, ack: bool, rst: bool) -> Option<Self> {
        if rst {
            Some(Self::Rst)
        } else if syn {
            Some(Self::Syn)
        } else if fin {
            Some(Self::Fin)
        } else if ack {
            Some(Self::Ack)
        } else {
            None
        }
    }
}

/// The state after `event` on `leg`. `guarded` is `secure_tcp`: a table in which a connection counts as begun later,
/// so that those half open end sooner.
pub(crate) const fn next(leg: Leg, event: Event, state: State, guarded: bool) -> State {
    let table = match (leg, guarded) {
        (Leg::Client, false) => &CLIENT,
        (Leg::Client, true) => &GUARDED_CLIENT,
        (Leg::Server, false) => &SERVER,
        (Leg::Server, true) => &GUARDED_SERVER,
        (Leg::Alone, false) => &ALONE,
        (Leg::Alone, true) => &GUARDED_ALONE,
    };
    let state = state as usize;
    if state < COLUMNS { table[event as usize][state] } else { State::Close }
}

/// The TCP states are the first of [`State::ALL`].
const COLUMNS: usize = State::SynAck as usize + 1;
type Table = [[State; COLUMNS]; 4];

use State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI, None as NO,
    SynAck as SA, SynRecv as SR, SynSent as SS, TimeWait as TW,
};

/// Rows: syn, fin, ack, rst. Columns: the current state, in the order of [`State::ALL`].
#[rustfmt::skip]
const CLIENT: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
];

#[rustfmt::skip]
const SERVER: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

#[rustfmt::skip]
const ALONE: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
];

#[rustfmt::skip]
const GUARDED_CLIENT: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA],
    [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA],
    [ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
];

#[rustfmt::skip]
const GUARDED_SERVER: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA],
    [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

#[rustfmt::skip]
const GUARDED_ALONE: Table = [
    //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    [SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA],
    [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
];

const _: () = assert!(NO as usize == 0 && SA as usize == COLUMNS - 1);

#[cfg(test)]
mod tests {
    use super::*;

    /// The same table once more, as text.
    const REFERENCE: &str = include_str!("../../tests/tcp_states.txt");

    fn abbreviated(name: &str) -> State {
        let states = [NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA];
        let names = ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"];
        states[names.iter().position(|n| *n == name).expect("a state")]
    }

    fn leg(name: &str) -> (Leg, bool) {
        let (guarded, name) = name.strip_prefix("guarded-").map_or((false, name), |name| (true, name));
        let leg = match name {
            "client" => Leg::Client,
            "server" => Leg::Server,
            "alone" => Leg::Alone,
            _ => panic!("{name} is no leg"),
        };
        (leg, guarded)
    }

    #[test]
    fn every_state_event_and_leg() {
        let mut lines = REFERENCE.lines().filter(|line| !line.starts_with('#'));
        let columns: Vec<State> =
            lines.next().expect("a head").split_whitespace().skip(2).map(abbreviated).collect();
        assert_eq!(columns, State::ALL[..COLUMNS]);
        let mut checked = 0;
        for line in lines {
            let mut words = line.split_whitespace();
            let (leg, guarded) = leg(words.next().expect("a leg"));
            let event = match words.next() {
                Some("syn") => Event::Syn,
                Some("fin") => Event::Fin,
                Some("ack") => Event::Ack,
                Some("rst") => Event::Rst,
                flag => panic!("{flag:?} is no flag"),
            };
            for (state, to) in columns.iter().zip(words) {
                let is = next(leg, event, *state, guarded);
                assert_eq!(is, abbreviated(to), "{leg:?} {event:?} in {state:?}, guarded: {guarded}");
                checked += 1;
            }
        }
        assert_eq!(checked, 11 * 4 * 3 * 2);
    }

    fn run(steps: &[(Leg, Event)]) -> Vec<State> {
        let mut state = NO;
        steps
            .iter()
            .map(|&(leg, event)| {
                state = next(leg, event, state, false);
                state
            })
            .collect()
    }

    #[test]
    fn an_ordinary_connection_that_the_client_closes_first() {
        use Event::{Ack, Fin, Syn};
        use Leg::{Client as In, Server as Out};
        let steps = [(In, Syn), (Out, Syn), (In, Ack), (Out, Ack), (In, Fin), (Out, Fin), (In, Ack)];
        assert_eq!(run(&steps), [SR, SR, ES, ES, CW, TW, TW]);
    }

    #[test]
    fn an_ordinary_connection_that_the_server_closes_first() {
        use Event::{Ack, Fin, Syn};
        use Leg::{Client as In, Server as Out};
        let steps = [(In, Syn), (Out, Syn), (In, Ack), (Out, Fin), (In, Fin), (Out, Ack)];
        assert_eq!(run(&steps), [SR, SR, ES, FW, TW, TW]);
    }

    #[test]
    fn a_client_reset_is_ignored_while_the_syn_is_on_its_way() {
        assert_eq!(next(Leg::Client, Event::Rst, SR, false), SR);
        assert_eq!(next(Leg::Server, Event::Rst, SR, false), CL);
    }

    #[test]
    fn a_syn_on_an_established_connection_changes_nothing() {
        assert_eq!(next(Leg::Client, Event::Syn, ES, false), ES);
        assert_eq!(next(Leg::Server, Event::Syn, ES, false), ES);
    }

    #[test]
    fn without_replies_in_sight_the_clients_fin_ends_it() {
        use Event::{Ack, Fin, Syn};
        assert_eq!(run(&[Syn, Ack, Fin, Ack].map(|event| (Leg::Alone, event))), [SR, ES, FW, FW]);
    }

    #[test]
    fn one_flag_acts_and_rst_comes_first() {
        assert_eq!(Event::of(true, true, true, true), Some(Event::Rst));
        assert_eq!(Event::of(true, true, true, false), Some(Event::Syn));
        assert_eq!(Event::of(false, true, true, false), Some(Event::Fin));
        assert_eq!(Event::of(false, false, true, false), Some(Event::Ack));
        assert_eq!(Event::of(false, false, false, false), None);
    }
}
