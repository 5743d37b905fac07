//! What there is to say about the forwarding methods of the servers.

use sched::{Dest, ForwardMethod, Service, ServiceTable};

/// A line if there are DR servers and nothing can be sent to a neighbour, for the reason given: their flows are
/// scheduled and then go nowhere.
pub(super) fn notices(table: &ServiceTable, no_link: Option<&str>) -> Option<String> {
    let reason = no_link?;
    let (key, dest) = table.services().find_map(|service| Some((service.key, find(service)?)))?;
    Some(format!(
        "server {} of {key} is to be reached by {}, which takes a packet socket ({reason}): give the process \
         CAP_NET_RAW, or make it NAT (ipvsadm -e … -m)",
        dest.live.key,
        dest.method.name()
    ))
}

/// Whether there may be something to say about the service.
pub(super) fn concerns(service: &Service) -> bool {
    service.everyone().any(|dest| dest.method != ForwardMethod::Masq)
}

fn find(service: &Service) -> Option<&Dest> {
    service.everyone().find(|dest| dest.method == ForwardMethod::Route)
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Op, Proto, ServiceKey, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn a_server_that_nothing_is_sent_to_is_named() {
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let table = |method| {
            let dest = DestSpec { method, ..DestSpec::new("10.0.0.2:80".parse().unwrap()) };
            let service = ServiceSpec { dests: vec![dest], ..ServiceSpec::new(key, "rr") };
            ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service }]).unwrap()
        };
        let tunnel = ForwardMethod::Tunnel(sched::Tunnel::default());
        assert_eq!(notices(&table(ForwardMethod::Route), None), None);
        for method in [ForwardMethod::Masq, tunnel] {
            assert_eq!(notices(&table(method), Some("EPERM")), None);
        }
        let dr = notices(&table(ForwardMethod::Route), Some("EPERM")).unwrap();
        assert!(dr.starts_with("server 10.0.0.2:80 of TCP 10.0.0.1:80 is to be reached by Route, which"));
        assert!(dr.contains("(EPERM)") && dr.contains("CAP_NET_RAW"));
    }
}
