use proptest::prelude::*;
use sched::CheckKind;
use tokio::time::timeout_at;

use super::super::Success;
use super::super::tests::{Alone, ask, soon_why, tools};
use super::*;

#[tokio::test]
async fn this_host_answers_by_both_families_and_whatever_the_port() {
    for server in ["127.0.0.1:0", "127.0.0.1:80", "[::1]:0", "[::1]:80"] {
        assert_eq!(ask(CheckKind::Icmp, server.parse().unwrap()).await, Ok(Success::default()), "{server}");
    }
}

#[tokio::test]
async fn raw_sockets_hear_their_own_replies_among_many() {
    // Whatever kind of socket this host would give us: the raw one is there for root.
    let tools = tools();
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..200u8 {
        let tools = std::sync::Arc::clone(&tools);
        asked.spawn(async move {
            let to: SocketAddr = if i % 2 == 0 {
                SocketAddr::new(IpAddr::from([127, 0, 0, i / 4 + 1]), 0)
            } else {
                "[::1]:0".parse().unwrap()
            };
            let alone = Alone::towards(to, &tools);
            let asking = alone.asking();
            let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
            let socket = asking.open(to, Type::RAW, protocol).unwrap();
            let socket = connected(socket, to).unwrap();
            let request = request(to.ip(), tools.nonce().to_be_bytes());
            timeout_at(asking.deadline, exchange(&socket, Kind::Raw, to.ip(), &request)).await
        });
    }
    for result in asked.join_all().await {
        assert_eq!(result.unwrap(), Ok(()));
    }
}

/// In a network namespace of its own, whose loopback device is up.
fn alone(what: impl AsyncFnOnce() + Send + 'static) {
    let work = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what());
    };
    std::thread::spawn(work).join().unwrap();
}

#[test]
fn a_datagram_socket_is_taken_where_we_may_have_one_and_a_raw_one_elsewhere() {
    alone(async || {
        for (groups, expected) in [("1 0", Kind::Raw), ("0 0", Kind::Datagram)] {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", groups).unwrap();
            for to in ["127.0.0.1:0", "[::1]:0"] {
                let to = to.parse().unwrap();
                let alone = Alone::towards(to, &tools());
                let (_, kind) = open(&alone.asking(), to).unwrap();
                assert!(kind == expected, "{groups}, {to}");
                assert_eq!(ask(CheckKind::Icmp, to).await, Ok(Success::default()));
            }
        }
        let nowhere = "192.0.2.1:0".parse().unwrap();
        assert_eq!(ask(CheckKind::Icmp, nowhere).await, Err("network unreachable".to_owned()));
    });
}

#[tokio::test]
async fn an_address_that_nobody_has_does_not_answer() {
    // Of the block that everybody discards (RFC 6666).
    let why = soon_why(CheckKind::Icmp, "[100::1]:0".parse().unwrap()).await;
    assert!(
        ["network unreachable", "host unreachable", "no answer within 300 ms"].contains(&why.as_str()),
        "{why}"
    );
}

#[test]
fn a_request_is_as_the_rfc_has_it() {
    let v4 = request("10.0.0.1".parse().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(v4[..2], [8, 0]);
    assert_eq!(v4[4..], [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(checksum(&v4), 0, "with its checksum, a packet adds up to nothing");
    let v6 = request("fd00::1".parse().unwrap(), [0xff; 8]);
    assert_eq!(v6[..4], [128, 0, 0, 0], "the kernel knows the addresses that belong in this checksum");
}

#[test]
fn only_the_reply_to_the_request_is_one() {
    let v4: IpAddr = "10.0.0.1".parse().unwrap();
    let v6: IpAddr = "fd00::1".parse().unwrap();
    let request4 = request(v4, *b"abcdefgh");
    let reply = |mut packet: [u8; 16], kind: u8| {
        packet[0] = kind;
        packet
    };
    let with_header = |packet: &[u8], words: u8| {
        let mut whole = vec![0x40 | words];
        whole.resize(4 * usize::from(words), 0);
        whole.extend(packet);
        whole
    };
    let right = reply(request4, 0);
    assert!(is_reply(&right, v4, Kind::Datagram, &request4));
    assert!(is_reply(&with_header(&right, 5), v4, Kind::Raw, &request4));
    assert!(is_reply(&with_header(&right, 15), v4, Kind::Raw, &request4), "with options");
    let request6 = request(v6, *b"abcdefgh");
    assert!(is_reply(&reply(request6, 129), v6, Kind::Raw, &request6));
    assert!(is_reply(&reply(request6, 129), v6, Kind::Datagram, &request6));

    let mut other_id = right;
    other_id[4] ^= 1;
    assert!(is_reply(&other_id, v4, Kind::Datagram, &request4), "the kernel has chosen another one");
    assert!(!is_reply(&with_header(&other_id, 5), v4, Kind::Raw, &request4));
    for at in 6..16 {
        let mut other = right;
        other[at] ^= 1;
        assert!(!is_reply(&other, v4, Kind::Datagram, &request4), "byte {at}");
    }
    for wrong in [&request4[..], &right[..15], &[], &[0], &reply(request4, 3)] {
        assert!(!is_reply(wrong, v4, Kind::Datagram, &request4), "{wrong:?}");
        assert!(!is_reply(&with_header(wrong, 5), v4, Kind::Raw, &request4), "{wrong:?}");
    }
    assert!(!is_reply(&[0x4f], v4, Kind::Raw, &request4), "a header that is not there");
}

proptest! {
    #[test]
    fn whatever_comes_is_no_reply_by_chance(packet in prop::collection::vec(any::<u8>(), 0..100), v4: bool, raw: bool) {
        let from: IpAddr = if v4 { [10, 0, 0, 1].into() } else { [0u16; 8].into() };
        let kind = if raw { Kind::Raw } else { Kind::Datagram };
        prop_assert!(!is_reply(&packet, from, kind, &request(from, *b"abcdefgh")));
    }
}
