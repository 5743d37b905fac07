//! The configuration changes in the middle of a transfer, and the transfer does not notice, unless it is its own server
//! that goes.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client::{Connection, Transfer};
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::support::{Engine, PATIENCE, printed};

/// Bytes of a transfer.
const BYTES: u64 = 256 << 20;

/// Runs a transfer on a connection, with a function that is told of its progress.
type Run = fn(&mut Connection, &mut dyn FnMut(u64)) -> anyhow::Result<Transfer>;
const DOWNLOAD: Run = |connection, progress| connection.download(BYTES, progress);
const UPLOAD: Run = |connection, progress| connection.upload(BYTES, progress);

#[test]
fn reloads_lose_nothing_of_a_download() {
    lose_nothing(Family::V4, DOWNLOAD);
}

#[test]
fn reloads_lose_nothing_of_an_upload() {
    lose_nothing(Family::V6, UPLOAD);
}

fn lose_nothing(family: Family, run: Run) {
    let scene = Scene::new(family);
    let Scene { vip, other, servers: [first, second], .. } = scene;
    scene.write(&[(vip, &[(first, 1)])]);
    let engine = scene.start();
    let edits: [&[Service<'_>]; 6] = [
        &[(vip, &[(first, 7)])],
        &[(vip, &[(first, 7), (second, 5)])],
        &[(vip, &[(first, 7), (second, 5)]), (other, &[(second, 1)])],
        &[(vip, &[(first, 7)]), (other, &[(second, 1)])],
        &[(vip, &[(first, 0)])],
        &[(vip, &[(first, 1)])],
    ];
    // Every edit once by command and once by signal.
    let steps = edits
        .iter()
        .chain(&edits)
        .zip([false, true].into_iter().cycle().take(6).chain([true, false].into_iter().cycle().take(6)));
    scene.transfer(run, |pace| {
        for (services, by_signal) in steps {
            pace.next();
            scene.write(services);
            let before = engine.status().generation;
            if by_signal {
                engine.signal("HUP");
                let swapped = || (engine.status().generation > before).then_some(());
                wait_for("SIGHUP to reload", PATIENCE, swapped).unwrap();
            } else {
                engine.ulvs("reload");
            }
            assert_eq!(engine.status().generation, before + 1, "one swap");
        }
    });
    let status = engine.status();
    assert_eq!((status.drops(), status.counter("connections-created")), ([].into(), 1));
    assert_eq!(engine.ulvs("reload"), "nothing has changed\n");
}

#[test]
fn a_bad_file_changes_nothing_and_says_where_it_is_bad() {
    let scene = Scene::new(Family::V4);
    let Scene { vip, servers: [first, second], .. } = scene;
    scene.write(&[(vip, &[(first, 1)])]);
    let engine = scene.start();
    scene.write(&[(vip, &[(first, 1), (second, 1)])]);
    let text = fs::read_to_string(&scene.file).unwrap();
    fs::write(&scene.file, text.replace("scheduler = \"rr\"", "scheduler = \"rrr\"")).unwrap();
    let (before, listing) = (engine.status().generation, engine.ulvs("ipvsadm -Sn"));
    scene.transfer(DOWNLOAD, |pace| {
        pace.next();
        let output = engine.try_ulvs("reload");
        let said = printed(&output);
        assert!(
            !output.status.success() && said.contains("ulvs.toml:4:13") && said.contains("rrr"),
            "{said}"
        );
        pace.next();
        engine.signal("HUP");
        engine.wait_for_log("reload: nothing was changed");
    });
    assert_eq!((engine.status().generation, engine.ulvs("ipvsadm -Sn")), (before, listing));
    assert_eq!(engine.status().drops(), [].into());
}

/// As IPVS does it, packets of a connection whose server was removed are dropped; it goes on when the server is back.
#[test]
fn a_download_waits_for_its_server_to_come_back() {
    wait_for_the_server(Family::V4, DOWNLOAD);
}

#[test]
fn an_upload_waits_for_its_server_to_come_back() {
    wait_for_the_server(Family::V6, UPLOAD);
}

fn wait_for_the_server(family: Family, run: Run) {
    let scene = Scene::new(family);
    let Scene { vip, servers: [first, second], .. } = scene;
    scene.write(&[(vip, &[(first, 1)])]);
    let engine = scene.start_with(&["--compat", "ipvs"]);
    scene.transfer(run, |pace| {
        pace.next();
        scene.write(&[(vip, &[(second, 1)])]);
        engine.ulvs("reload");
        let dropped = || (engine.status().dropped("dest-removed") > 0).then_some(());
        wait_for("packets to be dropped", PATIENCE, dropped).unwrap();
        pace.wait_for_standstill();
        let mut meanwhile = Connection::open(&scene.lab.client, vip).unwrap();
        assert_eq!(meanwhile.get("/").unwrap().body, "server2\n");
        scene.write(&[(vip, &[(first, 1), (second, 1)])]);
        engine.ulvs("reload");
        assert_eq!(meanwhile.get("/").unwrap().body, "server2\n");
    });
    let reasons: Vec<_> = engine.status().drops().into_keys().map(str::to_owned).collect();
    assert_eq!(reasons, ["dest-removed"]);
}

/// A service of the file: its VIP and port, its servers with their weights.
type Service<'a> = (SocketAddr, &'a [(SocketAddr, u32)]);

