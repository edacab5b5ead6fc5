//! The drawing as a picture: one file, no fonts and no scripts from elsewhere, for light and for dark pages.
//!
//! Text is monospaced, so that what it takes is known: a column is as wide as its longest text.

use std::fmt::Write as _;

use super::drawing::{Drawing, wrapped};

mod start;
mod stop;

const WIDTH: f64 = 1240.0;
const MARGIN: f64 = 24.0;
const ROW: f64 = 20.0;
/// The widest of the usual monospaced fonts at 12px; small text has 11px.
const CHAR: f64 = 7.44;
const SMALL_CHAR: f64 = 6.82;

const STYLE: &str = "
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328 }
    .small { font-size: 11px; fill: #57606a }
    .title { font-weight: 600 }
    .right { text-anchor: end }
    .middle { text-anchor: middle }
    .page { fill: #ffffff; stroke: #d0d7de }
    .stripe { fill: #818b98; fill-opacity: .09 }
    .grid { stroke: #818b98; stroke-opacity: .3 }
    .edge { stroke: #818b98; fill: none }
    .edge.way { stroke: #bf8700; stroke-width: 2 }
    .head { fill: #818b98 }
    .bar { fill: #0969da }
    .way { fill: #bf8700 }
    .more { fill-opacity: .35 }
    .cut { fill: #cf222e }
    text.cut { fill: #cf222e }
    .kill { stroke: #cf222e; stroke-width: 1.5 }
    .finish { fill: #818b98; fill-opacity: .18 }
    .tail { fill: #818b98; fill-opacity: .36 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .small { fill: #9198a1 }
      .page { fill: #0d1117; stroke: #3d444d }
      .bar { fill: #4493f8 }
      .way { fill: #d29922 }
      .edge.way { stroke: #d29922; fill: none }
      .cut, text.cut { fill: #f85149 }
      .kill { stroke: #f85149 }
    }
    path.edge.way { fill: none }
";

/// A picture that grows downwards.
struct Canvas {
    body: String,
    y: f64,
}

impl Canvas {
    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let class = match class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "  <text x=\"{x:.1}\" y=\"{y:.1}\"{class}>{text}</text>"
        );
    }

    fn rect(&mut self, x: f64, y: f64, (width, height): (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            "  <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"/>"
        );
    }

    fn line(&mut self, x: f64, (from, to): (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            "  <path d=\"M{x:.1} {from:.1} V{to:.1}\" class=\"{class}\"/>"
        );
    }

    /// A paragraph over the whole width.
    fn paragraph(&mut self, class: &str, text: &str) {
        let most = ((WIDTH - 2.0 * MARGIN) / CHAR) as usize;
        for line in wrapped(text, most) {
            self.y += ROW;
            self.text(MARGIN, self.y, class, &line);
        }
    }
}

/// Draws it.
pub(super) fn draw(drawing: &Drawing) -> String {
    let mut canvas = Canvas {
        body: String::new(),
        y: MARGIN,
    };
    start::draw(drawing, &mut canvas);
    canvas.y += 1.5 * ROW;
    stop::draw(drawing, &mut canvas);
    let height = canvas.y + MARGIN;
    let name = escaped(&drawing.name);
    let body = canvas.body;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" aria-label=\"The start and the stop of {name}\">\n  <style>{STYLE}  </style>\n  <defs>\n    <marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" class=\"head\"/></marker>\n  </defs>\n  <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\" class=\"page\"/>\n{body}</svg>\n",
        WIDTH - 1.0,
        (height - 1.0).floor(),
    )
}

/// What a text takes in a column.
fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHAR
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML has no way to write these.
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
