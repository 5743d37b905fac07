//! Packing and walking netlink messages: a 16-byte header, a fixed part, then attributes aligned to 4 bytes, in host
//! byte order unless a protocol says otherwise (`linux/netlink.h`).

use std::io;
use std::net::IpAddr;

use super::HEADER;

const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3FFF;

/// A message under construction.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    flags: u16,
}

impl Message {
    /// A message of this type with its fixed part.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        pad(&mut bytes);
        Self { bytes, flags }
    }

    pub(crate) fn with_flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// Appends an attribute.
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.bytes, kind, value);
        self
    }

    pub(crate) fn u8(self, kind: u16, value: u8) -> Self {
        self.bytes(kind, &[value])
    }

    pub(crate) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in network byte order, as netfilter wants it.
    pub(crate) fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A string with its terminating zero.
    pub(crate) fn string(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(crate) fn address(self, kind: u16, value: IpAddr) -> Self {
        match value {
            IpAddr::V4(v4) => self.bytes(kind, &v4.octets()),
            IpAddr::V6(v6) => self.bytes(kind, &v6.octets()),
        }
    }

    /// An attribute that holds attributes.
    pub(crate) fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut filled = fill(self);
        // Attributes are at most 64 KiB: whoever nests a list keeps it below that.
        let len = u16::try_from(filled.bytes.len() - at).unwrap_or(u16::MAX);
        filled.bytes[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        filled.bytes[at + 2..at + 4].copy_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        filled
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What the receiver gets to see behind the header.
    #[cfg(test)]
    pub(crate) fn into_payload(self) -> Vec<u8> {
        self.bytes[HEADER..].to_vec()
    }

    /// The bytes to send.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// Walks attributes; stops at the first malformed one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes behind a fixed part of `skip` bytes.
    pub(crate) fn after(payload: &'a [u8], skip: usize) -> Self {
        Self(payload.get(skip..).unwrap_or_default())
    }

    /// The first attribute of this type.
    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first one of this type.
    pub(crate) fn nested(self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }

    pub(crate) fn u8(self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    pub(crate) fn u32(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.get(kind)?.try_into().ok()?))
    }

    pub(crate) fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    pub(crate) fn string(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    pub(crate) fn address(self, kind: u16) -> Option<IpAddr> {
        let bytes = self.get(kind)?;
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Some(IpAddr::from(v4));
        }
        <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & NLA_TYPE_MASK;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) port: u32,
}

/// The messages of a datagram, as header and payload.
pub(crate) fn split(mut datagram: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let head = datagram.get(..HEADER)?;
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let half = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
        let len = word(0) as usize;
        let header = Header { kind: half(4), flags: half(6), sequence: word(8), port: word(12) };
        let payload = datagram.get(HEADER..len)?;
        datagram = datagram.get(align(len)..).unwrap_or_default();
        Some((header, payload))
    })
}

/// The error in the payload of `NLMSG_ERROR` or `NLMSG_DONE`, None where it is an acknowledgement.
pub(super) fn error(payload: &[u8]) -> Option<io::Error> {
    let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    (code < 0).then(|| io::Error::from_raw_os_error(-code))
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&len.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(align(bytes.len()), 0);
}

const fn align(len: usize) -> usize {
    (len + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_went_in() {
        let bytes = Message::new(16, 5, &[1, 2])
            .u8(1, 9)
            .nest(2, |m| m.string(3, "eth0").u32(4, 77))
            .address(5, "fd00::1".parse().unwrap())
            .finish(42);
        let (header, payload) = split(&bytes).next().unwrap();
        assert_eq!(header, Header { kind: 16, flags: 5, sequence: 42, port: 0 });
        let attributes = Attributes::after(payload, 4);
        assert_eq!(attributes.u8(1), Some(9));
        assert_eq!(attributes.nested(2).string(3).as_deref(), Some("eth0"));
        assert_eq!(attributes.nested(2).u32(4), Some(77));
        assert_eq!(attributes.address(5), Some("fd00::1".parse().unwrap()));
        assert_eq!(attributes.u32(6), None);
    }

    #[test]
    fn malformed_input_ends_the_walk() {
        for bytes in [&[][..], &[4], &[3, 0, 1, 0], &[200, 0, 1, 0, 5], &[0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Attributes::after(bytes, 0).count(), 0);
            assert_eq!(split(bytes).count(), 0);
        }
    }
}
