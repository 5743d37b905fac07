//! The results as a picture: for each rate a bar for each contender, as a share of plain routing, or of whoever was
//! measured first. It is SVG by hand, in colours that suit a light page as well as a dark one.

use std::fmt::Write as _;

use super::contender::Contender;
use super::results::Results;
use super::stats::number;
use super::workload::Figure;

const WIDTH: f64 = 760.0;
/// Where bars begin, and how long they may be.
const LEFT: f64 = 150.0;
const LONG: f64 = 430.0;
const BAR: f64 = 14.0;
const STEP: f64 = 18.0;
const HEAD: f64 = 34.0;

/// Text has the page's colour; the colours of bars have enough contrast with white and with black.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.t { font-weight: 600 }
.n { fill: #59636e }
.w { stroke: #1f2328; stroke-width: 1 }
.one { stroke: #59636e; stroke-dasharray: 2 3 }
.page { fill: #ffffff }
.route { fill: #8c959f } .nft { fill: #4c8dd6 } .haproxy1 { fill: #c9a227 } .haproxy2 { fill: #b08412 }
.nginx { fill: #3f9c5c } .ipvs { fill: #8b6fd1 } .ulvs-tun { fill: #d9662b } .ulvs-packet { fill: #cf3f6f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .n { fill: #9198a1 } .w { stroke: #e6edf3 } .one { stroke: #9198a1 } .page { fill: #0d1117 }
}
";

pub(super) fn svg(results: &Results) -> String {
    let base = results.column(Contender::Route, None).unwrap_or(0);
    let rows: Vec<Vec<Bar>> = (0..results.workloads.len()).map(|index| bars(results, index, base)).collect();
    // Nobody's bar ends outside.
    let most = rows.iter().flatten().map(|bar| bar.ratio[2]).fold(1.0, f64::max);
    let scale = LONG / most;
    let mut body = String::new();
    let mut y = 16.0;
    for (workload, bars) in results.workloads.iter().zip(&rows).filter(|(_, bars)| !bars.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(body, r#"<text class="t" x="8" y="{:.0}">{}</text>"#, y + 8.0, workload.title());
        y += 18.0;
        let one = LEFT + scale;
        let end = y + STEP * bars.len() as f64;
        let _ =
            writeln!(body, r#"<line class="one" x1="{one:.1}" x2="{one:.1}" y1="{y:.0}" y2="{end:.0}"/>"#);
        for bar in bars {
            bar.draw(&mut body, y, scale, workload.unit());
            y += STEP;
        }
        y += HEAD - 18.0;
    }
    let base = results.columns.get(base).map_or_else(String::new, |column| column.name());
    let _ = writeln!(
        body,
        r#"<text class="n" x="8" y="{:.0}">Shares of {base}: medians of the rounds' ratios, with the least and the most.</text>"#,
        y + 4.0
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n",
        height = y + 16.0
    )
}

struct Bar {
    name: String,
    class: &'static str,
    /// Median, least and most.
    ratio: [f64; 3],
    value: f64,
}

/// A workload's; none where less is better.
fn bars(results: &Results, index: usize, base: usize) -> Vec<Bar> {
    if !results.workloads[index].is_rate() {
        return Vec::new();
    }
    let of = |(column, what): (usize, &super::contender::Column)| {
        Some(Bar {
            name: what.name(),
            class: what.contender.name(),
            ratio: results.ratio(index, Figure::Value, column, base)?,
            value: results.spread(index, column, Figure::Value)?[0],
        })
    };
    results.columns.iter().enumerate().filter_map(of).collect()
}

impl Bar {
    fn draw(&self, body: &mut String, y: f64, scale: f64, unit: &str) {
        let [median, least, most] = self.ratio.map(|ratio| ratio * scale);
        let (text, middle) = (y + 12.0, y + 2.0 + BAR / 2.0);
        // Writing to a string cannot fail.
        let _ = writeln!(
            body,
            r#"<text x="{:.0}" y="{text:.0}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            self.name
        );
        let _ = writeln!(
            body,
            r#"<rect class="{}" x="{LEFT:.0}" y="{:.0}" width="{median:.1}" height="{BAR:.0}" rx="2"/>"#,
            self.class,
            y + 2.0
        );
        let _ = writeln!(
            body,
            r#"<line class="w" x1="{:.1}" x2="{:.1}" y1="{middle:.0}" y2="{middle:.0}"/>"#,
            LEFT + least,
            LEFT + most
        );
        let _ = writeln!(
            body,
            r#"<text class="n" x="{:.1}" y="{text:.0}">{:.2} ({} {unit})</text>"#,
            LEFT + median.max(most) + 8.0,
            self.ratio[0],
            number(self.value)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::invented;
    use super::*;

    #[test]
    fn every_rate_has_a_bar_for_each_who_has_one_and_all_lie_within() {
        let svg = svg(&invented::results());
        // Four and four, and the two who had datagrams.
        assert_eq!(svg.matches("<rect class=\"").count(), 1 + 4 + 4 + 2, "{svg}");
        assert_eq!(svg.matches("class=\"ulvs-tun\"").count(), 3);
        assert!(svg.contains("0.40 (18.0 k/s)"), "{svg}");
        let numbers = |name: &str| -> Vec<f64> {
            svg.split(&format!(" {name}=\""))
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap_or(0.0))
                .collect()
        };
        assert!(numbers("x2").iter().all(|x| (LEFT..=LEFT + LONG + 0.1).contains(x)), "{svg}");
        assert!(numbers("width").iter().all(|width| *width <= WIDTH));
    }

    #[test]
    fn elements_are_closed() {
        let svg = svg(&invented::results());
        for name in ["svg", "style", "text"] {
            assert_eq!(
                svg.matches(&format!("<{name}")).count(),
                svg.matches(&format!("</{name}>")).count(),
                "{name}"
            );
        }
        assert_eq!(svg.matches("<rect").count() + svg.matches("<line").count(), svg.matches("/>").count());
    }
}
