//! Lists the nftables tables of a namespace with one hand-made netlink dump (linux/netfilter/nf_tables.h).

use std::collections::BTreeSet;
use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

const GET_TABLE: u16 = (10 << 8) | 1;
const REQUEST_DUMP: u16 = 1 | 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const TABLE_NAME: u16 = 1;
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// A line for each table of the calling thread's namespace; none where the kernel has no nftables.
pub(super) fn tables() -> io::Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    let mut socket = match Socket::new(NETLINK_NETFILTER) {
        Err(err) if err.kind() == io::ErrorKind::Unsupported => return Ok(lines),
        socket => socket?,
    };
    socket.bind_auto()?;
    let length = (HEADER + GENERIC_HEADER) as u32;
    let mut request = Vec::new();
    request.extend(length.to_ne_bytes());
    request.extend(GET_TABLE.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8 + GENERIC_HEADER]);
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = &answer[..];
        while let Some(message) = message(&mut rest) {
            match u16_at(message, 4) {
                // An error is the answer of a kernel without nftables.
                NLMSG_DONE | NLMSG_ERROR => return Ok(lines),
                _ => lines.extend(describe(message)),
            }
        }
    }
}

/// Takes the next message off `rest`.
fn message<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let message = rest.get(..length.max(HEADER))?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(message)
}

fn describe(message: &[u8]) -> Option<String> {
    let family = *message.get(HEADER)?;
    let mut attributes = message.get(HEADER + GENERIC_HEADER..)?;
    while attributes.len() >= 4 {
        let length = usize::from(u16_at(attributes, 0)).max(4);
        if u16_at(attributes, 2) == TABLE_NAME {
            let name = attributes.get(4..length)?;
            let name = name.strip_suffix(&[0]).unwrap_or(name);
            return Some(format!("nftables table {} of family {family}", String::from_utf8_lossy(name)));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The native-endian value at the offset, which the caller has checked.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
