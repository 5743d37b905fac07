//! A connection of the stack as a [`Leg`].

use std::io::{self, Read, Write};

use super::{FlowId, Stack};
use crate::Leg;

/// A connection of a stack, as long as it is borrowed. One that the stack no longer has is not connected.
#[derive(Debug)]
pub struct StackLeg<'a> {
    pub(super) stack: &'a mut Stack,
    pub(super) flow: FlowId,
}

impl Read for StackLeg<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stack.act(self.flow, |flow, cx| flow.read(buf, cx)).unwrap_or_else(not_connected)
    }
}

impl Write for StackLeg<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stack.act(self.flow, |flow, _| flow.write(bytes)).unwrap_or_else(not_connected)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let write = |flow: &mut super::flow::Flow| {
            let mut written = 0;
            for part in parts {
                match flow.write(part) {
                    Ok(len) if len == part.len() => written += len,
                    Ok(len) => return Ok(written + len),
                    Err(_) if written > 0 => return Ok(written),
                    Err(error) => return Err(error),
                }
            }
            Ok(written)
        };
        self.stack.act(self.flow, |flow, _| write(flow)).unwrap_or_else(not_connected)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Leg for StackLeg<'_> {
    fn shutdown(&mut self) {
        self.stack.act(self.flow, |flow, _| flow.shutdown());
    }

    fn abort(&mut self) {
        self.stack.act(self.flow, |flow, _| flow.abort());
    }
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}
