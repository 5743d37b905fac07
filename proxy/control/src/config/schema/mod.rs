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
mod tcp;
mod tls;
mod values;

use toml::de::DeTable;

use super::Config;
use super::problem::Problem;
use super::reader::{Problems, Section};

pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let (root, syntax) = DeTable::parse_recoverable(text);
    for e in &syntax {
        let help = "see https://toml.io for how TOML is written";
        problems.note(e.span().unwrap_or_default(), e.message(), help);
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
