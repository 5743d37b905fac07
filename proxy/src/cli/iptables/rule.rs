//! The part of a command line that describes a rule.

use sched::marks::{Interface, Match, PortMatch, PortRange, Prefix, SetMark, Side, flaw};
use sched::{Family, MarkRule, Proto};

use super::super::ipvsadm::resolve::Resolve;
use super::address::prefixes;
use super::command::not_inverse;
use super::error::Failure;
use super::names::{protocol, protocol_number};
use super::options::{Found, Options};

/// What iptables can do with a packet besides marking it.
const OTHER_TARGETS: [&str; 26] = [
    "ACCEPT",
    "DROP",
    "RETURN",
    "QUEUE",
    "REJECT",
    "LOG",
    "DNAT",
    "SNAT",
    "MASQUERADE",
    "REDIRECT",
    "NETMAP",
    "CONNMARK",
    "CONNSECMARK",
    "SECMARK",
    "TPROXY",
    "TOS",
    "DSCP",
    "TTL",
    "HL",
    "TCPMSS",
    "NFLOG",
    "NFQUEUE",
    "CLASSIFY",
    "CHECKSUM",
    "NOTRACK",
    "CT",
];

/// A rule in the making.
#[derive(Debug)]
pub(super) struct Draft {
    family: Family,
    source: Option<Match<Vec<Prefix>>>,
    dest: Option<Match<Vec<Prefix>>>,
    input: Option<Match<Interface>>,
    protocol: Option<Match<u8>>,
    matches: Vec<Loaded>,
    target: Option<String>,
    set: Option<SetMark>,
}

/// A match extension, with what it has been told.
#[derive(Debug)]
enum Loaded {
    Plain { name: String, source: Option<Match<PortRange>>, dest: Option<Match<PortRange>> },
    Multi(Option<(Side, Vec<PortRange>, bool)>),
}

impl Draft {
    pub(super) const fn new(family: Family) -> Self {
        Self {
            family,
            source: None,
            dest: None,
            input: None,
            protocol: None,
            matches: Vec::new(),
            target: None,
            set: None,
        }
    }

