//! `ulvs tls`: where TLS ends, set, shown and read again.

mod add;
mod check;
mod show;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use control::api::{ApplyMode, Blocking, ClientError, ServiceList, ServiceView, TlsView};
use sched::{Op, OpError, Proto, ServiceKey, TlsFront};

use super::service::WhichService;
use super::{fail, say};

pub(super) use check::check;

const AFTER_HELP: &str = "\
Examples: TLS ends at the director, and the servers of 10.0.0.1:443 speak plain HTTP on port 80:
  ulvs ipvsadm -A -t 10.0.0.1:443 -s rr
  ulvs ipvsadm -a -t 10.0.0.1:443 -r 192.168.1.7:80 -m
  ulvs tls add tcp/10.0.0.1:443 --cert site.crt --key site.key
http and https of one address as one service, whose servers are the same for both:
  ulvs mark add 3 --dest 172.16.0.99 --proto tcp --ports 80,443
  ulvs ipvsadm -A -f 3 -s sh
  ulvs ipvsadm -a -f 3 -r 172.16.0.7 -m
  ulvs tls add fwm/3 --cert site.crt --key site.key
A certificate to try it with: `ulvs ca init`, then `ulvs ca issue --dns www.example`.
The same in a configuration file is [service.tls].";

/// TLS from clients ends here, and what it held goes on to a server that the service has chosen.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct TlsArgs {
    #[command(subcommand)]
    command: TlsCommand,
}

#[derive(Debug, Subcommand)]
enum TlsCommand {
    /// End TLS at a service, or change how: another certificate, other settings
    Add(Box<add::AddArgs>),
    /// Let TLS pass to the servers again, or give up one certificate; sessions that have begun go on
    #[command(
        after_help = "Examples:\n  ulvs tls remove tcp/10.0.0.1:443\n  ulvs tls remove fwm/3 --cert old.crt"
    )]
    Remove {
        #[command(flatten)]
        which: WhichService,
        /// Only this certificate, named by its file
        #[arg(long, value_name = "FILE")]
        cert: Option<PathBuf>,
    },
    /// Show where TLS ends: addresses, names, until when certificates are good, handshakes
    #[command(after_help = "Example:\n  ulvs tls list")]
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Show everything about the front of one service, counters included
    #[command(after_help = "Example:\n  ulvs tls show tcp/10.0.0.1:443")]
    Show {
        #[command(flatten)]
        which: WhichService,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Read certificates, keys and lists again now; a front whose files are of no use goes on with what it had
    #[command(after_help = "Example:\n  ulvs tls reload")]
    Reload,
}

pub(super) fn main(args: TlsArgs) -> ExitCode {
    let result = match args.command {
        TlsCommand::Add(args) => add(&args),
        TlsCommand::Remove { which, cert } => remove(&which, cert.as_deref()),
        TlsCommand::List { json } => list(json),
        TlsCommand::Show { which, json } => show(&which, json),
        TlsCommand::Reload => reload(),
    };
    result.map_or_else(|text| fail(&text), |()| ExitCode::SUCCESS)
}

fn add(args: &add::AddArgs) -> Result<(), String> {
    let key = args.which.understand()?;
    let mut engine = connect()?;
    let services = engine.services().map_err(words)?;
    let service = find(&services, &key)?;
    let front = args.front(&key, service.tls.as_deref())?;
    check_servers(service, &front)?;
    check_redirect(services.services.iter().map(|service| &service.key), &key, args.redirect())?;
    set(&mut engine, key, Some(front))
}

/// The same that is said of a configuration file.
fn check_servers(service: &ServiceView, front: &TlsFront) -> Result<(), String> {
    match front.plain_on_its_port(service.dests.iter().map(|dest| &dest.spec)) {
        None => Ok(()),
        Some(server) => Err(format!(
            "the server {server} would get plain text on the port of TLS: say where servers speak plain HTTP, \
             --server-port 80 (or {}, if it is so), or give them TLS, --backend-ca FILE",
            front.port
        )),
    }
}

/// This too, of what is asked for now: what comes to another service's port is for that one's servers.
fn check_redirect<'a>(
    mut services: impl Iterator<Item = &'a ServiceKey>,
    key: &ServiceKey,
    asked: Option<u16>,
) -> Result<(), String> {
    let (Some(port), ServiceKey::Addr { vip, .. }) = (asked, key) else { return Ok(()) };
    let other = ServiceKey::Addr { proto: Proto::Tcp, vip: *vip, l4_port: port };
    if !services.any(|service| *service == other) {
        return Ok(());
    }
    Err(format!(
        "port {port} of {vip} is the service {}'s already: remove that first, `ulvs ipvsadm -D -t {}`, or leave out \
         --redirect-http",
        other.word(),
        SocketAddr::new(*vip, port)
    ))
}

