use std::time::Duration;

use super::*;
use crate::wait::wait_for;

/// Those that are not ulvs, which the tests of the lab have no program of.
const OTHERS: [Contender; 3] = [Contender::Haproxy, Contender::HaproxyHttp, Contender::Nginx];

fn bench() -> Bench {
    Bench {
        ulvs: "/nowhere/ulvs".into(),
        site: Site::new(None, VIP).unwrap(),
        state_root: None,
        threads: 2,
        seconds: 1,
        connections: 1000,
    }
}

#[test]
fn contenders_serve_and_resume_sessions_only_where_they_may() {
    let bench = bench();
    for contender in OTHERS {
        for resumption in [true, false] {
            let stand = Stand::new(&bench, contender, resumption, None)
                .unwrap_or_else(|error| panic!("{}, resumption {resumption}: {error:#}", contender.name()));
            assert!(stand.suite.starts_with("TLSv1.3, "), "{}", stand.suite);
        }
    }
}

#[test]
fn what_rates_are_made_of_is_measured() {
    let bench = bench();
    for contender in OTHERS {
        let stand = Stand::new(&bench, contender, true, None).unwrap();
        let figures = Measure::Requests.run(&stand).unwrap();
        let values: Vec<f64> = figures.iter().map(|(_, value)| *value).collect();
        // Requests, CPU and bytes; the page alone has 8 bytes and a record of TLS 22 around it.
        assert!(values[0] > 0.0 && values[1] > 0.0 && values[2] > 30.0, "{figures:?}");
        assert!(stand.usage().unwrap().resident > 1000.0);
    }
}

#[test]
fn idle_connections_stay_and_go_together() {
    let bench = bench();
    let stand = Stand::new(&bench, Contender::Nginx, true, None).unwrap();
    let (sockets, requests) = (stand.usage().unwrap().sockets, stand.requests());
    let holders = stand.idle(300).unwrap();
    assert_eq!(stand.requests() - requests, 300);
    assert!(stand.usage().unwrap().sockets - sockets >= 300.0);
    drop(holders);
    // Each of the two processes keeps 64 connections to the servers.
    wait_for("nginx to close", Duration::from_secs(10), || {
        (stand.usage().unwrap().sockets - sockets <= 128.0).then_some(())
    })
    .unwrap();
}

#[test]
fn the_kernel_sends_with_the_congestion_control_that_is_measured() {
    let bench = bench();
    for contender in OTHERS {
        let stand = Stand::new(&bench, contender, true, None).unwrap();
        loss::use_control(&stand, "reno").unwrap();
        let url = stand.url("/bytes/1000000000000");
        let download =
            tools::Download::start(&stand.lab.client, &bench.site, &url, Duration::from_secs(30)).unwrap();
        wait_for("a connection that uses reno", Duration::from_secs(10), || {
            let sockets = stand.lab.director.exec(&["ss", "-Htin", "sport", "=", ":443"]).unwrap();
            sockets.contains(" reno ").then_some(())
        })
        .unwrap();
        drop(download);
    }
}
