//! Where the path to a server is kept: every packet that goes there by DR or a tunnel reads it, and hardly ever does it change.

use std::net::IpAddr;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use std::sync::{Mutex, PoisonError};

use super::Path;

/// There is a path, its next hop is of IPv6, there is a source, and that is of IPv6.
const THERE: u32 = 1;
const HOP_V6: u32 = 1 << 1;
const SOURCE: u32 = 1 << 2;
const SOURCE_V6: u32 = 1 << 3;

/// A path, or none. Who reads takes no lock and writes nothing (a sequence lock).
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Counts the writes, by two: odd while one goes on.
    version: AtomicU32,
    flags: AtomicU32,
    device: AtomicU32,
    next_hop: [AtomicU64; 2],
    source: [AtomicU64; 2],
    writing: Mutex<()>,
}

impl Way {
    #[inline]
    pub(super) fn get(&self) -> Option<Path> {
        loop {
            let version = self.version.load(Acquire);
            let (flags, device) = (self.flags.load(Relaxed), self.device.load(Relaxed));
            let [next_hop, source] =
                [&self.next_hop, &self.source].map(|words| [0, 1].map(|i: usize| words[i].load(Relaxed)));
            fence(Acquire);
            if version & 1 == 0 && self.version.load(Relaxed) == version {
                let has = |flag| flags & flag != 0;
                return has(THERE).then(|| Path {
                    device,
                    next_hop: addr(next_hop, has(HOP_V6)),
                    source: has(SOURCE).then(|| addr(source, has(SOURCE_V6))),
                });
            }
            std::hint::spin_loop();
        }
    }

    pub(super) fn set(&self, path: Option<Path>) {
        // One write at a time; nothing in here panics.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        if let Some(Path { device, next_hop, source }) = path {
            self.device.store(device, Relaxed);
            put(&self.next_hop, next_hop);
            source.inspect(|source| put(&self.source, *source));
        }
        self.flags.store(path.map_or(0, flags_of), Relaxed);
        self.version.store(version.wrapping_add(2), Release);
    }
}

impl From<Option<Path>> for Way {
    fn from(path: Option<Path>) -> Self {
        let way = Self::default();
        way.set(path);
        way
    }
}

fn flags_of(path: Path) -> u32 {
    let source = match path.source {
        Some(IpAddr::V4(_)) => SOURCE,
        Some(IpAddr::V6(_)) => SOURCE | SOURCE_V6,
        None => 0,
    };
    THERE | source | if path.next_hop.is_ipv6() { HOP_V6 } else { 0 }
}

fn put(words: &[AtomicU64; 2], addr: IpAddr) {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_bits().into(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    words[0].store((bits >> 64) as u64, Relaxed);
    words[1].store(bits as u64, Relaxed);
}

#[inline]
fn addr([high, low]: [u64; 2], v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6((u128::from(high) << 64 | u128::from(low)).into())
    } else {
        IpAddr::V4((low as u32).into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn path(device: u32, next_hop: &str, source: Option<&str>) -> Option<Path> {
        let source = source.map(|addr| addr.parse().unwrap());
        Some(Path { device, next_hop: next_hop.parse().unwrap(), source })
    }

    #[test]
    fn what_was_set_last_is_there() {
        let way = Way::default();
        assert_eq!(way.get(), None);
        for path in [
            path(3, "10.0.0.1", None),
            path(4, "2001:db8::1", Some("10.0.0.2")),
            path(5, "10.0.0.3", Some("2001:db8::2")),
            None,
            path(u32::MAX, "255.255.255.255", Some("::")),
        ] {
            way.set(path);
            assert_eq!(way.get(), path);
        }
    }

    #[test]
    fn nobody_sees_half_of_one() {
        let (way, over) = (Way::default(), AtomicBool::new(false));
        let paths = [
            path(1, "10.1.1.1", Some("2001:db8:1:1::1")),
            path(2, "2001:db8:2:2::2", Some("10.2.2.2")),
            None,
        ];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..30_000).for_each(|n| way.set(paths[n % paths.len()]));
                over.store(true, Relaxed);
            });
            while !over.load(Relaxed) {
                let got = way.get();
                assert!(paths.contains(&got), "{got:?}");
            }
        });
    }
}
