//! `ulvs top`: services and servers with rates, connections, state and drops, live.
//!
//! [`feed`] asks the engine, [`model`] makes a picture of the answers, [`rows`] the lines of its table, [`view`] takes
//! keys, [`screen`] draws, [`live`] ties them together. All but `feed` and `live` are pure.

mod feed;
mod live;
mod model;
mod rows;
mod screen;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control::api::{Client, ClientError};

use super::{fail, say};
use crate::reason::reason;
use model::{Picture, Sample};
use rows::Sort;

/// Shows services and servers with rates, connections and state, and what was dropped, in the terminal, until q is
/// pressed. ? lists the keys: sort, filter, inspect, drain, pause.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct TopArgs {
    /// Seconds between two looks; rates change every 2 s
    #[arg(short, long, default_value = "2", value_name = "SECONDS", value_parser = interval)]
    interval: Duration,
    /// Print one screen as plain text and end
    #[arg(short = 'b', long, visible_alias = "batch")]
    once: bool,
    /// For programs: one object, and end
    #[arg(long)]
    json: bool,
    /// With --once: only services and servers that have this text
    #[arg(long, value_name = "TEXT", default_value = "", requires = "once", hide_default_value = true)]
    filter: String,
}

const AFTER_HELP: &str = "\
Examples:
  ulvs top
  ulvs top --interval 0.5
  ulvs top --once --filter drain
  ulvs top --json
Keys in it: ? lists them; sort, filter, inspect, drain, pause; q ends it.
Rates are those of `ulvs ipvsadm -Ln --rate`: per second, over the last seconds, bytes and not bits.";

pub(super) fn main(args: &TopArgs) -> ExitCode {
    if args.once || args.json {
        return match picture() {
            Ok(picture) if args.json => match serde_json::to_string_pretty(&picture) {
                Ok(text) => done(&text),
                Err(error) => fail(&error.to_string()),
            },
            Ok(picture) => done(screen::plain(&picture, &args.filter, Sort::default()).trim_end()),
            Err(error) => fail(&error.to_string()),
        };
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return fail("this is no terminal: `ulvs top --once` prints one screen, `--json` is for programs");
    }
    match live::watch(args.interval) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&reason(&error)),
    }
}

fn done(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

/// One look.
fn picture() -> Result<Picture, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClientError::Talk(error.to_string()))?;
    let sample: Result<Sample, ClientError> =
        runtime.block_on(async { feed::sample(&mut Client::connect().await?, None).await });
    Ok(Picture::new(sample?, None))
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok().filter(|s| (0.1..=3600.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "write seconds from 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests;
