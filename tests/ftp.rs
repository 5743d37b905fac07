//! FTP through the director: vsftpd and curl, which know nothing of it, in every way in which a data connection comes
//! about, and with many of them over one control connection.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use lab::addr::Family;
use lab::node::{Child, Node};
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;
use tempfile::TempDir;

use crate::scene::FAMILIES;
use crate::support::{Engine, PATIENCE};

/// Bytes of a file: more than any buffer on the way has room for.
const SIZE: usize = 400_000;

/// A way in which curl has a data connection come about: name, options, families.
const WAYS: [(&str, &[&str], &[Family]); 4] = [
    ("PASV", &["--disable-epsv", "--no-ftp-skip-pasv-ip"], &[Family::V4]),
    ("EPSV", &[], &FAMILIES),
    ("PORT", &["--ftp-port", "-", "--disable-eprt"], &[Family::V4]),
    ("EPRT", &["--ftp-port", "-"], &FAMILIES),
];

/// A server of FTP for everybody: files to be had, and a directory `in` that takes some.
struct Vsftpd {
    root: TempDir,
    _daemon: Child,
}

impl Vsftpd {
    fn start(node: &Node, family: Family, at: SocketAddr) -> Self {
        let root = TempDir::with_prefix("ulvs-ftp-").unwrap();
        let dir = |name: &str, mode| {
            let path = root.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (empty, files) = (dir("empty", 0o755), dir("files", 0o755));
        dir("files/in", 0o777);
        dir("", 0o755);
        let listen = match family {
            Family::V4 => format!("listen=YES\nlisten_address={}\n", at.ip()),
            Family::V6 => format!("listen=NO\nlisten_ipv6=YES\nlisten_address6={}\n", at.ip()),
        };
        let config = format!(
            "{listen}listen_port={}\nbackground=NO\nanonymous_enable=YES\nno_anon_password=YES\nanon_root={files}\n\
             write_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nconnect_from_port_20=YES\n\
             seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\nsecure_chroot_dir={empty}\n",
            at.port()
        );
        let path = root.path().join("vsftpd.conf");
        fs::write(&path, config).unwrap();
        let mut command = node.command("/usr/sbin/vsftpd");
        command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = node.spawn(&mut command).unwrap();
        let answers = || {
            assert!(daemon.try_wait().unwrap().is_none(), "vsftpd has ended at once");
            node.run(|| TcpStream::connect(at)).unwrap().ok()
        };
        wait_for("vsftpd", PATIENCE, answers).unwrap();
        Self { root, _daemon: daemon }
    }

    /// Puts a file there.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.root.path().join("files").join(name), bytes).unwrap();
    }

    /// What has been uploaded, once it has this length.
    fn uploaded(&self, name: &str, len: usize) -> Vec<u8> {
        let path = self.root.path().join("files/in").join(name);
        let whole = || fs::read(&path).ok().filter(|bytes| bytes.len() >= len);
        wait_for(&format!("all of {name}"), PATIENCE, whole).unwrap()
    }
}

/// A laboratory with one service of FTP and one server in a family.
struct Ftp<'a> {
    lab: &'a NatLab,
    engine: &'a Engine<'a>,
    server: Vsftpd,
    family: Family,
    vip: SocketAddr,
}

impl<'a> Ftp<'a> {
    fn new(lab: &'a NatLab, engine: &'a Engine<'a>, family: Family, method: &str, port: u16) -> Self {
        let (vip, at) = (lab.vip.port(family, 21), lab.server_port(0, family, port));
        let server = Vsftpd::start(&lab.servers[0], family, at);
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
        engine.ulvs(&format!("ipvsadm -a -t {vip} -r {at} {method}"));
        Self { lab, engine, server, family, vip }
    }

    /// Runs curl with these options for these paths, over one control connection.
    fn curl(&self, options: &[&str], paths: &[(&str, &str)]) {
        let ip = self.vip.ip();
        let host = if self.family == Family::V4 { ip.to_string() } else { format!("[{ip}]") };
        let mut argv = vec!["curl".to_owned()];
        for (option, path) in paths {
            let (from, to) = path.split_once("->").unwrap();
            let (file, name) = if *option == "-o" { (to, from) } else { (from, to) };
            if argv.len() > 1 {
                argv.push("--next".to_owned());
            }
            argv.extend(["-sS", "--max-time", "20"].iter().chain(options).map(|option| (*option).to_owned()));
            argv.extend([(*option).to_owned(), file.to_owned(), format!("ftp://{host}/{name}")]);
        }
        self.lab.client.exec(&argv).unwrap();
    }

    /// Connections that the service has counted.
    fn conns(&self) -> u64 {
        let stats = self.engine.ulvs(&format!("ipvsadm -Ln --stats --exact -t {}", self.vip));
        let row = stats.lines().find(|line| line.starts_with("TCP")).unwrap_or_else(|| panic!("{stats}"));
        row.split_whitespace().nth(2).unwrap().parse().unwrap()
    }

