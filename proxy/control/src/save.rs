//! The format of `ipvsadm-save`: one `ipvsadm` command line per service and server, without the program's name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sched::{Proto, ServiceKey, ServiceSpec};

/// Writes addresses and ports: as numbers, or as the names that a host knows for them.
pub trait Names {
    /// `10.0.0.1:80`, `[fd00::1]:80`, `www.example:http`.
    fn addr(&self, proto: Proto, addr: SocketAddr) -> String;
}

/// Addresses and ports as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numeric;

impl Names for Numeric {
    fn addr(&self, _: Proto, addr: SocketAddr) -> String {
        match addr.ip() {
            IpAddr::V4(ip) => format!("{ip}:{}", addr.port()),
            IpAddr::V6(ip) => format!("[{ip}]:{}", addr.port()),
        }
    }
}

/// Writes `services` in the order given, each followed by its servers.
pub fn write(out: &mut impl fmt::Write, services: &[ServiceSpec], names: &dyn Names) -> fmt::Result {
    for service in services {
        let (option, proto) = match service.key {
            ServiceKey::Addr { proto, vip, l4_port } => {
                let flag = match proto {
                    Proto::Tcp => "-t",
                    Proto::Udp => "-u",
                    Proto::Sctp => "--sctp-service",
                };
                (format!("{flag} {}", names.addr(proto, SocketAddr::new(vip, l4_port))), proto)
            }
            ServiceKey::Mark { mark, family } => {
                let six = if family == sched::Family::Ipv6 { " -6" } else { "" };
                (format!("-f {}{six}", mark.0), Proto::Tcp)
            }
        };
        writeln!(out, "-A {option} -s {}", service.scheduler)?;
        for dest in &service.dests {
            let server = names.addr(proto, dest.addr);
            writeln!(out, "-a {option} -r {server} {} -w {}", dest.method.flag(), dest.weight.0)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Family, Mark, Weight};

    use super::*;

    #[test]
    fn one_line_for_each_service_and_server() {
        let dest =
            |addr: &str, weight| DestSpec { weight: Weight(weight), ..DestSpec::new(addr.parse().unwrap()) };
        let service = |key, dests| ServiceSpec { dests, ..ServiceSpec::new(key, "wrr") };
        let services = [
            service(
                ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()),
                vec![dest("192.168.1.1:8080", 0), dest("192.168.1.2:8080", 3)],
            ),
            service(
                ServiceKey::addr(Proto::Udp, "[fd00::1]:53".parse().unwrap()),
                vec![dest("[fd00::2]:53", 1)],
            ),
            service(ServiceKey::Mark { mark: Mark(5.try_into().unwrap()), family: Family::Ipv6 }, Vec::new()),
        ];
        let mut text = String::new();
        write(&mut text, &services, &Numeric).unwrap();
        let expected = "-A -t 10.0.0.1:80 -s wrr\n\
                        -a -t 10.0.0.1:80 -r 192.168.1.1:8080 -m -w 0\n\
                        -a -t 10.0.0.1:80 -r 192.168.1.2:8080 -m -w 3\n\
                        -A -u [fd00::1]:53 -s wrr\n\
                        -a -u [fd00::1]:53 -r [fd00::2]:53 -m -w 1\n\
                        -A -f 5 -6 -s wrr\n";
        assert_eq!(text, expected);
    }
}
