//! `-L` in its forms, and `-S`.

use std::fmt;

use control::api::{ConnQuery, ServiceView};

use super::opts::Kind;
use super::request::Request;
use super::resolve::names;
use super::{Engine, Failure, World, format};
use format::Columns;

/// Connections fetched at a time: bounds the memory that a large table takes.
const PAGE: usize = 10_000;

/// `-L`, `-l`, or nothing at all.
pub(super) fn list(world: &mut World<'_>, request: &Request) -> Result<(), Failure> {
    let mut engine = (world.connect)()?;
    if request.has(Kind::Timeout) {
        let timeouts = engine.status()?.timeouts;
        return Ok(world.out.write_all(format::timeouts(&timeouts).as_bytes())?);
    }
    if request.has(Kind::Connection) {
        return connections(world, request, engine.as_mut());
    }
    let columns = if request.has(Kind::Stats) {
        Columns::Stats { exact: request.has(Kind::Exact) }
    } else {
        Columns::Plain
    };
    let mut services = engine.services()?.services;
    let mut text = String::new();
    match request.key() {
        Some(key) => {
            services.retain(|s| s.key == key);
            if services.is_empty() {
                return Err(Failure { message: "No such service".to_owned(), code: Failure::NOT_LISTED });
            }
        }
        None => text.push_str(format::VERSION_LINE),
    }
    text.push_str(format::header(columns));
    let names = names(request.numeric(), world.names);
    for service in &services {
        infallible(format::service(&mut text, service, columns, names.as_ref()));
    }
    Ok(world.out.write_all(text.as_bytes())?)
}

fn connections(world: &mut World<'_>, request: &Request, engine: &mut dyn Engine) -> Result<(), Failure> {
    let names = names(request.numeric(), world.names);
    let mut query = ConnQuery { limit: PAGE, ..ConnQuery::default() };
    let mut text = format::CONNECTION_HEADER.to_owned();
    loop {
        let page = engine.connections(&query)?;
        for conn in &page.connections {
            infallible(format::connection(&mut text, conn, names.as_ref()));
        }
        world.out.write_all(text.as_bytes())?;
        text.clear();
        let Some(next) = page.next else { return Ok(()) };
        query.cursor = next;
    }
}

/// `-S`.
pub(super) fn save(world: &mut World<'_>, numeric: bool) -> Result<(), Failure> {
    let services = (world.connect)()?.services()?.services;
    let specs: Vec<_> = services.iter().map(ServiceView::spec).collect();
    let mut text = String::new();
    infallible(control::save::write(&mut text, &specs, names(numeric, world.names).as_ref()));
    Ok(world.out.write_all(text.as_bytes())?)
}

/// Writing to a [`String`] cannot fail.
fn infallible(result: fmt::Result) {
    debug_assert!(result.is_ok());
}
