//! The registry of numbers that can be set while traffic flows, and why the kernel's others cannot.

use std::fmt;
use std::ops::RangeInclusive;

use super::SettingError;
use crate::nearest::nearest;

/// A number that can be set while traffic flows. To add one: a variant, a line in [`Sysctl::ALL`], an arm in
/// [`Sysctl::about`]; then the daemon has to say what it means to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`about` says what they are")]
pub enum Sysctl {
    AmDroprate,
    Amemthresh,
    CacheBypass,
    ConnReuseMode,
    DropEntry,
    DropPacket,
    ExpireNodestConn,
    ExpireQuiescentTemplate,
    LblcExpiration,
    LblcrExpiration,
    NatIcmpSend,
    PmtuDisc,
    RunEstimation,
    ScheduleIcmp,
    SecureTcp,
    SloppySctp,
    SloppyTcp,
    Hairpin,
    LipPortFirst,
    LipPortLast,
    MoveUdp,
    OpsReplies,
    ResetOnEnd,
    ReusePorts,
    TemplateDecay,
}

/// What there is to know about a [`Sysctl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `net.ipv4.vs.` for the kernel's, `ulvs.` for ours.
    pub prefix: &'static str,
    /// Its name behind the prefix: what the configuration file calls it.
    pub name: &'static str,
    /// What it takes; for the kernel's exactly what the kernel takes.
    pub range: RangeInclusive<i32>,
    /// What it is if nobody says anything.
    pub ours: i32,
    /// What it is under `compat = "ipvs"`.
    pub ipvs: i32,
    /// What it does, in a line.
    pub summary: &'static str,
}

const KERNEL: &str = Sysctl::KERNEL_PREFIX;
const OURS: &str = Sysctl::OUR_PREFIX;

/// 0 is off and any other number is on.
const SWITCH: RangeInclusive<i32> = i32::MIN..=i32::MAX;
const COUNT: RangeInclusive<i32> = i32::MIN..=i32::MAX;
const DEFENCE: RangeInclusive<i32> = 0..=3;
const L4_PORT: RangeInclusive<i32> = 1..=u16::MAX as i32;
/// In the kernel they have to fit into its clock, which ticks 250 times a second.
const SECONDS: RangeInclusive<i32> = -(i32::MAX / 250)..=i32::MAX / 250;

impl Sysctl {
    /// Where the kernel's have their place.
    pub(crate) const KERNEL_PREFIX: &str = "net.ipv4.vs.";
    /// Where those have theirs that the kernel has not.
    pub(crate) const OUR_PREFIX: &str = "ulvs.";

    /// All of them: the kernel's by name, then ours by name.
    pub const ALL: [Self; 25] = [
        Self::AmDroprate,
        Self::Amemthresh,
        Self::CacheBypass,
        Self::ConnReuseMode,
        Self::DropEntry,
        Self::DropPacket,
        Self::ExpireNodestConn,
        Self::ExpireQuiescentTemplate,
        Self::LblcExpiration,
        Self::LblcrExpiration,
        Self::NatIcmpSend,
        Self::PmtuDisc,
        Self::RunEstimation,
        Self::ScheduleIcmp,
        Self::SecureTcp,
        Self::SloppySctp,
        Self::SloppyTcp,
        Self::Hairpin,
        Self::LipPortFirst,
        Self::LipPortLast,
        Self::MoveUdp,
        Self::OpsReplies,
        Self::ResetOnEnd,
        Self::ReusePorts,
        Self::TemplateDecay,
    ];

    /// Name, range, defaults and meaning.
    pub fn about(self) -> About {
        match self {
            Self::AmDroprate => {
                kernel("am_droprate", COUNT, 10, "drop_packet = 3 drops one new connection in so many")
            }
            Self::Amemthresh => kernel(
                "amemthresh",
                COUNT,
                1024,
                "the automatic defences are on while fewer connections than this are free",
            ),
            Self::CacheBypass => kernel(
                "cache_bypass",
                SWITCH,
                0,
                "a mark service without a server lets packets through to where they were going",
            ),
            Self::ConnReuseMode => kernel(
                "conn_reuse_mode",
                COUNT,
                1,
                "a SYN on an ended connection: 0 old server, else a new choice; +2: on FIN_WAIT too where no replies are seen",
            ),
            Self::DropEntry => kernel(
                "drop_entry",
                DEFENCE,
                0,
                "lets half-open and idle connections go: 0 never, 1 when short of room, 3 always",
            ),
            Self::DropPacket => kernel(
                "drop_packet",
                DEFENCE,
                0,
                "drops some of the new connections: 0 never, 1 when short of room, 3 always",
            ),
            Self::ExpireNodestConn => kernel(
                "expire_nodest_conn",
                SWITCH,
                0,
                "a connection whose server is gone ends with its next packet",
            ),
            Self::ExpireQuiescentTemplate => {
                kernel("expire_quiescent_template", SWITCH, 0, "weight 0 ends persistence too")
            }
            Self::LblcExpiration => {
                kernel("lblc_expiration", SECONDS, 86_400, "seconds that lblc remembers a destination")
            }
            Self::LblcrExpiration => {
                kernel("lblcr_expiration", SECONDS, 86_400, "seconds that lblcr remembers a destination")
            }
            Self::NatIcmpSend => kernel(
                "nat_icmp_send",
                SWITCH,
                0,
                "a server's packet that belongs to nothing is refused with ICMP",
            ),
            Self::PmtuDisc => kernel(
                "pmtu_disc",
                SWITCH,
                1,
                "packets with DF over the path MTU are refused with ICMP even where a tunnel could cut them",
            ),
            Self::RunEstimation => {
                kernel("run_estimation", SWITCH, 1, "the rates of `ipvsadm -L --rate` are kept up")
            }
            Self::ScheduleIcmp => kernel("schedule_icmp", SWITCH, 0, "an ICMP error can begin a connection"),
            Self::SecureTcp => kernel(
                "secure_tcp",
                DEFENCE,
                0,
                "stricter TCP states: 0 never, 1 when short of room, 3 always",
            ),
            Self::SloppySctp => kernel("sloppy_sctp", SWITCH, 0, "any SCTP packet begins an association"),
            Self::SloppyTcp => kernel("sloppy_tcp", SWITCH, 0, "any TCP packet begins a connection"),
            Self::Hairpin => ours(
                "hairpin",
                1,
                0,
                "clients on the link of a server behind NAT, itself among them, reach it by FullNAT",
            ),
            Self::LipPortFirst => About {
                range: L4_PORT,
                ..ours("lip_port_first", 1024, 1024, "first port of local addresses that FullNAT takes")
            },
            Self::LipPortLast => About {
                range: L4_PORT,
                ..ours(
                    "lip_port_last",
                    65_535,
                    65_535,
                    "last port of local addresses that FullNAT takes; never those that the host uses itself",
                )
            },
            Self::MoveUdp => ours("move_udp", 1, 0, "UDP flows leave a removed server at once"),
            Self::ResetOnEnd => ours(
                "reset_on_end",
                1,
                0,
                "a connection that expires or loses its server is reset at both ends",
            ),
            Self::OpsReplies => {
                ours("ops_replies", 1, 0, "answers to packets of one-packet scheduling come from the VIP")
            }
            Self::ReusePorts => ours("reuse_ports", 1, 0, "a client's port that is used again never stalls"),
            Self::TemplateDecay => ours(
                "template_decay",
                0,
                1,
                "a template that its connections outlive drops to 60 seconds for good",
            ),
        }
    }

