//! `HTTP_GET` and `SSL_GET`.

use std::net::IpAddr;

use sched::{BodyTest, CheckKind, HttpCheck, HttpUrl, HttpVersion, TlsCheck};

use super::check::{Checks, one};
use super::connection::Connection;
use super::service::Inherited;
use super::timers::Defaults;
use super::tree::Item;
use super::{url, value};
use crate::foreign::note::Notes;

pub(super) fn read(item: &Item, outer: &Inherited, server: Option<IpAddr>, notes: &mut Notes) -> Checks {
    let known =
        ["http_protocol", "fast_recovery", "url", "virtualhost", "enable_sni", "sni_name", "tls_compliant"];
    let encrypted = item.name() == "SSL_GET";
    let mut check = HttpCheck { version: HttpVersion::Http10, ..HttpCheck::default() };
    let (mut host, mut sni, mut sni_name, mut fast) = (None, false, None, false);
    let mut pages = 0;
    let connection = Connection::read(item, server, &known, notes, |item, notes| {
        match item.name() {
            "http_protocol" => check.version = version(item, notes).unwrap_or(HttpVersion::Http10),
            // No delay between pages, which is what there is here anyway.
            "fast_recovery" => fast = value::switch(item, notes),
            "url" => {
                pages += 1;
                check.urls.extend(url::read(item, notes));
            }
            "virtualhost" => host = value::word(item, "www.example", notes).map(str::to_owned),
            "enable_sni" | "sni_name" | "tls_compliant" if !encrypted => {
                let text = format!("`{}` is about TLS, which HTTP_GET does not speak", item.name());
                notes.unhandled(item.place(), text, "delete it, or write SSL_GET");
            }
            "enable_sni" => sni = value::switch(item, notes),
            "sni_name" => sni_name = value::word(item, "www.example", notes).map(str::to_owned),
            "tls_compliant" => {
                let text = "a server may always end its connections without a last word of TLS";
                notes.unhandled(item.place(), text, "nothing has to be done");
            }
            _ => return false,
        }
        true
    });
    if pages == 0 {
        let help = "add url { path / status_code 200 }, with a line for each of the two";
        notes.error(item.place(), format!("this {} asks for no page", item.name()), help);
    }
    if check.urls.len() > 1 && !fast {
        let text = "all pages are asked for each time; keepalived asks for one after each delay_loop";
        notes.changed(
            item.place(),
            text,
            "nothing has to be done: with `fast_recovery` keepalived does not wait in between either",
        );
    }
    let host = host.or_else(|| outer.virtualhost.clone());
    for url in &mut check.urls {
        url.host = url.host.take().or_else(|| host.clone());
    }
    if encrypted {
        let sni = sni_name.or_else(|| if sni { name_for(item, &check.urls, notes) } else { None });
        let sni = sni.and_then(|name| without_port(name, item, notes));
        check.tls = Some(TlsCheck { sni, ..TlsCheck::default() });
    }
    vec![one(connection, CheckKind::Http(check), Defaults::HTTP, outer.timers)]
}

/// The name that is asked for where `enable_sni` is written: that of the pages.
fn name_for(item: &Item, urls: &[HttpUrl], notes: &mut Notes) -> Option<String> {
    let name = urls.iter().find_map(|url| url.host.clone());
    if name.is_none() {
        let text = "`enable_sni` needs a name, and no virtualhost is written";
        notes.changed(item.place(), text, "add virtualhost www.example, or delete enable_sni");
    } else if urls.iter().any(|url| url.host != name) {
        let text = "one handshake is made for all pages of a check, with the first one's name";
        notes.changed(item.place(), text, "write an SSL_GET for each virtualhost");
    }
    name
}

/// What can stand in a handshake: neither port nor address.
fn without_port(name: String, item: &Item, notes: &mut Notes) -> Option<String> {
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (name.as_str(), None),
    };
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        let text = format!("`{name}` is an address, which SNI cannot say: none is sent");
        notes.changed(item.place(), text, "add sni_name www.example, or delete enable_sni");
        return None;
    }
    if port.is_some() {
        let text = format!("SNI says no port: it is `{host}`");
        notes.changed(item.place(), text, format!("add sni_name {host}"));
    }
    Some(host.to_owned())
}

fn version(item: &Item, notes: &mut Notes) -> Option<HttpVersion> {
    match value::word(item, "1.1", notes)?.to_ascii_uppercase().as_str() {
        "1.0" => Some(HttpVersion::Http10),
        "1.0C" => Some(HttpVersion::Http10Close),
        "1.1" => Some(HttpVersion::Http11),
        other => {
            let text = format!("there is no version `{other}` of HTTP here");
            notes.error(item.place_of(0), text, "write 1.0, 1.0C or 1.1");
            None
        }
    }
}

/// What a page's text has to be, for [`url::read`].
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) digest: Option<String>,
    pub(super) regex: Option<String>,
    pub(super) negate: bool,
    pub(super) flags: String,
    pub(super) min_offset: usize,
    pub(super) max_offset: usize,
}

impl Body {
    pub(super) fn tests(self) -> Vec<BodyTest> {
        let Self { digest, regex, negate, flags, min_offset, max_offset } = self;
        let pattern = |text: String| if flags.is_empty() { text } else { format!("(?{flags}){text}") };
        let regex =
            regex.map(|text| BodyTest::Regex { pattern: pattern(text), negate, min_offset, max_offset });
        regex.into_iter().chain(digest.map(BodyTest::Digest)).collect()
    }
}
