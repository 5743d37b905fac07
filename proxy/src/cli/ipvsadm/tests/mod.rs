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

/// Recorded ones are replayed with `compat = "ipvs"`, what is ours without.
macro_rules! transcripts {
    ($compat:literal: $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay(include_str!(concat!("transcripts/", stringify!($name), ".txt")), $compat);
        }
    )*};
}

transcripts!(true: services, servers, marks, persistence, methods, flags, thresholds);
transcripts!(true: lists, options, matrix, names, ipv6, restore, by_line, timeouts, daemon);
transcripts!(false: ours);

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

fn replay(transcript: &str, compat: bool) {
    let mut names = Files::default();
    let engine: Rc<RefCell<Fake>> = Rc::default();
    engine.borrow_mut().compat = compat;
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
    fn no_words_whatever_panic(words in prop::collection::vec("(-{0,2}[ALEDadeCSRZPQGtusrmwncXpzF6]{0,3}(=[a-z0-9.:]{0,4})?|[0-9.:\\[\\]]{0,9}|.{0,3})", 0..6), input in "(-[Aa] [ -~]{0,9}\n|.{0,4}\n){0,3}") {
        let engine = Rc::new(RefCell::new(Fake::default()));
        let answer = run(&words, &input, &Files::default(), &engine);
        prop_assert!(["= 0\n", "= 1\n", "= 2\n", "= 255\n"].iter().any(|code| answer.ends_with(code)), "{}", answer);
    }

    /// Whatever can be said is saved, and restores to the same.
    #[test]
    fn save_and_restore_are_inverse(
        services in prop::collection::vec((0..SERVICES.len(), 0..SETTINGS.len()), 1..6),
        servers in prop::collection::vec((0..SERVICES.len(), 0..SERVERS.len(), 1u8..5, 0u32..9), 0..12),
        lips in prop::collection::vec((0..=SERVICES.len(), 1u8..4), 0..5),
        timeouts in (0u32..5, 0u32..5, 0u32..5),
    ) {
        let engine = Rc::new(RefCell::new(Fake::default()));
        let run = |line: &str, input: &str| run(&words(line), input, &Files::default(), &engine);
        for (service, settings) in services {
            run(&format!("-A {} {}", SERVICES[service], SETTINGS[settings]), "");
        }
        for (service, settings, server, weight) in servers {
            let (service, settings) = (SERVICES[service], SERVERS[settings]);
            run(&format!("-a {service} -r 10.1.0.{server} -w {weight} {settings}"), "");
            run(&format!("-a {service} -r fd01::{server} -w {weight} {settings}"), "");
        }
        for (service, lip) in lips {
            let service = SERVICES.get(service).copied().unwrap_or_default();
            run(&format!("-P {service} -z 10.2.0.{lip}"), "");
            run(&format!("-P {service} -z fd02::{lip}"), "");
        }
        run(&format!("--set {} {} {}", timeouts.0, timeouts.1, timeouts.2), "");
        let everything = (run("-Ln --json", ""), run("-L --timeout", ""), run("-G", ""));
        let saved = run("-Sn", "");
        let text: String = saved.lines().filter_map(|l| l.strip_prefix("> ")).map(|l| l.to_owned() + "\n").collect();
        run("-C", "");
        run("--set 900 120 300", "");
        prop_assert_eq!(run("ipvsadm-restore", &text), "= 0\n");
        prop_assert_eq!((run("-Ln --json", ""), run("-L --timeout", ""), run("-G", "")), everything);
        prop_assert_eq!(run("ipvsadm-save -n", ""), saved);
    }
}

const SERVICES: [&str; 7] = [
    "-t 10.0.0.1:80",
    "-u 10.0.0.1:0",
    "--sctp-service 10.0.0.2:99",
    "-t [fd00::1]:80",
    "-f 5",
    "-f 4294967295 -6",
    "-u 10.0.0.3:53",
];

const SETTINGS: [&str; 6] = [
    "-s rr",
    "-s swrr -p",
    "-p 77 -M 255.255.0.0 -s sh -b sh-port,flag-3",
    "-p 77 -M 48 -b flag-1",
    "--pe sip -p 5 -s wrr",
    "-o -s sh -b sh-fallback -p 1 --pe sip",
];

const SERVERS: [&str; 6] = [
    "-m",
    "-g -x 100",
    "-i -x 9 -y 4",
    "-i --tun-type gue --tun-port 6080 --tun-remcsum",
    "-i --tun-type gre --tun-csum",
    "-m --slow-start 30 -x 7",
];

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
