//! Tunnels: that a server without a tunnel device of the kernel's takes packets for its VIPs out of all of them, and
//! nothing else; what becomes of it when processes end; and that `stop` leaves nothing of it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::snapshot::Snapshot;
use lab::topo::{DirectLab, DirectOptions};
use lab::wait::wait_for;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::TcpMaxSeg;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use super::host::{assert_untouched, done, real, state_dir, status};
use crate::scene::{FAMILIES, bind_udp, refused, with_mounts};
use crate::support::{PATIENCE, binary, printed};
use crate::tunnels::{Tunnelled, kinds};

/// Machines as they come, but with a strict reverse path filter everywhere; the server is behind a router.
fn options() -> DirectOptions {
    DirectOptions { vip_on_servers: false, servers: 1, server_path: vec![1500], ..DirectOptions::default() }
}

fn strict(lab: &DirectLab) {
    for name in ["all", "default", "eth0"] {
        lab.servers[0].sysctl(&format!("net.ipv4.conf.{name}.rp_filter"), "1").unwrap();
    }
}

fn laboratory() -> DirectLab {
    let lab = DirectLab::new(&options()).unwrap();
    strict(&lab);
    lab
}

/// A server for both VIPs; what it was like before.
fn tunnelled(start: &str) -> Tunnelled<Snapshot> {
    Tunnelled::new(options(), |lab| {
        strict(lab);
        let before = Snapshot::take(&lab.servers[0]).unwrap();
        done(lab, &format!("start --vip {} {} --method tun{start}", lab.vip.v4, lab.vip.v6));
        before
    })
}

/// What the decapsulator has counted: kinds, frames, drops.
#[derive(Debug)]
struct Counts(Value);

impl Counts {
    fn of(lab: &DirectLab) -> Self {
        let (code, json) = status(lab);
        assert_eq!((code, json["lost"].as_array().unwrap().len()), (Some(0), 0), "{json}");
        Self(json["decapsulator"].clone())
    }

