//! Each keyword by itself, as it is or by its name of old: what becomes of it, or in which line it is noted.

use sched::{Family, PersistenceEngine};

use super::*;

/// The service of a file with these lines of a virtual server, and of a real server.
fn service(of_service: &str, of_server: &str) -> ServiceSpec {
    let text = format!(
        "virtual_server 10.0.0.1 80 {{\nprotocol TCP\n{of_service}\nreal_server 10.1.0.1 80 {{\n{of_server}\n}}\n}}\n"
    );
    // Tests run at once, each with a directory of its own.
    services(&format!("keyword-{:?}", std::thread::current().id()), &text).remove(0)
}

/// What its one checker asks.
fn check(of_server: &str) -> Check {
    service("", of_server).health.unwrap().checks[0].clone()
}

#[test]
fn schedulers_have_their_names_and_flags() {
    for name in
        ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"]
    {
        assert_eq!(service(&format!("lvs_sched {name}"), "").scheduler, name);
        assert_eq!(service(&format!("lb_algo {name}"), "").scheduler, name);
    }
    for (lines, flags) in [
        ("flag-1", SchedFlags::ONE),
        ("flag-2", SchedFlags::TWO),
        ("flag-3", SchedFlags::THREE),
        ("lvs_sched sh\nsh-fallback", SchedFlags::ONE),
        ("lvs_sched sh\nsh-port", SchedFlags::TWO),
        ("lvs_sched mh\nmh-fallback\nmh-port", SchedFlags::ONE | SchedFlags::TWO),
    ] {
        assert_eq!(service(lines, "").flags, flags, "{lines}");
    }
}

#[test]
fn forwarding_methods_are_those_of_the_service_or_of_the_server() {
    let tunnel = |kind, port, checksum| ForwardMethod::Tunnel(Tunnel { kind, port, checksum });
    use {TunnelChecksum as Sum, TunnelKind as Kind};
    for (method, expected) in [
        ("NAT", ForwardMethod::Masq),
        ("DR", ForwardMethod::Route),
        ("TUN", tunnel(Kind::Ipip, 0, Sum::None)),
        ("TUN type ipip nocsum", tunnel(Kind::Ipip, 0, Sum::None)),
        ("TUN type gre csum", tunnel(Kind::Gre, 0, Sum::Full)),
        ("TUN type gue port 5555 remcsum", tunnel(Kind::Gue, 5555, Sum::Remote)),
    ] {
        for word in ["lvs_method", "lb_kind"] {
            assert_eq!(service(&format!("{word} {method}"), "").dests[0].method, expected, "{word} {method}");
        }
        let of_server = service("lvs_method DR", &format!("lvs_method {method}"));
        assert_eq!(of_server.dests[0].method, expected, "{method}");
        let sorry = service(&format!("sorry_server 10.9.9.9 80\nsorry_server_lvs_method {method}"), "");
        assert_eq!(sorry.health.unwrap().sorry.as_ref().unwrap().method, expected, "{method}");
    }
}

#[test]
fn what_a_service_is_for_and_how_clients_stay() {
    for proto in [Proto::Tcp, Proto::Udp, Proto::Sctp] {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\nprotocol {}\nreal_server 10.1.0.1 80 {{ }}\n}}\n",
            proto.name()
        );
        assert_eq!(services("proto", &text)[0].key.proto(), Some(proto));
    }
    let text = "virtual_server fwmark 3 {\nip_family inet6\nlvs_method TUN\nreal_server 10.1.0.1 80 { }\n}\n";
    let foreign = read_text("family", text);
    assert_eq!(foreign.services[0].key.family(), Family::Ipv6, "{}", foreign.notes);
    let sip = "virtual_server 10.0.0.1 5060 {\nprotocol UDP\npersistence_engine sip\npersistence_timeout 90\n\
               ops\nreal_server 10.1.0.1 5060 { }\n}\n";
    let sip = services("sip", sip).remove(0);
    assert_eq!((sip.pe, sip.one_packet), (Some(PersistenceEngine::Sip), true));
    assert_eq!(sip.persistence.map(|p| p.timeout), Some(90));
    assert_eq!(service("persistence_timeout 0", "").persistence, None);
    assert_eq!(service("persistence_timeout", "").persistence.map(|p| p.timeout), Some(360));
    assert_eq!(service("weight 7", "").dests[0].weight, Weight(7));
    assert_eq!(service("weight 7", "weight 3").dests[0].weight, Weight(3));
}

