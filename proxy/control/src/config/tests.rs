use sched::{DestSpec, Proto, ServiceKey, Weight};

use super::*;
use crate::settings::{Sysctl, Timeouts};

#[test]
fn an_empty_file_is_the_defaults_and_no_services() {
    let config = Config::parse("x", "").unwrap();
    assert_eq!(config.engine, EngineConfig::default());
    assert_eq!(config.engine.max_connections.get(), 1_000_000);
    assert!(config.services().is_empty());
}

#[test]
fn every_key_arrives() {
    let text = r#"
        [engine]
        workers = 4
        offload = false
        max_connections = 5000
        device = "lvs7"

        [[service]]
        vip = "10.0.0.1"
        ports = ["tcp/80"]
        scheduler = "wrr"
        [[service.server]]
        address = "192.168.1.1:8080"
        weight = 3
        method = "nat"
        [[service.server]]
        address = "192.168.1.2"

        [[service]]
        vip = "fd00::1"
        ports = ["udp/53"]
        server = [{ address = "[fd00::2]:5353", weight = 0 }, { address = "fd00::3" }]
    "#;
    let config = Config::parse("x", text).unwrap();
    let engine = EngineConfig {
        workers: Workers::Count(NonZeroUsize::new(4).unwrap()),
        offload: Offload::Off,
        max_connections: NonZeroUsize::new(5000).unwrap(),
        device: "lvs7".to_owned(),
    };
    assert_eq!(config.engine, engine);
    let dest =
        |addr: &str, weight| DestSpec { weight: Weight(weight), ..DestSpec::new(addr.parse().unwrap()) };
    let expected = [
        ServiceSpec {
            dests: vec![dest("192.168.1.1:8080", 3), dest("192.168.1.2:80", 1)],
            ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()), "wrr")
        },
        ServiceSpec {
            dests: vec![dest("[fd00::2]:5353", 0), dest("[fd00::3]:53", 1)],
            ..ServiceSpec::new(ServiceKey::addr(Proto::Udp, "[fd00::1]:53".parse().unwrap()), "wlc")
        },
    ];
    assert_eq!(config.services(), expected);
}

