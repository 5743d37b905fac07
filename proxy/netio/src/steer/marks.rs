//! The nf_tables table that marks what the routing rules cannot tell: replies of servers, errors about packets to
//! them, and, for IPv6, pings and errors to VIPs. It also keeps devices whose forwarding was turned on for our sake
//! from forwarding anything else.
//!
//! - Nothing that comes from our device is marked: it was there already.
//! - A fragment that is not the first has no ports, and the engine has to know the first one: all fragments of servers
//!   are marked by address, and for IPv6 those of pings to VIPs.
//! - A router, or this host's own stack, that cannot pass on a rewritten packet tells the client about it and quotes
//!   the server, which the client has never heard of: the error has to be translated as well (RFC 5508 section 4).
//! - For IPv6 a rule for the whole protocol would take along neighbour solicitations to a VIP of this host, and
//!   their hop limit of 255 would be gone (RFC 4861 section 7.1.1): so errors and pings only.
//!
//! - A server whose replies may come from any port is marked whole: all that it says by that protocol goes through our
//!   device, and comes back unchanged where it is no reply.
//!
//! - A front's socket has to get its packets though the VIP is nobody's address, and what is said about them; and what
//!   servers say to its other sockets, which have the mark [`OWN`], is not for our device.
//!
//! The size of the rules is constant; there is one set element per server and per IPv6 VIP.

mod chains;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::host::Family;
use crate::nft::{self, Keeping, Key, Table};

/// The mark of packets that go to our device. The other bits are left as they are.
pub(super) const STEERED: u32 = 0x2000_0000;
/// The mark of packets that a socket of this host waits for, where early demux is on, and of the sockets of fronts: not
/// for our device.
pub(crate) const OWN: u32 = 0x4000_0000;

/// The mark of packets to a front, which a socket of this host takes.
pub(super) const FRONT: u32 = 0x1000_0000;

/// Name of the table, family `inet`.
const TABLE: &str = "ulvs";

const SETS: [(&str, Key); 11] = [
    ("flows4", Key::Ipv4Flow),
    ("flows6", Key::Ipv6Flow),
    ("whole4", Key::Ipv4Protocol),
    ("whole6", Key::Ipv6Protocol),
    ("servers4", Key::Ipv4),
    ("servers6", Key::Ipv6),
    ("vips6", Key::Ipv6),
    ("guarded4", Key::Interface),
    ("guarded6", Key::Interface),
    ("fronts4", Key::Ipv4Flow),
    ("fronts6", Key::Ipv6Flow),
];

/// What the sets hold, in the order of [`SETS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sets([BTreeSet<Vec<u8>>; SETS.len()]);

impl Sets {
    /// `guarded`: devices whose forwarding we turned on, by family.
    pub(super) fn new(
        servers: &BTreeSet<(u8, SocketAddr)>,
        one_way: &BTreeSet<IpAddr>,
        vips: &BTreeSet<IpAddr>,
        guarded: &BTreeSet<(Family, u32)>,
        fronts: &BTreeSet<SocketAddr>,
    ) -> Self {
        let mut sets = Self::default();
        let [flows4, flows6, whole4, whole6, servers4, servers6, vips6, guarded4, guarded6, fronts4, fronts6] =
            &mut sets.0;
        for (protocol, server) in servers.iter().flat_map(|&(protocol, server)| one_by_one(protocol, server))
        {
            let (flows, whole, servers, ip) = match server.ip() {
                IpAddr::V4(ip) => (&mut *flows4, &mut *whole4, &mut *servers4, ip.octets().to_vec()),
                IpAddr::V6(ip) => (&mut *flows6, &mut *whole6, &mut *servers6, ip.octets().to_vec()),
            };
            let [high, low] = server.port().to_be_bytes();
            if server.port() == 0 {
                whole.insert([&ip[..], &[protocol, 0, 0, 0]].concat());
            } else {
                flows.insert([&ip[..], &[protocol, 0, 0, 0, high, low, 0, 0]].concat());
            }
            servers.insert(ip);
        }
        for server in one_way {
            match server {
                IpAddr::V4(ip) => servers4.insert(ip.octets().to_vec()),
                IpAddr::V6(ip) => servers6.insert(ip.octets().to_vec()),
            };
        }
        vips6.extend(vips.iter().filter_map(|vip| match vip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(ip.octets().to_vec()),
        }));
        for &(family, device) in guarded {
            let set = if family == Family::Ipv4 { &mut *guarded4 } else { &mut *guarded6 };
            set.insert(device.to_ne_bytes().to_vec());
        }
        for front in fronts {
            let [high, low] = front.port().to_be_bytes();
            let rest = [libc::IPPROTO_TCP as u8, 0, 0, 0, high, low, 0, 0];
            match front.ip() {
                IpAddr::V4(ip) => fronts4.insert([&ip.octets()[..], &rest].concat()),
                IpAddr::V6(ip) => fronts6.insert([&ip.octets()[..], &rest].concat()),
            };
        }
        sets
    }

    /// Leaves out what `others` have.
    pub(super) fn without(mut self, others: &Self) -> Self {
        for (set, others) in self.0.iter_mut().zip(&others.0) {
            set.retain(|key| !others.contains(key));
        }
        self
    }

    /// Takes in all of `others`.
    fn extend(&mut self, others: Self) {
        for (set, others) in self.0.iter_mut().zip(others.0) {
            set.extend(others);
        }
    }

    /// The rules that it takes.
    fn needs(&self) -> chains::Needs {
        let any = |kinds: [Key; 2]| {
            self.0.iter().zip(SETS).any(|(set, (_, key))| kinds.contains(&key) && !set.is_empty())
        };
        chains::Needs {
            fronts: SETS
                .iter()
                .zip(&self.0)
                .any(|((name, _), set)| name.starts_with("fronts") && !set.is_empty()),
            guards: any([Key::Interface; 2]),
            whole_servers: any([Key::Ipv4Protocol, Key::Ipv6Protocol]),
        }
    }
}

