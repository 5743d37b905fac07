//! What is compared, and what of it there is to choose.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::programs::{find, version};
use super::workload::Workload;
use crate::node::Node;
use crate::topo::VipPlace;

/// What stands between client and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Contender {
    /// Plain routing to one server: no balancing, the bound of what is possible
    Route,
    /// DNAT by nftables
    Nft,
    /// HAProxy in TCP mode, one thread
    Haproxy1,
    /// HAProxy in TCP mode, two threads
    Haproxy2,
    /// nginx's stream module, two processes
    Nginx,
    /// NAT by the kernel's IPVS
    Ipvs,
    /// ulvs on its TUN
    UlvsTun,
    /// ulvs on packet sockets
    UlvsPacket,
}

/// What is measured where nothing is chosen: what every kernel can run.
pub(super) const DEFAULT: &str = "route,nft,haproxy1,haproxy2,nginx,ulvs-tun,ulvs-packet";

/// How ulvs forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// The destination is rewritten
    Nat,
    /// Both ends are, with a pool of four addresses
    Fullnat,
    /// Direct routing: the servers' answers do not pass the director
    Dr,
    /// IPIP: the same; `ulvs real` unpacks at the servers
    Ipip,
}

/// A contender, with its method if it has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) contender: Contender,
    pub(super) method: Option<Method>,
}

impl Contender {
    /// As tables and the command line have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Nft => "nft",
            Self::Haproxy1 => "haproxy1",
            Self::Haproxy2 => "haproxy2",
            Self::Nginx => "nginx",
            Self::Ipvs => "ipvs",
            Self::UlvsTun => "ulvs-tun",
            Self::UlvsPacket => "ulvs-packet",
        }
    }

    pub(super) fn is_ulvs(self) -> bool {
        matches!(self, Self::UlvsTun | Self::UlvsPacket)
    }

    /// Whether it accepts connections and makes others: then each takes two open files.
    pub(super) fn is_proxy(self) -> bool {
        matches!(self, Self::Haproxy1 | Self::Haproxy2 | Self::Nginx)
    }

    /// Whether it can do this at all.
    pub(super) fn can(self, workload: Workload) -> bool {
        workload != Workload::Udp || !matches!(self, Self::Haproxy1 | Self::Haproxy2)
    }

    /// Where the VIP has to be.
    pub(super) fn vip_place(self) -> VipPlace {
        if self.is_proxy() || self == Self::Ipvs { VipPlace::Loopback } else { VipPlace::Routed }
    }

    /// The program that does it or sets it up, where there is one.
    pub(super) fn program(self, ulvs: &Path) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Route => return Ok(None),
            Self::Nft => find("nft", "nftables"),
            Self::Haproxy1 | Self::Haproxy2 => find("haproxy", "haproxy"),
            Self::Nginx => find("nginx", "nginx"),
            Self::Ipvs => find("ipvsadm", "ipvsadm"),
            Self::UlvsTun | Self::UlvsPacket => Ok(ulvs.to_owned()),
        }
        .map(Some)
    }

    /// What it is, for the report; fails where it cannot be measured here.
    pub(super) fn version(self, ulvs: &Path) -> anyhow::Result<String> {
        let Some(program) = self.program(ulvs)? else { return Ok("the kernel".to_owned()) };
        match self {
            Self::Haproxy1 | Self::Haproxy2 => return version(&program, "-v"),
            Self::Nginx => {
                stream_module()?;
                return version(&program, "-v");
            }
            Self::Ipvs => {
                Node::new("kernel")?
                    .exec(&[program.as_os_str(), "-ln".as_ref()])
                    .context("this kernel has no IPVS; `tests/bench-ipvs.sh` boots one that has")?;
            }
            _ => {}
        }
        version(&program, "--version")
    }
}

/// The line of nginx's configuration that it needs for its stream module: nothing, where it is linked in.
pub(super) fn stream_module() -> anyhow::Result<String> {
    const DIRS: [&str; 3] =
        ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"];
    let file = DIRS.iter().map(|dir| Path::new(dir).join("ngx_stream_module.so")).find(|file| file.is_file());
    if let Some(file) = file {
        return Ok(format!("load_module {};\n", file.display()));
    }
    let output =
        std::process::Command::new(find("nginx", "nginx")?).arg("-V").output().context("nginx -V")?;
    let options = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        options.split_whitespace().any(|option| option == "--with-stream"),
        "nginx has no stream module (Debian package libnginx-mod-stream); install it, or measure without nginx"
    );
    Ok(String::new())
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Fullnat => "fullnat",
            Self::Dr => "dr",
            Self::Ipip => "ipip",
        }
    }

    /// `ipvsadm`'s option.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Nat => "-m",
            Self::Fullnat => "--fullnat",
            Self::Dr => "-g",
            Self::Ipip => "-i",
        }
    }

    /// How `ulvs real` makes a server ready for it; servers behind NAT need nothing.
    pub(super) fn real(self) -> Option<&'static str> {
        match self {
            Self::Nat | Self::Fullnat => None,
            Self::Dr => Some("dr"),
            Self::Ipip => Some("tun"),
        }
    }
}

impl Column {
    /// Every contender; ulvs with every method.
    pub(super) fn all(contenders: &[Contender], methods: &[Method]) -> Vec<Self> {
        let of = |&contender: &Contender| {
            let methods: Vec<_> =
                if contender.is_ulvs() { methods.iter().copied().map(Some).collect() } else { vec![None] };
            methods.into_iter().map(move |method| Self { contender, method })
        };
        contenders.iter().flat_map(of).collect()
    }

    /// As tables have it.
    pub(super) fn name(self) -> String {
        let name = self.contender.name();
        self.method.map_or_else(|| name.to_owned(), |method| format!("{name} {}", method.name()))
    }
}
