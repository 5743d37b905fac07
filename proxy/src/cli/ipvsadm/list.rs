//! `-L` in its forms, and `-S`.

use std::fmt;

use control::api::{ConnQuery, ServiceView};
use control::save;

use super::request::Request;
use super::resolve::names;
use super::rules::Kind;
use super::{Engine, Failure, World, format, json};
use format::Columns;

/// Connections fetched at a time: bounds the memory that a large table takes.
const PAGE: usize = 10_000;

/// `-L`, `-l`, or nothing at all.
pub(super) fn list(world: &mut World<'_>, request: &Request) -> Result<(), Failure> {
    let mut engine = (world.connect)()?;
    if request.has(Kind::Timeout) {
        let timeouts = engine.status()?.timeouts;
        let text =
            if request.has(Kind::Json) { json::timeouts(&timeouts)? } else { format::timeouts(&timeouts) };
        return Ok(world.out.write_all(text.as_bytes())?);
    }
    if request.has(Kind::Daemon) {
        // There is none, and of none there is nothing to say. The engine was asked so that it is known to be there.
        let text = if request.has(Kind::Json) { json::daemons()? } else { String::new() };
        return Ok(world.out.write_all(text.as_bytes())?);
    }
    if request.has(Kind::Connection) {
        return connections(world, request, engine.as_mut());
    }
    let mut services = engine.services()?.services;
    if let Some(key) = request.service {
        services.retain(|s| s.key == key);
        if services.is_empty() {
            return Err(Failure { message: "No such service".to_owned(), code: Failure::NOT_LISTED });
        }
    }
    if request.has(Kind::Json) {
        return Ok(world.out.write_all(json::services(&services)?.as_bytes())?);
    }
    let columns = columns(request);
    let mut text = String::new();
    if request.service.is_none() {
        text.push_str(format::VERSION_LINE);
    }
    text.push_str(format::header(columns));
    let names = names(request.numeric(), world.names);
    for service in &services {
        infallible(format::service(&mut text, service, columns, names.as_ref()));
    }
    Ok(world.out.write_all(text.as_bytes())?)
}

/// Of several formats the first in this order wins.
fn columns(request: &Request) -> Columns {
    let exact = request.has(Kind::Exact);
    [
        (Kind::Stats, Columns::Stats { exact }),
        (Kind::Rate, Columns::Rates { exact }),
        (Kind::Thresholds, Columns::Thresholds),
        (Kind::PersistentConn, Columns::Persistence),
        (Kind::TunInfo, Columns::Tunnels),
    ]
    .into_iter()
    .find(|(kind, _)| request.has(*kind))
    .map_or(Columns::Plain, |(_, columns)| columns)
}

fn connections(world: &mut World<'_>, request: &Request, engine: &mut dyn Engine) -> Result<(), Failure> {
    let names = names(request.numeric(), world.names);
    let engines = request.has(Kind::PersistentConn);
    let mut query = ConnQuery { limit: PAGE, ..ConnQuery::default() };
    let mut rows = request.has(Kind::Json).then_some(json::Rows::CONNECTIONS);
    let mut text = if rows.is_some() { String::new() } else { format::connection_header(engines).to_owned() };
    loop {
        let page = engine.connections(&query)?;
        for conn in &page.connections {
            match &mut rows {
                Some(rows) => rows.connection(&mut text, conn)?,
                None => infallible(format::connection(&mut text, conn, engines, names.as_ref())),
            }
        }
        if let (Some(rows), None) = (&rows, page.next) {
            rows.end(&mut text);
        }
        world.out.write_all(text.as_bytes())?;
        text.clear();
        let Some(next) = page.next else { return Ok(()) };
        query.cursor = next;
    }
}

/// `-S`. Under `compat = "ipvs"` it loses what stock ipvsadm loses.
pub(super) fn save(world: &mut World<'_>, numeric: bool) -> Result<(), Failure> {
    let mut engine = (world.connect)()?;
    let all = engine.services()?;
    let specs: Vec<_> = all.services.iter().map(ServiceView::spec).collect();
    let status = engine.status()?;
    let names = names(numeric, world.names);
    let mut text = String::new();
    infallible(match status.compat {
        true => save::write_stock(&mut text, &specs, names.as_ref()),
        false => save::write(&mut text, &specs, &all.lips, status.timeouts, names.as_ref()),
    });
    Ok(world.out.write_all(text.as_bytes())?)
}

/// Writing to a [`String`] cannot fail.
fn infallible(result: fmt::Result) {
    debug_assert!(result.is_ok());
}
