//! Words that several scenarios need: steps that they share, and what answers are asked for.

use crate::play::{Said, Step};
use crate::standing::Terms;
use crate::topo::{DirectLab, DirectOptions, NatLab, NatOptions, Topology, VipPlace};

/// `curl`, `for` loops and more are typed with these options.
pub(super) const CURL: &str = "curl -s --max-time 10";

/// Clients, a director, so many servers, wired for NAT.
pub(super) fn nat_lab(terms: &Terms, servers: usize) -> anyhow::Result<Box<dyn Topology>> {
    let options = NatOptions { servers, state_root: terms.root.clone(), ..NatOptions::default() };
    Ok(Box::new(NatLab::new(&options)?))
}

/// Director and servers on one link, where the VIP is nobody's yet.
pub(super) fn one_link(terms: &Terms) -> anyhow::Result<Box<dyn Topology>> {
    let options = DirectOptions {
        vip: VipPlace::Subnet,
        vip_on_servers: false,
        state_root: terms.root.clone(),
        ..DirectOptions::default()
    };
    Ok(Box::new(DirectLab::new(&options)?))
}

/// Starts the engine on the director.
pub(super) fn start() -> Step {
    Step::new("Start ulvs", "director", "ulvs run --detach").means(
        "IPVS is part of the kernel and always there; ulvs is a program. It takes packets for virtual addresses out of \
         the kernel and puts them back rewritten.",
    )
}

/// Ends it; the director has to be as it was.
pub(super) fn stop() -> Step {
    Step::new("Put everything back", "director", "ulvs stop")
        .means("Routes, rules and settings that ulvs has changed are what they were before it started.")
        .restores()
}

/// Every line is the same.
pub(super) fn same(said: &Said<'_>) -> bool {
    let lines = said.lines();
    lines.len() > 1 && lines.windows(2).all(|pair| pair[0] == pair[1])
}

/// No line is the same as the one before.
pub(super) fn alternates(said: &Said<'_>) -> bool {
    let lines = said.lines();
    lines.len() > 1 && lines.windows(2).all(|pair| pair[0] != pair[1])
}

/// How many lines are this one.
pub(super) fn count(said: &Said<'_>, line: &str) -> usize {
    said.lines().iter().filter(|said| **said == line).count()
}

/// A server of a TCP service.
pub(super) fn add(service: &str, server: &str, method: &str) -> Step {
    let line = format!("ipvsadm -a -t {service} -r {server} {method}");
    Step::new(format!("A server, {server}"), "director", line)
}

/// A certificate of www.ilinux.io from a CA on the director, for https on these servers; the client gets the CA.
pub(super) fn https_on(servers: &[&'static str]) -> Vec<Step> {
    let copies = servers
        .iter()
        .map(|server| format!("scp httpd.crt httpd.key ssl.conf {server}:/etc/httpd/conf.d/; "));
    let restart =
        |server: &&'static str| Step::new(format!("https on {server}"), *server, "systemctl restart httpd");
    let mut steps = vec![
        Step::new(
            "A CA and a certificate",
            "director",
            "ulvs ca init && ulvs ca issue --dns www.ilinux.io --out httpd && scp ca.crt client:",
        )
        .part("https on the servers")
        .show(0)
        .means("In one line what the lecture does with openssl in ten."),
        Step::new(
            "The same certificate for all servers",
            "director",
            format!(
                "printf 'SSLCertificateFile /etc/httpd/conf.d/httpd.crt\\nSSLCertificateKeyFile \
                 /etc/httpd/conf.d/httpd.key\\n' > ssl.conf; {}",
                copies.collect::<String>().trim_end_matches("; ")
            ),
        ),
    ];
    steps.extend(servers.iter().map(restart));
    steps
}
