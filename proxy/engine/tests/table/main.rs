//! What the engine does, as a table: what comes in, what goes out, and which counters move. Every case runs on a
//! fresh engine, over IPv4 and over IPv6 unless it says otherwise, and every counter that a step does not name has to
//! stand still (the ledger).

mod case;
mod deaths;
mod director;
#[path = "../end_all/mod.rs"]
mod end_all;
mod ends;
#[path = "../foreseen/mod.rs"]
mod foreseen;
mod ledger;
mod net;

mod hops;
mod icmp;
mod links;
mod marks;
mod methods;
mod oddities;
mod one_packet;
mod persistence;
mod refusals;
mod servers;
mod sizes;
mod tcp;
mod timers;
mod udp;

use case::Case;
use director::Director;
use engine::Knobs;
use net::Net;

fn run(cases: Vec<Case>) {
    for case in cases {
        for net in Net::BOTH.iter().filter(|net| case.only.is_none_or(|family| net.family == family)) {
            let mut director = Director::new(net, case.max_connections, case.knobs);
            for (i, step) in
                case.before.map(|step| step(net)).into_iter().chain((case.steps)(net)).enumerate()
            {
                let place = format!("{:?}: {}: step {}", net.family, case.what, i + 1);
                director.run(&place, step);
            }
            director.nothing_untold(&format!("{:?}: {}: the end", net.family, case.what));
        }
    }
}

#[test]
fn tcp_is_forwarded_both_ways() {
    run(tcp::cases());
}

#[test]
fn udp_is_forwarded_both_ways() {
    run(udp::cases());
}

#[test]
fn links_are_told_apart_and_watched() {
    run(links::cases());
}

#[test]
fn icmp_is_answered_and_translated() {
    run(icmp::cases());
}

#[test]
fn what_has_no_place_is_refused_as_a_host_would() {
    run(refusals::cases());
}

#[test]
fn what_does_not_fit_is_refused_with_the_clients_view() {
    run(sizes::cases());
}

#[test]
fn clients_come_back_to_their_server() {
    run(persistence::cases());
}

#[test]
fn marks_and_all_ports_are_served() {
    run(marks::cases());
}

#[test]
fn single_packets_are_scheduled_by_themselves() {
    run(one_packet::cases());
}

#[test]
fn the_director_counts_as_one_hop() {
    run(hops::cases());
}

#[test]
fn odd_packets_have_names() {
    run(oddities::cases());
}

#[test]
fn servers_come_and_go() {
    run(servers::cases());
}

#[test]
fn servers_die() {
    run(deaths::cases());
}

#[test]
fn timers_are_those_of_ipvs() {
    run(timers::cases().into_iter().map(|case| case.knobs(Knobs::ipvs())).collect());
}

#[test]
fn nobody_is_left_in_silence() {
    run(ends::cases());
}
