//! The header of the PROXY protocol (HAProxy's `proxy-protocol.txt`, versions 1 and 2): who has connected, and whereto,
//! before the first byte of what is said.

use std::net::{IpAddr, SocketAddr};

use sched::ProxyProtocol;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and: on somebody's behalf.
const PROXY: u8 = 0x21;
const TCP_OVER_V4: u8 = 0x11;
const TCP_OVER_V6: u8 = 0x21;

/// The header of a TCP connection from `client` to `vip`, which are of one family.
pub fn header(version: ProxyProtocol, client: SocketAddr, vip: SocketAddr) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {} {} {} {}\r\n", client.ip(), vip.ip(), client.port(), vip.port())
                .into_bytes()
        }
        ProxyProtocol::V2 => {
            let (family, len) = if client.is_ipv4() { (TCP_OVER_V4, 12_u16) } else { (TCP_OVER_V6, 36) };
            let mut header = Vec::with_capacity(SIGNATURE.len() + 4 + usize::from(len));
            header.extend(SIGNATURE);
            header.extend([PROXY, family]);
            header.extend(len.to_be_bytes());
            for addr in [client.ip(), vip.ip()] {
                match addr {
                    IpAddr::V4(addr) => header.extend(addr.octets()),
                    IpAddr::V6(addr) => header.extend(addr.octets()),
                }
            }
            header.extend([client.port(), vip.port()].map(u16::to_be_bytes).concat());
            header
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: ProxyProtocol, client: &str, vip: &str) -> Vec<u8> {
        header(version, client.parse().unwrap(), vip.parse().unwrap())
    }

    #[test]
    fn version_1_is_a_line() {
        assert_eq!(
            of(ProxyProtocol::V1, "192.0.2.7:56324", "198.51.100.1:443"),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
        );
        assert_eq!(
            of(ProxyProtocol::V1, "[2001:db8::7]:1", "[2001:db8::1]:80"),
            b"PROXY TCP6 2001:db8::7 2001:db8::1 1 80\r\n"
        );
    }

    #[test]
    fn version_2_is_binary() {
        assert_eq!(
            of(ProxyProtocol::V2, "192.0.2.7:258", "198.51.100.1:443"),
            b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x01\x02\x01\xbb"
        );
        let v6 = of(ProxyProtocol::V2, "[2001:db8::7]:1", "[2001:db8::1]:80");
        assert_eq!((v6.len(), &v6[12..20]), (52, &b"\x21\x21\x00\x24\x20\x01\x0d\xb8"[..]));
        assert_eq!(&v6[44..], b"\x00\x00\x00\x01\x00\x01\x00\x50");
    }
}
