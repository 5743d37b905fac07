//! `compat`, `[timeouts]`, `[sysctl]` and `[ulvs]`.

use toml::de::DeValue;

use super::super::Chosen;
use super::super::reader::{Problems, Section};
use crate::settings::{Sysctl, Timeouts};

pub(super) fn settings(root: &Section<'_>, problems: &mut Problems) -> Chosen {
    let compat = root.string("compat", "\"ipvs\"", problems);
    if let Some(other) = compat.as_ref().filter(|c| c.value != "ipvs") {
        let text = format!("there is no `{}` to be compatible with", other.value);
        let help =
            "compat = \"ipvs\" copies the kernel where it is poor, too; leave the line out to be better";
        problems.note(other.span.clone(), text, help);
    }
    let mut chosen = Chosen { compat: compat.is_some(), ..Chosen::default() };
    timeouts(root, &mut chosen.timeouts, problems);
    for (key, prefix) in [("sysctl", Sysctl::KERNEL_PREFIX), ("ulvs", Sysctl::OUR_PREFIX)] {
        sysctls(root, key, prefix, &mut chosen.sysctls, problems);
    }
    chosen
}

fn timeouts(root: &Section<'_>, timeouts: &mut Timeouts, problems: &mut Problems) {
    let Some((table, span)) = root.table("timeouts", "[timeouts]", problems) else { return };
    let known = timeouts.named().map(|(name, _)| name);
    let section = Section::new(table, span, "[timeouts]", &known, problems);
    let range = u64::from(*Timeouts::RANGE.start())..=u64::from(*Timeouts::RANGE.end());
    for (name, field) in
        [("tcp", &mut timeouts.tcp), ("tcp_fin", &mut timeouts.tcp_fin), ("udp", &mut timeouts.udp)]
    {
        let seconds = section.integer(name, range.clone(), problems);
        *field = seconds.and_then(|n| n.value.try_into().ok()).unwrap_or(*field);
    }
}

/// A section whose keys are sysctls without their prefix.
fn sysctls(
    root: &Section<'_>,
    key: &str,
    prefix: &str,
    chosen: &mut Vec<(Sysctl, i32)>,
    problems: &mut Problems,
) {
    let Some((table, _)) = root.table(key, &format!("[{key}]"), problems) else { return };
    for (name, value) in table.iter() {
        let sysctl = match Sysctl::find(&format!("{prefix}{}", name.get_ref())) {
            Ok(sysctl) => sysctl,
            Err(error) => {
                problems.note(name.span(), error.what(), error.way_out());
                continue;
            }
        };
        let Some(number) = number(value.get_ref()) else {
            let range = sysctl.about().range;
            let help = format!("write a whole number from {} to {}", range.start(), range.end());
            problems.note(value.span(), format!("`{}` is not a whole number in range", name.get_ref()), help);
            continue;
        };
        match sysctl.accept(number) {
            Ok(value) => chosen.push((sysctl, value)),
            Err(error) => problems.note(value.span(), error.what(), error.way_out()),
        }
    }
}

/// A whole number, or a switch that is true or false.
fn number(value: &DeValue<'_>) -> Option<i32> {
    match value {
        DeValue::Boolean(on) => Some(i32::from(*on)),
        DeValue::Integer(n) => i32::from_str_radix(n.as_str(), n.radix()).ok(),
        _ => None,
    }
}
