//! Who receives a connection that a proxy has passed on, as the PROXY protocol has it: first it is told who speaks, then
//! that one does. Written from the protocol's text (HAProxy's `proxy-protocol.txt`), not from what we send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Client and service as the header of either version names them, and what stands behind it.
pub(crate) fn accept(stream: &[u8]) -> Result<(SocketAddr, SocketAddr, &[u8]), String> {
    match stream.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        Some(binary) => version_2(binary),
        None => version_1(stream),
    }
}

/// A line of at most 107 bytes.
fn version_1(stream: &[u8]) -> Result<(SocketAddr, SocketAddr, &[u8]), String> {
    let end = stream.windows(2).take(106).position(|two| two == b"\r\n").ok_or("no line")?;
    let line = std::str::from_utf8(&stream[..end]).map_err(|_| "no text")?;
    let words: Vec<_> = line.split(' ').collect();
    let &["PROXY", family, src, dst, sport, dport] = words.as_slice() else { return Err(line.to_owned()) };
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("{text}: no address"));
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port.to_string() == text => Ok(port),
        _ => Err(format!("{text}: no port")),
    };
    let (src, dst) = (SocketAddr::new(ip(src)?, port(sport)?), SocketAddr::new(ip(dst)?, port(dport)?));
    let right = match family {
        "TCP4" => src.is_ipv4() && dst.is_ipv4(),
        "TCP6" => src.is_ipv6() && dst.is_ipv6(),
        _ => false,
    };
    if right { Ok((src, dst, &stream[end + 2..])) } else { Err(line.to_owned()) }
}

/// Behind the signature: version and command, family and transport, length, addresses.
fn version_2(binary: &[u8]) -> Result<(SocketAddr, SocketAddr, &[u8]), String> {
    let ([0x21, family, high, low], rest) = binary.split_first_chunk::<4>().ok_or("too short")? else {
        return Err(format!("version and command {:#x}", binary[0]));
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (addresses, data) = rest.split_at_checked(len).ok_or("too short")?;
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let (src, dst): (IpAddr, IpAddr) = match (family, len) {
        (0x11, 12) => {
            let ip = |at: usize| <[u8; 4]>::try_from(&addresses[at..at + 4]).expect("four");
            (Ipv4Addr::from(ip(0)).into(), Ipv4Addr::from(ip(4)).into())
        }
        (0x21, 36) => {
            let ip = |at: usize| <[u8; 16]>::try_from(&addresses[at..at + 16]).expect("sixteen");
            (Ipv6Addr::from(ip(0)).into(), Ipv6Addr::from(ip(16)).into())
        }
        other => return Err(format!("family and length {other:?}")),
    };
    Ok((SocketAddr::new(src, port(len - 4)), SocketAddr::new(dst, port(len - 2)), data))
}

/// One end of a TCP connection that receives: the bytes that have come, wherever in the stream.
#[derive(Default)]
pub(crate) struct Stream {
    bytes: Vec<Option<u8>>,
    /// Before the first gap.
    contiguous: usize,
    /// Where the sender has said that it ends.
    fin: Option<usize>,
}

impl Stream {
    /// A segment arrives, so many bytes behind the SYN. What has come before must not be other bytes now.
    pub(crate) fn take(&mut self, at: usize, data: &[u8], fin: bool) {
        let end = at + data.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, None);
        }
        for (known, new) in self.bytes[at..end].iter_mut().zip(data) {
            assert!(known.is_none_or(|known| known == *new), "another byte than before, from {at} to {end}");
            *known = Some(*new);
        }
        let more = self.bytes[self.contiguous..].iter().position(Option::is_none);
        self.contiguous = more.map_or(self.bytes.len(), |more| self.contiguous + more);
        if fin {
            assert!(self.fin.is_none_or(|known| known == end), "another end than before");
            self.fin = Some(end);
        }
        assert!(self.fin.is_none_or(|fin| fin >= self.bytes.len()), "something behind the end");
    }

    /// How much there is without a gap.
    pub(crate) fn contiguous(&self) -> usize {
        self.contiguous
    }

    /// The number to acknowledge: the end counts as a byte.
    pub(crate) fn acknowledges(&self) -> usize {
        let have = self.contiguous();
        have + usize::from(self.fin == Some(have))
    }

    /// Something that has come behind the first gap, from where to where.
    pub(crate) fn island(&self) -> Option<(usize, usize)> {
        let gap = self.contiguous();
        let from = gap + self.bytes[gap..].iter().position(Option::is_some)?;
        let len = self.bytes[from..].iter().position(Option::is_none).unwrap_or(self.bytes.len() - from);
        Some((from, from + len))
    }

    /// All of it, once there is no gap.
    pub(crate) fn whole(&self) -> Option<Vec<u8>> {
        self.bytes.iter().copied().collect()
    }
}

#[test]
fn headers_that_are_wrong_are_not_accepted() {
    let good = b"PROXY TCP4 192.0.2.1 198.51.100.1 7 80\r\nrest".as_slice();
    let (src, dst) = ("192.0.2.1:7".parse().unwrap(), "198.51.100.1:80".parse().unwrap());
    assert_eq!(accept(good), Ok((src, dst, &b"rest"[..])));
    for bad in [
        "PROXY TCP6 192.0.2.1 198.51.100.1 7 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 07 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 7\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.1 7 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 7 80\n",
        "GET / HTTP/1.0\r\n",
    ] {
        assert!(accept(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let binary =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\0\x07\0\x50rest".as_slice();
    assert_eq!(accept(binary), Ok((src, dst, &b"rest"[..])));
    for at in [12, 13, 15] {
        let mut bad = binary.to_vec();
        bad[at] ^= 1;
        assert!(accept(&bad).is_err() || bad[15] == 0x0d, "{at}");
    }
    assert!(accept(&binary[..20]).is_err());
}
