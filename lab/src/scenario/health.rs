//! Checks at the three levels of the lesson, on the same servers at the same time: what each of them misses, and how many
//! answers it takes to change one's mind.

use super::Scenario;
use super::words::{count, nat_lab, stop};
use crate::play::{Said, Step};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "health",
    summary: "who is dead? ping, port and page have three opinions; soft and hard states",
    intro: "What the lesson left open: a server that is dead still gets requests. Its sequel names three levels of asking, and \
            this is all three at once: port 81 of the VIP has its servers pinged, port 82 has their port tried, port 83 has a \
            page fetched. Behind all of them are the same two web servers.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[("ping", "iputils-ping")],
    steps,
};

const SERVER: &str = "10.0.0.12:80";

fn steps() -> Vec<Step> {
    [beginning(), daemon_dies(), program_dies(), page_is_wrong(), soft_and_hard(), window()]
        .into_iter()
        .flatten()
        .collect()
}

fn beginning() -> Vec<Step> {
    let servers = "server = [{ address = \"10.0.0.11:80\" }, { address = \"10.0.0.12:80\" }]";
    let service = |port: u16, check: &str| {
        format!(
            "[[service]]\nvip = \"203.0.113.1\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n{servers}\ncheck = [{{ {check} }}]\n"
        )
    };
    let text = [
        "[health]\ninterval = \"1s\"\ntimeout = \"900ms\"\nfall = 3\nrise = 2\n".to_owned(),
        service(81, "kind = \"icmp\""),
        service(82, "kind = \"tcp\""),
        service(83, "kind = \"http\", path = \"/test1.html\", keyword = \"server\""),
    ];
    vec![
        Step::new("Three ways to ask", "director", format!("cat > ulvs.toml <<'END'\n{}END", text.concat()))
            .part("Three levels")
            .means(
                "Each second every server is asked. Three failures in a row make it dead, two successes make it alive again. \
                 With kind = \"http\" the page has to come with a status from 200 to 299, and to have the word in it.",
            ),
        Step::new("Is it right?", "director", "ulvs check ulvs.toml"),
        Step::new("Start ulvs", "director", "ulvs run --detach --config ulvs.toml"),
        Step::new("How are they?", "director", asked_until(83, "ok", "ulvs health"))
            .show(16)
            .check("both servers are up in all three", |said| {
                (81..=83).all(|port| ["10.0.0.11:80", SERVER].iter().all(|s| state(said, port, s) == "up"))
            }),
    ]
}

fn daemon_dies() -> Vec<Step> {
    vec![
        Step::new("The web server dies", "server2", "systemctl stop httpd").part("The daemon is dead"),
        Step::new("Ping it", "director", "ping -c 1 -W 1 10.0.0.12")
            .says("1 received")
            .means("It is the kernel of a machine that answers, whatever has become of the programs on it."),
        Step::new("How are they?", "director", until(82, "down", until(83, "down", "ulvs health")))
            .show(16)
            .means("Nobody listens on the port any more: the transport level knows, and so does the application level.")
            .check("for ping it is up", |said| state(said, 81, SERVER) == "up")
            .check("for port and page it is down", |said| {
                state(said, 82, SERVER) == "down" && state(said, 83, SERVER) == "down"
            }),
        Step::new("Six requests each", "client", requests(&[81, 82, 83]))
            .means("Round robin sends every other request on port 81 to the dead; the other two do not know it any more.")
            .check("half of those on port 81 fail", |said| count(said, "81 200") == 3 && count(said, "81 000") == 3)
            .check("none of the others", |said| count(said, "82 200") == 6 && count(said, "83 200") == 6),
        Step::new("It is started again", "server2", "systemctl start httpd"),
        back(),
    ]
}

fn program_dies() -> Vec<Step> {
    vec![
        Step::new("The program behind the pages crashes", "server2", "touch broken")
            .part("The port is open")
            .means("The web server itself is well. It takes the request, and says that it cannot do anything about it."),
        Step::new("How are they?", "director", until(83, "down", "ulvs health"))
            .show(16)
            .says("status 500 where 200-299 was expected")
            .check("for ping and port it is up", |said| {
                state(said, 81, SERVER) == "up" && state(said, 82, SERVER) == "up"
            })
            .check("only who has asked for a page knows", |said| state(said, 83, SERVER) == "down"),
        Step::new("Six requests each", "client", requests(&[82, 83]))
            .check("half of those on port 82 get an error", |said| {
                count(said, "82 200") == 3 && count(said, "82 500") == 3
            })
            .check("none of those on port 83", |said| count(said, "83 200") == 6),
        Step::new("It is mended", "server2", "rm broken"),
        back(),
    ]
}

