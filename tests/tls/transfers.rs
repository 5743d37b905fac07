//! Much through one session, every byte compared, whatever the links are like.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::topo::{NatOptions, VipPlace};

use super::site::Site;
use crate::scene::FAMILIES;

over_both_stacks! {
    two_hundred_megabytes_each_way,
    narrow_links_are_no_black_holes,
    wide_links_and_narrow_ones_meet,
}

fn two_hundred_megabytes_each_way(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, 80, "rr", "");
    both_ways(&site, vip, 200 << 20);
    let vip = site.serve(&engine, Family::V6, 80, "rr", "");
    both_ways(&site, vip, 20 << 20);
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn both_ways(site: &Site, vip: SocketAddr, bytes: u64) {
    let mut connection = site.client().http(vip);
    connection.upload(bytes, |_| ()).unwrap_or_else(|error| panic!("to {vip}: {error:#}"));
    connection.download(bytes, |_| ()).unwrap_or_else(|error| panic!("from {vip}: {error:#}"));
}

fn narrow_links_are_no_black_holes(stack: &'static str) {
    let narrow =
        |path: Vec<u32>, client_mtu| NatOptions { servers: 1, path, client_mtu, ..NatOptions::default() };
    // Behind the director, behind a router, and before the director on both its ends.
    for options in [narrow(vec![1300], 1500), narrow(vec![1500, 1300], 1500), narrow(vec![], 1300)] {
        transfers(stack, &options);
    }
    let site = Site::new(stack, &narrow(vec![], 1500));
    for family in FAMILIES {
        let client = site.scene.lab.client_addr.of(family).to_string();
        let route = ["ip", "route", "add", &client, "dev", "to-client", "mtu", "1300"];
        site.scene.director().exec(&route).unwrap();
    }
    serve_and_transfer(&site);
}

fn wide_links_and_narrow_ones_meet(stack: &'static str) {
    let wide = |client_mtu, server_mtu| {
        let vip = VipPlace::Routed;
        NatOptions { servers: 1, client_mtu, server_mtu, vip, ..NatOptions::default() }
    };
    for options in [wide(9000, 9000), wide(9000, 1500), wide(1500, 9000)] {
        transfers(stack, &options);
    }
}

fn transfers(stack: &'static str, options: &NatOptions) {
    serve_and_transfer(&Site::new(stack, options));
}

fn serve_and_transfer(site: &Site) {
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, 80, "rr", "");
        both_ways(site, vip, 3 << 20);
    }
    engine.stop();
}
