//! The format of `ipvsadm-save`: one `ipvsadm` command line per service and server, without the program's name.

mod front;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sched::{
    DestSpec, Family, ForwardMethod, Persistence, Proto, SchedFlags, ServiceKey, ServiceSpec, TcpOptions,
    Tunnel, TunnelChecksum, TunnelKind, algo,
};

use crate::settings::Timeouts;

pub use front::front;

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

/// Begins a line with what stock ipvsadm cannot say. Its scripts for saving and restoring pass comments over.
pub const OURS: &str = "#ulvs ";

/// Writes `services` in the order given, each followed by its servers: what stock ipvsadm saves, byte for byte as it
/// writes it.
pub fn write_stock(out: &mut impl fmt::Write, services: &[ServiceSpec], names: &dyn Names) -> fmt::Result {
    write_services(out, services, names, false)
}

/// Writes everything: as [`write_stock`], and what that loses where there is any. Thresholds, switches without a name
/// and `timeouts` that are not the default are in words that stock ipvsadm restores (`-x`, `-y`, `-b flag-3`, `--set`);
/// for what it does not have there are comments at the end ([`OURS`]). `lips` are the local addresses that are everybody's.
pub fn write(
    out: &mut impl fmt::Write,
    services: &[ServiceSpec],
    lips: &[IpAddr],
    timeouts: Timeouts,
    names: &dyn Names,
) -> fmt::Result {
    write_services(out, services, names, true)?;
    if timeouts != Timeouts::default() {
        let Timeouts { tcp, tcp_fin, udp } = timeouts;
        writeln!(out, "--set {tcp} {tcp_fin} {udp}")?;
    }
    for service in services {
        let (option, proto) = option(&service.key, names);
        if !service.tcp.is_none() {
            write!(out, "{OURS}-E {option} ")?;
            scheduling(out, service, all_flag_names)?;
            tcp(out, service.tcp)?;
            writeln!(out)?;
        }
        front::write(out, service)?;
        for lip in &service.lips {
            writeln!(out, "{OURS}-P {option} -z {lip}")?;
        }
        for dest in service.dests.iter().filter(|d| d.slow_start > 0) {
            write!(out, "{OURS}-e {option} ")?;
            server(out, proto, dest, names)?;
            thresholds(out, dest)?;
            writeln!(out, " --slow-start {}", dest.slow_start)?;
        }
    }
    for lip in lips {
        writeln!(out, "{OURS}-P -z {lip}")?;
    }
    Ok(())
}

