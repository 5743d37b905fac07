//! The local addresses (LIPs) of FullNAT: those that servers see instead of the client's. A service may have some of its
//! own; what has none shares those that are everybody's.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::Family;
use crate::op::OpError;

/// Everybody's, by family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lips {
    v4: Arc<[IpAddr]>,
    v6: Arc<[IpAddr]>,
}

impl Lips {
    pub(crate) fn of(&self, family: Family) -> &Arc<[IpAddr]> {
        match family {
            Family::Ipv4 => &self.v4,
            Family::Ipv6 => &self.v6,
        }
    }

    pub(crate) fn add(&mut self, lip: IpAddr) -> Result<(), OpError> {
        add(self.of_mut(lip), lip)
    }

    pub(crate) fn remove(&mut self, lip: IpAddr) -> Result<(), OpError> {
        remove(self.of_mut(lip), lip)
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.v4, &other.v4) && Arc::ptr_eq(&self.v6, &other.v6)
    }

    /// All of them: IPv4 first, each family in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(self.v6.iter()).copied()
    }

    fn of_mut(&mut self, lip: IpAddr) -> &mut Arc<[IpAddr]> {
        match lip {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

/// Puts an address at the end of a pool.
pub(crate) fn add(pool: &mut Arc<[IpAddr]>, lip: IpAddr) -> Result<(), OpError> {
    if pool.contains(&lip) {
        return Err(OpError::LipExists);
    }
    *pool = pool.iter().copied().chain([lip]).collect();
    Ok(())
}

/// Takes an address out of a pool.
pub(crate) fn remove(pool: &mut Arc<[IpAddr]>, lip: IpAddr) -> Result<(), OpError> {
    if !pool.contains(&lip) {
        return Err(OpError::NoSuchLip);
    }
    *pool = pool.iter().copied().filter(|other| *other != lip).collect();
    Ok(())
}
