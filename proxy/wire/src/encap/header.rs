//! Writing the outer headers.

use std::net::IpAddr;

use super::{Encap, EncapKind, GueChecksum, remote_checksum};
use crate::bytes::{put16, put32};
use crate::checksum;
use crate::frame::{Frame, Offload};
use crate::packet::Family;

/// Bytes of an IP header without options.
pub(super) const V4: usize = 20;
pub(super) const V6: usize = 40;

const IPIP: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const GRE: u8 = 47;

/// Puts all outer headers before the frame's packet, which is one of `inner`. Its metadata go: what is left of them is
/// in the headers.
pub(super) fn push(frame: &mut Frame, inner: Family, encap: &Encap) {
    let inner = if inner == Family::V4 { IPIP } else { IPV6 };
    let protocol = match encap.kind {
        EncapKind::Ipip => inner,
        EncapKind::Gre { checksum } => {
            gre(frame, inner, checksum);
            GRE
        }
        EncapKind::Gue { port, source_port, checksum } => {
            gue(frame, inner, checksum);
            udp(frame, encap, source_port, port, checksum != GueChecksum::None);
            UDP
        }
    };
    frame.offload = Offload::default();
    frame.encap = None;
    ip(frame, encap, protocol);
}

/// RFC 2784 section 2.1.
fn gre(frame: &mut Frame, inner: u8, with_checksum: bool) {
    const ETHERTYPE_V4: u16 = 0x0800;
    const ETHERTYPE_V6: u16 = 0x86dd;
    let bytes = frame.grow_front(if with_checksum { 8 } else { 4 });
    put16(bytes, 0, u16::from(with_checksum) << 15);
    put16(bytes, 2, if inner == IPIP { ETHERTYPE_V4 } else { ETHERTYPE_V6 });
    if with_checksum {
        put32(bytes, 4, 0);
        let sum = checksum::sum(bytes);
        put16(bytes, 4, !sum);
    }
}

/// GUE version 0; with the remote checksum option, which Linux has as a private one (`uapi` and `net/gue.h`: flag 0 of
/// the private flags), where there is something to leave to the other end.
fn gue(frame: &mut Frame, inner: u8, checksum: GueChecksum) {
    const PRIVATE_FLAGS: u16 = 1;
    const REMOTE_CHECKSUM: u32 = 1 << 31;
    let remote = remote_checksum(frame.offload.checksum).filter(|_| checksum == GueChecksum::Remote);
    let bytes = frame.grow_front(if remote.is_some() { 12 } else { 4 });
    // The length of the options, in words.
    bytes[0] = if remote.is_some() { 2 } else { 0 };
    bytes[1] = inner;
    put16(bytes, 2, if remote.is_some() { PRIVATE_FLAGS } else { 0 });
    if let Some((start, at)) = remote {
        put32(bytes, 4, REMOTE_CHECKSUM);
        put16(bytes, 8, start);
        put16(bytes, 10, at);
    }
}

fn udp(frame: &mut Frame, encap: &Encap, source_port: u16, port: u16, with_checksum: bool) {
    let bytes = frame.grow_front(8);
    let len = bytes.len();
    put16(bytes, 0, source_port);
    put16(bytes, 2, port);
    put16(bytes, 4, len as u16);
    put16(bytes, 6, 0);
    if with_checksum {
        let pseudo = checksum::pseudo_header(encap.src, encap.dst, UDP, len as u32);
        let sum = !checksum::add(checksum::sum(bytes), pseudo);
        put16(bytes, 6, if sum == 0 { 0xffff } else { sum });
    }
}

fn ip(frame: &mut Frame, encap: &Encap, protocol: u8) {
    match (encap.src, encap.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            const DONT_FRAGMENT: u16 = 0x4000;
            let bytes = frame.grow_front(V4);
            let len = bytes.len();
            bytes[0] = 0x45;
            bytes[1] = encap.class;
            put16(bytes, 2, len as u16);
            // What is never cut needs no identification (RFC 6864 section 4.1).
            put16(bytes, 4, if encap.dont_fragment { 0 } else { encap.id as u16 });
            put16(bytes, 6, if encap.dont_fragment { DONT_FRAGMENT } else { 0 });
            bytes[8] = encap.ttl;
            bytes[9] = protocol;
            put16(bytes, 10, 0);
            bytes[12..16].copy_from_slice(&src.octets());
            bytes[16..20].copy_from_slice(&dst.octets());
            let sum = checksum::sum(&bytes[..V4]);
            put16(bytes, 10, !sum);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let bytes = frame.grow_front(V6);
            let len = bytes.len() - V6;
            put32(bytes, 0, 6 << 28 | u32::from(encap.class) << 20);
            put16(bytes, 4, len as u16);
            bytes[6] = protocol;
            bytes[7] = encap.ttl;
            bytes[8..24].copy_from_slice(&src.octets());
            bytes[24..40].copy_from_slice(&dst.octets());
        }
        // Refused before anything was written.
        _ => {}
    }
}
