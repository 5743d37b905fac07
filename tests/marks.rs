//! Firewall marks on real packets: the commands of the lecture, sets of ports in a file, prefixes, input devices.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use lab::addr::Family;
use lab::client;
use lab::serve::Http;
use lab::topo::NatOptions;

use crate::scene::Scene;
use crate::support::Engine;

/// A laboratory whose servers also have HTTP on port 443, and the addresses of the lecture: 172.16.0.99 is nobody's, .7
/// and .8 are the servers'.
struct Lecture {
    scene: Scene,
    _https: Vec<Http>,
}

impl Lecture {
    fn new() -> Self {
        let scene = Scene::new(&NatOptions::default());
        let https = scene.lab.servers.iter().map(|server| Http::start(server, 443).unwrap()).collect();
        let director = scene.lab.director_addr.of(Family::V4).to_string();
        let to_vip = ["ip", "route", "add", "172.16.0.0/24", "via", &director];
        scene.lab.client.exec(&to_vip).unwrap();
        for (index, server) in scene.lab.servers.iter().enumerate() {
            let rip = format!("172.16.0.{}", 7 + index);
            let via = scene.lab.server_port(index, Family::V4, 80).ip().to_string();
            server.exec(&["ip", "addr", "add", &rip, "dev", "lo"]).unwrap();
            scene.director().exec(&["ip", "route", "add", &rip, "via", &via]).unwrap();
        }
        Self { scene, _https: https }
    }

    fn start(&self, args: &[&str]) -> Engine<'_> {
        Engine::start(&self.scene.lab, &[&["--workers", "2"], args].concat())
    }

    /// Which server answers.
    fn get(&self, target: &str) -> String {
        let target: SocketAddr = target.parse().unwrap();
        client::get(&self.scene.lab.client, target, "/").unwrap_or_else(|e| panic!("{target}: {e:#}")).body
    }

    /// How connecting fails.
    fn refusal(&self, target: &str) -> ErrorKind {
        let target: SocketAddr = target.parse().unwrap();
        let connect = || TcpStream::connect_timeout(&target, crate::support::PATIENCE).map(drop);
        self.scene.lab.client.run(connect).unwrap().expect_err("nobody listens there").kind()
    }
}

#[test]
fn the_lectures_commands_make_one_service_of_http_and_https() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    engine.ulvs("iptables -F");
    engine.ulvs("iptables -t mangle -vnL");
    engine.ulvs(
        "iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3",
    );
    engine.ulvs("ipvsadm -A -f 3 -s sh");
    engine.ulvs("ipvsadm -a -f 3 -r 172.16.0.7 -m");
    engine.ulvs("ipvsadm -a -f 3 -r 172.16.0.8 -m");
    let round = || ["172.16.0.99:80", "172.16.0.99:443"].map(|target| lecture.get(target));
    let first = lecture.get("172.16.0.99:80");
    for _ in 0..4 {
        assert_eq!(round(), [first.clone(), first.clone()], "sh keeps a client on its server");
    }
    engine.ulvs("ipvsadm -E -f 3 -s rr");
    let answers: Vec<_> = (0..5).flat_map(|_| round()).collect();
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "rr alternates over both ports: {answers:?}");
    let listed = engine.ulvs("iptables -t mangle -vnL");
    let rule = listed.lines().find(|line| line.contains("MARK set 0x3")).unwrap();
    let packets: u64 = rule.split_whitespace().next().unwrap().parse().unwrap();
    assert!(packets >= 19 * 4, "every packet of every connection counts: {rule}");
    assert_eq!(lecture.refusal("172.16.0.99:81"), ErrorKind::ConnectionRefused);
    assert_eq!(engine.status().drops(), Default::default());

    let saved = engine.ulvs("iptables-save");
    engine.ulvs("iptables -t mangle -F");
    assert_ne!(saved, engine.ulvs("iptables-save"));
    let file = lecture.scene.write("iptables", &saved);
    engine.ulvs(&format!("iptables-restore {file}"));
    assert_eq!(engine.ulvs("iptables -t mangle -S").lines().count(), 6);
    lecture.get("172.16.0.99:443");
    engine.stop();
}

#[test]
fn ipv6_has_marks_of_its_own() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    let vip = lecture.scene.lab.vip.of(Family::V6);
    engine.ulvs(&format!(
        "ip6tables -t mangle -A PREROUTING -d {vip} -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3"
    ));
    engine.ulvs("ipvsadm -A -f 3 -6 -s rr");
    for index in 0..2 {
        let server = lecture.scene.lab.server_port(index, Family::V6, 80).ip();
        engine.ulvs(&format!("ipvsadm -a -f 3 -6 -r {server} -m"));
    }
    let targets = [format!("[{vip}]:80"), format!("[{vip}]:443")];
    let answers: Vec<_> = (0..4).map(|i| lecture.get(&targets[i % 2])).collect();
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
    assert_eq!(lecture.refusal(&format!("[{vip}]:81")), ErrorKind::ConnectionRefused);
    assert_eq!(engine.ulvs("iptables -t mangle -S PREROUTING"), "-P PREROUTING ACCEPT\n");
    engine.stop();
}

