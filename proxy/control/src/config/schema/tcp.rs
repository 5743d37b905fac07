//! What a service does to TCP connections: `proxy_protocol`, `toa`, `mss`.

use sched::{DestSpec, Mss, Proto, ProxyProtocol, TcpOptions};
use toml::de::DeValue;

use super::super::reader::{Problems, Section, integer};
use super::service::Identity;

pub(super) fn options(
    section: &Section<'_>,
    identity: &Identity,
    dests: &[DestSpec],
    problems: &mut Problems,
) -> TcpOptions {
    let options = TcpOptions {
        proxy_protocol: proxy_protocol(section, problems),
        toa: section.boolean("toa", problems).is_some_and(|toa| toa.value),
        mss: mss(section, problems),
    };
    let other = identity.key.and_then(|key| key.proto()).filter(|proto| *proto != Proto::Tcp);
    let past_us = dests.iter().find(|dest| !dest.method.sees_replies());
    for key in ["proxy_protocol", "toa", "mss"] {
        let place = section.place_of(key);
        if section.value(key).is_none() {
            continue;
        }
        if let Some(proto) = other {
            let text = format!("`{key}` is about TCP connections, not {}", proto.name());
            problems.note(place, text, "delete the line");
        } else if let (Some(dest), true) = (past_us, key != "mss") {
            let text = format!("the server {} would count bytes that no client has sent", dest.addr);
            let help = format!(
                "its replies do not come by here, so it sees the client itself: delete `{key}`, or give it method = \"nat\" or \"fullnat\""
            );
            problems.note(place, text, help);
        }
    }
    options
}

/// `proxy_protocol = "v2"`.
fn proxy_protocol(section: &Section<'_>, problems: &mut Problems) -> Option<ProxyProtocol> {
    let name = section.string("proxy_protocol", "\"v2\"", problems)?;
    let found = ProxyProtocol::ALL.into_iter().find(|version| version.name() == name.value);
    if found.is_none() {
        let text = format!("there is no version `{}` of the PROXY protocol", name.value);
        problems.note(
            name.span,
            text,
            "proxy_protocol = \"v1\" (text) or \"v2\" (binary), as the servers expect it",
        );
    }
    found
}

/// `mss = 1400` or `"auto"`.
fn mss(section: &Section<'_>, problems: &mut Problems) -> Option<Mss> {
    let value = section.value("mss")?;
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        number => integer(number).map(|number| number.to_string()).unwrap_or_default(),
    };
    let mss = text.parse().ok();
    if mss.is_none() {
        let help = format!(
            "mss = 1400 (bytes of payload, {} to {}), or \"auto\": what fits the path to the server",
            Mss::MIN,
            Mss::MAX
        );
        problems.note(value.span(), "this is no size of a segment", help);
    }
    mss
}