    /// Takes an option; false if it is none of a rule's.
    pub(super) fn option(
        &mut self,
        option: &Found,
        options: &mut Options<'_>,
        names: &dyn Resolve,
    ) -> Result<bool, Failure> {
        match option.name.as_str() {
            "source" | "destination" => self.address(option, &options.value(option)?, names)?,
            "protocol" => self.set_protocol(option, &options.value(option)?)?,
            "in-interface" => {
                self.input = Some(interface(option, &options.value(option)?, self.input.is_some())?)
            }
            "out-interface" => return Err(Failure::usage("Can't use -o with PREROUTING\n")),
            "jump" | "goto" => self.jump(option, options.value(option)?)?,
            "match" => self.load(option, &options.value(option)?)?,
            "source-port" | "destination-port" => return self.port(option, options, names),
            "source-ports" | "destination-ports" | "ports" => return self.list(option, options, names),
            "set-mark" | "set-xmark" | "and-mark" | "or-mark" | "xor-mark" => {
                return self.mark(option, options);
            }
            "fragment" | "syn" | "tcp-flags" | "tcp-option" | "chunk-types" | "comment" | "mark" => {
                return Err(outside(&option.spelled, "ulvs matches -s, -d, -p, -i and ports"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The rules: one for each pair of a source and a destination.
    pub(super) fn rules(self) -> Result<Vec<MarkRule>, Failure> {
        match (self.target.as_deref(), self.set) {
            (None, _) => {
                return Err(outside("a rule without -j", "ulvs marks packets: add -j MARK --set-mark N"));
            }
            (Some("MARK"), None) => {
                return Err(Failure::usage(
                    "MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required",
                ));
            }
            (Some("MARK"), Some(_)) => {}
            (Some(other), _) if OTHER_TARGETS.contains(&other) => {
                return Err(outside(
                    &format!("-j {other}"),
                    "ulvs marks packets and does nothing else: use -j MARK",
                ));
            }
            (Some(other), _) => return Err(Failure::usage(format!("Chain '{other}' does not exist"))),
        }
        let ports = self.matches.iter().map(|m| m.finished(self.protocol)).collect::<Result<Vec<_>, _>>()?;
        let one_each = |m: &Option<Match<Vec<Prefix>>>| match m {
            None => vec![None],
            // A prefix of length 0 says nothing.
            Some(m) => m
                .value
                .iter()
                .map(|prefix| {
                    Some(Match { value: *prefix, not: m.not }).filter(|m| m.not || !m.value.is_everything())
                })
                .collect(),
        };
        let mut rules = Vec::new();
        for source in one_each(&self.source) {
            for dest in one_each(&self.dest) {
                if [source, dest].into_iter().flatten().any(|m| m.not && m.value.is_everything()) {
                    return Err(Failure::usage("! and a prefix of length 0: the rule would never match"));
                }
                let rule = MarkRule {
                    source,
                    dest,
                    input: self.input.clone(),
                    protocol: self.protocol,
                    ports: ports.clone(),
                    ..MarkRule::new(self.family, self.set.unwrap_or(SetMark::to(0)))
                };
                if let Some(flaw) = flaw(&rule) {
                    return Err(Failure::usage(flaw));
                }
                rules.push(rule);
            }
        }
        Ok(rules)
    }

    fn address(&mut self, option: &Found, value: &str, names: &dyn Resolve) -> Result<(), Failure> {
        let field = if option.name == "source" { &mut self.source } else { &mut self.dest };
        once(option, field.is_some())?;
        let list = prefixes(value, self.family, &option.spelled, names)?;
        if option.not && list.len() > 1 {
            return Err(Failure::usage("! not allowed with multiple source or destination IP addresses"));
        }
        *field = Some(Match { value: list, not: option.not });
        Ok(())
    }

    fn set_protocol(&mut self, option: &Found, value: &str) -> Result<(), Failure> {
        once(option, self.protocol.is_some())?;
        let number = protocol_number(value)
            .ok_or_else(|| Failure::usage(format!("unknown protocol \"{value}\" specified")))?;
        if number == 0 && option.not {
            return Err(Failure::usage("rule would never match protocol"));
        }
        self.protocol = (number != 0).then_some(Match { value: number, not: option.not });
        Ok(())
    }

    fn jump(&mut self, option: &Found, target: String) -> Result<(), Failure> {
        not_inverse(option)?;
        once(option, self.target.is_some())?;
        if option.name == "goto" {
            return Err(outside("-g", "ulvs has no chains of one's own: use -j MARK"));
        }
        self.target = Some(target);
        Ok(())
    }

    fn load(&mut self, option: &Found, name: &str) -> Result<(), Failure> {
        not_inverse(option)?;
        match name {
            "tcp" | "udp" | "sctp" => self.matches.push(plain(name)),
            "multiport" => self.matches.push(Loaded::Multi(None)),
            _ => return Err(outside(&format!("-m {name}"), "ulvs knows -m tcp, udp, sctp and multiport")),
        }
        Ok(())
    }

    /// `--dport`, of a match that is loaded or of the one that goes with the protocol.
    fn port(
        &mut self,
        option: &Found,
        options: &mut Options<'_>,
        names: &dyn Resolve,
    ) -> Result<bool, Failure> {
        let is_plain = |m: &Loaded| matches!(m, Loaded::Plain { .. });
        if !self.matches.iter().any(is_plain) {
            let implied = self.protocol.filter(|m| !m.not).map(|m| protocol(m.value));
            match implied.filter(|name| matches!(name.as_str(), "tcp" | "udp" | "sctp")) {
                Some(name) => self.matches.push(plain(&name)),
                None => return Ok(false),
            }
        }
        let value = options.value(option)?;
        let range = range(&value, self.proto(), names)?;
        if let Some(Loaded::Plain { source, dest, .. }) = self.matches.iter_mut().rev().find(|m| is_plain(m))
        {
            let field = if option.name == "source-port" { source } else { dest };
            if field.is_some() {
                let name = format!("option \"--{}\" can only be used once.\n", option.name);
                return Err(Failure::usage(name));
            }
            *field = Some(Match { value: range, not: option.not });
        }
        Ok(true)
    }

    /// `--dports`.
    fn list(
        &mut self,
        option: &Found,
        options: &mut Options<'_>,
        names: &dyn Resolve,
    ) -> Result<bool, Failure> {
        let proto = self.proto();
        let Some(Loaded::Multi(told)) = self.matches.iter_mut().rev().find(|m| matches!(m, Loaded::Multi(_)))
        else {
            return Ok(false);
        };
        let side = match option.name.as_str() {
            "source-ports" => Side::Source,
            "destination-ports" => Side::Dest,
            _ => Side::Either,
        };
        if let Some((before, ..)) = told {
            let before = match before {
                Side::Source => "source-ports",
                Side::Dest => "destination-ports",
                Side::Either => "ports",
            };
            let text = format!(
                "multiport: option \"--{}\" cannot be used together with \"--{before}\".\n",
                option.name
            );
            return Err(Failure::usage(text));
        }
        let value = options.value(option)?;
        let ranges = value.split(',').map(|one| range(one, proto, names)).collect::<Result<Vec<_>, _>>()?;
        if ranges.iter().map(|range| PortMatch::places(*range)).sum::<usize>() > PortMatch::MOST {
            return Err(Failure::usage("too many ports specified"));
        }
        *told = Some((side, ranges, option.not));
        Ok(true)
    }

    fn mark(&mut self, option: &Found, options: &mut Options<'_>) -> Result<bool, Failure> {
        if self.target.as_deref() != Some("MARK") {
            return Ok(false);
        }
        not_inverse(option)?;
        if self.set.is_some() {
            return Err(Failure::usage(format!(
                "MARK: option \"--{}\" can only be used once.\n",
                option.name
            )));
        }
        let text = options.value(option)?;
        let wrong = || {
            let name = &option.name;
            Failure::usage(format!("MARK: bad integer value for option \"--{name}\", or out of range.\n"))
        };
        let (value, mask) = match text.split_once('/') {
            Some((value, mask)) if option.name.starts_with("set") => {
                (value, Some(integer(mask).ok_or_else(wrong)?))
            }
            _ => (text.as_str(), None),
        };
        let value = integer(value).ok_or_else(wrong)?;
        let mask = mask.unwrap_or(u32::MAX);
        self.set = Some(match option.name.as_str() {
            "set-mark" => SetMark { value, mask: mask | value },
            "set-xmark" => SetMark { value, mask },
            "and-mark" => SetMark { value: 0, mask: !value },
            "or-mark" => SetMark { value, mask: value },
            _ => SetMark { value, mask: 0 },
        });
        Ok(true)
    }

    fn proto(&self) -> Option<Proto> {
        let number = self.protocol?.value;
        Proto::ALL.into_iter().find(|proto| proto.number() == number)
    }
}

impl Loaded {
    fn finished(&self, protocol: Option<Match<u8>>) -> Result<PortMatch, Failure> {
        let positive = protocol.filter(|m| !m.not).map(|m| m.value);
        match self {
            Self::Plain { name, source, dest } => {
                if positive != protocol_number(name) {
                    let text = format!("{} match requires '-p {name}'", name.to_ascii_uppercase());
                    return Err(Failure::usage(text));
                }
                // All ports are no condition.
                let some = |m: &Option<Match<PortRange>>| {
                    m.filter(|m| m.not || m.value != PortRange { first: 0, last: u16::MAX })
                };
                Ok(PortMatch::Plain { source: some(source), dest: some(dest) })
            }
            Self::Multi(None) => Err(Failure::usage("multiport expection an option")),
            Self::Multi(Some(_)) if !positive.is_some_and(PortMatch::applies_to) => Err(Failure::usage(
                "multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'",
            )),
            Self::Multi(Some((side, ranges, not))) => {
                Ok(PortMatch::Multi { side: *side, ranges: ranges.clone(), not: *not })
            }
        }
    }
}

fn plain(name: &str) -> Loaded {
    Loaded::Plain { name: name.to_owned(), source: None, dest: None }
}

/// A part of iptables that is not part of this dialect.
fn outside(what: &str, instead: &str) -> Failure {
    Failure::usage(format!("{what} is outside of what ulvs does; {instead}"))
}

fn once(option: &Found, again: bool) -> Result<(), Failure> {
    if again {
        return Err(Failure::usage(format!("multiple {} flags not allowed", option.spelled)));
    }
    Ok(())
}

fn interface(option: &Found, name: &str, again: bool) -> Result<Match<Interface>, Failure> {
    once(option, again)?;
    if name.len() > 15 {
        let text = format!("interface name `{name}' must be shorter than IFNAMSIZ (15)");
        return Err(Failure::usage(text));
    }
    match name.parse() {
        Ok(value) => Ok(Match { value, not: option.not }),
        Err(e) => Err(Failure::usage(format!("interface name `{name}': {e}"))),
    }
}

/// `80`, `http`, `1000:2000`, `:1023`, `1024:`.
fn range(text: &str, proto: Option<Proto>, names: &dyn Resolve) -> Result<PortRange, Failure> {
    let port = |text: &str| {
        let named = || proto.and_then(|proto| names.port(proto, text));
        let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { named() };
        number.ok_or_else(|| Failure::usage(format!("invalid port/service `{text}' specified")))
    };
    let Some((first, last)) = text.split_once(':') else { return Ok(PortRange::one(port(text)?)) };
    let first = if first.is_empty() { 0 } else { port(first)? };
    let last = if last.is_empty() { u16::MAX } else { port(last)? };
    if first > last {
        return Err(Failure::usage("invalid portrange (min > max)"));
    }
    Ok(PortRange { first, last })
}

/// Decimal, hexadecimal with `0x`, octal with `0`.
fn integer(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}
