//! The device by which the kernel gets what was taken out of tunnels. All that is set here goes with the device.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::TunnelError;
use crate::netlink::NetlinkSocket;
use crate::steer::DUMMY;
use crate::steer::host::{self, Device, Family, Host};
use crate::sysctl::{Group, Knob};
use crate::tun::Tun;

/// As long as a packet can be.
const MTU: u32 = 65_535;

/// Makes the device ready for packets from anywhere to addresses of this host.
///
/// Their sources are reached by other devices, which a strict `rp_filter` refuses, `all`'s or the default for new
/// devices; so it is loose here, and that needs an address on the device. It never asks or tells its link anything,
/// for nobody is there.
///
/// # Errors
/// [`TunnelError::Setting`], [`TunnelError::Other`].
pub fn bring_up(tun: &Tun) -> Result<(), TunnelError> {
    let other = |action| move |source| TunnelError::Other { action, source };
    let mut netlink = NetlinkSocket::open(NETLINK_ROUTE).map_err(other("open a netlink socket"))?;
    set(&mut netlink, tun, Group::Ipv4Conf, "rp_filter", 2)?;
    if Family::available().contains(&Family::Ipv6) {
        for (key, value) in [("addr_gen_mode", 1), ("accept_ra", 0)] {
            // A little noise on the device: nothing that matters.
            let _ = set(&mut netlink, tun, Group::Ipv6Conf, key, value);
        }
        set(&mut netlink, tun, Group::Ipv6Conf, "disable_ipv6", 0)?;
    }
    host::set_host_address(&mut netlink, tun.index, DUMMY, true)
        .map_err(other("give the device for packets out of tunnels an address"))?;
    let now = host::device(&mut netlink, tun.index);
    now.and_then(|now| Device { up: true, mtu: MTU, ..now }.apply(&mut netlink, tun.index))
        .map_err(other("bring up the device for packets out of tunnels"))
}

/// What is right already is not written, and what this kernel does not have is not missed.
fn set(
    netlink: &mut NetlinkSocket,
    tun: &Tun,
    group: Group,
    key: &str,
    want: i64,
) -> Result<(), TunnelError> {
    let knob = Knob::new(group, key, tun.index);
    let at = knob.at(&tun.name);
    match at.read() {
        Ok(now) if now == want => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    at.write(netlink, want).map_err(|source| TunnelError::Setting { name: at.to_string(), want, source })
}

/// Whether the device is there and up.
pub fn is_up(index: u32) -> bool {
    let device = NetlinkSocket::open(NETLINK_ROUTE).and_then(|mut netlink| host::device(&mut netlink, index));
    device.is_ok_and(|device| device.up)
}

/// Devices by which the kernel takes packets out of tunnels itself, whoever they are from.
///
/// # Errors
/// The kernel does not answer.
pub fn rivals() -> io::Result<Vec<String>> {
    const ALL: [&str; 5] = ["tunl0", "sit0", "ip6tnl0", "gre0", "ip6gre0"];
    let mut netlink = NetlinkSocket::open(NETLINK_ROUTE)?;
    let links = Host::read(&mut netlink, &[])?.links.into_values();
    Ok(links.filter(|link| link.up && ALL.contains(&link.name.as_str())).map(|link| link.name).collect())
}
