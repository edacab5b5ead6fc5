//! The start: one row a sidecar, then one a process, a stripe a wave, an arrow from each process to those that wait for it.

use std::fmt::Write as _;

use super::{CHAR, Canvas, MARGIN, ROW, SMALL_CHAR, WIDTH, escaped, width};
use crate::cli::plan::drawing::{Drawing, Start, condition};

/// Left of the names: room for the number of the wave, then for the arrows.
const WAVE: f64 = 4.0 * CHAR;
const ARROWS: (f64, f64) = (36.0, 150.0);

/// What is written of a process.
fn name(start: &Start) -> String {
    match (start.init, start.replicas) {
        (true, _) => format!("{} (init)", start.name),
        (false, 1) => start.name.clone(),
        (false, replicas) => format!("{} x{replicas}", start.name),
    }
}

pub(super) fn draw(drawing: &Drawing, canvas: &mut Canvas) {
    let waves = drawing.waves;
    let title = format!(
        "{}: the start, in {waves} {}",
        drawing.name,
        if waves == 1 { "wave" } else { "waves" }
    );
    canvas.y += 4.0;
    canvas.text(MARGIN, canvas.y, "title", title.trim_start_matches(": "));
    canvas.y += 0.5 * ROW;
    let longest = (drawing.starts.iter().enumerate())
        .flat_map(|(at, start)| start.waits.iter().map(move |wait| at.abs_diff(wait.on)))
        .max();
    let arrows = longest.map_or(0.0, |longest| {
        (ARROWS.0 + 3.0 * longest as f64).min(ARROWS.1)
    });
    let left = MARGIN + WAVE + arrows;
    let names = drawing.starts.iter().map(name);
    let wide = names.map(|name| width(&name)).fold(0.0, f64::max);
    for sidecar in &drawing.sidecars {
        let name = format!("{} (sidecar)", sidecar.name);
        let words = MARGIN + WAVE + arrows + 22.0 + wide.max(width(&name));
        canvas.text(left + 6.0, canvas.y + 14.0, "", &name);
        canvas.text(words, canvas.y + 14.0, "small", &sidecar.in_words());
        canvas.y += ROW;
    }
    let top = canvas.y;
    for (at, start) in drawing.starts.iter().enumerate() {
        let y = top + at as f64 * ROW;
        if start.wave % 2 == 1 {
            canvas.rect(
                MARGIN - 8.0,
                y,
                (WIDTH - 2.0 * MARGIN + 16.0, ROW),
                "stripe",
            );
        }
        let first = at == 0 || drawing.starts[at - 1].wave != start.wave;
        if first {
            let wave = start.wave.to_string();
            canvas.text(MARGIN, y + 14.0, "small", &wave);
        }
        let class = if start.on_the_way { "title" } else { "" };
        canvas.text(left + 6.0, y + 14.0, class, &name(start));
        waits(drawing, start, (left + 6.0 + wide + 16.0, y + 14.0), canvas);
    }
    // The longest way lies over the others.
    for way in [false, true] {
        edges(drawing, (left, arrows, top), way, canvas);
    }
    canvas.y = top + drawing.starts.len() as f64 * ROW;
    if drawing.way.len() > 1 {
        canvas.paragraph(
            "small",
            &format!("bold: the longest way: {}", drawing.way_in_words()),
        );
    }
}

/// The arrows that are on the longest way, or those that are not.
fn edges(drawing: &Drawing, (left, arrows, top): (f64, f64, f64), way: bool, canvas: &mut Canvas) {
    let middle = |at: usize| top + (at as f64 + 0.5) * ROW;
    for (at, start) in drawing.starts.iter().enumerate() {
        for wait in &start.waits {
            if way != drawing.way.windows(2).any(|two| two == [wait.on, at]) {
                continue;
            }
            // Towards the ends of the row, so that arrows out and in are told apart.
            let (from, to) = (middle(wait.on) + 3.0, middle(at) - 2.0);
            let reach = left - (ARROWS.0 - 12.0 + 3.0 * at.abs_diff(wait.on) as f64).min(arrows);
            let class = if way { "edge way" } else { "edge" };
            let _ = writeln!(
                canvas.body,
                "  <path d=\"M{left:.1} {from:.1} C{reach:.1} {from:.1} {reach:.1} {to:.1} {left:.1} {to:.1}\" class=\"{class}\" marker-end=\"url(#to)\"/>"
            );
        }
    }
}

/// What it waits for: all of it, or what there is room for, and the rest where a mouse finds it.
fn waits(drawing: &Drawing, start: &Start, (x, y): (f64, f64), canvas: &mut Canvas) {
    if start.waits.is_empty() {
        return;
    }
    let room = ((WIDTH - MARGIN - x) / SMALL_CHAR) as usize;
    let all = drawing.waits_in_words(start);
    if all.len() <= room {
        return canvas.text(x, y, "small", &all);
    }
    let mut shown = "after".to_owned();
    let mut left = start.waits.len();
    for wait in &start.waits {
        let next = format!(" {} {},", drawing.starts[wait.on].name, condition(wait));
        if shown.len() + next.len() + 10 > room {
            break;
        }
        shown.push_str(&next);
        left -= 1;
    }
    let shown = match left {
        left if left == start.waits.len() => format!("after {left} others"),
        left => format!("{shown} {left} more"),
    };
    let _ = writeln!(
        canvas.body,
        "  <text x=\"{x:.1}\" y=\"{y:.1}\" class=\"small\"><title>{}</title>{}</text>",
        escaped(&all),
        escaped(&shown)
    );
}
