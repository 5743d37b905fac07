//! How a command line names a service: `tcp/10.0.0.1:80`, or with the options of ipvsadm.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use sched::{NoService, ServiceKey};

/// A service with the options of ipvsadm.
#[derive(Clone, Debug, Args)]
struct KeyOptions {
    /// The service, as with ipvsadm
    #[arg(short = 't', long, value_name = "VIP:PORT", group = "service-option")]
    tcp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(short = 'u', long, value_name = "VIP:PORT", group = "service-option")]
    udp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(long, value_name = "VIP:PORT", group = "service-option")]
    sctp_service: Option<String>,
    /// The service, as with ipvsadm
    #[arg(short = 'f', long, value_name = "MARK", group = "service-option")]
    fwmark_service: Option<String>,
    /// The mark is one of IPv6
    #[arg(short = '6', long, requires = "fwmark_service")]
    ipv6: bool,
}

impl KeyOptions {
    /// The word for what was given, if anything was.
    fn word(&self) -> Option<String> {
        let mark = if self.ipv6 { "fwm6" } else { "fwm" };
        let (kind, text) = match self {
            Self { tcp_service: Some(text), .. } => ("tcp", text),
            Self { udp_service: Some(text), .. } => ("udp", text),
            Self { sctp_service: Some(text), .. } => ("sctp", text),
            Self { fwmark_service: Some(text), .. } => (mark, text),
            _ => return None,
        };
        Some(format!("{kind}/{text}"))
    }
}

/// A service, in either style.
#[derive(Clone, Debug, Args)]
pub(super) struct WhichService {
    /// The service: tcp/10.0.0.1:443, `tcp/[fd00::1]:443`, fwm/3, fwm6/3
    #[arg(value_name = "SERVICE", conflicts_with = "service-option")]
    word: Option<String>,
    #[command(flatten)]
    options: KeyOptions,
}

impl WhichService {
    /// Whether nothing was named.
    pub(super) fn is_nothing(&self) -> bool {
        self.word.is_none() && self.options.word().is_none()
    }

    /// The service, or what is wrong or missing.
    pub(super) fn understand(&self) -> Result<ServiceKey, String> {
        let word = self.options.word().or_else(|| self.word.clone());
        key(&word.ok_or("which service? for example tcp/10.0.0.1:443")?)
    }
}

/// A service and one of its servers, in either style.
#[derive(Clone, Debug, Args)]
pub(super) struct Which {
    /// The service (tcp/10.0.0.1:80, `udp/[fd00::1]:53`, sctp/..., fwm/3, fwm6/3) and the server (192.168.1.1:8080, or
    /// 192.168.1.1 for the service's port)
    #[arg(value_name = "SERVICE SERVER", num_args = 0..=2)]
    words: Vec<String>,
    #[command(flatten)]
    options: KeyOptions,
    /// The server, as with ipvsadm
    #[arg(short = 'r', long, value_name = "SERVER")]
    real_server: Option<String>,
}

impl Which {
    /// Whether nothing was named.
    pub(super) fn is_nothing(&self) -> bool {
        self.words.is_empty() && self.options.word().is_none() && self.real_server.is_none()
    }

    /// The service and the server, or what is wrong or missing.
    pub(super) fn understand(&self) -> Result<(ServiceKey, SocketAddr), String> {
        let mut words = self.words.iter();
        let text = match self.options.word() {
            Some(text) => text,
            None => words.next().ok_or("which service? for example tcp/10.0.0.1:80")?.clone(),
        };
        let key = key(&text)?;
        let server = match &self.real_server {
            Some(text) => text,
            None => words.next().ok_or("which server? for example 192.168.1.1:8080")?,
        };
        if let Some(stray) = words.next() {
            return Err(format!("`{stray}` is one word too many"));
        }
        Ok((key, self::server(server, &key)?))
    }
}

fn key(text: &str) -> Result<ServiceKey, String> {
    text.parse().map_err(|error: NoService| error.to_string())
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
