//! Facts that are made up, and what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use control::api::{CertView, Status};
use netio::probe::{Answer, Echoed, Through};
use netio::survey::{Address, BaseChain, Hook, Link, Listener, Mac, Neighbour, Owner, Rule, Survey, Way};
use sched::{DestSpec, ForwardMethod, ServiceSpec, Weight};

use super::*;
use crate::doctor::facts::{Connected, Engine, Front, Probes, Seen};
use crate::doctor::finding::Severity;

mod said;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Mac = Mac([2, 0, 0, 0, 0, 11]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 99]);

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        up: true,
        resolves: true,
        mtu: 1500,
        queue: 1000,
        mac: Some(OWN),
        master: None,
        lower: None,
    }
}

/// A director with a server behind it by a method, where all is well.
fn healthy(method: ForwardMethod) -> Facts {
    let mut service = ServiceSpec::new("tcp/198.51.100.100:80".parse().unwrap(), "rr");
    service.dests.push(DestSpec { method, ..DestSpec::new("10.0.0.11:80".parse().unwrap()) });
    let host = Survey {
        links: vec![link(2, "to-client"), link(3, "to-servers")],
        addresses: vec![
            Address { device: 2, ip: "198.51.100.1".parse().unwrap(), prefix: 24 },
            Address { device: 3, ip: "10.0.0.1".parse().unwrap(), prefix: 24 },
        ],
        ..Survey::default()
    };
    let way = Way { device: 3, gateway: None, source: Some("10.0.0.1".parse().unwrap()), mtu: 1500 };
    let through = Through { device: 3, mac: SERVER };
    let (vip, server) = ("198.51.100.100".parse().unwrap(), service.dests[0].addr);
    let probes = Probes {
        arp: [("10.0.0.11".parse().unwrap(), BTreeSet::from([SERVER])), (vip, BTreeSet::new())].into(),
        connect: [(server, Connected::Yes)].into(),
        way_back: [((vip, server), Some(Answer::Open(through)))].into(),
        at_server: [(("198.51.100.100:80".parse().unwrap(), server), Some(Answer::Open(through)))].into(),
        ..Probes::default()
    };
    Facts {
        services: vec![service],
        engine: Some(Engine {
            status: Status { pid: 7, device: "ulvs0".to_owned(), ..Status::default() },
            ..Engine::default()
        }),
        host,
        ways: [(server.ip(), Ok(way))].into(),
        probes: Some(probes),
        ..Facts::default()
    }
}

/// The only finding of a check, with its first cure in words.
fn only(check: &Check, facts: &Facts) -> (Severity, String, String) {
    let found = (check.find)(facts);
    assert_eq!(found.len(), 1, "{}: {found:?}", check.name);
    let cure = found[0]
        .cures
        .first()
        .map(|cure| format!("{}{}", cure.on.map_or_else(String::new, |on| format!("{on}: ")), cure.command));
    (found[0].severity, found[0].saw.clone(), cure.unwrap_or_default())
}

fn nat() -> Facts {
    let mut facts = healthy(ForwardMethod::Masq);
    probes(&mut facts).at_server.clear();
    facts
}

fn dr() -> Facts {
    healthy(ForwardMethod::Route)
}

fn certificate(not_before: i64, not_after: i64) -> CertView {
    CertView {
        file: "site.crt".into(),
        names: vec!["www.ilinux.io".to_owned()],
        subject: String::new(),
        issuer: String::new(),
        not_before,
        not_after,
        key: String::new(),
        fingerprint: String::new(),
        days_left: 90,
        warnings: Vec::new(),
    }
}

fn probes(facts: &mut Facts) -> &mut Probes {
    facts.probes.as_mut().unwrap()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for facts in [nat(), dr(), healthy(ForwardMethod::FullNat), Facts::default()] {
        for check in ALL {
            assert_eq!((check.find)(&facts), [], "{}", check.name);
        }
    }
}

#[test]
fn checks_have_names_of_their_own() {
    let names: BTreeSet<_> = ALL.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), ALL.len());
    assert!(ALL.iter().all(|check| !check.about.is_empty() && check.name.len() < 15));
}

#[test]
fn a_gateway_that_is_not_the_director_is_told_by_silence_or_by_another_hop() {
    for (answer, saw) in [
        (None, "nothing came back of one from 198.51.100.100"),
        (Some(Answer::Open(Through { device: 2, mac: SERVER })), "came back by to-client"),
        (Some(Answer::Open(Through { device: 3, mac: OTHER })), "through a router (02:00:00:00:00:63)"),
    ] {
        let mut facts = nat();
        probes(&mut facts).way_back.values_mut().for_each(|it| *it = answer);
        let (severity, told, cure) = only(&way_back::CHECK, &facts);
        assert_eq!((severity, told.contains(saw)), (Severity::Fault, true), "{told}");
        assert_eq!(cure, "10.0.0.11: ip route replace default via 10.0.0.1");
    }
}

