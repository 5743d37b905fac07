//! Words for people, as they meet them: what the texts of `ulvs help` tell them to type works, manual pages and
//! completions are such as their readers want, and an installation has all of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lab::node::Node;
use tempfile::TempDir;

use crate::support::{binary, printed};

/// `ulvs` with these arguments, which has to succeed.
fn ulvs(args: &[&str]) -> String {
    let output = Command::new(binary()).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "ulvs {args:?}: {}", printed(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The topics that `ulvs help` lists.
fn topics() -> Vec<String> {
    let list = ulvs(&["help"]);
    let lines = list.lines().skip(1).take_while(|line| line.starts_with("  "));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// What a text has one type on a director, as root: lines with a `#` after their indent, with those that they go on in.
fn typed(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.trim_start().strip_prefix("# ").map(str::to_owned)).collect()
}

/// A director that has the networks which the texts speak of, and a directory to work in.
fn director() -> (Node, TempDir) {
    let dir = TempDir::new().unwrap();
    let mut node = Node::new("director").unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    node.set_env("PATH", path);
    node.set_env("ULVS_STATE_DIR", dir.path().join("state"));
    std::os::unix::fs::symlink(binary(), dir.path().join("ulvs")).unwrap();
    for (device, address) in [("clients", "10.0.0.254/24"), ("servers", "192.168.1.1/24")] {
        node.exec(&["ip", "link", "add", device, "type", "veth", "peer", "name", &format!("{device}-peer")])
            .unwrap();
        node.exec(&["ip", "addr", "add", address, "dev", device]).unwrap();
        for end in [device, &format!("{device}-peer")] {
            node.exec(&["ip", "link", "set", end, "up"]).unwrap();
        }
    }
    (node, dir)
}

#[test]
fn what_the_topics_have_one_type_works() {
    let topics = topics();
    assert!(topics.len() >= 16 && topics.contains(&"persistence".to_owned()), "{topics:?}");
    let mut commands = 0;
    for topic in topics {
        let (node, dir) = director();
        let run = |line: &str| {
            let mut command = node.command("bash");
            command.args(["-ec", line]).current_dir(dir.path()).stdin(Stdio::null());
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let complaint =
                said.lines().any(|line| line.starts_with("ulvs: ") && !line.starts_with("ulvs: note: "));
            assert!(output.status.success() && !complaint, "{topic}: `{line}`: {}", printed(&output));
        };
        run("ulvs run --detach");
        for line in typed(&ulvs(&["help", &topic])) {
            run(&line);
            commands += 1;
        }
        run("ulvs stop");
    }
    assert!(commands > 60, "only {commands} commands in all topics");
}

#[test]
fn the_configuration_in_the_help_is_good() {
    let dir = TempDir::new().unwrap();
    let text = ulvs(&["help", "config"]);
    let from = text.find("  [[service]]").unwrap();
    let to = text.find("  ulvs check").unwrap();
    let file = dir.path().join("ulvs.toml");
    fs::write(&file, &text[from..to]).unwrap();
    let checked = ulvs(&["check", file.to_str().unwrap()]);
    assert!(checked.contains("good: 1 service, 1 server"), "{checked}");
}

#[test]
fn manual_pages_are_clean_and_there_is_one_for_every_command_and_topic() {
    let dir = TempDir::new().unwrap();
    ulvs(&["man", "--out", dir.path().to_str().unwrap()]);
    for page in [
        "man8/ulvs.8",
        "man8/ulvs-run.8",
        "man8/ulvs-tls-add.8",
        "man8/ulvs-iptables.8",
        "man8/ipvsadm.8",
        "man8/ipvsadm-save.8",
        "man8/ipvsadm-restore.8",
        "man7/ulvs-dr.7",
    ] {
        assert!(dir.path().join(page).exists(), "no {page}");
    }
    for topic in topics() {
        assert!(dir.path().join(format!("man7/ulvs-{topic}.7")).exists(), "no page for {topic}");
    }
    let mut pages = 0;
    for section in ["man7", "man8"] {
        for page in fs::read_dir(dir.path().join(section)).unwrap() {
            let page = page.unwrap().path();
            let lint =
                Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output().unwrap();
            assert!(lint.status.success(), "{}", printed(&lint));
            pages += 1;
        }
    }
    assert!(pages > 50, "only {pages} pages");
    let shown = |page: &str| {
        let shown = Command::new("mandoc").args(["-T", "ascii"]).arg(dir.path().join(page)).output().unwrap();
        // Without what makes letters bold.
        let text = String::from_utf8(shown.stdout).unwrap();
        let chars: Vec<char> = text.chars().collect();
        let kept =
            chars.iter().enumerate().filter(|(i, c)| **c != '\x08' && chars.get(i + 1) != Some(&'\x08'));
        kept.map(|(_, c)| *c).collect::<String>()
    };
    let drain = shown("man8/ulvs-drain.8");
    assert!(drain.contains("--deadline") && drain.contains("  ulvs drain -f 3 -r 192.168.1.1\n"), "{drain}");
    let ipvsadm = shown("man8/ipvsadm.8");
    assert!(
        ipvsadm.contains("--add-service") && ipvsadm.contains("ipvsadm -A -f 3 -s sh -p 600"),
        "{ipvsadm}"
    );
    assert!(shown("man7/ulvs-nat.7").contains("|----------------->|"), "drawings are kept");
}

#[test]
fn a_page_is_printed_by_its_name() {
    let tls = ulvs(&["man", "ulvs-tls.7"]);
    assert!(tls.contains("TH ulvs-tls 7") || tls.contains("TH ulvs\\-tls 7"), "{tls}");
    assert!(ulvs(&["man"]).contains("ulvs-dr(7)") || ulvs(&["man"]).contains("ulvs\\-dr(7)"));
    assert_eq!(ulvs(&["man", "lab"]), ulvs(&["man", "ulvs-lab"]));
    assert_eq!(ulvs(&["man", "tls.7"]), tls);
    let wrong = Command::new(binary()).args(["man", "ulvs-drian"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(printed(&wrong).contains("did you mean `ulvs-drain`?"), "{}", printed(&wrong));
}

#[test]
fn bash_zsh_and_fish_take_the_completions() {
    let dir = TempDir::new().unwrap();
    for (shell, script) in [
        // What bash would offer for `ulvs dra`.
        (
            "bash",
            "source FILE; complete -p ulvs; COMP_WORDS=(ulvs dra); COMP_CWORD=1; _ulvs ulvs dra ulvs; echo ${COMPREPLY[@]}",
        ),
        ("zsh", "autoload -U compinit; compinit -D; source FILE; echo $_comps[ulvs]"),
        ("fish", "source FILE; complete -C 'ulvs dra'"),
    ] {
        let file = dir.path().join(shell);
        fs::write(&file, ulvs(&["completions", shell])).unwrap();
        let script = script.replace("FILE", file.to_str().unwrap());
        let output = Command::new(shell).args(["-c", &script]).env("HOME", dir.path()).output().unwrap();
        let expected = if shell == "zsh" { "_ulvs" } else { "drain" };
        let text = printed(&output);
        assert!(
            output.status.success() && output.stderr.is_empty() && text.contains(expected),
            "{shell}: {text}"
        );
    }
}

/// What bash, zsh and fish offer where a name is wanted.
#[test]
fn names_of_labs_machines_checks_and_mistakes_are_completed() {
    let dir = TempDir::new().unwrap();
    for (line, expected) in [
        ("ulvs lab run lec", "lecture"),
        ("ulvs lab up tls-o", "tls-offload"),
        ("ulvs lab down fwm", "fwmark"),
        ("ulvs lab exec direc", "director"),
        ("ulvs lab shell server", "server2"),
        ("ulvs lab exec --lab sched", "schedulers"),
        ("ulvs doctor --only way-b", "way-back"),
        ("ulvs doctor --only other-gate", "other-gateway"),
        ("ulvs help pers", "persistence"),
        ("ulvs man troub", "troubleshooting"),
        ("ulvs tls add --stack user", "userspace"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let bash = format!(
            "source FILE; COMP_WORDS=({line}); COMP_CWORD={}; _ulvs ulvs {} {}; echo ${{COMPREPLY[@]}}",
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        for (shell, script) in [("bash", bash), ("fish", format!("source FILE; complete -C '{line}'"))] {
            let file = dir.path().join(shell);
            fs::write(&file, ulvs(&["completions", shell])).unwrap();
            let script = script.replace("FILE", file.to_str().unwrap());
            let output = Command::new(shell).args(["-c", &script]).env("HOME", dir.path()).output().unwrap();
            let offered = printed(&output);
            assert!(offered.split_whitespace().any(|word| word == expected), "{shell}: {line}: {offered}");
        }
        assert!(ulvs(&["completions", "zsh"]).contains(expected), "{line}");
    }
}

#[test]
fn an_installation_has_every_name_and_every_paper() {
    let dir = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/dist/install.sh");
    let install = || {
        let mut command = Command::new(&script);
        command.arg(binary()).arg("/opt/ulvs").env("DESTDIR", dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", printed(&output));
    };
    install();
    // Once more, over what is there.
    install();
    let root = dir.path().join("opt/ulvs");
    let said = |program: &str, argument: &str| {
        printed(&Command::new(root.join(program)).arg(argument).output().unwrap())
    };
    assert!(said("sbin/ulvs", "--version").starts_with("ulvs "));
    assert!(said("sbin/ipvsadm", "-v").starts_with("ipvsadm v1.31"));
    assert!(said("libexec/ulvs/iptables", "-V").starts_with("iptables v"));
    assert!(said("libexec/ulvs/ip6tables-save", "-V").starts_with("ip6tables-save v"));
    assert!(!root.join("sbin/iptables").exists(), "the host's iptables stays what it is");
    let unit = fs::read_to_string(root.join("lib/systemd/system/ulvs.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/ulvs/sbin/ulvs run --rules "), "{unit}");
    assert!(!unit.contains("/usr/sbin"), "{unit}");
    for file in [
        "share/man/man8/ulvs.8",
        "share/man/man7/ulvs-marks.7",
        "share/bash-completion/completions/ulvs",
        "share/zsh/site-functions/_ulvs",
        "share/fish/vendor_completions.d/ulvs.fish",
    ] {
        assert!(fs::metadata(root.join(file)).unwrap().len() > 100, "{file} is empty");
    }
    let missing =
        Command::new(&script).arg(dir.path().join("nothing")).env("DESTDIR", dir.path()).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(printed(&missing).contains("run `make build` first"), "{}", printed(&missing));
}

/// What a README has: the headings' ranks, what is typed and shown without its comments, and how many rows tables have.
fn skeleton(file: &str) -> (Vec<String>, Vec<String>, usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap();
    let (mut headings, mut shown, mut rows, mut fenced) = (Vec::new(), Vec::new(), 0, false);
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            shown.push(line.to_owned());
        } else if fenced {
            shown.push(line.split('#').next().unwrap_or_default().trim_end().to_owned());
        } else if line.starts_with('#') {
            headings.push(line.split(' ').next().unwrap_or_default().to_owned());
        } else if line.starts_with('|') {
            rows += 1;
        }
    }
    (headings, shown, rows)
}

#[test]
fn the_readme_in_chinese_has_all_that_the_other_one_has() {
    let (english, chinese) = (skeleton("README.md"), skeleton("README.zh.md"));
    assert!(english.1.len() > 200 && english.2 > 100, "{english:?}");
    assert_eq!(chinese, english);
}
