//! Services and rules on disk: what `ipvsadm-save`, `ipvsadm-restore` and their relatives do.

use super::Scenario;
use super::words::{CURL, add, alternates, nat_lab, start, stop};
use crate::play::{Said, Step};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "save-restore",
    summary: "ipvsadm-save, ipvsadm-restore, -S, -R, iptables-save, and what a restart leaves",
    intro: "What is typed is gone with the next start. LVS keeps it in files of the commands that would type it again.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[],
    steps,
};

fn steps() -> Vec<Step> {
    let requests =
        || Step::new("Requests", "client", format!("for i in {{1..4}}; do {CURL} http://203.0.113.1/; done"));
    let works = |said: &Said<'_>| alternates(said) && said.lines().len() == 4;
    vec![
        start().part("Something to save"),
        Step::new(
            "A rule",
            "director",
            "iptables -t mangle -A PREROUTING -d 203.0.113.1 -p tcp --dport 8443 -j MARK --set-mark 7",
        ),
        Step::new("A service", "director", "ipvsadm -A -t 203.0.113.1:80 -s rr"),
        add("203.0.113.1:80", "10.0.0.11:80", "-m"),
        add("203.0.113.1:80", "10.0.0.12:80", "-m"),
        Step::new(
            "A service of the mark",
            "director",
            "ipvsadm -A -f 7 -s sh -p 300; ipvsadm -a -f 7 -r 10.0.0.11 -m -w 2",
        ),
        requests().check("the servers take turns", works),
        Step::new(
            "Save the services",
            "director",
            "ipvsadm-save -n > /etc/sysconfig/ipvsadm; cat /etc/sysconfig/ipvsadm",
        )
        .part("Save")
        .keep("saved")
        .says("-a -f 7 -r 10.0.0.11:0 -m -w 2")
        .means("`ipvsadm -S -n` prints the same."),
        Step::new("Is it so?", "director", "ipvsadm -S -n")
            .check("-S and ipvsadm-save agree", |said| said.text == said.earlier("saved")),
        Step::new(
            "Save the rules",
            "director",
            "iptables-save > /etc/sysconfig/iptables; grep MARK /etc/sysconfig/iptables",
        )
        .says("--dport 8443 -j MARK --set-xmark 0x7/0xffffffff"),
        Step::new(
            "All is gone",
            "director",
            "ulvs stop; ulvs run --detach; ipvsadm -Ln; iptables -t mangle -S PREROUTING",
        )
        .part("Restore")
        .check("there is no service and no rule", |said| !said.text.contains("203.0.113.1"))
        .means("As after a reboot."),
        Step::new(
            "Read them again",
            "director",
            "ipvsadm-restore < /etc/sysconfig/ipvsadm; iptables-restore < /etc/sysconfig/iptables",
        )
        .means("`ipvsadm -R < FILE` does the same."),
        Step::new("What there is", "director", "ipvsadm -S -n")
            .check("it is what was saved", |said| said.text == said.earlier("saved")),
        requests().check("the servers take turns", works),
        Step::new(
            "The service script of CentOS",
            "director",
            "systemctl stop ipvsadm.service; ipvsadm -S -n; wc -l < /etc/sysconfig/ipvsadm",
        )
        .means("Its stop saves and clears, its start restores.")
        .check("it has cleared the table and kept the file", |said| said.lines() == ["5"]),
        Step::new("And its start", "director", "systemctl start ipvsadm.service; ipvsadm -S -n")
            .check("it is what was saved", |said| said.text == said.earlier("saved")),
        Step::new(
            "ulvs can do it by itself",
            "director",
            "ulvs stop; ulvs run --detach --rules /etc/sysconfig/ipvsadm; ipvsadm -S -n",
        )
        .means("With --save-on-stop it also writes them back.")
        .check("it is what was saved", |said| said.text == said.earlier("saved")),
        stop(),
    ]
}
