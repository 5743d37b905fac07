//! Servers that are told who their clients are: HAProxy with `accept-proxy`, in front of a plain server, by both methods
//! and in both versions; and TOA, as it arrives at a server's device.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use lab::client::{self, Connection};
use lab::node::{Child, Node};
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;
use socket2::{Domain, Protocol, Socket, Type};
use wire::frame::Frame;
use wire::packet::{L4, Packet};
use wire::tcp;

use crate::scene::FAMILIES;
use crate::support::{Engine, PATIENCE};

const KINDS: [(&str, &str); 4] = [("-m", "v1"), ("-m", "v2"), ("--fullnat", "v1"), ("--fullnat", "v2")];
/// What HAProxy takes with a header of the PROXY protocol, and the server behind it without.
pub const FRONT: u16 = 8080;
/// It takes connections at a port for each kind: a client may use a port of its own towards several VIPs at once.
const LAST_FRONT: u16 = FRONT + KINDS.len() as u16 - 1;
const PLAIN: u16 = 80;

/// HAProxy on a server. `/client` is answered with what the header says, everything else by the plain server.
pub struct HaProxy {
    _child: Child,
}

impl HaProxy {
    /// In front of a server that is there.
    pub fn start(lab: &NatLab, server: &Node) -> Self {
        let path = lab.state_dir().join("haproxy.cfg");
        let config = format!(
            "global\n    maxconn 2000\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\
             frontend front\n    bind [::]:{FRONT}-{LAST_FRONT} v4v6 accept-proxy\n    \
             http-request return status 200 content-type text/plain \
             lf-string \"%[src] %[src_port] %[dst] %[dst_port]\" if {{ path /client }}\n    \
             default_backend plain\n\
             backend plain\n    server plain 127.0.0.1:{PLAIN}\n"
        );
        std::fs::write(&path, config).unwrap();
        let mut command = server.command("haproxy");
        command.args(["-db", "-f", path.to_str().unwrap()]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = server.spawn(&mut command).unwrap();
        let here = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), FRONT);
        wait_for("HAProxy", PATIENCE, || client::connect(server, here).ok()).unwrap();
        Self { _child: child }
    }
}

/// A service of each kind, in the order of [`KINDS`], on ports from this one on.
fn serve(engine: &Engine<'_>, lab: &NatLab) -> Vec<SocketAddr> {
    let mut vips = Vec::new();
    for family in FAMILIES {
        for (nth, (method, version)) in (0..).zip(KINDS) {
            let (vip, server) = (lab.vip.port(family, 81 + nth), lab.server_port(0, family, FRONT + nth));
            engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr --proxy-protocol {version}"));
            engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} {method}"));
            vips.push(vip);
        }
    }
    vips
}

fn lab(path: Vec<u32>) -> NatLab {
    NatLab::new(&NatOptions { servers: 1, path, ..NatOptions::default() }).unwrap()
}

/// What the server has been told, on a connection of which it is true.
fn is_known(connection: &mut Connection, vip: SocketAddr) {
    let own = connection.stream().local_addr().unwrap();
    let told = connection.get("/client").unwrap().body;
    assert_eq!(told, format!("{} {} {} {}", own.ip(), own.port(), vip.ip(), vip.port()));
}

#[test]
fn haproxy_believes_the_header_and_gets_exactly_what_its_clients_send() {
    let lab = lab(Vec::new());
    let _plain = Http::start(&lab.servers[0], PLAIN).unwrap();
    let _haproxy = HaProxy::start(&lab, &lab.servers[0]);
    let engine = Engine::start(&lab, &[]);
    let vips = serve(&engine, &lab);
    for &vip in &vips {
        for _ in 0..20 {
            is_known(&mut Connection::open(&lab.client, vip).unwrap(), vip);
        }
        // Both ways through one connection, the hashes compared.
        let mut connection = Connection::open(&lab.client, vip).unwrap();
        connection.upload(5 << 20, |_| ()).unwrap();
        connection.download(5 << 20, |_| ()).unwrap();
        is_known(&mut connection, vip);
        byte_by_byte(&lab.client, vip);
        with_its_end(&lab.client, vip);
    }
    let status = engine.status();
    assert_eq!(status.drops(), [].into());
    assert!(status.counter("proxy-headers-sent") >= 23 * vips.len() as u64);
    engine.stop();
}

