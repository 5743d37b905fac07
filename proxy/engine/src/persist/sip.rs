//! The Call-ID of a SIP message (RFC 3261 sections 7.3, 20.8, 25.1): what the `sip` engine tells clients apart by.

/// The longest that counts, in bytes, as in IPVS.
const MAX: usize = 255;

/// The Call-ID in the header of a message, byte for byte (it is case-sensitive). None where there is none, or one
/// that the grammar does not allow, or a longer one than 255 bytes.
///
/// Never on the first line; a line may be folded behind the colon; lines may end in CR, LF or both (RFC 2543). Where
/// the kernel would take one from the body too, it counts only in the header.
pub(crate) fn call_id(message: &[u8]) -> Option<&[u8]> {
    let mut rest = after_line(message)?;
    while !rest.is_empty() && !is_line_end(rest[0]) {
        if let Some(value) = value(rest) {
            return token(value);
        }
        rest = after_line(rest)?;
    }
    None
}

/// What stands behind this line's end.
fn after_line(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|b| is_line_end(*b))?;
    let crlf = text[end..].starts_with(b"\r\n");
    Some(&text[end + if crlf { 2 } else { 1 }..])
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// What follows the colon of a line that begins with one of the field's two names.
fn value(line: &[u8]) -> Option<&[u8]> {
    let named = |name: &[u8]| {
        let (start, rest) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(rest)
    };
    let rest = named(b"Call-ID").or_else(|| named(b"i"))?;
    let rest = unfolded(rest).strip_prefix(b":")?;
    Some(unfolded(rest))
}

/// Without white space in front; a line that begins with some goes on with the one before.
fn unfolded(text: &[u8]) -> &[u8] {
    let text = without_blanks(text);
    match after_line(text) {
        Some(next) if text.first().is_some_and(|b| is_line_end(*b)) && next.first().is_some_and(is_blank) => {
            without_blanks(next)
        }
        _ => text,
    }
}

/// `word [ "@" word ]`, with the line's end behind it.
fn token(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|b| is_line_end(*b))?;
    let id = &value[..end];
    let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(is_word_byte);
    let mut words = id.splitn(2, |b| *b == b'@');
    (id.len() <= MAX && words.all(is_word)).then_some(id)
}

const fn is_word_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'!'
                | b'%'
                | b'*'
                | b'_'
                | b'+'
                | b'`'
                | b'\''
                | b'~'
                | b'('
                | b')'
                | b'<'
                | b'>'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'{'
                | b'}'
        )
}

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !is_blank(b)).unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kernel 6.1 said to each of these, but for the body's.
    #[test]
    fn the_call_id_is_what_the_kernel_finds() {
        let long = "l".repeat(255);
        let (fits, too_long) = (format!("X\r\nCall-ID: {long}\r\n"), format!("X\r\nCall-ID: {long}l\r\n"));
        for (message, expected) in [
            ("INVITE sip:a@b SIP/2.0\r\nCall-ID: abc@host\r\n\r\n", Some("abc@host")),
            ("INVITE\r\nFrom: x\r\ni: other\r\n\r\n", Some("other")),
            ("INVITE\r\nCALL-ID  :   abc@host\r\n\r\n", Some("abc@host")),
            ("X\r\nA: b\r\n Call-ID: folded\r\nCall-ID: real\r\n\r\nCall-ID: body", Some("real")),
            ("X\r\nCall-ID:\r\n folded\r\n\r\n", Some("folded")),
            ("X\nCall-ID: unix\n\n", Some("unix")),
            ("X\rCall-ID: old\r\r", Some("old")),
            ("X\r\nCall-ID: ABC@host\r\n", Some("ABC@host")),
            ("X\r\nI : short\r\n", Some("short")),
            (fits.as_str(), Some(long.as_str())),
            (too_long.as_str(), None),
            ("INVITE\r\nFrom: x\r\n\r\n", None),
            ("garbage", None),
            ("", None),
            ("Call-ID: first\r\n\r\n", None),
            ("X\nCall-ID: lf;tag=1\n\n", None),
            ("X\r\nCall-ID: tail  \r\n", None),
            ("X\r\nCall-ID: \r\nB: c\r\n\r\n", None),
            ("X\r\nCall-ID: a@\r\n\r\n", None),
            ("X\r\nCall-ID: a@b@c\r\n\r\n", None),
            ("X\r\nCall-ID: noend", None),
            ("X\r\nCall-ID: ", None),
            ("X\r\nCall-ID", None),
            ("X\r\nix: notshort\r\n", None),
            ("X\r\n\r\nCall-ID: body\r\n", None),
        ] {
            let found = call_id(message.as_bytes()).map(|id| std::str::from_utf8(id).expect("ASCII"));
            assert_eq!(found, expected, "{message:?}");
        }
    }
}
