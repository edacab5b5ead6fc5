//! The stop: one bar a stage, to scale, against the deadline.

use std::time::Duration;

use super::{CHAR, Canvas, MARGIN, ROW, SMALL_CHAR, WIDTH, width};
use crate::cli::plan::drawing::{Drawing, StageLine};
use crate::cli::plan::scale;
use crate::domain::shutdown::table::{seconds, tenths};

/// A column of numbers.
const NUMBER: f64 = 9.0 * SMALL_CHAR;
const NUMBERS: f64 = 3.0 * NUMBER;

/// From times to places.
struct Ruler {
    left: f64,
    wide: f64,
    whole: Duration,
}

impl Ruler {
    fn x(&self, at: Duration) -> f64 {
        if self.whole.is_zero() {
            return self.left;
        }
        self.left + self.wide * at.as_secs_f64() / self.whole.as_secs_f64()
    }
}

pub(super) fn draw(drawing: &Drawing, canvas: &mut Canvas) {
    let timeline = &drawing.fit.timeline;
    let title = format!(
        "{}: the stop in {}s ({}), when nobody ends by itself",
        drawing.name,
        drawing.fit.grace.seconds(),
        drawing.source()
    );
    canvas.text(MARGIN, canvas.y, "title", title.trim_start_matches(": "));
    if timeline.at_once {
        canvas.paragraph(
            "small",
            "There is no time for order: no drain, no hooks, every process is signalled at once.",
        );
    }
    let labels = drawing.stages.iter().map(|line| width(&line.label));
    let left = MARGIN + labels.fold(14.0 * CHAR, f64::max) + 12.0;
    let ruler = Ruler {
        left,
        wide: WIDTH - MARGIN - NUMBERS - left,
        whole: timeline.deadlines.end.since(timeline.deadlines.t0),
    };
    canvas.y += 2.7 * ROW;
    frame(drawing, &ruler, canvas);
    for line in &drawing.stages {
        stage(line, &ruler, canvas);
        canvas.y += ROW;
    }
    let at = &timeline.deadlines;
    let (kill, done) = (at.budget(), at.finish_by.since(at.t0));
    own("podinit: finish", (kill, done), &ruler, canvas);
    own("podinit: tail", (done, ruler.whole), &ruler, canvas);
    legend(drawing, canvas);
}

/// The axis, its lines and what lies after T_kill.
fn frame(drawing: &Drawing, ruler: &Ruler, canvas: &mut Canvas) {
    let at = &drawing.fit.timeline.deadlines;
    let (kill, done, end) = (at.budget(), at.finish_by.since(at.t0), ruler.whole);
    let (top, bottom) = (canvas.y, canvas.y + (drawing.stages.len() + 2) as f64 * ROW);
    for (from, to, class) in [(kill, done, "finish"), (done, end, "tail")] {
        let (x, to) = (ruler.x(from), ruler.x(to));
        canvas.rect(x, top, ((to - x).max(1.0), bottom - top), class);
    }
    let step = scale::step(end, (ruler.wide / (9.0 * SMALL_CHAR)) as u64);
    for mark in scale::marks(end, step) {
        let x = ruler.x(mark);
        canvas.line(x, (top - 4.0, bottom), "grid");
        let room = ruler.left + ruler.wide - x > 4.0 * SMALL_CHAR;
        if room {
            let label = format!("{}s", seconds(mark));
            canvas.text(x, top - 8.0, "small middle", &label);
        }
    }
    // These two are close to each other, and to the last mark.
    let label = format!("T_kill {}s", seconds(kill));
    canvas.text(ruler.x(kill) - 4.0, top - 24.0, "small right", &label);
    canvas.line(ruler.x(kill), (top - 34.0, bottom), "kill");
    let label = format!("T {}s", seconds(end));
    canvas.text(ruler.x(end) + 4.0, top - 24.0, "small", &label);
    canvas.line(ruler.x(end), (top - 34.0, bottom), "kill");
    for (place, head) in ["from", "to", "wants"].into_iter().enumerate() {
        canvas.text(number(place), top - 8.0, "small right", head);
    }
}

/// The right edge of a column of numbers.
fn number(place: usize) -> f64 {
    WIDTH - MARGIN - (2 - place) as f64 * NUMBER
}

fn stage(line: &StageLine, ruler: &Ruler, canvas: &mut Canvas) {
    let (bar, y) = (&line.bar, canvas.y);
    let class = if line.longest { "title" } else { "" };
    canvas.text(MARGIN, y + 14.0, class, &line.label);
    let (start, end) = (ruler.x(bar.start), ruler.x(bar.end));
    let claimed = ruler.x((bar.start + bar.claim).min(bar.end));
    let class = if line.longest { "way" } else { "bar" };
    let height = ROW - 6.0;
    canvas.rect(start, y + 3.0, ((claimed - start).max(1.5), height), class);
    if end > claimed {
        let class = format!("{class} more");
        canvas.rect(claimed, y + 3.0, (end - claimed, height), &class);
    }
    if bar.is_cut() {
        canvas.rect((end - 3.0).max(start), y + 1.0, (3.0, ROW - 2.0), "cut");
    }
    let wants = match line.limit {
        Some(_) => tenths(bar.claim),
        None => "any".to_owned(),
    };
    let class = if bar.is_cut() {
        "small right cut"
    } else {
        "small right"
    };
    for (place, text) in [tenths(bar.start), tenths(bar.end), wants]
        .iter()
        .enumerate()
    {
        canvas.text(number(place), y + 14.0, class, text);
    }
}

fn own(label: &str, (from, to): (Duration, Duration), ruler: &Ruler, canvas: &mut Canvas) {
    let y = canvas.y;
    canvas.text(MARGIN, y + 14.0, "small", label);
    let (x, right) = (ruler.x(from), ruler.x(to));
    canvas.rect(x, y + 3.0, ((right - x).max(1.5), ROW - 6.0), "bar more");
    for (place, at) in [from, to].into_iter().enumerate() {
        canvas.text(number(place), y + 14.0, "small right", &tenths(at));
    }
    canvas.y += ROW;
}

fn legend(drawing: &Drawing, canvas: &mut Canvas) {
    let verdict = format!("Bold: the longest chain: {}.", drawing.verdict());
    canvas.paragraph("", &verdict);
    let any = |test: fn(&StageLine) -> bool| drawing.stages.iter().any(test);
    if any(|line| line.bar.is_cut()) {
        canvas.paragraph("small", "Red end: cut: it gets less than it wants.");
    }
    if any(|line| line.limit.is_none()) {
        canvas.paragraph(
            "small",
            "any: no grace is written, so it claims 1s and may use what is left (pale).",
        );
    }
    canvas.paragraph(
        "small",
        "T_kill: podinit's own SIGKILL for all that is left. T: the kubelet's.",
    );
}
