//! TLS ends at the director: what the lesson wishes for and LVS cannot do.

use super::Scenario;
use super::words::{CURL, add, alternates, nat_lab, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "tls-offload",
    summary: "TLS ends at the director, the servers speak plain HTTP and still see the client",
    intro: "The lesson: \"the user's request comes to the director by TLS, and between director and servers there is none; \
            but LVS cannot do that\". ulvs can. The servers know nothing of certificates.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[("openssl", "openssl")],
    steps,
};

fn steps() -> Vec<Step> {
    let https = |ca: &str, path: &str, times: u8| {
        format!("for i in {{1..{times}}}; do {CURL} -S --cacert {ca} https://www.ilinux.io{path}; done")
    };
    vec![
        Step::new("A CA", "director", "ulvs ca init").part("A certificate, by ulvs").says("ca.crt"),
        Step::new("A certificate", "director", "ulvs ca issue --dns www.ilinux.io --out site; ls")
            .says("site.crt")
            .says("site.key"),
        start().part("The front"),
        Step::new("The service", "director", "ipvsadm -A -t 203.0.113.1:443 -s rr"),
        add("203.0.113.1:443", "10.0.0.11:80", "-m").means("Port 80 of the server: plain HTTP."),
        add("203.0.113.1:443", "10.0.0.12:80", "-m"),
        Step::new("TLS ends here", "director", "ulvs tls add tcp/203.0.113.1:443 --cert site.crt --key site.key"),
        Step::new("The client learns the CA", "director", "scp ca.crt client:"),
        Step::new("https", "client", https("ca.crt", "/", 4))
            .check("both servers answer, in turns", |said| alternates(said) && said.lines().len() == 4),
        Step::new("Who listens on a server", "server1", "ss -tnl")
            .check("nobody on port 443", |said| said.text.contains(":80") && !said.text.contains(":443")),
        Step::new("Whom does a server see?", "client", https("ca.crt", "/whoami", 1))
            .part("The client's address")
            .check("the director", |said| said.text.starts_with("10.0.0.1:"))
            .means("It is the director that speaks to the server now."),
        Step::new(
            "Speak in the client's name",
            "director",
            "ulvs tls add tcp/203.0.113.1:443 --stack userspace --identity transparent",
        ),
        Step::new("Whom does a server see?", "client", https("ca.crt", "/whoami", 1))
            .check("the client", |said| said.text.starts_with("198.51.100.10:"))
            .means("Its address and port, as without TLS. (For HTTP there is also --identity forwarded: X-Forwarded-For.)"),
        Step::new(
            "A key and a request",
            "director",
            "openssl genrsa -out httpd.key 2048; openssl req -new -key httpd.key -out httpd.csr -subj /CN=www.ilinux.io",
        )
        .part("The same, with openssl"),
        Step::new(
            "A certificate",
            "director",
            "openssl x509 -req -in httpd.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out httpd.crt -days 365 \
             -extfile <(echo subjectAltName=DNS:www.ilinux.io)",
        )
        .says("www.ilinux.io")
        .means("The two tools take each other's files."),
        Step::new(
            "It takes the place of the first",
            "director",
            "ulvs tls remove tcp/203.0.113.1:443; ulvs tls add tcp/203.0.113.1:443 --cert httpd.crt --key httpd.key",
        ),
        Step::new("https", "client", https("ca.crt", "/", 4))
            .check("both servers answer, in turns", |said| alternates(said) && said.lines().len() == 4),
        Step::new("What the front has done", "director", "ulvs tls list"),
        stop(),
    ]
}