#[test]
fn an_answer_that_is_heard_at_a_port_of_the_bridge_or_below_the_vlan_has_come_back() {
    // The servers' link is a bridge, of whose ports one is a VLAN.
    let mut facts = nat();
    let [port, vlan] =
        [("port", 3), ("vlan", 9)].map(|(name, of)| Link { master: Some(of), ..link(9, name) });
    facts.host.links.extend([
        port,
        Link { index: 10, lower: Some(11), ..vlan },
        link(11, "trunk"),
        link(12, "other"),
    ]);
    for (device, there) in [(9, true), (10, true), (11, true), (12, false), (2, false)] {
        let answer = Some(Answer::Open(Through { device, mac: SERVER }));
        probes(&mut facts).way_back.values_mut().for_each(|it| *it = answer);
        assert_eq!((way_back::CHECK.find)(&facts).is_empty(), there, "{device}");
    }
}

#[test]
fn a_server_that_has_the_vip_itself_is_silent_when_it_is_asked_from_there() {
    let mut facts = nat();
    probes(&mut facts).way_back.values_mut().for_each(|it| *it = None);
    assert_eq!((way_back::CHECK.find)(&facts).len(), 1);
    probes(&mut facts).at_server = probes(&mut dr()).at_server.clone();
    assert_eq!((way_back::CHECK.find)(&facts), []);
    probes(&mut facts).at_server.values_mut().for_each(|it| *it = None);
    assert_eq!((way_back::CHECK.find)(&facts).len(), 1);
}

#[test]
fn direct_answers_that_come_to_a_host_that_is_no_router_end_there() {
    let mut facts = dr();
    let at = ("198.51.100.100:80".parse().unwrap(), "10.0.0.11:80".parse().unwrap());
    for (here, expected) in [(true, 1), (false, 0)] {
        probes(&mut facts).led_here = [(at, ("192.0.2.9".parse().unwrap(), here))].into();
        assert_eq!((way_back::CHECK.find)(&facts).len(), expected);
    }
    probes(&mut facts).led_here = [(at, ("192.0.2.9".parse().unwrap(), true))].into();
    let (severity, saw, cure) = only(&way_back::CHECK, &facts);
    assert_eq!(severity, Severity::Fault);
    assert!(
        saw.contains(
            "from 198.51.100.100:80 to 192.0.2.9 comes to this host, where net.ipv4.ip_forward is 0"
        )
    );
    assert_eq!(cure, "sysctl -w net.ipv4.ip_forward=1");
}

#[test]
fn connections_that_wait_tell_of_the_way_back_where_no_packet_was_sent() {
    let mut facts = nat();
    facts.probes = None;
    let seen = Seen { half_open: 3, ..Seen::default() };
    facts.engine.as_mut().unwrap().servers = [("10.0.0.11:80".parse().unwrap(), seen)].into();
    assert!(only(&way_back::CHECK, &facts).1.contains("3 connections have been given to it"));
    facts.engine.as_mut().unwrap().servers.values_mut().for_each(|seen| seen.other = 1);
    assert_eq!((way_back::CHECK.find)(&facts), []);
}

#[test]
fn a_client_on_the_servers_link_is_answered_past_the_director() {
    let mut facts = nat();
    let seen = |client: &str| Seen { half_open: 1, other: 0, clients: [client.parse().unwrap()].into() };
    for (client, found) in [("10.0.0.250", 1), ("198.51.100.10", 0)] {
        facts.engine.as_mut().unwrap().servers = [("10.0.0.11:80".parse().unwrap(), seen(client))].into();
        assert_eq!((same_link::CHECK.find)(&facts).len(), found, "{client}");
    }
    facts.engine.as_mut().unwrap().servers = [("10.0.0.11:80".parse().unwrap(), seen("10.0.0.250"))].into();
    facts.engine.as_mut().unwrap().hairpin = true;
    assert_eq!((same_link::CHECK.find)(&facts), []);
}

