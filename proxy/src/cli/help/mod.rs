//! `ulvs help`: short texts about what there is to understand, with a drawing each. To add one: a file beside this one and
//! a line in [`TOPICS`].
//!
//! In a text, a line that begins with `#` after its indent is typed as root on a director, all of them in order, and works
//! there (`tests/words.rs` does it); other commands belong to another machine, or take something that is not given.

use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use control::nearest::meant;
use lab::hint::Hint;

use super::{Cli, fail, iptables, ipvsadm, say};

/// Explains one topic (`ulvs help marks`), or a command as its --help does (`ulvs help ca issue`); alone it lists both.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ulvs help\n  ulvs help dr\n  ulvs help tls add")]
pub(super) struct HelpArgs {
    /// A topic, or the words of a command
    #[arg(value_name = "TOPIC", value_parser = Hint(names), hide_possible_values = true)]
    words: Vec<String>,
}

/// The names of all topics, for shells to complete.
pub(super) fn names() -> Vec<&'static str> {
    TOPICS.iter().map(|topic| topic.name).collect()
}

/// A text about something.
pub(super) struct Topic {
    pub(super) name: &'static str,
    /// What else people call it.
    others: &'static [&'static str],
    /// It begins with its name and what it is in one line.
    pub(super) text: &'static str,
}

macro_rules! topics {
    ($($name:literal $(or $other:literal)*,)+) => {
        /// All of them, in the order in which one would read them.
        pub(super) const TOPICS: &[Topic] = &[$(Topic {
            name: $name,
            others: &[$($other),*],
            text: include_str!(concat!($name, ".txt")),
        }),+];
    };
}

topics! {
    "lvs" or "ipvs" or "words" or "director" or "vip",
    "nat" or "masq" or "masquerading",
    "fullnat" or "lip" or "laddr",
    "dr" or "route" or "direct-routing" or "gateway",
    "tun" or "tunnel" or "ipip" or "gre" or "gue",
    "arp" or "arp_ignore" or "ndp",
    "marks" or "fwmark" or "fwm",
    "persistence" or "templates" or "affinity" or "sticky",
    "schedulers" or "scheduler" or "wrr" or "wlc" or "rr" or "sh",
    "weights" or "weight" or "thresholds" or "slow-start" or "draining",
    "health" or "checks" or "quorum" or "sorry",
    "timeouts" or "timeout" or "states",
    "save-restore" or "save" or "restore" or "rules",
    "config" or "configuration" or "toml" or "file",
    "sysctl" or "settings",
    "tls" or "https" or "certificates" or "offload",
    "fronts" or "front" or "stack" or "identity",
    "packet-port" or "packet" or "port" or "ports" or "rings",
    "troubleshooting" or "trouble" or "problems" or "debug",
}

impl Topic {
    /// What it is about, in a line.
    pub(super) fn summary(&self) -> &'static str {
        self.text.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, summary)| summary)
    }

    /// The topic that is called so.
    pub(super) fn find(word: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == word || topic.others.contains(&word))
    }
}

pub(super) fn main(args: &HelpArgs) -> ExitCode {
    match explain(&args.words) {
        Ok(Text::Ours(text)) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Text::Ipvsadm) => ipvsadm::main(["--help".into()]),
        Ok(Text::Iptables(program)) => iptables::main(program, ["--help".into()]),
        Err(text) => fail(&text),
    }
}

/// Where the text is.
#[derive(Debug, PartialEq)]
enum Text {
    Ours(String),
    /// A personality explains itself.
    Ipvsadm,
    Iptables(iptables::Program),
}

fn explain(words: &[String]) -> Result<Text, String> {
    // People shout DR and NAT.
    let words: Vec<_> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let Some((first, rest)) = words.split_first() else { return Ok(Text::Ours(list())) };
    if rest.is_empty() {
        if first == "ipvsadm" {
            return Ok(Text::Ipvsadm);
        }
        if let Some(program) = iptables::Program::by_name(first) {
            return Ok(Text::Iptables(program));
        }
        let exactly = TOPICS.iter().find(|topic| topic.name == first);
        let command = || command(&words).ok();
        if let Some(topic) = exactly.or_else(|| command().is_none().then(|| Topic::find(first)).flatten()) {
            let same = command().map(|_| format!("\nThe command of this name: `ulvs {first} --help`\n"));
            return Ok(Text::Ours(format!("{}{}", topic.text, same.unwrap_or_default())));
        }
    }
    command(&words).map(Text::Ours)
}

/// The help of a command.
fn command(words: &[String]) -> Result<String, String> {
    let mut command = Cli::command();
    command.build();
    for (i, word) in words.iter().enumerate() {
        let found = command.find_subcommand(word).filter(|found| !found.is_hide_set()).cloned();
        command = found.ok_or_else(|| unknown(word, &words[..i], &command))?;
    }
    Ok(command.render_long_help().to_string())
}

fn unknown(word: &str, before: &[String], command: &Command) -> String {
    if before.is_empty() && Topic::find(word).is_some() {
        return format!(
            "`{word}` is a topic, with nothing behind it: `ulvs help {word}`, one topic at a time"
        );
    }
    let commands = command.get_subcommands().filter(|c| !c.is_hide_set()).map(Command::get_name);
    let topics = TOPICS.iter().flat_map(|topic| std::iter::once(&topic.name).chain(topic.others)).copied();
    let near = if before.is_empty() { meant(word, topics.chain(commands)) } else { meant(word, commands) };
    let before = before.iter().map(|word| format!("{word} ")).collect::<String>();
    let what = if before.is_empty() { "topic or command" } else { "command" };
    format!("there is no {what} `{before}{word}`{near} (`ulvs help` lists them)")
}

/// Everything that can be asked for.
fn list() -> String {
    let mut text = "Topics, `ulvs help TOPIC`:\n".to_owned();
    for topic in TOPICS {
        text += &format!("  {:<17} {}\n", topic.name, topic.summary());
    }
    text += "\nCommands, `ulvs help COMMAND` or `ulvs COMMAND --help`:\n";
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let line = format!("  {:<17} {about}", command.get_name());
        text += &format!("{}\n", shortened(&line));
    }
    text
}

/// As much of a line as has room on a terminal.
fn shortened(line: &str) -> String {
    if line.chars().count() <= 78 {
        return line.to_owned();
    }
    let fits: String = line.chars().take(78).collect();
    match fits.rfind([':', ';', '(', ',']) {
        // What is said first is what matters.
        Some(end) => fits[..end].trim_end().to_owned(),
        None => format!("{}...", fits.rsplitn(3, ' ').last().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