    /// Finds it by name: `net.ipv4.vs.conn_reuse_mode`, with slashes for dots, or without the prefix.
    ///
    /// # Errors
    /// A name that the kernel knows and we do not says why; any other, what it may have meant.
    pub fn find(typed: &str) -> Result<Self, SettingError> {
        let dotted = typed.replace('/', ".");
        let (name, kernels, ours) = match (dotted.strip_prefix(KERNEL), dotted.strip_prefix(OURS)) {
            (Some(name), _) => (name, true, false),
            (_, Some(name)) => (name, false, true),
            _ => (dotted.as_str(), true, true),
        };
        let here = |s: &&Self| if s.about().prefix == KERNEL { kernels } else { ours };
        if let Some(found) = Self::ALL.iter().filter(here).find(|s| s.about().name == name) {
            return Ok(*found);
        }
        if kernels && let Some((_, why)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)) {
            return Err(SettingError::Senseless { name: format!("{KERNEL}{name}"), why });
        }
        let best = nearest(name, Self::ALL.iter().map(|s| s.about().name));
        let meant = best.and_then(|best| Self::ALL.into_iter().find(|s| s.about().name == best));
        Err(SettingError::Unknown { name: typed.to_owned(), meant })
    }

    /// What reads back after `value` has been written.
    ///
    /// # Errors
    /// When the kernel would not take it either.
    pub fn accept(self, value: i32) -> Result<i32, SettingError> {
        let range = self.about().range;
        if !range.contains(&value) {
            return Err(SettingError::Range { name: self.to_string(), value: value.to_string(), range });
        }
        // 2 is "automatic, and on": whether it is on is not the writer's to say.
        Ok(if range == DEFENCE && value == 2 { 1 } else { value })
    }
}

impl fmt::Display for Sysctl {
    /// With its prefix: `net.ipv4.vs.conn_reuse_mode`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { prefix, name, .. } = self.about();
        write!(f, "{prefix}{name}")
    }
}

fn kernel(name: &'static str, range: RangeInclusive<i32>, value: i32, summary: &'static str) -> About {
    About { prefix: KERNEL, name, range, ours: value, ipvs: value, summary }
}

fn ours(name: &'static str, ours: i32, ipvs: i32, summary: &'static str) -> About {
    About { prefix: OURS, name, range: 0..=1, ours, ipvs, summary }
}

/// What the kernel has and we have not, and why not.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["conntrack"],
        "ulvs makes no netfilter conntrack entries for its connections, so there are none to keep",
    ),
    (&["snat_reroute"], "replies leave by the host's ordinary routes, always"),
    (
        &["ignore_tunneled"],
        "packets of unknown protocols are never scheduled, so tunnelled ones cannot come round again",
    ),
    (
        &["debug_level"],
        "what is logged is chosen with the environment variable ULVS_LOG, for example ULVS_LOG=debug",
    ),
    (
        &["est_cpulist", "est_nice"],
        "rates are kept up by the control plane: there are no estimator threads to place",
    ),
    (&["conn_lfactor", "svc_lfactor"], "the tables of ulvs fit themselves to what is in them"),
    (
        &["conn_max"],
        "it is `max_connections` in the [engine] section of the configuration, read at the start",
    ),
    (
        &[
            "backup_only",
            "sync_persist_mode",
            "sync_ports",
            "sync_qlen_max",
            "sync_refresh_period",
            "sync_retries",
            "sync_sock_size",
            "sync_threshold",
            "sync_version",
        ],
        "this version of ulvs does not synchronize connections with another director",
    ),
];
