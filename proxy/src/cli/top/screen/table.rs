//! The table of services and servers. Only the lines that are seen are made into text, so a thousand servers cost no more
//! than twenty; a narrow screen has fewer columns.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::super::super::status::duration;
use super::super::model::Picture;
use super::super::rows::{Column, Row, Sort, rows};
use super::super::view::View;

/// The least room for a name: most services of IPv4 whole.
const NAME: usize = 21;

/// Columns in the order in which they are given up when there is no room.
const GIVEN_UP: [Column; 9] = [
    Column::OutPackets,
    Column::InPackets,
    Column::Method,
    Column::Inactive,
    Column::Weight,
    Column::InBytes,
    Column::OutBytes,
    Column::State,
    Column::New,
];

/// What a column needs; the name takes what is left.
const fn width(column: Column) -> usize {
    match column {
        Column::Name => NAME,
        Column::Method => 7,
        Column::State => 5,
        Column::OutPackets => 8,
        Column::InPackets | Column::OutBytes => 7,
        Column::Weight | Column::Active | Column::InBytes => 6,
        Column::Inactive | Column::New => 5,
    }
}

/// The columns that there is room for, and how wide the name is.
pub(super) fn columns(room: usize) -> (Vec<Column>, usize) {
    let mut columns = Column::ALL.to_vec();
    let needed = |columns: &[Column]| columns.iter().map(|c| width(*c) + 1).sum::<usize>() - 1;
    for column in GIVEN_UP {
        if needed(&columns) <= room {
            break;
        }
        columns.retain(|c| *c != column);
    }
    let rest = needed(&columns) - NAME;
    (columns, room.saturating_sub(rest))
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, view: &mut View) {
    let Some(room) = area.height.checked_sub(1) else { return };
    let (columns, name) = columns(usize::from(area.width));
    frame.render_widget(header(&columns, name, view.sort), Rect { height: 1, ..area });
    let rows = rows(picture, &view.filter, view.sort);
    let at = view.settle(&rows, usize::from(room));
    let seen = rows.iter().enumerate().skip(view.offset).take(usize::from(room));
    for ((i, row), y) in seen.zip(area.top() + 1..) {
        let text = Line::from(line(row, &columns, name));
        let text = match row {
            _ if row.is_amiss() => text.red(),
            _ if row.is_quiet() => text.yellow(),
            Row::Service(_) => text.bold(),
            Row::Server(..) => text,
        };
        let text = if i == at { text.reversed() } else { text };
        frame.render_widget(text, Rect { y, height: 1, ..area });
    }
    if rows.is_empty() {
        let text = match (picture.services.is_empty(), &view.lost) {
            (_, Some(_)) => "",
            (true, None) => "No services yet: `ulvs ipvsadm -A` adds one.",
            (false, None) => "Nothing matches the filter: Esc takes it away.",
        };
        frame.render_widget(text, Rect { y: area.top() + 1, height: room.min(1), ..area });
    }
}

fn header(columns: &[Column], name: usize, sort: Sort) -> Line<'static> {
    let cells = columns.iter().enumerate().flat_map(|(i, column)| {
        let gap = if i == 0 { "" } else { " " };
        let title = Span::from(fit(column.title(), *column, name)).reversed();
        [Span::from(gap).reversed(), if *column == sort.by { title.bold().underlined() } else { title }]
    });
    Line::from(cells.collect::<Vec<_>>())
}

fn line(row: &Row<'_>, columns: &[Column], name: usize) -> String {
    let cells = columns.iter().map(|column| fit(&row.cell(*column), *column, name));
    cells.collect::<Vec<_>>().join(" ")
}

/// Exactly as wide as the column: words from the left, numbers from the right. What is too long for it loses its middle:
/// the end of an address has the port.
fn fit(text: &str, column: Column, name: usize) -> String {
    let room = if column == Column::Name { name } else { width(column) };
    let length = text.chars().count();
    if length > room {
        let (head, tail) = (room.saturating_sub(2).div_ceil(2), room.saturating_sub(2) / 2);
        let (head, tail) = (text.chars().take(head), text.chars().skip(length - tail));
        return head.chain("..".chars()).chain(tail).take(room).collect();
    }
    match column {
        Column::Name | Column::Method | Column::State => format!("{text:<room$}"),
        _ => format!("{text:>room$}"),
    }
}

/// One screen as text, with every service and server and no name shortened.
pub(in super::super) fn plain(picture: &Picture, filter: &str, sort: Sort) -> String {
    let rows = rows(picture, filter, sort);
    let names = rows.iter().map(|row| row.cell(Column::Name).chars().count());
    let name = names.max().unwrap_or_default().max(NAME);
    let engine = &picture.engine;
    let up = duration(engine.uptime_seconds);
    let mut lines = vec![
        format!("ulvs {} (pid {}), up {up}, {}", engine.version, engine.pid, super::place(engine)),
        super::connections(picture),
        super::traffic(picture),
        super::dropped(picture),
        String::new(),
    ];
    let titles = Column::ALL.iter().map(|column| fit(column.title(), *column, name));
    lines.push(titles.collect::<Vec<_>>().join(" "));
    lines.extend(rows.iter().map(|row| line(row, &Column::ALL, name)));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}
