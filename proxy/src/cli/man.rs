//! `ulvs man`: manual pages made of what there is already. Of each command its --help (section 8), of each topic of
//! `ulvs help` its text (section 7), of ipvsadm and iptables what they say about themselves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use lab::hint::Hint;
use tls::ca::Date;

use super::help::{self, TOPICS};
use super::iptables::{self, Program};
use super::{Cli, fail, ipvsadm, say};

/// Prints a manual page, for man(1) to show, or writes all of them.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ManArgs {
    /// Which one: ulvs, ulvs-run or run, ulvs-dr or dr, ipvsadm ...
    #[arg(default_value = "ulvs", value_name = "PAGE", conflicts_with = "out", value_parser = Hint(help::names),
          hide_possible_values = true)]
    page: String,
    /// Write all of them into this directory, below man7 and man8
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  ulvs man | man -l -
  ulvs man ulvs-tls-add | man -l -
  ulvs man --out /usr/local/share/man";

/// A page, ready to be shown.
struct Page {
    name: String,
    section: u8,
    text: Vec<u8>,
}

pub(super) fn main(args: &ManArgs) -> ExitCode {
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => return fail(&format!("cannot make the pages: {error}")),
    };
    let Some(dir) = &args.out else {
        let asked = args.page.trim_end_matches(".7").trim_end_matches(".8");
        let section = args.page.rsplit_once('.').map(|(_, section)| section);
        let called = |name: &str| {
            let fits =
                |page: &&Page| page.name == name && section.is_none_or(|s| s == page.section.to_string());
            pages.iter().find(fits)
        };
        // A command or a topic by its own name does as well.
        return match called(asked).or_else(|| called(&format!("ulvs-{}", asked.to_ascii_lowercase()))) {
            Some(page) => {
                say(String::from_utf8_lossy(&page.text).trim_end());
                ExitCode::SUCCESS
            }
            None => {
                let names = pages.iter().map(|page| page.name.as_str());
                let near = control::nearest::meant(asked, names);
                fail(&format!(
                    "there is no page `{}`{near} (`ulvs help` lists topics and commands)",
                    args.page
                ))
            }
        };
    };
    match pages.iter().try_for_each(|page| write(dir, page)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn write(dir: &Path, page: &Page) -> Result<(), String> {
    let dir = dir.join(format!("man{}", page.section));
    let path = dir.join(format!("{}.{}", page.name, page.section));
    let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, &page.text));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// When this program was built, or installed: what the pages say is true of that.
fn date() -> String {
    let built = std::env::current_exe().and_then(std::fs::metadata).and_then(|file| file.modified());
    let built = Date::from(built.unwrap_or_else(|_| SystemTime::now())).to_string();
    built.split(' ').next().unwrap_or_default().to_owned()
}

/// All of them.
fn pages() -> std::io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut root = Cli::command();
    root.build();
    of_command(&root, &mut pages)?;
    for topic in TOPICS {
        let body = topic.text.split_once('\n').map_or("", |(_, body)| body);
        pages.push(plain(&format!("ulvs-{}", topic.name), 7, topic.summary(), body));
    }
    let ipvsadm = "administer the virtual servers of ulvs in the words of ipvsadm";
    pages.push(plain("ipvsadm", 8, ipvsadm, &ipvsadm::help_text()));
    pages.push(plain("ipvsadm-save", 8, "print the virtual servers as commands that make them", SAVE));
    pages.push(plain("ipvsadm-restore", 8, "make the virtual servers that a file says", RESTORE));
    for (program, name) in [(Program::IPTABLES, "ulvs-iptables"), (Program::IP6TABLES, "ulvs-ip6tables")] {
        let about = "set firewall marks in the words of iptables";
        pages.push(plain(name, 8, about, &iptables::help_text(program)));
    }
    Ok(pages)
}

const SAVE: &str = "
Usage: ipvsadm-save [-n]

Prints the table of services as commands for ipvsadm-restore; with -n,
addresses and ports as numbers. It is ulvs in the role of ipvsadm-save.

Example:
  ipvsadm-save -n > /etc/ipvsadm.rules

See ulvs-save-restore(7).
";

const RESTORE: &str = "
Usage: ipvsadm-restore < FILE

Takes commands for ipvsadm, as ipvsadm-save prints them, in place of the
table that there is: all of them or, naming the first that makes no sense,
none. It is ulvs in the role of ipvsadm-restore.

Example:
  ipvsadm-restore < /etc/ipvsadm.rules

See ulvs-save-restore(7).
";

/// The page of a command, and those of its subcommands. Personalities have pages that say more.
fn of_command(command: &Command, pages: &mut Vec<Page>) -> std::io::Result<()> {
    if command.is_disable_help_flag_set() {
        return Ok(());
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let notes = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let man = Man::new(command.clone())
        .section("8")
        .date(date())
        .manual("ulvs")
        .source(concat!("ulvs ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(notes) = notes {
        text.extend(self::notes(&notes).to_roff().bytes());
    }
    if name == "ulvs" {
        let mut topics = Roff::new();
        topics.control("SH", ["TOPICS"]);
        for topic in TOPICS {
            topics.control("TP", []);
            topics.text([roman(format!("ulvs-{}(7)", topic.name))]).text([roman(topic.summary())]);
        }
        text.extend(topics.to_roff().bytes());
    }
    pages.push(Page { name, section: 8, text: tidy(&text) });
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| of_command(sub, pages))
}

/// What comes after the options: indented lines are kept as they are (mangen would fill them), the others are filled.
fn notes(text: &str) -> Roff {
    let mut notes = Roff::new();
    notes.control("SH", ["NOTES"]);
    let (mut kept, mut ended) = (false, false);
    for line in text.lines() {
        let keep = line.starts_with(' ');
        let request = match (kept, keep) {
            (false, true) => Some("nf"),
            (true, false) => Some("fi"),
            (false, false) if ended => Some("br"),
            _ => None,
        };
        if let Some(request) = request {
            notes.control(request, []);
        }
        (kept, ended) = (keep, line.ends_with(['.', ':']));
        notes.text([roman(line)]);
    }
    if kept {
        notes.control("fi", []);
    }
    notes
}

/// Without breaks beside blank lines, of which mandoc's lint complains.
fn tidy(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    let blank = |i: usize| lines.get(i).is_some_and(|line| line.is_empty());
    let idle = |i: usize| lines[i] == ".br" && (blank(i + 1) || i > 0 && blank(i - 1));
    let kept = (0..lines.len()).filter(|i| !idle(*i));
    kept.flat_map(|i| [lines[i], "\n"]).collect::<String>().into_bytes()
}

/// A page of plain text.
fn plain(name: &str, section: u8, summary: &str, body: &str) -> Page {
    let mut page = Roff::new();
    let source = concat!("ulvs ", env!("CARGO_PKG_VERSION"));
    page.control("TH", [name, &section.to_string(), &date(), source, "ulvs"]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - {summary}"))]);
    page.control("SH", ["DESCRIPTION"]);
    let text = verbatim(&mut page, body).render().into_bytes();
    Page { name: name.to_owned(), section, text }
}

/// Keeps lines and blanks as they are.
fn verbatim<'r>(roff: &'r mut Roff, text: &str) -> &'r mut Roff {
    roff.control("nf", []);
    for line in text.trim_matches('\n').lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", [])
}
