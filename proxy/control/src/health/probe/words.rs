//! What went wrong, in words for a listing: one line, bounded, and nothing in it that a terminal would obey.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// The longest line.
const LINE: usize = 200;
/// The most that is quoted of what a server said.
const EXCERPT: usize = 40;

/// An error of a socket.
pub(super) fn io(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else { return lower(&error.to_string()) };
    match Errno::from_raw(code) {
        Errno::ECONNREFUSED => "connection refused".into(),
        Errno::ECONNRESET | Errno::EPIPE => "the server reset the connection".into(),
        Errno::EHOSTUNREACH | Errno::EHOSTDOWN => "host unreachable".into(),
        Errno::ENETUNREACH => "network unreachable".into(),
        // ICMP says so of a packet in another that nobody unwraps: IPv4 in the one way, IPv6 in the other.
        Errno::ENOPROTOOPT | Errno::EPROTO => "protocol unreachable: nobody unwraps its tunnel there".into(),
        Errno::EPERM | Errno::EACCES => {
            "this host forbids it: a firewall rule, a route or a missing capability".into()
        }
        Errno::ETIMEDOUT => "connection timed out".into(),
        Errno::EADDRNOTAVAIL => "no local address or port is free for it".into(),
        Errno::EMFILE | Errno::ENFILE => "too many files are open here".into(),
        Errno::EMSGSIZE => "it is longer than the path takes".into(),
        errno => lower(errno.desc()),
    }
}

/// Whether it is this host that had no descriptor or no memory left: the error says nothing about any server.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
}

/// A time as people write it: `2 s`, `1.5 s`, `500 ms`.
pub(super) fn time(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{} s", ms as f64 / 1000.0),
    }
}

/// The beginning of what a server said, between back-quotes.
pub(super) fn quote(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(4 * EXCERPT)]);
    let mut quoted: String = text.trim_end().chars().take(EXCERPT).map(harmless).collect();
    if quoted.len() < text.trim_end().len() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

/// One line that is short enough.
pub(super) fn line(text: &str) -> String {
    let mut line: String = text.trim().chars().take(LINE).map(harmless).collect();
    if text.trim().chars().nth(LINE).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// Control characters, and those that reorder what stands beside them, become a mark.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    // Not of an abbreviation.
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_quoted_without_its_control_characters_and_not_at_length() {
        assert_eq!(quote(b"SSH-2.0-OpenSSH_9.2\r\n"), "`SSH-2.0-OpenSSH_9.2`");
        assert_eq!(quote(b"\x1b[2J\x07a\nb\0c"), "`\u{fffd}[2J\u{fffd}a b\u{fffd}c`");
        assert_eq!(quote("a\u{202e}b\u{9b}c".as_bytes()), "`a\u{fffd}b\u{fffd}c`");
        assert_eq!(quote(b"\xff\xfe"), "`\u{fffd}\u{fffd}`");
        let long = quote(&[b'x'; 1000]);
        assert_eq!(long, format!("`{}…`", "x".repeat(40)));
        assert_eq!(quote(b""), "``");
    }

    #[test]
    fn a_line_is_one_and_short() {
        assert_eq!(line(" a\r\nb\tc\u{7f} "), "a  b c\u{fffd}");
        assert_eq!(line(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(line(&"é".repeat(201)), format!("{}…", "é".repeat(199)));
    }

    #[test]
    fn times_read_well() {
        for (ms, words) in
            [(1, "1 ms"), (999, "999 ms"), (1000, "1 s"), (1500, "1.5 s"), (2250, "2.25 s"), (60_000, "60 s")]
        {
            assert_eq!(time(Duration::from_millis(ms)), words);
        }
    }

    #[test]
    fn what_this_host_lacks_is_told_from_what_servers_do() {
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
            assert!(is_ours(&errno.into()), "{errno}");
        }
        for errno in [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::EADDRNOTAVAIL, Errno::EAGAIN] {
            assert!(!is_ours(&errno.into()), "{errno}");
        }
        assert!(!is_ours(&io::Error::other("something odd")));
    }

    #[test]
    fn errors_of_sockets_have_words_of_their_own() {
        let words = |errno: Errno| io(&errno.into());
        assert_eq!(words(Errno::ECONNREFUSED), "connection refused");
        assert_eq!(words(Errno::EHOSTUNREACH), "host unreachable");
        assert_eq!(words(Errno::EPROTONOSUPPORT), "protocol not supported");
        assert_eq!(words(Errno::EIO), "I/O error");
        assert_eq!(io(&io::Error::other("Something odd")), "something odd");
        assert!(words(Errno::EACCES).contains("firewall"));
    }
}
