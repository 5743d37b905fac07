//! The few packets that the doctor sends, each named in [`Facts::asked`].
//!
//! Neighbours are asked by ARP alone: where IPv6 servers are is what the kernel has found out. Where there are very many
//! servers, the first ones are asked.

mod pings;
mod said;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use netio::probe::{self, Answer, By, Syn, TunnelKind, Who};
use netio::survey::{Mac, Survey};
use sched::{ForwardMethod, Proto, ServiceKey, ServiceSpec};

use super::Packets;
use super::engine::has_port;
use crate::doctor::facts::{Connected, Facts, Probes};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a neighbour is.
const ON_LINK: Duration = Duration::from_millis(250);
/// So many servers are asked.
const MOST: usize = 64;

pub(super) fn ask(facts: &mut Facts, packets: Packets) -> Probes {
    let mut probes = Probes::default();
    let servers: BTreeSet<SocketAddr> = facts.pairs().map(|(_, dest)| dest.addr).collect();
    if servers.len() > MOST {
        facts.unseen.push(format!("servers beyond the first {MOST} of {}", servers.len()));
    }
    let servers: BTreeSet<_> = servers.into_iter().take(MOST).collect();
    if packets.all {
        connect(facts, &mut probes, &servers);
        said::ask(facts, &mut probes, &servers);
    }
    if let Err(error) = raw(facts, &mut probes, &servers, packets) {
        let need = if error.kind() == io::ErrorKind::PermissionDenied {
            ": it needs CAP_NET_RAW (root)"
        } else {
            ""
        };
        facts
            .unseen
            .push(format!("who answers ARP, ways back and what servers do with the VIP ({error}){need}"));
    }
    if packets.arp && facts.vips().iter().any(IpAddr::is_ipv6) {
        facts.unseen.push("whether others have an IPv6 VIP as well: only ARP is asked".to_owned());
    }
    probes
}

/// What is sent past the kernel's sockets.
fn raw(
    facts: &mut Facts,
    probes: &mut Probes,
    servers: &BTreeSet<SocketAddr>,
    packets: Packets,
) -> io::Result<()> {
    if packets.arp {
        arp(facts, probes, servers)?;
    }
    if packets.all {
        way_back(facts, probes, servers)?;
        at_server(facts, probes, servers)?;
    }
    if packets.pings { pings::ask(facts, probes, servers) } else { Ok(()) }
}

/// Services whose servers take TCP connections, with those servers.
fn tcp<'a>(
    facts: &'a Facts,
    servers: &'a BTreeSet<SocketAddr>,
) -> impl Iterator<Item = (&'a ServiceSpec, SocketAddr, ForwardMethod)> {
    let is_tcp = |service: &ServiceSpec| matches!(service.key.proto(), None | Some(Proto::Tcp));
    let pairs = facts.pairs().filter(move |(service, _)| is_tcp(service));
    let asked = pairs.filter(|(_, dest)| has_port(&dest.addr) && servers.contains(&dest.addr));
    asked.map(|(service, dest)| (service, dest.addr, dest.method))
}

/// As a connection of this host's own. A server behind direct routing or a tunnel may listen at the VIP alone.
fn connect(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) {
    let targets: BTreeSet<SocketAddr> = tcp(facts, servers).map(|(_, server, _)| server).collect();
    let outcomes = std::thread::scope(|scope| {
        let one = |target| scope.spawn(move || (target, try_connect(target)));
        let threads: Vec<_> = targets.iter().copied().map(one).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
    });
    if !targets.is_empty() {
        facts.asked.push(format!("a TCP connection to {}", list(&targets)));
    }
    probes.connect.extend(outcomes);
}

fn try_connect(target: SocketAddr) -> Connected {
    match TcpStream::connect_timeout(&target, PATIENCE) {
        Ok(_) => Connected::Yes,
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Connected::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Connected::Silence,
            _ => Connected::Failed(error.to_string()),
        },
    }
}

