//! Transcripts, replayed: `transcripts/real*.txt` hold command lines with what iptables 1.8.9 (nf_tables) answered
//! (`record.sh` records them again), `ours.txt` what only this version says. Each begins without rules.
//!
//! ```text
//! < a line of stdin
//! $ the command line             in single quotes: words with blanks
//! > a line of stdout
//! ! a line of stderr
//! = the exit code
//! ```

use std::cell::RefCell;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use control::api::{Applied, ClientError, MarkList};
use proptest::prelude::*;
use sched::{Op, Proto, ServiceTable, Trash};

use super::super::ipvsadm::resolve::Resolve;
use super::{Engine, Program, World, execute};

macro_rules! transcripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay(include_str!(concat!("transcripts/", stringify!($name), ".txt")));
        }
    )*};
}

transcripts!(
    real_lecture,
    real_rules,
    real_lists,
    real_mistakes,
    real_counters,
    real_restore,
    real_ipv6,
    ours
);

/// What /etc/services has of the ports that are met.
struct Services;

impl Resolve for Services {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn port(&self, _: Proto, name: &str) -> Option<u16> {
        [("http", 80), ("https", 443), ("domain", 53)]
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, port)| port)
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: Proto, port: u16) -> Option<String> {
        let names = [("http", 80), ("https", 443), ("domain", 53)];
        names.into_iter().find(|(_, p)| *p == port).map(|(name, _)| name.to_owned())
    }
}

/// An engine without packets.
#[derive(Default)]
struct Fake {
    stopped: bool,
    table: ServiceTable,
}

impl Engine for Rc<RefCell<Fake>> {
    fn marks(&mut self) -> Result<MarkList, ClientError> {
        let table = &self.borrow().table;
        Ok(MarkList::of(table.generation(), table.marks()))
    }

    fn apply(&mut self, ops: Vec<Op>) -> Result<Applied, ClientError> {
        let mut this = self.borrow_mut();
        let refused = |(index, error)| ClientError::Refused { index, error };
        this.table = this.table.apply(&mut Trash::default(), &ops).map_err(refused)?;
        Ok(Applied { generation: this.table.generation(), failures: Vec::new() })
    }
}

struct Answer {
    out: String,
    err: String,
    code: u8,
}

fn call(engine: &Rc<RefCell<Fake>>, words: &[String], stdin: &str) -> Answer {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let program = Program::ALL.into_iter().find(|p| p.name() == words[0]).unwrap();
    let code = execute(
        program,
        &words[1..],
        &mut World {
            out: &mut out,
            err: &mut err,
            input: &mut stdin.as_bytes(),
            names: &Services,
            connect: &mut || {
                if engine.borrow().stopped {
                    return Err(ClientError::NoEngine);
                }
                Ok(Box::new(Rc::clone(engine)))
            },
            now: UNIX_EPOCH,
        },
    );
    Answer { out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap(), code }
}

/// Runs a transcript and compares the answers with those that it holds.
fn replay(text: &str) {
    let engine = Rc::new(RefCell::new(Fake::default()));
    let (mut got, mut stdin) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(input) = line.strip_prefix("< ").or_else(|| (line == "<").then_some("")) {
            stdin += &format!("{input}\n");
            writeln!(got, "{line}").unwrap();
        } else if let Some(command) = line.strip_prefix("$ ") {
            let answer = call(&engine, &words(command), &std::mem::take(&mut stdin));
            writeln!(got, "{line}").unwrap();
            answer.out.lines().for_each(|line| writeln!(got, "{}", format!("> {line}").trim_end()).unwrap());
            answer.err.lines().for_each(|line| writeln!(got, "{}", format!("! {line}").trim_end()).unwrap());
            writeln!(got, "= {}", answer.code).unwrap();
        } else if line.starts_with('#') || line.is_empty() {
            writeln!(got, "{line}").unwrap();
        } else if line == "stop the engine" {
            engine.borrow_mut().stopped = true;
            writeln!(got, "{line}").unwrap();
        }
    }
    // Blanks at the end of lines are compared by a test of their own: editors take them away.
    let trimmed = |text: &str| text.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&got), trimmed(text), "\n{got}");
}

