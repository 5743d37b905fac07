//! A question to a name server, over UDP (RFC 1035).
//!
//! As keepalived has it, an answer with RCODE 0 is right, and with no other: whether it holds a record of that type is not
//! looked at (a server that has the name, but not the type, is a live one). It has to be an answer to our question:
//! its number and what it quotes say so, and whatever else comes is left alone.

use sched::DnsRecord;

use super::asking::Asking;
use super::words;

const HEADER: usize = 12;
/// Without EDNS there are no longer ones (RFC 1035 section 4.2.1).
const LONGEST: usize = 512;

#[derive(Debug)]
pub(super) struct Ready {
    /// All but its number.
    query: Vec<u8>,
    /// What it asks for, for people.
    words: String,
}

impl Ready {
    pub(super) fn new(record: DnsRecord, name: &str) -> Result<Self, String> {
        // Recursion is desired; there is one question.
        let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let labels = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return Err("an empty name cannot be asked for; the root is `.`".into());
        }
        for label in labels.split('.').filter(|_| !labels.is_empty()) {
            match u8::try_from(label.len()) {
                Ok(length @ 1..=63) => query.push(length),
                Ok(0) => return Err(format!("`{name}` is no name: there is nothing between two dots")),
                _ => return Err(format!("`{name}` is no name: `{label}` has more than 63 characters")),
            }
            if let Some(odd) = label.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
                return Err(format!("`{name}` is no name: no `{}` can be in it", odd.escape_default()));
            }
            query.extend(label.as_bytes());
        }
        query.push(0);
        if query.len() - HEADER > 255 {
            return Err(format!("`{name}` is no name: it has more than 253 characters"));
        }
        let (number, word): (u16, _) = match record {
            DnsRecord::A => (1, "A"),
            DnsRecord::Ns => (2, "NS"),
            DnsRecord::Cname => (5, "CNAME"),
            DnsRecord::Soa => (6, "SOA"),
            DnsRecord::Mx => (15, "MX"),
            DnsRecord::Txt => (16, "TXT"),
            DnsRecord::Aaaa => (28, "AAAA"),
        };
        query.extend(number.to_be_bytes());
        query.extend([0, 1]);
        Ok(Self { query, words: format!("{word} of `{name}`") })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let socket = asking.datagrams()?;
        let mut query = self.query.clone();
        query[..2].copy_from_slice(&asking.tools.nonce().to_be_bytes()[..2]);
        socket.send(&query).await.map_err(|e| asking.error(&e))?;
        let mut buffer = [0; LONGEST];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|e| words::io(&e))?;
            match rcode(&buffer[..length], &query) {
                Some(0) => return Ok(()),
                Some(code) => return Err(format!("asked for {}, it answers {}", self.words, name(code))),
                None => {}
            }
        }
    }
}

/// The RCODE, if that is the answer to the query.
fn rcode(answer: &[u8], query: &[u8]) -> Option<u8> {
    let (head, rest) = answer.split_at_checked(HEADER)?;
    let answers = head[..2] == query[..2] && head[2] & 0xf8 == 0x80;
    let code = head[3] & 0x0f;
    let questions = u16::from_be_bytes([head[4], head[5]]);
    // Who cannot read a question, or will not, need not quote it.
    let quotes = match questions {
        0 => code != 0,
        _ => rest
            .get(..query.len() - HEADER)
            .is_some_and(|quoted| quoted.eq_ignore_ascii_case(&query[HEADER..])),
    };
    (answers && quotes).then_some(code)
}

/// RFC 1035 section 4.1.1, RFC 2136 section 2.2.
fn name(code: u8) -> String {
    let names = [
        "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    names.get(usize::from(code) - 1).map_or_else(|| format!("RCODE {code}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests;
