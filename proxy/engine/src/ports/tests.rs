use super::*;

const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn server(n: u16) -> SocketAddr {
    SocketAddr::new(ADDR, n)
}

/// Takes a port of ours.
fn take(ports: &Ports, proto: Proto, server: SocketAddr, start: u64) -> Option<Lease> {
    ports.pool(PoolKey { proto, lip: ADDR, whose: Whose::Ours, server }, start).take()
}

fn ports(usable: &[u16]) -> Ports {
    let ports = Ports::new(1);
    ports.set_usable(usable, &[]);
    ports
}

#[test]
fn one_port_serves_many_servers_and_each_only_once() {
    let ports = ports(&[5000, 5001, 5002]);
    for n in 1..100 {
        let leases: Vec<_> = (0..3).map(|_| take(&ports, Proto::Tcp, server(n), n.into()).unwrap()).collect();
        let mut got: Vec<_> = leases.iter().map(|lease| lease.addr().port()).collect();
        assert_eq!(got[0], 5000 + n % 3, "it begins where it was told");
        got.sort_unstable();
        assert_eq!(got, [5000, 5001, 5002]);
        assert!(take(&ports, Proto::Tcp, server(n), 0).is_none(), "exhausted");
        assert!(take(&ports, Proto::Udp, server(n), 0).is_some(), "another protocol");
    }
}

#[test]
fn the_port_that_has_rested_longest_comes_first() {
    let ports = ports(&[7, 8, 9]);
    let one = || take(&ports, Proto::Tcp, server(1), 0);
    let [a, b, c] = [(); 3].map(|()| one().unwrap());
    c.give_back();
    a.give_back();
    a.give_back();
    drop(a);
    assert_eq!(one().unwrap().addr().port(), 9);
    assert_eq!(one().unwrap().addr().port(), 7, "and so on, in turn");
    drop((b, c));
    assert_eq!((0..4).filter_map(|_| one()).count(), 4, "each is given back as it is dropped");
}

#[test]
fn what_is_taken_is_told_and_what_is_idle_is_forgotten() {
    let ports = ports(&[1, 2, 3, 4]);
    let told = || {
        let mut all = Vec::new();
        ports.in_use(|pool| all.push((pool.taken, pool.all, pool.refused)));
        all
    };
    let one = || take(&ports, Proto::Tcp, server(1), 0);
    let leases = [(); 3].map(|()| one().unwrap());
    assert_eq!(told(), [(3, 4, 0)]);
    ports.sweep();
    assert_eq!(told(), [(3, 4, 0)]);
    let last = one();
    ports.pool(PoolKey { proto: Proto::Tcp, lip: ADDR, whose: Whose::Ours, server: server(1) }, 0).refuse();
    assert_eq!(told(), [(4, 4, 1)]);
    drop((leases, last));
    assert_eq!(told(), [(0, 4, 1)]);
    ports.sweep();
    assert_eq!(told(), []);
}

#[test]
fn another_range_is_for_those_who_come_then() {
    let ports = ports(&[1, 2]);
    let old = take(&ports, Proto::Tcp, server(1), 0).unwrap();
    ports.set_usable(&[2, 3], &[]);
    let taken: Vec<_> = std::iter::from_fn(|| take(&ports, Proto::Tcp, server(1), 0)).take(2).collect();
    assert_eq!(taken.iter().map(|lease| lease.addr().port()).collect::<Vec<_>>(), [2, 3]);
    ports.set_usable(&[], &[]);
    assert!(take(&ports, Proto::Tcp, server(1), 7).is_none(), "no range at all");
    drop(old);
}

#[test]
fn an_address_of_the_host_has_ports_of_its_own() {
    let ports = Ports::new(1);
    ports.set_usable(&[1, 2, 3], &[3]);
    let take = |whose| {
        let leases = std::iter::from_fn(|| {
            ports.pool(PoolKey { proto: Proto::Tcp, lip: ADDR, whose, server: server(1) }, 0).take()
        });
        leases.map(|lease| lease.addr().port()).take(9).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(take(Whose::Hosts), [3].into());
    assert_eq!(take(Whose::Ours), [1, 2, 3].into());
}

#[test]
fn a_connection_that_is_over_can_be_asked_for_its_port() {
    let ports = ports(&[7, 8, 9]);
    let pool = ports.pool(PoolKey { proto: Proto::Tcp, lip: ADDR, whose: Whose::Ours, server: server(1) }, 0);
    let [a, b, c] = [(); 3].map(|()| pool.take().unwrap());
    let resting = || pool.in_use().resting;
    assert_eq!(pool.next_resting(), None);
    for lease in [&b, &a, &c, &b] {
        lease.rest(true);
    }
    assert_eq!(resting(), 3);
    b.rest(false);
    b.rest(false);
    assert_eq!(resting(), 2, "it goes on after all");
    assert_eq!(pool.next_resting(), Some(a.addr()), "the first of them");
    c.give_back();
    assert_eq!((resting(), pool.next_resting()), (0, None), "the other has ended by itself");
    c.rest(true);
    a.rest(true);
    assert_eq!(resting(), 0, "each is asked once");
    b.rest(true);
    assert_eq!(resting(), 1);
    drop((a, b));
    assert_eq!((resting(), pool.in_use().taken), (0, 0));
}

#[test]
fn what_is_taken_of_a_former_range_is_told_until_it_is_given_back() {
    let ports = ports(&[1, 2]);
    let old = take(&ports, Proto::Tcp, server(1), 0).unwrap();
    ports.set_usable(&[3], &[]);
    let new = take(&ports, Proto::Tcp, server(1), 0).unwrap();
    let taken = || {
        let mut taken = 0;
        ports.sweep();
        ports.in_use(|pool| taken += pool.taken);
        taken
    };
    assert_eq!(taken(), 2);
    drop(old);
    assert_eq!(taken(), 1);
    drop(new);
    assert_eq!(taken(), 0);
}