    fn count(&self, name: &str) -> u64 {
        self.0["counters"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.0["drops"][reason].as_u64().unwrap_or_else(|| panic!("no {reason} in {}", self.0))
    }

    fn all_dropped(&self) -> u64 {
        self.0["drops"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
    }

    /// Nothing has come that is not accounted for.
    fn add_up(&self) {
        let came: u64 = ["ipip", "gre", "gue"].iter().map(|kind| self.count(kind)).sum();
        let dropped = self.all_dropped() - self.dropped("no-room");
        assert_eq!(came, self.count("packets") + self.count("merged") + dropped, "{}", self.0);
    }
}

fn pid(lab: &DirectLab) -> String {
    Counts::of(lab).0["pid"].to_string()
}

/// Sends the decapsulator a signal and waits for its end.
fn kill(lab: &DirectLab, signal: &str) {
    let pid = pid(lab);
    lab.servers[0].exec(&["kill", "-s", signal, &pid]).unwrap();
    let gone = || (!status(lab).1["decapsulator"].is_object()).then_some(());
    wait_for("the decapsulator's end", PATIENCE, gone).unwrap();
}

#[test]
fn every_kind_of_tunnel_carries_either_family_in_either() {
    let tunnelled = tunnelled("");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    for kind in kinds() {
        let name = if kind == "-i" { "ipip" } else { kind.split(' ').nth(2).unwrap() };
        for inner in FAMILIES {
            for outer in FAMILIES {
                tunnelled.serve(&engine, inner, outer, &kind);
                let before = Counts::of(lab);
                tunnelled.works(inner);
                let after = Counts::of(lab);
                let more = |name| after.count(name) - before.count(name);
                assert!(more(name) > 2000, "{kind}: {inner:?} in {outer:?}: {after:?}");
                engine.ulvs("ipvsadm -C");
            }
        }
    }
    let counts = Counts::of(lab);
    // The uploads come in bulk. How much of one comes at once is the machine's affair.
    assert!(counts.count("super-packets") > 0 && counts.count("merged") > 0, "{counts:?}");
    assert_eq!(counts.all_dropped(), 0, "{counts:?}");
    counts.add_up();
    tunnelled.nothing_lost(&engine);
    done(lab, "stop");
    assert_untouched(lab, &tunnelled.far_end);
}

/// Interfaces merge what comes before anybody sees it, and leave the checksums of what they have merged unfinished.
#[test]
fn what_an_interface_has_merged_is_taken_out_as_well() {
    let tunnelled = tunnelled("");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    // It waits a little for more to come, as one does that gets packets faster than the director of a test sends them.
    let wait = "ethtool -K eth0 gro on; cd /sys/class/net/eth0; echo 1000000 >gro_flush_timeout; \
                echo 1 >napi_defer_hard_irqs";
    let waits = with_mounts(&lab.servers[0], "mount -t sysfs sysfs /sys", &["sh", "-ec", wait]).status();
    assert!(waits.unwrap().success());
    // A veth merges only what its peer leaves to it.
    let switch = lab.switches.last().unwrap();
    switch.exec(&["ethtool", "-K", "server1", "tso", "off"]).unwrap();
    let mut longest = 0;
    for kind in kinds() {
        for (inner, outer) in FAMILIES.into_iter().flat_map(|inner| FAMILIES.map(|outer| (inner, outer))) {
            tunnelled.serve(&engine, inner, outer, &kind);
            let before = Counts::of(lab);
            tunnelled.works(inner);
            let after = Counts::of(lab);
            let more = |name| after.count(name) - before.count(name);
            longest = longest.max(5_000_000 / (more("ipip") + more("gre") + more("gue")));
            engine.ulvs("ipvsadm -C");
        }
    }
    assert!(longest > 3000, "the interface has merged nothing: {longest} bytes a packet");
    let counts = Counts::of(lab);
    assert_eq!(counts.all_dropped(), 0, "{counts:?}");
    counts.add_up();
}

#[test]
fn without_offload_every_packet_goes_by_itself() {
    let tunnelled = tunnelled(" --offload off");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    // The kind that leaves checksums to the far end is the one with most to do.
    let [.., remote] = kinds();
    for inner in FAMILIES {
        tunnelled.serve(&engine, inner, Family::V4, &remote);
        tunnelled.works(inner);
    }
    let counts = Counts::of(lab);
    assert_eq!((counts.count("super-packets"), counts.all_dropped()), (0, 0), "{counts:?}");
    assert_eq!(counts.0["offload"], "off");
    counts.add_up();
    // To be told so again later is to begin anew, and nothing else is.
    let (v4, before) = (lab.vip.v4, pid(lab));
    assert_eq!(done(lab, &format!("start --vip {v4} --method tun")), ["nothing had to be changed"]);
    assert_eq!(pid(lab), before);
    let told = done(lab, &format!("start --vip {v4} --method tun --offload auto"));
    assert!(told.len() == 2 && told[0].contains("removed") && told[1].contains("added"), "{told:?}");
    assert_ne!(pid(lab), before);
    // How much comes at once is the machine's affair.
    let merges = (0..5).any(|_| {
        tunnelled.works(Family::V4);
        Counts::of(lab).count("super-packets") > 0
    });
    assert!(merges, "{:?}", Counts::of(lab));
}

/// Nobody has to be told by ICMP how long a segment may be that goes through the tunnel.
#[test]
fn clients_are_invited_to_send_what_fits_into_tunnels() {
    let tunnelled = tunnelled("");
    let engine = tunnelled.engine();
    for (family, payload) in [(Family::V4, 1400), (Family::V6, 1380)] {
        tunnelled.serve(&engine, family, Family::V4, "-i --tun-type gue --tun-port 6080 --tun-remcsum");
        let connection = Connection::open(&tunnelled.lab.client, tunnelled.vip(family)).unwrap();
        let segment = getsockopt(connection.stream(), TcpMaxSeg).unwrap();
        // Timestamps take twelve bytes.
        assert_eq!(segment, payload - 12, "{family:?}");
    }
    let (_, status) = status(&tunnelled.lab);
    let words = status["decapsulator"]["segments"].as_str().unwrap().to_owned();
    assert_eq!(words, "clients are invited to send 1400 bytes at most, by IPv6 1380");
}

/// The address of the decapsulator's own device is hidden from neighbours, as VIPs are.
#[test]
fn the_doctor_looks_at_the_vips_and_at_no_other_address() {
    let tunnelled = tunnelled("");
    let server = &tunnelled.lab.servers[0];
    let addresses = server.exec(&["ip", "-o", "address", "show", "dev", "ulvs-real0"]).unwrap();
    assert!(addresses.contains("192.0.0.8/32"), "{addresses}");
    let mut command = server.command(binary());
    command.args(["doctor", "--real", "--state-dir"]).arg(state_dir(&tunnelled.lab));
    let text = printed(&command.output().unwrap());
    assert!(text.contains("this host as a real server, 2 VIPs"), "{text}");
}

#[test]
fn addresses_come_and_go_while_packets_flow() {
    let tunnelled = tunnelled("");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    tunnelled.serve(&engine, Family::V4, Family::V4, "-i");
    let before = pid(lab);
    let mut connection = Connection::open(&lab.client, tunnelled.vip(Family::V4)).unwrap();
    connection.upload(1_000_000, |_| ()).unwrap();
    assert_eq!(
        done(lab, "start --vip 203.0.113.8 --method tun"),
        ["203.0.113.8/32 added to lo"],
        "the same process serves it"
    );
    connection.upload(1_000_000, |_| ()).unwrap();
    // The second is reached as the first is.
    let second: SocketAddr = "203.0.113.8:80".parse().unwrap();
    lab.edges[0]
        .exec(&["ip", "route", "add", "203.0.113.8", "via", &lab.director_addr.v4.to_string()])
        .unwrap();
    engine.ulvs(&format!("ipvsadm -A -t {second} -s rr"));
    engine.ulvs(&format!("ipvsadm -a -t {second} -r {} -i", lab.server_port(0, Family::V4, 80)));
    assert_eq!(client::get(&lab.client, second, "/").unwrap().body, "server1\n");
    // And direct routing is possible besides.
    done(lab, "start --vip 203.0.113.9");
    assert_eq!(pid(lab), before);
    let undone = done(lab, &format!("stop --vip {} 203.0.113.8", lab.vip.v6));
    assert_eq!(undone.len(), 2, "{undone:?}");
    connection.upload(1_000_000, |_| ()).unwrap();
    assert_eq!((pid(lab), Counts::of(lab).all_dropped()), (before, 0));
    // What still comes for one that has gone is for nobody.
    assert!(
        lab.client.run(|| std::net::TcpStream::connect_timeout(&second, PATIENCE / 20)).unwrap().is_err()
    );
    assert!(Counts::of(lab).dropped("not-served") > 0);
    // The last one takes the process along.
    let undone = done(lab, &format!("stop --vip {}", lab.vip.v4));
    assert!(undone.iter().any(|line| line.starts_with("ulvs-real0 removed")), "{undone:?}");
    assert!(!undone.iter().any(|line| line.contains("arp_ignore")), "direct routing needs it: {undone:?}");
    assert!(status(lab).1["decapsulator"].is_null());
    done(lab, "stop");
    assert_untouched(lab, &tunnelled.far_end);
}

#[test]
fn one_that_was_killed_is_missed_and_comes_back() {
    let tunnelled = tunnelled(" --gue-port 7777");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    tunnelled.serve(&engine, Family::V6, Family::V4, "-i --tun-type gue --tun-port 7777");
    tunnelled.works(Family::V6);
    for signal in ["KILL", "TERM"] {
        kill(lab, signal);
        let told = real(lab, "status");
        let text = printed(&told);
        assert_eq!(told.status.code(), Some(1), "{text}");
        assert!(text.contains("the process that takes packets out of tunnels has ended"), "{text}");
        // As it was, without being told again.
        let mended = done(lab, &format!("start --vip {} --method tun", lab.vip.v4));
        assert!(mended.len() == 1 && mended[0].contains("added, by process"), "{mended:?}");
        assert_eq!(Counts::of(lab).0["gue_port"], 7777);
        tunnelled.works(Family::V6);
    }
    // Its device may go alone.
    lab.servers[0].exec(&["ip", "link", "del", "ulvs-real0"]).unwrap();
    let (code, json) = status(lab);
    let lost = json["lost"].to_string();
    assert!(code == Some(1) && lost.contains("ulvs-real0"), "{json}");
    done(lab, &format!("start --vip {} --method tun", lab.vip.v4));
    tunnelled.works(Family::V6);
    kill(lab, "KILL");
    done(lab, "stop");
    assert_untouched(lab, &tunnelled.far_end);
}

/// Whoever can send to the server must not reach through it what else it can reach.
#[test]
fn what_is_for_others_is_not_let_in() {
    let lab = laboratory();
    let server = &lab.servers[0];
    server.sysctl("net.ipv4.ip_forward", "1").unwrap();
    server.sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
    done(&lab, &format!("start --vip {} {} --method tun", lab.vip.v4, lab.vip.v6));
    let to = SocketAddr::new(lab.server_addrs[0].v4, 0);
    let send = |protocol: i32, bytes: &[u8]| {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol)));
        lab.director.run(open).unwrap().unwrap().send_to(bytes, &to.into()).unwrap();
    };
    // A datagram without anything in it.
    let v4 = |dst: IpAddr| {
        let IpAddr::V4(dst) = dst else { unreachable!("IPv4") };
        let mut packet = [0x45, 0, 0, 28, 0, 0, 0, 0, 9, 17, 0, 0, 198, 51, 100, 10, 0, 0, 0, 0].to_vec();
        packet[16..20].copy_from_slice(&dst.octets());
        let sum = !wire::checksum::sum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend([0, 9, 0, 9, 0, 8, 0, 0]);
        packet
    };
    let to_vip = v4(lab.vip.v4);
    let nobody = [Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST].map(IpAddr::from);
    for dst in [lab.server_addrs[0].v4, lab.client_addr.v4].into_iter().chain(nobody) {
        send(4, &v4(dst));
    }
    let mut v6 = [&[0x60, 0, 0, 0, 0, 8, 17, 9][..], &[0; 32], &[0, 9, 0, 9, 0, 8, 0, 0]].concat();
    let IpAddr::V6(client) = lab.client_addr.v6 else { unreachable!("IPv6") };
    v6[24..40].copy_from_slice(&client.octets());
    send(41, &v6);
    // Each of these is refused for a reason of its own.
    send(41, &to_vip);
    send(47, &[&[0x20, 0, 8, 0, 0, 0, 0, 1][..], &to_vip].concat());
    send(47, &[&[0x80, 0, 8, 0, 1, 1, 0, 0][..], &to_vip].concat());
    send(47, &[0, 0]);
    // And this one is let in.
    send(47, &[&[0, 0, 8, 0][..], &to_vip].concat());
    let all =
        || Some(Counts::of(&lab)).filter(|counts| counts.count("packets") > 0 && counts.all_dropped() == 9);
    let counts = wait_for("all packets to be counted", PATIENCE, all).unwrap();
    assert_eq!((counts.count("ipip"), counts.count("gre"), counts.count("packets")), (6, 4, 1));
    for (reason, times) in [
        ("not-served", 5),
        ("inner-malformed", 1),
        ("gre-key", 1),
        ("gre-checksum", 1),
        ("outer-malformed", 1),
    ] {
        assert_eq!(counts.dropped(reason), times, "{reason}: {counts:?}");
    }
    counts.add_up();
    let text = printed(&real(&lab, "status"));
    assert!(text.contains("not-served 5") && text.contains("gre-key 1"), "{text}");
    let device = server.exec(&["ip", "-s", "-j", "link", "show", "ulvs-real0"]).unwrap();
    let device: Value = serde_json::from_str(&device).unwrap();
    assert_eq!(device[0]["stats64"]["rx"]["packets"], 1, "{device}");
}

