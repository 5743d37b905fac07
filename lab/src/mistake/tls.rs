//! TLS and clocks: certificates of the director's and of the servers'.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::nat::{nat, without_engine};
use super::patient::Patient;
use super::{Mistake, Setting};
use crate::node::Child;
use crate::topo::VipPlace;
use crate::wait::wait_for;

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "open-key",
        check: "certificates",
        story: "the key of the site's certificate may be read by everybody",
        build: site,
        make: |patient| patient.on(patient.director(), "chmod 0644 $ULVS_STATE_DIR/site.key"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "old-certificate",
        check: "certificates",
        story: "the site's certificate ends in a few days, and nobody has made another",
        build: site,
        make: |patient| issue(patient, "--dns www.ilinux.io --days 5"),
        noticed: false,
        by_hand: Some(|patient| issue(patient, "--dns www.ilinux.io")),
    },
    Mistake {
        name: "expired",
        check: "certificates",
        story: "the time of the site's certificate is over, and nobody has made another",
        build: site,
        make: |patient| {
            valid(patient, "-1 day", "10 seconds")?;
            patient.ulvs("tls reload")?;
            thread::sleep(Duration::from_secs(11));
            Ok(())
        },
        noticed: false,
        by_hand: Some(|patient| issue(patient, "--dns www.ilinux.io")),
    },
    Mistake {
        name: "early",
        check: "certificates",
        story: "the site's new certificate has come too early: it is valid from tomorrow",
        build: site,
        make: |patient| {
            valid(patient, "1 day", "100 days")?;
            patient.on(patient.director(), "! ulvs tls reload")
        },
        noticed: false,
        by_hand: Some(|patient| issue(patient, "--dns www.ilinux.io")),
    },
    Mistake {
        name: "other-address",
        check: "certificates",
        story: "the site's certificate is for an address, and not for that which clients go to",
        build: site,
        make: |patient| issue(patient, "--ip 192.0.2.1"),
        noticed: false,
        by_hand: Some(|patient| issue(patient, "--dns www.ilinux.io")),
    },
    Mistake {
        name: "no-issuer",
        check: "certificates",
        story: "the site's certificate comes without that of the authority between it and the one that clients know",
        build: site,
        make: |patient| {
            patient.on(patient.director(), BELOW)?;
            patient.ulvs("tls reload")
        },
        noticed: false,
        by_hand: Some(|patient| {
            patient.on(patient.director(), "cat $ULVS_STATE_DIR/between.crt >> $ULVS_STATE_DIR/site.crt")?;
            patient.ulvs("tls reload")
        }),
    },
    Mistake {
        name: "other-name",
        check: "server-tls",
        story: "one of two servers that end TLS themselves has the certificate of another site",
        build: servers,
        make: |patient| serve_as(patient, "other"),
        noticed: false,
        by_hand: Some(|patient| serve_as(patient, "site")),
    },
    Mistake {
        name: "clock",
        check: "clocks",
        story: "a server's clock is two hours behind",
        build: nat,
        make: |patient| {
            patient.end_first_server();
            let server = http(patient, 0, -7200)?;
            patient.children.push(server);
            Ok(())
        },
        noticed: false,
        // The machines of a laboratory have one clock.
        by_hand: Some(|patient| {
            patient.children.clear();
            let server = http(patient, 0, 0)?;
            patient.children.push(server);
            Ok(())
        }),
    },
];

/// Makes another certificate in place of the site's, by an authority below that of the laboratory. It says where its
/// issuer's is to be had, as those of public authorities do.
const BELOW: &str = r#"
set -e
cd "$ULVS_STATE_DIR"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -new $key -keyout between.key -subj /CN=between -out between.csr
echo basicConstraints=critical,CA:TRUE > between.ext
openssl x509 -req -in between.csr -CA ca/ca.crt -CAkey ca/ca.key -days 100 -extfile between.ext -out between.crt
openssl req -new $key -keyout site.key -subj /CN=www.ilinux.io -out site.csr
printf '%s\n' subjectAltName=DNS:www.ilinux.io 'authorityInfoAccess=caIssuers;URI:http://ca.ilinux.io/between.crt' > site.ext
openssl x509 -req -in site.csr -CA between.crt -CAkey between.key -days 100 -extfile site.ext -out site.crt
"#;

/// Makes another certificate in place of the site's, good from and until when `date` says.
fn valid(patient: &Patient, from: &str, until: &str) -> anyhow::Result<()> {
    let time = |when: &str| format!("$(date -u -d '{when}' +%Y%m%d%H%M%SZ)");
    let dates = format!("-startdate {} -enddate {}", time(from), time(until));
    patient.on(patient.director(), &format!("{DATED} {dates}"))
}

