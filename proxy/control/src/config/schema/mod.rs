//! What the keys mean.

mod address;
mod engine;
mod health;
mod lip;
mod mark;
mod ports;
mod server;
mod service;
mod settings;
mod syntax;
mod tcp;
mod tls;
mod values;

pub(super) use health::KNOWN as OF_HEALTH;
pub use values::is_device_name;

use toml::de::DeTable;

use super::Config;
use super::problem::Problem;
use super::reader::{Problems, Section};

pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let (root, syntax) = DeTable::parse_recoverable(text);
    if let Some(problem) = (!syntax.is_empty()).then(|| syntax::of_another_program(text)).flatten() {
        return Err(vec![problem]);
    }
    for e in &syntax {
        let span = e.span().unwrap_or_default();
        problems.note(span.clone(), e.message(), syntax::way_out(text, &span));
    }
    if !problems.is_empty() {
        return Err(problems.into_vec());
    }
    let known = ["compat", "engine", "timeouts", "sysctl", "ulvs", "lip", "health", "service", "mark"];
    let root = Section::new(root.get_ref(), 0..0, "the file", &known, &mut problems);
    let engine = engine::engine(&root, &mut problems);
    let settings = settings::settings(&root, &mut problems);
    let lips = lip::shared(&root, &mut problems);
    let mut marks = mark::rules(&root, &mut problems);
    let (services, of_sets) = service::services(&root, &mut problems);
    marks.extend(of_sets);
    if problems.is_empty() {
        Ok(Config { engine, settings, lips, services, marks })
    } else {
        Err(problems.into_vec())
    }
}