    /// There is a connection between this port of the VIP and somebody.
    fn is_listed(&self, port: u16) -> bool {
        let vip = SocketAddr::new(self.vip.ip(), port).to_string();
        let listing = self.engine.ulvs("ipvsadm -Lnc");
        listing.lines().any(|line| line.split_whitespace().nth(4) == Some(&vip))
    }
}

/// A laboratory whose servers, for FullNAT, know nobody but their own network.
fn lab(method: &str) -> NatLab {
    let lab = NatLab::new(&NatOptions { servers: 1, ..NatOptions::default() }).unwrap();
    if method == "--fullnat" {
        lab.servers[0].exec(&["ip", "route", "del", "default"]).unwrap();
        lab.servers[0].exec(&["ip", "-6", "route", "del", "default"]).unwrap();
    }
    lab
}

fn bytes(seed: usize) -> Vec<u8> {
    (0..SIZE + seed).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

fn every_way_works(method: &str) {
    let lab = lab(method);
    let engine = Engine::start(&lab, &[]);
    let dir = TempDir::new().unwrap();
    for family in FAMILIES {
        let ftp = Ftp::new(&lab, &engine, family, method, 21);
        for (way, options, families) in WAYS {
            if !families.contains(&family) {
                continue;
            }
            let what = format!("{way} {family:?} {method}");
            let (conns, created) = (ftp.conns(), engine.status().counter("connections-created"));
            let mut paths = Vec::new();
            for n in 0..3 {
                let (down, up) = (format!("{way}-down-{n}"), format!("{way}-up-{n}"));
                ftp.server.put(&down, &bytes(n));
                fs::write(dir.path().join(&up), bytes(10 + n)).unwrap();
                paths.push(("-o", format!("{down}->{}", file(dir.path(), &down))));
                paths.push(("-T", format!("{}->in/{up}", file(dir.path(), &up))));
            }
            let paths: Vec<_> = paths.iter().map(|(option, path)| (*option, path.as_str())).collect();
            ftp.curl(options, &paths);
            for n in 0..3 {
                let down = fs::read(dir.path().join(format!("{way}-down-{n}"))).unwrap();
                assert!(down == bytes(n), "{what}: {} of {} bytes came", down.len(), bytes(n).len());
                let up = ftp.server.uploaded(&format!("{way}-up-{n}"), SIZE + 10 + n);
                assert!(up == bytes(10 + n), "{what}: what was sent is what is there");
            }
            // One control connection, and six of data, which are not the client's own idea, but pass by here.
            assert_eq!(ftp.conns(), conns + 1, "{what}");
            assert_eq!(engine.status().counter("connections-created"), created + 7, "{what}");
            assert_eq!(ftp.is_listed(20), way == "PORT" || way == "EPRT", "{what}");
        }
    }
    engine.stop();
}

#[test]
fn every_way_of_ftp_works_by_nat() {
    every_way_works("-m");
}

#[test]
fn every_way_of_ftp_works_by_fullnat() {
    every_way_works("--fullnat");
}

/// A server on another port than the VIP's, and what a client reads.
#[test]
fn the_client_is_told_the_vip_and_what_is_expected_is_listed() {
    for method in ["-m", "--fullnat"] {
        let lab = lab(method);
        let engine = Engine::start(&lab, &[]);
        let ftp = Ftp::new(&lab, &engine, Family::V4, method, 2121);
        ftp.server.put("a", &bytes(1));
        let dir = TempDir::new().unwrap();
        for (way, options, _) in WAYS {
            ftp.curl(options, &[("-o", &format!("a->{}", file(dir.path(), way)))]);
            assert!(fs::read(dir.path().join(way)).unwrap() == bytes(1), "{way} {method}");
        }
        let stream = lab.client.run(|| TcpStream::connect(ftp.vip)).unwrap().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
        let mut says = |line: &str| {
            writer.write_all(line.as_bytes()).unwrap();
            let mut reply = String::new();
            reader.read_line(&mut reply).unwrap();
            reply
        };
        assert!(says("").starts_with("220 "));
        assert!(says("USER ftp\r\n").starts_with("230 "));
        let reply = says("PASV\r\n");
        assert!(reply.starts_with("227 Entering Passive Mode (203,0,113,1,"), "{reply}");
        let numbers: Vec<_> = reply.trim_end().trim_end_matches(").").split(',').collect();
        let [high, low] = [numbers[4], numbers[5]].map(|number| number.parse::<u16>().unwrap());
        let port = high << 8 | low;
        let expected = format!("LISTEN      198.51.100.10:0    203.0.113.1:{port}");
        let listing = engine.ulvs("ipvsadm -Lnc");
        let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(spaced(&listing).contains(&spaced(&expected)), "{listing}");
        // Another client does not get there, nor to any other port.
        let other = SocketAddr::new(ftp.vip.ip(), if port == 50_000 { 50_001 } else { 50_000 });
        assert!(lab.client.run(|| TcpStream::connect(other)).unwrap().is_err());
        let data = SocketAddr::new(ftp.vip.ip(), port);
        assert!(lab.client.run(|| TcpStream::connect(data)).unwrap().is_ok());
        assert!(says("QUIT\r\n").starts_with("221 "));
        engine.stop();
    }
}