struct Scene {
    lab: NatLab,
    _http: Vec<Http>,
    file: PathBuf,
    vip: SocketAddr,
    other: SocketAddr,
    servers: [SocketAddr; 2],
}

impl Scene {
    fn new(family: Family) -> Self {
        let lab = NatLab::new(&NatOptions::default()).unwrap();
        Self {
            _http: lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect(),
            file: lab.state_dir().join("ulvs.toml"),
            vip: lab.vip.port(family, 80),
            other: lab.vip.port(family, 81),
            servers: [0, 1].map(|server| lab.server_port(server, family, 80)),
            lab,
        }
    }

    /// Makes the configuration file anew.
    fn write(&self, services: &[Service<'_>]) {
        let mut text = String::new();
        for (vip, servers) in services {
            let (ip, port) = (vip.ip(), vip.port());
            text += &format!("[[service]]\nvip = \"{ip}\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n");
            for (server, weight) in *servers {
                text += &format!("[[service.server]]\naddress = \"{server}\"\nweight = {weight}\n");
            }
        }
        fs::write(&self.file, text).unwrap();
    }

    fn start(&self) -> Engine<'_> {
        self.start_with(&[])
    }

    fn start_with(&self, args: &[&str]) -> Engine<'_> {
        Engine::start(&self.lab, &[&["--config", self.file.to_str().unwrap()], args].concat())
    }

    /// Runs the transfer, and `meanwhile` beside it.
    fn transfer(&self, run: Run, meanwhile: impl FnOnce(&mut Pace<'_>)) {
        let progress = Progress { done: AtomicU64::new(0), allowed: AtomicU64::new(LEAD) };
        thread::scope(|scope| {
            let transfer = scope.spawn(|| {
                let mut connection = Connection::open(&self.lab.client, self.vip).unwrap();
                run(&mut connection, &mut |bytes| progress.reach(bytes)).unwrap();
            });
            meanwhile(&mut Pace { progress: &progress, step: 0 });
            progress.allowed.store(BYTES, Relaxed);
            transfer.join().unwrap();
        });
        assert_eq!(progress.done.load(Relaxed), BYTES);
    }
}

/// How far a transfer has come and may come: it goes on while things happen beside it, but not to its end.
struct Progress {
    done: AtomicU64,
    allowed: AtomicU64,
}

/// Bytes between two things that happen.
const STEP: u64 = BYTES / 16;
/// How far a transfer may run ahead of them.
const LEAD: u64 = 2 * STEP;

impl Progress {
    fn reach(&self, bytes: u64) {
        self.done.store(bytes, Relaxed);
        let allowed = || (bytes <= self.allowed.load(Relaxed)).then_some(());
        wait_for("the test to go on", 2 * PATIENCE, allowed).unwrap();
    }
}

struct Pace<'a> {
    progress: &'a Progress,
    step: u64,
}

impl Pace<'_> {
    /// Waits until the transfer has come one step further.
    fn next(&mut self) {
        self.step += 1;
        let goal = self.step * STEP;
        self.progress.allowed.store(goal + LEAD, Relaxed);
        let reached = || (self.progress.done.load(Relaxed) >= goal).then_some(());
        wait_for("the transfer to go on", PATIENCE, reached).unwrap();
    }

    /// Waits until nothing has arrived for a while.
    fn wait_for_standstill(&self) {
        self.progress.allowed.store(BYTES, Relaxed);
        let (mut done, mut since) = (0, Instant::now());
        let standing = || {
            let now = self.progress.done.load(Relaxed);
            if now != done {
                (done, since) = (now, Instant::now());
            }
            (since.elapsed() > Duration::from_millis(100)).then_some(())
        };
        wait_for("the transfer to stand still", PATIENCE, standing).unwrap();
        assert!(done < BYTES, "the transfer went on without its server");
    }
}