/// For servers and VIPs that lie on a link of this host's.
fn arp(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) -> io::Result<()> {
    let of_servers = servers.iter().map(SocketAddr::ip);
    let targets: BTreeSet<IpAddr> = of_servers.chain(facts.vips()).collect();
    let mut questions = Vec::new();
    for target in &targets {
        if let IpAddr::V4(target) = *target
            && let Some((link, own)) = facts.host.on_link(target.into())
            && let (Some(mac), IpAddr::V4(own)) = (link.mac, own.ip)
            && link.up
        {
            // Nobody learns anything from a question in no name (RFC 5227): not where a VIP is.
            let vip = facts.vips().contains(&IpAddr::V4(target));
            let asker = if vip { Ipv4Addr::UNSPECIFIED } else { own };
            questions.push(Who { device: link.index, mac, asker, target });
        }
    }
    if questions.is_empty() {
        return Ok(());
    }
    facts.asked.push(format!("ARP for {}", list(questions.iter().map(|who| who.target))));
    let answers = probe::who_has(&questions, ON_LINK)?;
    probes.arp = questions.iter().map(|who| who.target.into()).zip(answers).collect();
    Ok(())
}

/// Servers that answer this host are asked as if by the VIP.
fn way_back(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) -> io::Result<()> {
    let mut asked = Vec::new();
    for (service, server, method) in tcp(facts, servers) {
        let vips = facts.vips_of(&service.key);
        let vip = vips.iter().copied().find(|vip| vip.is_ipv4() == server.is_ipv4());
        let (ForwardMethod::Masq, Some(vip)) = (method, vip) else { continue };
        let there = matches!(probes.connect.get(&server), Some(Connected::Yes | Connected::Refused));
        if there && !is_neighbour(facts, vip, server.ip()) && !asked.iter().any(|syn: &Syn| syn.to == server)
        {
            asked.push(Syn { from: vip, to: server, by: By::Route });
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let words = asked.iter().map(|syn| format!("{} from {}", syn.to, syn.from));
    facts.asked.push(format!("a SYN to {}", list(words)));
    let answers = probe::begin(&asked, PATIENCE)?;
    let key = |syn: &Syn| (syn.from, syn.to);
    probes.way_back = asked.iter().map(key).zip(answers).collect();
    Ok(())
}

/// On the server's own link the VIP is answered there, wherever the gateway is.
fn is_neighbour(facts: &Facts, vip: IpAddr, server: IpAddr) -> bool {
    let device = |ip| facts.host.on_link(ip).map(|(link, _)| link.index);
    device(vip).is_some() && device(vip) == device(server)
}

/// What servers behind direct routing and tunnels do with a packet to the VIP; and those behind NAT that were silent when
/// asked from there, which may have it themselves.
fn at_server(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) -> io::Result<()> {
    // The kernel has looked for them just now, to connect to them.
    let now = Survey::take().unwrap_or_default();
    let mut asked: Vec<(Syn, SocketAddr)> = Vec::new();
    for (service, server, method) in tcp(facts, servers) {
        let Some(Ok(way)) = facts.ways.get(&server.ip()) else { continue };
        let (Some(own), ip) = (way.source, server.ip()) else { continue };
        let by = match method {
            ForwardMethod::Masq if !is_silent(probes, server) => continue,
            ForwardMethod::Route | ForwardMethod::Masq => {
                let ours = facts.host.link(way.device).and_then(|link| link.mac);
                let (Some(from), Some(to)) = (ours, link_address(probes, &now, ip)) else { continue };
                By::Link { device: way.device, from, to }
            }
            ForwardMethod::Tunnel(tunnel) => {
                let kind = match tunnel.kind {
                    sched::TunnelKind::Ipip => TunnelKind::Ipip,
                    sched::TunnelKind::Gre => TunnelKind::Gre,
                    sched::TunnelKind::Gue => TunnelKind::Gue(tunnel.port),
                };
                By::Tunnel { from: own, to: ip, kind }
            }
            ForwardMethod::FullNat => continue,
        };
        for vip in facts.vips_of(&service.key) {
            let port = match service.key {
                ServiceKey::Addr { l4_port: port @ 1.., .. } => port,
                _ => server.port(),
            };
            let to = SocketAddr::new(vip, port);
            // A host that has the VIP itself must not be spoken to from it, nor over another family.
            if own != vip
                && own.is_ipv4() == vip.is_ipv4()
                && !asked.iter().any(|(syn, at)| (syn.to, *at) == (to, server))
            {
                asked.push((Syn { from: own, to, by }, server));
            }
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let words = asked.iter().map(|(syn, server)| format!("{} at {}", syn.to, server.ip()));
    facts.asked.push(format!("a SYN to {}", list(words)));
    probes.at_server = one_by_one(asked.clone())?.into_iter().map(|(at, (_, answer))| (at, answer)).collect();
    let answers = |syn: &Syn, server| {
        matches!(probes.at_server.get(&(syn.to, server)), Some(Some(Answer::Open(_) | Answer::Refused(_))))
    };
    let there = asked.into_iter().filter(|(syn, server)| answers(syn, *server));
    let waiting: Vec<_> = there
        .filter_map(|(syn, server)| {
            Some((Syn { from: who_waits(facts, server, syn.to.ip())?, ..syn }, server))
        })
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let words =
        waiting.iter().map(|(syn, server)| format!("{} at {} from {}", syn.to, server.ip(), syn.from));
    facts.asked.push(format!("a SYN to {}", list(words)));
    let came = |(from, answer): (IpAddr, Option<Answer>)| {
        (from, matches!(answer, Some(Answer::Open(_) | Answer::Refused(_))))
    };
    probes.led_here = one_by_one(waiting)?.into_iter().map(|(at, answer)| (at, came(answer))).collect();
    Ok(())
}

/// Nothing has come back of what it was asked as if by the VIP.
fn is_silent(probes: &Probes, server: SocketAddr) -> bool {
    probes.way_back.iter().any(|((_, at), answer)| *at == server && answer.is_none())
}

/// By VIP and server: in whose name it was asked, and what came of it. Of one VIP at several servers answers are told
/// apart by nothing but time.
type Answers = Vec<((SocketAddr, SocketAddr), (IpAddr, Option<Answer>))>;

fn one_by_one(mut left: Vec<(Syn, SocketAddr)>) -> io::Result<Answers> {
    let mut found = Vec::new();
    while !left.is_empty() {
        let mut vips = BTreeSet::new();
        let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|(syn, _)| vips.insert(syn.to));
        let syns: Vec<_> = now.iter().map(|(syn, _)| *syn).collect();
        let answers = probe::begin(&syns, PATIENCE)?;
        let told = now.iter().zip(answers);
        found.extend(told.map(|((syn, server), answer)| ((syn.to, *server), (syn.from, answer))));
        left = later;
    }
    Ok(found)
}

/// A client that has heard nothing yet of a server to which it was given, where this host is no router: if the server's way
/// to it leads here, it never will.
fn who_waits(facts: &Facts, server: SocketAddr, vip: IpAddr) -> Option<IpAddr> {
    let seen = facts.engine.as_ref()?.servers.get(&server)?;
    let mut clients = seen.clients.iter().copied().filter(|client| client.is_ipv4() == vip.is_ipv4());
    let own = |client: &IpAddr| facts.host.holders(*client).next().is_some();
    clients.find(|client| !facts.is_router(vip) && !own(client) && !is_neighbour(facts, *client, server.ip()))
}

/// Where a server is on its link.
fn link_address(probes: &Probes, now: &Survey, server: IpAddr) -> Option<Mac> {
    let told = probes.arp.get(&server).and_then(|macs| macs.first().copied());
    told.or_else(|| now.neighbours.iter().find(|neighbour| neighbour.ip == server)?.mac)
}

/// The first few of many.
fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    const SHOWN: usize = 6;
    let mut words: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    let more = words.len().saturating_sub(SHOWN);
    words.truncate(SHOWN);
    let shown = words.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
