//! `[service.tls]`.

use std::path::PathBuf;

use sched::{
    BackendTls, CertFiles, ClientAuth, ClientIdentity, Tickets, TlsFront, TlsLimits, TlsProfile, TlsStack,
};

use super::*;

const PAIR: &str = "cert = \"site.crt\"\nkey = \"site.key\"";

/// A service of https around the lines of its front.
fn https(lines: &str) -> String {
    format!("[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/443\"]\n[service.tls]\n{lines}\n")
}

fn pair(name: &str) -> CertFiles {
    CertFiles { cert: format!("{name}.crt").into(), key: format!("{name}.key").into(), ocsp: None }
}

fn front_of(text: &str) -> TlsFront {
    let config = Config::parse("x", text).unwrap_or_else(|error| panic!("{error}"));
    TlsFront::clone(config.services()[0].tls.as_deref().expect(text))
}

fn problem(text: &str) -> (String, String, String) {
    let error = Config::parse("x", text).expect_err(text);
    let [problem] = error.problems() else { panic!("{text}\n{error}") };
    (text[problem.span.clone()].to_owned(), problem.message.clone(), problem.help.clone())
}

#[test]
fn a_certificate_is_all_that_a_front_needs() {
    assert_eq!(front_of(&https(PAIR)), TlsFront::new(pair("site")));
    let without = Config::parse("x", "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/443\"]").unwrap();
    assert_eq!(without.services()[0].tls, None);
}

#[test]
fn every_key_of_a_front_arrives() {
    let text = r#"
        [[service]]
        mark = 3
        [[service.server]]
        address = "10.1.0.1"
        [service.tls]
        port = 8443
        vips = ["172.16.0.99", "172.16.0.98"]
        cert = "site.crt"
        key = "site.key"
        ocsp = "site.ocsp"
        server_port = 8080
        stack = "userspace"
        sni = "strict"
        alpn = ["h2", "http/1.1"]
        alpn_service = { h2 = "fwm/4" }
        profile = "modern"
        client_auth = { mode = "optional", ca = "clients.crt", crl = "clients.crl" }
        tickets = { file = "tickets.key" }
        identity = "transparent"
        redirect_http = 8080
        backend_tls = { ca = "ca.crt", name = "www.example" }
        key_log = "keys.log"
        handshake_timeout = "5s"
        idle_timeout = "2h"
        half_closed_timeout = 30
        connect_timeout = 2
        connect_attempts = 4
        max_connections = 1000
        handshakes_per_second = 50
        [[service.tls.certificate]]
        cert = "other.crt"
        key = "other.key"
        [[service]]
        mark = 4
    "#;
    let expected = TlsFront {
        port: 8443,
        vips: vec!["172.16.0.99".parse().unwrap(), "172.16.0.98".parse().unwrap()],
        server_port: Some(8080),
        stack: TlsStack::Userspace,
        certs: vec![CertFiles { ocsp: Some("site.ocsp".into()), ..pair("site") }, pair("other")],
        strict_sni: true,
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
        by_alpn: vec![("h2".to_owned(), "fwm/4".parse().unwrap())],
        profile: TlsProfile::Modern,
        client_auth: Some(ClientAuth {
            ca: "clients.crt".into(),
            crl: Some("clients.crl".into()),
            required: false,
        }),
        tickets: Tickets::Shared("tickets.key".into()),
        identity: ClientIdentity::Transparent,
        pool: 0,
        redirect_http: Some(8080),
        backend_tls: Some(BackendTls { ca: "ca.crt".into(), name: Some("www.example".to_owned()) }),
        key_log: Some("keys.log".into()),
        limits: TlsLimits {
            handshake: 5,
            idle: 7200,
            half_closed: 30,
            connect: 2,
            attempts: 4,
            connections: 1000,
            handshakes_per_second: 50,
        },
    };
    assert_eq!(front_of(text), expected);
    let pooled = front_of(&https(&format!("{PAIR}\npool = 8\nidentity = \"forwarded\"\ntickets = \"off\"")));
    assert_eq!((pooled.pool, pooled.identity, pooled.tickets), (8, ClientIdentity::Forwarded, Tickets::Off));
    let required = front_of(&https(&format!("{PAIR}\nclient_auth = {{ ca = \"clients.crt\" }}")));
    assert!(required.client_auth.unwrap().required, "the default");
}

