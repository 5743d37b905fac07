//! Which devices the traffic of services comes by, so that it can be taken from them directly.
//!
//! Servers are where the routes to them lead. Clients are anywhere: on the links that this host is on, and where packets to
//! the rest of the world leave. What comes by another device is not lost, the kernel steers it like everything else.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::Announcement;
use crate::netlink::NetlinkSocket;
use crate::netlink::route::{Question, ask};
use crate::steer::host::{Family, Host};

/// Links of clients of one family: each costs memory. A host that has more gets those that matter most.
const MOST: usize = 16;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet in bytes.
    pub mtu: u32,
}

/// Finds them. Belongs to the network namespace of the thread that made it.
#[derive(Debug)]
pub struct Finder {
    netlink: NetlinkSocket,
    families: Vec<Family>,
}

impl Finder {
    /// Has found nothing yet.
    ///
    /// # Errors
    /// No netlink socket can be opened.
    pub fn new() -> io::Result<Self> {
        Ok(Self { netlink: NetlinkSocket::open(NETLINK_ROUTE)?, families: Family::available() })
    }

    /// The devices for these VIPs and servers, `except` our own, in the order of their indices. To be asked again when
    /// [`super::Keeper::generation`] is another.
    ///
    /// # Errors
    /// What netlink says.
    pub fn find(
        &mut self,
        vips: &BTreeSet<IpAddr>,
        servers: &BTreeSet<IpAddr>,
        except: u32,
    ) -> io::Result<Vec<Carrier>> {
        let host = Host::read(&mut self.netlink, &self.families)?;
        let mut found: BTreeSet<u32> = servers.iter().filter_map(|server| self.towards(*server)).collect();
        for family in self.families.clone() {
            let vips: Vec<_> = vips.iter().filter(|vip| Family::of(**vip) == family).collect();
            if vips.is_empty() {
                continue;
            }
            found.extend(self.towards(family.far_away()));
            let links = host.links_of(family);
            if links.iter().filter(|index| **index != except).count() <= MOST {
                found.extend(links);
            } else {
                found.extend(vips.iter().flat_map(|vip| host.neighbourhood(**vip, except)));
                found.extend(host.addresses.iter().filter(|a| vips.contains(&&a.ip)).map(|a| a.device));
            }
        }
        let carries = |index: &u32| {
            let link = host.links.get(index).filter(|link| link.up && !link.loopback && *index != except)?;
            Some(Carrier { index: *index, name: link.name.clone(), mtu: link.mtu })
        };
        Ok(found.iter().filter_map(carries).collect())
    }

    /// Where those of these addresses are to be told of and answered for that nobody has: on the links in whose
    /// subnets they lie, `except` our own.
    ///
    /// # Errors
    /// What netlink says.
    pub fn places(
        &mut self,
        addresses: &BTreeSet<IpAddr>,
        except: u32,
    ) -> io::Result<BTreeSet<Announcement>> {
        let host = Host::read(&mut self.netlink, &self.families)?;
        let nobodys = addresses.iter().copied().filter(|ip| !host.is_local(*ip));
        let on = |ip| host.neighbourhood(ip, except).into_iter().map(move |device| (device, ip));
        Ok(nobodys.flat_map(on).collect())
    }

    fn towards(&mut self, ip: IpAddr) -> Option<u32> {
        ask(&mut self.netlink, &Question::to(ip)).ok()?.device
    }
}