#[test]
fn what_is_missing_is_named_and_nothing_is_changed() {
    let lab = laboratory();
    let server = &lab.servers[0];
    let before = Snapshot::take(server).unwrap();
    let (ulvs, state) = (binary(), state_dir(&lab).to_str().unwrap().to_owned());
    let vip = lab.vip.v4.to_string();
    let start =
        [ulvs.to_str().unwrap(), "real", "start", "--vip", &vip, "--method", "tun", "--state-dir", &state];
    let without = |capability: &str| {
        let mut command = server.command("setpriv");
        command.arg(format!("--bounding-set=-{capability}")).args(start);
        command
    };
    let no_device = with_mounts(server, "mount -t tmpfs none /dev/net", &start);
    let held = bind_udp(server, "[::]:6080".parse().unwrap());
    let mut plain = server.command(start[0]);
    plain.args(&start[1..]);
    let refuse = |command: Command, words: &[&str]| {
        let text = refused(command);
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
        assert_untouched(&lab, &before);
    };
    refuse(plain, &["UDP port 6080", "--gue-port", "ss -ulnp"]);
    drop(held);
    refuse(no_device, &["/dev/net/tun is missing", "modprobe tun"]);
    refuse(without("net_raw"), &["CAP_NET_RAW", "run as root"]);
    refuse(without("net_admin"), &["CAP_NET_ADMIN", "run as root"]);
    let mut misplaced = server.command(&ulvs);
    misplaced.args(["real", "start", "--vip", &vip, "--gue-port", "6081"]);
    refuse(misplaced, &["--gue-port", "--method tun"]);
    // An address that cannot be takes the process along that would have served it.
    server.sysctl("net.ipv6.conf.lo.disable_ipv6", "1").unwrap();
    let off = Snapshot::take(server).unwrap();
    let output = real(&lab, &format!("start --vip {vip} {} --method tun", lab.vip.v6));
    assert!(!output.status.success() && printed(&output).contains("disable_ipv6"), "{}", printed(&output));
    assert_untouched(&lab, &off);
}

