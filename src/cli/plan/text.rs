//! The drawing as text: 100 columns of ASCII, which copy well.

use std::fmt::Write as _;
use std::time::Duration;

use super::drawing::{Drawing, StageLine, fitted, wrapped};
use super::scale;
use crate::domain::shutdown::table::{seconds, tenths};

const WIDTH: usize = 100;
/// What a name may take.
const NAME: usize = 30;
/// `from`, `to` and `wants`.
const NUMBERS: usize = 24;

/// Draws it.
pub(super) fn draw(drawing: &Drawing) -> String {
    let mut out = String::new();
    start(drawing, &mut out);
    out.push('\n');
    stop(drawing, &mut out);
    out.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn start(drawing: &Drawing, out: &mut String) {
    let waves = if drawing.waves == 1 { "wave" } else { "waves" };
    let _ = writeln!(
        out,
        "{}: the start, in {} {waves}",
        title(drawing),
        drawing.waves
    );
    let name = |at: usize| {
        let start = &drawing.starts[at];
        match (start.init, start.replicas) {
            (true, _) => format!("{} (init)", start.name),
            (false, 1) => start.name.clone(),
            (false, replicas) => format!("{} x{replicas}", start.name),
        }
    };
    let names: Vec<String> = (0..drawing.starts.len()).map(name).collect();
    let beside = drawing.sidecars.iter();
    let beside: Vec<String> = beside
        .map(|one| format!("{} (sidecar)", one.name))
        .collect();
    let width = column(names.iter().chain(&beside).map(String::as_str));
    for (sidecar, name) in drawing.sidecars.iter().zip(&beside) {
        let words = cut(&sidecar.in_words(), WIDTH - width - 10);
        let _ = writeln!(out, "  {:>4}  {:width$}  {words}", "", fitted(name, width));
    }
    let mut last = 0;
    for (start, name) in drawing.starts.iter().zip(&names) {
        let wave = if start.wave == last {
            String::new()
        } else {
            start.wave.to_string()
        };
        last = start.wave;
        let mark = if start.on_the_way { '*' } else { ' ' };
        let waits = drawing.waits_in_words(start);
        let waits = cut(&waits, WIDTH - width - 10);
        let _ = writeln!(
            out,
            "{mark} {wave:>4}  {:width$}  {waits}",
            fitted(name, width)
        );
    }
    if drawing.way.len() > 1 {
        let way = format!("the longest way: {}", drawing.way_in_words());
        paragraph('*', &way, out);
    }
}

fn paragraph(mark: char, text: &str, out: &mut String) {
    let lines = wrapped(text, WIDTH - 2);
    let _ = writeln!(out, "{mark} {}", lines.join("\n  "));
}

/// The end of a long list is the least of it.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    format!("{kept}..")
}

fn title(drawing: &Drawing) -> &str {
    if drawing.name.is_empty() {
        "the set"
    } else {
        &drawing.name
    }
}

fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let longest = names.map(|name| name.chars().count()).max();
    longest.unwrap_or_default().clamp(6, NAME)
}

/// Where times are in a row: up to T_kill, then the finish, then the tail, with a line after the first and the last.
struct Ruler {
    kill: Duration,
    main: usize,
    finish: usize,
    tail: usize,
}

impl Ruler {
    fn new(drawing: &Drawing, width: usize) -> Ruler {
        let at = &drawing.fit.timeline.deadlines;
        let whole = at.end.since(at.t0);
        let cells = |time: Duration| {
            if time.is_zero() {
                return 0;
            }
            let share = time.as_secs_f64() / whole.as_secs_f64();
            ((share * width as f64).round() as usize).max(1)
        };
        let finish = cells(at.finish_by.since(at.t_kill));
        let tail = cells(at.end.since(at.finish_by));
        Ruler {
            kill: at.budget(),
            main: width - finish - tail,
            finish,
            tail,
        }
    }

    fn cell(&self, at: Duration) -> usize {
        if self.kill.is_zero() {
            return 0;
        }
        let share = at.as_secs_f64() / self.kill.as_secs_f64();
        ((share * self.main as f64).round() as usize).min(self.main)
    }

    fn row(&self, main: &str, finish: char, tail: char) -> String {
        let repeat = |mark: char, count: usize| mark.to_string().repeat(count);
        format!(
            "{main:width$}|{}{}|",
            repeat(finish, self.finish),
            repeat(tail, self.tail),
            width = self.main
        )
    }

