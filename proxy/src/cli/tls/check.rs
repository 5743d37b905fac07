//! The fronts of a configuration, for `ulvs check`.

use std::path::Path;

use control::config::Config;
use control::state;
use sched::{ServiceTable, Trash};

use crate::front;
use crate::reason::reason;

/// What somebody should look at, or what the engine would refuse, a line each.
pub(in super::super) fn check(file: &Path, config: &Config) -> Result<Vec<String>, String> {
    let mut ops = state::diff(&[], config.services());
    ops.extend(state::diff_marks(&[], config.marks()));
    let table = ServiceTable::default().apply(&mut Trash::default(), &ops);
    let table = table.map_err(|(i, error)| format!("{}: cannot {}: {error}", file.display(), ops[i]))?;
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for service in table.services() {
        let Some(front) = &service.tls else { continue };
        let word = service.key.word();
        let named = |text: String| format!("{word}: {text}");
        if table.front_vips(service).is_empty() {
            let text = "no [[mark]] says which address has its mark: add one, or name addresses with `vips`";
            warnings.push(named(text.to_owned()));
        }
        match front::check(front) {
            Ok(found) => warnings.extend(found.iter().map(|warning| named(warning.to_string()))),
            Err(error) => errors.push(format!("{}: {}", file.display(), named(reason(&error)))),
        }
    }
    if errors.is_empty() { Ok(warnings) } else { Err(errors.join("\n")) }
}
