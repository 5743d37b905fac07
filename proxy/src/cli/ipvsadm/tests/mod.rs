//! Transcripts, replayed: `transcripts/*.txt` hold command lines with what the real ipvsadm answered on a real IPVS
//! (`record.sh` records them again), `ours.txt` what only this version says. Each file begins with an empty table.
//!
//! ```text
//! host 10.0.0.1 www.example      what the resolver knows
//! port http 80/tcp
//! < a line of stdin
//! $ the command line             in single quotes: words with blanks
//! > a line of stdout
//! ! a line of stderr
//! = the exit code
//! ```

mod engine;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use control::api::ClientError;
use proptest::prelude::*;
use sched::Proto;

use super::resolve::Resolve;
use super::{Engine, Failure, Program, World, execute};
use engine::Fake;

macro_rules! transcripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay(include_str!(concat!("transcripts/", stringify!($name), ".txt")));
        }
    )*};
}

transcripts!(services, servers, lists, options, names, ipv6, restore, ours);

/// `/etc/hosts` and `/etc/services`.
#[derive(Default)]
struct Files {
    hosts: Vec<(IpAddr, String)>,
    ports: HashMap<(Proto, String), u16>,
}

impl Files {
    fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["host", ip, name] => self.hosts.push((ip.parse().unwrap(), name.to_owned())),
            ["port", name, spec] => {
                let (port, proto) = spec.split_once('/').unwrap();
                let proto = if proto == "tcp" { Proto::Tcp } else { Proto::Udp };
                self.ports.insert((proto, name.to_owned()), port.parse().unwrap());
            }
            _ => panic!("{line}"),
        }
    }
}

impl Resolve for Files {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        self.hosts.iter().find_map(|(ip, n)| match ip {
            IpAddr::V4(ip) if n == name => Some(*ip),
            _ => None,
        })
    }

    fn port(&self, proto: Proto, name: &str) -> Option<u16> {
        self.ports.get(&(proto, name.to_owned())).copied()
    }

    fn host_name(&self, ip: IpAddr) -> Option<String> {
        self.hosts.iter().find(|(i, _)| *i == ip).map(|(_, name)| name.clone())
    }

    fn port_name(&self, proto: Proto, port: u16) -> Option<String> {
        self.ports.iter().find(|(k, p)| k.0 == proto && **p == port).map(|(k, _)| k.1.clone())
    }
}

fn replay(transcript: &str) {
    let mut names = Files::default();
    let engine = Rc::new(RefCell::new(Fake::default()));
    let (mut input, mut said) = (String::new(), String::new());
    for line in transcript.lines() {
        if let Some(text) = line.strip_prefix('<') {
            input += text.strip_prefix(' ').unwrap_or(text);
            input += "\n";
        } else if let Some(command) = line.strip_prefix("$ ") {
            let answer = run(&words(command), &input, &names, &engine);
            write!(said, "{line}\n{answer}").unwrap();
            input.clear();
            continue;
        } else if line.starts_with("host ") || line.starts_with("port ") {
            names.add(line);
        } else if line.starts_with(['>', '!', '=']) {
            continue;
        }
        said += line;
        said += "\n";
    }
    compare(transcript, &said);
}

/// Runs one command line; the answer in the notation of a transcript.
fn run(words: &[String], input: &str, names: &Files, engine: &Rc<RefCell<Fake>>) -> String {
    let (program, args) = match words.first().map(String::as_str) {
        Some("ipvsadm-save") => (Program::Save, &words[1..]),
        Some("ipvsadm-restore") => (Program::Restore, &words[1..]),
        _ => (Program::Ipvsadm, words),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut connect = || match engine.borrow().stopped {
        true => Err(ClientError::NoEngine),
        false => Ok(Box::new(Rc::clone(engine)) as Box<dyn Engine>),
    };
    let mut input = input.as_bytes();
    let mut world = World { out: &mut out, err: &mut err, input: &mut input, names, connect: &mut connect };
    let code = execute(program, args, &mut world);
    let mut answer = String::new();
    for (mark, bytes) in [('>', out), ('!', err)] {
        for line in String::from_utf8(bytes).unwrap().lines() {
            writeln!(answer, "{mark} {line}").unwrap();
        }
    }
    writeln!(answer, "= {code}").unwrap();
    answer
}

/// Splits at blanks; single quotes hold words together.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Shows every command whose answer differs.
fn compare(expected: &str, said: &str) {
    let commands = |text: &str| text.split("\n$ ").map(str::to_owned).collect::<Vec<_>>();
    let mut wrong = String::new();
    for (expected, said) in commands(expected).iter().zip(commands(said)) {
        if expected.trim_end_matches('\n') != said.trim_end_matches('\n') {
            write!(wrong, "\n--- expected\n$ {expected}\n--- said\n$ {said}\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(expected.trim_end(), said.trim_end());
}

proptest! {
    #[test]
    fn no_words_whatever_panic(words in prop::collection::vec("(-{0,2}[ALEDadeCSRZtusrmwncXp6]{0,3}(=[a-z0-9.:]{0,4})?|[0-9.:\\[\\]]{0,9}|.{0,3})", 0..6), input in "(-[Aa] [ -~]{0,9}\n|.{0,4}\n){0,3}") {
        let engine = Rc::new(RefCell::new(Fake::default()));
        let answer = run(&words, &input, &Files::default(), &engine);
        prop_assert!(["= 0\n", "= 1\n", "= 2\n", "= 255\n"].iter().any(|code| answer.ends_with(code)), "{}", answer);
    }

    /// Whatever can be saved restores to the same.
    #[test]
    fn save_and_restore_are_inverse(edits in prop::collection::vec((0u8..3, 0u8..3, 1u32..9), 0..12)) {
        let engine = Rc::new(RefCell::new(Fake::default()));
        let script: String = edits.iter().map(|(service, server, weight)| format!(
            "-A -t 10.0.0.{service}0:80 -s wrr\n-a -t 10.0.0.{service}0:80 -r 10.1.0.{server}1:80 -m -w {weight}\n"
        )).collect();
        let run = |line: &str, input: &str| run(&words(line), input, &Files::default(), &engine);
        run("-R", &script);
        let saved = run("-Sn", "");
        let text: String = saved.lines().filter_map(|l| l.strip_prefix("> ")).map(|l| l.to_owned() + "\n").collect();
        run("-C", "");
        prop_assert_eq!(run("ipvsadm-restore", &text), "= 0\n");
        prop_assert_eq!(run("ipvsadm-save -n", ""), saved);
    }
}

#[test]
fn refusals_of_the_engine_have_their_exit_codes() {
    let cases = [
        (ClientError::NoEngine, Failure::OPTIONS, "Can't initialize ipvs: no engine is running"),
        (ClientError::Permission("no".to_owned()), Failure::REFUSED, "Permission denied (you must be root)"),
        (ClientError::Failed("nft: no".to_owned()), Failure::REFUSED, "nft: no"),
    ];
    for (error, code, message) in cases {
        let failure = Failure::from(error);
        assert_eq!(failure.code, code);
        assert!(failure.message.starts_with(message), "{}", failure.message);
    }
}
