//! The configuration file, `ulvs.toml`.
//!
//! ```toml
//! compat = "ipvs"                 # the kernel's behaviour even where it is poor; leave it out to be better
//!
//! [engine]                        # all of it optional
//! workers = "auto"                # or a number
//! offload = "auto"                # or true (must have it) or false
//! max_connections = 1000000
//! device = "ulvs0"
//! port = "tun"                    # "packet": past the host's stack, on its Ethernet devices; "auto": that if it works
//! interfaces = ["eth0", "eth1"]   # for the packet port; default: all of them
//!
//! [timeouts]                      # seconds: `ipvsadm --set`
//! tcp = 900
//! tcp_fin = 120
//! udp = 300
//!
//! [sysctl]                        # net.ipv4.vs.*: `ulvs sysctl --help` lists them
//! conn_reuse_mode = 1
//!
//! [ulvs]                          # what the kernel has not: ulvs.* of `ulvs sysctl`
//! reset_on_end = true
//!
//! [health]                        # what every check has that does not say otherwise: the times below
//! interval = "2s"
//!
//! [[lip]]                         # what servers behind FullNAT see as the client; several share the connections
//! address = "192.168.1.250"       # an address of the host's, or one that is nobody's; default: the host's own
//!
//! [[service]]
//! vip = "10.0.0.1"
//! ports = ["tcp/80"]              # tcp/0 is all of them: needs persistence
//! scheduler = "wrr"               # default: wlc
//! scheduler_flags = ["sh-port"]   # those of the scheduler
//! persistence = 360               # seconds or "6m"; { timeout = 360, mask = "255.255.255.0" } joins clients
//! pe = "sip"                      # UDP: a client is a Call-ID
//! one_packet = false              # UDP: every packet is scheduled
//! proxy_protocol = "v2"           # or "v1": tells servers the client's address (TCP; nat, fullnat)
//! toa = true                      # the same by TCP option 254, where servers have DPVS's module
//! mss = 1400                      # largest TCP segments, or "auto"
//! lips = ["192.168.1.251"]        # for its servers behind FullNAT in place of those above
//!
//! [[service.server]]
//! address = "192.168.1.1:8080"    # the service's port if it has none
//! weight = 3                      # default: 1
//! method = "nat"                  # the default; "fullnat" needs no route back; "dr" and "tunnel" leave the port alone
//! tunnel = { kind = "gue", port = 5555, checksum = "full" }   # or "ipip", the default, or "gre"
//! upper = 1000                    # with so many connections it gets no new ones ...
//! lower = 750                     # ... until it has fewer than these; default: three quarters
//! slow_start = "30s"              # a new server, or one that has come back, takes so long to reach its weight
//! notify = { up = "/usr/local/bin/up", down = "/usr/local/bin/down" }   # told in addition to the service's
//!
//! [[service.server.check]]        # of this server, in place of the service's; check = [] is none
//! kind = "tcp"
//!
//! [[service.check]]               # what each server is asked; with several all have to succeed, or any: `need` below
//! kind = "http"                   # icmp tcp udp http https tls dns smtp grpc exec file: each has more keys, see below
//! interval = "2s"                 # between two questions; "500ms" is possible, a bare number is seconds
//! fast_interval = "500ms"         # the same while answers contradict the state; default: interval
//! timeout = "2s"                  # for the whole answer; while it is waited for, nothing else is asked
//! fall = 3                        # failures in a row until the server is dead
//! rise = 2                        # successes in a row until it is alive again
//! window = "3/10"                 # dead as well with so many failures among the last so many answers
//! warmup = "1s"                   # the first question comes somewhere within that time; default: interval
//! address = "10.1.0.7"            # asked there in place of the server's address
//! port = 8081                     # and of its port
//! via = "vip"                     # as a client would: to the VIP, by the server's forwarding method
//! bind = "10.1.0.250"             # asked from there, or with a port "10.1.0.250:4000"
//! device = "eth1"                 # by this device only
//! mark = 7                        # firewall mark of the question
//!
//! [service.health]                # what follows from the answers; all of it optional
//! need = "all"                    # of a server's checks, or "any"
//! initially = "up"                # until the checks have spoken; or "down"
//! inhibit = false                 # true: a dead server stays with weight 0 rather than being taken out
//! on_down = "reset"               # its connections; "move" forgets them in silence, "keep" leaves TCP alone
//! quorum = 1                      # sum of live weights that the service needs: below quorum - hysteresis it is down,
//! hysteresis = 0                  # from quorum + hysteresis on it is up
//! sorry = { address = "10.1.0.9:80", method = "nat" }   # serves without a quorum; inhibit = true lists it always
//! panic = 0                       # per cent of dead servers from which on none is believed; 0: never
//! damping = { flaps = 3, within = "60s", hold = "5m" }  # down so often within that time, it stays down so long
//! passive = { fall = 3, hold = "5s", max_hold = "5m" }  # by what clients' connections meet, of servers whose answers
//!                                 # come through us: NAT and FullNAT, never DR or tunnels; or true
//! notify = "/usr/local/bin/notify"   # told of each change; or { change, up, down, quorum_up, quorum_down, at_stop, user },
//!                                 # each a string, or { command = "/usr/local/bin/up", user = "nobody" }
//!
//! [service.tls]                   # TLS from clients ends here; files are relative to this one
//! port = 443                      # default: the service's TCP port, of several 443
//! vips = ["172.16.0.99"]          # only where a mark's rules do not name it
//! cert = "site.crt"               # and those that lead to a known authority, PEM
//! key = "site.key"                # others should not read it: 0600, or 0640 of root
//! ocsp = "site.ocsp"              # sent along, DER
//! server_port = 80                # default: that of each server; 80 where it has none
//! stack = "kernel"                # whose TCP clients speak with; or "userspace"
//! sni = "any"                     # "strict" refuses names that no certificate is for
//! alpn = ["h2", "http/1.1"]       # offered, best first; default: http/1.1 alone
//! alpn_service = { h2 = "tcp/10.0.0.1:8443" }   # or "fwm/4": the service that has the servers for it
//! profile = "intermediate"        # TLS 1.2 and 1.3; "modern" is 1.3 alone
//! client_auth = { mode = "required", ca = "clients.crt", crl = "clients.crl" }   # or "optional"
//! tickets = "own"                 # "off", or { file = "tickets.key" }: what several directors share
//! identity = "none"               # tells servers the client: "proxy-v1", "proxy-v2", "forwarded" in each request;
//!                                 # "transparent", which needs the userspace stack, shows its own address
//! pool = 0                        # idle connections kept to each server for anybody's next request
//! redirect_http = 80              # plain HTTP on this port is sent to https
//! backend_tls = { ca = "ca.crt", name = "www.example" }   # servers speak TLS too
//! key_log = "keys.log"            # the secrets of all sessions, for Wireshark
//! handshake_timeout = "10s"
//! idle_timeout = "1h"
//! half_closed_timeout = "60s"
//! connect_timeout = "5s"          # to a server, before the next one is asked ...
//! connect_attempts = 3            # ... of so many
//! max_connections = 0             # 0: no limit of its own
//! handshakes_per_second = 0
//!
//! [[service.tls.certificate]]     # another pair, for other names (SNI)
//! cert = "other.crt"
//! key = "other.key"
//!
//! [[service]]                     # all packets with a mark
//! mark = 3
//! family = "ipv6"                 # default: ipv4
//!
//! [[service]]                     # several ports: a mark service, with rules of its own that set the mark
//! vip = "172.16.0.99"
//! ports = ["tcp/80,443", "udp/443", "tcp/8000-8100"]
//! mark = 4                        # default: a free one from 1000000 to 1999999, told by VIP and ports
//!
//! [[mark]]                        # what else gets a mark, in order: a later rule has the last word
//! mark = 3                        # with mask = 0xff only those bits
//! dest = "fd00::99"               # or a prefix; "!fd00::99" is everything else
//! source = "fd01::/16"
//! protocol = "tcp"                # or "udp", "sctp", or a number as in "47"
//! ports = [80, 443, "8000-8100"]
//! source_ports = ["1024-65535"]
//! input = "eth0"                  # as the way back to the source tells
//! ```
//!
//! What else a `[[service.check]]` can have depends on its kind:
//!
//! | kind | keys |
//! |---|---|
//! | `http`, `https` | `method`, `path`, `host`, `status = [200, "300-399"]`, `keyword`, `regex`, `regex_no_match`, `digest` (MD5), or several pages `urls = [{ path = "/a" }, ...]`; `version = "1.1"` |
//! | `https`, `tls`, and `grpc` with `tls = true` | `sni`, `verify`, `ca`, `min_days` that the certificate has to be good for |
//! | `udp` | `payload = "text"` or `payload_hex = "00ff"`, `require_reply`, `reply = "text"` or `reply_hex = "0aXX"` (how it begins; XX is any byte), `min_reply`, `max_reply` |
//! | `dns` | `record = "SOA"`, `name = "."` |
//! | `smtp` | `helo` |
//! | `grpc` | `service` |
//! | `exec` | `command = ["/path", "argument"]` or one string, in which quotes keep blanks, `user = "nobody:nogroup"`, `dynamic` (the exit code says a weight) |
//! | `file` | `path`, `weight` that its number is multiplied with, `reverse`, `dynamic` (the product is added to the weight) |
//!
//! `icmp`, `exec` and `file` have no `port`; `exec` and `file` ask this host, so that none of `address`, `bind`, `device`
//! and `mark` belongs to them. `ca` and `path` of a file are relative to this one; commands are given by their whole path,
//! or by a name that PATH knows.
//!
//! A key that nobody knows is an error. All errors of a file are reported together, each with its place and a way
//! out; a file with errors yields nothing.