#[test]
fn the_port_is_told_by_those_of_the_service() {
    for (ports, more, expected) in [
        ("[\"tcp/443\"]", "", 443),
        ("[\"tcp/8443\"]", "", 8443),
        ("[\"tcp/80\", \"tcp/443\"]", "", 443),
        ("[\"tcp/80,443\", \"udp/443\"]", "", 443),
        ("[\"tcp/400-500\"]", "", 443),
        ("[\"tcp/8443\", \"udp/8443\"]", "", 8443),
        ("[\"tcp/80,8443\"]", "port = 8443", 8443),
    ] {
        let text = https(&format!("{PAIR}\n{more}")).replace("[\"tcp/443\"]", ports);
        assert_eq!(front_of(&text).port, expected, "{ports}");
    }
    let all = https(PAIR).replace("[\"tcp/443\"]", "[\"tcp/0\"]\npersistence = 60");
    assert_eq!(front_of(&all).port, 443);
    let mark = format!("[[service]]\nmark = 3\n[service.tls]\n{PAIR}");
    assert_eq!(front_of(&mark).port, 443);
}

/// The lines of a front beside its certificate, what is underlined, what the message and the help have to say.
#[test]
fn every_mistake_in_a_front_is_shown_at_its_place_with_a_way_out() {
    let header = "[service.tls]";
    let cases = [
        ("prot = 443", "prot", "[service.tls] has no key `prot`", "did you mean `port`?"),
        ("port = 0", "0", "`port` is not a whole number in range", "1 to 65535"),
        ("port = 8443", "8443", "the service takes port 443 alone", "write 443"),
        ("vips = [\"10.0.0.2\"]", "[\"10.0.0.2\"]", "the service has its address already", "only a mark"),
        ("vips = [\"10.0.0.x\"]", "\"10.0.0.x\"", "is not an IP address", "write the number"),
        ("vips = [1]", "1", "`vips` is a list of strings", "172.16.0.99"),
        ("ocsp = \"\"", "\"\"", "`ocsp` names no file", "site.ocsp"),
        ("stack = \"smoltcp\"", "\"smoltcp\"", "`stack` cannot be `smoltcp`", "\"kernel\", \"userspace\""),
        ("sni = true", "true", "`sni` has to be a string", "sni = \"any\""),
        ("sni = \"on\"", "\"on\"", "`sni` cannot be `on`", "\"any\", \"strict\""),
        ("profile = \"old\"", "\"old\"", "`profile` cannot be `old`", "\"modern\", \"intermediate\""),
        ("alpn = \"h2\"", "\"h2\"", "`alpn` has to be a list", "\"http/1.1\"]"),
        ("alpn = [\"http/2\"]", "[\"http/2\"]", "`http/2` is no name of a protocol", "HTTP/2 is called h2"),
        ("alpn_service = 3", "3", "a service for each protocol", "tcp/10.0.0.1:8443"),
        ("alpn_service = { h2 = 3 }", "3", "is no service", "fwm/3"),
        (
            "alpn_service = { h2 = \"fwm/3\" }",
            "{ h2 = \"fwm/3\" }",
            "not among the protocols that are offered",
            "offer `h2` too",
        ),
        (
            "alpn = [\"h2\"]\nalpn_service = { h2 = \"fwm/3\" }",
            "{ h2 = \"fwm/3\" }",
            "there is no service fwm/3 for `h2` in this file",
            "[[service]] of its own",
        ),
        (
            "alpn = [\"h2\"]\nalpn_service = { h2 = \"tcp/10.0.0.1:443\" }",
            "{ h2 = \"tcp/10.0.0.1:443\" }",
            "cannot be the service of `h2`",
            "another service",
        ),
        ("client_auth = 3", "3", "`client_auth` has to be a table", "[service.tls.client_auth]"),
        ("client_auth = {}", "{}", "`client_auth` has no `ca`", "ca = \"clients.crt\""),
        ("client_auth = { mode = \"on\", ca = \"c\" }", "\"on\"", "`mode` cannot be `on`", "\"optional\""),
        ("tickets = \"shared\"", "\"shared\"", "no way to resume sessions", "{ file = \"tickets.key\" }"),
        ("tickets = {}", "{}", "`tickets` has no `file`", "file = \"tickets.key\""),
        ("identity = \"xff\"", "\"xff\"", "`identity` cannot be `xff`", "\"forwarded\""),
        ("identity = \"transparent\"", "\"transparent\"", "the kernel's TCP cannot", "stack `userspace`"),
        (
            "alpn = [\"h2\"]\nidentity = \"forwarded\"",
            "\"forwarded\"",
            "`identity` is about requests of HTTP/1.1",
            "offer http/1.1 too",
        ),
        ("alpn = [\"h2\"]\npool = 4", "4", "`pool` is about requests of HTTP/1.1", "offer http/1.1 too"),
        (
            "pool = 4\nidentity = \"proxy-v1\"",
            "4",
            "cannot say, by identity proxy-v1, whose they are",
            "the identity `forwarded`",
        ),
        ("pool = 10001", "10001", "`pool` is not a whole number in range", "0 to 10000"),
        ("redirect_http = 443", "443", "cannot be the one of plain HTTP", "as a rule 80"),
        ("backend_tls = {}", "{}", "`backend_tls` has no `ca`", "ca = \"ca.crt\""),
        ("backend_tls = { ca = \"ca\", name = \"a b\" }", "\"a b\"", "no name of a server", "www.example"),
        ("key_log = 3", "3", "`key_log` has to be a string", "keys.log"),
        ("handshake_timeout = 0", "0", "`handshake_timeout` is not a time in range", "1 to 3600 seconds"),
        ("idle_timeout = \"1y\"", "\"1y\"", "`idle_timeout` is not a time in range", "\"1h\""),
        ("connect_attempts = 0", "0", "`connect_attempts` is not a whole number in range", "1 to 100"),
        (
            "certificate = [{ cert = \"other.crt\" }]",
            "{ cert = \"other.crt\" }",
            "this certificate has no `key`",
            "key = \"site.key\"",
        ),
        (
            "certificate = [{ cert = \"site.crt\", key = \"k\" }]",
            "\"site.crt\"",
            "the certificate site.crt is there already",
            "delete one",
        ),
        ("certificate = 3", "3", "has to be a list of tables", "[[service.tls.certificate]]"),
        (
            "[[service.server]]\naddress = \"10.1.0.1\"",
            header,
            "the server 10.1.0.1:443 would get plain text on the port of TLS",
            "server_port = 80 (or 443, if it is so)",
        ),
    ];
    for (lines, underlined, message, help) in cases {
        let text = https(&format!("{PAIR}\n{lines}"));
        let (found, text, way_out) = problem(&text);
        assert_eq!(found, underlined, "{lines}: {text}");
        assert!(text.contains(message), "{lines}: {text}");
        assert!(way_out.contains(help), "{lines}: {way_out}");
    }
    for (lines, message, help) in [
        ("", "[service.tls] has no certificate", "cert = \"site.crt\" and key = \"site.key\""),
        ("cert = \"site.crt\"", "[service.tls] has no `key`", "key = \"site.key\""),
    ] {
        let (found, text, way_out) = problem(&https(lines));
        assert_eq!(found, header);
        assert!(text.contains(message) && way_out.contains(help), "{text}: {way_out}");
    }
    let (found, text, _) = problem(
        &https(PAIR).replace("[service.tls]", "tls = 3 #").replace("cert", "# ").replace("key", "# "),
    );
    assert_eq!((found.as_str(), text.as_str()), ("3", "`tls` has to be a table"));
}

