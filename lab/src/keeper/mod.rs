//! Labs that stay: `up`, `exec`, `shell`, `status`, `down`.
//!
//! A lab is up as long as its keeper lives, a process in the background that holds its namespaces. It holds a lock as
//! well, and that is how everybody tells: what a killed keeper has left in the directory of labs is a directory whose lock
//! is free. With the keeper the kernel ends every process of the lab.

mod card;
mod enter;
mod labs;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use netio::process::{Readiness, spawn_detached};
use serde_json::json;

use self::card::Card;
use self::labs::Labs;
use crate::cli::Place;
use crate::outside::Outside;
use crate::scenario::Scenario;
use crate::standing::{Captures, Terms};

pub(crate) use self::enter::{code, exec, program, shell};

/// What is to be put up, and how.
pub(crate) struct Order<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) name: String,
    pub(crate) pcap: Option<Outside>,
}

/// Starts the keeper with these arguments, and says what is there when it is ready.
pub(crate) fn up(order: &Order<'_>, real: bool, place: Place) -> anyhow::Result<ExitCode> {
    crate::standing::check_outside()?;
    let labs = Labs::open()?;
    labs.check_free(&order.name)?;
    let mut args =
        vec!["lab".to_owned(), "keep".into(), order.scenario.name.into(), "--as".into(), order.name.clone()];
    args.extend(real.then(|| "--real".to_owned()));
    args.extend(place.rootless.then(|| "--rootless".to_owned()));
    if let Some(pcap) = &order.pcap {
        let path = pcap.shown().canonicalize()?;
        args.extend(["--pcap".to_owned(), path.to_str().context("--pcap is no text")?.to_owned()]);
    }
    spawn_detached(args)?;
    let card = labs.named(&order.name)?;
    let several = labs.all()?.0.len() > 1;
    let of =
        if several || card.name != card.scenario { format!(" --lab {}", card.name) } else { String::new() };
    let machine = card.usual_machine();
    writeln!(
        io::stdout(),
        "{}\nThe lab {} is up. To go in, and to end it:\n  ulvs lab shell {machine}{of}\n  ulvs lab down {}",
        card.drawing,
        card.name,
        card.name
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The keeper itself. Returns when it could not become one.
pub(crate) fn keep(
    order: &Order<'_>,
    ulvs: &std::path::Path,
    real: bool,
    place: Place,
) -> anyhow::Result<ExitCode> {
    let readiness = Readiness::from_env();
    let kept = stand(order, ulvs, real, place);
    match (kept, readiness) {
        (Ok((held, ..)), readiness) => {
            // Whoever asked for the lab has pressed Ctrl-C meanwhile, and would not know that it is there.
            if readiness.is_some_and(|readiness| readiness.ready().is_err()) {
                held.clear()?;
                return Ok(ExitCode::FAILURE);
            }
            loop {
                std::thread::park();
            }
        }
        (Err(error), Some(readiness)) => {
            let _ = readiness.failed(&format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
        (Err(error), None) => Err(error),
    }
}

/// Everything that lives as long as the keeper.
fn stand(
    order: &Order<'_>,
    ulvs: &std::path::Path,
    real: bool,
    place: Place,
) -> anyhow::Result<(labs::Held, crate::standing::Standing, Option<Captures>)> {
    let held = Labs::open()?.hold(&order.name)?;
    let (root, pid) = crate::cli::enter(place)?;
    let terms = Terms { ulvs: ulvs.to_owned(), root, real };
    order.scenario.has_what_it_needs(&terms)?;
    let standing = order.scenario.stand(&terms)?;
    let captures = order
        .pcap
        .as_ref()
        .map(|dir| Captures::start(&standing.topology().machines(), &dir.path()))
        .transpose()?;
    let card = Card::of(&order.name, order.scenario.name, pid, standing.topology())?;
    held.write(&card)?;
    Ok((held, standing, captures))
}

/// Says which labs are up, and clears away what killed ones have left.
pub(crate) fn status(as_json: bool) -> anyhow::Result<ExitCode> {
    let labs = Labs::open()?;
    let (cards, stale) = labs.all()?;
    let mut out = io::stdout();
    if as_json {
        let labs: Vec<_> = cards.iter().map(Card::summary).collect();
        writeln!(out, "{:#}", json!({ "labs": labs, "cleared": stale }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in stale {
        writeln!(out, "The lab {name} had been killed; what it left is cleared away.")?;
    }
    if cards.is_empty() {
        writeln!(
            out,
            "No lab is up. `ulvs lab list` shows those there are, `ulvs lab up NAME` puts one up."
        )?;
    }
    for card in cards {
        writeln!(out, "{}", card.line())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends a lab, or all of them.
pub(crate) fn down(name: Option<&str>, all: bool) -> anyhow::Result<ExitCode> {
    let labs = Labs::open()?;
    let cards = if all { labs.all()?.0 } else { vec![labs.find(name, "`ulvs lab down NAME`, or --all")?] };
    for card in cards {
        labs.end(&card)?;
        writeln!(io::stdout(), "The lab {} is down.", card.name)?;
    }
    Ok(ExitCode::SUCCESS)
}