mod hints;
mod problem;
mod reader;
mod schema;
pub mod write;

use std::io::Read;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use sched::{MarkRule, ServiceSpec};

use crate::settings::{Settings, Sysctl, Timeouts};

pub(crate) use problem::Excerpt;
pub use problem::{ConfigError, Problem};
pub use schema::is_device_name;

/// Some hundred thousand services.
const MAX_BYTES: u64 = 64 << 20;

/// A valid configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The engine's settings: they need a restart to change.
    pub engine: EngineConfig,
    settings: Chosen,
    lips: Vec<IpAddr>,
    services: Vec<ServiceSpec>,
    marks: Vec<MarkRule>,
}

/// The settings that the file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chosen {
    compat: bool,
    timeouts: Timeouts,
    /// As [`Sysctl::accept`] has them.
    sysctls: Vec<(Sysctl, i32)>,
}

/// The `[engine]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Worker threads.
    pub workers: Workers,
    /// Whether packets may cross the device unsplit and without checksums.
    pub offload: Offload,
    /// The most connections that the engine tracks.
    pub max_connections: NonZeroUsize,
    /// Name of the TUN device.
    pub device: String,
    /// Where packets come from and go to.
    pub port: Port,
    /// Names of the devices that the packet port uses; without any, all Ethernet devices.
    pub interfaces: Vec<String>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: Workers::Auto,
            offload: Offload::Auto,
            max_connections: NonZeroUsize::MIN.saturating_add(999_999),
            device: "ulvs0".to_owned(),
            port: Port::default(),
            interfaces: Vec::new(),
        }
    }
}

