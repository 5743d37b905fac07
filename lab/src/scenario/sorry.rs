//! A service that has too few servers left says sorry, and does not change its mind at every sign of life.

use super::Scenario;
use super::words::{CURL, count, nat_lab, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "sorry",
    summary: "quorum lost, the sorry server answers; back with hysteresis",
    intro: "Three web servers, and a fourth one whose only page says that it is sorry. It is nobody's server as long as the \
            others have their quorum.",
    topology: |terms| nat_lab(terms, 4),
    serving: &["server1", "server2", "server3", "server4"],
    needs: &[],
    steps,
};

const CONFIG: &str = "\
[[service]]
vip = \"203.0.113.1\"
ports = [\"tcp/80\"]
scheduler = \"rr\"
server = [{ address = \"10.0.0.11:80\" }, { address = \"10.0.0.12:80\" }, { address = \"10.0.0.13:80\" }]
[service.health]
quorum = 2
hysteresis = 1
sorry = { address = \"10.0.0.14:80\" }
[[service.check]]
kind = \"tcp\"
interval = \"500ms\"
fall = 2
rise = 2
";

fn steps() -> Vec<Step> {
    let dies = |number: u8| {
        Step::new(format!("server{number} dies"), format!("server{number}"), "systemctl stop httpd")
    };
    let lives = |number: u8| {
        Step::new(format!("server{number} is started"), format!("server{number}"), "systemctl start httpd")
    };
    vec![
        Step::new("A service with a quorum", "director", format!("cat > ulvs.toml <<'END'\n{CONFIG}END"))
            .part("A quorum")
            .means(
                "The weights of live servers are added up. Below quorum - hysteresis, which is 1, the service is down; it is \
                 up again from quorum + hysteresis on, which is 3.",
            ),
        Step::new("The page of server4", "server4", "mkdir -p html; echo sorry > html/test1.html"),
        Step::new("Start ulvs", "director", "ulvs run --detach --config ulvs.toml"),
        weigh(3).says(": quorum, live servers weigh 3 (needed: 2 +- 1), sorry server 10.0.0.14:80"),
        requests().check("the three take turns", |said| {
            ["server1", "server2", "server3"].iter().all(|server| count(said, server) == 2)
        }),
        Step::new("What schedulers see", "director", "ipvsadm -Ln")
            .check("the sorry server is not among them", |said| !said.text.contains("10.0.0.14")),
        dies(1).part("One after the other"),
        dies(2),
        weigh(1).says(": quorum, live servers weigh 1"),
        requests()
            .means("Less than the quorum of 2, and not yet less than 2 - 1: one server bears it all.")
            .check("server3 answers everything", |said| count(said, "server3") == 6),
        dies(3),
        weigh(0).says("QUORUM LOST, live servers weigh 0 (needed: 2 +- 1), the sorry server 10.0.0.14:80 serves"),
        requests().check("sorry, six times", |said| count(said, "sorry") == 6),
        Step::new("What schedulers see", "director", "ipvsadm -Ln")
            .check("the sorry server, and nobody else", |said| {
                said.text.contains("10.0.0.14:80") && said.text.matches("Masq").count() == 1
            }),
        lives(1)
            .part("Back, and not too soon")
            .means("Without a sign from the others: whoever lets every client loose on the first one that is back will lose it again."),
        lives(2),
        weigh(2).says("QUORUM LOST, live servers weigh 2"),
        requests()
            .means("The quorum is 2, and two are alive. What lets go of the service at 1 takes it up again at 3: in between nothing changes.")
            .check("still sorry", |said| count(said, "sorry") == 6),
        lives(3),
        weigh(3).says(": quorum, live servers weigh 3"),
        requests().check("the three take turns again", |said| {
            ["server1", "server2", "server3"].iter().all(|server| count(said, server) == 2)
        }),
        stop().part("The end"),
    ]
}

/// `ulvs health`, once the live servers have this weight.
fn weigh(sum: u8) -> Step {
    let line = format!("until ulvs health | grep -q 'weigh {sum} '; do sleep 0.1; done; ulvs health");
    Step::new("How are they?", "director", line)
}

fn requests() -> Step {
    let line = format!("for i in {{1..6}}; do {CURL} http://203.0.113.1/test1.html; done");
    Step::new("Six requests", "client", line)
}