/// As in a container: nothing can be written to `/proc/sys`.
#[test]
fn settings_that_have_no_file_are_no_hindrance() {
    let tunnelled = Tunnelled::new(options(), |lab| {
        strict(lab);
        let before = Snapshot::take(&lab.servers[0]).unwrap();
        in_container(lab, &format!("start --vip {} {} --method tun", lab.vip.v4, lab.vip.v6));
        before
    });
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    for family in FAMILIES {
        tunnelled.serve(&engine, family, Family::V4, "-i");
        tunnelled.works(family);
    }
    assert_eq!(Counts::of(lab).all_dropped(), 0);
    in_container(lab, "stop");
    assert_untouched(lab, &tunnelled.far_end);
}

fn in_container(lab: &DirectLab, line: &str) {
    let (ulvs, state) = (binary(), state_dir(lab));
    let argv = [ulvs.to_str().unwrap(), "real"].into_iter().chain(line.split(' '));
    let argv: Vec<_> = argv.chain(["--state-dir", state.to_str().unwrap()]).collect();
    let script = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
    let output = with_mounts(&lab.servers[0], script, &argv).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", printed(&output));
}

#[test]
fn who_has_nothing_to_do_costs_nothing() {
    let tunnelled = tunnelled("");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    tunnelled.serve(&engine, Family::V4, Family::V4, "-i");
    tunnelled.works(Family::V4);
    let pid = pid(lab);
    let before = cpu_ticks(&pid);
    std::thread::sleep(Duration::from_secs(1));
    assert!(cpu_ticks(&pid) - before <= 1, "it is not asleep");
}

