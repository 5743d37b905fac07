//! The words of FTP that are about data connections: `PORT`, `PASV` and 227 (RFC 959 sections 4.1.2 and 5.4, RFC 1123
//! section 4.1.2.6), `EPRT`, `EPSV` and 229 (RFC 2428).
//!
//! Of a line that names an address it is said where in the line that stands, so that another one can be put there and
//! nowhere else. Whatever is not said as the RFCs want it says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `PASV`, `EPSV`: the server shall name an address.
    Ask,
    /// `PORT`, `EPRT`: the client names one.
    Name(Named),
}

/// Where one end waits for a data connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// `None` where it is the one of the control connection (229).
    pub(crate) ip: Option<IpAddr>,
    /// Never 0.
    pub(crate) port: u16,
    /// What of the line says so.
    pub(crate) range: Range<usize>,
    form: Form,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `h1,h2,h3,h4,p1,p2`
    Commas,
    /// `|1|address|port|`, with this delimiter.
    Bars(u8),
    /// The port alone.
    Port,
}

impl Named {
    /// Another address, written in the same way.
    pub(crate) fn text(&self, addr: SocketAddr) -> Vec<u8> {
        let (ip, port) = (addr.ip(), addr.port());
        let text = match self.form {
            Form::Commas => {
                let [high, low] = port.to_be_bytes();
                format!("{},{high},{low}", ip.to_string().replace('.', ","))
            }
            Form::Bars(bar) => {
                let (bar, family) = (char::from(bar), if ip.is_ipv4() { 1 } else { 2 });
                format!("{bar}{family}{bar}{ip}{bar}{port}{bar}")
            }
            Form::Port => port.to_string(),
        };
        text.into_bytes()
    }
}

/// What a line of the client's says, without its end.
pub(super) fn command(line: &[u8]) -> Option<Command> {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let blanks = line[end..].iter().take_while(|byte| **byte == b' ').count();
    let rest = line[end + blanks..].trim_ascii_end();
    let range = end + blanks..end + blanks + rest.len();
    let word = &line[..end];
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    if is(b"PASV") || is(b"EPSV") && !rest.eq_ignore_ascii_case(b"ALL") {
        return Some(Command::Ask);
    }
    let named = if is(b"PORT") {
        let (ip, port, _) = commas(rest).filter(|(_, _, len)| *len == rest.len())?;
        Named { ip: Some(ip), port, range, form: Form::Commas }
    } else if is(b"EPRT") {
        let (bar, ip, port) = bars(rest)?;
        Named { ip: Some(ip), port, range, form: Form::Bars(bar) }
    } else {
        return None;
    };
    Some(Command::Name(named))
}

/// What a line of the server's says, without its end.
pub(super) fn reply(line: &[u8]) -> Option<Named> {
    let (code, text) = line.split_at_checked(4)?;
    match code {
        // What stands around the numbers is everybody's own choice.
        b"227 " => (0..text.len()).find_map(|at| {
            let begins = at == 0 || !text[at - 1].is_ascii_digit();
            let (ip, port, len) = commas(&text[at..]).filter(|_| begins)?;
            Some(Named { ip: Some(ip), port, range: 4 + at..4 + at + len, form: Form::Commas })
        }),
        b"229 " => (0..text.len()).find_map(|at| {
            let bar = *text.get(at + 1)?;
            let port = text[at..].strip_prefix(&[b'(', bar, bar, bar])?;
            let len = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (port, end) = port.split_at(len);
            let range = 4 + at + 4..4 + at + 4 + len;
            let port = number(port).filter(|_| end.starts_with(&[bar, b')']) && is_bar(bar))?;
            Some(Named { ip: None, port, range, form: Form::Port })
        }),
        _ => None,
    }
}

/// The six numbers that `text` begins with, and their length.
fn commas(text: &[u8]) -> Option<(IpAddr, u16, usize)> {
    let mut bytes = [0; 6];
    let mut at = 0;
    for (i, byte) in bytes.iter_mut().enumerate() {
        if i > 0 {
            text.get(at).filter(|comma| **comma == b',')?;
            at += 1;
        }
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        *byte = Some(&text[at..at + digits])
            .filter(|_| digits <= 3)
            .and_then(|text| as_text(text)?.parse().ok())?;
        at += digits;
    }
    let [a, b, c, d, high, low] = bytes;
    let port = Some(u16::from_be_bytes([high, low])).filter(|port| *port != 0)?;
    Some((Ipv4Addr::new(a, b, c, d).into(), port, at))
}

/// Delimiter, address and port of `EPRT`.
fn bars(text: &[u8]) -> Option<(u8, IpAddr, u16)> {
    let bar = *text.first().filter(|bar| is_bar(**bar))?;
    let mut parts = text.split(|byte| *byte == bar);
    let parts: [&[u8]; 5] = std::array::from_fn(|_| parts.next().unwrap_or(b"missing"));
    let [b"", family, ip, port, b""] = parts else { return None };
    if text.iter().filter(|byte| **byte == bar).count() != 4 {
        return None;
    }
    let ip = match family {
        b"1" => as_text(ip)?.parse::<Ipv4Addr>().ok()?.into(),
        b"2" => as_text(ip)?.parse::<Ipv6Addr>().ok()?.into(),
        _ => return None,
    };
    Some((bar, ip, number(port)?))
}

/// A port.
fn number(digits: &[u8]) -> Option<u16> {
    let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    as_text(digits)?.parse().ok().filter(|port| *port != 0)
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// RFC 2428 section 2: any printable character, and it must not be one of what it delimits.
const fn is_bar(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_digit()
}

#[cfg(test)]
mod tests;
