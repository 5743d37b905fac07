//! `ulvs completions`: made from the command line's own description, so it never lags behind.

use std::process::ExitCode;

use clap::{Arg, Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Cli, say};

/// Prints what a shell needs to complete command lines of ulvs. `make install` puts it where shells look for it.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: ShellArg,
}

const AFTER_HELP: &str = "\
Examples, for this shell alone:
  source <(ulvs completions bash)
and for all to come:
  ulvs completions bash > /etc/bash_completion.d/ulvs
  ulvs completions zsh > /usr/local/share/zsh/site-functions/_ulvs
  ulvs completions fish > /etc/fish/completions/ulvs.fish";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShellArg {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn main(args: &CompletionsArgs) -> ExitCode {
    let shell = match args.shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    let (mut script, mut command) = (Vec::new(), Cli::command());
    clap_complete::generate(shell, &mut command, "ulvs", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Fish {
        script += &values(&command);
    }
    say(script.trim_end());
    ExitCode::SUCCESS
}

/// What clap does not tell fish: the values of arguments that have no name. By the functions of clap's own script.
fn values(root: &Command) -> String {
    let mut lines = Vec::new();
    for command in root.get_subcommands() {
        let using = format!("__fish_ulvs_using_subcommand {}", command.get_name());
        lines.extend(line(command, &using));
        for below in command.get_subcommands() {
            lines.extend(line(
                below,
                &format!("{using}; and __fish_seen_subcommand_from {}", below.get_name()),
            ));
        }
    }
    lines.concat()
}

/// Of one command, if it has such an argument.
fn line(command: &Command, condition: &str) -> Option<String> {
    let values = command.get_positionals().flat_map(Arg::get_possible_values);
    let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
    let names = Some(names.join(" ")).filter(|names| !names.is_empty())?;
    Some(format!("complete -c ulvs -n \"{condition}\" -f -a \"{names}\"\n"))
}
