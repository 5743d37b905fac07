use clap::Parser;
use control::api::CertView;
use sched::{BackendTls, CertFiles, ClientAuth, ClientIdentity, Tickets, TlsProfile, TlsStack};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: add::AddArgs,
}

const PAIR: &str = "--cert /site.crt --key /site.key";

/// What the options make of the front before.
fn changed(line: &str, before: Option<&TlsFront>) -> Result<TlsFront, String> {
    let words = std::iter::once("add").chain(line.split_ascii_whitespace());
    let args = Line::try_parse_from(words).map_err(|error| error.to_string())?.args;
    args.front(&args.which.understand()?, before)
}

fn pair(name: &str) -> CertFiles {
    CertFiles { cert: format!("/{name}.crt").into(), key: format!("/{name}.key").into(), ocsp: None }
}

fn site() -> TlsFront {
    TlsFront::new(pair("site"))
}

fn view(front: TlsFront) -> TlsView {
    let key = "tcp/10.0.0.1:443".parse().unwrap();
    TlsView::new(key, vec!["10.0.0.1".parse().unwrap()], Arc::new(front))
}

fn certificate(names: &[&str], days_left: i64) -> CertView {
    CertView {
        file: "/site.crt".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        subject: "CN=www.example".to_owned(),
        issuer: "CN=ulvs CA".to_owned(),
        not_before: 0,
        not_after: 1_735_689_600 + days_left * 86_400,
        key: "ECDSA P-256".to_owned(),
        fingerprint: "ab12".to_owned(),
        days_left,
        warnings: Vec::new(),
    }
}

#[test]
fn a_new_front_needs_a_certificate_and_no_more() {
    assert_eq!(changed(&format!("tcp/10.0.0.1:443 {PAIR}"), None), Ok(site()));
    assert_eq!(changed(&format!("-f 3 {PAIR}"), None), Ok(site()));
    let other = changed(&format!("-t 10.0.0.1:8443 {PAIR}"), None).unwrap();
    assert_eq!(other.port, 8443, "the service's");
    let error = changed("tcp/10.0.0.1:443 --pool 3", None).unwrap_err();
    assert_eq!(error, "TLS does not end at tcp/10.0.0.1:443 yet: --cert FILE and --key FILE are needed");
    let here = std::env::current_dir().unwrap();
    let relative = changed("fwm/3 --cert site.crt --key ./site.key --tickets shared", None).unwrap();
    assert_eq!(
        (&relative.certs[0].cert, &relative.certs[0].key),
        (&here.join("site.crt"), &here.join("site.key"))
    );
    assert_eq!(relative.tickets, Tickets::Shared(here.join("shared")));
}

