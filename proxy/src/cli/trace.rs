//! `ulvs trace` and `ulvs capture`: packets on their way.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use control::api::{Blocking, TraceOrder};
use sched::counted;

use super::when::clock;
use super::{fail, say};
use crate::explain::{Explained, PacketView, from_hex, story};
use crate::pcap::{AS_IT_LEAVES, Side, Writer};
use crate::trace::{Filter, Traced};

const FILTER: &str = "\
FILTER: words that all have to hold, each perhaps behind `not`; `and` may stand between them:
  host ADDRESS, net PREFIX, port PORT   on either side, as it came or leaves
  vip ADDRESS[:PORT]                    the same of a service's address
  service tcp/172.16.0.99:443           packets of that service (of fwm/3 those
                                        that begin a connection)
  tcp, udp, sctp, icmp                  by protocol
  dropped, dropped for REASON           `ulvs drops --all` lists the reasons
  new                                   packets that get a server";

/// Tell of packets as they come: which service and server, what changes, or why one is dropped. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = format!("{FILTER}\n\nExamples:\n  ulvs trace host 10.0.0.9\n  ulvs trace new vip 172.16.0.99:443\n  ulvs trace --brief dropped"))]
pub(super) struct TraceArgs {
    /// Which packets [default: all]
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// A line for each packet in place of its story
    #[arg(short, long)]
    brief: bool,
    /// End after so many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The most packets in a second, 0 for no limit; the others are counted and left out
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate: u32,
    /// For programs: a line of JSON for each packet
    #[arg(long, conflicts_with = "brief")]
    json: bool,
}

/// Write packets to a file that Wireshark and tcpdump read: as they came, and as they leave, each with the verdict and
/// its reasons as a comment. Super-packets of offload are one packet, and checksums that hardware would fill in are not
/// filled in yet, as `ulvs explain --pcap` knows. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = format!("{FILTER}\n\nExamples:\n  ulvs capture -w odd.pcapng dropped\n  ulvs capture -w - -c 100 port 443 | tcpdump -nr -"))]
pub(super) struct CaptureArgs {
    /// Where to; "-" is standard output
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Which packets [default: all]
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// End after so many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Bytes of each packet
    #[arg(short = 's', long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65535))]
    snaplen: u32,
    /// The most packets in a second, 0 for no limit; the others are counted and left out
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    rate: u32,
}

