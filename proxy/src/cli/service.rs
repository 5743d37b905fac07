//! How a command line names a service: `tcp/10.0.0.1:80`, or with the options of ipvsadm.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use clap::Args;
use sched::{Family, Mark, Proto, ServiceKey};

/// A service and one of its servers, in either style.
#[derive(Clone, Debug, Args)]
pub(super) struct Which {
    /// The service (tcp/10.0.0.1:80, `udp/[fd00::1]:53`, sctp/..., fwm/3, fwm6/3) and the server (192.168.1.1:8080, or
    /// 192.168.1.1 for the service's port)
    #[arg(value_name = "SERVICE SERVER", num_args = 0..=2)]
    words: Vec<String>,
    /// The service, as with ipvsadm
    #[arg(short = 't', long, value_name = "VIP:PORT", group = "key")]
    tcp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(short = 'u', long, value_name = "VIP:PORT", group = "key")]
    udp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(long, value_name = "VIP:PORT", group = "key")]
    sctp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(short = 'f', long, value_name = "MARK", group = "key")]
    fwmark_service: Option<String>,
    /// The mark is one of IPv6
    #[arg(short = '6', long, requires = "fwmark_service")]
    ipv6: bool,
    /// The server, as with ipvsadm
    #[arg(short = 'r', long, value_name = "SERVER")]
    real_server: Option<String>,
}

impl Which {
    /// Whether nothing was named.
    pub(super) const fn is_nothing(&self) -> bool {
        self.words.is_empty() && self.key_option().is_none() && self.real_server.is_none()
    }

    /// The service and the server, or what is wrong or missing.
    pub(super) fn understand(&self) -> Result<(ServiceKey, SocketAddr), String> {
        let mut words = self.words.iter();
        let text = match self.key_option() {
            Some((proto, text)) => format!("{proto}/{text}"),
            None => words.next().ok_or("which service? for example tcp/10.0.0.1:80")?.clone(),
        };
        let key = service(&text)?;
        let server = match &self.real_server {
            Some(text) => text,
            None => words.next().ok_or("which server? for example 192.168.1.1:8080")?,
        };
        if let Some(stray) = words.next() {
            return Err(format!("`{stray}` is one word too many"));
        }
        Ok((key, self::server(server, &key)?))
    }

    const fn key_option(&self) -> Option<(&'static str, &String)> {
        let mark = if self.ipv6 { "fwm6" } else { "fwm" };
        match self {
            Self { tcp_service: Some(text), .. } => Some(("tcp", text)),
            Self { udp_service: Some(text), .. } => Some(("udp", text)),
            Self { sctp_service: Some(text), .. } => Some(("sctp", text)),
            Self { fwmark_service: Some(text), .. } => Some((mark, text)),
            _ => None,
        }
    }
}

/// `tcp/10.0.0.1:80`, `fwm/3`.
fn service(text: &str) -> Result<ServiceKey, String> {
    let unknown = || {
        format!(
            "`{text}` is no service: write tcp/10.0.0.1:80, udp/[fd00::1]:53, sctp/10.0.0.1:99, fwm/3 or fwm6/3"
        )
    };
    let (kind, rest) = text.split_once('/').ok_or_else(unknown)?;
    let mark = |family| {
        let mark = rest.parse::<NonZeroU32>().ok().map(Mark);
        mark.map(|mark| ServiceKey::Mark { mark, family }).ok_or_else(unknown)
    };
    let proto = match kind {
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        "sctp" => Proto::Sctp,
        "fwm" => return mark(Family::Ipv4),
        "fwm6" => return mark(Family::Ipv6),
        _ => return Err(unknown()),
    };
    rest.parse().map(|vip| ServiceKey::addr(proto, vip)).map_err(|_| unknown())
}

/// A server; without a port it has the service's.
fn server(text: &str, key: &ServiceKey) -> Result<SocketAddr, String> {
    let port = match key {
        ServiceKey::Addr { l4_port, .. } => *l4_port,
        ServiceKey::Mark { .. } => 0,
    };
    let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port));
    bare.or_else(|_| text.parse()).map_err(|_| {
        format!("`{text}` is no server: write 192.168.1.1:8080, [fd00::1]:8080, or the address alone")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        which: Which,
    }

    fn understand(line: &str) -> Result<String, String> {
        let words = std::iter::once("x").chain(line.split_ascii_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        cli.which.understand().map(|(key, server)| format!("{key} {server}"))
    }

    #[test]
    fn both_styles_name_the_same() {
        for (line, expected) in [
            ("tcp/10.0.0.1:80 192.168.1.1:8080", "TCP 10.0.0.1:80 192.168.1.1:8080"),
            ("-t 10.0.0.1:80 -r 192.168.1.1:8080", "TCP 10.0.0.1:80 192.168.1.1:8080"),
            ("-t 10.0.0.1:80 192.168.1.1", "TCP 10.0.0.1:80 192.168.1.1:80"),
            ("tcp/10.0.0.1:80 -r 192.168.1.1", "TCP 10.0.0.1:80 192.168.1.1:80"),
            ("udp/[fd00::1]:53 fd00::2", "UDP [fd00::1]:53 [fd00::2]:53"),
            ("-u [fd00::1]:53 [fd00::2]:54", "UDP [fd00::1]:53 [fd00::2]:54"),
            ("sctp/10.0.0.1:9 10.0.0.2", "SCTP 10.0.0.1:9 10.0.0.2:9"),
            ("fwm/3 10.0.0.2", "FWM 3 10.0.0.2:0"),
            ("-f 3 -6 -r [fd00::2]:80", "FWM 3 IPv6 [fd00::2]:80"),
            ("fwm6/3 fd00::2", "FWM 3 IPv6 [fd00::2]:0"),
        ] {
            assert_eq!(understand(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn nonsense_says_what_to_write() {
        for (line, expected) in [
            ("", "which service?"),
            ("tcp/10.0.0.1:80", "which server?"),
            ("-t 10.0.0.1:80", "which server?"),
            ("10.0.0.1:80 10.0.0.2", "`10.0.0.1:80` is no service"),
            ("tcp/10.0.0.1 10.0.0.2", "`tcp/10.0.0.1` is no service"),
            ("icmp/10.0.0.1:80 10.0.0.2", "is no service"),
            ("fwm/0 10.0.0.2", "`fwm/0` is no service"),
            ("tcp/10.0.0.1:80 one", "`one` is no server"),
            ("-t 10.0.0.1:80 10.0.0.2 10.0.0.3", "one word too many"),
            ("-t 10.0.0.1:80 -u 10.0.0.1:80 10.0.0.3", "cannot be used with"),
        ] {
            let error = understand(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
