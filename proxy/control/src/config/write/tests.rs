use std::path::Path;
use std::sync::Arc;

use super::super::Config;
use super::*;
use crate::source::{Kind, Source};

/// A file with everything that a service can say, in the order in which it is written.
const EVERYTHING: &str = r#"[timeouts]
tcp = 600

[[service]]
vip = "10.0.0.1"
ports = ["tcp/80"]
scheduler = "mh"
scheduler_flags = ["mh-fallback", "mh-port"]
persistence = { timeout = 360, mask = "255.255.255.0" }
proxy_protocol = "v2"
mss = "1400"
lips = ["10.1.0.250"]

[service.health]
need = "any"
initially = "down"
inhibit = true
on_down = "keep"
quorum = 3
hysteresis = 1
panic = 90
sorry = { address = "10.1.0.9:8080", weight = 2, method = "fullnat", inhibit = true }
damping = { flaps = 3, within = "60s", hold = "300s" }
passive = { fall = 4, hold = "5s", max_hold = "300s" }
notify = { change = "/bin/change it", up = "/bin/up", quorum_down = { command = "/bin/down it", user = "root" }, at_stop = true, user = "nobody" }

[[service.check]]
kind = "http"
interval = "6s"
fast_interval = "500ms"
timeout = "5s"
fall = 4
rise = 1
window = "3/10"
warmup = "0s"
address = "10.1.0.7"
port = 8081
bind = "10.1.0.250:99"
device = "eth1"
mark = 7
urls = [{ method = "HEAD", path = "/a" }, { path = "/b", host = "www.example", status = [200, "300-399"], digest = "9b3a0c85a887a256d6939da88aabd8cd", keyword = ['a "b"', 'c\d'], regex = { pattern = '\d+', min_offset = 1, max_offset = 9 }, regex_no_match = "error" }]
version = "1.0C"

[[service.check]]
kind = "https"
path = "/"
sni = "www.example"
verify = true
ca = "/etc/ca.crt"
min_days = 7

[[service.server]]
address = "10.1.0.1:8080"
weight = 3
upper = 10
lower = 5
slow_start = 30
notify = { up = "/bin/up 1", down = { command = "/bin/down 1", user = "alice:staff" } }

[[service.server]]
address = "10.1.0.2:8080"
method = "fullnat"
check = []

[[service.server]]
address = "10.1.0.3:8080"

[[service.server.check]]
kind = "exec"
command = ["/bin/check", "a b"]
user = "nobody:nogroup"
dynamic = true

[[service.server.check]]
kind = "file"
path = "/run/weight"
weight = -2
reverse = true
dynamic = true

[[service.server.check]]
kind = "smtp"
helo = "lb.example"

[[service.server.check]]
kind = "grpc"
service = "shop.Cart"
tls = true
sni = "www.example"

[[service.server.check]]
kind = "tls"

[[service.server.check]]
kind = "tcp"
via = "vip"
port = 80

[[service]]
mark = 3
family = "ipv6"
scheduler = "rr"
one_packet = true

[[service.check]]
kind = "udp"
bind = "fd00::9"
port = 53
payload_hex = "00ff"
require_reply = true
reply_hex = "0aXX"
min_reply = 2
max_reply = 100

[[service.check]]
kind = "dns"
port = 53
record = "AAAA"
name = "example"

[[service.check]]
kind = "icmp"

[[service.server]]
address = "fd00::1"
method = "tunnel"
tunnel = { kind = "gue", port = 5555, checksum = "remote" }

[[service]]
vip = "fd00::99"
ports = ["udp/0"]
scheduler = "wlc"
persistence = { timeout = 60, mask = 64 }
pe = "sip"

[service.health]

[[service.server]]
address = "fd00::1"
method = "dr"
"#;

#[test]
fn what_is_written_is_read_as_the_same() {
    let config = Config::parse("everything", EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let services = config.services();
    let timeouts = config.settings(false).timeouts;
    let text = write(services, timeouts);
    let again = Config::parse("again", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.services(), services, "{text}");
    assert_eq!(again.settings(false).timeouts, timeouts);
    assert_eq!(services.len(), 3);
    assert_eq!(services[2].health.as_ref().map(Arc::as_ref), Some(&sched::Health::default()));
}

#[test]
fn it_is_written_as_one_would_by_hand() {
    let config = Config::parse("everything", EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let text = write(config.services(), config.settings(false).timeouts);
    // But for the order of a check's keys, which is fixed.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(sorted(&text), sorted(EVERYTHING));
    let headers =
        |text: &str| text.lines().filter(|l| l.starts_with('[')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(headers(&text), headers(EVERYTHING));
}

#[test]
fn what_other_programs_had_is_read_as_the_same() {
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/foreign");
    let keepalived = Kind::Keepalived { id: "main".to_owned() };
    for (path, kind, services) in [
        ("keepalived/tests/everything.conf", keepalived, 2),
        ("ldirectord/tests/everything.cf", Kind::Ldirectord, 6),
    ] {
        let loaded = Source::new(foreign.join(path), kind).load().unwrap_or_else(|error| panic!("{error}"));
        let timeouts = loaded.config.settings(false).timeouts;
        let text = write(loaded.config.services(), timeouts);
        let again = Config::parse(path, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again, loaded.config, "{text}");
        assert_eq!(again.services().len(), services);
    }
}
