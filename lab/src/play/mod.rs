//! Plays a scenario: types, listens, tells, checks. It ends at the first check that fails, and names the step.

mod step;
mod tell;
mod wrap;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;

use self::step::End;
pub(crate) use self::step::{Said, Step};
use self::tell::{Outcome, Played, Teller};
use crate::outside::Outside;
use crate::scenario::Scenario;
use crate::snapshot::Snapshot;
use crate::standing::{Captures, Standing, Terms};
use crate::wait::wait_for;

/// How it is played.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// Waits for Enter before each step but the first.
    pub(crate) pause: bool,
    /// Is as long as this at least, so that people can follow.
    pub(crate) minutes: f64,
    /// Speaks to programs.
    pub(crate) json: bool,
    /// Keeps captures here.
    pub(crate) pcap: Option<Outside>,
}

/// No line takes longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Builds the scenario's lab and plays it.
///
/// # Errors
/// The lab cannot be built, or the story not be written. A check that fails is no error: it is told, and the exit code is 1.
pub(crate) fn run(scenario: &Scenario, terms: &Terms, manner: &Manner) -> anyhow::Result<ExitCode> {
    match play(scenario, terms, manner) {
        // Whoever listened has heard enough, as `head` does: as if the kernel had ended us for it, as it does others.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::from(128 + Signal::SIGPIPE as u8)),
        played => played,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn play(scenario: &Scenario, terms: &Terms, manner: &Manner) -> anyhow::Result<ExitCode> {
    scenario.has_what_it_needs(terms)?;
    let mut teller = Teller::new(manner);
    let standing = scenario.stand(terms)?;
    teller.begin(scenario, standing.topology())?;
    let captures = match &manner.pcap {
        Some(dir) => Some(Captures::start(&standing.topology().machines(), &dir.path())?),
        None => None,
    };
    let began = Instant::now();
    let steps = scenario.steps();
    let mut player = Player::new(&standing, &steps)?;
    let mut failed = None;
    for (index, step) in steps.iter().enumerate() {
        teller.step(index + 1, step)?;
        let played = player.play(step).unwrap_or_else(|error| Played::never(format!("{error:#}")));
        let passed = played.passed();
        teller.played(index + 1, step, &played)?;
        if !passed {
            failed = Some(index + 1);
            break;
        }
        teller.rest(began, index + 1, steps.len())?;
    }
    let lost = captures.map_or(0, Captures::finish);
    let title = failed.map(|number| (number, &*steps[number - 1].title));
    teller.end(scenario, steps.len(), title, lost, began.elapsed())?;
    Ok(if failed.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Types.
struct Player<'a> {
    standing: &'a Standing,
    output: PathBuf,
    kept: BTreeMap<&'static str, String>,
    before: BTreeMap<String, Snapshot>,
}

impl<'a> Player<'a> {
    fn new(standing: &'a Standing, steps: &[Step]) -> anyhow::Result<Self> {
        let mut before = BTreeMap::new();
        for step in steps.iter().filter(|step| step.restores) {
            before.insert(step.machine.to_string(), Snapshot::take(standing.machine(&step.machine)?)?);
        }
        let output = standing.dir().join("output");
        Ok(Self { standing, output, kept: BTreeMap::new(), before })
    }

    fn play(&mut self, step: &Step) -> anyhow::Result<Played> {
        let began = Instant::now();
        let (code, text) = self.types(step)?;
        let said = Said { text: &text, kept: &self.kept };
        let mut checks = Vec::new();
        match (step.end, code) {
            (End::Well, 0) | (End::Badly, 1..) => {}
            (End::Well, _) => {
                checks.push(Outcome::new(format!("it ends well, not with exit code {code}"), false))
            }
            (End::Badly, _) => checks.push(Outcome::new("it fails, where it has ended well", false)),
        }
        let claims = step.claims.iter();
        checks.extend(claims.map(|claim| Outcome::new(claim.text.clone(), (claim.holds)(&said))));
        if step.restores {
            let node = self.standing.machine(&step.machine)?;
            let before = self.before.get(&*step.machine).context("there is no snapshot of it")?;
            let changed = before.diff(&Snapshot::take(node)?);
            let claim = format!("{node} is as it was: {} links, routes, rules and settings", before.len());
            checks.push(Outcome::new(claim, changed.is_empty()).because(changed.join("\n")));
        }
        if let Some(key) = step.key {
            self.kept.insert(key, text.clone());
        }
        Ok(Played { code, text, checks, elapsed: began.elapsed() })
    }

    /// What it ended with, and printed. Into a file, so that nobody waits for what goes on in the background.
    fn types(&self, step: &Step) -> anyhow::Result<(i32, String)> {
        let mut command = self.standing.shell(&step.machine, &step.line)?;
        command.stdin(Stdio::null()).stdout(File::create(&self.output)?);
        let mut child = self.standing.machine(&step.machine)?.spawn(&mut command)?;
        let ended = wait_for("the end of it", LONGEST, || child.try_wait().transpose());
        let status = ended??;
        let text = String::from_utf8_lossy(&fs::read(&self.output)?).into_owned();
        let code = status.code();
        ensure!(code.is_some(), "it was ended by a signal ({status}): {text}");
        Ok((code.unwrap_or_default(), text))
    }
}
