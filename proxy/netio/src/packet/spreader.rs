//! Tells the kernel how packets are spread. It waits for all its processors when that changes (some 10 ms), so that whoever
//! edits services does not: until then packets are spread as they were, which is as good, but for new addresses.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use libc::sock_filter;

use super::filter::{MOST, Scope};
use crate::sys;

#[derive(Debug)]
pub(super) struct Spreader {
    socket: OwnedFd,
    /// To the thread that tells the kernel, once it has been told before.
    later: Option<Sender<Vec<sock_filter>>>,
}

impl Spreader {
    /// For all sockets that were joined with this one.
    pub(super) fn new(socket: &OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: socket.try_clone()?, later: None })
    }

    /// The scope becomes another.
    pub(super) fn change(&mut self, before: &Scope, scope: &Scope) {
        let many = |scope: &Scope| scope.to.len() + scope.from.len() > MOST;
        let same = scope.to == before.to && scope.from == before.from || many(scope) && many(before);
        if same {
            return;
        }
        let program = scope.spread();
        let Some(later) = &self.later else {
            tell(&self.socket, &program);
            self.later = self.thread().inspect_err(warn).ok();
            return;
        };
        // It ends after us.
        let _ = later.send(program);
    }

    fn thread(&self) -> io::Result<Sender<Vec<sock_filter>>> {
        let (socket, (later, programs)) = (self.socket.try_clone()?, channel());
        thread::Builder::new().name("spreader".to_owned()).spawn(move || follow(&socket, &programs))?;
        Ok(later)
    }
}

/// Only the last counts.
fn follow(socket: &OwnedFd, programs: &Receiver<Vec<sock_filter>>) {
    while let Ok(first) = programs.recv() {
        tell(socket, &programs.try_iter().last().unwrap_or(first));
    }
}

fn tell(socket: &OwnedFd, program: &[sock_filter]) {
    let _ = sys::ring::spread(socket, program).inspect_err(warn);
}

fn warn(error: &io::Error) {
    tracing::warn!("packets are spread over the workers as before: {error}");
}
