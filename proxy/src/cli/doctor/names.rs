//! Names of checks and laboratories, as `--only` takes them.

use control::nearest::meant;

use crate::doctor::ALL;

/// Those of checks and of laboratories. Which of them may be said depends on --lab: shells offer both.
pub(super) fn names() -> Vec<&'static str> {
    let laboratories = lab::mistake::names().filter(|name| ALL.iter().all(|check| check.name != *name));
    ALL.iter().map(|check| check.name).chain(laboratories).collect()
}

/// Why a check of this name is not made, if it is not.
pub(super) fn not_made(name: &str, real: bool) -> Option<String> {
    match ALL.iter().find(|check| check.name == name) {
        None if lab::mistake::names().any(|laboratory| laboratory == name) => {
            Some(format!("{name} is a laboratory: add --lab"))
        }
        None => {
            let names = ALL.iter().filter(|check| check.real == real).map(|check| check.name);
            let near = meant(name, names);
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