#[test]
fn a_server_without_the_vip_is_told_from_one_that_is_down() {
    let mut facts = dr();
    probes(&mut facts).at_server.values_mut().for_each(|answer| *answer = None);
    assert_eq!(only(&vip::CHECK, &facts).2, "10.0.0.11: ulvs real start --vip 198.51.100.100");
    probes(&mut facts).arp.values_mut().for_each(BTreeSet::clear);
    probes(&mut facts).connect.clear();
    assert_eq!((vip::CHECK.find)(&facts), []);
    assert!(only(&servers::CHECK, &facts).1.contains("nobody answers ARP for 10.0.0.11 on to-servers"));
}

#[test]
fn whoever_answers_for_the_vip_is_named() {
    let mut facts = dr();
    let vip: std::net::IpAddr = "198.51.100.100".parse().unwrap();
    probes(&mut facts).arp.insert(vip, [SERVER].into());
    assert!(only(&arp::CHECK, &facts).1.starts_with("10.0.0.11 (02:00:00:00:00:0b) answers ARP"));
    assert_eq!((duplicate::CHECK.find)(&facts), []);
    probes(&mut facts).arp.insert(vip, [OTHER].into());
    assert_eq!((arp::CHECK.find)(&facts), []);
    assert!(only(&duplicate::CHECK, &facts).1.starts_with("02:00:00:00:00:63 on to-client"));
    let ip = "198.51.100.5".parse().unwrap();
    facts.host.neighbours = vec![Neighbour { device: 2, ip, mac: Some(OTHER), permanent: false }];
    assert!(only(&duplicate::CHECK, &facts).1.starts_with("198.51.100.5 (02:00:00:00:00:63)"));
    // Its own answer, by another device of its on the same link.
    probes(&mut facts).arp.insert(vip, [OWN].into());
    assert_eq!((duplicate::CHECK.find)(&facts), []);
}

#[test]
fn what_a_server_does_instead_of_serving_is_said() {
    for (connected, saw) in [
        (Connected::Refused, "it refuses a connection to 10.0.0.11:80"),
        (Connected::Silence, "it answers ARP, but nothing came back from 10.0.0.11:80"),
        (Connected::Failed("No route to host".to_owned()), "fails: No route to host"),
    ] {
        let mut facts = nat();
        probes(&mut facts).connect.insert("10.0.0.11:80".parse().unwrap(), connected);
        let (severity, told, _) = only(&servers::CHECK, &facts);
        assert_eq!((severity, told.contains(saw)), (Severity::Fault, true), "{told}");
        facts.services[0].dests[0].weight = Weight(0);
        assert_eq!(only(&servers::CHECK, &facts).0, Severity::Note);
    }
    let mut facts = nat();
    facts.ways.insert("10.0.0.11".parse().unwrap(), Err("Network is unreachable".to_owned()));
    assert!(only(&servers::CHECK, &facts).1.contains("no route to 10.0.0.11"));
}

#[test]
fn a_strict_filter_is_a_mistake_where_it_has_dropped_something() {
    let mut facts = nat();
    let dropped = |n| BTreeMap::from([("TcpExt.IPReversePathFilter".to_owned(), n)]);
    facts.counters = [dropped(5), dropped(5)];
    assert_eq!((rp_filter::CHECK.find)(&facts), []);
    facts.sysctls.insert("net.ipv4.conf.to-client.rp_filter".to_owned(), 1);
    let (severity, _, cure) = only(&rp_filter::CHECK, &facts);
    assert_eq!(
        (severity, cure.as_str()),
        (Severity::Warning, "sysctl -w net.ipv4.conf.to-client.rp_filter=2")
    );
    facts.counters = [dropped(5), dropped(8)];
    assert!(
        only(&rp_filter::CHECK, &facts).1.contains("8 packets since this host began, 3 of them just now")
    );
    facts.engine.as_mut().unwrap().status.port = "packet, on to-client".to_owned();
    assert_eq!((rp_filter::CHECK.find)(&facts), []);
    facts.engine.as_mut().unwrap().status.port.clear();
    // The looser one counts.
    facts.sysctls.insert("net.ipv4.conf.all.rp_filter".to_owned(), 2);
    assert_eq!((rp_filter::CHECK.find)(&facts), []);
}

#[test]
fn a_chain_that_drops_has_to_let_the_device_pass_both_ways() {
    let mut facts = nat();
    facts.chains.push(BaseChain {
        family: "inet",
        table: "fw".to_owned(),
        name: "pass".to_owned(),
        hook: Hook::Forward,
        drops: true,
        accepts_from: ["ulvs0".to_owned()].into(),
        accepts_to: BTreeSet::new(),
    });
    assert_eq!(only(&filter::CHECK, &facts).2, "nft insert rule inet fw pass iifname ulvs0 accept");
    facts.chains[0].accepts_to.insert("ulvs0".to_owned());
    assert_eq!((filter::CHECK.find)(&facts), []);
    facts.chains[0].accepts_to.clear();
    facts.engine.as_mut().unwrap().status.port = "packet, on eth0".to_owned();
    assert_eq!((filter::CHECK.find)(&facts), []);
}

