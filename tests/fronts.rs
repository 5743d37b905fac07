//! Fronts as their operators see them: set by hand or by a file, shown, saved, reloaded.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use lab::addr::Family;
use lab::topo::NatOptions;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{Engine, binary, printed, ulvs};

/// A laboratory with certificates for `one.example` and `two.example` in its directory.
struct Fronts {
    scene: Scene,
    dir: String,
    vip: SocketAddr,
}

impl Fronts {
    fn new() -> Self {
        let scene = Scene::new(&NatOptions::default());
        let dir = scene.lab.state_dir().to_str().unwrap().to_owned();
        for line in ["init", "issue --dns one.example", "issue --dns two.example"] {
            let words = [["ca"].as_slice(), &line.split(' ').collect::<Vec<_>>(), &["--dir", &dir]].concat();
            let output = ulvs(scene.director(), &words);
            assert!(output.status.success(), "{}", printed(&output));
        }
        let vip = scene.lab.vip.port(Family::V4, 443);
        Self { scene, dir, vip }
    }

    /// The options that name a pair.
    fn pair(&self, name: &str) -> String {
        format!("--cert {0}/{name}.crt --key {0}/{name}.key", self.dir)
    }

    /// The text of a file with a service of https; the names of its files are relative.
    fn file(&self, scheduler: &str, lines: &str) -> String {
        let text = format!(
            "[[service]]\nvip = \"{}\"\nports = [\"tcp/443\"]\nscheduler = \"{scheduler}\"\n[service.tls]\n\
             cert = \"one.example.crt\"\nkey = \"one.example.key\"\n{lines}\n",
            self.vip.ip()
        );
        self.scene.write("ulvs.toml", &text)
    }
}

/// The settings of the only front.
fn settings(engine: &Engine<'_>) -> Value {
    let list: Value = serde_json::from_str(&engine.ulvs("tls list --json")).unwrap();
    let fronts = list["fronts"].as_array().unwrap();
    assert_eq!(fronts.len(), 1, "{list}");
    fronts[0]["settings"].clone()
}

fn certs(settings: &Value) -> Vec<&str> {
    settings["certs"].as_array().unwrap().iter().map(|pair| pair["cert"].as_str().unwrap()).collect()
}

fn refusal(engine: &Engine<'_>, line: &str) -> String {
    let output = engine.try_ulvs(line);
    assert!(!output.status.success(), "`ulvs {line}`: {}", printed(&output));
    printed(&output)
}

#[test]
fn a_front_is_set_by_hand_and_survives_save_and_restore() {
    let fronts = Fronts::new();
    let (vip, dir) = (fronts.vip, &fronts.dir);
    let engine = Engine::start(&fronts.scene.lab, &[]);
    let add = format!("tls add tcp/{vip} {} --server-port 80", fronts.pair("one.example"));
    assert!(refusal(&engine, &add).contains("there are none yet, and `ulvs ipvsadm -A` adds one"));
    engine.service("tcp", vip, "rr", &[(fronts.scene.lab.server_port(0, Family::V4, 80), 1)]);
    let listing = engine.ulvs("ipvsadm -Ln");
    engine.ulvs(&add);
    engine.ulvs(&format!("tls add -t {vip} {}", fronts.pair("two.example")));
    let front = settings(&engine);
    assert_eq!(certs(&front), [format!("{dir}/one.example.crt"), format!("{dir}/two.example.crt")]);
    assert_eq!((&front["port"], &front["server_port"]), (&443.into(), &80.into()));
    assert!(engine.ulvs("tls list").contains(&format!("tcp/{vip}")));
    assert!(engine.ulvs(&format!("tls show tcp/{vip}")).contains(&format!("{dir}/two.example.key")));
    assert!(engine.ulvs("status").contains("TLS ends at 1 of them"));
    assert_eq!(engine.ulvs("ipvsadm -Ln"), listing, "what ipvsadm lists has no room for it");

    let saved = fronts.scene.write("saved", &engine.ulvs("ipvsadm -Sn"));
    engine.ulvs("ipvsadm -C");
    assert!(engine.ulvs("tls list").starts_with("TLS ends at no service"));
    let mut restore = fronts.scene.director().command(binary());
    restore.args(["ipvsadm", "-R"]).stdin(Stdio::from(File::open(saved).unwrap()));
    let output = restore.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(settings(&engine), front);

    engine.ulvs(&format!("tls remove tcp/{vip} --cert {dir}/one.example.crt"));
    assert_eq!(certs(&settings(&engine)), [format!("{dir}/two.example.crt")]);
    let last = refusal(&engine, &format!("tls remove tcp/{vip} --cert {dir}/two.example.crt"));
    assert!(last.contains("is its only certificate"), "{last}");
    engine.ulvs(&format!("tls remove tcp/{vip}"));
    let gone = refusal(&engine, &format!("tls show tcp/{vip}"));
    assert!(gone.contains(&format!("TLS does not end at tcp/{vip}")), "{gone}");
    assert_eq!(engine.ulvs("ipvsadm -Ln"), listing);
    engine.stop();
}

#[test]
fn a_front_of_a_file_is_checked_and_what_was_set_by_hand_survives_a_reload() {
    let fronts = Fronts::new();
    let (vip, dir) = (fronts.vip, &fronts.dir);
    let check = |file: &str| ulvs(fronts.scene.director(), &["check", file]);
    let file = fronts.file("rr", "key_log = \"nowhere/keys\"");
    let output = check(&file);
    let text = printed(&output);
    assert!(!output.status.success() && text.contains(&format!("cannot write {dir}/nowhere/keys")), "{text}");
    let file = fronts.file("rr", "");
    let key = format!("{dir}/one.example.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let output = check(&file);
    let text = printed(&output);
    let open = format!("{key} is a secret, and others may read or change it (mode 0644): chmod 600 {key}");
    assert!(!output.status.success() && text.contains(&format!("tcp/{vip}: {open}")), "{text}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let output = check(&file);
    let good = format!("{file}: good: 1 service, 0 servers\n");
    assert_eq!((output.status.success(), String::from_utf8(output.stdout).unwrap()), (true, good));

    let engine = Engine::start(&fronts.scene.lab, &["--config", &file]);
    assert_eq!(certs(&settings(&engine)), [format!("{dir}/one.example.crt")]);
    engine.ulvs(&format!("tls add tcp/{vip} --server-port 8080"));
    fronts.file("wrr", "");
    engine.ulvs("reload");
    assert_eq!(settings(&engine)["server_port"], 8080, "the file has changed elsewhere");
    assert!(engine.ulvs("ipvsadm -Ln").contains(&format!("{vip} wrr")));
    fronts.file("wrr", "server_port = 81");
    engine.ulvs("reload");
    assert_eq!(settings(&engine)["server_port"], 81, "the file has the last word");
    fs::remove_file(&key).unwrap();
    let text = printed(&check(&file));
    assert!(text.contains(&format!("cannot read {key}: No such file")), "{text}");
    engine.stop();
}
