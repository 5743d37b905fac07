//! Local addresses for FullNAT: `[[lip]]` and `lips` of a service.

use std::net::IpAddr;
use std::ops::Range;

use sched::{DestSpec, Family, ForwardMethod};

use super::super::reader::{At, Problems, Section};
use super::address::unicast;
use super::service::Identity;

const LIP: &str = "\"192.168.1.250\"";

/// Those of `[[lip]]`.
pub(super) fn shared(root: &Section<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let mut lips = Vec::new();
    for table in root.tables("lip", "[[lip]]", problems) {
        let section =
            Section::new(table.value, table.span.clone(), "this local address", &["address"], problems);
        if let Some(text) = section.required("address", LIP, problems) {
            add(&mut lips, &text, problems);
        }
    }
    lips
}

/// `lips = ["192.168.1.250"]`.
pub(super) fn of_service(
    section: &Section<'_>,
    identity: &Identity,
    dests: &[DestSpec],
    problems: &mut Problems,
) -> Vec<IpAddr> {
    let mut lips = Vec::new();
    if section.value("lips").is_none() {
        return lips;
    }
    let Some(array) = section.array("lips", &format!("[{LIP}]"), problems) else { return lips };
    for item in array.value.iter() {
        match item.get_ref().as_str() {
            Some(value) => {
                let text = At { value, span: item.span() };
                let lip = add(&mut lips, &text, problems);
                check_family(lip, identity.family, text.span, problems);
            }
            None => {
                let help = format!("for example lips = [{LIP}]");
                problems.note(item.span(), "a local address is written as a string", help);
            }
        }
    }
    // A front in user space speaks with all servers from there.
    let fronted = section.value("tls").is_some();
    if !fronted && !dests.is_empty() && dests.iter().all(|dest| dest.method != ForwardMethod::FullNat) {
        let help = "write method = \"fullnat\" for the servers that shall see them, or delete the line";
        problems.note(section.place_of("lips"), "no server of this service sees its `lips`", help);
    }
    lips
}

fn add(lips: &mut Vec<IpAddr>, text: &At<&str>, problems: &mut Problems) -> Option<IpAddr> {
    let Ok(lip) = text.value.parse::<IpAddr>() else {
        let help = format!("write the number, without a port: {LIP}");
        problems.note(text.span.clone(), format!("`{}` is not an IP address", text.value), help);
        return None;
    };
    let lip = unicast(lip, text, "a local address", problems)?;
    if lip.is_loopback() || matches!(lip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        let help = "take an address that servers can answer to";
        problems.note(text.span.clone(), format!("{lip} is of no use to other hosts"), help);
        return None;
    }
    if lips.contains(&lip) {
        problems.note(
            text.span.clone(),
            format!("the local address {lip} is there already"),
            "delete one of the two",
        );
        return None;
    }
    lips.push(lip);
    Some(lip)
}

fn check_family(lip: Option<IpAddr>, family: Option<Family>, place: Range<usize>, problems: &mut Problems) {
    if let (Some(lip), Some(family)) = (lip, family)
        && Family::from(lip) != family
    {
        let help = "FullNAT stays within a family: write an address of the service's";
        problems.note(place, "local address and service are of different address families", help);
    }
}
