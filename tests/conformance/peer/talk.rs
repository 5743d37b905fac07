//! The client, on command.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::raw;

/// How long to wait for an answer. The kernel repeats a lost SYN after a second.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Obeys until the end of its input.
pub(super) fn main(probe: &str) -> anyhow::Result<()> {
    let mut talk = Talk { probe: probe.parse()?, port: 20_000, open: BTreeMap::new(), held: Vec::new() };
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let answer = talk.obey(&words).unwrap_or_else(|error| format!("peer: {line}: {error:#}"));
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

struct Talk {
    probe: IpAddr,
    /// The last source port that no command named.
    port: u16,
    open: BTreeMap<String, TcpStream>,
    held: Vec<(String, TcpStream)>,
}

impl Talk {
    fn obey(&mut self, words: &[&str]) -> anyhow::Result<String> {
        match *words {
            ["hit", count, source, target] => self.hit(count.parse()?, source, target),
            ["hold", count, source, target] => {
                let mut names = String::new();
                for _ in 0..count.parse()? {
                    let (name, stream) = connect(self.address(source)?, target)?;
                    names += &name;
                    self.held.extend(stream.map(|stream| (name, stream)));
                }
                Ok(names)
            }
            ["release", name, count] => {
                for _ in 0..count.parse()? {
                    if let Some(index) = self.held.iter().position(|held| held.0 == name) {
                        close(self.held.remove(index).1);
                    }
                }
                Ok(String::new())
            }
            ["open", id, source, target] => {
                let (name, stream) = connect(self.address(source)?, target)?;
                self.open.extend(stream.map(|stream| (id.to_owned(), stream)));
                Ok(name)
            }
            ["say", id] => {
                let mut stream = self.open.get(id).context("not open")?;
                Ok(match stream.write_all(b"hello\n") {
                    Ok(()) => heard(stream),
                    Err(_) => "reset".to_owned(),
                })
            }
            ["close", id] => {
                close(self.open.remove(id).context("not open")?);
                Ok(String::new())
            }
            ["reset", id] => {
                let stream = self.open.remove(id).context("not open")?;
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                socket::setsockopt(&stream, sockopt::Linger, &linger)?;
                drop(stream);
                self.arrived()
            }
            ["udp", source, target] => datagram(self.address(source)?, target, "hello"),
            ["udp", source, target, text] => datagram(self.address(source)?, target, text),
            ["tcp", source, target, flags] => {
                self.sent(raw::tcp(source.parse()?, target.parse()?, flags, "")?)
            }
            ["tcp", source, target, flags, text] => {
                self.sent(raw::tcp(source.parse()?, target.parse()?, flags, text)?)
            }
            ["datagram", source, target] => self.sent(raw::udp(source.parse()?, target.parse()?, "hello")?),
            ["datagram", source, target, text] => {
                self.sent(raw::udp(source.parse()?, target.parse()?, text)?)
            }
            ["sctp", source, target, chunk] => {
                self.sent(raw::sctp(source.parse()?, target.parse()?, chunk.parse()?)?)
            }
            _ => bail!("unknown command"),
        }
    }

    fn hit(&mut self, count: usize, source: &str, target: &str) -> anyhow::Result<String> {
        let mut names = String::new();
        for _ in 0..count {
            let (name, stream) = connect(self.address(source)?, target)?;
            names += &name;
            if let Some(stream) = stream {
                close(stream);
            }
        }
        Ok(names)
    }

    /// `10.0.0.1:80`, `[fd00::1]:80`, or an address alone, which gets the next port.
    fn address(&mut self, text: &str) -> anyhow::Result<SocketAddr> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let ip = text.parse::<IpAddr>().with_context(|| text.to_owned())?;
        self.port += 1;
        Ok((ip, self.port).into())
    }

    fn sent(&self, packet: raw::Packet) -> anyhow::Result<String> {
        packet.send()?;
        self.arrived()
    }

    /// What was sent before has arrived when this returns.
    fn arrived(&self) -> anyhow::Result<String> {
        raw::ping(self.probe)?;
        Ok(String::new())
    }
}

/// Who answers, and the connection if somebody does.
fn connect(source: SocketAddr, target: &str) -> anyhow::Result<(String, Option<TcpStream>)> {
    let target = target.parse::<SocketAddr>()?;
    let family = if target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    // Bounds connect as well.
    let patience = TimeVal::milliseconds(PATIENCE.as_millis() as i64);
    socket::setsockopt(&socket, sockopt::SendTimeout, &patience)?;
    socket::setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(source))
        .with_context(|| format!("{source} cannot be used"))?;
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
        Ok(()) => {}
        Err(nix::Error::EINPROGRESS | nix::Error::ETIMEDOUT) => return Ok(("?".to_owned(), None)),
        Err(_) => return Ok(("-".to_owned(), None)),
    }
    let stream = TcpStream::from(socket);
    let name = heard(&stream);
    Ok((name, Some(stream)))
}

/// The next line from the server.
fn heard(stream: &TcpStream) -> String {
    let mut line = String::new();
    // Lines come one at a time, when asked for: nothing is lost with the reader.
    match BufReader::new(stream).read_line(&mut line) {
        Ok(0) => "closed".to_owned(),
        Ok(_) => line.trim_end().to_owned(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => "?".to_owned(),
        Err(_) => "reset".to_owned(),
    }
}

/// Closes, and waits for the server to close: the director has seen both FINs then.
fn close(mut stream: TcpStream) {
    // A connection that is broken already needs no more.
    if stream.shutdown(std::net::Shutdown::Write).is_ok() {
        let _ = stream.read(&mut [0; 64]);
    }
}

fn datagram(source: SocketAddr, target: &str, text: &str) -> anyhow::Result<String> {
    let text = decode(text).context("bad %XX")?;
    let socket = UdpSocket::bind(source).with_context(|| format!("{source} cannot be used"))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 64];
    let answer = socket.send(&text).and_then(|_| socket.recv(&mut buffer));
    Ok(match answer {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => "?".to_owned(),
        Err(_) => "-".to_owned(),
    })
}

/// Text with `%XX` for what a word of a command cannot hold.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    Some(bytes)
}
