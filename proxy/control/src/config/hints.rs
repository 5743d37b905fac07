//! Keys that nobody knows here, and what is meant by them: those of other programs, and ours in another section.

use super::schema::OF_HEALTH;
use crate::nearest::nearest;

/// What others call it, and what it is called here.
const RENAMED: &[(&str, &str)] = &[
    ("type", "kind"),
    ("checktype", "kind"),
    ("delay_loop", "interval"),
    ("checkinterval", "interval"),
    ("connect_timeout", "timeout"),
    ("checktimeout", "timeout"),
    ("negotiatetimeout", "timeout"),
    ("misc_timeout", "timeout"),
    ("retry", "fall"),
    ("retries", "fall"),
    ("failurecount", "fall"),
    ("delay_before_retry", "fast_interval"),
    ("jitter", "warmup"),
    ("connect_ip", "address"),
    ("connect_port", "port"),
    ("checkport", "port"),
    ("bindto", "bind"),
    ("bind_if", "device"),
    ("fwmark", "mark"),
    ("status_code", "status"),
    ("code", "status"),
    ("url", "path"),
    ("uri", "path"),
    ("request", "path"),
    ("virtualhost", "host"),
    ("httpmethod", "method"),
    ("http_protocol", "version"),
    ("body", "keyword"),
    ("expect", "keyword"),
    ("expected", "keyword"),
    ("receive", "keyword"),
    ("expect", "reply"),
    ("expected", "reply"),
    ("receive", "reply"),
    ("enable_sni", "sni"),
    ("sni_name", "sni"),
    ("helo_name", "helo"),
    ("query", "name"),
    ("misc_path", "command"),
    ("checkcommand", "command"),
    ("script", "command"),
    ("misc_dynamic", "dynamic"),
    ("track_file", "path"),
    ("sorry_server", "sorry"),
    ("fallback", "sorry"),
    ("inhibit_on_failure", "inhibit"),
    ("quiescent", "inhibit"),
    ("alpha", "initially"),
    ("omega", "notify"),
    ("quorum_up", "notify"),
    ("quorum_down", "notify"),
    ("notify_up", "notify"),
    ("notify_down", "notify"),
    ("real_server", "server"),
    ("lvs_sched", "scheduler"),
    ("lb_algo", "scheduler"),
    ("lvs_method", "method"),
    ("lb_kind", "method"),
    ("persistence_timeout", "persistence"),
    ("uthreshold", "upper"),
    ("lthreshold", "lower"),
];

/// Where keys belong that are not where they stand.
const PLACES: &[(&str, &[&str])] = &[
    (
        "[[service.check]]",
        &["interval", "fast_interval", "timeout", "fall", "rise", "window", "warmup", "via"],
    ),
    ("[service.health]", OF_HEALTH),
    ("[[service.server]]", &["weight", "method", "tunnel", "upper", "lower", "slow_start"]),
    ("[[service]]", &["vip", "ports", "scheduler", "persistence", "check", "server"]),
];

/// The way out for a key that is not one of the known.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    let ours = RENAMED.iter().find(|(theirs, ours)| *theirs == key && known.contains(ours));
    if let Some(best) = ours.map(|(_, ours)| *ours).or_else(|| nearest(key, known.iter().copied())) {
        return format!("did you mean `{best}`?");
    }
    let list = known.join(", ");
    match PLACES.iter().find(|(_, keys)| keys.contains(&key)) {
        Some((place, _)) => format!("it belongs to {place}; known here: {list}"),
        None => format!("known here: {list}"),
    }
}

#[test]
fn a_key_of_one_section_is_sent_there_and_one_of_several_is_not() {
    assert_eq!(unknown("rise", &["address"]), "it belongs to [[service.check]]; known here: address");
    assert_eq!(unknown("kind", &["address"]), "known here: address");
}