#[test]
fn a_front_has_to_fit_its_service() {
    let cases = [
        ("ports = [\"udp/443\"]", "", "TLS cannot end at a service of UDP", "take a TCP service"),
        ("ports = [\"udp/443,444\"]", "", "the service has no port of TCP", "\"tcp/443\""),
        ("ports = [\"tcp/80,8443\"]", "", "which one speaks TLS?", "port = 8443"),
        ("ports = [\"tcp/80,443\"]", "port = 8443", "does not take port 8443", "\"tcp/8443\""),
        ("ports = [\"tcp/80,443\"]", "vips = [\"10.0.0.1\"]", "has its address already", "only a mark"),
        ("ports = [\"tcp/80,443\"]", "redirect_http = 80", "port 80 is the service's own", "`redirect_http`"),
        (
            "ports = [\"tcp/443\"]\ntoa = true",
            "",
            "`toa` is for connections that pass",
            "identity = \"proxy-v2\"",
        ),
        (
            "ports = [\"tcp/443\"]\nproxy_protocol = \"v1\"",
            "",
            "`proxy_protocol` is for connections that pass",
            "identity = \"proxy-v2\"",
        ),
    ];
    for (ports, lines, message, help) in cases {
        let text = https(&format!("{PAIR}\n{lines}")).replace("ports = [\"tcp/443\"]", ports);
        let (_, text, way_out) = problem(&text);
        assert!(text.contains(message) && way_out.contains(help), "{ports} {lines}: {text}: {way_out}");
    }
    // The plain half of a set passes, and its servers may be told the client's address.
    front_of(&https(PAIR).replace("[\"tcp/443\"]", "[\"tcp/80,443\"]\nproxy_protocol = \"v1\""));
    // Servers that have no port get plain HTTP where it is spoken, others where the file says.
    let server = "[[service.server]]\naddress = \"10.1.0.1\"";
    front_of(&https(&format!("{PAIR}\nserver_port = 443\n{server}")));
    front_of(&https(&format!("{PAIR}\nbackend_tls = {{ ca = \"ca.crt\" }}\n{server}")));
    front_of(&https(&format!("{PAIR}\n{server}:8080").replace(".1\":8080", ".1:8080\"")));
}

