//! What a scenario plays on: it tells the story, shows the commands it types, draws progress and keeps the checks.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::node::{Child, Node};
use crate::wait::wait_for;

/// Tells and checks.
pub(crate) struct Stage {
    out: Box<dyn Write>,
    terminal: bool,
    json: bool,
    ulvs: PathBuf,
    state_root: Option<PathBuf>,
    checks: Vec<Check>,
    facts: Map<String, Value>,
}

/// Something that had to be so.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What had to be so.
    pub(crate) name: String,
    /// Whether it was.
    pub(crate) passed: bool,
}

impl Stage {
    /// With `json` the story goes to standard error and a summary to standard output at the end.
    pub(crate) fn new(ulvs: &Path, state_root: Option<PathBuf>, json: bool) -> Self {
        let (out, terminal): (Box<dyn Write>, bool) = if json {
            (Box::new(io::stderr()), io::stderr().is_terminal())
        } else {
            (Box::new(io::stdout()), io::stdout().is_terminal())
        };
        let (checks, facts) = (Vec::new(), Map::new());
        Self { out, terminal, json, ulvs: ulvs.to_owned(), state_root, checks, facts }
    }

    /// Where labs should keep temporary files.
    pub(crate) fn state_root(&self) -> Option<PathBuf> {
        self.state_root.clone()
    }

    /// Opens a step of the story.
    pub(crate) fn step(&mut self, title: &str) -> anyhow::Result<()> {
        let (bold, plain) = if self.terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.say(&format!("\n{bold}== {title}{plain}"))
    }

    /// Says something, in whole lines.
    pub(crate) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}").context("cannot write the story")
    }

    /// Types `ulvs ...` on the node, shows the command and what it printed, and returns its standard output.
    ///
    /// # Errors
    /// When the command cannot be run, or fails.
    pub(crate) fn ulvs(&mut self, node: &Node, arguments: &str) -> anyhow::Result<String> {
        self.say(&format!("  {node}# ulvs {arguments}"))?;
        let mut command = node.command(&self.ulvs);
        command.args(arguments.split(' ')).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot run {}", self.ulvs.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in printed.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            self.say(&format!("    {line}"))?;
        }
        ensure!(output.status.success(), "`ulvs {arguments}` failed with {}", output.status);
        Ok(printed)
    }

    /// The program under test.
    pub(crate) fn program(&self) -> &Path {
        &self.ulvs
    }

    /// Starts `ulvs ...` as a process that stays in the foreground, and waits until it answers. `command` is all of
    /// it but the arguments.
    ///
    /// # Errors
    /// When it cannot be run, or ends before it is ready.
    pub(crate) fn serve(
        &mut self,
        node: &Node,
        mut command: Command,
        arguments: &str,
    ) -> anyhow::Result<Child> {
        self.say(&format!("  {node}# ulvs {arguments}"))?;
        command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = node.spawn(&mut command)?;
        let name = format!("`ulvs {arguments}`");
        let ready = wait_for(&name, Duration::from_secs(10), || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(anyhow::anyhow!("{name} ended with {status}")));
            }
            let mut ask = node.command(&self.ulvs);
            let answer = ask.arg("status").stdin(Stdio::null()).output();
            answer.is_ok_and(|answer| answer.status.success()).then_some(Ok(()))
        });
        ready??;
        Ok(child)
    }

    /// Notes whether something was as it had to be, and says it.
    pub(crate) fn check(&mut self, name: &str, passed: bool) -> anyhow::Result<()> {
        let (colour, plain) = match (self.terminal, passed) {
            (false, _) => ("", ""),
            (true, true) => ("\x1b[32m", "\x1b[0m"),
            (true, false) => ("\x1b[31;1m", "\x1b[0m"),
        };
        let word = if passed { "ok" } else { "FAILED" };
        self.checks.push(Check { name: name.to_owned(), passed });
        self.say(&format!("  {colour}{word}{plain}: {name}"))
    }

    /// Adds something to the summary for programs.
    pub(crate) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// A progress line, for `work` to update: drawn over itself on a terminal, in steps of a quarter elsewhere.
    pub(crate) fn progress<T>(
        &mut self,
        label: impl Display,
        total: u64,
        work: impl FnOnce(&mut dyn FnMut(u64)) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (terminal, step) = (self.terminal, if self.terminal { 1 } else { 25 });
        let mut shown = 0;
        let out = &mut self.out;
        let mut update = |done: u64| {
            let percent = done * 100 / total.max(1);
            if percent >= shown + step {
                shown = percent - percent % step;
                let (start, end) = if terminal { ("\r", "") } else { ("", "\n") };
                // Nobody may be reading any more; the work goes on and the next line of the story says it.
                let _ = write!(out, "{start}  {label}: {shown:>3} %{end}").and_then(|()| out.flush());
            }
        };
        let result = work(&mut update);
        if terminal {
            self.say("")?;
        }
        result
    }

    /// Prints the summary; the exit code is 0 when every check passed.
    pub(crate) fn finish(mut self, scenario: &str) -> anyhow::Result<ExitCode> {
        let failed: Vec<_> =
            self.checks.iter().filter(|check| !check.passed).map(|c| c.name.clone()).collect();
        let passed = failed.is_empty();
        if self.json {
            let facts = std::mem::take(&mut self.facts);
            let summary =
                json!({ "scenario": scenario, "passed": passed, "checks": self.checks, "facts": facts });
            writeln!(io::stdout(), "{summary:#}").context("cannot write the summary")?;
        }
        if passed {
            self.say(&format!("\nAll {} checks passed.", self.checks.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        self.say(&format!("\n{} of {} checks failed:", failed.len(), self.checks.len()))?;
        for name in failed {
            self.say(&format!("  {name}"))?;
        }
        Ok(ExitCode::FAILURE)
    }
}

/// A duration as people read it.
pub(crate) fn short(duration: Duration) -> String {
    match duration.as_micros() {
        micros if micros < 1000 => format!("{micros} us"),
        micros if micros < 1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}
