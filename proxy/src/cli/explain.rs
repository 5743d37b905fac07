//! `ulvs explain`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use control::api::{Blocking, ExplainOrder};
use control::source::Source;
use control::state;
use engine::{Engine, Limits};
use sched::marks::Interface;
use sched::{Path as Way, Trash};
use wire::build::{self, Build};
use wire::packet::TcpFlags;
use wire::packet::chunk::INIT;

use super::mark::number;
use super::source::{ForeignArgs, source};
use super::{fail, note, say};
use crate::daemon::knobs;
use crate::explain::{Explained, frame_of, story, supposed, to_hex};
use crate::pcap::{self, Capture};

/// Say what would become of a packet, and why: which mark and service it has, whether a connection is found, what the
/// scheduler compares, which server it gets, what changes in it and which way it leaves. Nothing is sent, and nothing
/// changes: no counter, no connection, no scheduler's turn.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: what the running engine would do with the first packet of a client,
  ulvs explain --from 10.0.0.9:40000 --to 172.16.0.99:443
with a server's answer, with packets of a capture, under a mark, and without any engine:
  ulvs explain --from 192.168.0.7:80 --to 10.0.0.9:40000 --tcp-flags SA
  ulvs explain --pcap odd.pcapng
  ulvs explain --dev eth0 --mark 3 --from 10.0.0.9:40000 --to 172.16.0.99:443
  ulvs explain --config ulvs.toml --from 10.0.0.9:40000 --to 172.16.0.99:443")]
