//! Debian's ldirectord, unmodified, on top of us: it calls `/sbin/ipvsadm`, which is the program under test there.

use std::process::Stdio;

use lab::addr::Family;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::scene::with_mounts;
use crate::support::{Engine, PATIENCE, binary};

#[test]
fn ldirectord_quiesces_a_dead_server_and_brings_it_back() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &["--workers", "1"]);
    let vip = lab.vip.port(Family::V4, 80);
    let servers = [0, 1].map(|index| lab.server_port(index, Family::V4, 80));
    let start = |index: usize| Http::start(&lab.servers[index], 80).unwrap();
    let (_steady, mut other) = (start(0), Some(start(1)));

    let log = lab.state_dir().join("ldirectord.log");
    let config = lab.state_dir().join("ldirectord.cf");
    let text = format!(
        "checktimeout = 2\nnegotiatetimeout = 2\ncheckinterval = 1\nquiescent = yes\nsupervised = yes\n\
         logfile = \"{}\"\nvirtual = {vip}\n\treal = {} masq 3\n\treal = {} masq 2\n\tservice = http\n\
         \tscheduler = wrr\n\tprotocol = tcp\n\tchecktype = negotiate\n\trequest = \"/\"\n\treceive = \"server\"\n",
        log.display(),
        servers[0],
        servers[1],
    );
    std::fs::write(&config, text).unwrap();
    let mounts = format!("mount -t tmpfs run /run; mount --bind {} /sbin/ipvsadm", binary().display());
    let mut command = with_mounts(&lab.director, &mounts, &["ldirectord", config.to_str().unwrap(), "start"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut ldirectord = lab.director.spawn(&mut command).unwrap();

    let listing = || engine.ulvs("ipvsadm -Ln");
    let weights = || servers.map(|server| weight(&listing(), &server.to_string()));
    let mut reaches = |what: &str, expected: [Option<u32>; 2]| {
        let reached = wait_for(what, 3 * PATIENCE, || (weights() == expected).then_some(()));
        if let Err(error) = reached {
            let log = std::fs::read_to_string(&log).unwrap_or_else(|error| error.to_string());
            panic!("{error}\n{}\nldirectord: {:?}\n{log}", listing(), ldirectord.try_wait());
        }
    };
    reaches("both servers in service", [Some(3), Some(2)]);
    assert!(listing().contains(&format!("TCP  {vip} wrr")), "{}", listing());
    other.take();
    reaches("the dead server quiesced", [Some(3), Some(0)]);
    other.replace(start(1));
    reaches("the server brought back", [Some(3), Some(2)]);
    engine.stop();
}

/// The weight of a server in `ipvsadm -Ln`.
fn weight(listing: &str, server: &str) -> Option<u32> {
    let line = listing.lines().find(|line| line.split_whitespace().nth(1) == Some(server))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
