//! So many servers are dead that their checks are not believed.

use lab::addr::Family;
use lab::client;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;
use serde_json::Value;

use super::events::Events;
use crate::support::{Engine, PATIENCE};

const SERVERS: usize = 4;

struct Scene(NatLab);

impl Scene {
    fn engine(&self) -> Engine<'_> {
        let mut text = format!(
            "[[service]]\nvip = \"{}\"\nports = [\"tcp/80\"]\nscheduler = \"rr\"\n[service.health]\npanic = 75\n\
             [[service.check]]\nkind = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"500ms\"\nfall = 2\nrise = 2\n",
            self.0.vip.of(Family::V4)
        );
        for index in 0..SERVERS {
            text +=
                &format!("[[service.server]]\naddress = \"{}\"\n", self.0.server_port(index, Family::V4, 80));
        }
        let path = self.0.state_dir().join("ulvs.toml");
        std::fs::write(&path, text).unwrap();
        Engine::start(&self.0, &["--config", path.to_str().unwrap()])
    }

    /// What so many clients get, one after the other.
    fn pages(&self, n: usize) -> Vec<Result<String, String>> {
        let vip = self.0.vip.port(Family::V4, 80);
        let page = |_| client::get(&self.0.client, vip, "/").map(|p| p.body).map_err(|e| e.to_string());
        (0..n).map(page).collect()
    }
}

fn health(engine: &Engine<'_>) -> Value {
    let list: Value = serde_json::from_str(&engine.ulvs("health --json")).unwrap();
    list["services"][0].clone()
}

/// How many servers are taken for dead, whether or not that is believed.
fn dead(engine: &Engine<'_>) -> usize {
    let servers = health(engine)["servers"].as_array().unwrap().clone();
    servers.iter().filter(|server| server["alive"] == false).count()
}

fn wait_for_dead(engine: &Engine<'_>, n: usize) {
    let reached = wait_for(&format!("{n} to be dead"), PATIENCE, || (dead(engine) == n).then_some(()));
    reached.unwrap_or_else(|error| panic!("{error}\n{}", engine.ulvs("health")));
}

#[test]
fn when_nearly_all_are_dead_all_are_used_and_when_enough_are_back_only_those() {
    let scene = Scene(NatLab::new(&NatOptions { servers: SERVERS, ..NatOptions::default() }).unwrap());
    let start = |index: usize| Http::start(&scene.0.servers[index], 80).unwrap();
    let mut https: Vec<_> = (0..SERVERS).map(start).collect();
    let engine = scene.engine();
    let director = &scene.0.director;
    let service = format!("tcp/{}", scene.0.vip.port(Family::V4, 80));
    let servers: Vec<_> = (0..SERVERS).map(|i| scene.0.server_port(i, Family::V4, 80).to_string()).collect();
    let events = Events::listen(director, scene.0.state_dir(), &engine, &service, &servers[0]);
    let listed = || {
        let listing = engine.ulvs("ipvsadm -Ln");
        servers.iter().map(|server| listing.contains(&format!("-> {server} "))).collect::<Vec<_>>()
    };

    https.truncate(2);
    wait_for_dead(&engine, 2);
    assert_eq!(listed(), [true, true, false, false], "half of them is below the limit");
    assert!(scene.pages(4).iter().all(Result::is_ok));

    https.truncate(1);
    wait_for_dead(&engine, 3);
    wait_for("all to be used", PATIENCE, || (listed() == [true; 4]).then_some(())).unwrap();
    let of = health(&engine);
    assert_eq!((of["panic"].as_bool(), of["servers"][3]["used"].as_bool()), (Some(true), Some(true)));
    let shown = engine.ulvs("health");
    assert!(shown.contains("too many are dead to be believed: all servers are used"), "{shown}");
    let pages = scene.pages(8);
    let answered = pages.iter().filter(|page| page.as_deref() == Ok("server1\n")).count();
    let refused = pages.iter().filter(|page| page.is_err()).count();
    assert_eq!((answered, refused), (2, 6), "each has its turn, dead or alive: {pages:?}");

    https.push(start(1));
    wait_for_dead(&engine, 2);
    let believed = || (listed() == [true, true, false, false]).then_some(());
    wait_for("checks to be believed again", PATIENCE, believed).unwrap();
    assert_eq!(health(&engine)["panic"].as_bool(), Some(false));
    assert!(scene.pages(4).iter().all(Result::is_ok));
    let panics = || events.all().into_iter().filter(|e| e.kind.starts_with("panic")).collect::<Vec<_>>();
    let told =
        wait_for("both to be told", PATIENCE, || Some(panics()).filter(|told| told.len() >= 2)).unwrap();
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["panic", "panic-over"]);
    assert_eq!(told[0].reason, "3 of 4 servers are dead, the limit is 75 %");
    assert_eq!(told[1].reason, "2 of 4 servers are dead, the limit is 75 %");
    assert!(engine.log().contains("no check is believed, all servers are used: 3 of 4"), "{}", engine.log());
    engine.stop();
}
