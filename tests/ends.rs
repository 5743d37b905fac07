//! How connections end when nobody ends them: real clients and servers are told, and believe it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use lab::addr::Family;
use lab::topo::{NatLab, NatOptions};

use crate::scene::FAMILIES;
use crate::support::{Engine, PATIENCE};

const PORT: u16 = 80;

/// A connection through the engine, seen from both its ends.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    /// Opens one to the first server. The service has to be there.
    fn open(lab: &NatLab, family: Family) -> Self {
        let at = lab.server_port(0, family, PORT);
        let listener = lab.servers[0].run(|| TcpListener::bind(at)).unwrap().unwrap();
        let vip = lab.vip.port(family, PORT);
        let client = lab.client.run(|| TcpStream::connect_timeout(&vip, PATIENCE)).unwrap().unwrap();
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let mut ends = Self { client, server };
        ends.talk();
        ends
    }

    /// A word each way.
    fn talk(&mut self) {
        let mut word = [0; 4];
        self.client.write_all(b"ping").unwrap();
        self.server.read_exact(&mut word).unwrap();
        self.server.write_all(b"pong").unwrap();
        self.client.read_exact(&mut word).unwrap();
    }

    /// Both hear, without asking, that it is over.
    fn are_reset(&mut self) {
        for (name, end) in [("client", &mut self.client), ("server", &mut self.server)] {
            let error = end.read(&mut [0; 1]).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the {name}: {error}");
        }
    }
}

fn scene(config: &str, check: impl Fn(&NatLab, &Engine<'_>, Family, &mut Ends)) {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let file = lab.state_dir().join("ulvs.toml");
    std::fs::write(&file, config).unwrap();
    let engine = Engine::start(&lab, &["--config", file.to_str().unwrap()]);
    for family in FAMILIES {
        engine.service("tcp", lab.vip.port(family, PORT), "rr", &[(lab.server_port(0, family, PORT), 1)]);
        let mut ends = Ends::open(&lab, family);
        check(&lab, &engine, family, &mut ends);
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_reset_at_both_ends() {
    scene("[timeouts]\ntcp = 2\n", |_, engine, _, ends| {
        ends.are_reset();
        assert_eq!(engine.status().connections, 0);
    });
}

#[test]
fn a_connection_that_loses_its_server_is_reset_at_both_ends() {
    scene("", |lab, engine, family, ends| {
        let (vip, server) = (lab.vip.port(family, PORT), lab.server_port(0, family, PORT));
        engine.ulvs(&format!("ipvsadm -d -t {vip} -r {server}"));
        ends.are_reset();
        assert_eq!(engine.status().connections, 0);
    });
}

#[test]
fn a_flush_that_is_followed_by_a_restore_is_survived() {
    scene("", |lab, engine, family, ends| {
        let (vip, server) = (lab.vip.port(family, PORT), lab.server_port(0, family, PORT));
        engine.ulvs("ipvsadm -C");
        engine.service("tcp", vip, "rr", &[(server, 1)]);
        std::thread::sleep(Duration::from_millis(1500));
        ends.talk();
    });
}

#[test]
fn as_ipvs_does_it_both_are_left_in_silence() {
    scene("compat = \"ipvs\"\n[timeouts]\ntcp = 1\n", |_, engine, _, ends| {
        std::thread::sleep(Duration::from_millis(3500));
        assert_eq!((engine.status().connections, engine.status().counter("resets-sent")), (0, 0));
        for end in [&mut ends.client, &mut ends.server] {
            end.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            assert_eq!(end.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}