#[test]
fn fronts_and_services_do_not_want_the_same_port() {
    let front = |port: u16, line: &str| {
        https(&format!("{PAIR}\n{line}")).replace("\"tcp/443\"", &format!("\"tcp/{port}\""))
    };
    let mark = |line: &str| format!("[[service]]\nmark = 3\n[service.tls]\n{PAIR}\n{line}\n");
    let http = "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n";
    let redirect = "redirect_http = 80";
    for (text, underlined, message) in [
        (front(443, redirect) + http, "80", "port 80 of 10.0.0.1 is another service's already"),
        (
            front(443, redirect) + &front(8443, redirect),
            "80",
            "port 80 of 10.0.0.1 is that of the front of tcp/10.0.0.1:443 already",
        ),
        (
            front(443, "") + &front(8443, "redirect_http = 443"),
            "443",
            "port 443 of 10.0.0.1 is that of the front of tcp/10.0.0.1:443 already",
        ),
        (
            front(443, "") + &mark("vips = [\"10.0.0.1\"]"),
            "[service.tls]",
            "port 443 of 10.0.0.1 is that of the front of tcp/10.0.0.1:443 already",
        ),
    ] {
        let (found, text, _) = problem(&text);
        assert_eq!((found.as_str(), text.as_str()), (underlined, message));
    }
    let elsewhere = http.replace("10.0.0.1", "10.0.0.2");
    front_of(&(front(443, redirect) + &elsewhere));
    front_of(&(front(443, redirect) + &http.replace("tcp", "udp")));
    front_of(&(front(443, "") + &mark("vips = [\"10.0.0.2\"]")));
}

#[test]
fn names_of_files_are_relative_to_the_file_that_has_them() {
    let dir = std::env::temp_dir().join(format!("ulvs-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("ulvs.toml");
    std::fs::write(&path, https("cert = \"certs/site.crt\"\nkey = \"/etc/site.key\"")).unwrap();
    let config = Config::load(&path).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let pair =
        CertFiles { cert: dir.join("certs/site.crt"), key: PathBuf::from("/etc/site.key"), ocsp: None };
    assert_eq!(config.services()[0].tls.as_deref(), Some(&TlsFront::new(pair)));
}
