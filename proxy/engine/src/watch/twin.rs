//! A copy of what one packet looks at, made as it looks: it is decided about by the same code as any other packet, on
//! tables of its own, which are thrown away. What there really is is read, and never written.
//!
//! Invariant: what is in the copy refers to copies alone, and what has been copied once is not copied again, though it
//! may have been taken out of its table in the meantime.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use sched::{Copies, Service, ServiceTable};
use wire::icmp;
use wire::packet::Packet;

use crate::aims::Aims;
use crate::conn::{Between, Conn, ConnTable, FlowKey, Kept, Known, Rare, Reader};
use crate::fragments::{self, Fragments, Way};
use crate::ftp::Expected;
use crate::persist::{Client, Template, Templates};
use crate::ports::{Lease, Pool, PoolKey, Ports};

/// The tables that workers share, as one looks at them.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) conns: Arc<ConnTable>,
    pub(crate) templates: Arc<Templates>,
    pub(crate) ports: Arc<Ports>,
    pub(crate) fragments: Arc<Fragments>,
    pub(crate) aims: Arc<Aims>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Twin {
    real: Tables,
    real_known: Known,
    copy: Tables,
    copy_known: Known,
    made: RefCell<Made>,
}

type Map<K, V> = HashMap<K, V, FixedState>;
type Set<K> = HashSet<K, FixedState>;

/// What has been copied.
#[derive(Debug)]
struct Made {
    reader: Reader,
    lives: Copies,
    conns: Map<(u32, u32), Kept>,
    templates: Map<*const Template, (Arc<Template>, Arc<Template>)>,
    rares: Map<*const Rare, (Arc<Rare>, Arc<Rare>)>,
    pools: Map<*const Pool, (Arc<Pool>, Arc<Pool>)>,
    /// What has been put into its table.
    placed: Placed,
}

#[derive(Debug, Default)]
struct Placed {
    templates: Set<*const Template>,
    pools: Set<PoolKey>,
    expected: Set<FlowKey>,
    fragments: bool,
}

impl Twin {
    pub(crate) fn new(real: Tables, copy: Tables) -> Self {
        let (reader, real_known) = real.conns.reader();
        let (_, copy_known) = copy.conns.reader();
        let made = Made {
            reader,
            lives: Copies::default(),
            conns: Map::default(),
            templates: Map::default(),
            rares: Map::default(),
            pools: Map::default(),
            placed: Placed::default(),
        };
        Self { real, real_known, copy, copy_known, made: RefCell::new(made) }
    }

    /// The services, with those copied that the packet can have to do with: by its addresses, or those of a packet that
    /// it is about, or by a mark.
    pub(crate) fn services(&self, table: &ServiceTable, bytes: &[u8]) -> ServiceTable {
        let mut addrs = Vec::new();
        if let Ok(packet) = Packet::parse(bytes) {
            addrs.extend([packet.src, packet.dst]);
            let quoted = icmp::quoted(bytes, &packet);
            let inside = icmp::tunnelled(bytes, &packet).map(|tunnelled| tunnelled.inner);
            addrs.extend(quoted.into_iter().chain(inside).flat_map(|quoted| [quoted.src, quoted.dst]));
        }
        let wanted = |service: &Service| {
            service.key.vip().is_none_or(|vip| addrs.contains(&vip))
                || service.everyone().any(|dest| addrs.contains(&dest.live.key.ip()))
        };
        table.copied(&mut self.made.borrow_mut().lives, wanted)
    }

    /// The connection with this key.
    pub(crate) fn conn(&self, key: &FlowKey) {
        let found = self.real.conns.find(&mut self.made.borrow_mut().reader, &self.real_known, key);
        if let Some((conn, _)) = found {
            self.copy_of(&conn);
        }
    }

    /// Where a flow is to go.
    pub(crate) fn aim(&self, key: &FlowKey) {
        if let Some(aim) = self.real.aims.get(key) {
            self.copy.aims.adopt(*key, aim);
        }
    }

    /// The template of a client.
    pub(crate) fn template(&self, client: &Client, call_id: Option<&[u8]>) {
        let Some(template) = self.real.templates.find(client, call_id) else { return };
        let copy = self.template_of(&template);
        if self.made.borrow_mut().placed.templates.insert(Arc::as_ptr(&template)) {
            self.copy.templates.adopt(&copy);
        }
    }

    /// The ports of a local address.
    pub(crate) fn pool(&self, key: &PoolKey) {
        let Some(pool) = self.real.ports.find(key) else { return };
        let copy = self.pool_of(&pool);
        if self.made.borrow_mut().placed.pools.insert(*key) {
            self.copy.ports.adopt(copy);
        }
    }

