//! Whether a command printed what a page says it prints.

/// A line of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A line like this one.
    Line(String),
    /// `...`: any lines.
    Rest,
    /// `^C`: Ctrl-C is pressed here; also any lines that were on their way.
    Interrupt,
}

impl Expected {
    /// What a line of a page stands for.
    pub fn of(line: &str) -> Expected {
        match line.trim() {
            "..." => Expected::Rest,
            "^C" => Expected::Interrupt,
            _ => Expected::Line(line.to_owned()),
        }
    }
}

/// Whether the lines are as expected. What stands above an interrupt may come in any order, among others.
pub fn is_like(expected: &[Expected], lines: &[String], any_order: bool) -> bool {
    let mut got: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    let interrupt = expected
        .iter()
        .rposition(|item| *item == Expected::Interrupt);
    let (before, expected) = expected.split_at(interrupt.unwrap_or(0));
    let seen = |item: &Expected| match item {
        Expected::Line(line) => got.contains(&plain(line)),
        Expected::Rest | Expected::Interrupt => true,
    };
    if !before.iter().all(seen) {
        return false;
    }
    let mut want: Vec<Option<String>> = expected
        .iter()
        .map(|item| match item {
            Expected::Line(line) => Some(plain(line)),
            Expected::Rest | Expected::Interrupt => None,
        })
        .collect();
    if any_order {
        got.sort_unstable();
        want.sort_unstable();
    }
    fits(&want, &got)
}

/// `None` stands for any lines.
fn fits(want: &[Option<String>], got: &[String]) -> bool {
    match want {
        [] => got.is_empty(),
        [None] => true,
        [None, rest @ ..] => (0..=got.len()).any(|at| fits(rest, &got[at..])),
        [Some(line), rest @ ..] => got.first() == Some(line) && fits(rest, &got[1..]),
    }
}

/// Keys whose whole numbers differ from run to run.
const LOOSE: [&str; 4] = ["pid=", "\"pid\":", "maxRssBytes=", "\"maxRssBytes\":"];

/// How wide the bar of a stage is.
const BAR: usize = 40;

/// A line with a bar of the report of a stop, whose length depends on the time: one that stands for all of them, with the
/// time behind it close to it.
fn without_bar(line: &str) -> String {
    let bar = |at: usize| {
        let cells = line.get(at + 1..at + 1 + BAR)?;
        let behind = line[at + 1 + BAR..].strip_prefix('|')?;
        let drawn = cells.chars().all(|c| " =X".contains(c)) && cells.contains(['=', 'X']);
        drawn.then(|| format!("{}|BAR| {}", &line[..at], behind.trim_start()))
    };
    let mut places = line.match_indices('|');
    let shown = places.find_map(|(at, _)| bar(at));
    shown.unwrap_or_else(|| line.to_owned())
}

/// The line without what differs from run to run: times, durations, process ids, numbers with a fraction, bars.
fn plain(line: &str) -> String {
    let mut line = without_bar(line.trim_end());
    // The column of names is as wide as the longest one by then, and when that is depends on what is written together.
    while let Some(at) = line.find("  |") {
        line.remove(at);
    }
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let digits = |text: &str| -> usize {
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len())
        };
        let (length, shown) = number(rest, digits);
        let loose = LOOSE.iter().any(|key| out.ends_with(key));
        out.push_str(if loose {
            "N"
        } else {
            shown.unwrap_or(&rest[..length])
        });
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The length of the number, time or duration that a text begins with, and what stands for it.
fn number(text: &str, digits: impl Fn(&str) -> usize) -> (usize, Option<&'static str>) {
    const TIME: &str = "0000-00-00T00:00:00.000000Z";
    let is_shaped = |shape: &str| {
        text.len() >= shape.len()
            && shape.bytes().zip(text.bytes()).all(|(wanted, found)| {
                if wanted == b'0' {
                    found.is_ascii_digit()
                } else {
                    wanted == found
                }
            })
    };
    for shape in [TIME, "00:00:00.000"] {
        if is_shaped(shape) {
            return (shape.len(), Some("T"));
        }
    }
    let mut length = digits(text);
    let fraction = text[length..].strip_prefix('.').map_or(0, &digits);
    if fraction > 0 {
        length += 1 + fraction;
    }
    let unit = ["ms", "µs", "s", "m", "h"].into_iter().find(|unit| {
        text[length..].strip_prefix(unit).is_some_and(|behind| {
            !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        })
    });
    match (unit, fraction) {
        (Some(unit), _) => (length + unit.len(), Some("D")),
        (None, 0) => (length, None),
        (None, _) => (length, Some("N")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_not_compared() {
        for (one, other) in [
            (
                "11:16:22.479 podinit | a: started pid=4290",
                "01:00:00.000 podinit | a: started pid=1",
            ),
            (
                "exited after 3.4ms: exit code 0",
                "exited after 12s: exit code 0",
            ),
            (
                "{\"time\":\"2026-11-23T11:16:20.484588Z\",\"pid\":7}",
                "{\"time\":\"2020-01-01T00:00:00.000000Z\",\"pid\":12}",
            ),
            ("seconds=0.005", "seconds=1.25"),
            (
                "11:16:22.479 podinit |   db-0  |    ===X                                |   1.7ms  SIGTERM",
                "11:16:22.479 podinit |   db-0  |                                    ====|   12ms  SIGTERM",
            ),
        ] {
            assert_eq!(plain(one), plain(other));
        }
        for (one, other) in [
            ("exit code 0", "exit code 1"),
            ("restarts=0", "restarts=1"),
            ("a-0", "a-1"),
        ] {
            assert_ne!(plain(one), plain(other));
        }
    }

    #[test]
    fn dots_stand_for_any_lines() {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        let expected = |text: &str| -> Vec<Expected> { text.lines().map(Expected::of).collect() };
        for (want, got, like) in [
            ("a\n...\nd", "a\nb\nc\nd", true),
            ("a\n...\nd", "a\nd", true),
            ("a\n...\nd", "a\nb", false),
            ("a", "a\nb", false),
            ("...", "", true),
            ("a\n^C\nb", "a\nb", true),
            ("a\n^C\nb", "a\nlate\nb", true),
            ("a\nb\n^C\nc", "b\na\nc", true),
            ("a\nb\n^C\nc", "a\nc", false),
            ("a\n^C\nb", "a\nb\nc", false),
        ] {
            assert_eq!(
                is_like(&expected(want), &lines(got), false),
                like,
                "{want:?} {got:?}"
            );
        }
        assert!(is_like(&expected("b\na"), &lines("a\nb"), true));
    }
}
