//! `ulvs completions`: made from the command line's own description, so it never lags behind.

use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
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
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ulvs", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