/// A server of any protocol is one of each that can have services.
pub(super) fn one_by_one(protocol: u8, server: SocketAddr) -> impl Iterator<Item = (u8, SocketAddr)> {
    const ALL: [u8; 3] = [libc::IPPROTO_TCP as u8, libc::IPPROTO_UDP as u8, libc::IPPROTO_SCTP as u8];
    ALL.into_iter().filter(move |p| protocol == 0 || protocol == *p).map(move |protocol| (protocol, server))
}

/// The table as we made it.
#[derive(Debug)]
pub(super) struct Marks {
    table: Table,
    tun: u32,
    /// How the table is kept from others, once it is known what this kernel can do.
    keeping: Option<Keeping>,
    /// Whether packets of this host's own sockets are told apart.
    sockets: bool,
    /// They cannot be.
    no_sockets: bool,
    /// Sockets of fronts speak with servers.
    front_sockets: bool,
    /// What it holds and how many objects it consists of, once it exists.
    made: Option<(Sets, Option<u32>)>,
}

impl Marks {
    /// A socket for it; the table itself comes with the first [`Self::become_`].
    pub(super) fn open(tun: u32) -> io::Result<Self> {
        Ok(Self {
            table: Table::open(nft::Family::Inet, TABLE)?,
            tun,
            keeping: None,
            sockets: false,
            no_sockets: false,
            front_sockets: false,
            made: None,
        })
    }

    /// The number by which the kernel tells others that a change was ours.
    pub(super) const fn port(&self) -> u32 {
        self.table.port()
    }

    /// Whether packets of this host's own sockets are told apart.
    pub(super) const fn sockets(&self) -> bool {
        self.sockets
    }

    /// Tells packets of this host's own sockets apart, or no longer, from the next [`Self::become_`] on. Needs
    /// `nft_socket` in the kernel; see [`Self::sockets`] for whether it is there.
    pub(super) fn tell_sockets_apart(&mut self, yes: bool) {
        let yes = yes && !self.no_sockets;
        if self.sockets != yes {
            self.sockets = yes;
            self.made = None;
        }
    }

    /// Leaves answers of servers to the sockets of fronts, or no longer, from the next [`Self::become_`] on. Where the kernel
    /// has no `nft_socket`, they come by our device.
    pub(super) fn expect_front_sockets(&mut self, yes: bool) {
        if self.front_sockets != yes {
            self.front_sockets = yes;
            self.made = None;
        }
    }

