//! Servers behind a front: one that does as a test says, and nginx.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use lab::client;
use lab::node::{Child, Node};
use lab::wait::wait_for;

use crate::support::PATIENCE;

/// A port of a server on which a test itself answers.
pub struct Port(TcpListener);

impl Port {
    pub fn listen(node: &Node, l4_port: u16) -> Self {
        // One that was just closed may still be open in a child that another test is starting.
        let bind = || node.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, l4_port)).ok()).unwrap();
        let listener = wait_for("the port to be free", PATIENCE, bind).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// The next connection.
    pub fn take(&self) -> Peer {
        let stream = wait_for("a connection to the server", PATIENCE, || self.try_take());
        stream.unwrap()
    }

    /// One that has come already.
    pub fn try_take(&self) -> Option<Peer> {
        let (stream, _) = self.0.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(Peer(stream))
    }
}

/// A connection as the server has it.
#[derive(Debug)]
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// So many bytes.
    pub fn hear(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The head of a request.
    pub fn head(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text += &self.hear(1);
        }
        text
    }

    /// All that still comes, and whether a clean end follows.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes);
        if let Err(error) = &end {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        (bytes, end.is_ok())
    }

    /// Nothing comes for a moment.
    pub fn is_silent(&self) {
        self.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let got = self.0.peek(&mut [0]);
        assert!(got.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "{got:?}");
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    pub fn end(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// A reset, at once.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// nginx on a server.
pub struct Nginx(Child);

impl Nginx {
    /// Answers on `port` with what this `server` block says; `dir` is for its files.
    pub fn start(node: &Node, dir: &str, port: u16, block: &str) -> Self {
        let own = format!("{dir}/nginx-{}-{port}", node.name());
        std::fs::create_dir_all(&own).unwrap();
        let path = format!("{own}/nginx.conf");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {own}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nuser root;\nmaster_process off;\npid {own}/pid;\nerror_log {own}/error.log;\n\
             events {{ worker_connections 4000; }}\n\
             http {{\n    access_log off;\n{temporary}    server {{\n{block}\n    }}\n}}\n"
        );
        std::fs::write(&path, config).unwrap();
        let mut command = node.command("nginx");
        command.args(["-c", &path, "-p", &own, "-e", "stderr"]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = node.spawn(&mut command).unwrap();
        let at = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        wait_for("nginx", PATIENCE, || client::connect(node, at).ok()).unwrap();
        Self(child)
    }

    /// As the kernel ends a process that takes too much memory.
    pub fn kill(mut self) {
        let pid = self.0.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap().success());
        wait_for("nginx's end", PATIENCE, || self.0.try_wait().unwrap()).unwrap();
    }
}