/// Where packets come from and go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// The host's stack, by the TUN device.
    #[default]
    Tun,
    /// The host's Ethernet devices; what is rare still goes by the TUN device, where there can be one.
    Packet,
    /// The latter where it works.
    Auto,
}

/// How many worker threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// The engine's choice.
    #[default]
    Auto,
    /// So many.
    Count(NonZeroUsize),
}

/// Whether to use the device's offloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Where the kernel lets us.
    #[default]
    Auto,
    /// Fail where it does not.
    On,
    /// Never.
    Off,
}

impl Config {
    /// Reads a file. The names of files in it are relative to its directory.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |e| ConfigError::unreadable(&name, &e);
        let bytes = read(path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|e| ConfigError::not_utf8(&name, &e))?;
        let mut config = Self::parse(&name, &text)?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        let dir = path.parent().unwrap_or(&path);
        for service in &mut config.services {
            let of_front = service.tls.iter_mut().flat_map(|tls| Arc::make_mut(tls).paths_mut());
            let of_checks = service.health.iter_mut().flat_map(|health| Arc::make_mut(health).paths_mut());
            for file in of_front.chain(of_checks) {
                *file = dir.join(&*file);
            }
        }
        Ok(config)
    }

    /// What a file for another program says; the engine's settings are the defaults.
    pub fn of(services: Vec<ServiceSpec>, timeouts: Timeouts) -> Self {
        let settings = Chosen { timeouts, ..Chosen::default() };
        Self { services, settings, ..Self::default() }
    }

    /// Parses a file's text; `name` is for error messages. Names of files in it stay as they are.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        schema::parse(text).map_err(|problems| ConfigError::new(name, text, problems))
    }

    /// What can be set while traffic flows: what the file says, else the defaults. With `compat` those are the kernel's,
    /// as with the line `compat = "ipvs"` in the file.
    pub fn settings(&self, compat: bool) -> Settings {
        let mut settings = Settings::new(compat || self.settings.compat);
        settings.timeouts = self.settings.timeouts;
        for (sysctl, value) in &self.settings.sysctls {
            settings.put(*sysctl, *value);
        }
        settings
    }

    /// The mark rules: those of `[[mark]]` in the file's order, then those that services with several ports are made of.
    pub fn marks(&self) -> &[MarkRule] {
        &self.marks
    }

    /// The local addresses that are everybody's, in the file's order.
    pub fn lips(&self) -> &[IpAddr] {
        &self.lips
    }

    /// The services, in the file's order.
    pub fn services(&self) -> &[ServiceSpec] {
        &self.services
    }
}

/// The file's bytes; what is too large to be a configuration, a device for one, is not read to its end.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is over 64 MiB, too large to be a configuration"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
