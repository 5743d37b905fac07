//! Fronts and openssl's client, over a socket of the file system: somebody else's idea of TLS.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Greets one client.
fn greet(front: &Front, mut stream: &UnixStream) -> std::io::Result<()> {
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        if acceptor.read_tls(&mut stream)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(accepted) = acceptor.accept().map_err(|(e, _)| std::io::Error::other(e))? {
            break accepted;
        }
    };
    let config =
        front.accept(&accepted.client_hello()).map_err(|e| std::io::Error::other(format!("{e:?}")))?;
    let mut server = accepted.into_connection(config).map_err(|(e, _)| std::io::Error::other(e))?;
    server.complete_io(&mut stream)?;
    server.writer().write_all(b"hello\n")?;
    server.send_close_notify();
    while server.wants_write() {
        server.write_tls(&mut stream)?;
    }
    Ok(())
}

/// What openssl has to say of this front.
fn openssl(dir: &Path, front: &Front, options: &str) -> String {
    let socket = dir.join("socket");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-unix", "socket", "-servername", "www.example", "-ign_eof", "-CAfile", "ca.pem"])
        .args(["-attime", "1800000000", "-verify_return_error", "-verify_hostname", "www.example"])
        .args(options.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    // It may end before it calls, and leave nobody to wait for.
    let greeted = loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                break greet(front, &stream);
            }
            Err(e) if client.try_wait().unwrap().is_some() => break Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let output = client.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{}\nserver: {greeted:?}", String::from_utf8_lossy(&said))
}

#[test]
fn openssl_resumes_at_one_director_what_it_began_at_the_other() {
    let ca = Ca::new("ca");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), &ca.made.pem).unwrap();
    let www = ca.issue(&["www.example"], Kind::P256);
    let [one, other] = [(); 2].map(|()| {
        let clock = Clock::at(*NOW);
        let keys = TicketKeys::shared(&source("tickets", [7; 32]), TicketTimes::default(), &clock).unwrap();
        Front::new(&FrontSettings { tickets: Some(keys), ..settings(&[&www]) }, &clock).unwrap().0
    });
    for version in ["-tls1_2", "-tls1_3"] {
        let first = openssl(dir.path(), &one, &format!("{version} -sess_out session"));
        assert!(first.contains("New, TLSv1.") && first.contains("hello\n"), "{version}: {first}");
        assert!(first.contains("Verify return code: 0 (ok)"), "{version}: {first}");
        let second = openssl(dir.path(), &other, &format!("{version} -sess_in session"));
        assert!(second.contains("Reused, TLSv1.") && second.contains("hello\n"), "{version}: {second}");
    }
}

#[test]
fn openssl_shows_its_certificate_and_agrees_on_a_protocol() {
    let ca = Ca::new("ca");
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let ulla = ca.issue(&["ulla.example"], Kind::P384);
    write("ca.pem", &ca.made.pem);
    write("ulla.crt", &ulla.pem);
    write("ulla.key", &ulla.key);
    let authorities = Authorities { ca: source("ca.pem", &ca.made.pem), crls: vec![] };
    let front = front(&FrontSettings {
        client_certificates: ClientCertificates::Required(authorities),
        ..settings(&[&ca.issue(&["www.example"], Kind::Rsa)])
    });
    for version in ["-tls1_2", "-tls1_3"] {
        let shown = format!("{version} -alpn h2,http/1.1 -cert ulla.crt -key ulla.key");
        let said = openssl(dir.path(), &front, &shown);
        assert!(said.contains("ALPN protocol: http/1.1") && said.contains("hello\n"), "{version}: {said}");
        assert!(
            said.contains("CN = ca") || said.contains("CN=ca"),
            "{version}: whose certificates count: {said}"
        );
        let said = openssl(dir.path(), &front, version);
        assert!(said.contains("NoCertificatesPresented"), "{version}: {said}");
    }
}