#[test]
fn every_option_arrives() {
    let line = "fwm/3 --cert /site.crt --key /site.key --ocsp /ocsp --port 8443 --vip 10.0.0.1,10.0.0.2 \
        --server-port 8080 --stack userspace --sni strict --alpn h2,http/1.1 --alpn-service h2=fwm/4 \
        --profile modern --client-ca /clients --client-crl /crl --client-optional --tickets /tickets \
        --identity transparent --redirect-http 80 --backend-ca /servers --backend-name www.example \
        --key-log /log --handshake-timeout 5s --idle-timeout 2h --half-closed-timeout 30 \
        --connect-timeout 2 --connect-attempts 4 --max-connections 1000 --handshakes-per-second 50";
    let expected = TlsFront {
        port: 8443,
        vips: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        server_port: Some(8080),
        stack: TlsStack::Userspace,
        certs: vec![CertFiles { ocsp: Some("/ocsp".into()), ..pair("site") }],
        strict_sni: true,
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
        by_alpn: vec![("h2".to_owned(), "fwm/4".parse().unwrap())],
        profile: TlsProfile::Modern,
        client_auth: Some(ClientAuth { ca: "/clients".into(), crl: Some("/crl".into()), required: false }),
        tickets: Tickets::Shared("/tickets".into()),
        identity: ClientIdentity::Transparent,
        pool: 0,
        redirect_http: Some(80),
        backend_tls: Some(BackendTls { ca: "/servers".into(), name: Some("www.example".to_owned()) }),
        key_log: Some("/log".into()),
        limits: sched::TlsLimits {
            handshake: 5,
            idle: 7200,
            half_closed: 30,
            connect: 2,
            attempts: 4,
            connections: 1000,
            handshakes_per_second: 50,
        },
    };
    let full = changed(line, None).unwrap();
    assert_eq!(full, expected);
    // What is not said stays as it is, and each setting can be taken away again.
    assert_eq!(changed("fwm/3", Some(&full)), Ok(full.clone()));
    let away = "fwm/3 --vip none --server-port none --alpn none --alpn-service none --client-ca none --tickets own \
        --identity none --redirect-http none --backend-ca none --key-log none --sni any --pool 4";
    let bare = changed(away, Some(&full)).unwrap();
    let expected = TlsFront {
        port: 8443,
        stack: TlsStack::Userspace,
        certs: full.certs.clone(),
        profile: TlsProfile::Modern,
        limits: full.limits,
        alpn: Vec::new(),
        pool: 4,
        ..site()
    };
    assert_eq!(bare, expected);
    let required = changed("fwm/3 --client-ca /others", Some(&full)).unwrap().client_auth.unwrap();
    assert_eq!(required, ClientAuth { ca: "/others".into(), crl: Some("/crl".into()), required: true });
}

#[test]
fn another_pair_is_added_and_the_same_one_replaced() {
    let two = changed("tcp/10.0.0.1:443 --cert /b.crt --key /b.key", Some(&site())).unwrap();
    assert_eq!(two.certs, [pair("site"), pair("b")]);
    let renewed = changed("tcp/10.0.0.1:443 --cert /site.crt --key /new.key", Some(&two)).unwrap();
    assert_eq!(renewed.certs, [CertFiles { key: "/new.key".into(), ..pair("site") }, pair("b")]);
    let one = without(&two, Path::new("/site.crt")).unwrap();
    assert_eq!(one.certs, [pair("b")]);
    let error = without(&one, Path::new("/b.crt")).unwrap_err();
    assert!(error.starts_with("/b.crt is its only certificate: add another one first"), "{error}");
    let error = without(&two, Path::new("/c.crt")).unwrap_err();
    assert_eq!(error, "it has no certificate /c.crt: it has /site.crt, /b.crt");
}

