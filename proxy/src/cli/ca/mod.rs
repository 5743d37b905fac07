//! `ulvs ca`: a certificate authority in a directory.

mod files;
mod folder;
mod options;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Subcommand;
use tls::ca::{Authority, Date, Issued, Reason, Request, Usage};

use super::{fail, note, say};
use crate::reason::reason;
use folder::Folder;
use options::{InitArgs, IssueArgs, Place, SignArgs};

/// What `ulvs ca` can do.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum CaCommand {
    /// Make a new authority: ca.crt for the clients, ca.key to keep secret
    Init(Box<InitArgs>),
    /// Issue a certificate with a new key: NAME.crt and NAME.key, after the first name
    Issue(Box<IssueArgs>),
    /// Sign a certificate request, such as `openssl req -new` makes
    Sign(Box<SignArgs>),
    /// Revoke certificates and write the list of all that are, for servers that ask clients for theirs
    #[command(after_help = "Example:\n  ulvs ca revoke wang.crt --reason keyCompromise")]
    Revoke {
        /// The certificates
        #[arg(required = true, value_name = "FILE")]
        certificates: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
        /// Why
        #[arg(long, default_value = Reason::Unspecified.name(), value_parser = options::reason())]
        reason: Reason,
        #[command(flatten)]
        list: ListDays,
    },
    /// Write the list of what is revoked again: it has to be done before the last one ends
    #[command(after_help = "Example:\n  ulvs ca crl --days 7")]
    Crl {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        list: ListDays,
    },
    /// Show certificates, requests, keys, revocation lists and authorities
    #[command(
        after_help = "Examples:\n  ulvs ca show www.ilinux.io.crt www.ilinux.io.key\n  ulvs ca show .\n  \
                      ulvs ca show --json ca.crt"
    )]
    Show {
        /// The files (PEM), or the directory of an authority
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

const AFTER_HELP: &str = "\
Example, a server's certificate, and what openssl and curl say to it:
  ulvs ca init --name ca.ilinux.io
  ulvs ca issue --dns www.ilinux.io --ip 172.16.0.99
  openssl verify -CAfile ca.crt www.ilinux.io.crt
  curl --cacert ca.crt https://www.ilinux.io/
It works as well in a directory of openssl's CA (cacert.pem, private/cakey.pem, index.txt).";

/// How long a revocation list is good for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ListDays {
    /// Days until the list has to be written again
    #[arg(long = "days", default_value_t = 30, value_parser = options::days(), value_name = "DAYS")]
    days: u32,
}

pub(super) fn main(command: CaCommand) -> ExitCode {
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&reason(&error)),
    }
}

fn run(command: CaCommand) -> anyhow::Result<()> {
    let now = SystemTime::now();
    match command {
        CaCommand::Init(args) => init(&args, now),
        CaCommand::Issue(args) => issue(&args, now),
        CaCommand::Sign(args) => sign(&args, now),
        CaCommand::Revoke { certificates, place, reason, list } => {
            revoke(&certificates, &place, reason, list, now)
        }
        CaCommand::Crl { place, list } => {
            let folder = Folder::open(&place)?;
            write_list(&folder, &folder.authority()?, list, now)
        }
        CaCommand::Show { files, json } => show::main(&files, json, now),
    }
}

fn init(args: &InitArgs, now: SystemTime) -> anyhow::Result<()> {
    let pair = Authority::create(&args.subject()?, args.key, args.days, now)?;
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    Folder::refuse_second(&args.dir)?;
    files::create(&args.dir.join("ca"), &[("key", &pair.key_pem), ("crt", &pair.cert_pem)])
}

fn issue(args: &IssueArgs, now: SystemTime) -> anyhow::Result<()> {
    let folder = Folder::open(&args.place)?;
    let order = args.order()?;
    let stem = args.output.stem().unwrap_or_else(|| folder.dir.join(args.file_name()));
    let authority = folder.authority()?;
    let issued = authority.issue(&order, args.key, now);
    let (issued, pair) = issued.map_err(|error| folder.explain(None, error))?;
    hand_out(&folder, &authority, &issued, Some(&pair.key_pem), &stem, args.output.chain)
}

fn sign(args: &SignArgs, now: SystemTime) -> anyhow::Result<()> {
    let folder = Folder::open(&args.place)?;
    let request = Request::read(&files::read(&args.request)?);
    let request = request.map_err(|error| files::at(&args.request, error))?;
    let stem = args.output.stem().unwrap_or_else(|| options::without_ending(&args.request));
    let authority = folder.authority()?;
    let issued = authority.sign(&request, args.order(), now);
    let issued = issued.map_err(|error| folder.explain(Some(&args.request), error))?;
    hand_out(&folder, &authority, &issued, None, &stem, args.output.chain)
}

/// Remembers a certificate, then writes it: what is not remembered could not be revoked.
fn hand_out(
    folder: &Folder,
    authority: &Authority,
    issued: &Issued,
    key: Option<&str>,
    stem: &Path,
    chain: bool,
) -> anyhow::Result<()> {
    let whole = format!("{}{}", issued.cert_pem, authority.above());
    let mut files: Vec<(&str, &str)> = key.map(|key| ("key", key)).into_iter().collect();
    files.push(("crt", &issued.cert_pem));
    if chain {
        files.push(("chain.crt", &whole));
    }
    files::refuse_existing(stem, &files)?;
    folder.remember(&issued.entry)?;
    issued.notes.iter().for_each(|remark| note(&remark.to_string()));
    files::create(stem, &files)
}

fn revoke(
    certificates: &[PathBuf],
    place: &Place,
    reason: Reason,
    list: ListDays,
    now: SystemTime,
) -> anyhow::Result<()> {
    let folder = Folder::open(place)?;
    let authority = folder.authority()?;
    let mut index = folder.index()?;
    for path in certificates {
        let revoked = authority.entry(&files::read(path)?);
        let revoked = revoked.and_then(|entry| index.revoke(entry, reason, Date::from(now)));
        revoked.map_err(|error| files::at(path, error))?;
    }
    folder.write_index(&index)?;
    write_list(&folder, &authority, list, now)
}

fn write_list(folder: &Folder, authority: &Authority, list: ListDays, now: SystemTime) -> anyhow::Result<()> {
    let number = folder.next_list_number()?;
    let crl = authority.crl(&folder.index()?, number, list.days, now);
    let crl = crl.map_err(|error| files::at(&folder.cert, error))?;
    files::replace(&folder.crl, &crl.pem)?;
    say(&folder.crl.display().to_string());
    Ok(())
}

/// What a certificate for clients, or else for servers, is for.
const fn usage(client: bool) -> Usage {
    if client { Usage::Client } else { Usage::Server }
}
