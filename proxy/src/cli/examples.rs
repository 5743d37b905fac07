//! What help texts tell people to type: every command has an example of itself, and whatever stands there is understood
//! by the parsers that would get it.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::iptables::Program;
use super::{Cli, Command, Words, iptables, ipvsadm};

/// The commands of a text: lines that begin with one, whatever prompt stands before it, and what stands between
/// backquotes. A line that ends with a backslash goes on; what follows two blanks is a comment.
pub(super) fn commands(text: &str) -> Vec<String> {
    let mut pieces = text.split("\\\n");
    let mut joined = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| joined += piece.trim_start());
    let lines = joined.lines().filter(|line| line.starts_with("  ")).map(|line| {
        let prompts = ["# ", "$ ", "sudo "];
        let line =
            prompts.iter().fold(line.trim_start(), |line, prompt| line.strip_prefix(prompt).unwrap_or(line));
        line.split("  ").next().unwrap_or_default().to_owned()
    });
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned);
    let is_ours = |command: &String| command.split(' ').next().is_some_and(is_ours);
    lines.chain(quoted).filter(is_ours).collect()
}

fn is_ours(program: &str) -> bool {
    program == "ulvs" || program.starts_with("ipvsadm") || Program::by_name(program).is_some()
}

/// Gives a command to its parser, as a shell would.
pub(super) fn understood(command: &str) -> Result<(), String> {
    let words = split(command);
    let [program, args @ ..] = &words[..] else { return Err("nothing".to_owned()) };
    match (program.as_str(), Program::by_name(program)) {
        ("ipvsadm", _) => return ipvsadm::understood(args),
        (_, Some(program)) => return iptables::understood(program, args),
        (name, None) if name.starts_with("ipvsadm") => return Ok(()),
        _ => {}
    }
    let strings = |words: Vec<std::ffi::OsString>| -> Vec<String> {
        words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
    };
    match Cli::try_parse_from(&words).map(|cli| cli.command) {
        Ok(Command::Ipvsadm(Words { args })) => ipvsadm::understood(&strings(args)),
        Ok(Command::Iptables(Words { args })) => iptables::understood(Program::IPTABLES, &strings(args)),
        Ok(Command::Ip6tables(Words { args })) => iptables::understood(Program::IP6TABLES, &strings(args)),
        Ok(_) => Ok(()),
        // Of these a text may speak without saying all of it.
        Err(error) if is_help(error.kind()) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn is_help(kind: ErrorKind) -> bool {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    matches!(kind, DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// The words of the first command of a line: quotes hold words together, and the rest is the shell's.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | '<' | '>' | ';' | '&' | '#', None) if word.is_none() => return words,
            (';', None) => break,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_has_an_example_of_itself_that_is_understood() {
    let mut complaints = Vec::new();
    look(&Cli::command(), "ulvs", &mut complaints);
    assert!(complaints.is_empty(), "{} of the help texts:\n{}", complaints.len(), complaints.join("\n"));
}

fn look(command: &clap::Command, path: &str, complaints: &mut Vec<String>) {
    let (name, text) = match (command.get_name(), Program::by_name(command.get_name())) {
        (name @ "ipvsadm", _) => (name, ipvsadm::help_text()),
        (name, Some(program)) => (name, iptables::help_text(program)),
        _ => {
            let text = command.get_after_long_help().or_else(|| command.get_after_help());
            (path, text.map(ToString::to_string).unwrap_or_default())
        }
    };
    if !is_help_of_its_own(name) {
        complaints.extend(unshapely(path, &text));
    }
    let from = text.find("\nExample").or_else(|| text.starts_with("Example").then_some(0));
    let commands = commands(from.map_or("", |from| &text[from..]));
    if from.is_none() {
        complaints.push(format!(
            "`{path}` has no example: #[command(after_help = \"Example:\\n  {path} ...\")] at its variant or arguments"
        ));
    } else if !commands.iter().any(|line| line == name || line.starts_with(&format!("{name} "))) {
        complaints.push(format!(
            "`{path}` has no example of itself: a line that begins with two blanks and `{name}`"
        ));
    }
    for line in commands {
        if let Err(error) = understood(&line) {
            complaints.push(format!("`{path}`: its example `{line}` is not understood: {error}"));
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        look(sub, &format!("{path} {}", sub.get_name()), complaints);
    }
}

/// The personalities print their help as it stands; what comes after that of a command is broken where the terminal ends.
fn is_help_of_its_own(name: &str) -> bool {
    name == "ipvsadm" || Program::by_name(name).is_some()
}

/// Lines that a terminal of 80 columns would break where nobody wants it, and paragraphs that are broken already: they
/// would be broken twice.
fn unshapely(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, next) in text.lines().zip(text.lines().skip(1).map(Some).chain([None])) {
        let flush = |line: &str| !line.is_empty() && !line.starts_with(' ');
        if !flush(line) && line.chars().count() > 80 {
            complaints.push(format!("`{path}`: more than 80 columns: {line}"));
        }
        if flush(line) && next.is_some_and(flush) && !line.ends_with(['.', ':', ';', ')']) {
            complaints.push(format!("`{path}`: the paragraph is broken by hand after: {line}"));
        }
    }
    complaints
}

#[test]
fn commands_are_found_in_texts() {
    let text = "\
Write `ulvs status`, not ulvs state, or `something else`:
  # ulvs ipvsadm -A \\
      -t 10.0.0.1:80     a comment
  ulvs real start --vip 10.0.0.1     (on the server)
  $ ipvsadm -Sn > 'a file'
  echo ulvs stop
ulvs is a word.";
    let expected = [
        "ulvs ipvsadm -A -t 10.0.0.1:80",
        "ulvs real start --vip 10.0.0.1",
        "ipvsadm -Sn > 'a file'",
        "ulvs status",
    ];
    assert_eq!(commands(text), expected);
    assert_eq!(split("a 'b c' --d=\"e f\" '' > g"), ["a", "b c", "--d=e f", ""]);
}

#[test]
fn what_is_wrong_is_not_understood() {
    for line in [
        "ulvs statsu",
        "ulvs ipvsadm -A -t",
        "ulvs iptables -t mangle -A PREROUTING -j ACCEPT",
        "ipvsadm -Q -W",
    ] {
        assert!(understood(line).is_err(), "{line}");
    }
    for line in ["ulvs status --json | jq .", "ulvs real", "ulvs ca --help", "ipvsadm-restore < rules"] {
        assert_eq!(understood(line), Ok(()), "{line}");
    }
}
