//! What is wrong, where, and the way out.

use super::*;

/// A service around one line that is to be complained about.
pub(super) fn with_line(line: &str) -> String {
    let mut text = String::new();
    for default in ["vip = \"10.0.0.1\"", "ports = [\"tcp/80\"]"] {
        let key = default.split(' ').next().unwrap();
        if !line.starts_with(key) {
            text += default;
            text += "\n";
        }
    }
    format!("[[service]]\n{text}{line}\n")
}

/// The line in a service, what is underlined, what the message and the help have to say.
#[test]
fn every_mistake_is_shown_at_its_place_with_a_way_out() {
    let cases = [
        ("schedulr = \"rr\"", "schedulr", "no key `schedulr`", "did you mean `scheduler`?"),
        ("lb_algo = \"rr\"", "lb_algo", "no key `lb_algo`", "did you mean `scheduler`?"),
        ("quorum = 2", "quorum", "no key `quorum`", "it belongs to [service.health]; known here: vip"),
        ("fall = 2", "fall", "no key `fall`", "it belongs to [[service.check]]"),
        ("weight = 2", "weight", "no key `weight`", "it belongs to [[service.server]]"),
        ("colour = 3", "colour", "no key `colour`", "known here: vip, ports, mark, family, scheduler,"),
        ("scheduler = \"wr\"", "\"wr\"", "no scheduler `wr`", "rr, wrr, lc, wlc"),
        ("scheduler = \"wlcc\"", "\"wlcc\"", "no scheduler `wlcc`", "did you mean `wlc`?"),
        ("scheduler = 3", "3", "`scheduler` has to be a string, not integer", "scheduler = \"wlc\""),
        ("vip = \"10.0.0.300\"", "\"10.0.0.300\"", "not an IP address", "vip = \"10.0.0.1\""),
        ("vip = \"10.0.0.1:443\"", "\"10.0.0.1:443\"", "not an IP address", "ports = [\"tcp/443\"]"),
        ("vip = \"224.0.0.1\"", "\"224.0.0.1\"", "cannot be a virtual address", "multicast"),
        ("vip = \"::\"", "\"::\"", "cannot be a virtual address", "one host"),
        ("ports = [\"tcp/80,0\"]", "[\"tcp/80,0\"]", "port 0, which is all of them", "tcp/1-65535"),
        ("ports = [\"tcp/9-8\"]", "\"tcp/9-8\"", "not a protocol and ports", "tcp/8000-8100"),
        ("ports = [\"tcp/0-8\"]", "\"tcp/0-8\"", "not a protocol and ports", "tcp/8000-8100"),
        ("ports = []", "[]", "is empty", "ports = [\"tcp/80\"]"),
        ("ports = \"tcp/80\"", "\"tcp/80\"", "has to be a list", "ports = [\"tcp/80\"]"),
        ("lips = \"10.1.0.9\"", "\"10.1.0.9\"", "has to be a list", "lips = [\"192.168.1.250\"]"),
        ("lips = [9]", "9", "written as a string", "192.168.1.250"),
        ("lips = [\"10.1.0.9:80\"]", "\"10.1.0.9:80\"", "is not an IP address", "without a port"),
        ("lips = [\"127.0.0.1\"]", "\"127.0.0.1\"", "of no use to other hosts", "answer to"),
        ("lips = [\"0.0.0.0\"]", "\"0.0.0.0\"", "cannot be a local address", "one host"),
        ("lips = [\"fd00::9\"]", "\"fd00::9\"", "different address families", "of the service's"),
        ("lips = [\"10.1.0.9\", \"10.1.0.9\"]", "\"10.1.0.9\"", "there already", "delete one"),
        ("ports = [80]", "80", "written as a string", "ports = [\"tcp/80\"]"),
        ("ports = [\"80\"]", "\"80\"", "not a protocol and ports", "tcp/80"),
        ("ports = [\"TCP/80\"]", "\"TCP/80\"", "not a protocol and ports", "small letters"),
        ("ports = [\"tcp/0\"]", "[\"tcp/0\"]", "all ports has to be persistent", "persistence = 360"),
        ("ports = [\"tcp/99999\"]", "\"tcp/99999\"", "not a protocol and ports", "1 to 65535"),
        ("server = 3", "3", "`server` has to be a list of tables", "[[service.server]]"),
        ("server = [3]", "3", "has to be a table", "[[service.server]]"),
        ("server = [{ weight = 1 }]", "{ weight = 1 }", "this server has no `address`", "192.168.1.1:8080"),
        ("server = [{ address = \"one\" }]", "\"one\"", "not the address of a server", "192.168.1.1:8080"),
        ("server = [{ address = \"10.1.0.1:0\" }]", "\"10.1.0.1:0\"", "not the address of a server", "port"),
        ("server = [{ address = \"fd00::1\" }]", "\"fd00::1\"", "different address families", "own family"),
        (
            "server = [{ address = \"255.255.255.255\" }]",
            "\"255.255.255.255\"",
            "cannot be a server",
            "broadcast",
        ),
        (
            "server = [{ address = \"10.1.0.1\", weight = -1 }]",
            "-1",
            "not a whole number in range",
            "2147483647",
        ),
        (
            "server = [{ address = \"10.1.0.1\", weight = 1.5 }]",
            "1.5",
            "not a whole number in range",
            "whole number",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"direct\" }]",
            "\"direct\"",
            "no forwarding method `direct`",
            "\"nat\", \"fullnat\", \"dr\" and \"tunnel\"",
        ),
        (
            "server = [{ address = \"10.1.0.1\" }, { address = \"10.1.0.1:80\" }]",
            "\"10.1.0.1:80\"",
            "10.1.0.1:80 is in this service already",
            "raise its weight",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = 3 }]",
            "3",
            "`tunnel` has to be a string",
            "gue",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = \"vxlan\" }]",
            "\"vxlan\"",
            "no tunnel `vxlan`",
            "\"gue\" and \"gre\"",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = \"gue\" }]",
            "\"gue\"",
            "gue needs the server's port",
            "port = 5555",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = { kind = \"gre\", port = 9 } }]",
            "{ kind = \"gre\", port = 9 }",
            "only gue has a `port`",
            "delete it",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = { checksum = \"full\" } }]",
            "{ checksum = \"full\" }",
            "ipip has no checksum",
            "gre or gue",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = { kind = \"gre\", checksum = \"remote\" } }]",
            "{ kind = \"gre\", checksum = \"remote\" }",
            "gre has no remote",
            "gue",
        ),
        (
            "server = [{ address = \"10.1.0.1\", method = \"tunnel\", tunnel = { checksum = \"crc\" } }]",
            "\"crc\"",
            "no checksum `crc`",
            "\"remote\"",
        ),
        (
            "server = [{ address = \"10.1.0.1\", tunnel = \"gre\" }]",
            "\"gre\"",
            "says nothing about method = \"nat\"",
            "method = \"tunnel\"",
        ),
        (
            "server = [{ address = \"10.1.0.1\", upper = 5, lower = 6 }]",
            "6",
            "`lower` is above `upper`, which is 5",
            "new ones again",
        ),
        (
            "server = [{ address = \"10.1.0.1\", upper = -1 }]",
            "-1",
            "not a whole number in range",
            "2147483647",
        ),
        (
            "server = [{ address = \"10.1.0.1\", slow_start = \"soon\" }]",
            "\"soon\"",
            "`slow_start` is not a time in range",
            "\"30s\"",
        ),
        ("persistence = 0", "0", "`persistence` is not a time in range", "1 to 2678400"),
        ("persistence = { mask = 33 }", "33", "no mask of client addresses", "mask = 24"),
        ("persistence = { mask = \"a\" }", "\"a\"", "no mask of client addresses", "255.255.255.0"),
        ("persistence = { time = 3 }", "time", "`persistence` has no key `time`", "timeout, mask"),
        ("one_packet = true", "true", "would tear TCP connections apart", "UDP services and marks"),
        ("one_packet = 1", "1", "has to be true or false", "one_packet = true"),
        (
            "proxy_protocol = \"v3\"",
            "\"v3\"",
            "no version `v3` of the PROXY protocol",
            "as the servers expect it",
        ),
        (
            "toa = true\nserver = [{ address = \"10.1.0.1\", method = \"dr\" }]",
            "true",
            "the server 10.1.0.1:80 would count bytes that no client has sent",
            "or give it method = \"nat\"",
        ),
        ("mss = 255", "255", "no size of a segment", "256 to 65495"),
        ("mss = \"big\"", "\"big\"", "no size of a segment", "or \"auto\""),
        ("pe = \"sip\"", "\"sip\"", "only with `persistence`", "persistence = 360"),
        ("pe = \"sipp\"", "\"sipp\"", "no persistence engine `sipp`", "pe = \"sip\""),
        ("persistence = 9\npe = \"sip\"", "\"sip\"", "sip reads UDP, not TCP", "UDP service"),
        ("family = \"ipv6\"", "\"ipv6\"", "`family` belongs to a `mark`", "the VIP tells it"),
        ("scheduler_flags = \"x\"", "\"x\"", "`scheduler_flags` has to be a list", "sh-port"),
        (
            "server = [{ address = \"10.1.0.1:81\", method = \"dr\" }]",
            "\"10.1.0.1:81\"",
            "port 81 cannot be reached: dr leaves packets as they are",
            "address = \"10.1.0.1\"",
        ),
    ];
    for (line, underlined, message, help) in cases {
        let text = with_line(line);
        let error = Config::parse("ulvs.toml", &text).expect_err(line);
        let problems = error.problems();
        assert_eq!(problems.len(), 1, "{line}\n{error}");
        assert_eq!(&text[problems[0].span.clone()], underlined, "{line}\n{error}");
        assert!(problems[0].message.contains(message), "{line}\n{error}");
        assert!(problems[0].help.contains(help), "{line}\n{error}");
        let at = text.find(line).unwrap() + line.rfind(underlined).unwrap();
        assert_eq!(error.place(problems[0].span.start).0, text[..at].matches('\n').count() + 1, "{line}");
    }
}

#[test]
fn a_mark_service_has_no_address_or_all_of_one() {
    let cases = [
        ("mark = 0", "`mark` is not a whole number in range"),
        ("mark = 3\nvip = \"10.0.0.1\"", "this service has no `ports`"),
        ("mark = 3\nports = [\"tcp/80\"]", "this service has no `vip`"),
        ("mark = 3\nfamily = \"inet6\"", "there is no family `inet6`"),
    ];
    for (lines, message) in cases {
        let error = Config::parse("x", &format!("[[service]]\n{lines}\n")).expect_err(lines);
        assert_eq!(error.problems().len(), 1, "{error}");
        assert!(error.problems()[0].message.contains(message), "{error}");
    }
    let twice = "[[service]]\nmark = 3\n[[service]]\nmark = 3\n";
    let error = Config::parse("x", twice).unwrap_err();
    assert_eq!(error.problems()[0].message, "the service FWM 3 is there already");
}

#[test]
fn the_engines_settings_are_checked_too() {
    let cases = [
        ("workers = 0", "neither \"auto\" nor a usable number"),
        ("workers = \"many\"", "neither \"auto\" nor a usable number"),
        ("offload = \"yes\"", "neither \"auto\" nor true nor false"),
        ("max_connections = 0", "not a whole number in range"),
        ("device = \"a name with blanks\"", "cannot be the name of a device"),
        ("device = \"sixteen-letters-\"", "cannot be the name of a device"),
        ("device = \"tun%d\"", "cannot be the name of a device"),
        ("port = \"raw\"", "there is no port `raw`"),
        ("interfaces = [\"eth0\", 1]", "cannot be the name of a device"),
        ("interfaces = [\"a b\"]", "cannot be the name of a device"),
        ("worker = 1", "[engine] has no key `worker`"),
    ];
    for (line, message) in cases {
        let error = Config::parse("x", &format!("[engine]\n{line}\n")).expect_err(line);
        let problems = error.problems();
        assert_eq!(problems.len(), 1, "{line}");
        assert!(problems[0].message.contains(message), "{line}: {}", problems[0].message);
    }
}

/// The lines, what is underlined, what the message and the help have to say.
#[test]
fn mistakes_in_settings_are_shown_at_their_place() {
    let cases = [
        ("compat = \"lvs\"", "\"lvs\"", "no `lvs` to be compatible with", "compat = \"ipvs\""),
        ("timeouts = 3", "3", "`timeouts` has to be a table", "[timeouts]"),
        ("[timeouts]\nudp = 0", "0", "`udp` is not a whole number in range", "from 1 to 2678400"),
        ("[timeouts]\nsctp = 9", "sctp", "[timeouts] has no key `sctp`", "tcp, tcp_fin, udp"),
        ("[sysctl]\nslopy_tcp = 1", "slopy_tcp", "no `net.ipv4.vs.slopy_tcp`", "net.ipv4.vs.sloppy_tcp?"),
        ("[sysctl]\nmove_udp = 1", "move_udp", "no `net.ipv4.vs.move_udp`", "did you mean ulvs.move_udp?"),
        ("[sysctl]\nconntrack = 1", "conntrack", "has no meaning here", "no netfilter conntrack entries"),
        ("[sysctl]\ndrop_entry = 4", "4", "drop_entry cannot be 4", "from 0 to 3"),
        ("[sysctl]\nsloppy_tcp = \"on\"", "\"on\"", "not a whole number in range", "whole number from"),
        ("[ulvs]\nreset_on_end = 2", "2", "ulvs.reset_on_end cannot be 2", "from 0 to 1"),
    ];
    for (text, underlined, message, help) in cases {
        let error = Config::parse("x", text).expect_err(text);
        let problems = error.problems();
        assert_eq!(problems.len(), 1, "{text}\n{error}");
        assert_eq!(&text[problems[0].span.clone()], underlined, "{text}\n{error}");
        assert!(problems[0].message.contains(message), "{text}\n{error}");
        assert!(problems[0].help.contains(help), "{text}\n{error}");
    }
}

#[test]
fn what_is_not_toml_says_how_it_is_written() {
    for (text, underlined, help) in [
        ("[health]\ninterval = two\n", "two", "a string is written in quotes"),
        ("[[service]]\nvip =\n", "", "write a value behind the ="),
        ("[[service]\n", "", "https://toml.io"),
    ] {
        let error = Config::parse("x", text).expect_err(text);
        let problem = &error.problems()[0];
        assert!(text[problem.span.clone()].contains(underlined), "{error}");
        assert!(problem.help.contains(help), "{error}");
    }
}

#[test]
fn a_file_of_another_program_is_told_from_toml_with_mistakes() {
    for (text, line, program) in [
        ("# mine\n  virtual_server 10.0.0.1 80 {\n  protocol TCP\n}\n", 2, "keepalived"),
        ("global_defs {\n}\n", 1, "keepalived"),
        ("checktimeout = 3\nvirtual=10.0.0.1:80\n\treal=10.1.0.1:80 gate\n", 2, "ldirectord"),
    ] {
        let error = Config::parse("x", text).expect_err(text);
        assert_eq!(error.problems().len(), 1, "{error}");
        let report = error.to_string();
        assert!(report.starts_with(&format!("x:{line}:")), "{report}");
        assert!(report.contains(&format!("this is a file of {program}")), "{report}");
        assert!(report.contains(&format!("ulvs check --{program} FILE")), "{report}");
    }
    let ours = Config::parse("x", "virtual_server = 3\n").unwrap_err().to_string();
    assert!(ours.contains("the file has no key `virtual_server`"), "{ours}");
}

#[test]
fn nothing_of_a_file_reaches_a_terminal_that_it_would_obey() {
    let error = Config::parse("x", "[health]\n\"\\u001b[2J\" = 1 # \u{9b}\n").unwrap_err().to_string();
    assert!(!error.contains(['\u{1b}', '\u{9b}']), "{error:?}");
    assert!(error.contains("no key `\u{fffd}[2J`"), "{error:?}");
}
