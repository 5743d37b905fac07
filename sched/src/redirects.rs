//! Where fronts send plain HTTP to https: ports that no service can have besides, since what comes there would be for its
//! servers. Of a mark those addresses are known that its front names; what its rules match is not looked at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Proto, ServiceKey, TlsFront};

/// Each port with the services whose fronts have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirects(Arc<BTreeMap<SocketAddr, Vec<ServiceKey>>>);

impl Redirects {
    /// The service whose front has the port of this one.
    pub(crate) fn at(&self, key: &ServiceKey) -> Option<ServiceKey> {
        let ServiceKey::Addr { proto: Proto::Tcp, vip, l4_port } = *key else { return None };
        self.0.get(&SocketAddr::new(vip, l4_port))?.first().copied()
    }

    /// A service has this front, or none.
    pub(crate) fn add(&mut self, key: &ServiceKey, tls: Option<&TlsFront>) {
        for place in places(key, tls) {
            Arc::make_mut(&mut self.0).entry(place).or_default().push(*key);
        }
    }

    /// It has it no longer.
    pub(crate) fn remove(&mut self, key: &ServiceKey, tls: Option<&TlsFront>) {
        for place in places(key, tls) {
            let all = Arc::make_mut(&mut self.0);
            let Some(keys) = all.get_mut(&place) else { continue };
            keys.retain(|known| known != key);
            if keys.is_empty() {
                all.remove(&place);
            }
        }
    }
}

/// The ports that a front has for it.
pub(crate) fn places(key: &ServiceKey, tls: Option<&TlsFront>) -> Vec<SocketAddr> {
    let Some((tls, port)) = tls.and_then(|tls| Some((tls, tls.redirect_http?))) else { return Vec::new() };
    let vips = tls.vips.iter().copied().chain(key.vip());
    vips.map(|vip| SocketAddr::new(vip, port)).collect()
}
