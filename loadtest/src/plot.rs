//! Charts as inline SVG: axes with units, a limit line, and lines that differ by dashes as well as by colour.

use std::fmt::Write as _;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// A line of a chart: its name, and points in order of x. A gap is a `None`.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, Option<f64>)>,
}

/// How x is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// Evenly.
    Even,
    /// As percentiles, each nine as wide as the last.
    Percentiles,
}

/// A chart.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The x axis with its unit.
    pub x: &'a str,
    /// The y axis with its unit.
    pub y: &'a str,
    /// How x is laid out.
    pub along: Along,
    /// Its lines, four at most.
    pub lines: Vec<Line>,
    /// A level not to be exceeded, with its name.
    pub limit: Option<(f64, String)>,
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number for an axis.
fn label(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1_000_000.0 => format!("{}M", trimmed(value / 1_000_000.0)),
        _ if size >= 10_000.0 => format!("{}k", trimmed(value / 1000.0)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// About five round steps from 0 to what is needed.
fn steps(most: f64) -> Vec<f64> {
    let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
    let rough = most / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(10.0 * power);
    (0..).map(|n| f64::from(n) * step).take_while(|v| *v < most + step).collect()
}

/// Where a percentile lies: 0 for 0, 1 for 90, 2 for 99, and so on.
fn nines(percentile: f64) -> f64 {
    -(1.0 - (percentile / 100.0).min(0.999_999)).log10()
}

impl Chart<'_> {
    /// Draws it as a figure. Nothing when there is nothing to draw.
    pub fn draw(&self, id: &str) -> String {
        let values: Vec<f64> = self.lines.iter().flat_map(|l| l.points.iter().filter_map(|p| p.1)).filter(|v| v.is_finite()).collect();
        if values.is_empty() {
            return String::new();
        }
        let most = values.iter().copied().chain(self.limit.as_ref().map(|l| l.0)).fold(0.0, f64::max);
        let marks = steps(most);
        let top = marks.last().copied().unwrap_or(1.0);
        let far = self.lines.iter().flat_map(|l| l.points.iter().map(|p| self.place(p.0))).fold(0.0, f64::max).max(1e-9);
        let x = |value: f64| LEFT + self.place(value) / far * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<figure><figcaption id=\"{id}\">{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id} {id}-d\">\
             <desc id=\"{id}-d\">{}</desc>",
            escape(self.title),
            escape(&self.told())
        );
        for mark in &marks {
            let at = y(*mark);
            let _ = write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 5.0, at + 4.0, label(*mark));
        }
        for (value, text) in self.along_x(far) {
            let _ = write!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", x(value), HEIGHT - BOTTOM + 16.0);
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = write!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 6.0, escape(self.x));
        let up = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = write!(svg, "<text transform=\"translate(12 {up}) rotate(-90)\" text-anchor=\"middle\">{}</text>", escape(self.y));
        if let Some((level, _)) = &self.limit {
            let _ = write!(svg, "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>", WIDTH - RIGHT, y(*level));
        }
        for (number, line) in self.lines.iter().enumerate() {
            svg.push_str(&path(line, number, &x, &y));
        }
        svg.push_str("</svg>");
        svg.push_str(&self.legend());
        svg.push_str("</figure>");
        svg
    }

    fn place(&self, x: f64) -> f64 {
        if self.along == Along::Percentiles { nines(x) } else { x }
    }

    fn along_x(&self, far: f64) -> Vec<(f64, String)> {
        if self.along == Along::Even {
            return steps(far).into_iter().filter(|v| *v <= far * 1.001).map(|v| (v, label(v))).collect();
        }
        let all = [(0.0, "0"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"), (99.999, "99.999")];
        all.into_iter().filter(|(p, _)| nines(*p) <= far).map(|(p, text)| (p, text.to_owned())).collect()
    }

    /// What the chart says, for who cannot see it.
    fn told(&self) -> String {
        let each = self.lines.iter().map(|line| {
            let most = line.points.iter().filter_map(|p| p.1).fold(0.0, f64::max);
            let last = line.points.iter().rev().find_map(|p| p.1).unwrap_or(0.0);
            format!("{}: at most {}, at the end {}", line.name, label(most), label(last))
        });
        let limit = self.limit.iter().map(|(level, name)| format!("{name}: {}", label(*level)));
        format!("{}. {}.", self.y, each.chain(limit).collect::<Vec<_>>().join("; "))
    }

    fn legend(&self) -> String {
        let mut text = String::from("<ul class=\"legend\">");
        let sample = |class: &str| {
            format!("<svg class=\"sample\" viewBox=\"0 0 28 10\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M0 5H28\"/></svg>")
        };
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write!(text, "<li>{}{}</li>", sample(&format!("s{}", number % 4)), escape(&line.name));
        }
        if let Some((level, name)) = &self.limit {
            let _ = write!(text, "<li>{}{}: {}</li>", sample("limit"), escape(name), label(*level));
        }
        text + "</ul>"
    }
}

/// A line as a path; a point that stands alone becomes a dot.
fn path(line: &Line, number: usize, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let (mut d, mut drawing) = (String::new(), false);
    for (at, value) in &line.points {
        match value.filter(|v| v.is_finite()) {
            Some(value) => {
                let _ = write!(d, "{}{:.1} {:.1}", if drawing { "L" } else { "M" }, x(*at), y(value));
                if !drawing {
                    d.push_str("h0.1");
                }
                drawing = true;
            }
            None => drawing = false,
        }
    }
    format!("<path class=\"s{}\" d=\"{d}\"/>", number % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach_the_top() {
        assert_eq!(steps(97.0), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(steps(0.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert!(steps(12_345.0).last().is_some_and(|top| *top >= 12_345.0));
        assert_eq!((label(1500.0), label(25_000.0), label(0.25)), ("1500".into(), "25k".into(), "0.25".into()));
        assert!((nines(99.0) - 2.0).abs() < 1e-9 && nines(100.0).is_finite());
    }

    #[test]
    fn a_chart_names_its_units_and_its_limit() {
        let lines = vec![Line { name: "a < b".into(), points: vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))] }];
        let chart = Chart { title: "Rate", x: "seconds", y: "messages/s", along: Along::Even, lines, limit: Some((5.0, "limit".into())) };
        let svg = chart.draw("c1");
        for part in ["messages/s</text>", "seconds</text>", "class=\"limit\"", "a &lt; b", "limit: 5"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(!svg.contains("NaN"));
        let empty = Chart { lines: Vec::new(), limit: None, ..chart };
        assert_eq!(empty.draw("c2"), "");
    }
}
