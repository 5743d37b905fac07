//! The options of `ulvs ca`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tls::ca::{CaError, KeyKind, Name, Order, Reason, Subject};

use super::usage;

/// Where an authority is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Place {
    /// The authority's directory: its certificate and key, and the list of what it has issued
    /// [default: where --ca-cert is, or the current directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Its certificate, if it is not DIR/ca.crt or DIR/cacert.pem
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub(super) ca_cert: Option<PathBuf>,
    /// Its key, if it is not DIR/ca.key or DIR/private/cakey.pem
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub(super) ca_key: Option<PathBuf>,
}

/// `ulvs ca init`.
#[derive(Debug, Args)]
#[command(after_help = INIT_HELP)]
pub(in crate::cli) struct InitArgs {
    /// Where to put them
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// What it calls itself
    #[arg(long, default_value = "ulvs CA")]
    name: String,
    /// Of which organization it is
    #[arg(long)]
    org: Option<String>,
    /// Its whole name, as for `openssl req -subj`
    #[arg(long, conflicts_with_all = ["name", "org"], value_name = "/KEY=VALUE...", value_parser = Subject::parse)]
    subj: Option<Subject>,
    /// Days that it is valid
    #[arg(long, default_value_t = 3650, value_parser = days())]
    pub(super) days: u32,
    /// The kind of its key
    #[arg(long, default_value = KeyKind::EcdsaP256.name(), value_parser = key_kind(), value_name = "KIND")]
    pub(super) key: KeyKind,
}

const INIT_HELP: &str = "\
Examples:
  ulvs ca init --dir ca --name ca.ilinux.io --org MageEdu
  ulvs ca init --subj /C=CN/ST=Beijing/L=Beijing/O=MageEdu/CN=ca.ilinux.io \\
      --key rsa-2048";

impl InitArgs {
    pub(super) fn subject(&self) -> Result<Subject, CaError> {
        self.subj.clone().map_or_else(|| Subject::new(Some(&self.name), self.org.as_deref()), Ok)
    }
}

/// What a certificate is for.
#[derive(Debug, Args)]
pub(in crate::cli) struct NameArgs {
    /// A DNS name, such as www.ilinux.io or *.ilinux.io; can be given again
    #[arg(long, value_name = "NAME", value_parser = Name::dns)]
    dns: Vec<Name>,
    /// An IP address; can be given again
    #[arg(long, value_name = "ADDRESS", value_parser = Name::ip)]
    ip: Vec<Name>,
    /// For a client that shows it to servers, not for a server
    #[arg(long)]
    client: bool,
    /// Days that it is valid; never longer than the authority
    #[arg(long, default_value_t = 365, value_parser = days())]
    days: u32,
}

impl NameArgs {
    fn order(&self, subject: Subject, emails: &[Name]) -> Order {
        let names = self.dns.iter().chain(&self.ip).chain(emails).cloned().collect();
        Order { usage: usage(self.client), subject, names, days: self.days }
    }
}

/// Where files go.
#[derive(Debug, Args)]
pub(in crate::cli) struct Output {
    /// Write STEM.crt (and STEM.key)
    #[arg(long, value_name = "STEM")]
    out: Option<PathBuf>,
    /// Write STEM.chain.crt, too: the certificate and those between it and the root, as servers have to send them
    #[arg(long)]
    pub(super) chain: bool,
}

impl Output {
    /// The stem that was asked for. Whoever writes the ending gets the same.
    pub(super) fn stem(&self) -> Option<PathBuf> {
        self.out.as_deref().map(without_ending)
    }
}

/// `ulvs ca issue`.
#[derive(Debug, Args)]
#[command(after_help = ISSUE_HELP)]
pub(in crate::cli) struct IssueArgs {
    #[command(flatten)]
    names: NameArgs,
    /// The common name [default: the first name]
    #[arg(long, value_name = "NAME")]
    cn: Option<String>,
    /// An e-mail address of a client; can be given again
    #[arg(long, value_name = "ADDRESS", value_parser = Name::email, requires = "client")]
    email: Vec<Name>,
    /// Of which organization it is
    #[arg(long)]
    org: Option<String>,
    /// The whole subject, as for `openssl req -subj`
    #[arg(long, conflicts_with_all = ["cn", "org"], value_name = "/KEY=VALUE...", value_parser = Subject::parse)]
    subj: Option<Subject>,
    /// The kind of its key
    #[arg(long, default_value = KeyKind::EcdsaP256.name(), value_parser = key_kind(), value_name = "KIND")]
    pub(super) key: KeyKind,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) place: Place,
}

const ISSUE_HELP: &str = "\
The files are written to the authority's directory, unless --out says where.
Examples:
  ulvs ca issue --dns www.ilinux.io --ip 172.16.0.99
  ulvs ca issue --client --cn Wang --email wang@ilinux.io --out wang
  ulvs ca issue --ca-cert cacert.pem --ca-key private/cakey.pem \\
      --dns www.ilinux.io --key rsa-2048";

impl IssueArgs {
    pub(super) fn order(&self) -> Result<Order, CaError> {
        let subject = self.subj.clone();
        let subject = subject.map_or_else(|| Subject::new(self.cn.as_deref(), self.org.as_deref()), Ok)?;
        Ok(self.names.order(subject, &self.email))
    }

    /// The files are called after the first name, or what there is instead.
    pub(super) fn file_name(&self) -> String {
        let names = self.names.dns.iter().chain(&self.names.ip).chain(&self.email);
        let name = names.map(Name::text).next().or_else(|| self.cn.clone());
        let plain = |c: char| if c == '/' || c == '*' || c.is_control() { '_' } else { c };
        name.map_or_else(|| "client".to_owned(), |name| name.chars().map(plain).collect())
    }
}

/// `ulvs ca sign`.
#[derive(Debug, Args)]
#[command(after_help = SIGN_HELP)]
pub(in crate::cli) struct SignArgs {
    /// The request; its names stand in the certificate, unless --dns or --ip say others
    #[arg(value_name = "FILE")]
    pub(super) request: PathBuf,
    #[command(flatten)]
    names: NameArgs,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) place: Place,
}

const SIGN_HELP: &str = "\
The certificate is written beside the request, FILE.csr becomes FILE.crt.
Example:
  openssl genrsa -out httpd.key 2048
  openssl req -new -key httpd.key -out httpd.csr -subj /CN=www.ilinux.io
  ulvs ca sign httpd.csr --days 365";

impl SignArgs {
    pub(super) fn order(&self) -> Order {
        self.names.order(Subject::default(), &[])
    }
}

/// The path without an ending that says what is in it. A name's own dots stay.
pub(super) fn without_ending(path: &Path) -> PathBuf {
    let known = ["csr", "req", "pem", "crt", "key"];
    match path.extension() {
        Some(ending) if known.iter().any(|known| ending == *known) => path.with_extension(""),
        _ => path.to_owned(),
    }
}

pub(super) fn days() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

fn key_kind() -> impl TypedValueParser<Value = KeyKind> {
    let known = PossibleValuesParser::new(KeyKind::ALL.map(KeyKind::name));
    known.try_map(|name| KeyKind::by_name(&name).ok_or("no such kind"))
}

pub(super) fn reason() -> impl TypedValueParser<Value = Reason> {
    let known = PossibleValuesParser::new(Reason::ALL.map(Reason::name));
    known.try_map(|name| Reason::by_name(&name).ok_or("no such reason"))
}
