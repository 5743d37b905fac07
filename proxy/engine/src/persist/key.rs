//! Whom a template is for, and for what.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::{FTP, Family, Persistence, Proto, Service, ServiceKey};

/// A client of a service, as far as persistence tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// `None` for a mark, which takes any.
    pub(crate) proto: Option<Proto>,
    /// The bits of its address that count.
    pub(crate) addr: IpAddr,
    /// The VIP; its port is 0 where one template is for all ports. Of a mark it is the mark in place of an address.
    pub(crate) vip: SocketAddr,
}

impl Client {
    /// As the kernel keys its templates, which decides who shares one: a service of FTP and one of all ports do.
    pub(crate) fn of(
        service: &Service,
        persistence: Persistence,
        proto: Proto,
        client: IpAddr,
        vip: SocketAddr,
    ) -> Self {
        let addr = persistence.mask.apply(client);
        match service.key {
            ServiceKey::Mark { mark, family } => {
                let vip = SocketAddr::new(as_address(mark.0.get(), family), 0);
                Self { proto: None, addr, vip }
            }
            ServiceKey::Addr { l4_port, .. } => {
                let port = if l4_port == vip.port() && l4_port != FTP { l4_port } else { 0 };
                Self { proto: Some(proto), addr, vip: SocketAddr::new(vip.ip(), port) }
            }
        }
    }
}

/// The mark where a listing has the VIP.
fn as_address(mark: u32, family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::from_bits(mark).into(),
        Family::Ipv6 => Ipv6Addr::from_bits(u128::from(mark) << 96).into(),
    }
}

/// A client, and what the persistence engine found in its packet.
#[derive(Clone, Debug)]
pub(crate) struct TemplateKey {
    pub(crate) client: Client,
    pub(crate) call_id: Option<Box<[u8]>>,
}

/// The same without owning it, so that nothing is allocated to look one up.
pub(super) trait Parts {
    fn parts(&self) -> (&Client, Option<&[u8]>);
}

impl Parts for TemplateKey {
    fn parts(&self) -> (&Client, Option<&[u8]>) {
        (&self.client, self.call_id.as_deref())
    }
}

impl Parts for (&Client, Option<&[u8]>) {
    fn parts(&self) -> (&Client, Option<&[u8]>) {
        *self
    }
}

impl<'a> Borrow<dyn Parts + 'a> for TemplateKey {
    fn borrow(&self) -> &(dyn Parts + 'a) {
        self
    }
}

impl Hash for dyn Parts + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn Parts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Parts + '_ {}

impl Hash for TemplateKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for TemplateKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for TemplateKey {}