#[test]
fn a_symbolic_link_makes_it_iptables() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    let run = |name: &str, words: &str| {
        let path = lecture.scene.lab.state_dir().join(name);
        if !path.exists() {
            std::os::unix::fs::symlink(crate::support::binary(), &path).unwrap();
        }
        let words: Vec<_> = std::iter::once(path.to_str().unwrap()).chain(words.split_whitespace()).collect();
        lecture.scene.director().exec(&words).unwrap()
    };
    run("iptables", "-t mangle -A PREROUTING -d 172.16.0.99 -j MARK --set-mark 3");
    run("ip6tables", "-t mangle -A PREROUTING -d fd00::99 -j MARK --set-mark 3");
    let saved = run("iptables-save", "-c");
    let saved6 = run("ip6tables-save", "");
    assert!(
        saved.contains("[0:0] -A PREROUTING -d 172.16.0.99/32 -j MARK --set-xmark 0x3/0xffffffff"),
        "{saved}"
    );
    run("iptables", "-t mangle -F");
    for (name, text) in [("iptables-restore", &saved), ("ip6tables-restore", &saved6)] {
        run(name, &lecture.scene.write("saved", text));
    }
    let listed = engine.ulvs("mark list");
    assert_eq!(
        listed,
        "IPv4 1    to 172.16.0.99 mark 3 (0 packets, 0 bytes)\nIPv6 1    to fd00::99 mark 3 (0 packets, 0 bytes)\n"
    );
    assert_eq!(engine.ulvs("mark list --json").matches("\"dest\"").count(), 2);
    engine.ulvs("mark del 1");
    engine.ulvs("mark flush");
    assert!(engine.ulvs("mark list").starts_with("no rules"));
    engine.stop();
}

#[test]
fn a_file_names_sets_of_ports_and_a_reload_changes_them() {
    let lecture = Lecture::new();
    let text = |ports: &str, scheduler: &str| {
        format!(
            "[[service]]\nvip = \"172.16.0.99\"\nports = {ports}\nscheduler = \"{scheduler}\"\nmark = 5\n\
             server = [{{ address = \"172.16.0.7\" }}, {{ address = \"172.16.0.8\" }}]\n"
        )
    };
    let file = lecture.scene.write("ulvs.toml", &text("[\"tcp/80\"]", "rr"));
    let engine = lecture.start(&["--config", &file]);
    let by_hand = "iptables -t mangle -A PREROUTING -d 172.16.0.98 -p tcp --dport 80 -j MARK --set-mark 5";
    engine.ulvs(by_hand);
    assert_ne!(lecture.get("172.16.0.99:80"), lecture.get("172.16.0.98:80"), "one service, two addresses");
    assert_eq!(lecture.refusal("172.16.0.99:443"), ErrorKind::ConnectionRefused);
    lecture.scene.write("ulvs.toml", &text("[\"tcp/80,440-450\"]", "rr"));
    engine.ulvs("reload");
    assert_ne!(lecture.get("172.16.0.99:80"), lecture.get("172.16.0.99:443"));
    lecture.get("172.16.0.98:80");
    let listed = engine.ulvs("mark list");
    assert!(listed.contains("to 172.16.0.99 protocol 6 ports 80,440:450 mark 5"), "{listed}");
    assert!(listed.contains("to 172.16.0.98 protocol 6 port 80 mark 5"), "{listed}");
    assert_eq!(engine.ulvs("reload"), "nothing has changed\n");
    engine.stop();
}

#[test]
fn prefixes_are_balanced_and_their_other_ports_stay_with_their_owner() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    engine.ulvs("mark add 7 --dest 172.16.0.0/24 --proto tcp --ports 80");
    engine.ulvs("ipvsadm -A -f 7 -s rr");
    let server = lecture.scene.lab.server_port(0, Family::V4, 80).ip();
    engine.ulvs(&format!("ipvsadm -a -f 7 -r {server} -m"));
    let direct = lecture.get("172.16.0.8:443");
    assert_ne!(lecture.get("172.16.0.8:80"), direct, "port 80 of anybody is the first server's");
    assert_eq!(lecture.get("172.16.0.55:80"), lecture.get("172.16.0.8:80"));
    assert_eq!(lecture.get("172.16.0.8:443"), direct, "and other ports are left alone");
    engine.stop();
}

#[test]
fn the_input_device_is_the_way_back_to_the_client() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    let client = lecture.scene.lab.client_addr.of(Family::V4).to_string();
    let route = lecture.scene.director().exec(&["ip", "-o", "route", "get", &client]).unwrap();
    let device = route.split(" dev ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    engine.ulvs("ipvsadm -A -f 3 -s rr");
    engine.ulvs("ipvsadm -a -f 3 -r 172.16.0.7 -m");
    let mark = |condition: &str| {
        engine.ulvs("iptables -t mangle -F");
        engine.ulvs(&format!(
            "iptables -t mangle -A PREROUTING -d 172.16.0.99 {condition} -p tcp --dport 80 -j MARK --set-mark 3"
        ));
    };
    mark(&format!("-i {device}"));
    lecture.get("172.16.0.99:80");
    mark(&format!("! -i {device}"));
    assert_eq!(lecture.refusal("172.16.0.99:80"), ErrorKind::ConnectionRefused);
    assert!(engine.ulvs("status").contains("asks where a packet came in"), "a notice says what it goes by");
    engine.stop();
}

#[test]
fn with_cache_bypass_a_client_gets_its_page_from_whom_it_has_asked() {
    let lecture = Lecture::new();
    let engine = lecture.start(&[]);
    engine.ulvs("iptables -t mangle -A PREROUTING -d 172.16.0.0/28 -p tcp --dport 80 -j MARK --set-mark 5");
    engine.ulvs("ipvsadm -A -f 5 -s rr");
    assert_eq!(lecture.refusal("172.16.0.8:80"), ErrorKind::ConnectionRefused);
    engine.ulvs("sysctl net.ipv4.vs.cache_bypass=1");
    assert_eq!(lecture.get("172.16.0.8:80"), "server2\n");
    // The cache is back.
    engine.ulvs("ipvsadm -a -f 5 -r 172.16.0.7 -m");
    assert_eq!(lecture.get("172.16.0.8:80"), "server1\n");
}
