//! The service decides: its scheduler, its persistence, its marks and weights choose the servers of sessions too.

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::topo::NatOptions;
use lab::wait::wait_for;

use super::site::{Session, Site, sessions};
use crate::scene::FAMILIES;
use crate::support::{Engine, PATIENCE};

over_both_stacks! {
    the_scheduler_chooses_and_the_connection_is_listed_like_any_other,
    persistence_brings_a_client_back_by_http_and_https,
    a_mark_holds_http_and_https_together,
    weight_zero_gets_nothing_new_and_a_drain_ends_what_is_left,
    sessions_survive_what_is_changed_around_them,
}

/// Which servers answer so many sessions.
fn answers(site: &Site, vip: std::net::SocketAddr, n: usize) -> Vec<String> {
    (0..n).map(|_| site.client().get(vip, "/")).collect()
}

fn alternate(answers: &[String]) -> bool {
    answers.windows(2).all(|pair| pair[0] != pair[1])
}

fn the_scheduler_chooses_and_the_connection_is_listed_like_any_other(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, 80, "rr", "");
        let client = site.scene.lab.client_addr.of(family);
        let mut open: Vec<_> = (0..4).map(|_| site.client().http(vip)).collect();
        let said: Vec<_> = open.iter_mut().map(|connection| connection.get("/").unwrap().body).collect();
        assert!(alternate(&said), "{said:?}");
        let listing = engine.ulvs("ipvsadm -Lnc");
        for session in &open {
            let own = std::net::SocketAddr::new(client, session.stream().local_addr().port());
            let row = listing.lines().find(|line| line.contains(&own.to_string()));
            let row = row.unwrap_or_else(|| panic!("no {own} in {listing}"));
            assert!(row.contains("ESTABLISHED") && row.contains(&vip.to_string()), "{row}");
        }
        let servers = engine.ulvs(&format!("ipvsadm -Ln -t {vip}"));
        let active = servers.lines().filter(|line| line.contains("Masq    1      2          0"));
        assert_eq!(active.count(), 2, "{servers}");
        drop(open);
        let over = || (engine.connections("ESTABLISHED") == 0).then_some(());
        wait_for("the sessions' end", PATIENCE, over).unwrap();
        let stats = engine.ulvs(&format!("ipvsadm -Ln -t {vip} --stats --exact"));
        let row: Vec<_> =
            stats.lines().find(|line| line.contains(&vip.to_string())).unwrap().split_whitespace().collect();
        let numbers: Vec<u64> = row[2..].iter().map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[0], 4, "{stats}");
        assert!(numbers[3] > 100 && numbers[4] > 100, "bytes in both directions: {stats}");

        engine.ulvs(&format!("ipvsadm -E -t {vip} -s sh"));
        let said = answers(&site, vip, 5);
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn persistence_brings_a_client_back_by_http_and_https(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    for family in FAMILIES {
        // Port 0: every port of the client's.
        let vip = site.scene.lab.vip.of(family);
        let all = site.scene.lab.vip.port(family, 0);
        engine.ulvs(&format!("ipvsadm -A -t {all} -s rr -p 60"));
        for index in 0..2 {
            engine
                .ulvs(&format!("ipvsadm -a -t {all} -r {} -m", site.scene.lab.server_port(index, family, 0)));
        }
        engine.ulvs(&format!("tls add tcp/{all} {} --server-port 80 --port 443", site.front()));
        let mut said = answers(&site, (vip, 443).into(), 4);
        said.extend((0..3).map(|_| client::get(&site.scene.lab.client, (vip, 80).into(), "/").unwrap().body));
        said.extend(answers(&site, (vip, 443).into(), 2));
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

/// The lecture's mark 3, and its wish: TLS ends at the director, and the servers know only plain HTTP.
fn a_mark_holds_http_and_https_together(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    let vip = site.scene.lab.vip.of(Family::V4);
    engine.ulvs(&format!(
        "iptables -t mangle -A PREROUTING -d {vip} -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3"
    ));
    engine.ulvs("ipvsadm -A -f 3 -s sh");
    for index in 0..2 {
        engine.ulvs(&format!("ipvsadm -a -f 3 -r {} -m", site.scene.lab.server_addrs[index].of(Family::V4)));
    }
    engine.ulvs(&format!("tls add -f 3 {}", site.front()));
    let plain = || client::get(&site.scene.lab.client, (vip, 80).into(), "/").unwrap().body;
    let secret = || site.client().get((vip, 443).into(), "/");
    let said: Vec<_> = (0..4).flat_map(|_| [plain(), secret()]).collect();
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "sh keeps a client: {said:?}");
    engine.ulvs("ipvsadm -E -f 3 -s rr");
    let said: Vec<_> = (0..4).flat_map(|_| [plain(), secret()]).collect();
    assert!(alternate(&said), "rr alternates over both ports: {said:?}");
    // As the lecture's loop has it.
    let curl = |url: &str| site.curl(&[url]);
    let said: Vec<_> =
        (0..3).flat_map(|_| [curl(&format!("http://{vip}/")), curl(&format!("https://{vip}/"))]).collect();
    assert!(said.iter().all(|body| body.starts_with("server")) && alternate(&said), "{said:?}");
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn weight_zero_gets_nothing_new_and_a_drain_ends_what_is_left(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, 80, "rr", "");
        let mut open = [site.client().http(vip), site.client().http(vip)];
        let said = open.each_mut().map(|connection| connection.get("/").unwrap().body);
        let first = site.scene.lab.server_port(0, family, 80);
        engine.ulvs(&format!("ipvsadm -e -t {vip} -r {first} -m -w 0"));
        assert_eq!(answers(&site, vip, 3), ["server2\n"; 3]);
        for (connection, before) in open.iter_mut().zip(&said) {
            assert_eq!(connection.get("/").unwrap().body, *before, "who is there stays");
        }
        engine.ulvs(&format!("ipvsadm -e -t {vip} -r {first} -m -w 1"));
        let ended = engine.try_ulvs(&format!("drain tcp/{vip} {first} --deadline 1s"));
        assert_eq!(ended.status.code(), Some(3));
        for (connection, before) in open.iter_mut().zip(&said) {
            match before.as_str() {
                "server1\n" => is_ended(connection),
                _ => assert_eq!(connection.get("/").unwrap().body, *before),
            }
        }
    }
    engine.stop();
}

