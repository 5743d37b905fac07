use std::time::Duration;

use super::*;
use crate::addr::Family;
use crate::client::{self, PATIENCE, UdpClient};
use crate::link::Rate;
use crate::load::{self, Direction, LoadSpec, Mode};
use crate::serve::{Http, UdpEcho};
use crate::topo::{NatLab, NatOptions};
use crate::wait::wait_for;

const MS: Duration = Duration::from_millis(1);

/// A lab whose client is behind such a link, in both directions.
fn lab(impairment: Impairment) -> NatLab {
    let options = NatOptions { servers: 1, client_link: Some([impairment; 2]), ..NatOptions::default() };
    NatLab::new(&options).unwrap()
}

fn link(lab: &NatLab) -> &Impaired {
    lab.client_link.as_ref().unwrap()
}

/// The fastest of a few: what the machine does meanwhile can only add to it.
fn round_trip(lab: &NatLab, family: Family) -> Duration {
    let server = lab.server_addrs[0].of(family);
    (0..10).map(|_| client::ping(&lab.client, server, 56, PATIENCE).unwrap()).min().unwrap()
}

#[test]
fn a_ping_takes_both_delays_and_new_ones_at_once() {
    let lab = lab(Impairment::default());
    for (there, back) in [(0, 0), (10, 10), (1, 0), (0, 25)] {
        for (way, delay) in [(Way::There, there), (Way::Back, back)] {
            link(&lab).set(way, Impairment { delay: MS * delay, ..Impairment::default() });
        }
        for family in [Family::V4, Family::V6] {
            let (took, delay) = (round_trip(&lab, family), MS * (there + back));
            assert!((delay..delay + 3 * MS).contains(&took), "{took:?} instead of {delay:?}");
        }
    }
}

#[test]
fn datagrams_are_lost_and_doubled_as_often_as_asked() {
    let lab = lab(Impairment::default());
    let echo = UdpEcho::start(&lab.servers[0], 7).unwrap();
    let client = UdpClient::open(&lab.client, lab.server_port(0, Family::V4, 7)).unwrap();
    // Kernels say a word of their own now and then.
    const OTHERS: u64 = 10;
    let exchanges = |impairment: Impairment| {
        link(&lab).set(Way::There, impairment);
        let (before, counts) = (echo.counters().requests(), link(&lab).counts(Way::There));
        // The server's socket has room for few: the next hundred goes when this one is through.
        for sent in (100..=2000).step_by(100) {
            for _ in 0..100 {
                client.socket().send(b"lost?").unwrap();
            }
            wait_for("datagrams", PATIENCE, || {
                let now = link(&lab).counts(Way::There);
                let due = (now.left - counts.left).saturating_sub(OTHERS);
                let through =
                    now.entered - counts.entered >= sent && echo.counters().requests() - before >= due;
                through.then_some(())
            })
            .unwrap();
        }
        echo.counters().requests() - before
    };
    let arrived = exchanges(Impairment::default());
    assert!((2000 - OTHERS..=2000).contains(&arrived), "{arrived}");
    // Of 2000 with a chance of 0.1: 200, give or take 13.4; here four times that.
    let arrived = exchanges(Impairment { loss: 0.1, ..Impairment::default() });
    assert!((1746..=1854).contains(&arrived), "{arrived}");
    let arrived = exchanges(Impairment { duplicate: 0.1, ..Impairment::default() });
    assert!((2146..=2254).contains(&arrived), "{arrived}");
    assert!(link(&lab).counts(Way::There).lost > 0 && link(&lab).counts(Way::Back).lost == 0);
}

#[test]
fn tcp_gets_the_rate_and_no_more() {
    for bits_per_s in [20_000_000, 100_000_000] {
        let rate = Some(Rate { bits_per_s, queue: 100_000 });
        let lab = lab(Impairment { rate, delay: MS, ..Impairment::default() });
        let _http = Http::start(&lab.servers[0], 80).unwrap();
        let mode = Mode::Bulk { streams: 4, direction: Direction::Download };
        let target = lab.server_port(0, Family::V4, 80);
        let report = load::run(&lab.client, &LoadSpec { target, mode, duration: 1500 * MS }).unwrap();
        // 1448 bytes of 1500 are payload. How much of that TCP fills is the machine's affair too.
        let share = report.gbit_per_s() * 1e9 / bits_per_s as f64;
        assert!((0.4..0.97).contains(&share), "{share} of {bits_per_s} bit/s");
    }
}

#[test]
fn a_transfer_survives_everything_at_once() {
    let lab = lab(Impairment {
        delay: 2 * MS,
        jitter: MS,
        loss: 0.005,
        duplicate: 0.01,
        reorder: 0.01,
        rate: Some(Rate { bits_per_s: 200_000_000, queue: 100_000 }),
    });
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    for family in [Family::V4, Family::V6] {
        let target = lab.server_port(0, family, 80);
        client::download(&lab.client, target, 4 << 20, |_| ()).unwrap();
        client::upload(&lab.client, target, 4 << 20, |_| ()).unwrap();
    }
    for way in [Way::There, Way::Back] {
        let counts = link(&lab).counts(way);
        assert!(counts.lost > 0 && counts.doubled > 0 && counts.reordered > 0, "{way:?}: {counts:?}");
    }
}

#[test]
fn packets_are_cut_to_the_mtu_before_they_are_lost() {
    let lab = lab(Impairment::default());
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    client::download(&lab.client, lab.server_port(0, Family::V4, 80), 10 << 20, |_| ()).unwrap();
    let counts = link(&lab).counts(Way::Back);
    assert!(counts.entered >= (10 << 20) / 1448, "{counts:?}");
}

#[test]
fn the_devices_go_with_the_link() {
    let mut lab = lab(Impairment::default());
    lab.client_link = None;
    // The kernel takes a namespace apart when it has time.
    let error = wait_for("eth0 to go", Duration::from_secs(5), || lab.client.link_up("eth0").err()).unwrap();
    assert!(format!("{error:#}").contains("no interface eth0"), "{error:#}");
}
