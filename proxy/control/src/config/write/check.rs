//! `[[service.check]]`.

use sched::{BodyTest, Check, CheckKind, DnsRecord, HttpUrl, HttpVersion, TlsCheck, Via};

use super::table::{Table, list, millis, string};

pub(super) fn check(text: &mut String, header: &str, check: &Check) {
    let mut table = Table::begin(text, header);
    let default = Check::new(CheckKind::Icmp);
    table.put("kind", string(check.kind.name()));
    table.when("interval", millis(check.interval), check.interval != default.interval);
    table.maybe("fast_interval", check.fast_interval.map(millis));
    table.when("timeout", millis(check.timeout), check.timeout != default.timeout);
    table.unless("fall", check.fall, default.fall);
    table.unless("rise", check.rise, default.rise);
    table.maybe("window", check.window.map(|window| string(&format!("{}/{}", window.failures, window.of))));
    table.maybe("warmup", check.warmup.map(millis));
    table.maybe("address", check.addr.map(|addr| string(&addr.to_string())));
    table.maybe("port", check.port);
    table.when("via", string("vip"), check.via == Via::Vip);
    let bind = |bind: std::net::SocketAddr| {
        string(&if bind.port() == 0 { bind.ip().to_string() } else { bind.to_string() })
    };
    table.maybe("bind", check.bind.map(bind));
    table.maybe("device", check.device.as_deref().map(string));
    table.maybe("mark", check.mark);
    kind(&mut table, &check.kind);
}

fn kind(table: &mut Table<'_>, kind: &CheckKind) {
    match kind {
        CheckKind::Icmp | CheckKind::Tcp => {}
        CheckKind::Udp(udp) => {
            table.when("payload_hex", hex(udp.payload.iter().map(|b| Some(*b))), !udp.payload.is_empty());
            table.when("require_reply", true, udp.require_reply);
            table.when("reply_hex", hex(udp.reply.iter().copied()), !udp.reply.is_empty());
            table.unless("min_reply", udp.min_reply, 0);
            table.unless("max_reply", udp.max_reply, 0);
        }
        CheckKind::Http(http) => {
            match &http.urls[..] {
                [] => {}
                [page] => url(table, page),
                pages => {
                    let pages = pages.iter().filter_map(|page| {
                        let mut braces = String::new();
                        let mut inner = Table::inline(&mut braces);
                        url(&mut inner, page);
                        inner.end()
                    });
                    table.put("urls", list(pages));
                }
            }
            match http.version {
                HttpVersion::Http10 => table.put("version", string("1.0")),
                HttpVersion::Http10Close => table.put("version", string("1.0C")),
                HttpVersion::Http11 => {}
            }
            http.tls.iter().for_each(|check| tls(table, check));
        }
        CheckKind::Tls(check) => tls(table, check),
        CheckKind::Dns { record, name } => {
            table.put("record", string(record_name(*record)));
            table.put("name", string(name));
        }
        CheckKind::Smtp { helo } => table.put("helo", string(helo)),
        CheckKind::Grpc(grpc) => {
            table.when("service", string(&grpc.service), !grpc.service.is_empty());
            if let Some(check) = &grpc.tls {
                table.put("tls", true);
                tls(table, check);
            }
        }
        CheckKind::Exec(exec) => {
            table.put("command", list(exec.command.iter().map(|word| string(word))));
            table.maybe("user", exec.user.as_deref().map(string));
            table.when("dynamic", true, exec.dynamic);
        }
        CheckKind::File(file) => {
            table.put("path", string(&file.path.to_string_lossy()));
            table.unless("weight", file.weight, 1);
            table.when("reverse", true, file.reverse);
            table.when("dynamic", true, file.dynamic);
        }
    }
}

fn url(table: &mut Table<'_>, url: &HttpUrl) {
    let HttpUrl { method, path, host, status, body } = url;
    table.when("method", string(method), method != "GET");
    table.put("path", string(path));
    table.maybe("host", host.as_deref().map(string));
    let range = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { string(&format!("{first}-{last}")) }
    };
    table.when("status", list(status.iter().map(range)), !status.is_empty());
    let mut tests = [("keyword", Vec::new()), ("regex", Vec::new()), ("regex_no_match", Vec::new())];
    for test in body {
        match test {
            BodyTest::Keyword(text) => tests[0].1.push(string(text)),
            BodyTest::Digest(digest) => table.put("digest", string(digest)),
            BodyTest::Regex { pattern, negate, min_offset, max_offset } => {
                let value = match (min_offset, max_offset) {
                    (0, 0) => string(pattern),
                    _ => format!(
                        "{{ pattern = {}, min_offset = {min_offset}, max_offset = {max_offset} }}",
                        string(pattern)
                    ),
                };
                tests[if *negate { 2 } else { 1 }].1.push(value);
            }
        }
    }
    for (key, mut values) in tests {
        match values.len() {
            0 => {}
            1 => table.put(key, values.remove(0)),
            _ => table.put(key, list(values)),
        }
    }
}

fn tls(table: &mut Table<'_>, check: &TlsCheck) {
    table.maybe("sni", check.sni.as_deref().map(string));
    table.when("verify", true, check.verify);
    table.maybe("ca", check.ca.as_ref().map(|path| string(&path.to_string_lossy())));
    table.unless("min_days", check.min_days, 0);
}

fn hex(bytes: impl Iterator<Item = Option<u8>>) -> String {
    let byte = |byte: Option<u8>| byte.map_or_else(|| "XX".to_owned(), |byte| format!("{byte:02x}"));
    string(&bytes.map(byte).collect::<String>())
}

const fn record_name(record: DnsRecord) -> &'static str {
    match record {
        DnsRecord::Soa => "SOA",
        DnsRecord::A => "A",
        DnsRecord::Aaaa => "AAAA",
        DnsRecord::Ns => "NS",
        DnsRecord::Cname => "CNAME",
        DnsRecord::Mx => "MX",
        DnsRecord::Txt => "TXT",
    }
}
