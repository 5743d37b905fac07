//! The options of `ulvs tls add`, and the front that they make of the one before.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use sched::{
    BackendTls, CertFiles, ClientAuth, ClientIdentity, ServiceKey, Tickets, TlsFront, TlsLimits, TlsProfile,
    TlsStack,
};

use super::super::service::WhichService;
use super::absolute;
use super::values::{Choice, List, OfProtocol, choice, choose, known, list, sni, tickets, time};

const AFTER_HELP: &str = "\
A service that has a front already keeps what is not said: --cert and --key alone add a certificate \
for other names (SNI), or take the place of the one from the same file. The word `none` takes a \
setting away.
Examples:
  ulvs tls add tcp/10.0.0.1:443 --cert site.crt --key site.key --server-port 80
  ulvs tls add tcp/10.0.0.1:443 --cert other.crt --key other.key
  ulvs tls add tcp/10.0.0.1:443 --redirect-http 80 --identity forwarded --pool 8
  ulvs tls add tcp/10.0.0.1:443 --alpn h2,http/1.1 \\
      --alpn-service h2=tcp/10.0.0.1:8443
  ulvs tls add fwm/3 --client-ca clients.crt --client-optional
  ulvs tls add fwm/3 --stack userspace --identity transparent";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AddArgs {
    #[command(flatten)]
    pub(super) which: WhichService,
    /// The certificate and those that lead to a known authority, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, PEM; others should not be able to read it
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// What the authority says about it (OCSP), DER: sent along
    #[arg(long, value_name = "FILE", requires = "cert")]
    ocsp: Option<PathBuf>,
    /// The port that clients speak TLS to [default: the service's, or 443]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The addresses that clients speak to, of a mark whose rules do not name them
    #[arg(long, value_name = "ADDRESSES", value_parser = list::<IpAddr>)]
    vip: Option<List<IpAddr>>,
    /// The port of the servers [default: that of each server, or 80 where it has none]
    #[arg(long, value_name = "PORT", value_parser = choice::<u16>)]
    server_port: Option<Choice<u16>>,
    /// Whose TCP clients speak with: kernel or userspace [default: kernel]
    #[arg(long, value_parser = known(TlsStack::ALL, TlsStack::name), hide_possible_values = true)]
    stack: Option<TlsStack>,
    /// What clients get that ask for a name that no certificate is for: `any`, the first certificate; `strict`, a refusal
    /// [default: any]
    #[arg(long, value_name = "HOW", value_parser = sni)]
    sni: Option<bool>,
    /// The protocols that are offered, best first: h2,http/1.1 [default: http/1.1]
    #[arg(long, value_name = "NAMES", value_parser = list::<String>)]
    alpn: Option<List<String>>,
    /// The services that have the servers for a protocol, where it is not this one: h2=tcp/10.0.0.1:8443
    #[arg(long, value_name = "NAME=SERVICE", value_parser = list::<OfProtocol>)]
    alpn_service: Option<List<OfProtocol>>,
    /// Versions and cipher suites: intermediate (1.2 and 1.3) or modern (1.3 alone) [default: intermediate]
    #[arg(long, value_parser = known(TlsProfile::ALL, TlsProfile::name), hide_possible_values = true)]
    profile: Option<TlsProfile>,
    /// Clients have to show a certificate of one of these authorities, PEM
    #[arg(long, value_name = "FILE", value_parser = choice::<PathBuf>)]
    client_ca: Option<Choice<PathBuf>>,
    /// Certificates of clients that are good no longer, PEM
    #[arg(long, value_name = "FILE", value_parser = choice::<PathBuf>)]
    client_crl: Option<Choice<PathBuf>>,
    /// Clients may show a certificate, and need not (--client-ca again makes them)
    #[arg(long)]
    client_optional: bool,
    /// How sessions are resumed: own, off, or the file with the secret that several directors share [default: own]
    #[arg(long, value_name = "own|off|FILE", value_parser = tickets)]
    tickets: Option<Tickets>,
    /// How servers learn who the client is: none, transparent, proxy-v1, proxy-v2 or forwarded [default: none]
    #[arg(long, value_parser = known(ClientIdentity::ALL, ClientIdentity::name), hide_possible_values = true)]
    identity: Option<ClientIdentity>,
    /// Idle connections kept to each server for anybody's next request [default: 0]
    #[arg(long, value_name = "N")]
    pool: Option<u32>,
    /// A port on which plain HTTP is sent to https
    #[arg(long, value_name = "PORT", value_parser = choice::<u16>)]
    redirect_http: Option<Choice<u16>>,
    /// Servers are spoken to by TLS too; these authorities are the good ones, PEM
    #[arg(long, value_name = "FILE", value_parser = choice::<PathBuf>)]
    backend_ca: Option<Choice<PathBuf>>,
    /// The name that their certificates have to have [default: the server's address]
    #[arg(long, value_name = "NAME", value_parser = choice::<String>)]
    backend_name: Option<Choice<String>>,
    /// A file that gets the secrets of all sessions, for Wireshark: whoever has it reads everything
    #[arg(long, value_name = "FILE", value_parser = choice::<PathBuf>)]
    key_log: Option<Choice<PathBuf>>,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Args)]