/// A service around one line that is to be complained about.
fn with_line(line: &str) -> String {
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
        ("colour = 3", "colour", "no key `colour`", "known here: vip, ports, scheduler, server"),
        ("scheduler = \"wr\"", "\"wr\"", "no scheduler `wr`", "rr, wrr, lc, wlc"),
        ("scheduler = \"wlcc\"", "\"wlcc\"", "no scheduler `wlcc`", "did you mean `wlc`?"),
        ("scheduler = 3", "3", "`scheduler` has to be a string, not integer", "scheduler = \"wlc\""),
        ("vip = \"10.0.0.300\"", "\"10.0.0.300\"", "not an IP address", "vip = \"10.0.0.1\""),
        ("vip = \"10.0.0.1:443\"", "\"10.0.0.1:443\"", "not an IP address", "ports = [\"tcp/443\"]"),
        ("vip = \"224.0.0.1\"", "\"224.0.0.1\"", "cannot be a virtual address", "multicast"),
        ("vip = \"::\"", "\"::\"", "cannot be a virtual address", "one host"),
        ("ports = [\"tcp/80,443\"]", "[\"tcp/80,443\"]", "exactly one port", "one [[service]] for each port"),
        (
            "ports = [\"tcp/80\", \"udp/80\"]",
            "[\"tcp/80\", \"udp/80\"]",
            "exactly one port",
            "one [[service]]",
        ),
        ("ports = []", "[]", "is empty", "ports = [\"tcp/80\"]"),
        ("ports = \"tcp/80\"", "\"tcp/80\"", "has to be a list", "ports = [\"tcp/80\"]"),
        ("ports = [80]", "80", "written as a string", "ports = [\"tcp/80\"]"),
        ("ports = [\"80\"]", "\"80\"", "not a protocol and a port", "tcp/80"),
        ("ports = [\"TCP/80\"]", "\"TCP/80\"", "not a protocol and a port", "small letters"),
        ("ports = [\"tcp/0\"]", "\"tcp/0\"", "not a protocol and a port", "1 to 65535"),
        ("ports = [\"tcp/99999\"]", "\"tcp/99999\"", "not a protocol and a port", "1 to 65535"),
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
            "server = [{ address = \"10.1.0.1\", method = \"dr\" }]",
            "\"dr\"",
            "no forwarding method `dr`",
            "\"nat\"",
        ),
        (
            "server = [{ address = \"10.1.0.1\" }, { address = \"10.1.0.1:80\" }]",
            "\"10.1.0.1:80\"",
            "10.1.0.1:80 is in this service already",
            "raise its weight",
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
fn the_engines_settings_are_checked_too() {
    let cases = [
        ("workers = 0", "neither \"auto\" nor a usable number"),
        ("workers = \"many\"", "neither \"auto\" nor a usable number"),
        ("offload = \"yes\"", "neither \"auto\" nor true nor false"),
        ("max_connections = 0", "not a whole number in range"),
        ("device = \"a name with blanks\"", "cannot be the name of a device"),
        ("device = \"sixteen-letters-\"", "cannot be the name of a device"),
        ("device = \"tun%d\"", "cannot be the name of a device"),
        ("worker = 1", "[engine] has no key `worker`"),
    ];
    for (line, message) in cases {
        let error = Config::parse("x", &format!("[engine]\n{line}\n")).expect_err(line);
        let problems = error.problems();
        assert_eq!(problems.len(), 1, "{line}");
        assert!(problems[0].message.contains(message), "{line}: {}", problems[0].message);
    }
}

#[test]
fn settings_have_their_names_in_the_file() {
    let text = "
        compat = \"ipvs\"
        [timeouts]
        tcp = 1800
        udp = 30
        [sysctl]
        conn_reuse_mode = 0
        sloppy_tcp = true
        [ulvs]
        move_udp = true";
    let file = Config::parse("x", text).unwrap();
    let mut expected = Settings::new(true);
    expected.timeouts = Timeouts { tcp: 1800, udp: 30, ..Timeouts::default() };
    for (sysctl, value) in [(Sysctl::ConnReuseMode, 0), (Sysctl::SloppyTcp, 1), (Sysctl::MoveUdp, 1)] {
        expected.set(sysctl, value).unwrap();
    }
    assert_eq!(file.settings(false), expected);
    assert_eq!(file.settings(true), expected);
    // What the file says is said of whatever the command line began from.
    let file = Config::parse("x", "ulvs.move_udp = true").unwrap();
    assert_eq!(file.settings(false), Settings::default());
    let mut compat = Settings::new(true);
    compat.set(Sysctl::MoveUdp, 1).unwrap();
    assert_eq!(file.settings(true), compat);
}

/// The lines, what is underlined, what the message and the help have to say.
#[test]
fn mistakes_in_settings_are_shown_at_their_place() {
    let cases = [
        ("compat = \"lvs\"", "\"lvs\"", "no `lvs` to be compatible with", "compat = \"ipvs\""),
        ("timeouts = 3", "3", "`timeouts` has to be a table", "[timeouts]"),
        ("[timeouts]\nudp = 0", "0", "`udp` is not a whole number in range", "from 1 to 2147483"),
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
fn two_services_with_one_address_are_one_too_many() {
    let text = format!("{}{}", with_line("scheduler = \"rr\""), with_line("scheduler = \"wrr\""));
    let error = Config::parse("x", &text).unwrap_err();
    assert_eq!(error.problems()[0].message, "the service TCP 10.0.0.1:80 is there already");
    assert_eq!(error.place(error.problems()[0].span.start), (6, 7));
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text =
        "[engine]\nworkers = -1\n\n[[service]]\n\tvip = \"10.0.0.x\"\nports = [\"tcp/80\"]\n[[service]]\n";
    let report = Config::parse("/etc/ulvs.toml", text).unwrap_err().to_string();
    let expected = r#"/etc/ulvs.toml:2:11: `workers` is neither "auto" nor a usable number
  2 | workers = -1
    |           ^^
    = write workers = "auto" or a number from 1 to 64
/etc/ulvs.toml:5:8: `10.0.0.x` is not an IP address
  5 | 	vip = "10.0.0.x"
    | 	      ^^^^^^^^^^
    = write the number, IPv4 or IPv6: vip = "10.0.0.1"
/etc/ulvs.toml:7:1: this service has no `vip`
  7 | [[service]]
    | ^^^^^^^^^^^
    = add vip = "10.0.0.1"
/etc/ulvs.toml:7:1: this service has no `ports`
  7 | [[service]]
    | ^^^^^^^^^^^
    = add ports = ["tcp/80"]"#;
    assert_eq!(report, expected);
}

#[test]
fn broken_syntax_is_shown_at_its_place() {
    let error = Config::parse("x", "[engine]\nworkers = = 3\ndevice = \"unended\n").unwrap_err();
    assert!(error.problems().len() >= 2, "{error}");
    assert_eq!(error.place(error.problems()[0].span.start).0, 2, "{error}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let error = Config::load(Path::new("/nonexistent/ulvs.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /nonexistent/ulvs.toml: No such file or directory (os error 2)"
    );
    assert_eq!(error.problems().len(), 0);
}

#[test]
fn a_file_without_end_is_not_read_to_it() {
    let error = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("over 64 MiB"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_whatever_panics(text in "[\\[\\]a-z0-9=\"., {}\n#\u{e9}-]{0,80}", whole in ".{0,60}") {
        for text in [text, whole] {
            if let Err(e) = Config::parse("x", &text) {
                proptest::prop_assert!(!e.to_string().is_empty());
            }
        }
    }

    #[test]
    fn no_bytes_whatever_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        if let Err(e) = String::from_utf8(bytes) {
            proptest::prop_assert!(ConfigError::not_utf8("x", &e).to_string().starts_with("x:"));
        }
    }
}
