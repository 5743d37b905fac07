//! Connection states and what they mean for timers and load: the names and numbers of IPVS.

pub(crate) mod sctp;
pub(crate) mod tcp;

use std::time::Duration;

use sched::{Direction, Proto};

use crate::knobs::Knobs;

/// Whose packet it is, and what else is seen of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// The client's, where the server's are seen too (NAT).
    Client,
    /// The server's.
    Server,
    /// The client's, where the server answers past us (DR, tunnels).
    Alone,
}

impl Leg {
    pub(crate) const fn of(direction: Direction, sees_replies: bool) -> Self {
        match (direction, sees_replies) {
            (Direction::Out, _) => Self::Server,
            (Direction::In, true) => Self::Client,
            (Direction::In, false) => Self::Alone,
        }
    }
}

/// What a packet does to the state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Tcp(tcp::Event),
    Sctp(sctp::Event),
}

/// The state after `event` on `leg`; `guarded` is `secure_tcp`.
pub(crate) const fn next(leg: Leg, event: Event, state: State, guarded: bool) -> State {
    match event {
        Event::Tcp(event) => tcp::next(leg, event, state, guarded),
        Event::Sctp(event) => sctp::next(leg, event, state),
    }
}

/// State of a connection, with the kernel's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Nothing seen yet.
    None,
    /// Both sides talk.
    Established,
    /// A SYN came from the server's side.
    SynSent,
    /// The client's SYN is on its way.
    SynRecv,
    /// The server has said FIN (or, without replies in sight, the client).
    FinWait,
    /// Both have said FIN.
    TimeWait,
    /// Reset or finished.
    Close,
    /// The client has said FIN.
    CloseWait,
    /// Waiting for the last ACK.
    LastAck,
    /// Expected, not begun.
    Listen,
    /// SYN cookies are in use.
    SynAck,
    /// The one state of UDP.
    Udp,
    /// SCTP: the client's INIT is on its way.
    Init1,
    /// SCTP: and another one.
    Init,
    /// SCTP: the server has answered with a cookie.
    CookieSent,
    /// SCTP: the client has shown its cookie.
    CookieReplied,
    /// SCTP: an INIT came from the server's side.
    CookieWait,
    /// SCTP: the client has answered it with a cookie.
    Cookie,
    /// SCTP: the server has shown its cookie.
    CookieEchoed,
    /// SCTP: the server shuts down.
    ShutdownSent,
    /// SCTP: the client shuts down.
    ShutdownReceived,
    /// SCTP: the server has agreed to it.
    ShutdownAckSent,
    /// SCTP: the server has refused it.
    Rejected,
    /// SCTP: over.
    Closed,
}

impl State {
    /// Every state, in the order of its numbers.
    pub const ALL: &[Self] = &[
        Self::None,
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::SynAck,
        Self::Udp,
        Self::Init1,
        Self::Init,
        Self::CookieSent,
        Self::CookieReplied,
        Self::CookieWait,
        Self::Cookie,
        Self::CookieEchoed,
        Self::ShutdownSent,
        Self::ShutdownReceived,
        Self::ShutdownAckSent,
        Self::Rejected,
        Self::Closed,
    ];

    /// As `ipvsadm -Lc` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait => "FIN_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::SynAck => "SYNACK",
            Self::Udp => "UDP",
            Self::Init1 => "INIT1",
            Self::Init => "INIT",
            Self::CookieSent => "C-SENT",
            Self::CookieReplied => "C-REPLIED",
            Self::CookieWait => "C-WAIT",
            Self::Cookie => "COOKIE",
            Self::CookieEchoed => "C-ECHOED",
            Self::ShutdownSent => "S-SENT",
            Self::ShutdownReceived => "S-RECEIVED",
            Self::ShutdownAckSent => "S-ACK-SENT",
            Self::Rejected => "REJECTED",
            Self::Closed => "CLOSED",
        }
    }

    /// The time without a packet after which a connection in this state is forgotten.
    #[inline]
    pub(crate) const fn timeout(self, proto: Proto, knobs: &Knobs) -> Duration {
        match self {
            Self::Established if matches!(proto, Proto::Sctp) => Duration::from_secs(900),
            Self::Established => knobs.tcp_timeout,
            Self::FinWait => knobs.tcp_fin_timeout,
            Self::Udp => knobs.udp_timeout,
            Self::None => Duration::from_secs(2),
            Self::SynSent | Self::TimeWait | Self::Listen | Self::SynAck => Duration::from_secs(120),
            Self::SynRecv | Self::CloseWait => Duration::from_secs(60),
            Self::Close => Duration::from_secs(10),
            Self::LastAck => Duration::from_secs(30),
            Self::Init1 | Self::Rejected => Duration::from_secs(4),
            Self::Init
            | Self::CookieSent
            | Self::CookieReplied
            | Self::CookieWait
            | Self::Cookie
            | Self::CookieEchoed
            | Self::ShutdownSent
            | Self::ShutdownReceived
            | Self::ShutdownAckSent
            | Self::Closed => Duration::from_secs(61),
        }
    }

    /// Whether it counts as an active connection of its server: of SCTP only what is established,
    /// UDP never.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Established | Self::SynSent | Self::SynRecv | Self::SynAck)
    }

    /// Whether the client has asked and, as far as is known, not been answered.
    pub(crate) const fn is_opening(self) -> bool {
        matches!(self, Self::None | Self::SynRecv | Self::SynAck | Self::Init1 | Self::Init)
    }

    /// Whether an end of it may still believe that it goes on.
    pub(crate) const fn is_open(self) -> bool {
        self.is_active() || matches!(self, Self::FinWait | Self::CloseWait)
    }

    /// Whether a SYN (an INIT) with the same addresses and ports begins a new connection (`conn_reuse_mode` 1).
    pub const fn is_over(self) -> bool {
        matches!(self, Self::TimeWait | Self::Close | Self::Closed)
    }

    #[inline]
    pub(crate) fn from_u8(n: u8) -> Self {
        Self::ALL[usize::from(n)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_order_agree() {
        for (i, state) in State::ALL.iter().enumerate() {
            assert_eq!(*state as usize, i);
            assert_eq!(State::from_u8(i as u8), *state);
        }
    }
}