    /// Makes the sets hold exactly this, adding first; makes the table anew where somebody has removed it. Returns
    /// whether there was anything to do.
    pub(super) fn become_(&mut self, want: Sets) -> io::Result<bool> {
        let objects = self.table.objects()?;
        let changed = match self.made.take() {
            Some((have, then)) if objects.is_some() && objects == then => {
                let changed = have != want;
                if changed && (have.needs() != want.needs() || self.update(&have, &want).is_err()) {
                    self.create(&want)?;
                }
                changed
            }
            _ => {
                self.create(&want)?;
                true
            }
        };
        self.made = Some((want, self.table.objects()?));
        Ok(changed)
    }

    /// Adds and takes away these and looks at nothing else. Returns false, and has changed nothing, where that is not
    /// all that it takes: then [`Self::become_`] has to see to it.
    pub(super) fn step(&mut self, add: Sets, remove: Sets) -> io::Result<bool> {
        let objects = self.table.objects()?;
        let Some((mut have, then)) = self.made.take() else { return Ok(false) };
        let add = add.without(&have);
        // A kind of which all goes or the first comes may need other rules.
        let same = objects.is_some()
            && objects == then
            && (0..SETS.len()).all(|at| {
                let have = &have.0[at];
                let left = have.len() + add.0[at].len() - remove.0[at].intersection(have).count();
                have.is_empty() == (left == 0)
            });
        if !same {
            self.made = Some((have, then));
            return Ok(false);
        }
        let mut changes = Vec::new();
        for (at, (name, _)) in SETS.iter().enumerate() {
            let gone: Vec<_> = remove.0[at].intersection(&have.0[at]).cloned().collect();
            changes.extend(self.table.add(name, &add.0[at].iter().cloned().collect::<Vec<_>>()));
            changes.extend(self.table.remove(name, &gone));
        }
        self.table.commit(changes)?;
        for (at, gone) in remove.0.iter().enumerate() {
            for key in gone {
                have.0[at].remove(key);
            }
        }
        have.extend(add);
        self.made = Some((have, self.table.objects()?));
        Ok(true)
    }

    /// Removes the table, whoever left it there. Returns whether there was one.
    pub(super) fn remove(&mut self) -> io::Result<bool> {
        self.made = None;
        match self.table.commit(vec![self.table.delete()]) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn update(&mut self, have: &Sets, want: &Sets) -> io::Result<()> {
        let difference = |a: &BTreeSet<Vec<u8>>, b| a.difference(b).cloned().collect::<Vec<_>>();
        let mut changes = Vec::new();
        for (at, (name, _)) in SETS.iter().enumerate() {
            changes.extend(self.table.add(name, &difference(&want.0[at], &have.0[at])));
        }
        for (at, (name, _)) in SETS.iter().enumerate() {
            changes.extend(self.table.remove(name, &difference(&have.0[at], &want.0[at])));
        }
        self.table.commit(changes)
    }

    /// Makes the table anew; one that is there is replaced in the same transaction, so that no packet misses it.
    fn create(&mut self, want: &Sets) -> io::Result<()> {
        if self.keeping.is_none() {
            self.remove()?;
        }
        let keeping = *self.keeping.get_or_insert_with(|| {
            // One that is left keeps the host from being a router after a sudden end of ours.
            let works = |keeping: &Keeping| {
                self.table.commit(vec![self.table.create(*keeping), self.table.delete()]).is_ok()
            };
            [Keeping::OwnedAndLeft, Keeping::Owned].into_iter().find(works).unwrap_or(Keeping::Everybodys)
        });
        let result = self.create_once(want, keeping);
        if result.is_err() && !self.no_sockets && (self.sockets || self.front_sockets || want.needs().fronts)
        {
            (self.sockets, self.no_sockets) = (false, true);
            return self.create_once(want, keeping);
        }
        result
    }

    fn create_once(&mut self, want: &Sets, keeping: Keeping) -> io::Result<()> {
        let mut changes = Vec::new();
        if self.table.objects()?.is_some() {
            changes.push(self.table.delete());
        }
        changes.push(self.table.create(keeping));
        for (name, key) in SETS {
            changes.push(self.table.set(name, key));
        }
        changes.extend(chains::chains(
            &self.table,
            self.tun,
            self.sockets,
            (!self.no_sockets, self.front_sockets),
            want.needs(),
        ));
        for (at, (name, _)) in SETS.iter().enumerate() {
            changes.extend(self.table.add(name, &want.0[at].iter().cloned().collect::<Vec<_>>()));
        }
        self.table.commit(changes)
    }
}
