//! TOA and the sizes of segments.

use sched::{ForwardMethod, Mss, TcpOptions};
use wire::frame::Frame;
use wire::gso;
use wire::packet::{Packet, TcpFlags};
use wire::tcp;

use crate::client::{METHODS, SERVER};
use crate::director::{Director, Net, nets};

const TOA: TcpOptions = TcpOptions { proxy_protocol: None, toa: true, mss: None };

fn option_of(frame: &Frame, packet: &Packet) -> Vec<Vec<u8>> {
    tcp::options(frame, packet)
        .filter(|option| option.kind == 254)
        .map(|option| option.data.to_vec())
        .collect()
}

/// What the option says.
fn of(net: Net) -> Vec<u8> {
    let mut data = net.client.port().to_be_bytes().to_vec();
    match net.client.ip() {
        std::net::IpAddr::V4(addr) => data.extend(addr.octets()),
        std::net::IpAddr::V6(addr) => data.extend(addr.octets()),
    }
    data
}

#[test]
fn the_clients_address_goes_with_the_first_segments() {
    for net in nets() {
        for method in METHODS {
            let mut director = Director::new(net, method, TOA);
            director.greet();
            let sends = |director: &mut Director, at, heard| {
                let build = director.client(at, heard).flags(TcpFlags::PSH).payload(b"hello");
                let (frame, packet) = director.one(&build);
                assert_eq!(packet.payload(frame.packet()), b"hello");
                option_of(&frame, &packet)
            };
            let (frame, packet) = director.one(&director.client(0, 0));
            assert_eq!(option_of(&frame, &packet), [of(net)]);
            assert_eq!(sends(&mut director, 0, 0), [of(net)]);
            assert_eq!(sends(&mut director, 5, 0), [of(net)]);
            director.one(&director.server(0, 10).payload(b"world"));
            assert_eq!(sends(&mut director, 10, 5), [] as [Vec<u8>; 0]);
        }
    }
}

#[test]
fn nobody_claims_another_address() {
    let mut director = Director::new(nets()[0], ForwardMethod::FullNat, TOA);
    director.greet();
    let lie = director.client(0, 0).tcp_options(&[254, 8, 0, 1, 10, 9, 9, 9]);
    let (frame, packet) = director.one(&lie);
    assert_eq!(option_of(&frame, &packet), [of(director.net)]);
    // Even where that leaves no room for the truth.
    let mut full = vec![254, 20];
    full.extend([7; 18]);
    full.extend([1; 20]);
    let (frame, packet) = director.one(&director.client(0, 0).tcp_options(&full));
    assert_eq!(option_of(&frame, &packet), [] as [Vec<u8>; 0]);
}

#[test]
fn what_has_no_room_goes_without_it() {
    let mut director = Director::new(nets()[0], ForwardMethod::FullNat, TOA);
    director.set_mtu(1500);
    director.greet();
    for (payload, fits) in [(1452, true), (1453, false), (1460, false)] {
        let (frame, packet) = director.one(&director.client(0, 0).payload_len(payload));
        assert_eq!(option_of(&frame, &packet).len(), usize::from(fits), "{payload}");
    }
    let (frame, packet) = director.one(&director.client(0, 0).payload_len(5000).gso(1460));
    assert_eq!(option_of(&frame, &packet).len(), 1);
    assert_eq!((frame.offload.gso_size, gso::largest(&frame, &packet)), (1452, 1500));
    assert_eq!(packet.payload_len(), 5000);
    let (frame, packet) = director.one(&director.client(0, 0).payload_len(5000).gso(1000));
    assert_eq!((option_of(&frame, &packet).len(), frame.offload.gso_size), (1, 1000));
}

/// What the SYN and its answer invite, where they said `client` and `server`.
fn invited(director: &mut Director, client: u16, server: u16) -> [Option<u16>; 2] {
    let mss = |(frame, packet): (Frame, Packet)| tcp::mss(&frame, &packet);
    let option = |mss: u16| [&[2, 4], &mss.to_be_bytes()[..]].concat();
    let syn = director.one(&director.syn().tcp_options(&option(client)));
    let answer = director.one(&director.syn_ack().tcp_options(&option(server)));
    [mss(syn), mss(answer)]
}

#[test]
fn segments_are_limited_as_it_was_said() {
    let [v4, v6] = nets();
    let limited = |net, mtu, tcp: TcpOptions, client, server| {
        let mut director = Director::new(net, ForwardMethod::Masq, tcp);
        director.set_mtu(mtu);
        invited(&mut director, client, server).map(Option::unwrap)
    };
    let mss = |mss| TcpOptions { mss: Some(mss), ..TcpOptions::default() };
    assert_eq!(limited(v4, 1500, mss(Mss::Bytes(1400)), 1460, 1460), [1400, 1400]);
    assert_eq!(limited(v4, 1500, mss(Mss::Bytes(1400)), 1300, 8960), [1300, 1400]);
    assert_eq!(limited(v4, 1400, mss(Mss::Auto), 1460, 1460), [1460, 1360]);
    assert_eq!(limited(v6, 1400, mss(Mss::Auto), 1440, 1440), [1440, 1340]);
    assert_eq!(limited(v4, 0, mss(Mss::Auto), 1460, 1460), [1460, 1460]);
    assert_eq!(limited(v4, 9000, mss(Mss::Auto), 1460, 1460), [1460, 1460]);
    // The address needs its place in each of the first segments.
    assert_eq!(limited(v4, 1500, TOA, 1460, 1460), [1460, 1452]);
    assert_eq!(limited(v6, 1500, TOA, 1440, 1440), [1440, 1420]);
    assert_eq!(limited(v4, 0, TOA, 1460, 1460), [1460, 1452]);
    assert_eq!(
        limited(v4, 1500, TcpOptions { mss: Some(Mss::Bytes(1000)), ..TOA }, 1460, 1460),
        [1000, 1000]
    );
}

#[test]
fn who_says_nothing_of_sizes_is_left_alone() {
    let tcp = TcpOptions { mss: Some(Mss::Bytes(300)), ..TcpOptions::default() };
    let mut director = Director::new(nets()[0], ForwardMethod::Masq, tcp);
    let (frame, packet) = director.one(&director.syn());
    assert_eq!((tcp::mss(&frame, &packet), packet.header_len()), (None, 40));
    director.one(&director.syn_ack());
    let (frame, packet) = director.one(&director.client(0, 0).tcp_options(&[2, 4, 5, 180]));
    assert_eq!(tcp::mss(&frame, &packet), Some(1460), "only a SYN's counts");
    assert_eq!(tcp::numbers(&frame, &packet).unwrap().ack, SERVER + 1);
}