struct LimitArgs {
    /// For the handshake [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    handshake_timeout: Option<u32>,
    /// Without a byte in either direction [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = time)]
    idle_timeout: Option<u32>,
    /// For one direction to go on when the other has ended [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    half_closed_timeout: Option<u32>,
    /// For a server to take the connection, before another one is asked [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    connect_timeout: Option<u32>,
    /// Servers that are asked, at most [default: 3]
    #[arg(long, value_name = "N")]
    connect_attempts: Option<u32>,
    /// Connections at a time; 0 for no limit of its own [default: 0]
    #[arg(long, value_name = "N")]
    max_connections: Option<u32>,
    /// Handshakes begun in a second; 0 for any number [default: 0]
    #[arg(long, value_name = "N")]
    handshakes_per_second: Option<u32>,
}

impl AddArgs {
    /// The port that plain HTTP is to be sent to https from, if this says one.
    pub(super) fn redirect(&self) -> Option<u16> {
        match self.redirect_http {
            Some(Choice::This(port)) => Some(port),
            Some(Choice::Nothing) | None => None,
        }
    }

    /// The front that the service gets: what is said, else what it had, else the defaults.
    pub(super) fn front(&self, key: &ServiceKey, before: Option<&TlsFront>) -> Result<TlsFront, String> {
        let pair = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let ocsp = self.ocsp.as_deref().map(absolute).transpose()?;
                Some(CertFiles { cert: absolute(cert)?, key: absolute(key)?, ocsp })
            }
            _ => None,
        };
        let mut front = match (before, pair) {
            (Some(before), pair) => {
                let mut front = before.clone();
                if let Some(pair) = pair {
                    match front.certs.iter_mut().find(|known| known.cert == pair.cert) {
                        Some(known) => *known = pair,
                        None => front.certs.push(pair),
                    }
                }
                front
            }
            (None, Some(pair)) => {
                let own = key.l4_port().filter(|port| *port != 0);
                let front = TlsFront::new(pair);
                TlsFront { port: own.unwrap_or(front.port), ..front }
            }
            (None, None) => {
                let word = key.word();
                return Err(format!("TLS does not end at {word} yet: --cert FILE and --key FILE are needed"));
            }
        };
        self.change(&mut front);
        self.change_clients(&mut front)?;
        self.change_servers(&mut front)?;
        self.limits.change(&mut front.limits);
        for path in front.paths_mut() {
            *path = absolute(path)?;
        }
        match front.flaws(key).first() {
            Some(flaw) => Err(format!("{flaw}: {}", flaw.way_out())),
            None => Ok(front),
        }
    }

    fn change(&self, front: &mut TlsFront) {
        put(&mut front.port, self.port);
        put(&mut front.vips, self.vip.as_ref().map(|vips| vips.0.clone()));
        put(&mut front.stack, self.stack);
        put(&mut front.strict_sni, self.sni);
        put(&mut front.alpn, self.alpn.as_ref().map(|names| names.0.clone()));
        let by_alpn = self.alpn_service.as_ref();
        put(&mut front.by_alpn, by_alpn.map(|all| all.0.iter().map(|one| (one.0.clone(), one.1)).collect()));
        put(&mut front.profile, self.profile);
        put(&mut front.tickets, self.tickets.clone());
        choose(&mut front.redirect_http, self.redirect_http.as_ref());
        choose(&mut front.key_log, self.key_log.as_ref());
    }

    fn change_clients(&self, front: &mut TlsFront) -> Result<(), String> {
        match &self.client_ca {
            Some(Choice::Nothing) => front.client_auth = None,
            Some(Choice::This(ca)) => {
                let crl = front.client_auth.take().and_then(|auth| auth.crl);
                front.client_auth = Some(ClientAuth { ca: ca.clone(), crl, required: true });
            }
            None => {}
        }
        match &mut front.client_auth {
            Some(auth) => {
                choose(&mut auth.crl, self.client_crl.as_ref());
                auth.required &= !self.client_optional;
                Ok(())
            }
            None if self.client_optional || matches!(self.client_crl, Some(Choice::This(_))) => {
                Err("whose certificates may clients show? --client-ca FILE says it".to_owned())
            }
            None => Ok(()),
        }
    }

    fn change_servers(&self, front: &mut TlsFront) -> Result<(), String> {
        choose(&mut front.server_port, self.server_port.as_ref());
        put(&mut front.identity, self.identity);
        put(&mut front.pool, self.pool);
        match &self.backend_ca {
            Some(Choice::Nothing) => front.backend_tls = None,
            Some(Choice::This(ca)) => {
                let name = front.backend_tls.take().and_then(|tls| tls.name);
                front.backend_tls = Some(BackendTls { ca: ca.clone(), name });
            }
            None => {}
        }
        match &mut front.backend_tls {
            Some(tls) => choose(&mut tls.name, self.backend_name.as_ref()),
            None if matches!(self.backend_name, Some(Choice::This(_))) => {
                return Err("servers are spoken to in plain: --backend-ca FILE gives them TLS".to_owned());
            }
            None => {}
        }
        Ok(())
    }
}

impl LimitArgs {
    fn change(&self, limits: &mut TlsLimits) {
        let given = [
            self.handshake_timeout,
            self.idle_timeout,
            self.half_closed_timeout,
            self.connect_timeout,
            self.connect_attempts,
            self.max_connections,
            self.handshakes_per_second,
        ];
        limits.in_order_mut().into_iter().zip(given).for_each(|(limit, given)| put(limit, given));
    }
}

fn put<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
