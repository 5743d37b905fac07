//! `ulvs health` and `ulvs events`: how servers are, and what happens to them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control::api::{Blocking, CheckView, EventLine, HealthList, ServerHealth, ServiceHealth};

use super::service::WhichService;
use super::status::duration;
use super::when::moment;
use super::{fail, say};

/// How often it looks again with --watch.
const PACE: Duration = Duration::from_secs(1);

/// Show how servers are: alive or dead, since when and why, and what their checks say.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    which: WhichService,
    /// For programs: all of it
    #[arg(long)]
    json: bool,
    /// Look again each second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

const AFTER_HELP: &str = "\
Only services whose servers are checked are listed, and those in which somebody has said something by hand.
States:
  up, down        what the server is taken for
  soft-down 1/3   alive; one answer says otherwise, three in a row make it dead
  soft-up 1/2     dead; one answer says otherwise, two in a row make it alive
  held            dead: clients' connections came to nothing; it is left alone
  damped          dead: its checks say otherwise, but it changed too often
  down by hand, up by hand, draining; warming: in its slow start
Examples:
  ulvs health
  ulvs health tcp/10.0.0.1:80 --watch
  ulvs health --json";

pub(super) fn health(args: &HealthArgs) -> ExitCode {
    match show(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn show(args: &HealthArgs) -> Result<(), String> {
    let only = if args.which.is_nothing() { None } else { Some(args.which.understand()?) };
    let mut engine = Blocking::connect().map_err(|error| error.to_string())?;
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    loop {
        let mut list = engine.health().map_err(|error| error.to_string())?;
        if let Some(only) = only {
            list.services.retain(|service| service.service == only);
            if list.services.is_empty() {
                return Err(format!(
                    "the servers of {only} are not checked (`ulvs health` lists those that are)"
                ));
            }
        }
        let text = if args.json {
            serde_json::to_string(&list).map_err(|error| error.to_string())?
        } else {
            render(&list).trim_end().to_owned()
        };
        if !args.watch {
            say(&text);
            return Ok(());
        }
        let mut out = io::stdout();
        // A reader that has gone away wants no more.
        if writeln!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(PACE);
    }
}

fn render(list: &HealthList) -> String {
    if list.services.is_empty() {
        return "no server is checked: `ulvs help health` says how that is asked for".to_owned();
    }
    let mut out = String::new();
    for service in &list.services {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}{}", service.service, head(service));
        let rows = service.servers.iter().flat_map(rows).collect::<Vec<_>>();
        let title = ["SERVER", "STATE", "SINCE", "WEIGHT", "CHECK", "LAST ANSWER", "NEXT"].map(str::to_owned);
        let all = || std::iter::once(&title).chain(&rows);
        let widths: Vec<_> =
            (0..title.len()).map(|i| all().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
        for row in all() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        for server in service.servers.iter().filter(|server| !server.alive || server.state != "up") {
            let _ = writeln!(out, "  {}: {}", server.server, server.reason);
        }
        out.push('\n');
    }
    out
}

/// What there is to say about the service as a whole.
fn head(service: &ServiceHealth) -> String {
    let ServiceHealth { quorum, weight, needed, hysteresis, sorry, on_sorry, panic, .. } = service;
    if !service.checked {
        return ": not checked".to_owned();
    }
    let mut text = if *quorum { ": quorum" } else { ": QUORUM LOST" }.to_owned();
    let margin = if *hysteresis == 0 { String::new() } else { format!(" +- {hysteresis}") };
    let _ = write!(text, ", live servers weigh {weight} (needed: {needed}{margin})");
    match sorry {
        Some(sorry) if *on_sorry => drop(write!(text, ", the sorry server {sorry} serves")),
        Some(sorry) => drop(write!(text, ", sorry server {sorry}")),
        None => {}
    }
    if *panic {
        text.push_str("; too many are dead to be believed: all servers are used");
    }
    text
}

/// A server, with a line for each of its checks.
fn rows(server: &ServerHealth) -> Vec<[String; 7]> {
    let state = match (server.draining, server.warming) {
        (true, _) => format!("{}, draining", server.state),
        (false, Some(tenths)) => format!("{}, warming {tenths}/10", server.state),
        (false, None) => server.state.clone(),
    };
    let (weight, effective) = (server.weight.0, server.effective.0);
    let weight = if weight == effective { weight.to_string() } else { format!("{effective} of {weight}") };
    let since = duration(server.since_ms / 1000);
    let mut own = [server.server.to_string(), state, since, weight];
    let mut rows = Vec::new();
    for check in &server.checks {
        let [a, b, c, d] = std::mem::take(&mut own);
        let kind = if server.checks.len() > 1 {
            format!("{} {}", check.kind, check.state)
        } else {
            check.kind.clone()
        };
        let next = check.next_ms.map_or_else(|| "now".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1e3));
        rows.push([a, b, c, d, kind, last(check), next]);
    }
    if rows.is_empty() {
        let [a, b, c, d] = own;
        rows.push([a, b, c, d, "none".to_owned(), String::new(), String::new()]);
    }
    rows
}

fn last(check: &CheckView) -> String {
    match (check.ok, &check.error, check.took_ms) {
        (_, Some(error), _) => error.clone(),
        (Some(_), None, Some(took)) => format!("ok, {took:.1} ms"),
        _ => "not asked yet".to_owned(),
    }
}

/// Tell of servers that die and come back, and of services that lose their quorum, as it happens. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ulvs events\n  ulvs events --json | jq -r 'select(.kind == \"down\") | .server'"
)]
pub(super) struct EventsArgs {
    /// For programs: a line of JSON for each event
    #[arg(long)]
    json: bool,
    /// End after so many events
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) fn events(args: &EventsArgs) -> ExitCode {
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut out = io::stdout();
    let told = Blocking::connect().and_then(|mut engine| {
        engine.events(|line| {
            let text = match serde_json::from_slice::<EventLine>(line) {
                Ok(told) if !args.json => format!("{} {}", moment(told.at_ms), told.event),
                _ => String::from_utf8_lossy(line).into_owned(),
            };
            left -= 1;
            // A reader that has gone away wants no more.
            let written = writeln!(out, "{text}").and_then(|()| out.flush());
            if written.is_err() || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sched::{Proto, ServiceKey, Weight};

    use super::*;

    fn check(error: Option<&str>) -> CheckView {
        CheckView {
            kind: "tcp".to_owned(),
            state: "up".to_owned(),
            ok: Some(error.is_none()),
            error: error.map(str::to_owned),
            took_ms: Some(0.42),
            ago_ms: Some(800),
            next_ms: Some(1_200),
            interval_ms: 2_000,
            asked: 7,
            failed: 1,
            failures_in_window: None,
        }
    }

    fn server(n: u8, state: &str, checks: Vec<CheckView>) -> ServerHealth {
        let alive = state == "up";
        ServerHealth {
            server: format!("192.168.1.{n}:80").parse().unwrap(),
            state: state.to_owned(),
            alive,
            used: alive,
            draining: false,
            weight: Weight(3),
            effective: Weight(if alive { 3 } else { 0 }),
            warming: (n == 3).then_some(4),
            since_ms: 65_000,
            reason: "connection refused (3 of 3)".to_owned(),
            falls: 1,
            rises: 0,
            checks,
        }
    }

    #[test]
    fn a_listing_says_who_is_dead_since_when_and_why() {
        let service = ServiceHealth {
            service: ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()),
            checked: true,
            quorum: true,
            weight: 3,
            needed: 2,
            hysteresis: 1,
            sorry: Some("192.168.1.9:80".parse().unwrap()),
            on_sorry: false,
            panic: false,
            servers: vec![
                server(1, "up", vec![check(None)]),
                server(2, "down", vec![check(Some("connection refused"))]),
                server(3, "up", vec![check(None), CheckView { ok: None, took_ms: None, ..check(None) }]),
                server(4, "down by hand", vec![]),
            ],
        };
        let text = render(&HealthList { services: vec![service] });
        let expected = "\
TCP 10.0.0.1:80: quorum, live servers weigh 3 (needed: 2 +- 1), sorry server 192.168.1.9:80
  SERVER          STATE             SINCE      WEIGHT  CHECK   LAST ANSWER         NEXT
  192.168.1.1:80  up                1 min 5 s  3       tcp     ok, 0.4 ms          1.2 s
  192.168.1.2:80  down              1 min 5 s  0 of 3  tcp     connection refused  1.2 s
  192.168.1.3:80  up, warming 4/10  1 min 5 s  3       tcp up  ok, 0.4 ms          1.2 s
                                                       tcp up  not asked yet       1.2 s
  192.168.1.4:80  down by hand      1 min 5 s  0 of 3  none
  192.168.1.2:80: connection refused (3 of 3)
  192.168.1.4:80: connection refused (3 of 3)

";
        assert_eq!(text, expected);
    }
}