fn write_services(
    out: &mut impl fmt::Write,
    services: &[ServiceSpec],
    names: &dyn Names,
    everything: bool,
) -> fmt::Result {
    for service in services {
        let (option, proto) = option(&service.key, names);
        write!(out, "-A {option} ")?;
        scheduling(out, service, if everything { all_flag_names } else { flag_names })?;
        writeln!(out)?;
        for dest in &service.dests {
            write!(out, "-a {option} ")?;
            server(out, proto, dest, names)?;
            if everything {
                thresholds(out, dest)?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The arguments that change a service to be like this, its servers apart.
pub fn edit_service(service: &ServiceSpec) -> String {
    let mut line = format!("-E {} ", option(&service.key, &Numeric).0);
    // Writing to a string does not fail.
    let _ = scheduling(&mut line, service, all_flag_names).and_then(|()| tcp(&mut line, service.tcp));
    line
}

/// The arguments that change a server of a service to be like this.
pub fn edit_server(key: &ServiceKey, dest: &DestSpec) -> String {
    let (option, proto) = option(key, &Numeric);
    let mut line = format!("-e {option} ");
    // Writing to a string does not fail.
    let _ = server(&mut line, proto, dest, &Numeric).and_then(|()| thresholds(&mut line, dest));
    if dest.slow_start > 0 {
        line += &format!(" --slow-start {}", dest.slow_start);
    }
    line
}

/// The arguments that name a service.
pub fn service(key: &ServiceKey) -> String {
    option(key, &Numeric).0
}

/// The names of a scheduler's switches, as a listing has them: the scheduler's own, or `flag-1` to `flag-3` if it has
/// none.
pub fn flag_names(scheduler: &str, flags: SchedFlags) -> Vec<&'static str> {
    let own = algo::find(scheduler).map_or(&[][..], |a| a.flags);
    named(if own.is_empty() { &PLAIN } else { own }, flags)
}

/// The same, and switches that the scheduler has no name for too.
pub fn all_flag_names(scheduler: &str, flags: SchedFlags) -> Vec<&'static str> {
    let own = algo::find(scheduler).map_or(&[][..], |a| a.flags);
    let unnamed = PLAIN.into_iter().filter(|(_, flag)| own.iter().all(|(_, f)| f != flag));
    let all: Vec<_> = own.iter().copied().chain(unnamed).collect();
    named(&all, flags)
}

const PLAIN: [(&str, SchedFlags); 3] =
    [("flag-1", SchedFlags::ONE), ("flag-2", SchedFlags::TWO), ("flag-3", SchedFlags::THREE)];

fn named(names: &[(&'static str, SchedFlags)], flags: SchedFlags) -> Vec<&'static str> {
    let mut names: Vec<_> = names.iter().filter(|(_, flag)| flags.has(*flag)).collect();
    names.sort_by_key(|(_, flag)| flag.0);
    names.into_iter().map(|(name, _)| *name).collect()
}

/// The option that names a service, and the protocol whose ports' names are used.
fn option(key: &ServiceKey, names: &dyn Names) -> (String, Proto) {
    match *key {
        ServiceKey::Addr { proto, vip, l4_port } => {
            let flag = match proto {
                Proto::Tcp => "-t",
                Proto::Udp => "-u",
                Proto::Sctp => "--sctp-service",
            };
            (format!("{flag} {}", names.addr(proto, SocketAddr::new(vip, l4_port))), proto)
        }
        ServiceKey::Mark { mark, family } => {
            let six = if family == Family::Ipv6 { " -6" } else { "" };
            (format!("-f {}{six}", mark.0), Proto::Tcp)
        }
    }
}

fn scheduling(
    out: &mut impl fmt::Write,
    service: &ServiceSpec,
    flags: fn(&str, SchedFlags) -> Vec<&'static str>,
) -> fmt::Result {
    write!(out, "-s {}", service.scheduler)?;
    if let Some(Persistence { timeout, mask }) = service.persistence {
        write!(out, " -p {timeout}")?;
        if !mask.is_full() {
            write!(out, " -M {mask}")?;
        }
    }
    if let Some(pe) = service.pe {
        write!(out, " --pe {}", pe.name())?;
    }
    if service.one_packet {
        write!(out, " -o")?;
    }
    if !service.flags.is_empty() {
        write!(out, " -b {}", flags(&service.scheduler, service.flags).join(","))?;
    }
    Ok(())
}

fn tcp(out: &mut impl fmt::Write, tcp: TcpOptions) -> fmt::Result {
    if let Some(version) = tcp.proxy_protocol {
        write!(out, " --proxy-protocol {}", version.name())?;
    }
    if tcp.toa {
        write!(out, " --toa")?;
    }
    if let Some(mss) = tcp.mss {
        write!(out, " --mss {mss}")?;
    }
    Ok(())
}

fn server(out: &mut impl fmt::Write, proto: Proto, dest: &DestSpec, names: &dyn Names) -> fmt::Result {
    write!(out, "-r {} {} -w {}", names.addr(proto, dest.addr), dest.method.flag(), dest.weight.0)?;
    if let ForwardMethod::Tunnel(Tunnel { kind, port, checksum }) = dest.method {
        let checksum = match checksum {
            TunnelChecksum::None => "--tun-nocsum",
            TunnelChecksum::Full => "--tun-csum",
            TunnelChecksum::Remote => "--tun-remcsum",
        };
        match kind {
            TunnelKind::Ipip => write!(out, " --tun-type ipip")?,
            TunnelKind::Gue => write!(out, " --tun-type gue --tun-port {port} {checksum}")?,
            TunnelKind::Gre => write!(out, " --tun-type gre {checksum}")?,
        }
    }
    Ok(())
}

fn thresholds(out: &mut impl fmt::Write, dest: &DestSpec) -> fmt::Result {
    if dest.upper > 0 {
        write!(out, " -x {}", dest.upper)?;
    }
    if dest.lower > 0 {
        write!(out, " -y {}", dest.lower)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sched::{Mark, Weight};

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
        write(&mut text, &services, &[], Timeouts::default(), &Numeric).unwrap();
        let expected = "-A -t 10.0.0.1:80 -s wrr\n\
                        -a -t 10.0.0.1:80 -r 192.168.1.1:8080 -m -w 0\n\
                        -a -t 10.0.0.1:80 -r 192.168.1.2:8080 -m -w 3\n\
                        -A -u [fd00::1]:53 -s wrr\n\
                        -a -u [fd00::1]:53 -r [fd00::2]:53 -m -w 1\n\
                        -A -f 5 -6 -s wrr\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_edit_keeps_what_it_does_not_change() {
        let mut service = ServiceSpec::new("tcp/10.0.0.1:80".parse().unwrap(), "sh");
        service.flags = SchedFlags::ONE;
        service.persistence = Some(Persistence { timeout: 60, mask: sched::Netmask::full(Family::Ipv4) });
        service.tcp.toa = true;
        assert_eq!(edit_service(&service), "-E -t 10.0.0.1:80 -s sh -p 60 -b sh-fallback --toa");
        let tunnel = Tunnel { kind: TunnelKind::Gre, ..Tunnel::default() };
        let dest = DestSpec {
            method: ForwardMethod::Tunnel(tunnel),
            weight: Weight(3),
            upper: 9,
            slow_start: 30,
            ..DestSpec::new("10.1.0.1:80".parse().unwrap())
        };
        assert_eq!(
            edit_server(&service.key, &dest),
            "-e -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 3 --tun-type gre --tun-nocsum -x 9 --slow-start 30"
        );
    }

    #[test]
    fn what_stock_loses_is_written_where_there_is_any() {
        let mut service =
            ServiceSpec::new(ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()), "rr");
        let tunnel = Tunnel { kind: TunnelKind::Gue, port: 6080, checksum: TunnelChecksum::Remote };
        service.dests = vec![
            DestSpec { upper: 9, lower: 4, ..DestSpec::new("10.1.0.1:80".parse().unwrap()) },
            DestSpec {
                method: ForwardMethod::Tunnel(tunnel),
                slow_start: 30,
                ..DestSpec::new("10.1.0.2:80".parse().unwrap())
            },
        ];
        service.lips = vec!["10.1.0.9".parse().unwrap()];
        let services = [service];
        let lips = ["10.1.0.8", "fd00::8"].map(|lip| lip.parse().unwrap());
        let (mut stock, mut all) = (String::new(), String::new());
        write_stock(&mut stock, &services, &Numeric).unwrap();
        assert_eq!(
            stock,
            "-A -t 10.0.0.1:80 -s rr\n\
             -a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1\n\
             -a -t 10.0.0.1:80 -r 10.1.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n"
        );
        write(&mut all, &services, &lips, Timeouts { tcp: 901, ..Timeouts::default() }, &Numeric).unwrap();
        assert_eq!(
            all,
            "-A -t 10.0.0.1:80 -s rr\n\
             -a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1 -x 9 -y 4\n\
             -a -t 10.0.0.1:80 -r 10.1.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n\
             --set 901 120 300\n\
             #ulvs -P -t 10.0.0.1:80 -z 10.1.0.9\n\
             #ulvs -e -t 10.0.0.1:80 -r 10.1.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum --slow-start 30\n\
             #ulvs -P -z 10.1.0.8\n\
             #ulvs -P -z fd00::8\n"
        );
    }
}
