//! The lines of the table: which services and servers, and in which order. Pure.

use std::cmp::Reverse;

use super::model::{Load, Picture, Server, ServerState, Service, ServiceState, Subject};

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Method,
    Weight,
    State,
    Active,
    Inactive,
    New,
    InPackets,
    OutPackets,
    InBytes,
    OutBytes,
}

impl Column {
    /// All of them, from left to right.
    pub(super) const ALL: [Self; 11] = [
        Self::Name,
        Self::Method,
        Self::Weight,
        Self::State,
        Self::Active,
        Self::Inactive,
        Self::New,
        Self::InPackets,
        Self::OutPackets,
        Self::InBytes,
        Self::OutBytes,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Name => "SERVICE / SERVER",
            Self::Method => "METHOD",
            Self::Weight => "WEIGHT",
            Self::State => "STATE",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACT",
            Self::New => "NEW/s",
            Self::InPackets => "INPKT/s",
            Self::OutPackets => "OUTPKT/s",
            Self::InBytes => "IN B/s",
            Self::OutBytes => "OUT B/s",
        }
    }

    /// The one `steps` to the right, round the end.
    pub(super) fn step(self, steps: isize) -> Self {
        let at = Self::ALL.iter().position(|column| *column == self).unwrap_or_default() as isize;
        Self::ALL[(at + steps).rem_euclid(Self::ALL.len() as isize) as usize]
    }
}

/// What order the lines have. Servers stay under their service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) by: Column,
    /// Names and methods from A, numbers from the largest, unless it is reversed.
    pub(super) reversed: bool,
}

impl Default for Sort {
    /// As `ipvsadm -L` has them.
    fn default() -> Self {
        Self { by: Column::Name, reversed: false }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row<'a> {
    Service(&'a Service),
    Server(&'a Service, &'a Server),
}

impl Row<'_> {
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Service(service) => Subject { service: service.service, server: None },
            Self::Server(service, server) => {
                Subject { service: service.service, server: Some(server.server) }
            }
        }
    }

    pub(super) const fn load(&self) -> &Load {
        match self {
            Self::Service(service) => &service.load,
            Self::Server(_, server) => &server.load,
        }
    }

    /// The text of a cell, without blanks around it.
    pub(super) fn cell(&self, column: Column) -> String {
        let Load { active, inactive, rates, .. } = self.load();
        match (column, self) {
            (Column::Name, Self::Service(service)) => service.service.to_string(),
            (Column::Name, Self::Server(_, server)) => format!("  {}", server.server),
            (Column::Method, Self::Service(service)) => service.scheduler.clone(),
            (Column::Method, Self::Server(_, server)) => server.method.to_owned(),
            (Column::Weight, Self::Service(_)) => String::new(),
            (Column::Weight, Self::Server(_, server)) => short(u64::from(server.weight)),
            (Column::State, Self::Service(service)) => match service.state {
                ServiceState::Down => "DOWN".to_owned(),
                ServiceState::Up if service.tls => "tls".to_owned(),
                ServiceState::Up => String::new(),
            },
            (Column::State, Self::Server(_, server)) => server.state.name().to_owned(),
            (Column::Active, _) => short(*active),
            (Column::Inactive, _) => short(*inactive),
            (Column::New, _) => short(rates.cps),
            (Column::InPackets, _) => short(rates.in_pps),
            (Column::OutPackets, _) => short(rates.out_pps),
            (Column::InBytes, _) => short(rates.in_bps),
            (Column::OutBytes, _) => short(rates.out_bps),
        }
    }

    /// Whether somebody should look at it.
    pub(super) const fn is_amiss(&self) -> bool {
        match self {
            Self::Service(service) => matches!(service.state, ServiceState::Down),
            Self::Server(_, server) => matches!(server.state, ServerState::Full | ServerState::Down),
        }
    }

    /// Whether it gets nobody new because somebody wants that.
    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self, Self::Server(_, server) if matches!(server.state, ServerState::Quiet | ServerState::Drain))
    }
}

/// The lines of the table that the filter lets through: services whose name has it, with all their servers, and of
/// other services the servers that have it.
pub(super) fn rows<'a>(picture: &'a Picture, filter: &str, sort: Sort) -> Vec<Row<'a>> {
    let wanted = |text: String| filter.is_empty() || text.to_lowercase().contains(&filter.to_lowercase());
    let mut services: Vec<&Service> = picture.services.iter().collect();
    order(&mut services, sort, Row::Service);
    let mut rows = Vec::new();
    for service in services {
        let all = wanted(service.service.to_string()) || wanted(service.service.word());
        let servers = service.servers.iter().filter(|server| {
            all || wanted(server.server.to_string()) || wanted(server.state.name().to_owned())
        });
        let mut servers: Vec<&Server> = servers.collect();
        if !all && servers.is_empty() {
            continue;
        }
        order(&mut servers, sort, |server| Row::Server(service, server));
        rows.push(Row::Service(service));
        rows.extend(servers.into_iter().map(|server| Row::Server(service, server)));
    }
    rows
}

/// Sorts; those that are equal keep the order of `ipvsadm -L`.
fn order<'a, T>(things: &mut [&'a T], sort: Sort, row: impl Fn(&'a T) -> Row<'a>) {
    match sort.by {
        Column::Name => {}
        Column::Method => things.sort_by_cached_key(|thing| row(thing).cell(Column::Method)),
        Column::State => things.sort_by_key(|thing| match row(thing) {
            Row::Service(service) => Reverse((service.state as u8, service.tls)),
            Row::Server(_, server) => Reverse((server.state as u8, false)),
        }),
        column => things.sort_by_key(|thing| Reverse(number(&row(thing), column))),
    }
    if sort.reversed {
        things.reverse();
    }
}

fn number(row: &Row<'_>, column: Column) -> u64 {
    let Load { active, inactive, rates, .. } = row.load();
    match column {
        Column::Name | Column::Method | Column::State => 0,
        Column::Weight => match row {
            Row::Service(_) => 0,
            Row::Server(_, server) => u64::from(server.weight),
        },
        Column::Active => *active,
        Column::Inactive => *inactive,
        Column::New => rates.cps,
        Column::InPackets => rates.in_pps,
        Column::OutPackets => rates.out_pps,
        Column::InBytes => rates.in_bps,
        Column::OutBytes => rates.out_bps,
    }
}

/// A number in five characters at most: 99999, 123K, 4.5M. Thousands are 1,000.
pub(super) fn short(number: u64) -> String {
    if number < 100_000 {
        return number.to_string();
    }
    let mut value = number as f64;
    for unit in ["K", "M", "G", "T", "P"] {
        value /= 1000.0;
        if value < 99.95 {
            return format!("{value:.1}{unit}");
        }
        if value < 999.5 {
            return format!("{value:.0}{unit}");
        }
    }
    format!("{:.0}E", value / 1000.0)
}
