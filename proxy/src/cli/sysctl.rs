//! `ulvs sysctl`: the sysctls of IPVS, and our own beside them, read and written as sysctl(8) does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use control::api::{Blocking, Settings, SettingsChange};
use control::settings::{SettingError, Sysctl};

use super::text::folded;
use super::{fail, say};

/// Reads and sets the engine's numbers, in the manner of sysctl(8). What is set takes effect with the next packet and
/// lasts until the engine ends: to keep it, write it into the configuration file, section `[sysctl]` or `[ulvs]`. If one
/// of several cannot be set, none is.
#[derive(Debug, Args)]
#[command(after_help = list())]
pub(super) struct SysctlArgs {
    /// All of them
    #[arg(short, long)]
    all: bool,
    /// Values only
    #[arg(short = 'n', long)]
    values: bool,
    /// Accepted and not needed
    #[arg(short = 'w', long, hide = true)]
    write: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    /// What to read or set; `net.ipv4.vs.` may be left out
    #[arg(required_unless_present = "all", value_name = "NAME[=VALUE]")]
    words: Vec<String>,
}

pub(super) fn main(args: &SysctlArgs) -> ExitCode {
    let mut named = Vec::new();
    let mut change = SettingsChange::default();
    let mut errors = Vec::new();
    for word in &args.words {
        match understand(word) {
            Ok((sysctl, value)) => {
                named.push(sysctl);
                if let Some(value) = value {
                    change.sysctls.insert(sysctl.to_string(), value);
                }
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    let unset = if change.sysctls.is_empty() { "" } else { "; nothing was set" };
    if !errors.is_empty() && !change.sysctls.is_empty() {
        return complain(&errors, unset);
    }
    let settings = Blocking::connect().and_then(|mut engine| {
        if change.sysctls.is_empty() { engine.settings() } else { engine.set(&change) }
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return fail(&format!("{error}{unset}")),
    };
    if args.all {
        named = Sysctl::ALL.to_vec();
    }
    print(&settings, &named, args);
    if errors.is_empty() { ExitCode::SUCCESS } else { complain(&errors, "") }
}

/// `NAME`, or `NAME=VALUE` with blanks around the sign or without.
fn understand(word: &str) -> Result<(Sysctl, Option<i32>), SettingError> {
    let Some((name, value)) = word.split_once('=') else { return Ok((Sysctl::find(word.trim())?, None)) };
    let (sysctl, value) = (Sysctl::find(name.trim())?, value.trim());
    let number = value.parse().map_err(|_| SettingError::Range {
        name: sysctl.to_string(),
        value: value.to_owned(),
        range: sysctl.about().range,
    })?;
    sysctl.accept(number)?;
    Ok((sysctl, Some(number)))
}

fn print(settings: &Settings, named: &[Sysctl], args: &SysctlArgs) {
    if args.json {
        let values: BTreeMap<String, i32> = named.iter().map(|s| (s.to_string(), settings.get(*s))).collect();
        say(&serde_json::json!(values).to_string());
        return;
    }
    for sysctl in named {
        let value = settings.get(*sysctl);
        say(&if args.values { value.to_string() } else { format!("{sysctl} = {value}") });
    }
}

fn complain(errors: &[String], unset: &str) -> ExitCode {
    for error in errors {
        fail(&format!("{error}{unset}"));
    }
    ExitCode::FAILURE
}

/// All of them with their defaults, for the help text.
fn list() -> String {
    let mut out = "Examples:\n  ulvs sysctl -a\n  ulvs sysctl net.ipv4.vs.expire_nodest_conn=1\n".to_owned();
    out += "All of them, with their defaults:\n";
    for sysctl in Sysctl::ALL {
        let about = sysctl.about();
        // Writing to a string does not fail.
        let _ = write!(out, "  {sysctl} = {}", about.ours);
        if about.ours != about.ipvs {
            let _ = write!(out, " ({} under compat = \"ipvs\")", about.ipvs);
        }
        for line in folded(about.summary, 72) {
            let _ = write!(out, "\n      {line}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_as_sysctl_does() {
        let understood = |word: &str| understand(word).map_err(|error| error.to_string());
        assert_eq!(understood("net.ipv4.vs.drop_entry"), Ok((Sysctl::DropEntry, None)));
        for word in ["net.ipv4.vs.drop_entry=3", "net/ipv4/vs/drop_entry = 3", "drop_entry=3"] {
            assert_eq!(understood(word), Ok((Sysctl::DropEntry, Some(3))), "{word}");
        }
        let range = "net.ipv4.vs.drop_entry cannot be";
        for bad in ["4", "abc", "", "99999999999"] {
            let error = understood(&format!("drop_entry={bad}")).unwrap_err();
            assert_eq!(error, format!("{range} {bad}: it takes a whole number from 0 to 3"));
        }
    }

    #[test]
    fn the_help_lists_every_sysctl() {
        let text = list();
        assert_eq!(
            text.lines().filter(|line| line.contains("  net.ipv4.vs.") || line.contains("  ulvs.")).count(),
            Sysctl::ALL.len()
        );
        let expected = "  ulvs.reset_on_end = 1 (0 under compat = \"ipvs\")\n      a connection that";
        assert!(text.contains(expected), "{text}");
    }
}