fn page_is_wrong() -> Vec<Step> {
    vec![
        Step::new("Another page", "server2", "mkdir -p html; echo 'Welcome to httpd!' > html/test1.html")
            .part("The page is another one")
            .means("An update has put the page back that web servers come with. Status: 200, all is well."),
        Step::new("How are they?", "director", until(83, "down", "ulvs health"))
            .show(16)
            .says("the body does not contain `server`")
            .means(
                "Without the keyword nobody would have noticed: a status is what a server thinks of itself.",
            )
            .check("for ping and port it is up", |said| {
                state(said, 81, SERVER) == "up" && state(said, 82, SERVER) == "up"
            }),
        Step::new("The old page", "server2", "rm -r html"),
        back(),
    ]
}

fn soft_and_hard() -> Vec<Step> {
    vec![
        Step::new("It fails", "server2", "touch broken").part("Soft and hard"),
        Step::new("At once", "director", until(83, "soft-down", "ulvs health tcp/203.0.113.1:83"))
            .says("soft-down 1/3")
            .means(
                "One failure may be a lost packet. The state is soft: the server gets requests as before, and is asked again. \
                 With fast_interval it would be asked sooner.",
            ),
        Step::new("It was nothing", "server2", "rm broken"),
        Step::new("A little later", "director", format!("sleep 3; {}", until(83, "up", "ulvs health tcp/203.0.113.1:83")))
            .check("both are up", |said| {
                state(said, 83, SERVER) == "up" && state(said, 83, "10.0.0.11:80") == "up"
            }),
        Step::new("It fails for good", "server2", "touch broken"),
        Step::new("Until the third time", "director", until(83, "down", "ulvs health tcp/203.0.113.1:83"))
            .says("(3 of 3)")
            .means("Three in a row: now the state is hard, and the server is out."),
        Step::new("It is mended", "server2", "rm broken"),
        back(),
    ]
}

fn window() -> Vec<Step> {
    let script = "#!/bin/sh\\necho >> /root/asked-$ULVS_VPORT\\n[ $(($(wc -l < /root/asked-$ULVS_VPORT) %% 2)) = 0 ]\\n";
    let service = |port: u16, more: &str| {
        format!(
            "[[service]]\nvip = \"203.0.113.1\"\nports = [\"tcp/{port}\"]\nserver = [{{ address = \"10.0.0.12:80\" }}]\n\
             check = [{{ kind = \"exec\", command = \"/root/every-other\", interval = \"300ms\"{more} }}]\n"
        )
    };
    let text = service(84, "") + &service(85, ", window = \"3/10\"");
    vec![
        Step::new(
            "A check that fails every other time",
            "director",
            format!("printf '{script}' > every-other; chmod +x every-other"),
        )
        .part("N of the last M")
        .means("kind = \"exec\" asks a program of one's own; what it ends with is the answer."),
        Step::new(
            "Two services that ask it",
            "director",
            format!("cat >> ulvs.toml <<'END'\n{text}END\nulvs reload"),
        )
        .means(
            "Never three in a row: with fall = 3 alone such a server is alive for ever. window = \"3/10\" takes it out when \
             three of the last ten answers were wrong. A reload leaves what the others know as it was.",
        ),
        Step::new("How are they?", "director", until(85, "down", "ulvs health"))
            .show(24)
            .check("without a window it is not dead", |said| {
                let state = state(said, 84, SERVER);
                state == "up" || state.starts_with("soft-down")
            })
            .check("with one it is", |said| {
                let state = state(said, 85, SERVER);
                state == "down" || state.starts_with("soft-up")
            })
            .check("the others are as they were", |said| (81..=83).all(|port| state(said, port, SERVER) == "up")),
        stop().part("The end"),
    ]
}

/// It is up everywhere again.
fn back() -> Step {
    Step::new("Two successes later", "director", until(82, "up", until(83, "up", "ulvs health")))
        .show(0)
        .check("it is up in all three", |said| (81..=83).all(|port| state(said, port, SERVER) == "up"))
}

/// The line, once server2 is in this state for the service at this port.
fn until(port: u16, state: &str, line: impl AsRef<str>) -> String {
    asked_until(port, &format!("10.0.0.12:80 *{state} "), line)
}

fn asked_until(port: u16, text: &str, line: impl AsRef<str>) -> String {
    let line = line.as_ref();
    format!("until ulvs health tcp/203.0.113.1:{port} | grep -q '{text}'; do sleep 0.1; done; {line}")
}

/// Six requests at each of these ports: port and status, 000 for none.
fn requests(ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    format!(
        "for port in {}; do for i in {{1..6}}; do curl -s -o /dev/null --max-time 2 -w \"$port %{{http_code}}\\n\" \
         http://203.0.113.1:$port/test1.html; done; done; true",
        ports.join(" ")
    )
}

/// The state of a server in `ulvs health`.
fn state<'a>(said: &Said<'a>, port: u16, server: &str) -> &'a str {
    let service = format!("TCP 203.0.113.1:{port}:");
    let rows = said.lines().into_iter().skip_while(|line| !line.starts_with(&service)).skip(1);
    let mut rows = rows.take_while(|line| !line.starts_with("TCP "));
    let row = rows.find(|line| line.starts_with(&format!("{server} "))).unwrap_or_default();
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(1).unwrap_or_default()
}