pub(super) fn trace(args: &TraceArgs) -> ExitCode {
    let order = TraceOrder { filter: args.filter.join(" "), rate: rate(args.rate), snaplen: 0 };
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut out = io::stdout();
    let result = connect(&order.filter).and_then(|client| {
        follow(client, &order, None, |line, traced| {
            if traced.left_out > 0 && !args.json {
                let _ = writeln!(out, "({} left out)", counted(traced.left_out, "packet"));
            }
            let written = if args.json {
                out.write_all(line).and_then(|()| out.write_all(b"\n"))
            } else if args.brief {
                writeln!(out, "{} {}", clock(traced.at_us), brief(&traced.told))
            } else {
                writeln!(out, "{}\n{}", clock(traced.at_us), story(&traced.told))
            };
            left -= 1;
            // A reader that has gone away wants no more.
            if written.and_then(|()| out.flush()).is_err() || left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

pub(super) fn capture(args: &CaptureArgs) -> ExitCode {
    match write(args) {
        Ok(told) if args.write == Path::new("-") => {
            let _ = writeln!(io::stderr(), "{told}");
            ExitCode::SUCCESS
        }
        Ok(told) => {
            say(&told);
            ExitCode::SUCCESS
        }
        Err(text) => fail(&text),
    }
}

fn write(args: &CaptureArgs) -> Result<String, String> {
    let filter = args.filter.join(" ");
    // Before a file is made, or an older one is lost, for nothing.
    let client = connect(&filter)?;
    let path = args.write.display();
    let to: Box<dyn Write> = if args.write == Path::new("-") {
        Box::new(io::stdout())
    } else {
        let file = File::create(&args.write).map_err(|error| format!("{path}: {error}"))?;
        Box::new(file)
    };
    let unwritten = |text: String| format!("{path}: {text}");
    let mut writer = Writer::new(BufWriter::new(to), args.snaplen).map_err(unwritten)?;
    writer.flush().map_err(unwritten)?;
    let order = TraceOrder { filter, rate: rate(args.rate), snaplen: args.snaplen };
    let (mut packets, mut left_out) = (0_u64, 0);
    let count = args.count.unwrap_or(u64::MAX);
    let ends = args.seconds.map(Duration::from_secs);
    follow(client, &order, ends, |_, traced| {
        let at = Duration::from_micros(traced.at_us);
        let comment = story(&traced.told);
        for (side, packet) in
            [(Side::Before, Some(&traced.told.arrived)), (Side::After, traced.told.leaves.as_ref())]
        {
            let Some(packet) = packet else { continue };
            let bytes = from_hex(&packet.bytes).unwrap_or_default();
            let words = if side == Side::Before { &comment } else { AS_IT_LEAVES };
            writer.packet(side, at, (&bytes, packet.len), words).map_err(unwritten)?;
        }
        // Whoever looks on, or ends it, finds whole packets.
        writer.flush().map_err(unwritten)?;
        packets += 1;
        left_out += traced.left_out;
        Ok(if packets == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let rest = if left_out > 0 { format!("; {left_out} left out, see --rate") } else { String::new() };
    Ok(format!("{} written{rest}", counted(packets, "packet")))
}

/// To the engine, if the filter makes sense.
fn connect(filter: &str) -> Result<Blocking, String> {
    Filter::parse(filter)?;
    Blocking::connect().map_err(|error| error.to_string())
}

/// The engine takes 0 for as many as are usual.
const fn rate(asked: u32) -> u32 {
    if asked == 0 { u32::MAX } else { asked }
}

/// Hands each packet on as it comes.
fn follow(
    mut client: Blocking,
    order: &TraceOrder,
    ends: Option<Duration>,
    mut each: impl FnMut(&[u8], &Traced) -> Result<ControlFlow<()>, String>,
) -> Result<(), String> {
    let mut result = Ok(());
    let ended = ends.map(|after| Instant::now() + after);
    let traced = client.trace(order, ended, |line| {
        let done = serde_json::from_slice::<Traced>(line)
            .map_err(|error| format!("the engine is of another version: {error}"))
            .and_then(|traced| each(line, &traced));
        done.unwrap_or_else(|text| {
            result = Err(text);
            ControlFlow::Break(())
        })
    });
    traced.map_err(|error| error.to_string()).and(result)
}

/// A packet in a line. Whose server it is can be seen of a packet that has been rewritten; of others it is said.
fn brief(told: &Explained) -> String {
    let leaves = |packet: &PacketView| {
        let [src, dst] = [&packet.src, &packet.dst].map(|end| end.as_deref().unwrap_or("?"));
        format!("{src} > {dst}")
    };
    let verdict = match (&told.dropped, &told.leaves) {
        (Some(dropped), _) => format!("dropped: {}", dropped.reason),
        (None, Some(packet)) => match told.verdict {
            engine::Verdict::Reply => format!("answered: {}", packet.summary),
            engine::Verdict::Pass => "to the host".into(),
            engine::Verdict::Transmit(engine::Egress::Neighbour { next_hop, .. }) => {
                format!("{} by {next_hop}", leaves(packet))
            }
            _ => match &packet.inside {
                Some(outer) => format!("{} inside of {outer}", leaves(packet)),
                None => leaves(packet),
            },
        },
        (None, None) => "to a front, or waits".into(),
    };
    format!("{} => {verdict}", told.arrived.summary)
}

#[cfg(test)]
mod tests {
    use engine::{Egress, Verdict};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_the_server_of_packets_that_show_it_and_of_others() {
        let packet = |dst: &str, inside: Option<&str>| json!({"summary": format!("IP 10.0.0.9:1 > {dst}"), "src": "10.0.0.9:1", "dst": dst, "len": 40, "inside": inside});
        let next_hop = "10.0.0.12".parse().unwrap();
        for (egress, leaves, expected) in [
            (Egress::Route, packet("10.0.0.11:80", None), "10.0.0.11:80"),
            (
                Egress::Neighbour { device: 3, next_hop },
                packet("10.0.0.1:80", None),
                "10.0.0.1:80 by 10.0.0.12",
            ),
            (
                Egress::Route,
                packet("10.0.0.1:80", Some("IP 10.0.0.2 > 10.0.0.13")),
                "10.0.0.1:80 inside of IP 10.0.0.2 > 10.0.0.13",
            ),
        ] {
            let told = json!({
                "arrived": packet("10.0.0.1:80", None), "notes": [], "verdict": Verdict::Transmit(egress), "leaves": leaves,
            });
            let told = serde_json::from_value(told).unwrap();
            assert_eq!(brief(&told), format!("IP 10.0.0.9:1 > 10.0.0.1:80 => 10.0.0.9:1 > {expected}"));
        }
    }
}