fn is_ended(connection: &mut Connection<Session>) {
    let (rest, end) = connection.stream_mut().rest();
    assert_eq!((rest.as_str(), end), ("", super::site::End::Reset));
}

fn sessions_survive_what_is_changed_around_them(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    let service = |scheduler: &str, tls: &str| {
        let text = FAMILIES.map(|family| {
            let servers = (0..2).map(|index| {
                format!("[[service.server]]\naddress = \"{}\"\n", site.scene.lab.server_port(index, family, 80))
            });
            let servers: String = servers.collect();
            let vip = site.vip(family).ip();
            format!("[[service]]\nvip = \"{vip}\"\nports = [\"tcp/443\"]\nscheduler = \"{scheduler}\"\n{servers}{tls}")
        });
        site.scene.write("ulvs.toml", &text.concat())
    };
    let front = format!("[service.tls]\ncert = \"site.crt\"\nkey = \"site.key\"\nstack = \"{stack}\"\n");
    let file = service("rr", &front);
    let engine = Engine::start(&site.scene.lab, &["--config", &file, "--workers", "2"]);
    let mut open: Vec<_> = FAMILIES.map(|family| site.client().http(site.vip(family))).into();
    let said: Vec<_> = open.iter_mut().map(|connection| connection.get("/").unwrap().body).collect();
    let mut still = |engine: &Engine<'_>, what: &str| {
        for (connection, before) in open.iter_mut().zip(&said) {
            let now = connection.get("/").unwrap_or_else(|error| panic!("after {what}: {error:#}"));
            assert_eq!(now.body, *before, "{what}");
            connection.download(300_000, |_| ()).unwrap();
        }
        assert!(engine.connections("ESTABLISHED") >= 2, "{what}");
    };
    still(&engine, "nothing");
    for family in FAMILIES {
        engine.ulvs(&format!("ipvsadm -E -t {} -s wlc", site.vip(family)));
    }
    still(&engine, "another scheduler");
    service("sh", &format!("{front}idle_timeout = \"30m\"\n"));
    engine.ulvs("reload");
    still(&engine, "a reload with other settings");
    assert_eq!(sessions(&engine, site.vip(Family::V4)), 1);
    if stack == "kernel" {
        service("sh", &front.replace(stack, "userspace"));
        engine.ulvs("reload");
        for family in FAMILIES {
            site.client().get(site.vip(family), "/");
        }
        still(&engine, "a reload with the other stack");
    }
    service("sh", "");
    engine.ulvs("reload");
    still(&engine, "a reload without TLS");
    service("sh", &front);
    engine.ulvs("reload");
    for family in FAMILIES {
        site.client().get(site.vip(family), "/");
        engine.ulvs(&format!("tls remove tcp/{}", site.vip(family)));
    }
    still(&engine, "`ulvs tls remove`");
    // Who comes now is the service's, as if there had never been TLS.
    for family in FAMILIES {
        let page = client::get(&site.scene.lab.client, site.vip(family), "/").unwrap();
        assert!(page.body.starts_with("server"), "{page:?}");
    }
    still(&engine, "a connection without TLS");
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}
