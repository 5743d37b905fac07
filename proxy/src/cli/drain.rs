//! `ulvs drain`: takes a server out of service without breaking what it serves.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use control::api::{Blocking, ClientError, DrainOrder, DrainView};
use control::duration;
use sched::counted;

use super::service::Which;
use super::{fail, say};

/// How often progress is looked at.
const PACE: Duration = Duration::from_millis(200);
/// How often a log, which is no terminal, gets a line.
const LOG_PACE: Duration = Duration::from_secs(5);
/// The exit code when the deadline came first.
const RESET: u8 = 3;

/// Drains a server: it gets weight 0 and no new connections, not even from clients who would come back to it
/// (persistence), and what it has may end in its own time; at the deadline the rest is reset at both ends. Returns when
/// the server has no connections.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, override_usage = USAGE)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    which: Which,
    /// When to reset what is left: 60s, 5m, 1h; 0s is at once [default: never]
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "undo")]
    deadline: Option<u32>,
    /// End the drain and give the server its weight back
    #[arg(long)]
    undo: bool,
    /// Begin the drain and return at once: it goes on without this command
    #[arg(long, conflicts_with = "undo")]
    no_wait: bool,
    /// For programs: one object when it is done, or with nothing named the list of drains
    #[arg(long)]
    json: bool,
}

const USAGE: &str = "ulvs drain [OPTIONS] SERVICE SERVER
       ulvs drain -t VIP:PORT -r SERVER [OPTIONS]
       ulvs drain    (lists the servers that are being drained, or have been)";

const AFTER_HELP: &str = "\
Exit codes:
  0  it has no connections left (with --undo: it has its weight back)
  1  error
  3  the deadline came, and what was left has been reset
The drain is the engine's: it goes on, deadline included, when this command is interrupted or its terminal is closed. \
It is over when it is undone, or when somebody removes the server or gives it a weight; the weight that it had is \
remembered until then. Neither the configuration file nor a reload of an unchanged one has a part in it.
Connections count until the engine forgets them, those in TIME_WAIT for two minutes and UDP flows for five.
Examples:
  ulvs drain tcp/10.0.0.1:80 192.168.1.1:8080 --deadline 60s
  ulvs drain tcp/10.0.0.1:80 192.168.1.1:8080 --undo
  ulvs drain -f 3 -r 192.168.1.1
  ulvs server drain tcp/10.0.0.1:80 192.168.1.1 --no-wait  # the same";

pub(super) fn main(args: &DrainArgs) -> ExitCode {
    match run(args) {
        Ok(code) => code,
        Err(text) => fail(&text),
    }
}

fn run(args: &DrainArgs) -> Result<ExitCode, String> {
    let connect = || Blocking::connect().map_err(words);
    if args.which.is_nothing() && args.deadline.is_none() && !args.undo {
        let list = connect()?.drains().map_err(words)?;
        if args.json {
            say(&serde_json::json!(list).to_string());
        } else {
            list.drains.iter().for_each(|view| say(&line(view)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (service, server) = args.which.understand()?;
    let mut engine = connect()?;
    let order = DrainOrder { service, server, deadline: args.deadline, undo: args.undo };
    let begun = engine.drain(&order).map_err(words)?;
    if args.undo || args.no_wait {
        if args.json {
            say(&serde_json::json!(begun).to_string());
        } else if args.undo {
            say(&format!("{server} of {service} has its weight back: {}", begun.weight.0));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let done = watch(&mut engine, begun, args)?;
    if args.json {
        say(&serde_json::json!(done).to_string());
    } else if done.reset > 0 {
        let ended = counted(done.reset, "connection");
        let were = if done.reset == 1 { "was" } else { "were" };
        say(&format!("{server} of {service}: the deadline came, and {ended} {were} ended"));
    } else {
        say(&format!("{server} of {service} has no connections left"));
    }
    Ok(if done.reset > 0 { ExitCode::from(RESET) } else { ExitCode::SUCCESS })
}

/// Waits until it is empty and tells how it goes: on a terminal in one line, else a line now and then.
fn watch(engine: &mut Blocking, begun: DrainView, args: &DrainArgs) -> Result<DrainView, String> {
    let mut progress = Progress { live: std::io::stderr().is_terminal(), said: None, quiet: args.json };
    let mut view = begun;
    let is_it = |v: &DrainView| (v.service, v.server) == (begun.service, begun.server);
    loop {
        progress.tell(&view);
        if view.is_empty() {
            progress.end();
            return Ok(view);
        }
        std::thread::sleep(PACE);
        let drains = engine.drains().map_err(words)?.drains;
        view = drains.into_iter().find(is_it).ok_or_else(|| {
            let DrainView { service, server, .. } = begun;
            format!("the drain was ended by somebody: {server} of {service} was undone, edited or removed")
        })?;
    }
}

/// What a person sees meanwhile, on stderr.
struct Progress {
    live: bool,
    said: Option<(String, Instant)>,
    quiet: bool,
}

impl Progress {
    fn tell(&mut self, view: &DrainView) {
        let text = if self.live { line(view) } else { line(&DrainView { seconds_left: None, ..*view }) };
        let known = self.said.as_ref().is_some_and(|(said, at)| {
            *said == text || !self.live && !view.is_empty() && at.elapsed() < LOG_PACE
        });
        if self.quiet || known {
            return;
        }
        let mut err = std::io::stderr();
        // Nobody to tell if that fails.
        let _ = if self.live { write!(err, "\r\x1b[K{text}") } else { writeln!(err, "{text}") };
        self.said = Some((text, Instant::now()));
    }

    fn end(&self) {
        if self.live && self.said.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(view: &DrainView) -> String {
    let DrainView { service, server, active, inactive, .. } = view;
    let then = match (view.seconds_left, view.reset) {
        (Some(left), _) => format!(", ended in {left} s"),
        (None, 0) => String::new(),
        (None, n) => format!(", {n} were ended at the deadline"),
    };
    let weight = view.weight.0;
    format!(
        "{server} of {service}: {active} active and {inactive} inactive connections{then} (weight was {weight})"
    )
}

/// Why the engine would not, in words for people.
pub(super) fn words(error: ClientError) -> String {
    match error {
        ClientError::Refused { error: sched::OpError::NoSuchService, .. } => {
            "there is no such service: `ulvs ipvsadm -Ln` lists them".to_owned()
        }
        ClientError::Refused { error: sched::OpError::NoSuchDest, .. } => {
            "the service has no such server: `ulvs ipvsadm -Ln` lists them".to_owned()
        }
        other => other.to_string(),
    }
}

fn time(text: &str) -> Result<u32, String> {
    duration::seconds(text).ok_or_else(|| "write a time such as 60s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use sched::{Proto, ServiceKey, Weight};

    use super::*;

    #[test]
    fn progress_is_told_in_words() {
        let view = DrainView {
            service: ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()),
            server: "192.168.1.1:80".parse().unwrap(),
            weight: Weight(3),
            active: 2,
            inactive: 1,
            seconds_left: Some(9),
            reset: 0,
        };
        let start = "192.168.1.1:80 of TCP 10.0.0.1:80: 2 active and 1 inactive connections";
        assert_eq!(line(&view), format!("{start}, ended in 9 s (weight was 3)"));
        let after = DrainView { seconds_left: None, reset: 3, ..view };
        assert_eq!(line(&after), format!("{start}, 3 were ended at the deadline (weight was 3)"));
    }
}
