//! TLS on the servers: the certificate on both, and sessions that are lost when the next connection lands elsewhere.

use super::Scenario;
use super::words::{CURL, add, alternates, https_on, nat_lab, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "tls-rs",
    summary: "TLS on the servers: session resumption is lost when the next connection lands elsewhere",
    intro: "Each server ends TLS itself, with the same certificate. A TLS session can be resumed, which saves the costly \
            half of the handshake; but only where it was made. The lesson asks: what does balancing do to that?",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[("openssl", "openssl")],
    steps,
};

/// Ten connections of one client, each offering the session of the one before.
fn resume(at: &str) -> String {
    format!(
        "rm -f session; for i in {{1..10}}; do openssl s_client -connect {at}:443 -tls1_2 -sess_out session \
         $([ -e session ] && echo -sess_in session) </dev/null 2>/dev/null | grep -oE '^(New|Reused)'; done | \
         sort | uniq -c"
    )
}

fn counted(text: &str, word: &str) -> u32 {
    let line = text.lines().find(|line| line.ends_with(word)).unwrap_or_default();
    line.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn steps() -> Vec<Step> {
    let mut steps = https_on(&["server1", "server2"]);
    steps.extend([
        Step::new("One server, ten connections", "client", resume("10.0.0.11"))
            .part("Without balancing")
            .means("A server that is asked directly: the first session is new, nine are resumed.")
            .check("nine sessions are resumed", |said| counted(said.text, "Reused") == 9),
        start().part("Round robin"),
        Step::new("The service", "director", "ipvsadm -A -t 203.0.113.1:443 -s rr"),
        add("203.0.113.1:443", "10.0.0.11", "-m"),
        add("203.0.113.1:443", "10.0.0.12", "-m"),
        Step::new("https", "client", format!("for i in {{1..4}}; do {CURL} --cacert ca.crt https://www.ilinux.io/; done"))
            .means("The same certificate is on both, so curl notices nothing.")
            .check("the servers take turns", alternates),
        Step::new("Ten connections", "client", resume("203.0.113.1"))
            .means("Each offers a session that the other server has made: every handshake is a whole one.")
            .check("no session is resumed", |said| counted(said.text, "New") == 10),
        Step::new("Persistence", "director", "ipvsadm -E -t 203.0.113.1:443 -s rr -p").part("Two ways out"),
        Step::new("Ten connections", "client", resume("203.0.113.1"))
            .means("Sessions are resumed, but the client is bound to one server: that is no balancing, as the lesson says.")
            .check("nine sessions are resumed", |said| counted(said.text, "Reused") == 9),
        Step::new(
            "TLS ends at the director",
            "director",
            "ipvsadm -E -t 203.0.113.1:443 -s rr; ulvs tls add tcp/203.0.113.1:443 --cert httpd.crt --key httpd.key \
             --server-port 80",
        )
        .means("What the lesson wishes for and LVS cannot do: see `ulvs lab run tls-offload`."),
        Step::new("Ten connections", "client", resume("203.0.113.1"))
            .check("nine sessions are resumed", |said| counted(said.text, "Reused") == 9),
        Step::new("And the servers", "client", format!("for i in {{1..4}}; do {CURL} --cacert ca.crt https://www.ilinux.io/; done"))
            .check("still take turns", alternates),
        stop(),
    ]);
    steps
}