#[test]
fn the_innermost_time_counts() {
    let outer = "delay_loop 6\nconnect_timeout 3\nretry 4\ndelay_before_retry 2\nwarmup 1";
    let times = |check: Check| {
        let Check { interval, timeout, fall, fast_interval, warmup, .. } = check;
        (interval, timeout, fall, fast_interval, warmup)
    };
    let of = |server: &str| times(service(outer, server).health.unwrap().checks[0].clone());
    assert_eq!(of("TCP_CHECK { }"), (6_000, 3_000, 5, Some(2_000), Some(1_000)));
    assert_eq!(of("delay_loop 7\nTCP_CHECK { }"), (7_000, 3_000, 5, Some(2_000), Some(1_000)));
    let all = "connect_timeout 0.5\nretry 0\nwarmup 0\nTCP_CHECK {\ndelay_loop 8\n}";
    assert_eq!(of(all), (8_000, 500, 1, None, Some(0)));
    let all = "retry 1\nTCP_CHECK {\nretry 2\ndelay_before_retry 0.1\n}";
    assert_eq!(of(all), (6_000, 3_000, 3, Some(100), Some(1_000)));
}

#[test]
fn pages_have_hosts_versions_and_names() {
    let http = |lines: &str| {
        let CheckKind::Http(http) = check(lines).kind else { panic!("{lines}") };
        http
    };
    let url = "url {\npath /\n}";
    for (text, version) in
        [("1.0", HttpVersion::Http10), ("1.0C", HttpVersion::Http10Close), ("1.1", HttpVersion::Http11)]
    {
        assert_eq!(http(&format!("HTTP_GET {{\nhttp_protocol {text}\n{url}\n}}")).version, version);
    }
    let host = |lines: &str| http(lines).urls[0].host.clone().unwrap();
    assert_eq!(host(&format!("virtualhost of.server\nHTTP_GET {{\n{url}\n}}")), "of.server");
    let all = format!("virtualhost of.server\nHTTP_GET {{\nvirtualhost of.check\n{url}\n}}");
    assert_eq!(host(&all), "of.check");
    let sni = format!("SSL_GET {{\nenable_sni\nsni_name secure.example\n{url}\n}}");
    assert_eq!(http(&sni).tls.unwrap().sni.as_deref(), Some("secure.example"));
    assert_eq!(http(&format!("SSL_GET {{\n{url}\n}}")).tls, Some(TlsCheck::default()));
}

#[test]
fn each_record_can_be_asked_for() {
    use DnsRecord::{A, Aaaa, Cname, Mx, Ns, Soa, Txt};
    for (word, record) in
        [("A", A), ("NS", Ns), ("CNAME", Cname), ("SOA", Soa), ("MX", Mx), ("TXT", Txt), ("AAAA", Aaaa)]
    {
        let kind = check(&format!("DNS_CHECK {{\ntype {word}\nname www.example\n}}")).kind;
        assert_eq!(kind, CheckKind::Dns { record, name: "www.example".to_owned() });
    }
    assert_eq!(check("DNS_CHECK { }").kind, CheckKind::Dns { record: Soa, name: ".".to_owned() });
}

#[test]
fn a_file_has_a_weight_where_it_is_asked_or_where_it_is_named() {
    let file = |block: &str, lines: &str| {
        let text = format!(
            "track_file F {{\nfile /run/load\n{block}\n}}\nvirtual_server 10.0.0.1 80 {{\nprotocol TCP\n\
             real_server 10.1.0.1 80 {{\nFILE_CHECK {{\ntrack_file F\n{lines}\n}}\n}}\n}}\n"
        );
        let foreign = read_text("file", &text);
        let CheckKind::File(file) = foreign.services[0].health.as_ref().unwrap().checks[0].kind.clone()
        else {
            panic!("{text}")
        };
        (file.weight, file.reverse, file.dynamic)
    };
    assert_eq!(file("weight 3 reverse", "dynamic"), (3, true, true));
    assert_eq!(file("weight 3 reverse", "dynamic\nweight -2"), (-2, false, true));
    assert_eq!(file("weight 3", "weight 0"), (0, false, false));
}

