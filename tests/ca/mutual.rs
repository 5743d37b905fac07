//! Certificates of clients, against a server that asks for them and has the revocation list.

use super::desk::{Desk, Server};

/// Where the server's answer to the certificate is part of the handshake: later, a reset could overtake it.
const TLS12: [&str; 2] = ["--tls-max", "1.2"];

#[test]
fn a_client_is_let_in_until_its_certificate_is_revoked() {
    let desk = Desk::new();
    desk.sh("ulvs ca init && ulvs ca issue --dns www.ilinux.io");
    for name in ["wang", "li"] {
        desk.sh(&format!("ulvs ca issue --client --cn {name} --email {name}@ilinux.io --out {name}"));
    }
    let ask = ["-Verify", "1", "-verify_return_error", "-CAfile", "ca.crt", "-crl_check", "-CRL", "ca.crl"];
    let says = |server: &Server, name: &str| {
        let (cert, key) = (desk.path(&format!("{name}.crt")), desk.path(&format!("{name}.key")));
        let with = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
        server.curl("www.ilinux.io", &desk.path("ca.crt"), &[&with[..], &TLS12].concat())
    };
    desk.sh("ulvs ca crl");
    let server = Server::start(&desk, "www.ilinux.io.crt", "www.ilinux.io.key", &ask);
    assert_eq!((says(&server, "wang"), says(&server, "li")), (String::new(), String::new()));
    assert!(server.curl("www.ilinux.io", &desk.path("ca.crt"), &TLS12).contains("alert handshake failure"));
    // Not a client's.
    assert!(
        says(&server, "www.ilinux.io").contains("alert unsupported certificate"),
        "{}",
        says(&server, "www.ilinux.io")
    );
    drop(server);

    desk.sh("ulvs ca revoke wang.crt --reason keyCompromise");
    let server = Server::start(&desk, "www.ilinux.io.crt", "www.ilinux.io.key", &ask);
    assert!(says(&server, "wang").contains("certificate revoked"), "{}", says(&server, "wang"));
    assert_eq!(says(&server, "li"), "");
}
