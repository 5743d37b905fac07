//! What servers say of themselves: the time, by HTTP, and who they are, by TLS. Only those are asked that speak it by all
//! appearances.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sched::{ServiceKey, ServiceSpec};

use super::{list, tcp};
use crate::doctor::facts::{Connected, Facts, Probes, Shown};
use crate::doctor::gather::fronts::{now, unix};

/// How long a question may take from the connection on, however a server spreads its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Ports of HTTP, where no front says that a server speaks it.
const HTTP: [u16; 5] = [80, 8000, 8008, 8080, 8888];
/// Ports of HTTP over TLS.
const HTTPS: [u16; 2] = [443, 8443];

/// Asks servers that take connections.
pub(super) fn ask(facts: &mut Facts, probes: &mut Probes, servers: &BTreeSet<SocketAddr>) {
    let (mut http, mut https) = (BTreeMap::new(), BTreeMap::new());
    for (service, server, _) in tcp(facts, servers) {
        if probes.connect.get(&server) != Some(&Connected::Yes) {
            continue;
        }
        match speaks(service, server) {
            Some(Speaks::Http(at)) => {
                http.insert(server, at);
            }
            Some(Speaks::Tls(at, name)) => {
                let known = facts.vips_of(&service.key).iter().find_map(|vip| facts.names.get(vip)?.first());
                https.insert(server, (at, name.or_else(|| known.cloned())));
            }
            None => {}
        }
    }
    thread::scope(|scope| {
        let ask = |(server, at): (&SocketAddr, &SocketAddr)| {
            let (server, at) = (*server, *at);
            scope.spawn(move || Some((server, ahead(at).ok().flatten()?)))
        };
        let clocks: Vec<_> = http.iter().map(ask).collect();
        let ask = |(server, (at, name)): (&SocketAddr, &(SocketAddr, Option<String>))| {
            let (server, at, name) = (*server, *at, name.clone());
            scope.spawn(move || Some((server, shown(at, name.as_deref()).ok()?)))
        };
        let certificates: Vec<_> = https.iter().map(ask).collect();
        probes.ahead.extend(clocks.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        probes.shown.extend(certificates.into_iter().filter_map(|thread| thread.join().ok().flatten()));
    });
    if !http.is_empty() {
        facts.asked.push(format!("HEAD / to {}", list(http.values())));
    }
    if !https.is_empty() {
        facts.asked.push(format!("a handshake of TLS to {}", list(https.values().map(|(at, _)| at))));
    }
}

/// What a server speaks, and where.
enum Speaks {
    Http(SocketAddr),
    /// With the name that its certificate has to have.
    Tls(SocketAddr, Option<String>),
}

fn speaks(service: &ServiceSpec, server: SocketAddr) -> Option<Speaks> {
    if let Some(front) = &service.tls {
        let at = SocketAddr::new(server.ip(), front.server_port.unwrap_or_else(|| server.port()));
        let is_http = || front.alpn.iter().any(|protocol| protocol.starts_with("http/"));
        return match &front.backend_tls {
            Some(backend) => Some(Speaks::Tls(at, backend.name.clone())),
            None => is_http().then_some(Speaks::Http(at)),
        };
    }
    let public = match service.key {
        ServiceKey::Addr { l4_port, .. } => l4_port,
        ServiceKey::Mark { .. } => server.port(),
    };
    let on = |ports: &[u16]| ports.contains(&public) || ports.contains(&server.port());
    match (on(&HTTPS), on(&HTTP)) {
        (true, _) => Some(Speaks::Tls(server, None)),
        (false, true) => Some(Speaks::Http(server)),
        (false, false) => None,
    }
}

/// A connection that ends at its time.
struct Question {
    stream: TcpStream,
    until: Instant,
}

impl Question {
    fn open(at: SocketAddr) -> io::Result<Self> {
        let until = Instant::now() + PATIENCE;
        Ok(Self { stream: TcpStream::connect_timeout(&at, PATIENCE)?, until })
    }

    /// What is left of its time.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Question {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

impl Write for Question {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// By how much a server's clock is ahead, if it tells (RFC 9110 section 6.6.1).
fn ahead(at: SocketAddr) -> io::Result<Option<i64>> {
    /// Of its answer the beginning is enough.
    const HEAD: u64 = 8192;
    let mut stream = Question::open(at)?;
    let request =
        format!("HEAD / HTTP/1.1\r\nHost: {at}\r\nUser-Agent: ulvs-doctor\r\nConnection: close\r\n\r\n");
    // At once: who answers the first line and goes has reset the connection before a second part.
    stream.write_all(request.as_bytes())?;
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while (head.len() as u64) < HEAD && !head.windows(4).any(|window| window == b"\r\n\r\n") {
        // Whatever came before an error may be enough.
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(len) => head.extend_from_slice(&part[..len]),
        }
    }
    let now = now();
    Ok(date(&String::from_utf8_lossy(&head)).map(|theirs| theirs - now))
}

/// The time in the head of an answer: seconds since 1970. Of its forms that which is in use.
fn date(head: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut lines = head.lines();
    lines.next().filter(|status| status.starts_with("HTTP/1."))?;
    let fields = lines.filter_map(|line| line.split_once(':'));
    let (_, value) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    let words: Vec<_> = value.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<i64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else { return None };
    // Whatever a server says can be reckoned with. A second may be a leap second.
    let is_day = (1970..=9999).contains(&year) && (1..=31).contains(&day);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !is_day || !is_time {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, whose years begin in March here: leap days are their last ones.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leap + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn shown(at: SocketAddr, name: Option<&str>) -> io::Result<Shown> {
    let shown = tls::Shown::ask(&mut Question::open(at)?, at.ip(), name)?;
    Ok(Shown {
        names: shown.names.iter().map(ToString::to_string).collect(),
        not_before: unix(shown.not_before),
        not_after: unix(shown.not_after),
        now: now(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that says this at once and then a zero now and then, for longer than anybody should wait.
    fn slow(said: &'static [u8]) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(said).unwrap();
            for _ in 0..60 {
                thread::sleep(PATIENCE / 10);
                if stream.write_all(b"0").is_err() {
                    break;
                }
            }
        });
        (at, server)
    }

    #[test]
    fn a_server_that_never_comes_to_an_end_holds_nobody_up() {
        let began = Instant::now();
        let (at, http) = slow(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX: ");
        assert!(ahead(at).unwrap().is_some_and(|ahead| ahead < 0), "what has come is enough");
        // The beginning of a long record.
        let (at, tls) = slow(&[22, 3, 3, 0x40, 0]);
        shown(at, None).unwrap_err();
        assert!(began.elapsed() < 4 * PATIENCE, "{:?}", began.elapsed());
        http.join().unwrap();
        tls.join().unwrap();
    }

    #[test]
    fn a_server_that_reads_no_more_than_it_has_to_tells_the_time() {
        const TIMES: usize = 200;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..TIMES {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 4]).unwrap();
                stream.write_all(b"HTTP/1.0 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n").unwrap();
            }
        });
        for _ in 0..TIMES {
            assert!(ahead(at).unwrap().is_some());
        }
        server.join().unwrap();
    }

    #[test]
    fn the_time_of_an_answer_is_read() {
        for (value, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 12:34:56 GMT", Some(951_827_696)),
            ("Fri, 31 Dec 2049 23:59:59 GMT", Some(2_524_607_999)),
            ("Fri, 31 Dec 9999 23:59:60 GMT", Some(253_402_300_800)),
            ("Fri, 01 Jan 9223372036854775807 00:00:00 GMT", None),
            ("Fri, 01 Jan 10000 00:00:00 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Thu, -9223372036854775808 Jan 1970 00:00:00 GMT", None),
            ("Thu, 0 Jan 1970 00:00:00 GMT", None),
            ("Thu, 32 Jan 1970 00:00:00 GMT", None),
            ("Thu, 01 Jan 1970 9223372036854775807:00:00 GMT", None),
            ("Thu, 01 Jan 1970 24:00:00 GMT", None),
            ("Thu, 01 Jan 1970 00:60:00 GMT", None),
            ("Thu, 01 Jan 1970 00:00:61 GMT", None),
            ("Thu, 01 Jan 1970 00:00:-1 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("", None),
        ] {
            let head = format!("HTTP/1.1 404 Not Found\r\nServer: x\r\ndate: {value}\r\n\r\n");
            assert_eq!(date(&head), expected, "{value}");
        }
        assert_eq!(date("SSH-2.0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), None);
    }
}
