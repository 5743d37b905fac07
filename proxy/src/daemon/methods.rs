//! What there is to say about the forwarding methods of the servers.

use sched::{Dest, Service, ServiceKey, ServiceTable};

/// One line if some server's method is one that cannot be sent by yet: its flows are scheduled and then go nowhere.
pub(super) fn notices(table: &ServiceTable) -> Vec<String> {
    let mut unsent = table.services().filter_map(|service| Some((service.key, unsent(service)?)));
    let line = |(key, dest): (ServiceKey, &Dest)| {
        format!(
            "server {} of {key} is to be reached by {}, which this version cannot send by: what is scheduled to such \
             servers is dropped as method-unavailable; make it NAT (ipvsadm -e … -m)",
            dest.live.key,
            dest.method.name(),
        )
    };
    unsent.next().map(line).into_iter().collect()
}

/// A server that cannot be sent to.
pub(super) fn unsent(service: &Service) -> Option<&Dest> {
    service.dests.iter().find(|dest| !dest.method.sees_replies())
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, ForwardMethod, Op, Proto, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn a_server_that_nothing_is_sent_to_is_named() {
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let table = |method| {
            let dest = DestSpec { method, ..DestSpec::new("10.0.0.2:80".parse().unwrap()) };
            let service = ServiceSpec { dests: vec![dest], ..ServiceSpec::new(key, "rr") };
            ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service }]).unwrap()
        };
        assert_eq!(notices(&table(ForwardMethod::Masq)), Vec::<String>::new());
        let notices = notices(&table(ForwardMethod::Route));
        assert!(notices[0].starts_with("server 10.0.0.2:80 of TCP 10.0.0.1:80 is to be reached by Route,"));
    }
}
