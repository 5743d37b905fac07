//! Pictures of made-up answers, the lines that come of them, keys, and screens of several sizes.

mod keys;
mod screens;
mod terminal;

use control::api::{DrainList, DrainView, ServiceList, ServiceView, Status};
use sched::{ServiceKey, Weight};

use super::model::{Picture, Sample, ServerState, ServiceState};
use super::rows::{Column, Sort, rows, short};

/// A service as it travels, with servers at `192.168.1.N:80`: weight, active connections, new ones in a second.
fn service(key: &str, servers: &[(u32, u64, u64)]) -> ServiceView {
    let dests = servers.iter().enumerate().map(|(i, (weight, active, cps))| {
        let addr = format!("192.168.1.{}:80", i + 1);
        serde_json::json!({
            "addr": addr, "method": "masq", "weight": weight, "active": active, "inactive": 0,
            "rates": { "cps": cps, "in_pps": cps * 5, "out_pps": cps * 4, "in_bps": cps * 500, "out_bps": cps * 40_000 },
        })
    });
    let key: ServiceKey = key.parse().unwrap();
    let value = serde_json::json!({
        "key": key, "scheduler": "wrr", "dests": dests.collect::<Vec<_>>(),
    });
    serde_json::from_value(value).unwrap()
}

fn sample(services: Vec<ServiceView>) -> Sample {
    let status = Status {
        version: "0.1.0".to_owned(),
        pid: 4321,
        uptime_seconds: 3723,
        port: "tun".to_owned(),
        workers: 2,
        memory: 31 << 20,
        connections: 30,
        max_connections: 1_048_576,
        drops: [("no-route".to_owned(), 40), ("fragment".to_owned(), 2), ("truncated".to_owned(), 0)].into(),
        ..Status::default()
    };
    Sample { status, services: ServiceList { services, ..ServiceList::default() }, ..Sample::default() }
}

/// Two services; of the first the second server is drained and the third at its threshold.
fn example() -> Sample {
    let mut sample = sample(vec![
        service("tcp/10.0.0.1:80", &[(3, 10, 5), (0, 20, 0), (1, 5, 7)]),
        service("fwm/3", &[(0, 1, 0)]),
    ]);
    let first = &mut sample.services.services[0];
    first.dests[2].overloaded = true;
    first.dests[0].ramping = Some(3);
    let drain = DrainView {
        service: first.key,
        server: "192.168.1.2:80".parse().unwrap(),
        weight: Weight(3),
        active: 20,
        inactive: 0,
        seconds_left: None,
        reset: 0,
    };
    sample.drains = DrainList { drains: vec![drain] };
    sample
}

fn names(picture: &Picture, filter: &str, sort: Sort) -> Vec<String> {
    rows(picture, filter, sort).iter().map(|row| row.cell(Column::Name)).collect()
}

#[test]
fn a_servers_state_says_why_it_gets_nobody_new() {
    let picture = Picture::new(example(), None);
    let states: Vec<_> = picture.services[0].servers.iter().map(|server| server.state).collect();
    assert_eq!(states, [ServerState::Slow, ServerState::Drain, ServerState::Full]);
    assert_eq!(picture.services[0].state, ServiceState::Up);
    assert_eq!(picture.services[1].servers[0].state, ServerState::Quiet);
    assert_eq!(picture.services[1].state, ServiceState::Down, "no server takes anybody");
    assert_eq!((picture.load.active, picture.services[0].load.active), (36, 35));
}

#[test]
fn drops_have_a_rate_from_the_second_picture_on_and_none_below_zero() {
    let first = Picture::new(sample(vec![]), None);
    let told: Vec<_> = first.drops.iter().map(|d| (d.reason.as_str(), d.packets, d.per_second)).collect();
    assert_eq!(told, [("no-route", 40, None), ("fragment", 2, None)]);
    let two_seconds = std::time::Duration::from_secs(2);
    let mut more = sample(vec![]);
    more.status.drops.insert("no-route".to_owned(), 60);
    more.status.drops.insert("fragment".to_owned(), 1);
    let second = Picture::new(more, Some((&first, two_seconds)));
    let rates: Vec<_> = second.drops.iter().map(|drop| drop.per_second).collect();
    assert_eq!(rates, [Some(10), Some(0)], "an engine that was started again");
}

#[test]
fn lines_are_sorted_by_any_column_and_servers_stay_with_their_service() {
    let picture = Picture::new(
        sample(vec![
            service("tcp/10.0.0.1:80", &[(3, 10, 5), (2, 20, 0)]),
            service("tcp/10.0.0.2:80", &[(1, 1, 90), (1, 1, 99)]),
        ]),
        None,
    );
    let sorted = |by, reversed| {
        names(&picture, "", Sort { by, reversed })
            .iter()
            .map(|name| name.replace("192.168.1.", ""))
            .collect::<Vec<_>>()
    };
    let (one, two) = ("TCP 10.0.0.1:80", "TCP 10.0.0.2:80");
    assert_eq!(sorted(Column::Name, false), [one, "  1:80", "  2:80", two, "  1:80", "  2:80"]);
    assert_eq!(sorted(Column::Active, false), [one, "  2:80", "  1:80", two, "  1:80", "  2:80"]);
    // Services have no rate of their own here: it is the servers that change places.
    assert_eq!(sorted(Column::New, false), [one, "  1:80", "  2:80", two, "  2:80", "  1:80"]);
    assert_eq!(sorted(Column::Active, true), [two, "  2:80", "  1:80", one, "  1:80", "  2:80"]);
    assert_eq!(sorted(Column::Weight, false)[1], "  1:80");
}

#[test]
fn the_filter_finds_services_servers_and_states() {
    let picture = Picture::new(example(), None);
    let found = |filter: &str| names(&picture, filter, Sort::default()).len();
    assert_eq!(found(""), 6);
    assert_eq!(found("tcp 10.0.0.1"), 4, "a service with all its servers");
    assert_eq!(found("fwm/3"), 2, "by the word of command lines");
    assert_eq!(found("192.168.1.2"), 2, "a server under its service");
    assert_eq!(found("drain"), 2, "a state");
    assert_eq!(found("nobody"), 0);
}

#[test]
fn numbers_fit_into_five_characters() {
    for (number, expected) in [
        (0, "0"),
        (99_999, "99999"),
        (100_000, "100K"),
        (999_499, "999K"),
        (999_600, "1.0M"),
        (99_900_000, "99.9M"),
        (123_456_789, "123M"),
        (40_000_000_000, "40.0G"),
        (u64::MAX, "18E"),
    ] {
        assert_eq!(short(number), expected);
    }
    for power in 0..64 {
        assert!(short(1 << power).len() <= 5, "{}", short(1 << power));
    }
}

#[test]
fn programs_get_words_that_command_lines_take() {
    let value = serde_json::to_value(Picture::new(example(), None)).unwrap();
    assert_eq!(value["services"][0]["service"], "tcp/10.0.0.1:80");
    assert_eq!(value["services"][0]["servers"][1]["state"], "drain");
    assert_eq!(value["services"][1]["state"], "down");
    assert_eq!(value["drops"][0]["reason"], "no-route");
}
