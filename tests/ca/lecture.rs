//! The lecture's session: a CA on the director, a key and a request for www.ilinux.io, a certificate, and curl, which
//! trusts nothing but that CA. Each step with either tool.

use super::desk::{Desk, Server, VIP};

const CA_SUBJECT: &str = "/C=CN/ST=Beijing/L=Beijing/O=MageEdu/OU=devops/CN=ca.ilinux.io";
const SUBJECT: &str = "/C=CN/ST=Beijing/L=Beijing/O=MageEdu/OU=devops/CN=www.ilinux.io";

/// What openssl comes with, but for the directory.
const CONFIG: &str = "\
[ ca ]
default_ca = CA_default
[ CA_default ]
dir = .
database = $dir/index.txt
new_certs_dir = $dir/newcerts
certificate = $dir/cacert.pem
serial = $dir/serial
crlnumber = $dir/crlnumber
private_key = $dir/private/cakey.pem
x509_extensions = usr_cert
default_days = 365
default_crl_days = 30
default_md = default
policy = policy_match
[ policy_match ]
countryName = match
stateOrProvinceName = match
organizationName = match
organizationalUnitName = optional
commonName = supplied
[ usr_cert ]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
[ sub ]
basicConstraints = critical,CA:TRUE,pathlen:0
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tool {
    Openssl,
    Ulvs,
}

use Tool::{Openssl, Ulvs};

/// The first steps: the authority. Its certificate, and what `openssl ca` has to be told.
fn make_authority(desk: &Desk, tool: Tool) -> (&'static str, &'static str) {
    desk.write("openssl.cnf", CONFIG);
    desk.sh("mkdir private newcerts");
    match tool {
        Openssl => {
            desk.sh("(umask 077; openssl genrsa -out private/cakey.pem 2048)");
            desk.sh(&format!(
                "openssl req -new -x509 -key private/cakey.pem -out cacert.pem -days 365 -subj {CA_SUBJECT}"
            ));
            desk.sh("touch index.txt; echo 01 > serial");
            ("cacert.pem", "-config openssl.cnf -batch")
        }
        Ulvs => {
            desk.sh(&format!("ulvs ca init --subj {CA_SUBJECT} --key rsa-2048 --days 365"));
            desk.sh("touch index.txt; echo 01 > serial");
            ("ca.crt", "-config openssl.cnf -batch -cert ca.crt -keyfile ca.key")
        }
    }
}

#[test]
fn every_step_of_the_lecture_works_with_either_tool() {
    for (authority, signer) in [(Openssl, Openssl), (Openssl, Ulvs), (Ulvs, Openssl), (Ulvs, Ulvs)] {
        let desk = Desk::new();
        let (ca, options) = make_authority(&desk, authority);
        desk.sh("openssl genrsa -out httpd.key 2048 && chmod 600 httpd.key");
        desk.sh(&format!("openssl req -new -key httpd.key -out httpd.csr -subj {SUBJECT}"));
        let said = match signer {
            // With the text before the certificate.
            Openssl => desk.sh(&format!("openssl ca {options} -in httpd.csr -out httpd.crt -days 300")),
            Ulvs => desk.sh("ulvs ca sign httpd.csr --out httpd.crt --days 300"),
        };
        assert_eq!(said.contains("its common name is taken, DNS:www.ilinux.io"), signer == Ulvs, "{said}");
        let case = format!("{authority:?} {signer:?}");
        assert!(desk.sh(&format!("openssl verify -CAfile {ca} httpd.crt")).contains("OK"), "{case}");
        let shown = desk.sh("ulvs ca show httpd.crt");
        assert!(
            shown.contains("CN=www.ilinux.io, ")
                || shown.contains(
                    "CN=www.ilinux.io
"
                ),
            "{case}: {shown}"
        );
        // Within the same second there are 300 left.
        assert!(
            ["(299 days left)", "(300 days left)"].iter().any(|days| shown.contains(days)),
            "{case}: {shown}"
        );

        let server = Server::start(&desk, "httpd.crt", "httpd.key", &[]);
        let ca = desk.path(ca);
        assert_eq!(server.curl("www.ilinux.io", &ca, &[]), "", "{case}");
        // As the lecture says: there will be a problem, no domain.
        let said = server.curl(VIP, &ca, &[]);
        assert!(said.contains("match") && said.contains(VIP), "{case}: {said}");
    }
}

#[test]
fn one_command_does_what_three_of_openssl_do_with_either_authority() {
    for authority in [Openssl, Ulvs] {
        let desk = Desk::new();
        let (ca, _) = make_authority(&desk, authority);
        for kind in ["ecdsa-p256", "rsa-2048", "ed25519"] {
            let key = format!("--key {kind} --out {kind}");
            desk.sh(&format!("ulvs ca issue --dns www.ilinux.io --dns *.magedu.io --ip {VIP} {key}"));
            let server = Server::start(&desk, &format!("{kind}.crt"), &format!("{kind}.key"), &[]);
            for name in ["www.ilinux.io", "a.magedu.io", VIP] {
                assert_eq!(server.curl(name, &desk.path(ca), &[]), "", "{authority:?} {kind} {name}");
            }
            assert!(server.curl("web.ilinux.io", &desk.path(ca), &[]).contains("no alternative certificate"));
        }
    }
}