#[test]
fn a_tunnel_device_of_the_kernels_is_told_of() {
    let lab = laboratory();
    let server = &lab.servers[0];
    server.exec(&["ip", "link", "add", "tunl0", "type", "veth", "peer", "name", "other"]).unwrap();
    let quiet = done(&lab, "start --vip 203.0.113.7 --method tun");
    assert!(!quiet.iter().any(|line| line.contains("tunl0")), "{quiet:?}");
    server.exec(&["ip", "link", "set", "tunl0", "up"]).unwrap();
    let told = printed(&real(&lab, "status"));
    assert!(told.contains("ip link set tunl0 down"), "{told}");
    assert_eq!(status(&lab).1["notices"].as_array().unwrap().len(), 1);
}

/// How fast that is on a machine that does all else as well says little; the processor's time, and what the kernel is
/// spared, say more.
#[test]
fn bulk_comes_in_fewer_pieces() {
    const BYTES: usize = 64 << 20;
    let tunnelled = tunnelled("");
    let (lab, engine) = (&tunnelled.lab, tunnelled.engine());
    let target = lab.vip.port(Family::V4, 5001);
    engine.ulvs(&format!("ipvsadm -A -t {target} -s rr"));
    engine.ulvs(&format!("ipvsadm -a -t {target} -r {} -i", lab.server_port(0, Family::V4, 5001)));
    let listener = lab.servers[0].run(|| TcpListener::bind(target)).unwrap().unwrap();
    let (mut rates, mut times) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..3 {
        for (way, offload) in ["auto", "off"].into_iter().enumerate() {
            done(lab, &format!("start --vip {} --method tun --offload {offload}", lab.vip.v4));
            let (begin, began) = (cpu_ticks(&pid(lab)), Instant::now());
            let got = std::thread::scope(|scope| {
                let sink = scope.spawn(|| swallow(&listener));
                let mut source = client::connect(&lab.client, target).unwrap();
                for _ in 0..BYTES >> 16 {
                    source.write_all(&[7; 1 << 16]).unwrap();
                }
                drop(source);
                sink.join().unwrap()
            });
            assert_eq!(got, BYTES);
            rates[way].push(BYTES as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9);
            times[way].push((cpu_ticks(&pid(lab)) - begin) as f64 * 10.0);
            let counts = Counts::of(lab);
            assert_eq!(counts.count("merged") > 0, offload == "auto", "{counts:?}");
        }
    }
    let [merged, single] = rates.map(median);
    let [merged_time, single_time] = times.map(median);
    println!(
        "64 MiB up through IPIP: {merged:.2} Gbit/s in super-packets, {single:.2} one by one, {:.2} \
         times; of the processor {merged_time} ms and {single_time} ms, {:.2} times",
        merged / single,
        single_time / merged_time
    );
}

/// Reads a connection to its end; how much there was.
fn swallow(listener: &TcpListener) -> usize {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut buffer, mut all) = (vec![0; 1 << 18], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return all,
            n => all += n,
        }
    }
}

/// What a process has used of the processors so far, in hundredths of a second. The kernel's work with what it is
/// given is in it.
fn cpu_ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<_> = behind_name.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
