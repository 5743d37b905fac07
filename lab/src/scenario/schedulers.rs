//! Every scheduler on the same clients.

use super::Scenario;
use super::words::{CURL, nat_lab, start, stop};
use crate::play::{Said, Step};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "schedulers",
    summary: "every scheduler, side by side on the same clients: a bar for each server, then a table",
    intro: "Three servers with weights of 3, 2 and 1. Six clients make six connections each, one after the other, and the \
            same again for each scheduler. A bar shows how many of the 36 a server has got.",
    topology: |terms| nat_lab(terms, 3),
    serving: &["server1", "server2", "server3"],
    needs: &[("ip", "iproute2"), ("awk", "mawk")],
    steps,
};

/// Each, what it goes by, and what its 36 connections have to be like.
const SCHEDULERS: [(&str, &str, Shape); 16] = [
    ("rr", "takes turns, whatever the weights", Shape::Shares([12, 12, 12])),
    ("wrr", "takes turns by weight", Shape::Shares([18, 12, 6])),
    ("lc", "the least connections, whatever the weights", Shape::Even),
    ("wlc", "the least connections for its weight; the default", Shape::Shares([18, 12, 6])),
    (
        "sed",
        "the shortest delay that the next connection would have: open ones count, and here none stays open",
        Shape::All,
    ),
    ("nq", "an idle server first, else as sed", Shape::All),
    ("fo", "failover: the available server of the highest weight gets all", Shape::Shares([36, 0, 0])),
    (
        "ovf",
        "overflow: the highest weight until it has as many open connections as its weight",
        Shape::Shares([36, 0, 0]),
    ),
    ("twos", "the better of two that chance picks", Shape::All),
    ("lblc", "by destination, for caches: one VIP is one destination", Shape::One),
    ("lblcr", "the same with a set of servers", Shape::All),
    ("dh", "a hash of the destination: one VIP, one server", Shape::One),
    ("sh", "a hash of the client's address", Shape::Sticky),
    ("mh", "Maglev: a hash that moves few clients when servers change", Shape::Sticky),
    ("swrr", "by weight, smoothly: never two in a row where it can be helped", Shape::Shares([18, 12, 6])),
    ("p2c-latency", "the better of two by what it takes them to answer", Shape::All),
];

/// What can be said of how connections are spread.
#[derive(Clone, Copy)]
enum Shape {
    /// Exactly so.
    Shares([u32; 3]),
    /// As even as whole connections allow, one or two apart.
    Even,
    /// All on one server.
    One,
    /// Each client on one server.
    Sticky,
    /// Nothing but that all are served.
    All,
}

/// Six addresses ask six times in turn; bars, and a line for the table.
const ASK: &str = r##"cat > ask <<'END'
#!/bin/bash
for round in {1..6}; do for n in {10..15}; do
  echo "$n $(CURL --interface 198.51.100.$n http://203.0.113.1:$2/)"
done; done > answers
awk -v name="$1" '{ all[$2]++; pairs[$1 $2] }
  END { for (p in pairs) kept++
    for (i = 1; i <= 3; i++) { s = "server" i; bar = ""; for (k = 0; k < all[s]; k++) bar = bar "#"
      printf "%s %3d %s\n", s, all[s], bar; row = row sprintf("%9d", all[s]) }
    printf "%-12s%s\n", name, row >> "table"
    print (kept == 6 ? "each client has one server" : "clients change servers") }' answers
END
chmod +x ask; printf '%-12s%9s%9s%9s\n' scheduler server1 server2 server3 > table
for n in {11..15}; do ip addr add 198.51.100.$n/24 dev eth0; done"##;

fn shares(said: &Said<'_>) -> Vec<u32> {
    let lines = said.lines().into_iter().filter(|line| line.starts_with("server"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect()
}

impl Shape {
    fn check(self, step: Step) -> Step {
        let served = |said: &Said<'_>| shares(said).iter().sum::<u32>() == 36;
        match self {
            Self::Shares(wanted) => step
                .check(format!("{wanted:?} connections, as its rule says"), move |said| {
                    shares(said) == wanted
                }),
            Self::Even => step.check("as even as can be", |said| {
                let shares = shares(said);
                shares.iter().max().zip(shares.iter().min()).is_some_and(|(most, least)| most - least <= 2)
            }),
            Self::One => step.check("one server has all", |said| shares(said).contains(&36)),
            Self::Sticky => {
                step.check("every client stays where it is", |said| said.text.contains("each client has one"))
            }
            Self::All => step,
        }
        .check("all 36 are served", served)
    }
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        start(),
        Step::new("Six clients, and a script that counts", "client", ASK.replace("CURL", CURL)),
    ];
    for (port, (name, rule, shape)) in (8001..).zip(SCHEDULERS) {
        let service = format!(
            "s=203.0.113.1:{port}; ipvsadm -A -t $s -s {name}; \
             for n in 1 2 3; do ipvsadm -a -t $s -r 10.0.0.1$n:80 -m -w $((4 - n)); done"
        );
        steps.push(Step::new("A service of its own", "director", service).part(name));
        let asked = Step::new(format!("{name}: {rule}"), "client", format!("./ask {name} {port}"));
        steps.push(shape.check(asked));
    }
    steps.push(
        Step::new("All of them", "client", "cat table")
            .part("Side by side")
            .show(20)
            .check("there is a row for each", |said| said.lines().len() == 1 + SCHEDULERS.len()),
    );
    steps.push(stop());
    steps
}
