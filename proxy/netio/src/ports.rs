//! Which ports of this host's addresses the kernel will not use by itself.

use std::fs;
use std::io;
use std::ops::RangeInclusive;

/// Ports from 1024 on that neither the kernel hands out to sockets (`ip_local_port_range`) nor somebody has reserved
/// (`ip_local_reserved_ports`): they may be taken for packets of our own. Of the network namespace of the calling
/// thread; IPv6 shares them.
///
/// # Errors
/// Without `/proc`.
pub fn unused() -> io::Result<Box<[u16]>> {
    let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
    Ok(left_over(&read("ip_local_port_range")?, &read("ip_local_reserved_ports")?))
}

fn left_over(ephemeral: &str, reserved: &str) -> Box<[u16]> {
    let mut taken: Vec<RangeInclusive<u16>> = reserved.trim().split(',').filter_map(range).collect();
    let bounds: Vec<&str> = ephemeral.split_whitespace().collect();
    taken.extend(range(&bounds.join("-")));
    (1024..=u16::MAX).filter(|port| !taken.iter().any(|range| range.contains(port))).collect()
}

/// `8080` or `8000-8100`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebodys_is_left_out() {
        let ports = left_over("32768\t60999\n", "\n");
        assert_eq!(ports.len(), 65_536 - 1024 - (60_999 - 32_768 + 1));
        assert_eq!((ports[0], ports[ports.len() - 1]), (1024, 65_535));
        let ports = left_over("1024 65000", "65010,65100-65535\n");
        assert_eq!(ports.len(), 99 - 1);
        assert!(!ports.contains(&65_010) && ports.contains(&65_001) && ports.contains(&65_099));
        assert_eq!(left_over("1024 65535", "").len(), 0);
    }

    #[test]
    fn this_host_has_some() {
        assert!(unused().unwrap().iter().all(|port| *port >= 1024));
    }
}
