//! `UDP_CHECK`.

use std::net::IpAddr;

use sched::{CheckKind, UdpCheck};

use super::check::{Checks, one};
use super::connection::Connection;
use super::timers::{Defaults, Timers};
use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;

/// What keepalived takes without `max_reply_length`.
const MAX_REPLY: u16 = 255;

pub(super) fn read(item: &Item, outer: Timers, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let known = ["payload", "require_reply", "min_reply_length", "max_reply_length"];
    let mut check = UdpCheck { max_reply: MAX_REPLY, ..UdpCheck::default() };
    let length = |item: &Item, notes: &mut Notes| {
        value::small(item, 0..=u32::from(u16::MAX), notes).and_then(|n| u16::try_from(n).ok())
    };
    let connection = Connection::read(item, server, &known, notes, |item, notes| {
        match item.name() {
            "payload" => {
                let bytes = hex(item, notes).into_iter().collect::<Option<Vec<u8>>>();
                if bytes.is_none() {
                    let help = "write hexadecimal digits; X is for what is expected";
                    notes.error(item.place_of(0), "X cannot be sent", help);
                }
                check.payload = bytes.unwrap_or_default();
            }
            "require_reply" => {
                check.require_reply = true;
                check.reply = if item.args.is_empty() { Vec::new() } else { hex(item, notes) };
            }
            "min_reply_length" => check.min_reply = length(item, notes).unwrap_or(0),
            "max_reply_length" => check.max_reply = length(item, notes).unwrap_or(MAX_REPLY),
            _ => return false,
        }
        true
    });
    if check.payload.is_empty() {
        let text = "without a payload an empty datagram is sent; keepalived sends random bytes";
        notes.changed(item.place(), text, "add what the service answers, in hexadecimal: payload 00ff");
    }
    if !check.require_reply {
        check.max_reply = 0;
    }
    vec![one(connection, CheckKind::Udp(check), Defaults::PLAIN, outer)]
}

/// `Ab12f 3 456` is AB 12 0F 03 45 06; an X is any digit, and makes its byte any.
fn hex(item: &Item, notes: &mut Notes) -> Vec<Option<u8>> {
    let mut bytes = Vec::new();
    value::word(item, "00ff", notes);
    for (n, word) in item.args.iter().enumerate() {
        let digit = |c: char| match c {
            'x' | 'X' => Some(None),
            other => other.to_digit(16).map(Some),
        };
        let Some(digits) = word.text.chars().map(digit).collect::<Option<Vec<_>>>() else {
            let help = "write hexadecimal digits, and X for any: 0aXX";
            notes.error(item.place_of(n), format!("`{}` are no bytes", word.text), help);
            continue;
        };
        for pair in digits.chunks(2) {
            let byte = match *pair {
                [Some(high), Some(low)] => u8::try_from(high << 4 | low).ok(),
                [Some(low)] => u8::try_from(low).ok(),
                [None, None] | [None] => None,
                _ => {
                    let text = "a byte of which only half is known may be any here";
                    notes.changed(item.place_of(n), text, "nothing has to be done: the others still count");
                    None
                }
            };
            bytes.push(byte);
        }
    }
    bytes
}