pub(super) struct ExplainArgs {
    /// Source, ADDRESS:PORT (for icmp ADDRESS)
    #[arg(long, value_name = "SOURCE", required_unless_present = "pcap", conflicts_with = "pcap")]
    from: Option<String>,
    /// Destination, ADDRESS:PORT (for icmp ADDRESS)
    #[arg(long, value_name = "DESTINATION", required_unless_present = "pcap", conflicts_with = "pcap")]
    to: Option<String>,
    /// Protocol; icmp is a ping
    #[arg(long, value_enum, default_value = "tcp", conflicts_with = "pcap")]
    proto: ProtoArg,
    /// Of tcp: letters of S (SYN), A (ACK), F (FIN), R (RST), P (PSH), U (URG) [default: S]
    #[arg(long, value_name = "LETTERS", conflicts_with = "pcap")]
    tcp_flags: Option<String>,
    /// Time to live, as the packet comes to the engine
    #[arg(long, value_name = "N", default_value_t = 64, conflicts_with = "pcap")]
    ttl: u8,
    /// Each packet of a capture (pcap or pcapng) in place of one that is made; "-" reads standard input. Of what
    /// `ulvs capture` wrote, those that came, not as they leave. A checksum of TCP or UDP that was still to be filled in
    /// when the packet was captured counts as right
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// The packets come straight from a link, as with the packet port: nobody has taken a hop yet
    #[arg(long)]
    by_link: bool,
    /// The device that the packets come in on, for mark rules that ask (`--input`) [default: the one that leads back to
    /// the source, as the engine has it]
    #[arg(long, value_name = "NAME")]
    dev: Option<Interface>,
    /// The mark that the packets come with, before any mark rule: what a rule that set it would bring about. The engine
    /// itself sees no mark that others have set, such as nftables
    #[arg(long, value_name = "MARK", value_parser = number, default_value_t = 0, hide_default_value = true)]
    mark: u32,
    /// The services of this file, with no engine running and no connections yet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keepalived", "ldirectord"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    foreign: ForeignArgs,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ProtoArg {
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

/// Explains the bytes of a packet, or says why it cannot.
type Explain = Box<dyn FnMut(&[u8]) -> Result<Explained, String>>;

pub(super) fn main(args: &ExplainArgs) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn run(args: &ExplainArgs) -> Result<(), String> {
    let Capture { packets, cut } = match &args.pcap {
        Some(path) => pcap::read(path)?,
        None => Capture { packets: vec![craft(args)?], cut: false },
    };
    let mut explain: Explain = match source(args.config.clone(), args.foreign.clone()) {
        Some(source) => offline(&source, order(args))?,
        None => {
            let mut client = Blocking::connect()
                .map_err(|error| format!("{error}; or ask without one: `ulvs explain --config FILE …`"))?;
            let order = order(args);
            Box::new(move |packet| {
                let order = ExplainOrder { packet: to_hex(packet), ..order.clone() };
                let told = client.explain(&order).map_err(|error| error.to_string())?;
                serde_json::from_value(told)
                    .map_err(|error| format!("the engine is of another version: {error}"))
            })
        }
    };
    for (i, packet) in packets.iter().enumerate() {
        let told = explain(packet)?;
        if args.json {
            say(&serde_json::to_string(&told).map_err(|error| error.to_string())?);
        } else {
            if i > 0 {
                say("");
            }
            say(story(&told).trim_end());
        }
    }
    if cut {
        note("the capture ends within a packet, which is left out");
    }
    Ok(())
}

/// An engine of its own, which knows the services of a file and nothing else.
fn offline(source: &Source, order: ExplainOrder) -> Result<Explain, String> {
    let config = source.load()?.config;
    let mut ops = state::diff(&[], config.services());
    ops.extend(state::diff_marks(&[], config.marks()));
    ops.extend(state::diff_lips(None, &[], config.lips()));
    let now = Instant::now();
    let (engine, workers) = Engine::new(0, Limits::default(), 1, now);
    let table = engine.services().apply(&mut Trash::default(), &ops);
    let table = table.map_err(|(_, error)| format!("{}: {error}", source.path().display()))?;
    // As if every server were a neighbour.
    for dest in table.services().flat_map(|service| service.everyone()) {
        let next_hop = dest.live.key.ip();
        let source =
            if next_hop.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        dest.live.set_path(Some(Way { device: 0, next_hop, source: Some(source) }));
    }
    engine.set_services(Arc::new(table));
    engine.set_knobs(knobs(&config.settings(false)));
    let mut workers = workers.into_iter();
    let worker = workers.next().ok_or("no worker")?;
    Ok(Box::new(move |packet| {
        Ok(Explained::of(&worker, frame_of(packet, order.by_link), now, supposed(&order)))
    }))
}

/// What is asked of every packet.
fn order(args: &ExplainArgs) -> ExplainOrder {
    let (device, mark) = (args.dev.clone(), args.mark);
    ExplainOrder { packet: String::new(), by_link: args.by_link, device, mark }
}

/// The packet that the options name.
fn craft(args: &ExplainArgs) -> Result<Vec<u8>, String> {
    let (from, to) = (args.from.as_deref().unwrap_or_default(), args.to.as_deref().unwrap_or_default());
    if args.tcp_flags.is_some() && args.proto != ProtoArg::Tcp {
        return Err("--tcp-flags: only a packet of --proto tcp has flags".to_owned());
    }
    let build = if args.proto == ProtoArg::Icmp {
        let (from, to) = (host("--from", from)?, host("--to", to)?);
        of_one_family(from, to)?;
        build::ping(from, to, 1, 1)
    } else {
        let (from, to) = (endpoint("--from", from)?, endpoint("--to", to)?);
        of_one_family(from.ip(), to.ip())?;
        match args.proto {
            ProtoArg::Udp => build::udp(from, to),
            ProtoArg::Sctp => build::sctp(from, to).chunk(INIT, &[0; 16]),
            ProtoArg::Tcp | ProtoArg::Icmp => tcp(from, to, args.tcp_flags.as_deref().unwrap_or("S"))?,
        }
    };
    Ok(build.ttl(args.ttl).bytes())
}

fn tcp(from: SocketAddr, to: SocketAddr, letters: &str) -> Result<Build, String> {
    let mut flags = 0;
    for letter in letters.chars() {
        flags |= match letter.to_ascii_uppercase() {
            'F' => 0x01,
            'S' => 0x02,
            'R' => 0x04,
            'P' => 0x08,
            'A' | '.' => 0x10,
            'U' => 0x20,
            other => {
                return Err(format!(
                    "--tcp-flags: {other:?} is no flag: letters of S, A, F, R, P, U, as in SA"
                ));
            }
        };
    }
    Ok(build::tcp(from, to).flags(TcpFlags(flags)).seq(1))
}

fn of_one_family(from: IpAddr, to: IpAddr) -> Result<(), String> {
    if from.is_ipv4() == to.is_ipv4() {
        return Ok(());
    }
    Err(format!("--from {from} and --to {to}: no packet is both IPv4 and IPv6"))
}

fn endpoint(option: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{option}: {text:?} is no address with a port: 10.0.0.9:40000 or [2001:db8::9]:40000")
    })
}

/// An address; a port is no harm.
fn host(option: &str, text: &str) -> Result<IpAddr, String> {
    let with_port = || text.parse::<SocketAddr>().map(|addr| addr.ip());
    text.parse().or_else(|_| with_port()).map_err(|_| format!("{option}: {text:?} is no address"))
}