#[test]
fn what_makes_no_sense_says_what_to_do() {
    for (line, expected) in [
        ("", "which service? for example tcp/10.0.0.1:443"),
        ("10.0.0.1:443", "`10.0.0.1:443` is no service: write tcp/10.0.0.1:80"),
        ("tcp/10.0.0.1:443 -f 3", "cannot be used with"),
        ("udp/10.0.0.1:443", "TLS cannot end at a service of UDP: it is spoken over TCP: take a TCP service"),
        ("tcp/10.0.0.1:443 --cert /x.crt", "--key <FILE>"),
        ("tcp/10.0.0.1:443 --ocsp /x", "--cert <FILE>"),
        ("tcp/10.0.0.1:443 --port 8443", "the service takes port 443 alone"),
        ("tcp/10.0.0.1:443 --port 0", "0 is not in 1..=65535"),
        ("tcp/10.0.0.1:443 --server-port x", "invalid digit"),
        ("tcp/10.0.0.1:443 --stack smoltcp", "[possible values: kernel, userspace]"),
        ("tcp/10.0.0.1:443 --profile old", "[possible values: modern, intermediate]"),
        ("tcp/10.0.0.1:443 --identity xff", "proxy-v1, proxy-v2, forwarded"),
        ("tcp/10.0.0.1:443 --identity transparent", "take the stack `userspace`"),
        ("tcp/10.0.0.1:443 --sni on", "write any or strict"),
        ("tcp/10.0.0.1:443 --alpn http/2", "HTTP/2 is called h2"),
        ("tcp/10.0.0.1:443 --alpn h2 --alpn-service h2", "h2=tcp/10.0.0.1:8443"),
        ("tcp/10.0.0.1:443 --alpn h2 --alpn-service h2=8443", "`8443` is no service"),
        ("tcp/10.0.0.1:443 --client-optional", "--client-ca FILE says it"),
        ("tcp/10.0.0.1:443 --client-crl /crl", "--client-ca FILE says it"),
        ("tcp/10.0.0.1:443 --backend-name www", "--backend-ca FILE gives them TLS"),
        ("tcp/10.0.0.1:443 --pool 8 --identity proxy-v2", "take the identity `forwarded`"),
        ("tcp/10.0.0.1:443 --redirect-http 443", "as a rule 80"),
        ("tcp/10.0.0.1:443 --handshake-timeout 0", "`handshake_timeout` is out of range: write 1 to 3600"),
        ("tcp/10.0.0.1:443 --idle-timeout soon", "write a time such as 10s"),
    ] {
        let error = changed(line, Some(&site())).expect_err(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn a_service_that_is_not_there_is_answered_with_those_that_are() {
    let key = "tcp/10.0.0.1:443".parse().unwrap();
    let error = find(&ServiceList::default(), &key).unwrap_err();
    assert_eq!(
        error,
        "there is no service tcp/10.0.0.1:443: there are none yet, and `ulvs ipvsadm -A` adds one"
    );
    let json = |port: u16| {
        format!(
            r#"{{"key":{{"addr":{{"proto":"tcp","vip":"10.0.0.1","l4_port":{port}}}}},"scheduler":"rr","dests":[]}}"#
        )
    };
    let services = |ports: std::ops::Range<u16>| {
        let all: Vec<_> = ports.map(json).collect();
        let text = format!(r#"{{"generation":1,"services":[{}]}}"#, all.join(","));
        serde_json::from_str::<ServiceList>(&text).unwrap()
    };
    let error = find(&services(80..82), &key).unwrap_err();
    assert_eq!(error, "there is no service tcp/10.0.0.1:443: there are tcp/10.0.0.1:80, tcp/10.0.0.1:81");
    let error = find(&services(80..90), &key).unwrap_err();
    assert!(error.ends_with("tcp/10.0.0.1:87, and 2 more (`ulvs ipvsadm -Ln`)"), "{error}");
    assert_eq!(find(&services(440..444), &key).unwrap().key, key);
}

#[test]
fn servers_on_the_port_of_tls_do_not_get_plain_text_by_mistake() {
    let text = r#"{"key":{"addr":{"proto":"tcp","vip":"10.0.0.1","l4_port":443}},"scheduler":"rr",
        "dests":[{"addr":"10.1.0.1:443","active":0,"inactive":0,"persistent":0}]}"#;
    let service: ServiceView = serde_json::from_str(text).unwrap();
    let error = check_servers(&service, &site()).unwrap_err();
    assert!(error.starts_with("the server 10.1.0.1:443 would get plain text on the port of TLS"), "{error}");
    for line in ["--server-port 80", "--server-port 443", "--backend-ca /ca"] {
        let front = changed(&format!("tcp/10.0.0.1:443 {line}"), Some(&site())).unwrap();
        assert_eq!(check_servers(&service, &front), Ok(()), "{line}");
    }
}

#[test]
fn the_table_has_a_line_for_each_front() {
    assert!(show::table(&[]).starts_with("TLS ends at no service"));
    let counters = [(TlsView::FULL, 12), (TlsView::RESUMED, 3456), (TlsView::FAILED, 1)];
    let first = TlsView {
        certificates: vec![certificate(&["www.example", "example"], 12), certificate(&["www.example"], 400)],
        sessions: 7,
        counters: counters.map(|(name, n)| (name.to_owned(), n)).into(),
        error: Some("cannot read /site.crt".to_owned()),
        ..view(TlsFront { server_port: Some(80), ..site() })
    };
    let mark = TlsView { service: "fwm/3".parse().unwrap(), vips: Vec::new(), ..view(site()) };
    let expected = "\
Service           TLS at        Servers   Stack   Names                Expires               Open  Full  Resumed  Failed
tcp/10.0.0.1:443  10.0.0.1:443  port 80   kernel  www.example,example  2025-01-13 (12 days)  7     12    3456     1
fwm/3             nowhere yet   own port  kernel  -                    -                     0     0     0        0
tcp/10.0.0.1:443: files could not be read again: cannot read /site.crt
fwm/3: no rule says which address has its mark: add rules, or name addresses with --vip
";
    assert_eq!(show::table(&[first, mark]), expected);
}

#[test]
fn everything_about_a_front_is_shown() {
    let line = "tcp/10.0.0.1:443 --ocsp /ocsp --cert /site.crt --key /site.key --alpn h2,http/1.1 \
        --alpn-service h2=fwm/4 --client-ca /clients --client-crl /crl --redirect-http 80 --backend-ca /servers \
        --key-log /log --tickets off --sni strict";
    let front = TlsView {
        certificates: vec![CertView {
            warnings: vec!["it is over".to_owned()],
            ..certificate(&["www.example"], -1)
        }],
        sessions: 7,
        counters: [("bytes-in".to_owned(), 5), (TlsView::FULL.to_owned(), 12)].into(),
        ..view(changed(line, Some(&site())).unwrap())
    };
    let expected = "\
service       tcp/10.0.0.1:443
TLS at        10.0.0.1:443
servers       own port, TLS
servers' CA   /servers, for the name the server's address
stack         kernel
certificate   /site.crt, key /site.key, OCSP /ocsp
              for www.example; ECDSA P-256
              of CN=www.example, says CN=ulvs CA
              good from 1970-01-01 until 2024-12-31 (over); SHA-256 ab12
SNI           strict: unknown names are refused
ALPN          h2, http/1.1
              h2 goes to the servers of fwm/4
profile       intermediate
clients' CA   /clients, but for those in /crl: required
tickets       off
identity      none
pool          0
redirect      plain HTTP on port 80
key log       /log: whoever has it reads everything
limits        handshake timeout 10 s, idle timeout 3600 s, half closed timeout 60 s, connect timeout 5 s, \
connect attempts 3, max connections 0, handshakes per second 0
open sessions 7
counters      bytes-in 5
              handshakes-full 12
warning       /site.crt: it is over
";
    assert_eq!(show::everything(&front), expected);
}

#[test]
fn a_port_that_another_service_has_is_not_redirected() {
    let key = |word: &str| word.parse::<ServiceKey>().unwrap();
    let refused = |others: &[&str]| {
        let others: Vec<_> = others.iter().map(|word| key(word)).collect();
        check_redirect(others.iter(), &key("tcp/10.0.0.1:443"), Some(80))
    };
    assert_eq!(refused(&["tcp/10.0.0.1:443", "udp/10.0.0.1:80", "tcp/10.0.0.2:80", "fwm/3"]), Ok(()));
    let error = refused(&["tcp/10.0.0.1:443", "tcp/10.0.0.1:80"]).unwrap_err();
    assert!(error.starts_with("port 80 of 10.0.0.1 is the service tcp/10.0.0.1:80's already"), "{error}");
    assert!(error.contains("`ulvs ipvsadm -D -t 10.0.0.1:80`"), "{error}");
    for (said, expected) in [("", None), ("--redirect-http none", None), ("--redirect-http 80", Some(80))] {
        let words = format!("add tcp/10.0.0.1:443 {said}");
        let args = Line::try_parse_from(words.split_ascii_whitespace()).unwrap().args;
        assert_eq!(args.redirect(), expected, "only what is asked for now is refused: {said}");
    }
}
