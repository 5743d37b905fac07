//! `[engine]`.

use std::num::NonZeroUsize;

use toml::de::DeValue;

use super::super::reader::{Problems, Section, integer};
use super::super::{EngineConfig, Offload, Port, Workers};
use super::values::is_device_name;

pub(super) fn engine(root: &Section<'_>, problems: &mut Problems) -> EngineConfig {
    let mut config = EngineConfig::default();
    let Some((table, span)) = root.table("engine", "[engine]", problems) else { return config };
    let known = ["workers", "offload", "max_connections", "device", "port", "interfaces"];
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
    if let Some(port) = section.string("port", "\"packet\"", problems) {
        match port.value {
            "tun" => config.port = Port::Tun,
            "packet" => config.port = Port::Packet,
            "auto" => config.port = Port::Auto,
            other => {
                let help =
                    "\"tun\" goes by the host's stack, \"packet\" past it, \"auto\" past it where that works";
                problems.note(port.span, format!("there is no port `{other}`"), help);
            }
        }
    }
    if section.value("interfaces").is_some()
        && let Some(names) = section.array("interfaces", "[\"eth0\", \"eth1\"]", problems)
    {
        for name in names.value {
            match name.get_ref().as_str().filter(|name| is_device_name(name)) {
                Some(name) => config.interfaces.push(name.to_owned()),
                None => problems.note(
                    name.span(),
                    "this cannot be the name of a device",
                    "name devices as `ip link` shows them: interfaces = [\"eth0\", \"eth1\"]",
                ),
            }
        }
    }
    config
}
