//! How large the segments are that clients are invited to send: so large that they fit into tunnels.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netio::segments::SegmentLimit;
use netio::tunnel;
use wire::encap::{EncapKind, GueChecksum};
use wire::packet::Family;

/// The tunnel with the most around a packet: what the director has chosen is not known here.
const WIDEST: EncapKind = EncapKind::Gue { port: 0, source_port: 0, checksum: GueChecksum::Remote };
/// Bytes of the headers of IPv4 and TCP, and of IPv6 and TCP.
const HEADERS: [u32; 2] = [40, 60];
/// Payload that every way carries (RFC 9293 section 3.7.1, RFC 8200 section 5).
const LEAST: [u32; 2] = [536, 1220];

/// The limit in force.
#[derive(Debug, Default)]
pub(super) struct Segments(Mutex<(Option<SegmentLimit>, String)>);

impl Segments {
    /// For connections of these VIPs from now on. `own` is the index of the device by which they get their packets.
    pub(super) fn limit(&self, vips: &[IpAddr], own: u32) {
        let mut now = self.lock();
        // There is one at a time.
        now.0 = None;
        let mtu = match tunnel::least_mtu(own) {
            Ok(Some(mtu)) => mtu,
            Ok(None) => {
                now.1 = "not limited: there is no link".to_owned();
                return;
            }
            Err(error) => {
                now.1 = format!("not limited: {error}");
                return;
            }
        };
        let [v4, v6] = [0, 1].map(|family| largest(mtu, family));
        match SegmentLimit::open(vips, v4, v6) {
            Ok(limit) => {
                *now = (Some(limit), format!("clients are invited to send {v4} bytes at most, by IPv6 {v6}"));
            }
            Err(error) => {
                now.1 = format!("not limited (nf_tables: {error}): the director tells clients by ICMP");
            }
        }
    }

    pub(super) fn lift(&self) {
        self.lock().0 = None;
    }

    pub(super) fn words(&self) -> String {
        self.lock().1.clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Option<SegmentLimit>, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payload of the largest segment that fits into any tunnel over links of this MTU.
fn largest(mtu: u32, family: usize) -> u16 {
    let around = WIDEST.overhead(Family::V6) as u32;
    let payload = mtu.saturating_sub(around + HEADERS[family]).max(LEAST[family]);
    u16::try_from(payload).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_fits_into_every_tunnel() {
        assert_eq!([largest(1500, 0), largest(1500, 1)], [1400, 1380]);
        assert_eq!([largest(576, 0), largest(1280, 1)], [536, 1220]);
        assert_eq!(largest(u32::MAX, 0), u16::MAX);
    }
}
