use std::collections::BTreeSet;
use std::net::SocketAddr;

use wire::build;

use super::super::entry::{entries, of_fronts, of_host};
use super::*;

const TCP: u8 = 6;
const UDP: u8 = 17;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn services(of: &[(u8, &str)]) -> Vec<Entry> {
    let of: BTreeSet<_> = of.iter().map(|(protocol, to)| (*protocol, at(to))).collect();
    entries(Kind::Service, &of).collect()
}

fn servers(of: &[(u8, &str)]) -> Vec<Entry> {
    let of: BTreeSet<_> = of.iter().map(|(protocol, from)| (*protocol, at(from))).collect();
    entries(Kind::Server, &of).collect()
}

fn head(build: build::Build) -> AnyHead {
    AnyHead::of(&build.bytes()).unwrap()
}

fn tcp(from: &str, to: &str) -> AnyHead {
    head(build::tcp(from, to))
}

#[test]
fn what_is_for_a_service_or_from_a_server_is_taken() {
    let all = [
        services(&[(TCP, "10.9.0.1:80"), (UDP, "[fd09::1]:53"), (TCP, "10.9.0.2:0")]),
        servers(&[(TCP, "10.1.0.2:8080"), (0, "[fd01::2]:0")]),
    ];
    let taken = Taken::default().with([], all.concat());
    for (from, to, want) in [
        ("10.0.0.2:1024", "10.9.0.1:80", true),
        ("10.0.0.2:1024", "10.9.0.1:81", false),
        ("10.0.0.2:1024", "10.9.0.3:80", false),
        ("10.0.0.2:1024", "10.9.0.2:1", true),
        ("10.0.0.2:1024", "10.9.0.2:0", true),
        ("10.9.0.1:80", "10.0.0.2:1024", false),
        ("10.1.0.2:8080", "10.0.0.2:1024", true),
        ("10.1.0.2:8081", "10.0.0.2:1024", false),
        ("[fd01::2]:8081", "[fd00::2]:1024", true),
        ("[fd00::2]:1024", "[fd09::1]:53", false),
    ] {
        assert_eq!(taken.takes(&tcp(from, to)), want, "tcp {from} > {to}");
    }
    for (from, to, want) in [
        ("10.0.0.2:1024", "10.9.0.1:80", false),
        ("10.0.0.2:1024", "10.9.0.2:1", false),
        ("10.1.0.2:8080", "10.0.0.2:1024", false),
        ("[fd01::2]:8081", "[fd00::2]:1024", true),
        ("[fd00::2]:1024", "[fd09::1]:53", true),
    ] {
        assert_eq!(taken.takes(&head(build::udp(from, to))), want, "udp {from} > {to}");
    }
    assert!(!Taken::default().takes(&tcp("10.0.0.2:1024", "10.9.0.1:80")));
}

#[test]
fn an_ipv4_address_is_not_the_ipv6_address_of_the_same_number() {
    let taken = Taken::default().with([], services(&[(TCP, "10.9.0.1:80")]));
    assert!(!taken.takes(&tcp("[fd00::2]:1024", "[::10.9.0.1]:80")));
    let taken = Taken::default().with([], services(&[(TCP, "[::10.9.0.1]:80")]));
    assert!(taken.takes(&tcp("[fd00::2]:1024", "[::10.9.0.1]:80")));
    assert!(!taken.takes(&tcp("10.0.0.2:1024", "10.9.0.1:80")));
}

#[test]
fn the_host_and_fronts_get_their_own() {
    let own: Vec<_> = of_host(["10.1.0.1".parse().unwrap()]).collect();
    let fronts: Vec<_> = of_fronts(&BTreeSet::from([at("10.9.0.1:443")])).collect();
    let all =
        [services(&[(0, "10.9.0.1:0"), (0, "10.1.0.1:80")]), servers(&[(TCP, "10.1.0.2:8080")]), own, fronts];
    let taken = Taken::default().with([], all.concat());
    assert!(!taken.takes(&tcp("10.1.0.2:8080", "10.1.0.1:1024")), "an answer to the host");
    assert!(taken.takes(&tcp("10.1.0.2:8080", "10.1.0.3:1024")));
    assert!(taken.takes(&tcp("10.0.0.2:1024", "10.1.0.1:80")), "a service at an address of the host");
    assert!(!taken.takes(&tcp("10.0.0.2:1024", "10.9.0.1:443")), "to a front");
    assert!(!taken.takes(&tcp("10.1.0.2:8080", "10.9.0.1:443")), "a server to a front");
    assert!(taken.takes(&head(build::udp("10.0.0.2:1024", "10.9.0.1:443"))), "a front is TCP's");
    assert!(taken.takes(&tcp("10.0.0.2:1024", "10.9.0.1:444")));
}

#[test]
fn whatever_is_odd_about_its_headers_is_the_kernels() {
    let all = services(&[(0, "10.9.0.1:0"), (0, "[fd09::1]:0")]);
    let taken = Taken::default().with([], all);
    let takes = |bytes: &[u8]| AnyHead::of(bytes).is_some_and(|head| taken.takes(&head));
    let v4 = || build::udp("10.0.0.2:1024", "10.9.0.1:80").payload_len(2000).may_fragment();
    let v6 = || build::udp("[fd00::2]:1024", "[fd09::1]:80").payload_len(2000);
    assert!(takes(&v4().bytes()) && takes(&v6().bytes()));
    assert!(!takes(&v4().ipv4_options(&[1, 1, 1, 1]).bytes()));
    assert!(!takes(&v6().extension(60, &[1, 4, 0, 0, 0, 0]).bytes()));
    for fragment in v4().fragments(1000).iter().chain(&v6().fragments(1000)) {
        assert!(!takes(fragment));
    }
    assert!(!takes(&build::ping("10.0.0.2", "10.9.0.1", 1, 1).bytes()));
    assert!(!takes(&build::sctp("10.0.0.2:1024", "10.9.0.1:80").chunk(1, &[0; 16]).bytes()));
}