    /// What is expected with this key.
    pub(crate) fn expected(&self, key: FlowKey) {
        if !self.made.borrow_mut().placed.expected.insert(key) {
            return;
        }
        let expecting = &self.real.conns.expecting;
        // Whoever follows a control connection's talk expects something meanwhile: nobody may wait for that talk in turn, as
        // a copy does, with what is expected in hand.
        let copied = expecting.with(&key, |expected| expected.control.clone()).and_then(|kept| {
            let copy = self.kept(&kept)?;
            let same = kept.conn()?;
            let expected = expecting.with(&key, |expected| {
                let &Expected { ref control, from, client, vip, server, ref local, deadline } = expected;
                let local = local.as_ref().map(|lease| self.lease_of(lease));
                let control = control.is(&same).then_some(copy)?;
                Some(Expected { control, from, client, vip, server, local, deadline })
            });
            expected.flatten()
        });
        if let Some(expected) = copied {
            self.copy.conns.expecting.adopt(key, expected);
        }
    }

    /// All that a control connection expects.
    pub(crate) fn expected_by(&self, control: &Conn<'_>) {
        let keys = control.control().map(|control| control.expected_keys()).unwrap_or_default();
        keys.into_iter().for_each(|key| self.expected(key));
    }

    /// All fragments. Of the others than those of this datagram it does not matter where they go.
    pub(crate) fn fragments(&self, key: &fragments::Key) {
        if !std::mem::replace(&mut self.made.borrow_mut().placed.fragments, true) {
            self.copy.fragments.adopt(&self.real.fragments, key, |way| self.way(way));
        }
    }

    fn way(&self, way: &Way) -> Option<Way> {
        Some(match way {
            Way::Conn(conn, direction) => Way::Conn(self.kept(conn)?, *direction),
            Way::Single(between, client) => Way::Single(Arc::new(self.between_of(between)), *client),
            Way::SingleReply { service, dest, vip } => {
                let lives = &mut self.made.borrow_mut().lives;
                Way::SingleReply { service: lives.service(service), dest: lives.dest(dest), vip: *vip }
            }
            Way::Echo | Way::Pass | Way::Drop(_) => way.clone(),
        })
    }

    fn kept(&self, kept: &Kept) -> Option<Kept> {
        self.copy_of(&kept.conn()?)
    }

    fn copy_of(&self, conn: &Conn<'_>) -> Option<Kept> {
        let id = conn.identity();
        if let Some(kept) = self.made.borrow().conns.get(&id) {
            return Some(kept.clone());
        }
        let between = self.between_of(&conn.legs);
        let rare = conn.shared_rare().map(|rare| self.rare_of(&rare));
        let kept = self.copy.conns.adopt(&self.copy_known, conn, between, rare)?;
        self.made.borrow_mut().conns.insert(id, kept.clone());
        Some(kept)
    }

    fn between_of(&self, between: &Between) -> Between {
        let lives = &mut self.made.borrow_mut().lives;
        let (dest, service) = (lives.dest(&between.dest), lives.service(&between.service));
        Between { dest, service, ..between.clone() }
    }

    fn rare_of(&self, rare: &Arc<Rare>) -> Arc<Rare> {
        if let Some((_, copy)) = self.made.borrow().rares.get(&Arc::as_ptr(rare)) {
            return Arc::clone(copy);
        }
        let copy = Arc::new(Rare {
            lease: rare.lease.as_ref().map(|lease| self.lease_of(lease)),
            template: rare.template.as_ref().map(|template| self.template_of(template)),
            data_of: rare.data_of.as_ref().map(|control| self.rare_of(control)),
            control: rare.control.as_ref().map(|control| control.copied()),
            shifts: rare.shifts.as_ref().map(|shifts| shifts.copied()),
            greeting: rare.greeting.as_ref().map(|greeting| greeting.copied()),
        });
        let pair = (Arc::clone(rare), Arc::clone(&copy));
        self.made.borrow_mut().rares.insert(Arc::as_ptr(rare), pair);
        copy
    }

    fn template_of(&self, template: &Arc<Template>) -> Arc<Template> {
        let made = &mut *self.made.borrow_mut();
        let (templates, lives) = (&mut made.templates, &mut made.lives);
        let pair = || (Arc::clone(template), Arc::new(template.copied(lives.dest(&template.dest))));
        Arc::clone(&templates.entry(Arc::as_ptr(template)).or_insert_with(pair).1)
    }

    fn lease_of(&self, lease: &Lease) -> Lease {
        lease.copied(self.pool_of(lease.pool()))
    }

    fn pool_of(&self, pool: &Arc<Pool>) -> Arc<Pool> {
        let pools = &mut self.made.borrow_mut().pools;
        let pair = || (Arc::clone(pool), Arc::new(pool.copied()));
        Arc::clone(&pools.entry(Arc::as_ptr(pool)).or_insert_with(pair).1)
    }
}
