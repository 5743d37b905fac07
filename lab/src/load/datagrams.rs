//! Small datagrams to and fro, a few on their way at any time.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::clock::Clock;
use super::{DatagramSpec, Report};

/// A socket that hears nothing for so long has lost everything that was on its way.
const LOST: Duration = Duration::from_millis(50);

struct Flow {
    socket: UdpSocket,
    on_way: usize,
    heard: Instant,
}

pub(super) fn exchange(spec: &DatagramSpec, mut clock: Clock<'_>) -> io::Result<Report> {
    let &DatagramSpec { target, sockets, window, payload, .. } = spec;
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let mut poll = Poll::new()?;
    let mut now = clock.start();
    let open = |index| -> io::Result<Flow> {
        let mut socket = UdpSocket::bind(any)?;
        socket.connect(target)?;
        poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
        Ok(Flow { socket, on_way: 0, heard: now })
    };
    let mut flows: Vec<Flow> = (0..sockets).map(open).collect::<io::Result<_>>()?;
    let (question, mut answer) = (vec![b'.'; payload], vec![0; payload]);
    let mut report = Report::default();
    let mut events = Events::with_capacity(sockets);
    for flow in &mut flows {
        flow.send(&question, window);
    }
    let mut swept = now;
    while now < clock.end() {
        if clock.begins(now)? {
            report = Report::default();
        }
        match poll.poll(&mut events, Some(LOST.min(clock.end() - now))) {
            Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(err),
            _ => {}
        }
        now = Instant::now();
        for event in &events {
            flows[event.token().0].receive(&question, &mut answer, &mut report, now);
        }
        if now - swept >= LOST {
            swept = now;
            for flow in flows.iter_mut().filter(|flow| now - flow.heard >= LOST) {
                report.errors += flow.on_way as u64;
                (flow.on_way, flow.heard) = (0, now);
                flow.send(&question, window);
            }
        }
    }
    clock.finish(report, now)
}

impl Flow {
    /// So many more. Those for which there is no room, or whose target has refused an earlier one, are lost.
    fn send(&mut self, question: &[u8], more: usize) {
        for _ in 0..more {
            self.on_way += 1;
            // It counts as lost.
            let _ = self.socket.send(question);
        }
    }

    fn receive(&mut self, question: &[u8], answer: &mut [u8], report: &mut Report, now: Instant) {
        loop {
            match self.socket.recv(answer) {
                Ok(len) => {
                    report.requests += 1;
                    report.bytes += len as u64;
                    self.heard = now;
                    // An answer that was taken for lost makes no room for another question.
                    if let Some(left) = self.on_way.checked_sub(1) {
                        self.on_way = left;
                        self.send(question, 1);
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error: it says nothing about what else has come.
                Err(_) => {}
            }
        }
    }
}
