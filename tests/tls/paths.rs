//! Where the VIP is, and where the client.

use lab::node::Node;
use lab::serve::Http;
use lab::topo::{NatOptions, VipPlace};

use super::site::Site;
use crate::scene::FAMILIES;

const OTHER: u16 = 8080;

over_both_stacks! {
    wherever_the_vip_is_clients_reach_it,
    the_director_is_a_client_too,
    servers_that_others_forward_to_directly_are_reached,
}

fn wherever_the_vip_is_clients_reach_it(stack: &'static str) {
    let places = [VipPlace::Routed, VipPlace::Loopback, VipPlace::Interface, VipPlace::Subnet];
    for (vip, forwarding) in places.into_iter().zip([true, false, true, false]) {
        let site =
            Site::new(stack, &NatOptions { vip, forwarding, rp_filter: Some(1), ..NatOptions::default() });
        let engine = site.engine();
        for family in FAMILIES {
            let at = site.serve(&engine, family, 80, "rr", "");
            for _ in 0..2 {
                site.client()
                    .http(at)
                    .download(300_000, |_| ())
                    .unwrap_or_else(|e| panic!("{vip:?} {at}: {e:#}"));
            }
        }
        assert_eq!(engine.status().drops(), [].into(), "{vip:?}");
        engine.stop();
    }
}

fn the_director_is_a_client_too(stack: &'static str) {
    for vip in [VipPlace::Loopback, VipPlace::Interface, VipPlace::Routed] {
        let site = Site::new(stack, &NatOptions { vip, ..NatOptions::default() });
        let engine = site.engine();
        let here: &Node = site.scene.director();
        for family in FAMILIES {
            let at = site.serve(&engine, family, 80, "rr", "");
            let mut connection = site.client_on(here).http(at);
            connection.download(300_000, |_| ()).unwrap_or_else(|error| panic!("{vip:?} {at}: {error:#}"));
        }
        engine.stop();
    }
}

/// A service of DR or tunnels: TLS ends here, so what goes on has to come back.
fn servers_that_others_forward_to_directly_are_reached(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let _other = Http::start(&site.scene.lab.servers[0], OTHER).unwrap();
    let engine = site.engine();
    for (family, method) in FAMILIES.into_iter().zip(["-g", "--fullnat"]) {
        let vip = site.vip(family);
        let server = site.scene.lab.server_port(0, family, 443);
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
        engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} {method}"));
        engine.ulvs(&format!("tls add tcp/{vip} {} --server-port 80", site.front()));
        assert_eq!(site.client().get(vip, "/"), "server1\n", "{method}");
        // The port that servers are spoken to may change under sessions.
        let mut open = site.client().http(vip);
        open.get("/").unwrap();
        engine.ulvs(&format!("tls add tcp/{vip} --server-port {OTHER}"));
        assert_eq!(site.client().get(vip, "/"), "server1\n", "{method}");
        assert_eq!(open.get("/").unwrap().body, "server1\n");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}
