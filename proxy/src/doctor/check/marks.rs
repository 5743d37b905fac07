//! Firewall marks: rules that set one for no service, services that no rule sets the mark of.

use std::collections::BTreeSet;

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use sched::{Family, Mark, ServiceKey};

pub(super) const CHECK: Check = Check {
    name: "marks",
    about: "marks without a service, services whose mark nobody sets",
    real: false,
    needs: Needs::State,
    find,
};

const UNSET: &str = "no packet has the mark, so that none is for the service. Rules of the kernel's iptables do not count: \
                     packets come to the engine without its marks. Another VIP, other ports: \
                     `ulvs mark add --help`";
const UNUSED: &str = "packets get a mark that no service is made of, and go on as if they had none. Make a service \
                      of it with `ipvsadm -A -f`, or delete the rule";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut served = BTreeSet::new();
    for service in &facts.services {
        let ServiceKey::Mark { mark, family } = service.key else { continue };
        served.insert((family, mark));
        if facts.marks.iter().any(|rule| rule.family == family && rule.set.can_make(mark)) {
            continue;
        }
        let saw = format!("no rule sets the mark {}", mark.0);
        let finding = Finding::fault(format!("service {}", service.key.word()), saw, UNSET);
        let vip = facts.vips().into_iter().find(|vip| Family::from(*vip) == family);
        found.push(match vip.filter(|_| facts.engine.is_some()) {
            Some(vip) => {
                finding.cure(format!("ulvs mark add {} --dest {vip} --proto tcp --ports 80,443", mark.0))
            }
            None => finding,
        });
    }
    let mut told = BTreeSet::new();
    for rule in facts.marks.iter().filter(|rule| rule.set.mask == u32::MAX) {
        let Some(mark) = std::num::NonZeroU32::new(rule.set.value).map(Mark) else { continue };
        let known = served.iter().any(|(family, served)| *family == rule.family && *served == mark);
        if known || !told.insert((rule.family, mark)) {
            continue;
        }
        let saw = format!("a rule sets it ({rule}), and there is no service of it");
        let finding = Finding::warning(format!("mark {}", mark.0), saw, UNUSED);
        let number =
            facts.marks.iter().filter(|r| r.family == rule.family).position(|r| r == rule).unwrap_or(0) + 1;
        let ipv6 = if rule.family == Family::Ipv6 { " -6" } else { "" };
        let running = facts.engine.is_some();
        found.push(if running { finding.cure(format!("ulvs mark del {number}{ipv6}")) } else { finding });
    }
    found
}
