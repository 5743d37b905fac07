//! What is written and how, what is refused and why.

use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use super::desk::Desk;

#[test]
fn keys_are_for_their_owner_and_nothing_is_written_over() {
    let desk = Desk::new();
    let said =
        desk.sh("umask 0; ulvs ca init --dir pki && ulvs ca issue --dir pki --dns www.ilinux.io --chain");
    let written = ["ca.key", "ca.crt", "www.ilinux.io.key", "www.ilinux.io.crt", "www.ilinux.io.chain.crt"];
    assert_eq!(said.lines().collect::<Vec<_>>(), written.map(|name| format!("pki/{name}")));
    let mode = |name: &str| std::fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    for name in written {
        assert_eq!(
            mode(&format!("pki/{name}")),
            if name.ends_with(".key") { 0o600 } else { 0o644 },
            "{name}"
        );
    }
    let before = desk.sh("cat pki/*");
    desk.refused("ulvs ca init --dir pki", "there is an authority already, pki/ca.crt");
    desk.refused("ulvs ca issue --dir pki --dns www.ilinux.io", "pki/www.ilinux.io.key is there already");
    desk.sh("rm pki/www.ilinux.io.key; mv pki/ca.crt pki/aside");
    desk.refused("ulvs ca init --dir pki", "pki/ca.key is there already");
    desk.sh("mv pki/aside pki/ca.crt");
    desk.refused("ulvs ca issue --dir pki --dns www.ilinux.io", "pki/www.ilinux.io.crt is there already");
    desk.refused("cat pki/www.ilinux.io.key", "No such file");
    desk.sh("ln -s /nowhere/at-all pki/www.ilinux.io.key; rm pki/www.ilinux.io.crt");
    desk.refused("ulvs ca issue --dir pki --dns www.ilinux.io", "pki/www.ilinux.io.key is there already");
    assert_eq!(desk.read("pki/index.txt").lines().count(), 1, "what was refused was not issued");
    assert!(before.contains(&desk.read("pki/ca.key")) && before.contains(&desk.read("pki/ca.crt")));
}

#[test]
fn a_key_that_others_can_read_or_that_has_a_passphrase_is_refused_with_the_way_out() {
    let desk = Desk::new();
    desk.sh("ulvs ca init");
    for mode in ["640", "604", "620", "601"] {
        desk.sh(&format!("chmod {mode} ca.key"));
        desk.refused(
            "ulvs ca issue --dns www",
            &format!("(mode 0{mode}): `chmod 600 ./ca.key` keeps it secret"),
        );
    }
    assert!(desk.sh("ulvs ca show ca.key").contains("`chmod 600 ca.key`"));
    desk.sh("chmod 600 ca.key; ulvs ca issue --dns www");
    for form in ["", "-traditional"] {
        desk.sh(&format!("openssl pkey -in ca.key {form} -aes128 -passout pass:secret -out locked.key"));
        let issue = "ulvs ca issue --ca-cert ca.crt --ca-key locked.key --dns web";
        desk.refused(
            issue,
            "locked.key: the key is encrypted: `openssl pkey -in locked.key -out locked.key.plain`",
        );
        desk.refused("ulvs ca show locked.key", "the key is encrypted");
        desk.sh("openssl pkey -in locked.key -out locked.key.plain -passin pass:secret");
        desk.sh(&format!("{} --out by{form}", issue.replace("locked.key", "locked.key.plain")));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let desk = Desk::new();
    desk.refused(
        "ulvs ca issue --dns www",
        "there is no authority in ., neither ca.crt nor cacert.pem: `ulvs ca init",
    );
    desk.sh("ulvs ca init --days 30; ulvs ca init --dir other; ulvs ca issue --dns www --days 1");
    desk.sh("openssl req -new -newkey ed25519 -nodes -keyout wang.key -out wang.csr -subj '/CN=Wang Li'");
    desk.sh("openssl x509 -in www.crt -outform der -out www.der; echo nonsense > nonsense");
    for (line, expected) in [
        ("ulvs ca issue", "a server's certificate needs a DNS name or an IP address"),
        ("ulvs ca issue --client", "a client's certificate needs a common name"),
        (
            "ulvs ca issue --dns 172.16.0.99",
            "'--dns <NAME>': \"172.16.0.99\" is no DNS name: it is an IP address",
        ),
        ("ulvs ca issue --ip www", "'--ip <ADDRESS>': \"www\" is no IP address"),
        ("ulvs ca issue --dns w --days 0", "'--days <DAYS>': 0 is not in 1..=36500"),
        ("ulvs ca issue --dns w --key rsa-1024", "possible values: ecdsa-p256, ecdsa-p384, rsa-2048"),
        ("ulvs ca issue --dns w --subj CN=w", "'--subj </KEY=VALUE...>': the subject cannot be used"),
        ("ulvs ca issue --client --cn ''", "the subject cannot be used: CN is empty"),
        ("ulvs ca issue --dns w --email w@w", "--client"),
        ("ulvs ca issue --dns w --out no/where", "cannot write no/where: no is no directory: make it first"),
        ("ulvs ca issue --dns w --ca-cert ca.crt --ca-key other/ca.key", "ca.crt: the key is not the key of"),
        (
            "ulvs ca issue --dns w --ca-cert www.crt --ca-key www.key",
            "www.crt: the certificate is not that of an authority",
        ),
        (
            "ulvs ca issue --dns w --ca-cert ca.key --ca-key ca.key",
            "ca.key: there is no certificate in PEM form in it, but a private key",
        ),
        (
            "ulvs ca sign wang.csr",
            "wang.csr: the request names no DNS name and no IP address, and its common name, \"Wang Li\"",
        ),
        ("ulvs ca sign nowhere.csr", "cannot read nowhere.csr: No such file"),
        (
            "ulvs ca sign www.crt",
            "www.crt: there is no certificate request in PEM form in it, but a certificate",
        ),
        ("ulvs ca revoke ca.crt", "ca.crt: an authority cannot revoke itself"),
        (
            "ulvs ca revoke www.crt --dir other",
            "www.crt: the certificate was issued by CN=ulvs CA, not by this authority",
        ),
        ("ulvs ca revoke www.crt --reason why", "possible values: unspecified, keyCompromise"),
        (
            "ulvs ca show www.der",
            "www.der: there is no certificate, request, key or revocation list in PEM form in it",
        ),
        ("ulvs ca show nonsense www.crt", "nonsense: there is no certificate, request"),
    ] {
        desk.refused(line, expected);
    }
    assert_eq!(desk.read("index.txt").lines().count(), 1, "nothing was issued");
    let both = desk.try_sh("ulvs ca show nonsense www.crt");
    assert!(String::from_utf8_lossy(&both.stdout).contains("CN=www"), "what can be shown is shown");
    assert!(desk.sh("ulvs ca issue --dns late.ilinux.io").contains("the authority itself ends then"));
    desk.write("index.txt", "what is this\n");
    desk.refused("ulvs ca issue --dns w2", "index.txt: line 1: it takes six fields between tabs");
    desk.write("index.txt", "");
    desk.write("crlnumber", "many\n");
    desk.refused("ulvs ca crl", "crlnumber: \"many\" is no number in hexadecimal digits");
}

#[test]
fn certificates_issued_at_once_are_all_remembered() {
    let desk = Desk::new();
    desk.sh("ulvs ca init");
    thread::scope(|scope| {
        for i in 0..8 {
            let desk = &desk;
            scope.spawn(move || desk.sh(&format!("ulvs ca issue --dns w{i}")));
        }
    });
    let mut subjects: Vec<_> =
        desk.read("index.txt").lines().map(|line| line[line.len() - 6..].to_owned()).collect();
    subjects.sort();
    assert_eq!(subjects, (0..8).map(|i| format!("/CN=w{i}")).collect::<Vec<_>>());
}

#[test]
fn the_examples_in_the_help_work() {
    for words in ["ca", "ca init", "ca issue", "ca sign", "ca revoke", "ca crl", "ca show"] {
        let desk = Desk::new();
        if !["ca", "ca init"].contains(&words) {
            desk.sh("ulvs ca init; mkdir private; cp ca.crt cacert.pem; cp ca.key private/cakey.pem");
        }
        if ["ca show", "ca revoke"].contains(&words) {
            desk.sh("ulvs ca issue --dns www.ilinux.io; ulvs ca issue --client --cn wang --out wang");
        }
        if words == "ca issue" {
            // Its last example is for the same name as the first.
            desk.sh("mkdir other; mv cacert.pem private other");
        }
        let help = desk.sh(&format!("ulvs {words} --help")).replace("\\\n", " ");
        let examples: Vec<_> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with("ulvs ") || line.starts_with("openssl "))
            .collect();
        assert!(!examples.is_empty(), "{help}");
        for example in examples {
            let place = if example.contains("cacert.pem") { "cd other; " } else { "" };
            desk.sh(&format!("{place}{example}"));
        }
    }
}