/// The file, the line of the note, its severity, and a word of it.
#[test]
fn what_has_no_meaning_here_is_noted_in_its_line() {
    use Severity::{Changed, NotHandled};
    let global = |line: &str| format!("global_defs {{\n{line}\n}}\n");
    let of_service = |line: &str| {
        format!("virtual_server 10.0.0.1 80 {{\n{line}\nprotocol TCP\nreal_server 10.1.0.1 80 {{\n}}\n}}\n")
    };
    let of_server = |line: &str| {
        format!("virtual_server 10.0.0.1 80 {{\nprotocol TCP\nreal_server 10.1.0.1 80 {{\n{line}\n}}\n}}\n")
    };
    for (text, line, severity, word) in [
        (
            global("lvs_sync_daemon eth0 VI_1 id 3 maxlen 1400 port 8849 ttl 2 group 224.0.0.81"),
            2,
            NotHandled,
            "not told to another director",
        ),
        (global("lvs_flush"), 2, NotHandled, "begins empty"),
        (global("lvs_flush_on_stop VS"), 2, NotHandled, "begins empty"),
        (global("lvs_notify_fifo /run/lvs.fifo nobody"), 2, NotHandled, "FIFO"),
        (global("lvs_notify_fifo_script /bin/x"), 2, NotHandled, "FIFO"),
        (global("net_namespace_ipvs director"), 2, NotHandled, "network namespace"),
        (global("checker_log_all_failures"), 2, NotHandled, "change a server's state"),
        (global("nftables_ipvs"), 2, NotHandled, "nftables"),
        (global("nftables_ipvs_start_fwmark 2000"), 2, NotHandled, "nftables"),
        (global("enable_script_security"), 2, NotHandled, "as they are found"),
        (global("smtp_server 127.0.0.1"), 2, NotHandled, "no mail"),
        (global("notification_email {\na@example\n}"), 2, NotHandled, "no mail"),
        (global("enable_snmp_checker"), 2, NotHandled, "SNMP"),
        (global("router_id LVS"), 2, NotHandled, "keepalived's own process"),
        (global("checker_priority -10"), 2, NotHandled, "keepalived's own process"),
        (global("vrrp_strict"), 2, NotHandled, "VRRP"),
        ("vrrp_sync_group G {\ngroup {\nVI_1\n}\n}\n".to_owned(), 1, NotHandled, "`vrrp_sync_group G`"),
        ("vrrp_script S {\nscript /bin/x\n}\n".to_owned(), 1, NotHandled, "`vrrp_script S`"),
        ("static_ipaddress {\n10.0.0.1 dev eth0\n}\n".to_owned(), 1, NotHandled, "`static_ipaddress"),
        ("bfd_instance B {\nneighbor_ip 10.0.0.9\n}\n".to_owned(), 1, NotHandled, "BFD"),
        ("SSL {\nca /etc/ca.pem\n}\n".to_owned(), 1, NotHandled, "no certificate of ours"),
        ("track_file F {\nfile /run/x\ninit_file 0\n}\n".to_owned(), 3, Changed, "not written"),
        (of_service("ha_suspend"), 2, NotHandled, "whether or not the address is here"),
        (of_service("smtp_alert"), 2, NotHandled, "no mail"),
        (of_service("snmp_name web"), 2, NotHandled, "SNMP"),
        (of_service("hashed"), 2, NotHandled, "no meaning any more"),
        (of_server("smtp_alert"), 4, NotHandled, "no mail"),
        (of_server("snmp_name web1"), 4, NotHandled, "SNMP"),
        (of_server("BFD_CHECK {\nname B\n}"), 4, NotHandled, "BFD"),
        (of_server("TCP_CHECK {\nlog_all_failures\n}"), 5, NotHandled, "change a server's state"),
        (of_server("PING_CHECK {\nbind_port 9\n}"), 5, NotHandled, "asked for at no port"),
        (of_server("SSL_GET {\ntls_compliant\nurl {\npath /\n}\n}"), 5, NotHandled, "last word of TLS"),
        (of_server("HTTP_GET {\nurl {\npath /\nregex a\nregex_stack 1 2\n}\n}"), 8, NotHandled, "no stack"),
        (
            of_server("HTTP_GET {\nurl {\npath /\nregex a\nregex_options firstline\n}\n}"),
            8,
            NotHandled,
            "`firstline`",
        ),
        (
            of_server("HTTP_GET {\nurl {\npath /a\n}\nurl {\npath /b\n}\n}"),
            4,
            Changed,
            "all pages are asked for",
        ),
    ] {
        let foreign = read_text("noted", &text);
        let others = |note: &&super::super::super::note::Note| note.message != crate::foreign::RESETS.0;
        let notes: Vec<_> = foreign.notes.iter().filter(others).collect();
        let [note] = notes[..] else { panic!("{text}{}", foreign.notes) };
        assert_eq!((note.place.line, note.severity), (line, severity), "{text}{note}");
        assert!(note.message.contains(word), "{word}: {note}");
    }
}
