//! Which file a command is given, and for which program it was written.

use std::path::PathBuf;

use clap::Args;
use control::source::{Kind, Source};

/// Files that were written for other programs.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ForeignArgs {
    /// A configuration of keepalived, read as it is: services and checks, not VRRP
    #[arg(long, value_name = "FILE", conflicts_with = "ldirectord")]
    keepalived: Option<PathBuf>,
    /// A configuration of ldirectord, read as it is
    #[arg(long, value_name = "FILE")]
    ldirectord: Option<PathBuf>,
    /// What lines that begin with @ are for, in keepalived's file [default: the name of this host]
    #[arg(long, value_name = "ID", requires = "keepalived")]
    config_id: Option<String>,
}

/// The source that is named; `config` is one of our own.
pub(super) fn source(config: Option<PathBuf>, foreign: ForeignArgs) -> Option<Source> {
    let ForeignArgs { keepalived: file, ldirectord, config_id } = foreign;
    let ours = config.map(|path| Source::new(path, Kind::Ulvs));
    ours.or_else(|| Some(keepalived(file?, config_id)))
        .or_else(|| Some(Source::new(ldirectord?, Kind::Ldirectord)))
}

/// A file of keepalived's, for this host unless another is named.
pub(super) fn keepalived(path: PathBuf, id: Option<String>) -> Source {
    Source::new(path, Kind::Keepalived { id: id.unwrap_or_else(host_name) })
}

/// The first part of the host's name, which is what keepalived goes by.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}
