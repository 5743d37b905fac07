//! Plays one mistake.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::patient::{Examined, Patient};
use super::{Mistake, Setting};

/// Plays it and tells it. Says whether all went as it should.
///
/// # Errors
/// When the story cannot be written.
pub(super) fn play(mistake: &Mistake, setting: &Setting, as_json: bool) -> anyhow::Result<bool> {
    let mut story =
        Story { out: Box::new(if as_json { Out::Error(io::stderr()) } else { Out::Plain(io::stdout()) }) };
    story.say(&format!("\n== {}: {}", mistake.name, mistake.story))?;
    let outcome = steps(mistake, setting, &mut story);
    let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
    match &error {
        Some(error) => story.say(&format!("  FAILED: {error}"))?,
        None => story.say("  ok: nothing before, found, mended")?,
    }
    if as_json {
        let finding = outcome.as_ref().ok();
        let line = json!({
            "mistake": mistake.name,
            "check": mistake.check,
            "passed": error.is_none(),
            "finding": finding,
            "error": error,
        });
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(error.is_none())
}

enum Out {
    Plain(io::Stdout),
    Error(io::Stderr),
}

struct Story {
    out: Box<Out>,
}

impl Story {
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut *self.out {
            Out::Plain(out) => writeln!(out, "{text}"),
            Out::Error(out) => writeln!(out, "{text}"),
        }
        .context("cannot write the story")
    }
}

/// Returns what was found.
fn steps(mistake: &Mistake, setting: &Setting, story: &mut Story) -> anyhow::Result<Value> {
    let mut patient = (mistake.build)(setting).context("the laboratory")?;
    let before = patient.doctor()?;
    ensure!(before.worst() == 0, "the doctor finds something where all is well: {:#}", before.findings());
    let own: Vec<_> = before.by("drops").collect();
    ensure!(own.is_empty(), "the doctor finds its own packets: {own:#?}");
    let already: Vec<_> = before.by(mistake.check).collect();
    ensure!(already.is_empty(), "it is found before it was made: {already:#?}");
    ensure!(patient.is_served(), "clients are not served where all is well");

    (mistake.make)(&mut patient).context("making the mistake")?;
    if mistake.noticed {
        ensure!(!patient.is_served(), "no client has noticed the mistake");
        story.say("  clients notice: connections fail")?;
    }
    let sick = patient.doctor()?;
    let found: Vec<&Value> = sick.by(mistake.check).collect();
    ensure!(!found.is_empty(), "the doctor does not find it, but: {:#}", sick.findings());
    for finding in &found {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        story.say(&format!(
            "  {}: {}\n    saw  {}\n    why  {}",
            text("severity"),
            text("about"),
            text("saw"),
            text("why")
        ))?;
    }
    let worst = sick.worst_of(mistake.check);
    match mistake.by_hand {
        Some(by_hand) => {
            story.say("    mend by hand")?;
            by_hand(&mut patient).context("mending by hand")?;
        }
        None => cure(&patient, &found, story)?,
    }

    let after = patient.doctor()?;
    let left: Vec<_> =
        after.by(mistake.check).filter(|finding| Examined::severity(finding) >= worst).collect();
    ensure!(left.is_empty(), "it is still found after it was mended: {left:#?}");
    let known = |finding: &&Value| sick.by(finding["check"].as_str().unwrap_or_default()).next().is_some();
    let new: Vec<_> = after.serious().filter(|finding| !known(finding)).collect();
    ensure!(new.is_empty(), "mending it has made another mistake: {new:#?}");
    ensure!(patient.is_over || patient.is_served(), "clients are not served after it was mended");
    Ok(found[0].clone())
}

/// Types what the doctor has printed, where it says.
fn cure(patient: &Patient, found: &[&Value], story: &mut Story) -> anyhow::Result<()> {
    for finding in found {
        let cures = finding["cures"].as_array().filter(|cures| !cures.is_empty());
        for cure in cures.with_context(|| format!("no command mends it: {finding:#}"))? {
            let command = cure["command"].as_str().unwrap_or_default();
            let node = match cure["on"].as_str() {
                None => patient.place(),
                Some(ip) => patient.host(ip.parse()?)?,
            };
            story.say(&format!("    mend {node}# {command}"))?;
            let output = patient.shell(node, command)?;
            if !output.status.success() {
                bail!("`{command}` fails on {node}: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
    }
    Ok(())
}
