//! Where a body ends (RFC 9112, 6 and 7.1).

use super::{Status, forwarded};

/// Bytes that the extensions of one chunk, or all trailers, may have.
const EXTRAS: usize = 16 * 1024;
/// Digits of a chunk's size: `u64`, and leading zeros are not for ever.
const DIGITS: u8 = 16;

/// A body that is passing by.
#[derive(Debug)]
pub(super) enum Body {
    /// This much is to come.
    Length(u64),
    /// Chunks, the last one empty.
    Chunked(Chunks),
    /// All that comes.
    UntilClose,
}

impl Body {
    /// How many bytes of `input` belong to the body, and whether they are its last ones.
    pub(super) fn scan(&mut self, input: &[u8]) -> Result<(usize, bool), Status> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                Ok((n, *left == 0))
            }
            Self::Chunked(chunks) => chunks.scan(input),
            Self::UntilClose => Ok((input.len(), false)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer's line, or of the line that ends the body.
    Line,
    Name,
    Value,
    LineLf,
    LastLf,
}

/// A chunked body.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    digits: u8,
    left: u64,
    extras: usize,
    /// The name of the trailer so far, and whether names that are the director's to give are refused.
    name: forwarded::Name,
    guarded: bool,
}

impl Chunks {
    /// A body that begins. In a `guarded` one no trailer has a name that is the director's to give: a server that puts
    /// trailers beside the fields of the head would believe it.
    pub(super) const fn new(guarded: bool) -> Self {
        Self { at: At::Size, digits: 0, left: 0, extras: EXTRAS, name: forwarded::Name::new(), guarded }
    }

    fn scan(&mut self, input: &[u8]) -> Result<(usize, bool), Status> {
        let mut i = 0;
        while let Some(byte) = input.get(i) {
            if self.at == At::Data {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - i);
                self.left -= n as u64;
                i += n;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            i += 1;
            if self.at == At::LastLf && *byte == b'\n' {
                return Ok((i, true));
            }
            self.step(*byte)?;
        }
        Ok((input.len(), false))
    }

    fn step(&mut self, byte: u8) -> Result<(), Status> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < DIGITS => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from(hex(byte));
                At::Size
            }
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';' | b' ' | b'\t') if self.digits > 0 => At::Extension,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extra(At::Extension)?,
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 { self.line() } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.extras = EXTRAS;
                At::Size
            }
            (At::Line, b'\r') => At::LastLf,
            (At::Line | At::Name, b) if forwarded::is_token(b) => {
                self.name.push(b);
                self.extra(At::Name)?
            }
            (At::Name, b':') if self.guarded && self.name.is_ours() => return Err(Status::BadRequest),
            (At::Name, b':') => self.extra(At::Value)?,
            (At::Value, b'\r') => At::LineLf,
            (At::Value, b'\t' | b' '..=b'~' | 0x80..) => self.extra(At::Value)?,
            (At::LineLf, b'\n') => self.line(),
            _ => return Err(Status::BadRequest),
        };
        Ok(())
    }

    const fn line(&mut self) -> At {
        self.name = forwarded::Name::new();
        At::Line
    }

    fn extra(&mut self, at: At) -> Result<At, Status> {
        self.extras = self.extras.checked_sub(1).ok_or(Status::HeadTooLarge)?;
        Ok(at)
    }
}

const fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}