/// A request in segments of one byte each.
fn byte_by_byte(client: &Node, vip: SocketAddr) {
    let mut stream = client::connect(client, vip).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET / HTTP/1.0\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("server1\n"), "{answer:?}");
}

/// The client's first segment is its last: all it has to say, and that it will say no more.
fn with_its_end(client: &Node, vip: SocketAddr) {
    let mut stream = client::connect(client, vip).unwrap();
    stream.write_all(b"GET /client HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let own = stream.local_addr().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(&format!("{} {}", own.ip(), own.port())), "{answer:?}");
}

/// Every twentieth packet gets lost behind the director, and every fifteenth of the client's before it: headers too.
#[test]
fn headers_and_bytes_survive_loss_on_both_sides() {
    let lab = lab(vec![1500]);
    let drop = |node: &Node, hook: &str, every: u32| {
        let rule = format!("meta l4proto tcp numgen inc mod {every} == 3 drop");
        let chain = format!("chain c {{ type filter hook {hook} priority 0; {rule}\n}}");
        node.exec(&["nft", &format!("table inet impair {{ {chain}\n}}\n")]).unwrap();
    };
    let _plain = Http::start(&lab.servers[0], PLAIN).unwrap();
    let _haproxy = HaProxy::start(&lab, &lab.servers[0]);
    let engine = Engine::start(&lab, &[]);
    let vips = serve(&engine, &lab);
    drop(&lab.routers[0], "forward", 20);
    drop(&lab.client, "output", 15);
    // Side by side: most of the time they wait for something lost.
    std::thread::scope(|scope| {
        for vip in vips {
            let client = &lab.client;
            scope.spawn(move || {
                for n in 0..40 {
                    let mut connection = Connection::open(client, vip).unwrap();
                    connection.stream().set_read_timeout(Some(Duration::from_secs(40))).unwrap();
                    is_known(&mut connection, vip);
                    if n % 4 == 0 {
                        connection.upload(30_000, |_| ()).unwrap();
                    }
                }
            });
        }
    });
    let status = engine.status();
    assert_eq!(status.drops(), [].into());
    // Of 320 some were lost.
    assert!(status.counter("proxy-headers-sent") > 320, "{}", status.counter("proxy-headers-sent"));
    engine.stop();
}

/// Everything that arrives at a machine's devices, with its headers.
fn watch(node: &Node) -> Socket {
    let all = Protocol::from(i32::from(3_u16.to_be()));
    let socket = node.run(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(all))).unwrap().unwrap();
    socket.set_recv_buffer_size(4 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket
}

/// The clients that segments to this port name by TOA: port and address.
fn named(mut socket: &Socket, l4_port: u16) -> Vec<Vec<u8>> {
    let (mut found, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(len) = socket.read(&mut buffer) {
        let frame = Frame::from_packet(&buffer[..len]);
        let Ok(packet) = Packet::parse(frame.packet()) else { continue };
        if matches!(packet.l4, L4::Tcp { dst_port, .. } if dst_port == l4_port) {
            let options = tcp::options(&frame, &packet).filter(|option| option.kind == 254);
            found.extend(options.map(|option| option.data.to_vec()));
        }
    }
    found
}

#[test]
fn toa_arrives_with_the_beginning_of_a_connection() {
    let lab = lab(Vec::new());
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    let engine = Engine::start(&lab, &[]);
    for (port, method) in [(81, "-m"), (82, "--fullnat")] {
        for family in FAMILIES {
            let vip = lab.vip.port(family, port);
            engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr --toa"));
            engine.ulvs(&format!("ipvsadm -a -t {vip} -r {} {method}", lab.server_port(0, family, 80)));
            let socket = watch(&lab.servers[0]);
            let mut connection = Connection::open(&lab.client, vip).unwrap();
            assert_eq!(connection.get("/").unwrap().body, "server1\n");
            let own = connection.stream().local_addr().unwrap();
            let mut expected = own.port().to_be_bytes().to_vec();
            match own.ip() {
                std::net::IpAddr::V4(ip) => expected.extend(ip.octets()),
                std::net::IpAddr::V6(ip) => expected.extend(ip.octets()),
            }
            let named = named(&socket, 80);
            assert!(!named.is_empty() && named.iter().all(|client| *client == expected), "{named:?}");
            client::upload(&lab.client, vip, 5 << 20, |_| ()).unwrap();
        }
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}
