//! Links, addresses and routes of nodes, over netlink: no `ip` binary is needed.

mod impaired;
mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::TryStreamExt as _;
use netio::netns::Netns;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage, State};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::addr::Cidr;
use crate::node::Node;

pub use self::impaired::{Impaired, Way, impaired};
pub use self::line::{Counts, Impairment, Rate};

/// One end of a link.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// Where it goes.
    pub node: &'a Node,
    /// Its name there.
    pub name: &'a str,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// Connects two nodes by a veth pair; both ends are up afterwards.
pub fn veth(a: End<'_>, b: End<'_>) -> anyhow::Result<()> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(b.name)
        .mtu(b.mtu)
        .setns_by_fd(b.node.netns().as_raw_fd())
        .build();
    let message = LinkVeth::new(a.name, b.name)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .mtu(a.mtu)
        .up()
        .build();
    a.node
        .netlink(async |handle| Ok(handle.link().add(message).execute().await?))
        .with_context(|| format!("cannot connect {} to {}", a.node, b.node))?;
    b.node.link_up(b.name)
}

/// Longest wait for a carrier.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a node can be told about its links, addresses and routes.
impl Node {
    /// Makes a bridge that forwards from the first moment (no spanning tree).
    pub fn bridge_add(&self, name: &str) -> anyhow::Result<()> {
        let message = LinkBridge::new(name).mcast_snooping(false).up().build();
        self.netlink(async |handle| Ok(handle.link().add(message).execute().await?))
            .with_context(|| format!("cannot make the bridge {name} in {self}"))
    }

    /// Puts an interface into a bridge.
    pub fn bridge_port(&self, bridge: &str, port: &str) -> anyhow::Result<()> {
        self.link_change(
            port,
            async |handle, builder| Ok(builder.controller(index_of(handle, bridge).await?)),
        )
    }

    /// Brings an interface up.
    pub fn link_up(&self, name: &str) -> anyhow::Result<()> {
        self.link_change(name, async |_, builder| Ok(builder.up()))
    }

    /// Takes an interface down.
    pub fn link_down(&self, name: &str) -> anyhow::Result<()> {
        self.link_change(name, async |_, builder| Ok(builder.down()))
    }

    /// Changes an interface's MTU, in bytes.
    pub fn link_mtu(&self, name: &str, mtu: u32) -> anyhow::Result<()> {
        self.link_change(name, async |_, builder| Ok(builder.mtu(mtu)))
    }

    /// Waits until every interface that was brought up can carry packets, and its IPv6 addresses are in place. The
    /// kernel notices a new carrier a little later, and drops what is sent before.
    pub fn links_ready(&self) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
                let late = links.iter().find(|link| !is_ready(link));
                let late = match late {
                    Some(link) => format!("interface {} has no carrier", link.header.index),
                    None => match late_address(handle, &links).await? {
                        Some(late) => late,
                        None => return Ok(()),
                    },
                };
                ensure!(Instant::now() < deadline, late);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .with_context(|| format!("the links of {self} do not come up"))
    }

    /// Adds an address, usable at once (no duplicate address detection).
    pub fn addr_add(&self, name: &str, addr: Cidr) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let index = index_of(handle, name).await?;
            let mut request = handle.address().add(index, addr.addr, addr.prefix);
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            Ok(request.execute().await?)
        })
        .with_context(|| format!("cannot add {addr} to {name} in {self}"))
    }

    /// Removes an address.
    pub fn addr_del(&self, name: &str, addr: IpAddr) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let index = index_of(handle, name).await?;
            let mut found =
                handle.address().get().set_link_index_filter(index).set_address_filter(addr).execute();
            let Some(message) = found.try_next().await? else { bail!("it has no such address") };
            Ok(handle.address().del(message).execute().await?)
        })
        .with_context(|| format!("cannot remove {addr} from {name} in {self}"))
    }

    /// Adds a route through a gateway; `0.0.0.0/0` and `::/0` are the default routes.
    pub fn route_add(&self, to: Cidr, via: IpAddr) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let message = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(to.addr, to.prefix)?
                .gateway(via)?
                .build();
            Ok(handle.route().add(message).execute().await?)
        })
        .with_context(|| format!("cannot add a route to {to} via {via} in {self}"))
    }

    /// Runs `work` with a netlink handle of this node's namespace.
    pub fn netlink<T: Send>(
        &self,
        work: impl AsyncFnOnce(&Handle) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        netlink(self.netns(), work)
    }

    fn link_change(
        &self,
        name: &str,
        edit: impl AsyncFnOnce(
            &Handle,
            LinkMessageBuilder<LinkUnspec>,
        ) -> anyhow::Result<LinkMessageBuilder<LinkUnspec>>
        + Send,
    ) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let index = index_of(handle, name).await?;
            let message = edit(handle, LinkUnspec::new_with_index(index)).await?.build();
            Ok(handle.link().change(message).execute().await?)
        })
        .with_context(|| format!("cannot change the interface {name} in {self}"))
    }
}

/// Runs `work` with a netlink handle of the namespace, on a thread inside it.
pub fn netlink<T: Send>(
    netns: &Netns,
    work: impl AsyncFnOnce(&Handle) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    netns.run(|| {
        block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().context("cannot open netlink")?;
            let connection = tokio::spawn(connection);
            let result = work(&handle).await;
            connection.abort();
            result
        })
    })?
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start an event loop")?
        .block_on(work)
}

/// Whether the interface is down on purpose or fully up (RFC 2863 states; a loopback's is unknown).
fn is_ready(link: &LinkMessage) -> bool {
    let up = |state: &State| matches!(state, State::Up | State::Unknown);
    !link.header.flags.contains(LinkFlags::Up)
        || link.header.flags.contains(LinkFlags::Running)
            && link.attributes.iter().all(|attribute| match attribute {
                LinkAttribute::OperState(state) => up(state),
                _ => true,
            })
}

/// An IPv6 address that is not in place yet. The kernel makes link-local addresses, and the local route of every
/// address, after the carrier has come.
async fn late_address(handle: &Handle, links: &[LinkMessage]) -> anyhow::Result<Option<String>> {
    let mut routes = handle.route().get(RouteMessageBuilder::<Ipv6Addr>::new().build()).execute();
    let mut local = BTreeSet::new();
    while let Some(route) = routes.try_next().await? {
        local.extend(route.attributes.iter().filter_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet6(addr)) => Some(*addr),
            _ => None,
        }));
    }
    let up = |index| {
        let ethernet = LinkFlags::Up | LinkFlags::Broadcast;
        links.iter().any(|link| link.header.index == index && link.header.flags.contains(ethernet))
    };
    let mut addresses = handle.address().get().execute();
    let mut has_own = BTreeMap::new();
    while let Some(message) = addresses.try_next().await? {
        let index = message.header.index;
        for attribute in message.attributes.iter().filter(|_| up(index)) {
            match attribute {
                AddressAttribute::Address(IpAddr::V6(addr)) => {
                    *has_own.entry(index).or_insert(false) |= addr.is_unicast_link_local();
                    if !local.contains(addr) {
                        return Ok(Some(format!("there is no local route to {addr}")));
                    }
                }
                AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Tentative) => {
                    return Ok(Some(format!("interface {index} has a tentative address")));
                }
                _ => {}
            }
        }
    }
    let without = has_own.into_iter().find(|(_, own)| !own);
    Ok(without.map(|(index, _)| format!("interface {index} has no link-local address")))
}

async fn index_of(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await.with_context(|| format!("no interface {name}"))?;
    Ok(link.with_context(|| format!("no interface {name}"))?.header.index)
}
