//! Names of checks and laboratories, as `--only` takes them.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use control::nearest::nearest;

use crate::doctor::ALL;

/// The name of a check or a laboratory: which of them may be said depends on --lab, so shells offer both, and who mistypes
/// one is told later.
#[derive(Clone, Debug)]
pub(super) struct Name;

impl TypedValueParser for Name {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let laboratories = lab::mistake::names().filter(|name| ALL.iter().all(|check| check.name != *name));
        Some(Box::new(ALL.iter().map(|check| check.name).chain(laboratories).map(PossibleValue::new)))
    }
}

/// Why a check of this name is not made, if it is not.
pub(super) fn not_made(name: &str, real: bool) -> Option<String> {
    match ALL.iter().find(|check| check.name == name) {
        None if lab::mistake::names().any(|laboratory| laboratory == name) => {
            Some(format!("{name} is a laboratory: add --lab"))
        }
        None => {
            let names = ALL.iter().filter(|check| check.real == real).map(|check| check.name);
            let near = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
            let near = near.unwrap_or_default();
            Some(format!("there is no check `{name}`{near} (`ulvs doctor --list` lists them)"))
        }
        Some(check) if check.real && !real => {
            Some(format!("the check {name} is for real servers: add --real"))
        }
        Some(check) if !check.real && real => {
            Some(format!("the check {name} is for directors: leave out --real"))
        }
        Some(_) => None,
    }
}
