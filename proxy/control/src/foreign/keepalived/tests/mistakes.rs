//! What is wrong with a file, and what is said about it.

use super::*;

/// A virtual server with these lines, and those of a real server.
pub(super) fn file(service: &str, server: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\nprotocol TCP\n{service}\nreal_server 10.1.0.1 80 {{\n{server}\n}}\n}}\n"
    )
}

#[test]
fn errors_name_the_place_and_the_way_out() {
    let http = |line: &str| format!("HTTP_GET {{\nurl {{\npath /\n{line}\n}}\n}}");
    for (text, place, message, help) in [
        (file("delay_loop", ""), "3:1", "`delay_loop` has no value", "for example delay_loop 3"),
        (file("delay_loop abc", ""), "3:12", "`abc` is not a time", "write seconds"),
        (file("quorum 0", ""), "3:8", "`0` is not a number for `quorum`", "from 1 to"),
        (file("lvs_sched wlcc", ""), "3:11", "there is no scheduler `wlcc`", "did you mean `wlc`?"),
        (file("lvs_method nat", ""), "3:12", "there is no forwarding method `nat`", "in capitals"),
        (file("lvs_method TUN type gue", ""), "3:1", "gue needs the server's port", "port 5555"),
        (file("omega {", ""), "1:1", "the block of `virtual_server` does not end", "close it with a }"),
        (file("}", ""), "7:1", "nothing is open", "delete this brace"),
        (file("quorum_up \"/bin/x", ""), "3:1", "a quote begins here", "close the quote"),
        (file("sorry_server sorry.example 80", ""), "3:14", "`sorry.example` is not an IP address", "getent"),
        (file("persistence_granularity 64", ""), "3:1", "different address families", "255.255.255.0"),
        (file("", "connect_timeout no"), "5:17", "`no` is not a time", "write seconds"),
        (file("", "TCP_CHECK {\nconnect_port httpx\n}"), "6:14", "`httpx` is not a port", "/etc/services"),
        (file("", "MISC_CHECK { }"), "5:1", "it has no `misc_path`", "add misc_path"),
        (file("", "FILE_CHECK {\ntrack_file X\n}"), "6:12", "there is no track_file `X`", "add track_file X"),
        (file("", "UDP_CHECK {\npayload 0g\n}"), "6:9", "`0g` are no bytes", "hexadecimal"),
        (file("", "UDP_CHECK {\npayload 0X\n}"), "6:9", "X cannot be sent", "hexadecimal"),
        (file("", "DNS_CHECK {\ntype ANY\n}"), "6:6", "no record of type `ANY`", "SOA"),
        (file("", "HTTP_GET { }"), "5:1", "asks for no page", "url"),
        (file("", &http("digest 12")), "8:8", "no MD5", "genhash"),
        (file("", &http("status_code 2xx")), "8:13", "`2xx` is no status", "200-299"),
        (file("", &http("regex \"(?!x)\"")), "8:7", "looks around", "regex_no_match"),
        (file("", "lthreshold 9"), "5:1", "`lthreshold` is above", "larger uthreshold"),
        (
            file("", "TCP_CHECK { }").replace("10.0.0.1 80", "fwmark 1").replace("10.1.0.1 80", "10.1.0.1"),
            "5:1",
            "no port to ask",
            "connect_port 80",
        ),
        (
            file("", "") + &file("", "weight 2"),
            "8:1",
            "TCP 10.0.0.1:80 is there already",
            "merge its servers",
        ),
        (
            "virtual_server group X {\nreal_server 10.0.0.1 80 { }\n}".to_owned(),
            "1:22",
            "no address in",
            "add",
        ),
        ("virtual_server fwmark 0 { }".to_owned(), "1:23", "this is no mark", "fwmark 3"),
        (
            "virtual_server_group X {\n10.0.0.9-1 80\n}".to_owned(),
            "2:1",
            "no address and no range",
            "fwmark 3",
        ),
        ("global_defs {\nlvs_timeouts tcp\n}".to_owned(), "2:14", "has no value", "tcpfin 120"),
        (file("", "weight $W"), "5:8", "`$W` is not a number", "$W=VALUE"),
        (file("delay_loop ${D}", ""), "3:12", "`${D}` is not a time", "$D=VALUE"),
        (file("", "").replace("10.1.0.1 80", "$RS 80"), "4:13", "`$RS` is not an IP address", "$RS=VALUE"),
        (file("", "").replace("10.1.0.1 80", "10.1.0.1 ${P}"), "4:22", "`${P}` is not a port", "$P=VALUE"),
        (
            file("", "").replace("10.1.0.1 80", "10.1.0.1:80"),
            "4:13",
            "no",
            "between address and port: 10.1.0.1 80",
        ),
        ("include\n".to_owned(), "1:1", "this includes nothing", "include conf.d/*.conf"),
        (file("", "MISC_CHECK {\nmisc_path bin/x\n}"), "6:11", "`bin/x` is somewhere else", "the whole path"),
        (file("", "MISC_CHECK {\nmisc_path \"/x 'a\"\n}"), "6:11", "a quote begins in this", "close it"),
        (file("", "notify_up bin/x"), "5:11", "`bin/x` is somewhere else", "the whole path"),
        (file("", &http("regex \"(a\"")), "8:7", "`(a` is no pattern", "look-around"),
        (
            file("", &http("regex a\nregex_min_offset 5\nregex_max_offset 3")),
            "8:7",
            "no match begins",
            "between the offsets",
        ),
        (file("", "HTTP_GET {\nurl {\nstatus_code 200\n}\n}"), "6:1", "this url has no `path`", "add path /"),
        (
            file("", "TCP_CHECK { }").replace("}\n}\n", "}\n") + &file("", ""),
            "1:1",
            "the block of `virtual_server` does not end",
            "close it with a } before `virtual_server` in line 7",
        ),
        (
            file("", "TCP_CHECK {\n}\nreal_server 10.1.0.2 80 {"),
            "4:1",
            "the block of `real_server` does not end",
            "before `real_server` in line 7",
        ),
    ] {
        let foreign = read_text("mistakes", &text);
        let errors: Vec<_> =
            foreign.notes.iter().filter(|n| n.severity == Severity::Error).map(ToString::to_string).collect();
        let found = errors.iter().find(|error| error.contains(message));
        let error = found.unwrap_or_else(|| panic!("{message}: {}\n{text}", foreign.notes));
        assert!(error.contains(&format!("keepalived.conf:{place}: ")), "{place}: {error}");
        assert!(error.lines().last().unwrap().contains(help), "{help}: {error}");
        assert!(foreign.notes.has_errors());
        // One mistake, one error, and no word of what would be done otherwise.
        assert_eq!(errors.len(), 1, "{}", foreign.notes);
        assert!(foreign.notes.iter().all(|n| n.severity != Severity::Changed), "{}", foreign.notes);
    }
}

