//! Addresses of VIPs and servers.

use std::net::{IpAddr, SocketAddr};

use super::super::reader::{At, Problems};
use super::server::SERVER;
use super::service::VIP;

/// A VIP.
pub(super) fn address(text: &At<&str>, problems: &mut Problems) -> Option<IpAddr> {
    let Ok(addr) = text.value.parse::<IpAddr>() else {
        let help = match text.value.parse::<SocketAddr>() {
            Ok(both) => format!(
                "the port goes into `ports`: vip = \"{}\", ports = [\"tcp/{}\"]",
                both.ip(),
                both.port()
            ),
            Err(_) => format!("write the number, IPv4 or IPv6: vip = {VIP}"),
        };
        problems.note(text.span.clone(), format!("`{}` is not an IP address", text.value), help);
        return None;
    };
    unicast(addr, text, "a virtual address", problems)
}

/// The address of one host.
pub(super) fn unicast(addr: IpAddr, text: &At<&str>, role: &str, problems: &mut Problems) -> Option<IpAddr> {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    if addr.is_unspecified() || addr.is_multicast() || broadcast {
        let help = "it has to be the address of one host: not 0.0.0.0, ::, multicast or broadcast";
        problems.note(text.span.clone(), format!("{addr} cannot be {role}"), help);
        return None;
    }
    Some(addr)
}

/// A server: `192.168.1.1`, `192.168.1.1:8080`, `fd00::1`, `[fd00::1]:8080`.
pub(super) fn server_address(text: &At<&str>, problems: &mut Problems) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.value.parse() {
        return Some((ip, None));
    }
    match text.value.parse::<SocketAddr>() {
        Ok(addr) if addr.port() != 0 => return Some((addr.ip(), Some(addr.port()))),
        _ => {}
    }
    let help = format!("write address and port: address = {SERVER}, or \"[fd00::1]:8080\" for IPv6");
    problems.note(text.span.clone(), format!("`{}` is not the address of a server", text.value), help);
    None
}