#[test]
fn a_program_can_read_what_is_shown() {
    let desk = Desk::new();
    desk.sh("ulvs ca init --org MageEdu; ulvs ca issue --dns www.ilinux.io --days 10; ulvs ca crl");
    desk.sh(
        "openssl req -new -key www.ilinux.io.key -out www.csr -subj /CN=www -addext subjectAltName=DNS:www",
    );
    let shown = |files: &str| -> serde_json::Value {
        let output = desk.try_sh(&format!("ulvs ca show --json {files}"));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let value = shown("www.ilinux.io.crt www.ilinux.io.key www.csr");
    assert_eq!(value[0]["extensions"]["names"][0], "DNS:www.ilinux.io");
    assert_eq!(value[0]["issuer"], "O=MageEdu, CN=ulvs CA");
    // Within the same second there are ten left.
    assert!([9, 10].contains(&value[0]["days_left"].as_i64().unwrap()), "{value}");
    assert_eq!((&value[1]["type"], &value[1]["open_to_others"]), (&"key".into(), &false.into()));
    assert_eq!(value[0]["key"], value[1]["key"], "the key of the certificate");
    assert_eq!((&value[2]["key"], &value[2]["wrong"]), (&value[1]["key"], &serde_json::Value::Null));
    let folder = shown(".");
    let types: Vec<_> =
        folder.as_array().unwrap().iter().map(|thing| thing["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["certificate", "key", "crl", "issued"]);
    assert_eq!(folder[3]["certificates"][0]["serial"], value[0]["serial"]);
}

#[test]
fn what_a_file_holds_does_not_command_the_terminal() {
    let desk = Desk::new();
    desk.write("evil", "[req]\ndistinguished_name=dn\nprompt=no\nutf8=yes\n[dn]\nCN=a\u{1b}[31mred\n");
    desk.sh("openssl req -config evil -new -x509 -newkey ed25519 -nodes -keyout k -out evil.crt");
    let shown = desk.sh("ulvs ca show evil.crt");
    assert!(shown.contains(r"a\u{1b}[31mred") && !shown.contains('\u{1b}'), "{shown}");
}