const DATED: &str = r#"
set -e
cd "$ULVS_STATE_DIR"
openssl req -new -key site.key -subj /CN=www.ilinux.io -out site.csr
touch index.txt
cat > ca.cnf <<'END'
[ca]
default_ca = here
[here]
new_certs_dir = .
database = index.txt
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = site
[any]
commonName = supplied
[site]
subjectAltName = DNS:www.ilinux.io
END
openssl ca -batch -notext -config ca.cnf -cert ca/ca.crt -keyfile ca/ca.key -in site.csr -out site.crt"#;

/// TLS ends at the director.
fn site(setting: &Setting) -> anyhow::Result<Patient> {
    let patient = nat(setting)?;
    patient.ulvs("ca init --name ca.ilinux.io --dir $ULVS_STATE_DIR/ca")?;
    certificate(&patient, "site", "--dns www.ilinux.io")?;
    let files = "--cert $ULVS_STATE_DIR/site.crt --key $ULVS_STATE_DIR/site.key";
    patient.ulvs(&format!("tls add tcp/{}:80 {files} --server-port 80", patient.vip()))?;
    Ok(patient)
}

/// Another certificate in place of the site's.
fn issue(patient: &Patient, order: &str) -> anyhow::Result<()> {
    patient.on(patient.director(), "rm $ULVS_STATE_DIR/site.*")?;
    certificate(patient, "site", order)?;
    patient.ulvs("tls reload")
}

fn certificate(patient: &Patient, file: &str, order: &str) -> anyhow::Result<()> {
    patient.ulvs(&format!("ca issue {order} --dir $ULVS_STATE_DIR/ca --out $ULVS_STATE_DIR/{file}"))
}

/// TLS ends at each server.
fn servers(setting: &Setting) -> anyhow::Result<Patient> {
    let mut patient = without_engine(setting, VipPlace::Routed)?;
    patient.ulvs("ca init --name ca.ilinux.io --dir $ULVS_STATE_DIR/ca")?;
    certificate(&patient, "site", "--dns www.ilinux.io")?;
    certificate(&patient, "other", "--dns www.example.org")?;
    patient.port = Some(443);
    for index in 0..patient.server_nodes().len() {
        let server = https(&patient, index, "site")?;
        patient.children.push(server);
    }
    patient.serve("-m")
}

/// Gives the last server another certificate.
fn serve_as(patient: &mut Patient, file: &str) -> anyhow::Result<()> {
    drop(patient.children.pop());
    let server = https(patient, patient.server_nodes().len() - 1, file)?;
    patient.children.push(server);
    Ok(())
}

/// A server of TLS with a certificate.
fn https(patient: &Patient, index: usize, file: &str) -> anyhow::Result<Child> {
    let path = |end| patient.directory().join(file).with_extension(end);
    let mut command = patient.server(index).command("openssl");
    command.args(["s_server", "-quiet", "-www", "-accept", "443", "-cert"]).arg(path("crt"));
    command.arg("-key").arg(path("key"));
    listening(patient, index, 443, &mut command)
}

/// A server of HTTP whose clock is so many seconds ahead.
fn http(patient: &Patient, index: usize, ahead: i64) -> anyhow::Result<Child> {
    let program = format!(
        "$SIG{{PIPE}} = 'IGNORE'; use IO::Socket::INET; use POSIX 'strftime'; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) \
         or die; while (my $c = $s->accept) {{ while (<$c>) {{ last unless /\\S/ }} print $c \"HTTP/1.0 200 OK\\r\\nDate: \", strftime('%a, %d %b %Y \
         %H:%M:%S GMT', gmtime(time + {ahead})), \"\\r\\n\\r\\n\" }}"
    );
    let mut command = patient.server(index).command("perl");
    command.args(["-e", &program]).env("LC_ALL", "C");
    listening(patient, index, 80, &mut command)
}

/// Starts a server, and waits until it takes connections.
fn listening(patient: &Patient, index: usize, l4_port: u16, command: &mut Command) -> anyhow::Result<Child> {
    let node = patient.server(index);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = node.spawn(command)?;
    let at = SocketAddr::from(([127, 0, 0, 1], l4_port));
    let listens = || match child.try_wait() {
        Ok(None) => node.run(|| TcpStream::connect(at).is_ok()).ok()?.then_some(Ok(())),
        Ok(Some(status)) => Some(Err(anyhow::anyhow!("it has ended: {status}"))),
        Err(error) => Some(Err(error.into())),
    };
    wait_for("a server that listens", Duration::from_secs(10), listens)??;
    Ok(child)
}