fn words(command: &str) -> Vec<String> {
    let quoted = command.split('\'').enumerate();
    quoted
        .flat_map(|(i, part)| {
            if i % 2 == 1 {
                vec![part.to_owned()]
            } else {
                part.split_whitespace().map(str::to_owned).collect()
            }
        })
        .collect()
}

#[test]
fn lines_of_a_listing_end_as_they_do() {
    let engine = Rc::new(RefCell::new(Fake::default()));
    let run = |command: &str| call(&engine, &words(command), "");
    run("iptables -t mangle -A PREROUTING -d 172.16.0.99 -j MARK --set-mark 3");
    let out = run("iptables -t mangle -nL PREROUTING").out;
    assert!(out.contains("destination         \nMARK"), "{out}");
    assert!(out.ends_with("172.16.0.99          MARK set 0x3\n"), "{out}");
}

#[test]
fn a_broken_restore_changes_nothing() {
    let engine = Rc::new(RefCell::new(Fake::default()));
    call(&engine, &words("iptables -t mangle -A PREROUTING -d 172.16.0.99 -j MARK --set-mark 3"), "");
    let before = engine.borrow().table.marks().rules().cloned().collect::<Vec<_>>();
    for wrong in ["-A PREROUTING -j DROP", "-D PREROUTING 9", "-A OUTPUT -j MARK --set-mark 1", ":x - [0:0]"]
    {
        let text = format!("*mangle\n-A PREROUTING -j MARK --set-mark 9\n{wrong}\nCOMMIT\n");
        assert_ne!(call(&engine, &words("iptables-restore"), &text).code, 0, "{wrong}");
        assert_eq!(engine.borrow().table.marks().rules().cloned().collect::<Vec<_>>(), before, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec("[-!]{0,2}[a-zA-Z0-9:/,.*=]{0,6}", 0..8)) {
        let engine = Rc::new(RefCell::new(Fake::default()));
        let all = [vec!["iptables".to_owned(), "-t".to_owned(), "mangle".to_owned()], words.clone()].concat();
        call(&engine, &all, "");
        call(&engine, &["iptables-restore".to_owned()], &words.join(" "));
    }

    #[test]
    fn what_was_saved_is_restored(rules in proptest::collection::vec((0usize..7, 1u32..9, 0u8..3), 0..8)) {
        let engine = Rc::new(RefCell::new(Fake::default()));
        for (kind, mark, host) in rules {
            let conditions = [
                format!("-d 10.0.0.{host}"),
                format!("! -s 10.0.0.{host}/24 -p tcp --dport 80"),
                format!("-p udp -m udp ! --sport {host}:99 -i eth{host}"),
                "-p tcp -m multiport ! --ports 80,90:99 -d 10.0.0.1".to_owned(),
                "! -p 77 ! -i eth+".to_owned(),
                "-p sctp -m multiport --dports 1,2 -m sctp --sport 5".to_owned(),
                format!("-d 10.0.0.1,10.0.0.2 -c {mark} {host}"),
            ];
            let line = format!("iptables -t mangle -I PREROUTING {} -j MARK --set-xmark {mark}/{host}", conditions[kind]);
            let answer = call(&engine, &words(&line), "");
            prop_assert_eq!(answer.code, 0, "{}: {}", line, answer.err);
        }
        let saved = call(&engine, &words("iptables-save -c"), "").out;
        let other = Rc::new(RefCell::new(Fake::default()));
        let restored = call(&other, &words("iptables-restore -c"), &saved);
        prop_assert_eq!(restored.code, 0, "{}", restored.err);
        prop_assert_eq!(call(&other, &words("iptables-save -c"), "").out, saved);
    }
}