fn remove(which: &WhichService, cert: Option<&Path>) -> Result<(), String> {
    let key = which.understand()?;
    let mut engine = connect()?;
    let services = engine.services().map_err(words)?;
    let service = find(&services, &key)?;
    let Some(cert) = cert else { return set(&mut engine, key, None) };
    let front = service.tls.as_deref().ok_or_else(|| no_front(&key))?;
    set(&mut engine, key, Some(without(front, &absolute(cert)?)?))
}

/// A front without one of its certificates.
fn without(front: &TlsFront, cert: &Path) -> Result<TlsFront, String> {
    let mut rest = front.clone();
    rest.certs.retain(|pair| pair.cert != cert);
    if rest.certs.len() == front.certs.len() {
        let known: Vec<_> = front.certs.iter().map(|pair| pair.cert.display().to_string()).collect();
        return Err(format!("it has no certificate {}: it has {}", cert.display(), known.join(", ")));
    }
    if rest.certs.is_empty() {
        let text = "is its only certificate: add another one first, or leave --cert out to let TLS pass";
        return Err(format!("{} {text}", cert.display()));
    }
    Ok(rest)
}

fn set(engine: &mut Blocking, key: ServiceKey, front: Option<TlsFront>) -> Result<(), String> {
    let op = Op::SetTls { key, tls: front.map(Arc::new) };
    match engine.apply(ApplyMode::Atomic, vec![op]) {
        Ok(_) => Ok(()),
        Err(ClientError::Refused { error: OpError::NoTls, .. }) => Err(no_front(&key)),
        Err(error) => Err(words(error)),
    }
}

fn list(json: bool) -> Result<(), String> {
    let list = connect()?.tls().map_err(words)?;
    let text = if json { pretty(&list)? } else { show::table(&list.fronts) };
    say(text.trim_end());
    Ok(())
}

fn show(which: &WhichService, json: bool) -> Result<(), String> {
    let key = which.understand()?;
    let mut engine = connect()?;
    let list = engine.tls().map_err(words)?;
    let Some(view) = list.fronts.iter().find(|view: &&TlsView| view.service == key) else {
        find(&engine.services().map_err(words)?, &key)?;
        return Err(no_front(&key));
    };
    let text = if json { pretty(view)? } else { show::everything(view) };
    say(text.trim_end());
    Ok(())
}

fn reload() -> Result<(), String> {
    let done = connect()?.reload_tls().map_err(words)?;
    let mut errors = Vec::new();
    for front in &done.fronts {
        let word = front.service.word();
        front.changes.iter().for_each(|change| say(&format!("{word}: {change}")));
        errors.extend(front.error.iter().map(|error| format!("{word} goes on with what it had: {error}")));
    }
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    if done.fronts.is_empty() {
        say(show::NOWHERE);
    } else if done.fronts.iter().all(|front| front.changes.is_empty()) {
        say("nothing has changed");
    }
    Ok(())
}

fn connect() -> Result<Blocking, String> {
    Blocking::connect().map_err(words)
}

/// The service, or which ones there are.
fn find<'a>(services: &'a ServiceList, key: &ServiceKey) -> Result<&'a ServiceView, String> {
    const SHOWN: usize = 8;
    if let Some(service) = services.services.iter().find(|service| service.key == *key) {
        return Ok(service);
    }
    let mut known: Vec<_> = services.services.iter().take(SHOWN).map(|service| service.key.word()).collect();
    if services.services.len() > SHOWN {
        known.push(format!("and {} more (`ulvs ipvsadm -Ln`)", services.services.len() - SHOWN));
    }
    let known = if known.is_empty() {
        "there are none yet, and `ulvs ipvsadm -A` adds one".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    Err(format!("there is no service {}: {known}", key.word()))
}

fn no_front(key: &ServiceKey) -> String {
    format!("TLS does not end at {}: `ulvs tls list` shows where it does", key.word())
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

fn words(error: ClientError) -> String {
    match error {
        ClientError::Refused { error: OpError::ServiceNotDefined, .. } => {
            "there is no such service any more: `ulvs ipvsadm -Ln` lists them".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
