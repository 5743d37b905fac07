//! What an operator can set while traffic flows: timeouts, the sysctls of IPVS, and where to be better than it.

use std::time::Duration;

/// When a defence is on (`drop_entry`, `drop_packet`, `secure_tcp`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defence {
    /// 0.
    #[default]
    Off,
    /// 1 while memory suffices, 2 while it does not: turned on and off by itself.
    Auto,
    /// 3.
    Always,
}

/// The settings in force. Defaults are ours; [`Knobs::ipvs`] has the kernel's in everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// `--set`: TCP ESTABLISHED.
    pub tcp_timeout: Duration,
    /// `--set`: TCP FIN_WAIT.
    pub tcp_fin_timeout: Duration,
    /// `--set`: UDP.
    pub udp_timeout: Duration,
    /// `amemthresh`: below that many free connections the automatic defences are on. (The kernel counts pages.)
    pub amemthresh: u32,
    /// `am_droprate`: of how many new connections one is dropped by `drop_packet = 3`.
    pub am_droprate: u32,
    /// `drop_entry`.
    pub drop_entry: Defence,
    /// `drop_packet`.
    pub drop_packet: Defence,
    /// `secure_tcp`.
    pub secure_tcp: Defence,
    /// `conn_reuse_mode`: 0 never; else a SYN on TIME_WAIT or CLOSE is scheduled anew; bit 2: on FIN_WAIT too where
    /// no replies are seen.
    pub conn_reuse_mode: u32,
    /// `expire_nodest_conn`: a packet of a connection whose server is gone ends it and is scheduled anew.
    pub expire_nodest_conn: bool,
    /// `expire_quiescent_template`: weight 0 ends persistence.
    pub expire_quiescent_template: bool,
    /// `sloppy_tcp`: any packet creates a connection, not only a SYN.
    pub sloppy_tcp: bool,
    /// `sloppy_sctp`: any packet creates an association, not only an INIT.
    pub sloppy_sctp: bool,
    /// `nat_icmp_send`: a server's packet that belongs to nothing is answered with port unreachable.
    pub nat_icmp_send: bool,
    /// `cache_bypass`: flows of a mark's service without a server go on to whom they are for.
    pub cache_bypass: bool,
    /// `pmtu_disc`: IPv4 packets with DF over the path MTU are refused even by tunnels, which could cut them.
    pub pmtu_disc: bool,
    /// `schedule_icmp`: an ICMP error can create a connection.
    pub schedule_icmp: bool,
    /// What the schedulers are tuned to: `lblc_expiration`, `lblcr_expiration`.
    pub sched: sched::Knobs,
    /// A connection that expires, or loses its server, is reset at both ends instead of going silent.
    pub reset_on_end: bool,
    /// UDP flows leave a removed server at once.
    pub move_udp: bool,
    /// A client's port that is used again while its old connection lingers never stalls: a SYN with a new sequence
    /// number begins anew in every state that has ended.
    pub reuse_ports: bool,
    /// A template whose members outlive it drops to 60 seconds for good.
    pub template_decay: bool,
    /// Answers to packets that were scheduled by themselves come from the VIP.
    pub ops_replies: bool,
    /// Clients whom a server behind NAT would answer straight, on its own link or itself, are forwarded to it by FullNAT.
    pub hairpin: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            reset_on_end: true,
            move_udp: true,
            reuse_ports: true,
            template_decay: false,
            ops_replies: true,
            hairpin: true,
            ..Self::ipvs()
        }
    }
}

impl Knobs {
    /// The kernel's, oddities included: `compat = "ipvs"`.
    pub fn ipvs() -> Self {
        Self {
            tcp_timeout: Duration::from_secs(900),
            tcp_fin_timeout: Duration::from_secs(120),
            udp_timeout: Duration::from_secs(300),
            amemthresh: 1024,
            am_droprate: 10,
            drop_entry: Defence::Off,
            drop_packet: Defence::Off,
            secure_tcp: Defence::Off,
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            sloppy_tcp: false,
            sloppy_sctp: false,
            nat_icmp_send: false,
            cache_bypass: false,
            pmtu_disc: true,
            schedule_icmp: false,
            sched: sched::Knobs::default(),
            reset_on_end: false,
            move_udp: false,
            reuse_ports: false,
            template_decay: true,
            ops_replies: false,
            hairpin: false,
        }
    }
}
