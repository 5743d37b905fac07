//! `ulvs server`: what somebody says about a server by hand wins over its checks.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::api::{Blocking, ClientError, DrainOrder, ServerHealth, ServerOrder, ServerWord};

use super::drain::{self, DrainArgs};
use super::service::Which;
use super::{fail, say};

/// Take a server out of use by hand, or have it used, whatever its checks say
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum ServerCommand {
    /// Take a server for dead: it gets nobody new, and its connections end as its service wants that of the dead
    #[command(after_help = "Example:\n  ulvs server down tcp/10.0.0.1:80 192.168.1.1:8080")]
    Down(HandArgs),
    /// Leave a server to its checks again, and end its drain if there is one
    #[command(
        after_help = "Examples:\n  ulvs server up tcp/10.0.0.1:80 192.168.1.1:8080\n  ulvs server up --force tcp/10.0.0.1:80 192.168.1.1:8080"
    )]
    Up {
        #[command(flatten)]
        hand: HandArgs,
        /// Take it for alive, whatever its checks say
        #[arg(long)]
        force: bool,
    },
    /// Take a server out of service without breaking what it serves: the same as `ulvs drain`
    Drain(DrainArgs),
}

const AFTER_HELP: &str = "\
What is said by hand wins over checks, survives a reload, and is forgotten when the server is removed or the engine ends.
Examples:
  ulvs server down tcp/10.0.0.1:80 192.168.1.1:8080
  ulvs server up tcp/10.0.0.1:80 192.168.1.1:8080
  ulvs server drain -t 10.0.0.1:80 -r 192.168.1.1:8080 --deadline 60s";

#[derive(Debug, Args)]
pub(super) struct HandArgs {
    #[command(flatten)]
    which: Which,
    /// For programs: the server as it is then
    #[arg(long)]
    json: bool,
}

pub(super) fn main(command: &ServerCommand) -> ExitCode {
    let said = match command {
        ServerCommand::Down(hand) => order(hand, ServerWord::Down),
        ServerCommand::Up { hand, force: false } => order(hand, ServerWord::Auto),
        ServerCommand::Up { hand, force: true } => order(hand, ServerWord::Up),
        ServerCommand::Drain(args) => return drain::main(args),
    };
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn order(args: &HandArgs, to: ServerWord) -> Result<(), String> {
    let (service, server) = args.which.understand()?;
    let mut engine = Blocking::connect().map_err(words)?;
    let mut view = engine.server(&ServerOrder { service, server, to }).map_err(words)?;
    if view.draining && to != ServerWord::Down {
        let undo = DrainOrder { service, server, deadline: None, undo: true };
        let ended = engine.drain(&undo).map_err(words)?;
        view = ServerHealth { draining: false, weight: ended.weight, effective: ended.weight, ..view };
    }
    let text = if args.json {
        serde_json::to_string(&view).map_err(|error| error.to_string())?
    } else {
        let why = if view.state == "down" { format!(": {}", view.reason) } else { String::new() };
        format!("{server} of {service} is {}{why}", view.state)
    };
    say(&text);
    Ok(())
}

fn words(error: ClientError) -> String {
    drain::words(error)
}