    /// `#` on the longest chain, `=` else, `-` for what goes beyond a claim, `!` at the end of what is cut.
    fn bar(&self, line: &StageLine) -> String {
        let bar = &line.bar;
        if bar.claim.is_zero() || self.main == 0 {
            return String::new();
        }
        let start = self.cell(bar.start).min(self.main - 1);
        let end = self.cell(bar.end).max(start + 1);
        let claimed = self.cell(bar.start + bar.claim).clamp(start + 1, end);
        let mut row = " ".repeat(start);
        let mark = if line.longest { "#" } else { "=" };
        row.push_str(&mark.repeat(claimed - start));
        row.push_str(&"-".repeat(end - claimed));
        if bar.is_cut() {
            row.pop();
            row.push('!');
        }
        row
    }

    /// Marks and their labels.
    fn axis(&self) -> (String, String) {
        let most = (self.main / 8).max(1) as u64;
        let step = scale::step(self.kill, most);
        let (mut line, mut labels) = (vec!['-'; self.main], String::new());
        for mark in scale::marks(self.kill, step) {
            let at = self.cell(mark);
            if let Some(cell) = line.get_mut(at) {
                *cell = '+';
            }
            let label = format!("{}s", seconds(mark));
            if labels.len() <= at && at + label.len() <= self.main {
                labels.push_str(&" ".repeat(at - labels.len()));
                labels.push_str(&label);
                labels.push(' ');
            }
        }
        (line.into_iter().collect(), labels)
    }
}

fn stop(drawing: &Drawing, out: &mut String) {
    let timeline = &drawing.fit.timeline;
    let _ = writeln!(
        out,
        "{}: the stop in {}s ({}), when nobody ends by itself",
        title(drawing),
        drawing.fit.grace.seconds(),
        drawing.source(),
    );
    if timeline.at_once {
        out.push_str(
            "there is no time for order: no drain, no hooks, every process is signalled at once\n",
        );
    }
    let width = column(drawing.stages.iter().map(|line| line.label.as_str()));
    let ruler = Ruler::new(drawing, WIDTH - width - NUMBERS - 6);
    let (line, labels) = ruler.axis();
    let _ = writeln!(
        out,
        "  {:width$}{:>8}{:>8}{:>8}  {labels}",
        "", "from", "to", "wants"
    );
    let _ = writeln!(
        out,
        "  {:width$}{:NUMBERS$}  {}",
        "",
        "",
        ruler.row(&line, '-', '-')
    );
    for stage in &drawing.stages {
        let mark = if stage.longest { '*' } else { ' ' };
        let bar = &stage.bar;
        let wants = match stage.limit {
            Some(_) => tenths(bar.claim),
            None => "any".to_owned(),
        };
        let name = fitted(&stage.label, width);
        let row = ruler.row(&ruler.bar(stage), ' ', ' ');
        let _ = writeln!(
            out,
            "{mark} {name:width$}{:>8}{:>8}{wants:>8}  {row}",
            tenths(bar.start),
            tenths(bar.end),
        );
    }
    let at = &timeline.deadlines;
    let row = |name: &str, from: Duration, to: Duration, row: String| {
        let (from, to) = (tenths(from), tenths(to));
        format!("  {name:width$}{from:>8}{to:>8}{:>8}  {row}\n", "")
    };
    let (kill, finish, end) = (at.budget(), at.finish_by.since(at.t0), at.end.since(at.t0));
    out.push_str(&row("finish", kill, finish, ruler.row("", 'f', ' ')));
    out.push_str(&row("tail", finish, end, ruler.row("", ' ', 't')));
    legend(drawing, out);
}

fn legend(drawing: &Drawing, out: &mut String) {
    let verdict = format!("the longest chain: {}", drawing.verdict());
    paragraph('*', &verdict, out);
    let any = |test: fn(&StageLine) -> bool| drawing.stages.iter().any(test);
    if any(|line| line.bar.is_cut()) {
        out.push_str("! cut: it gets less than it wants\n");
    }
    if any(|line| line.limit.is_none()) {
        out.push_str("any: no grace is written, so it claims 1s and may use what is left\n");
    }
    let at = &drawing.fit.timeline.deadlines;
    let _ = writeln!(
        out,
        "| {}s: podinit's own SIGKILL for all that is left; {}s: the kubelet's",
        seconds(at.budget()),
        seconds(at.end.since(at.t0)),
    );
}
