//! What follows from the answers: `sorry`, `quorum`, `passive`, `damping`.

use sched::{CheckKind, Damping, Health, Passive};
use toml::de::DeValue;

use super::super::super::reader::{Problems, Section};
use super::super::server::{self, Server};
use super::super::service::Identity;
use super::check::Asked;

/// What a server has that can be sorry.
const SORRY: &[&str] = &["address", "weight", "method", "tunnel", "upper", "lower", "inhibit"];
const MAX_TIME: u32 = 30 * 86_400_000;
const MAX_COUNT: u64 = 1_000_000;

/// `sorry = { address = "10.0.0.9:80", method = "nat", inhibit = true }`.
pub(super) fn sorry(
    section: &Section<'_>,
    identity: &Identity,
    servers: &[Server<'_>],
    health: &mut Health,
    problems: &mut Problems,
) {
    let Some((table, span)) = section.table("sorry", "[service.health.sorry]", problems) else { return };
    let inner = Section::new(table, span, "`sorry`", SORRY, problems);
    health.sorry_inhibit = inner.boolean("inhibit", problems).is_some_and(|on| on.value);
    let Some((dest, place)) = server::server(&inner, identity, problems) else { return };
    if servers.iter().any(|server| server.dest.addr == dest.addr) {
        let help = "it would go down with the others: take another address, or delete the server";
        problems.note(place, format!("the sorry server {} is one of the servers", dest.addr), help);
    } else if dest.weight.0 == 0 {
        let help = "delete `weight`: it is 1 then";
        problems.note(inner.place_of("weight"), "a sorry server of weight 0 serves nobody", help);
    }
    health.sorry = Some(dest);
}

/// `quorum` and `hysteresis`, which the weights have to reach where checks leave them as they are.
pub(super) fn quorum(
    section: &Section<'_>,
    servers: &[Server<'_>],
    dynamic: bool,
    health: &mut Health,
    problems: &mut Problems,
) {
    let before = problems.len();
    let max = u64::from(u32::MAX / 2);
    let number = |key, low, problems: &mut Problems| {
        section.integer(key, low..=max, problems).and_then(|n| u32::try_from(n.value).ok())
    };
    health.quorum = number("quorum", 1, problems).unwrap_or(health.quorum);
    health.hysteresis = number("hysteresis", 0, problems).unwrap_or(health.hysteresis);
    let Some(key) = ["quorum", "hysteresis"].into_iter().find(|key| section.value(key).is_some()) else {
        return;
    };
    let (quorum, hysteresis) = (health.quorum, health.hysteresis);
    if problems.len() == before && hysteresis >= quorum {
        let text =
            format!("no service has less than {quorum} - {hysteresis}: its quorum would never be lost");
        problems.note(section.place_of("hysteresis"), text, "make `hysteresis` smaller than `quorum`");
    }
    let sum: u64 = servers.iter().map(|server| u64::from(server.dest.weight.0)).sum();
    let needed = u64::from(quorum) + u64::from(hysteresis);
    if problems.len() > before || servers.is_empty() || dynamic || needed <= sum {
        return;
    }
    let text = match hysteresis {
        0 => format!("the servers' weights add up to {sum}, never to a quorum of {needed}"),
        _ => format!("the servers' weights add up to {sum}, never to quorum + hysteresis, which is {needed}"),
    };
    problems.note(section.place_of(key), text, "make it smaller, or raise the weights of servers");
}

/// Whether one of these changes weights.
pub(super) fn is_dynamic(asked: &Asked<'_>) -> bool {
    match &asked.check.kind {
        CheckKind::Exec(exec) => exec.dynamic,
        CheckKind::File(file) => file.dynamic,
        _ => false,
    }
}

/// `passive = true`, or `{ fall = 3, hold = "5s", max_hold = "5m" }`.
pub(super) fn passive(section: &Section<'_>, problems: &mut Problems) -> Option<Passive> {
    let mut passive = Passive::default();
    let table = match section.value("passive")?.get_ref() {
        DeValue::Boolean(on) => return on.then_some(passive),
        _ => section.table("passive", "[service.health.passive]", problems),
    };
    let (table, span) = table?;
    let inner = Section::new(table, span, "`passive`", &["fall", "hold", "max_hold"], problems);
    let fall = inner.integer("fall", 1..=MAX_COUNT, problems);
    passive.fall = fall.and_then(|n| n.value.try_into().ok()).unwrap_or(passive.fall);
    passive.hold = inner.millis("hold", 1..=MAX_TIME, problems).map_or(passive.hold, |t| t.value);
    let max = inner.millis("max_hold", 1..=MAX_TIME, problems);
    passive.max_hold = max.map_or_else(|| passive.max_hold.max(passive.hold), |t| t.value);
    if passive.max_hold < passive.hold {
        let help = "a server is left alone for `hold` first, and for `max_hold` at last: exchange them";
        problems.note(inner.place_of("max_hold"), "`max_hold` is shorter than `hold`", help);
    }
    Some(passive)
}

/// `damping = { flaps = 3, within = "60s", hold = "5m" }`.
pub(super) fn damping(section: &Section<'_>, problems: &mut Problems) -> Option<Damping> {
    let (table, span) = section.table("damping", "[service.health.damping]", problems)?;
    let inner = Section::new(table, span, "`damping`", &["flaps", "within", "hold"], problems);
    for (key, example) in [("flaps", "3"), ("within", "\"60s\""), ("hold", "\"5m\"")] {
        if inner.value(key).is_none() {
            inner.missing(key, example, problems);
        }
    }
    let flaps = inner.integer("flaps", 1..=1000, problems);
    let within = inner.millis("within", 1..=MAX_TIME, problems);
    let hold = inner.millis("hold", 1..=MAX_TIME, problems);
    Some(Damping { flaps: flaps?.value.try_into().ok()?, within: within?.value, hold: hold?.value })
}
