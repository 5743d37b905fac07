//! Connections that are open as far as anybody between their ends can know, and cost the ends nothing.
//!
//! After the handshake both ends forget them without a word (`TCP_REPAIR`, which the kernel has for moving connections
//! to other machines), so their number is not bound by open files, and nothing more is ever sent on them. Their ports
//! are not taken any more as far as the kernel can know: nobody else may use their addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use crate::node::Node;

/// Connections from one address, with ports from here on.
const EACH: usize = 10_000;
const FIRST_PORT: u16 = 10_000;

/// Connections that the servers have not taken yet: their queues shall not overflow.
const AHEAD: u64 = 256;
/// No more of them come when none has for so long.
const STILL: Duration = Duration::from_secs(1);
/// Longest wait for the servers to take one of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Leaves so many connections to the target, where a [`Leaver`](crate::serve::Leaver) has to be, from some of the
/// node's addresses: 10,000 from each. `taken` says how many the servers have taken since; it is also what is returned,
/// once that does not change any more. It is less than asked for where the end of a handshake was lost: nobody is there
/// to say it again.
///
/// # Errors
/// When there are too few addresses, or the servers do not take 99 of 100.
pub fn leave_idle(
    node: &Node,
    target: SocketAddr,
    from: &[IpAddr],
    count: usize,
    taken: impl Fn() -> u64 + Sync,
) -> anyhow::Result<u64> {
    ensure!(count <= from.len() * EACH, "{count} connections need more than {} addresses", from.len());
    let opened = AtomicU64::new(0);
    let all = || -> io::Result<()> {
        thread::scope(|scope| {
            let threads: Vec<_> = from
                .iter()
                .enumerate()
                .map(|(index, addr)| {
                    let share = count.saturating_sub(index * EACH).min(EACH);
                    let (opened, taken) = (&opened, &taken);
                    scope.spawn(move || leave(target, *addr, share, opened, taken))
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            })
        })
    };
    node.run(all)?.with_context(|| format!("cannot leave idle connections from {node} to {target}"))?;
    let (mut seen, mut since) = (taken(), Instant::now());
    while seen < count as u64 && since.elapsed() < STILL {
        thread::sleep(Duration::from_millis(5));
        if taken() > seen {
            (seen, since) = (taken(), Instant::now());
        }
    }
    ensure!(
        seen * 100 >= count as u64 * 99,
        "of {count} idle connections to {target} the servers took only {seen}"
    );
    Ok(seen)
}

/// A new thread is in the namespace of the one that started it.
fn leave(
    target: SocketAddr,
    from: IpAddr,
    count: usize,
    opened: &AtomicU64,
    taken: &impl Fn() -> u64,
) -> io::Result<()> {
    for port in (FIRST_PORT..).take(count) {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, port).into())?;
        socket.connect_timeout(&target.into(), PATIENCE)?;
        forget(socket.into())?;
        let number = opened.fetch_add(1, Ordering::Relaxed) + 1;
        let waiting = Instant::now();
        while number > taken() + AHEAD {
            if waiting.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the servers do not take them"));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}

/// Closes a connection without a packet.
pub(crate) fn forget(stream: TcpStream) -> io::Result<()> {
    setsockopt(&stream, sockopt::TcpRepair, &1)?;
    drop(stream);
    Ok(())
}