#[test]
fn what_goes_is_not_taken_any_more_and_what_was_counted_stays_right() {
    let (whole, exact) = (services(&[(TCP, "10.9.0.1:0")]), services(&[(TCP, "10.9.0.1:80")]));
    let fronts: Vec<_> = of_fronts(&BTreeSet::from([at("10.9.0.1:443")])).collect();
    let taken = Taken::default().with([], [&whole[..], &exact, &fronts].concat());
    let again = taken.with([], [&whole[..], &exact, &fronts].concat());
    let left = again.with(whole.clone(), []).with(whole, []).with(fronts, []);
    assert_eq!(left.counts, Counts::default());
    assert!(left.takes(&tcp("10.0.0.2:1024", "10.9.0.1:80")));
    assert!(!left.takes(&tcp("10.0.0.2:1024", "10.9.0.1:81")));
    assert!(!left.with(exact, []).takes(&tcp("10.0.0.2:1024", "10.9.0.1:80")));
    assert!(taken.takes(&tcp("10.0.0.2:1024", "10.9.0.1:81")), "the one before is as it was");
}

/// A ring with something published, and what changes it.
struct World {
    published: Published,
    taker: Taker,
}

impl World {
    fn new(entries: Vec<Entry>) -> Self {
        let published = Published::default();
        published.store(Arc::new(published.load().with([], entries)));
        Self { taker: Taker::new(Published::clone(&published)), published }
    }

    fn publish(&self, gone: &[Entry], come: &[Entry]) {
        let next = self.published.load().with(gone.iter().copied(), come.iter().copied());
        self.published.store(Arc::new(next));
    }

    /// The next frame, of as many.
    fn takes(&mut self, head: &AnyHead, waiting: usize) -> bool {
        self.taker.takes(Some(head), || waiting)
    }
}

#[test]
fn a_frame_that_came_before_its_service_was_the_kernels() {
    let (old, new) = (services(&[(TCP, "10.9.0.1:80")]), services(&[(TCP, "10.9.0.1:81")]));
    let (to_old, to_new) = (tcp("10.0.0.2:1024", "10.9.0.1:80"), tcp("10.0.0.2:1024", "10.9.0.1:81"));
    let mut world = World::new(old);
    assert!(world.takes(&to_old, 4) && !world.takes(&to_new, 3));
    world.publish(&[], &new);
    assert!(!world.takes(&to_new, 3), "one of three that wait");
    assert!(world.takes(&to_old, 9), "the second, which nothing has changed for");
    assert!(!world.taker.takes(None, || 9), "the third, which is no packet");
    assert!(world.takes(&to_new, 1), "came later");
}

#[test]
fn a_frame_that_comes_when_the_worker_has_caught_up_is_the_rings() {
    let new = services(&[(TCP, "10.9.0.1:81")]);
    let to_new = tcp("10.0.0.2:1024", "10.9.0.1:81");
    let mut world = World::new(Vec::new());
    world.publish(&[], &new);
    world.taker.catch_up(|| 0);
    assert!(world.takes(&to_new, 1));
}

#[test]
fn changes_that_come_fast_are_all_heeded() {
    let a = services(&[(TCP, "10.9.0.1:80")]);
    let b = services(&[(TCP, "10.9.0.1:81")]);
    let (to_a, to_b) = (tcp("10.0.0.2:1024", "10.9.0.1:80"), tcp("10.0.0.2:1024", "10.9.0.1:81"));
    let mut world = World::new(a.clone());
    world.publish(&[], &b);
    assert!(!world.takes(&to_b, 3));
    // Between the two changes no frame has come: two wait still, and one more comes.
    world.publish(&a, &[]);
    assert!(!world.takes(&to_b, 3) && !world.takes(&to_a, 2), "b is new for them, a is gone for all");
    assert!(!world.takes(&to_b, 1), "it came before the last change was seen");
    assert!(world.takes(&to_b, 1) && !world.takes(&to_a, 1));
    // Gone and back before anybody looked: in between it was the kernel's.
    world.publish(&b, &[]);
    world.publish(&[], &b);
    assert!(!world.takes(&to_b, 1) && world.takes(&to_b, 1));
}

#[test]
fn what_a_front_held_back_was_the_kernels_until_it_went() {
    let service = services(&[(TCP, "10.9.0.1:443")]);
    let front: Vec<_> = of_fronts(&BTreeSet::from([at("10.9.0.1:443")])).collect();
    let to = tcp("10.0.0.2:1024", "10.9.0.1:443");
    let mut world = World::new([&service[..], &front].concat());
    assert!(!world.takes(&to, 1));
    world.publish(&front, &[]);
    assert!(!world.takes(&to, 2) && !world.takes(&to, 1) && world.takes(&to, 1));
    world.publish(&[], &front);
    assert!(!world.takes(&to, 1), "at once");
}

#[test]
fn emptied_and_filled_again_only_what_comes_then_is_taken() {
    let service = services(&[(TCP, "10.9.0.1:80")]);
    let to = tcp("10.0.0.2:1024", "10.9.0.1:80");
    let mut world = World::new(service.clone());
    assert!(world.takes(&to, 1));
    world.published.store(Arc::new(world.published.load().emptied()));
    world.publish(&[], &service);
    assert!(!world.takes(&to, 1) && world.takes(&to, 1));
}
