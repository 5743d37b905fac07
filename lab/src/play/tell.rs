//! Tells a play, to people or to programs.

use std::borrow::Cow;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use super::Manner;
use super::step::Step;
use super::wrap::wrap;
use crate::scenario::Scenario;
use crate::topo::Topology;

/// A step that was played.
pub(super) struct Played {
    pub(super) code: i32,
    pub(super) text: String,
    pub(super) checks: Vec<Outcome>,
    pub(super) elapsed: Duration,
}

/// Whether something was as it had to be.
pub(super) struct Outcome {
    claim: Cow<'static, str>,
    passed: bool,
    why: String,
}

impl Outcome {
    pub(super) fn new(claim: impl Into<Cow<'static, str>>, passed: bool) -> Self {
        Self { claim: claim.into(), passed, why: String::new() }
    }

    /// What is said of it if it was not.
    pub(super) fn because(mut self, why: String) -> Self {
        self.why = why;
        self
    }
}

impl Played {
    /// One that could not even be typed.
    pub(super) fn never(why: String) -> Self {
        let checks = vec![Outcome::new("it can be done", false).because(why)];
        Self { code: -1, text: String::new(), checks, elapsed: Duration::ZERO }
    }

    pub(super) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

pub(super) struct Teller {
    manner: Manner,
    terminal: bool,
    checks: usize,
}

impl Teller {
    pub(super) fn new(manner: &Manner) -> Self {
        let terminal = !manner.json && io::stdout().is_terminal();
        Self { manner: manner.clone(), terminal, checks: 0 }
    }

    pub(super) fn begin(&self, scenario: &Scenario, topology: &dyn Topology) -> anyhow::Result<()> {
        if self.manner.json {
            let drawing = topology.to_string();
            return say(
                &json!({ "scenario": scenario.name, "summary": scenario.summary, "drawing": drawing }),
            );
        }
        let title = self.bold(&format!("{}: {}", scenario.name, scenario.summary));
        say(&format_args!("{title}\n\n{}\n\n{topology}", wrap(scenario.intro, "")))
    }

    /// Before it is typed.
    pub(super) fn step(&self, number: usize, step: &Step) -> anyhow::Result<()> {
        if self.manner.pause && number > 1 {
            self.wait()?;
        }
        if self.manner.json {
            return Ok(());
        }
        if let Some(part) = &step.part {
            say(&format_args!("\n{}", self.bold(&format!("== {part}"))))?;
        }
        say(&format_args!("\n{}", self.bold(&format!("{number:>2}. {}", step.title))))?;
        let (green, plain) = self.colour("32");
        let mut lines = step.line.lines();
        let first = lines.next().unwrap_or_default();
        say(&format_args!("    {green}[root@{} ~]#{plain} {first}", step.machine))?;
        lines.try_for_each(|line| say(&format_args!("      {line}")))
    }

    pub(super) fn played(&mut self, number: usize, step: &Step, played: &Played) -> anyhow::Result<()> {
        self.checks += played.checks.len();
        if self.manner.json {
            let checks = played.checks.iter();
            let checks: Vec<_> =
                checks.map(|it| json!({ "claim": it.claim, "passed": it.passed, "why": it.why })).collect();
            return say(&json!({
                "step": number, "part": step.part, "title": step.title, "host": step.machine, "typed": step.line,
                "code": played.code, "said": played.text, "means": step.means, "checks": checks,
                "passed": played.passed(), "ms": played.elapsed.as_millis() as u64,
            }));
        }
        let lines: Vec<_> = played.text.lines().collect();
        // All of it where something is wrong.
        let shown = if played.passed() { step.lines } else { lines.len() };
        // To leave out one line saves none.
        let shown = if lines.len() == shown + 1 { lines.len() } else { shown };
        let (grey, plain) = self.colour("2");
        for line in lines.iter().take(shown) {
            say(&format_args!("      {}", line.replace('\t', "        ")))?;
        }
        if let Some(more) = lines.len().checked_sub(shown).filter(|&more| more > 0 && shown > 0) {
            say(&format_args!("      {grey}... {more} more lines{plain}"))?;
        }
        if !step.means.is_empty() {
            say(&wrap(&step.means, "    "))?;
        }
        for check in &played.checks {
            let (word, (colour, plain)) =
                if check.passed { ("ok", self.colour("32")) } else { ("FAILED", self.colour("31;1")) };
            say(&format_args!("    {colour}{word}{plain}: {}", check.claim))?;
            if !check.passed {
                check.why.lines().try_for_each(|line| say(&format_args!("      {line}")))?;
            }
        }
        Ok(())
    }

    /// Gives people time: after so many of the steps as large a part of the whole has to have passed.
    pub(super) fn rest(&self, began: Instant, done: usize, steps: usize) -> anyhow::Result<()> {
        let whole = Duration::try_from_secs_f64(self.manner.minutes * 60.0)
            .context("--minutes is a length of time")?;
        let due = whole.mul_f64(done as f64 / steps.max(1) as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
        Ok(())
    }

    pub(super) fn end(
        &self,
        scenario: &Scenario,
        steps: usize,
        failed: Option<(usize, &str)>,
        lost: u64,
        elapsed: Duration,
    ) -> anyhow::Result<()> {
        let (checks, seconds) = (self.checks, elapsed.as_secs_f64());
        if self.manner.json {
            let failed = failed.map(|(step, title)| json!({ "step": step, "title": title }));
            return say(&json!({
                "scenario": scenario.name, "passed": failed.is_none(), "failed": failed, "steps": steps,
                "checks": checks, "not_captured": lost, "seconds": (seconds * 10.0).round() / 10.0,
            }));
        }
        match failed {
            None => say(&format_args!("\nAll {checks} checks of {steps} steps passed, in {seconds:.1} s."))?,
            Some((step, title)) => {
                let (red, plain) = self.colour("31;1");
                say(&format_args!(
                    "\n{red}Step {step} failed: {title}.{plain} To look around: ulvs lab up {}",
                    scenario.name
                ))?;
            }
        }
        if let Some(dir) = &self.manner.pcap {
            say(&format_args!("Captures of every link, for Wireshark: {}/*.pcap", dir.shown().display()))?;
        }
        if lost > 0 {
            say(&format_args!(
                "{lost} packets were not captured: they came faster than they could be kept."
            ))?;
        }
        Ok(())
    }

    fn wait(&self) -> anyhow::Result<()> {
        let mut out = io::stderr();
        write!(out, "\n-- Enter --").and_then(|()| out.flush()).context("cannot ask")?;
        let mut line = String::new();
        // Without anybody to press it, it goes on.
        io::stdin().lock().read_line(&mut line).context("cannot read what is typed")?;
        Ok(())
    }

    fn bold(&self, text: &str) -> String {
        let (bold, plain) = self.colour("1");
        format!("{bold}{text}{plain}")
    }

    fn colour(&self, code: &str) -> (String, &'static str) {
        if self.terminal { (format!("\x1b[{code}m"), "\x1b[0m") } else { (String::new(), "") }
    }
}

/// At once, so that a file has what has happened so far.
fn say(text: &impl std::fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write the story")
}
