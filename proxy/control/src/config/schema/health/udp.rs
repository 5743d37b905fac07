//! `kind = "udp"`: the datagram, and what is expected then.

use sched::{CheckKind, UdpCheck};

use super::super::super::reader::{Problems, Section};

pub(super) const KEYS: &[&str] =
    &["payload", "payload_hex", "require_reply", "reply", "reply_hex", "min_reply", "max_reply"];
/// What a datagram can hold.
const MAX: u64 = 65_507;

pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    let before = problems.len();
    let text = section.string("payload", "\"PING\"", problems);
    let payload = match (text, section.value("payload_hex")) {
        (Some(text), None) => text.value.as_bytes().to_vec(),
        (Some(_), Some(value)) => {
            let help = "one of them is enough: delete the other";
            problems.note(value.span(), "`payload` says already what is sent", help);
            Vec::new()
        }
        (None, _) => {
            let bytes = hex(section, "payload_hex", "\"00ff\"", problems).unwrap_or_default();
            if bytes.contains(&None) {
                let help = "XX is any byte of a reply; what is sent is known: write its digits";
                problems.note(section.place_of("payload_hex"), "a byte that is sent has to be said", help);
            }
            bytes.into_iter().flatten().collect()
        }
    };
    if payload.len() as u64 > MAX {
        let key = if section.value("payload").is_some() { "payload" } else { "payload_hex" };
        let help = format!("{MAX} bytes are what fits");
        problems.note(section.place_of(key), "no datagram can hold so much", help);
    }
    let require_reply = section.boolean("require_reply", problems).is_some_and(|on| on.value);
    let key = if section.value("reply").is_some() { "reply" } else { "reply_hex" };
    let text =
        section.string("reply", "\"PONG\"", problems).map(|text| text.value.bytes().map(Some).collect());
    let bytes = hex(section, "reply_hex", "\"0aXX\"", problems);
    if text.is_some() && bytes.is_some() {
        let help = "one of them is enough: delete the other";
        problems.note(section.place_of("reply_hex"), "`reply` says already what is expected", help);
    }
    let reply: Vec<Option<u8>> = text.or(bytes).unwrap_or_default();
    if !reply.is_empty() && !require_reply {
        let help = "add require_reply = true, or delete it";
        problems.note(section.place_of(key), "a server that says nothing at all would be alive", help);
    }
    let length = |key, problems: &mut Problems| {
        let length = section.integer(key, 0..=MAX, problems);
        length.and_then(|n| u16::try_from(n.value).ok()).unwrap_or_default()
    };
    let (min_reply, max_reply) = (length("min_reply", problems), length("max_reply", problems));
    if max_reply > 0 && min_reply > max_reply {
        let help = "no reply is right then: raise `max_reply`, or lower `min_reply`";
        let text = format!("`min_reply` is above `max_reply`, which is {max_reply}");
        problems.note(section.place_of("min_reply"), text, help);
    }
    if max_reply > 0 && reply.len() > usize::from(max_reply) {
        let text = format!("the reply has {} bytes at least, and `max_reply` is {max_reply}", reply.len());
        problems.note(section.place_of(key), text, "raise `max_reply`");
    }
    (problems.len() == before).then_some(CheckKind::Udp(UdpCheck {
        payload,
        require_reply,
        reply,
        min_reply,
        max_reply,
    }))
}

/// Two digits for each byte, blanks between them if one likes; `XX` is any byte.
fn hex(section: &Section<'_>, key: &str, example: &str, problems: &mut Problems) -> Option<Vec<Option<u8>>> {
    let text = section.string(key, example, problems)?;
    let digits: Vec<u8> = text.value.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| match pair {
        [b'x' | b'X', b'x' | b'X'] => Some(None),
        [high, low] => {
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
            Some(Some(digit(*high)? << 4 | digit(*low)?))
        }
        _ => None,
    };
    let bytes: Option<Vec<_>> = digits.chunks(2).map(byte).collect();
    if bytes.is_none() {
        let help = format!("two hexadecimal digits for each byte: {key} = {example}");
        problems.note(text.span, format!("`{}` are no bytes", text.value), help);
    }
    bytes
}