#[test]
fn an_authority_below_another_gives_servers_the_chain_that_clients_need() {
    let desk = Desk::new();
    let (root, options) = make_authority(&desk, Openssl);
    desk.sh(&format!(
        "openssl req -new -newkey rsa:2048 -nodes -keyout sub.key -out sub.csr -subj {CA_SUBJECT}2"
    ));
    desk.sh(&format!("openssl ca {options} -extensions sub -in sub.csr -out sub.crt"));
    desk.sh("cat sub.crt cacert.pem > both.pem; mkdir sub");
    desk.sh("ulvs ca issue --dir sub --ca-cert both.pem --ca-key sub.key --dns www.ilinux.io --chain");
    desk.sh("openssl x509 -in sub.crt > expected.pem; cat sub/www.ilinux.io.crt expected.pem > expected");
    assert_eq!(desk.read("sub/www.ilinux.io.chain.crt"), desk.read("expected"));
    let (cert, key) = ("sub/www.ilinux.io.crt", "sub/www.ilinux.io.key");
    let without = Server::start(&desk, cert, key, &[]);
    assert!(without.curl("www.ilinux.io", &desk.path(root), &[]).contains("unable to get local issuer"));
    let with = Server::start(&desk, cert, key, &["-cert_chain", "sub/www.ilinux.io.chain.crt"]);
    assert_eq!(with.curl("www.ilinux.io", &desk.path(root), &[]), "");
}

#[test]
fn the_two_tools_keep_one_list_of_what_was_issued_and_revoked() {
    for authority in [Openssl, Ulvs] {
        let desk = Desk::new();
        let (ca, options) = make_authority(&desk, authority);
        desk.sh("echo 01 > crlnumber");
        let crl = if authority == Openssl { "crl.pem" } else { "ca.crl" };
        desk.sh("ulvs ca issue --dns a.ilinux.io --out a && ulvs ca issue --dns b.ilinux.io --out b");
        for name in ["c", "d"] {
            let subject = SUBJECT.replace("www", name);
            desk.sh(&format!(
                "openssl req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"
            ));
            desk.sh(&format!("openssl ca {options} -in {name}.csr -out {name}.crt -notext"));
        }
        let good = |crl: &str| -> String {
            let verify = |name: &&str| {
                let verify = format!("openssl verify -crl_check -CRLfile {crl} -CAfile {ca} {name}.crt");
                desk.try_sh(&verify).status.success()
            };
            ["a", "b", "c", "d"].into_iter().filter(verify).collect()
        };
        // Each revokes what the other has issued.
        assert_eq!(desk.sh("ulvs ca revoke c.crt --reason superseded").trim_end(), format!("./{crl}"));
        assert_eq!(good(crl), "abd", "{authority:?}");
        desk.sh(&format!("openssl ca {options} -revoke a.crt -crl_reason keyCompromise"));
        desk.sh(&format!("openssl ca {options} -gencrl -out by-openssl.crl"));
        assert_eq!(good("by-openssl.crl"), "bd", "{authority:?}");
        desk.sh("ulvs ca crl --days 7");
        assert_eq!(good(crl), "bd", "{authority:?}");
        let shown = desk.sh(&format!("ulvs ca show {crl}"));
        for expected in ["number       3", ", superseded\n", ", keyCompromise\n"] {
            assert!(shown.contains(expected), "{authority:?} {expected}: {shown}");
        }
        desk.refused("ulvs ca revoke a.crt", "a.crt: the certificate was revoked on ");
        let issued = desk.sh("ulvs ca show .");
        let (_, issued) = issued.split_once(".: issued certificates\n").expect("the list of them");
        let count =
            |status: &str| issued.lines().filter(|line| line.trim_start().starts_with(status)).count();
        assert_eq!((count("valid "), count("revoked ")), (2, 2), "{issued}");
    }
}

#[test]
fn a_second_certificate_for_one_subject_is_refused_where_openssl_could_not_read_it() {
    let desk = Desk::new();
    let (_, options) = make_authority(&desk, Openssl);
    desk.sh(&format!(
        "openssl req -new -newkey rsa:2048 -nodes -keyout www.key -out www.csr -subj {SUBJECT}"
    ));
    desk.sh(&format!("openssl ca {options} -in www.csr -out www.crt -notext"));
    assert!(desk.read("index.txt.attr").contains("unique_subject = yes"));
    // openssl leaves the locality out.
    let again =
        format!("ulvs ca issue --dns www.ilinux.io --out again --subj {}", SUBJECT.replace("/L=Beijing", ""));
    desk.refused(&again, "a valid certificate already, number 01, and ./index.txt.attr forbids a second one");
    assert_eq!(desk.read("index.txt").lines().count(), 1);
    desk.write("index.txt.attr", "unique_subject = no\n");
    desk.sh(&again);
    desk.sh(&format!("openssl ca {options} -revoke www.crt"));
    let statuses: Vec<_> = desk.read("index.txt").lines().map(|line| line[..1].to_owned()).collect();
    assert_eq!(statuses, ["R", "V"]);
}
