//! `[engine]`.

use std::num::NonZeroUsize;

use toml::de::DeValue;

use super::super::reader::{Problems, Section, integer};
use super::super::{EngineConfig, Offload, Workers};

pub(super) fn engine(root: &Section<'_>, problems: &mut Problems) -> EngineConfig {
    let mut config = EngineConfig::default();
    let Some((table, span)) = root.table("engine", "[engine]", problems) else { return config };
    let known = ["workers", "offload", "max_connections", "device"];
    let section = Section::new(table, span, "[engine]", &known, problems);
    if let Some(value) = section.value("workers") {
        match value.get_ref() {
            DeValue::String(s) if s == "auto" => {}
            n => match integer(n)
                .and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?))
                .filter(|n| n.get() <= 64)
            {
                Some(n) => config.workers = Workers::Count(n),
                None => problems.note(
                    value.span(),
                    "`workers` is neither \"auto\" nor a usable number",
                    "write workers = \"auto\" or a number from 1 to 64",
                ),
            },
        }
    }
    if let Some(value) = section.value("offload") {
        match value.get_ref() {
            DeValue::Boolean(true) => config.offload = Offload::On,
            DeValue::Boolean(false) => config.offload = Offload::Off,
            DeValue::String(s) if s == "auto" => {}
            _ => problems.note(
                value.span(),
                "`offload` is neither \"auto\" nor true nor false",
                "\"auto\" uses the kernel's offloads where it has them, true insists on them, false does without",
            ),
        }
    }
    if let Some(n) = section.integer("max_connections", 1..=1 << 30, problems) {
        let n = usize::try_from(n.value).ok().and_then(NonZeroUsize::new);
        config.max_connections = n.unwrap_or(config.max_connections);
    }
    if let Some(name) = section.string("device", "\"ulvs0\"", problems) {
        if is_device_name(name.value) {
            name.value.clone_into(&mut config.device);
        } else {
            let help = "1 to 15 characters, no blanks, no slash and no colon: device = \"ulvs0\"";
            problems.note(name.span, format!("`{}` cannot be the name of a device", name.value), help);
        }
    }
    config
}

/// What the kernel's `dev_valid_name` takes; also no `%`, which would make it a pattern.
fn is_device_name(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | ':' | '%');
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}
