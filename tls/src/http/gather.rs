//! Heads out of a stream: finds where one ends, holds what came of it so far.
//!
//! Each byte is looked at once, however the stream is cut. A head that comes whole is not copied.

use super::Status;

/// How heads may look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Bytes that a head may have.
    pub(super) limit: usize,
    /// Whether lines end with CRLF and nothing else (RFC 9112, 2.2: a recipient *may* take a lone LF, and what may be
    /// read in two ways can be smuggled).
    pub(super) strict: bool,
}

/// A head that is coming.
#[derive(Debug, Default)]
pub(super) struct Gather {
    held: Vec<u8>,
    /// Bytes of the line so far, its CR excepted.
    line: usize,
    after_cr: bool,
    /// A line that is not empty has begun.
    begun: bool,
}

impl Gather {
    /// Whether some of a head has come.
    pub(super) const fn begun(&self) -> bool {
        self.begun
    }

    /// Takes `input`: a whole head and how many bytes of `input` were its last ones, or `None` after taking it all.
    /// [`Gather::done`] has to follow a whole head.
    pub(super) fn take<'a>(
        &'a mut self,
        input: &'a [u8],
        rules: Rules,
    ) -> Result<Option<(&'a [u8], usize)>, Status> {
        let end = self.end(input, rules.strict)?;
        if self.held.len() + end.unwrap_or(input.len()) > rules.limit {
            return Err(Status::HeadTooLarge);
        }
        match end {
            Some(end) if self.held.is_empty() => Ok(Some((&input[..end], end))),
            Some(end) => {
                self.held.extend_from_slice(&input[..end]);
                Ok(Some((&self.held, end)))
            }
            None => {
                self.held.extend_from_slice(input);
                Ok(None)
            }
        }
    }

    /// The head was dealt with: the next one may come.
    pub(super) fn done(&mut self) {
        *self = Self::default();
    }

    /// Bytes that are held.
    pub(super) const fn len(&self) -> usize {
        self.held.len()
    }

    fn end(&mut self, input: &[u8], strict: bool) -> Result<Option<usize>, Status> {
        for (i, byte) in input.iter().enumerate() {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if strict && !after_cr => return Err(Status::BadRequest),
                b'\n' if self.line == 0 && self.begun => return Ok(Some(i + 1)),
                b'\n' => self.line = 0,
                0 => return Err(Status::BadRequest),
                _ if after_cr => return Err(Status::BadRequest),
                b'\r' => {}
                _ => {
                    self.line += 1;
                    self.begun = true;
                }
            }
        }
        Ok(None)
    }
}
