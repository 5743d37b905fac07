//! What can be noted of a decision. In the order in which things happen, the notes are the reasons of the verdict.

use std::net::{IpAddr, SocketAddr};

use sched::{Account, ForwardMethod, Mark, Proto, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::conn::{Conn, Millis};
use crate::verdict::DropReason;

/// Something that a decision went by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Note {
    /// The packet has been looked up among the connections, and is of this one, or of none.
    Connection {
        /// Protocol, source and destination that were looked up: of an ICMP error those of the packet that it is about, turned
        /// round.
        proto: Proto,
        /// Source.
        src: SocketAddr,
        /// Destination.
        dst: SocketAddr,
        /// The connection.
        found: Option<Flow>,
    },
    /// The connection is over for this packet, which is scheduled as the first of another.
    BeginsAnew {
        /// Its state.
        state: String,
        /// Its server has been removed.
        removed: bool,
    },
    /// What was supposed of it by whoever asks.
    Supposed {
        /// The device that it came in on.
        input: Option<String>,
        /// The mark that it came with; 0 for none.
        mark: u32,
    },
    /// What the mark rules have made of the packet.
    Mark {
        /// The mark; `None` for none.
        mark: Option<Mark>,
        /// The rules that match, in their order.
        rules: Vec<RuleHit>,
        /// How many rules of its family there are.
        of: usize,
    },
    /// The service that it is for.
    Service {
        /// Which one; `None` where there is none.
        key: Option<ServiceKey>,
        /// Its scheduler.
        scheduler: Option<String>,
        /// `-p`: seconds.
        persistence: Option<u32>,
    },
    /// Services that come near, and why they are not meant.
    Near {
        /// The nearest first.
        services: Vec<Near>,
    },
    /// It belongs to no connection, and begins none: it does not open one, as a SYN does.
    OpensNothing,
    /// It has the form of a packet that begins something or is answered, but this is wrong with it.
    Fault {
        /// What.
        reason: DropReason,
    },
    /// A front ends its connection here.
    Front,
    /// A check has said where it goes.
    Aimed {
        /// The server that is asked.
        server: SocketAddr,
    },
    /// The client's template says where it goes; `None` where it has none.
    Template {
        /// The server that the client had.
        server: Option<SocketAddr>,
        /// Milliseconds until the template would have been forgotten.
        left_ms: Option<u64>,
    },
    /// The template is not valid any more, and ends.
    TemplateEnds {
        /// Its server.
        server: SocketAddr,
    },
    /// The scheduler is asked, and goes by this.
    Compared {
        /// Its name.
        scheduler: String,
        /// The numbers.
        account: Account,
    },
    /// Nobody can be chosen.
    Nobody,
    /// This server it is to be.
    Chosen {
        /// Its address, on the port that it is spoken to.
        server: SocketAddr,
        /// How it is reached.
        method: ForwardMethod,
        /// Who it believes to speak with, where that is not the client (FullNAT).
        local: Option<SocketAddr>,
        /// By NAT server and client would speak past us, so it is FullNAT.
        hairpin: bool,
    },
    /// That server cannot be had: another one of the list is tried.
    NotFree {
        /// Which one.
        server: SocketAddr,
        /// Why.
        reason: DropReason,
    },
    /// The connection has moved.
    State {
        /// From this state
        from: String,
        /// to that.
        to: String,
    },
    /// It is longer than the path to the server can carry in one piece.
    TooBig {
        /// Bytes that fit.
        mtu: u32,
    },
    /// An ICMP error, about a packet between these.
    Quotes {
        /// The quoted packet's source.
        src: SocketAddr,
        /// Its destination.
        dst: SocketAddr,
    },
    /// It is no service's, nor of a VIP that is ours alone.
    NotOurs {
        /// The destination is an address of the host.
        local: bool,
    },
    /// Its destination is a VIP, or a local address, that is nobody's address: nobody but us can answer.
    OursAlone {
        /// The address.
        addr: IpAddr,
    },
    /// A fragment that goes where the first one of its datagram went.
    Follows,
    /// Data of FTP, which the control connection has announced.
    Expected,
    /// It answers a datagram that was scheduled by itself.
    AnswersOne,
    /// Scheduled by itself (`-o`): no connection remembers it.
    OnePacket,
}

/// A mark rule that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule in words.
    pub rule: String,
    /// The mark behind it.
    pub mark: u32,
}

/// A service that is not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Near {
    /// Which one.
    pub service: ServiceKey,
    /// Why not.
    pub why: String,
}

/// A connection as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The client.
    pub client: SocketAddr,
    /// What it speaks to.
    pub vip: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// Who the server believes to speak with, where that is not the client (FullNAT).
    pub local: Option<SocketAddr>,
    /// How the server is reached.
    pub method: ForwardMethod,
    /// Its state.
    pub state: String,
    /// Milliseconds until it would have been forgotten.
    pub left_ms: u64,
    /// The packet comes from the server's side.
    pub reply: bool,
}

impl Flow {
    pub(crate) fn of(conn: &Conn<'_>, reply: bool, now: Millis) -> Self {
        let legs = &conn.legs;
        Self {
            client: legs.client,
            vip: legs.vip,
            server: legs.server,
            local: legs.local(),
            method: legs.method,
            state: conn.state().name().into(),
            left_ms: conn.deadline(now).saturating_sub(now),
            reply,
        }
    }
}