#[test]
fn a_program_at_the_services_address_is_named() {
    let mut facts = nat();
    let owner = Some(Owner { pid: 42, command: "nginx".to_owned() });
    facts.listeners.push(Listener { protocol: 6, at: "198.51.100.100:80".parse().unwrap(), owner });
    let (severity, saw, cure) = only(&port_taken::CHECK, &facts);
    assert_eq!((severity, cure.as_str()), (Severity::Warning, "kill 42"));
    assert_eq!(saw, "nginx (pid 42) listens at 198.51.100.100:80");
    facts.listeners[0].at = "0.0.0.0:80".parse().unwrap();
    assert_eq!((port_taken::CHECK.find)(&facts), [], "the VIP is no address of this host");
    facts.listeners[0].protocol = 17;
    facts.listeners[0].at = "198.51.100.100:80".parse().unwrap();
    assert_eq!((port_taken::CHECK.find)(&facts), []);
}

#[test]
fn what_is_nearly_full_is_told_before_it_is() {
    let mut facts = nat();
    let status = &mut facts.engine.as_mut().unwrap().status;
    (status.connections, status.max_connections) = (849, 1000);
    assert_eq!((limits::CHECK.find)(&facts), []);
    facts.engine.as_mut().unwrap().status.connections = 850;
    assert!(only(&limits::CHECK, &facts).1.contains("850 connections of at most 1000"));
    let mut facts = nat();
    let name = |key: &str| format!("net.netfilter.nf_conntrack_{key}");
    facts.sysctls = [(name("count"), 90), (name("max"), 100)].into();
    assert_eq!(only(&limits::CHECK, &facts).2, "sysctl -w net.netfilter.nf_conntrack_max=400");
    facts.sysctls.clear();
    facts.engine.as_mut().unwrap().descriptors = Some((900, 1000));
    assert_eq!(only(&limits::CHECK, &facts).2, "prlimit --pid 7 --nofile=4000");
    facts.engine.as_mut().unwrap().descriptors = None;
    facts.host.links.push(Link { queue: 500, ..link(9, "ulvs0") });
    assert_eq!(only(&limits::CHECK, &facts).2, "ip link set ulvs0 txqueuelen 10000");
}

#[test]
fn reasons_that_grow_are_told_with_their_meaning() {
    let mut facts = nat();
    let engine = facts.engine.as_mut().unwrap();
    engine.status.drops = [("table-full".to_owned(), 5), ("land".to_owned(), 3)].into();
    engine.later.drops = [("table-full".to_owned(), 9), ("land".to_owned(), 3)].into();
    let (severity, saw, _) = only(&drops::CHECK, &facts);
    assert_eq!(severity, Severity::Note);
    assert!(saw.starts_with("4 in a second, 9 in all: The connection table holds"), "{saw}");
}

#[test]
fn what_the_port_could_not_do_is_told_while_it_grows() {
    let mut facts = nat();
    let engine = facts.engine.as_mut().unwrap();
    let counters = |unsent: u64| [("unsent", unsent), ("unresolved", 5), ("received", unsent * 9)];
    let named = |counters: [(&str, u64); 3]| counters.map(|(name, n)| (name.to_owned(), n)).into();
    engine.status.counters = named(counters(2));
    engine.later.counters = named(counters(5));
    let (severity, saw, _) = only(&drops::CHECK, &facts);
    assert_eq!(severity, Severity::Note);
    assert_eq!(saw, "3 in a second, 5 in all: the kernel would not send them");
}

#[test]
fn the_kernels_ipvs_is_a_mistake_where_it_has_the_same_service() {
    let mut facts = nat();
    facts.ipvs = vec!["TCP 198.51.100.100:443".to_owned()];
    assert_eq!((kernel_ipvs::CHECK.find)(&facts), []);
    facts.ipvs.push("TCP 198.51.100.100:80".to_owned());
    assert_eq!(only(&kernel_ipvs::CHECK, &facts).2, "/sbin/ipvsadm -D -t 198.51.100.100:80");
}

