//! What there is to say about the forwarding methods of the servers.

use sched::{Dest, ForwardMethod, Service, ServiceKey, ServiceTable};

/// One line for each method that some server is to be reached by and that nothing can be sent by: its flows are
/// scheduled and then go nowhere. `no_link`: why nothing can be sent to a neighbour.
pub(super) fn notices(table: &ServiceTable, no_link: Option<&str>) -> Vec<String> {
    let unsent = |matches: fn(ForwardMethod) -> bool| {
        table.services().find_map(|service| Some((service.key, find(service, matches)?)))
    };
    let line = |(key, dest): (ServiceKey, &Dest), why: &str| {
        format!("server {} of {key} is to be reached by {}, {why}", dest.live.key, dest.method.name())
    };
    let dr = no_link.and_then(|reason| {
        let why = format!(
            "which takes a packet socket ({reason}): give the process CAP_NET_RAW, or make it NAT (ipvsadm -e … -m)"
        );
        unsent(is_dr).map(|server| line(server, &why))
    });
    let tunnel = unsent(is_tunnel).map(|server| {
        let why = "which this version cannot send by: what is scheduled to such servers is dropped as \
                   method-unavailable; make it NAT (ipvsadm -e … -m)";
        line(server, why)
    });
    dr.into_iter().chain(tunnel).collect()
}

/// Whether there may be something to say about the service.
pub(super) fn concerns(service: &Service) -> bool {
    find(service, |method| method != ForwardMethod::Masq).is_some()
}

fn find(service: &Service, matches: fn(ForwardMethod) -> bool) -> Option<&Dest> {
    service.dests.iter().find(|dest| matches(dest.method))
}

fn is_dr(method: ForwardMethod) -> bool {
    method == ForwardMethod::Route
}

fn is_tunnel(method: ForwardMethod) -> bool {
    matches!(method, ForwardMethod::Tunnel(_))
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Op, Proto, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn a_server_that_nothing_is_sent_to_is_named() {
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let table = |method| {
            let dest = DestSpec { method, ..DestSpec::new("10.0.0.2:80".parse().unwrap()) };
            let service = ServiceSpec { dests: vec![dest], ..ServiceSpec::new(key, "rr") };
            ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service }]).unwrap()
        };
        for method in [ForwardMethod::Masq, ForwardMethod::Route] {
            assert_eq!(notices(&table(method), None), Vec::<String>::new());
        }
        assert_eq!(notices(&table(ForwardMethod::Masq), Some("EPERM")), Vec::<String>::new());
        let dr = notices(&table(ForwardMethod::Route), Some("EPERM"));
        assert!(dr[0].starts_with("server 10.0.0.2:80 of TCP 10.0.0.1:80 is to be reached by Route, which"));
        assert!(dr[0].contains("(EPERM)") && dr[0].contains("CAP_NET_RAW"));
        let tunnel = notices(&table(ForwardMethod::Tunnel(sched::Tunnel::default())), None);
        assert!(tunnel[0].contains("Tunnel"));
    }
}
