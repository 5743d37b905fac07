//! Ports by name, as `/etc/services` has them.

use std::path::Path;

use sched::Proto;

/// A port: a number, or a name that this host knows for the protocol.
pub(super) fn port(text: &str, proto: Proto) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let services = std::fs::read_to_string(Path::new("/etc/services")).unwrap_or_default();
    look_up(&services, text, &proto.name().to_ascii_lowercase())
}

fn look_up(services: &str, name: &str, proto: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let official = words.next()?;
        let (port, of) = words.next()?.split_once('/')?;
        let known = of == proto && (official == name || words.any(|alias| alias == name));
        known.then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_names_and_numbers() {
        let services = "# a comment\nhttp 80/tcp www # WorldWideWeb\ndomain\t53/tcp\ndomain 53/udp\n";
        assert_eq!(look_up(services, "www", "tcp"), Some(80));
        assert_eq!(look_up(services, "domain", "udp"), Some(53));
        assert_eq!(look_up(services, "http", "udp"), None);
        assert_eq!(look_up(services, "WorldWideWeb", "tcp"), None);
        assert_eq!((port("0", Proto::Tcp), port("65535", Proto::Tcp)), (Some(0), Some(65535)));
        assert_eq!((port("65536", Proto::Tcp), port("no-such-name", Proto::Tcp)), (None, None));
    }
}