#[test]
fn the_time_of_a_certificate_is_told_from_both_ends() {
    const DAY: i64 = 86_400;
    let now = 1_000 * DAY;
    let certificate = |from: i64, until: i64| CertView {
        days_left: until,
        ..certificate(now + from * DAY, now + until * DAY)
    };
    for (from, until, severity, words) in [
        (-100, -3, Severity::Fault, "expired 3 days ago"),
        (-100, -1, Severity::Fault, "expired 24 hours ago"),
        (1, 90, Severity::Fault, "valid in 24 hours only"),
        (-10, 20, Severity::Warning, "expires in 20 days"),
    ] {
        let mut facts = nat();
        let certificates = vec![certificate(from, until)];
        facts.tls =
            vec![Front { service: "tcp/10.0.0.9:80".to_owned(), certificates, now, ..Front::default() }];
        let (found, saw, _) = only(&certificates::CHECK, &facts);
        assert_eq!((found, saw.contains(words)), (severity, true), "{saw}");
        facts.tls[0].certificates = vec![certificate(-10, 21)];
        assert_eq!((certificates::CHECK.find)(&facts), []);
    }
    let mut facts = nat();
    let open_keys = vec![("/etc/a key".into(), 0o640)];
    facts.tls = vec![Front { open_keys, now, ..Front::default() }];
    assert_eq!(only(&certificates::CHECK, &facts).2, "chmod 0600 '/etc/a key'");
}

#[test]
fn a_rule_of_others_is_a_mistake_where_it_comes_first_and_concerns_a_vip() {
    let mut facts = nat();
    let rule = |preference, ours, to: Option<&str>| Rule {
        preference,
        ours,
        ipv6: false,
        local: false,
        to: to.map(|ip| (ip.parse().unwrap(), 32)),
        words: "from all lookup main".to_owned(),
    };
    facts.host.rules = vec![rule(1, true, None), rule(100, false, None), rule(3, false, Some("192.0.2.1"))];
    assert_eq!((rules::CHECK.find)(&facts), []);
    facts.host.rules.push(rule(0, false, Some("198.51.100.100")));
    let expected = "ip rule add pref 100 from all lookup main; ip rule del pref 0 from all lookup main";
    assert_eq!(only(&rules::CHECK, &facts).2, expected);
    facts.host.rules = vec![rule(100, false, None)];
    assert_eq!(only(&rules::CHECK, &facts).2, "ulvs reload");
}

#[test]
fn a_packet_that_vanishes_for_its_size_is_told_from_one_that_is_refused() {
    let mut facts = nat();
    let server = "10.0.0.11".parse().unwrap();
    probes(&mut facts).small.insert(server, Some(Echoed::Back));
    for (answer, found) in [(Some(Echoed::Back), 0), (Some(Echoed::TooLarge(1400)), 0), (None, 1)] {
        probes(&mut facts).large.insert(server, (1500, answer));
        assert_eq!((mtu::CHECK.find)(&facts).len(), found, "{answer:?}");
    }
    probes(&mut facts).small.insert(server, None);
    assert_eq!((mtu::CHECK.find)(&facts), [], "a host that answers no ping tells nothing");
    let mut facts = healthy(ForwardMethod::Tunnel(sched::Tunnel::default()));
    assert!(only(&mtu::CHECK, &facts).1.contains("1500 bytes, 1480 of them in the tunnel"));
    facts.services[0].tcp.mss = Some(sched::Mss::Auto);
    assert_eq!((mtu::CHECK.find)(&facts), []);
}

#[test]
fn clients_of_two_ports_are_kept_apart_and_ftp_is_lost_without_persistence() {
    let mut facts = dr();
    let persistence = sched::Persistence { timeout: 360, mask: sched::Netmask::full(sched::Family::Ipv4) };
    let mut service = facts.services[0].clone();
    service.dests.push(DestSpec::new("10.0.0.12:80".parse().unwrap()));
    service.persistence = Some(persistence);
    facts.services = vec![
        service.clone(),
        ServiceSpec { key: "tcp/198.51.100.100:443".parse().unwrap(), ..service.clone() },
    ];
    let (severity, saw, _) = only(&persistence::CHECK, &facts);
    assert_eq!(
        (severity, saw.as_str()),
        (Severity::Note, "ports 80 and 443 are two services, each with persistence")
    );
    let ftp = ServiceSpec { key: "tcp/198.51.100.100:21".parse().unwrap(), persistence: None, ..service };
    facts.services = vec![ftp];
    assert_eq!(only(&persistence::CHECK, &facts).2, "ulvs ipvsadm -E -t 198.51.100.100:21 -s rr -p 360");
    facts.services[0].persistence = Some(persistence);
    assert_eq!((persistence::CHECK.find)(&facts), []);
}