#[test]
fn what_is_unknown_or_has_no_meaning_leaves_the_file_usable() {
    let sni = |host: &str| format!("SSL_GET {{\nenable_sni\nvirtualhost {host}\nurl {{\npath /\n}}\n}}");
    for (text, severity, message, help) in [
        (
            file("delay_lop 3", ""),
            Severity::NotUnderstood,
            "no keyword `delay_lop`",
            "did you mean `delay_loop`?",
        ),
        (file("", "TCP_CHEK { }"), Severity::NotUnderstood, "no keyword `TCP_CHEK`", "`TCP_CHECK`?"),
        (file("", "tcp_check { }"), Severity::NotUnderstood, "no keyword `tcp_check`", "`TCP_CHECK`?"),
        ("$W = 3".to_owned(), Severity::NotUnderstood, "no keyword `$W`", "$W=VALUE"),
        (
            file("", "PING_CHECK {\nconnect_port 80\n}"),
            Severity::NotHandled,
            "asked for at no port",
            "TCP_CHECK",
        ),
        (
            file("", "MISC_CHECK {\nmisc_path /bin/x\nconnect_port 80\n}"),
            Severity::NotUnderstood,
            "no keyword `connect_port`",
            "delete it",
        ),
        (
            file("", "HTTP_GET {\nenable_sni\nurl {\npath /\n}\n}"),
            Severity::NotHandled,
            "`enable_sni` is about TLS",
            "SSL_GET",
        ),
        (file("", "TCP_CHECK {\nurl { }\n}"), Severity::NotUnderstood, "no keyword `url`", "delete"),
        ("virtual_sever x { }".to_owned(), Severity::NotUnderstood, "`virtual_sever`", "`virtual_server`?"),
        (
            "vrrp_instance VI_1 { }".to_owned(),
            Severity::NotHandled,
            "`vrrp_instance VI_1`",
            "keepalived --vrrp",
        ),
        (file("ha_suspend", ""), Severity::NotHandled, "whether or not the address is here", "standby"),
        (
            file("smtp_alert", "smtp_alert"),
            Severity::NotHandled,
            "no mail is sent (and at another",
            "notify_up",
        ),
        (file("", "BFD_CHECK { name x\n}"), Severity::NotHandled, "BFD is not spoken", "TCP_CHECK"),
        (file("sh-port", ""), Severity::NotHandled, "for another scheduler", "lvs_sched"),
        (file("ops", ""), Severity::Changed, "`ops` is for UDP", "protocol UDP"),
        (file("quorum 5", ""), Severity::Changed, "the quorum is 1", "smaller quorum"),
        (file("hysteresis 1", ""), Severity::Changed, "it is 0", "smaller hysteresis"),
        (
            file("", "inhibit_on_failure\n}\nreal_server 10.1.0.2 80 {"),
            Severity::Changed,
            "for all servers",
            "none",
        ),
        (
            file("", "alpha\nTCP_CHECK { }\n}\nreal_server 10.1.0.2 80 {\nTCP_CHECK { }"),
            Severity::Changed,
            "`alpha` is for all",
            "none",
        ),
        (
            file("sorry_server fd00::1 80", ""),
            Severity::Changed,
            "different address families",
            "lvs_method TUN",
        ),
        (
            file("", "}\nreal_server fd00::1 80 {"),
            Severity::Changed,
            "different address families",
            "lvs_method TUN",
        ),
        (file("sorry_server 10.1.0.1 80", ""), Severity::Changed, "one of the servers", "another address"),
        (file("", "") + &file("", ""), Severity::Changed, "once is enough", "delete one"),
        (
            file("", "HTTP_GET {\nurl {\npath index.html\n}\n}"),
            Severity::Changed,
            "`/index.html` is asked for",
            "the /",
        ),
        (
            file("", &sni("www.example:8443")),
            Severity::Changed,
            "no port: it is `www.example`",
            "sni_name www.example",
        ),
        (file("", &sni("[fd00::1]:8443")), Severity::Changed, "is an address", "delete enable_sni"),
        (file("", &sni("10.1.0.1")), Severity::Changed, "is an address", "delete enable_sni"),
        (file("", "notify_up /bin/x\nnotify_up /bin/y"), Severity::Changed, "first one counts", "a script"),
        (file("", "TCP_CHECK { }"), Severity::Changed, "has died are reset", "on_down"),
        (file("", "UDP_CHECK { }"), Severity::Changed, "empty datagram", "payload 00ff"),
        (
            "virtual_server 10.0.0.1 80 { }".to_owned(),
            Severity::Changed,
            "without real servers",
            "real_server",
        ),
        (file("", "").replace("protocol TCP", ""), Severity::Changed, "no `protocol`", "protocol TCP"),
        (
            file("", "").replace(".1 80", ".1"),
            Severity::Changed,
            "has to be persistent",
            "persistence_timeout",
        ),
    ] {
        let foreign = read_text("notes", &text);
        assert!(!foreign.notes.has_errors(), "{}", foreign.notes);
        let found = foreign.notes.iter().find(|n| n.severity == severity && n.to_string().contains(message));
        let note = found.unwrap_or_else(|| panic!("{message}: {}\n{text}", foreign.notes));
        assert!(note.to_string().contains(&format!(": {}: ", severity.words())), "{note}");
        assert!(note.help.contains(help), "{help}: {note}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "virtual_server",
        "real_server",
        "10.0.0.1",
        "80",
        "{",
        "}",
        "\n",
        "\"",
        "'",
        "\\",
        "$A=",
        "${A}",
        "$A",
        "~SEQ(A, 1)",
        "~LST(A, x)",
        "@main",
        "@^main",
        "url",
        "HTTP_GET",
        "UDP_CHECK",
        "payload",
        "0X",
        "fwmark",
        "group",
        "include",
        "é",
        "${_RANDOM 1 2}",
        "weight",
        "path",
        "regex",
        "#",
        "!",
        "\\x41",
        "\\c",
        "\\é",
    ];
    let mut seed = 7_u64;
    let mut text = String::new();
    for round in 0..500 {
        text.clear();
        for _ in 0..40 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            if seed >> 62 != 0 {
                text.push(' ');
            }
        }
        let foreign = read_text(&format!("any-{}", round % 2), &text);
        // Each note can be told.
        assert!(foreign.notes.to_string().lines().count() >= foreign.notes.iter().count());
    }
}
