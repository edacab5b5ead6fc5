//! Lines to output: the envelope of `Json`, the columns of `Text`, nothing for `Raw`. Pure.
//!
//! ```text
//! 10:00:00.123 nginx-0 | to standard output
//! 10:00:00.123 queue-0 ! to standard error
//! ```
//!
//! Pieces of an over-long line end in `…` in `Text`, except the last; in `Raw` nothing can be marked, and each piece is a
//! line. `Json` and `Text` take no carriage return before a newline for part of a line, and put U+FFFD in the place of
//! invalid UTF-8.

use std::sync::Arc;

use super::envelope::{Envelope, Head};
use super::frame::Part;
use super::ring::Lines;
use super::stamp::Stamp;
use crate::domain::id::Label;
use crate::domain::plan::{LogFormat, LogRule};
use crate::domain::time::Wall;

/// The widest column of names in `Text`.
const WIDEST: usize = 32;
/// Colours of instances, as SGR parameters; red is for standard error.
const COLOURS: [u8; 5] = [36, 33, 32, 35, 34];
const GREY: u8 = 90;

/// Which of a child's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// How the lines of one stream look: all that does not change from line to line.
#[derive(Debug)]
pub(super) enum Face {
    /// In our envelope.
    Json(Head),
    /// In columns.
    Text(Column),
    /// As they are.
    Raw,
}

/// The column of names in `Text`.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) stream: Stream,
    /// Picks a colour; `None`: ours.
    pub(super) number: Option<usize>,
}

impl Face {
    /// The face of an instance's stream; `number` counts instances.
    pub(super) fn new(label: &Label, stream: Stream, rule: &LogRule, number: usize) -> Self {
        match rule.format {
            LogFormat::Json => Face::Json(Head::new(label, stream, &rule.labels)),
            LogFormat::Text => Face::Text(Column {
                name: Arc::clone(&label.instance),
                stream,
                number: Some(number),
            }),
            LogFormat::Raw => Face::Raw,
        }
    }
}

/// Formats lines. One for all streams: it keeps buffers, the width of the column and the time.
#[derive(Debug)]
pub(super) struct Formatter {
    colour: bool,
    width: usize,
    envelope: Envelope,
    prefix: Vec<u8>,
    scratch: Vec<u8>,
    pub(super) stamp: Stamp,
    /// Lines that were not UTF-8.
    pub(super) invalid: u64,
}

impl Formatter {
    /// A formatter; `colour` is for `Text`.
    pub(super) fn new(colour: bool) -> Self {
        Formatter {
            colour,
            width: "podinit".len(),
            envelope: Envelope::default(),
            prefix: Vec::new(),
            scratch: Vec::new(),
            stamp: Stamp::default(),
            invalid: 0,
        }
    }

    /// Makes the column of names wide enough for this one.
    pub(super) fn widen(&mut self, name: &str) {
        self.width = self.width.max(name.len().min(WIDEST));
    }

    /// Appends lines to `out`, which has less than `limit` bytes, until it has that many or all are written; whole lines,
    /// one at least. Gives the bytes of `lines` used.
    pub(super) fn lines(
        &mut self,
        face: &Face,
        lines: &Lines<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        match face {
            Face::Json(head) => {
                let time = self.stamp.rfc3339(lines.time);
                self.envelope
                    .lines((head, time), lines, limit, out, &mut self.invalid)
            }
            Face::Text(column) => self.text(column, lines, limit, out),
            Face::Raw => raw(lines.bytes, limit, out),
        }
    }

    /// Appends the columns in front of a `Text` line.
    pub(super) fn columns(&mut self, time: Wall, column: &Column, out: &mut Vec<u8>) {
        if self.colour {
            let colour = column.number.map_or(GREY, |n| COLOURS[n % COLOURS.len()]);
            out.extend_from_slice(format!("\x1b[{colour}m").as_bytes());
        }
        out.extend_from_slice(self.stamp.time_of_day(time));
        out.push(b' ');
        out.extend_from_slice(column.name.as_bytes());
        out.resize(
            out.len() + self.width.saturating_sub(column.name.len()),
            b' ',
        );
        let mark: &[u8] = match (column.stream, self.colour) {
            (Stream::Stdout, false) => b" | ",
            (Stream::Stdout, true) => b" |\x1b[0m ",
            (Stream::Stderr, false) => b" ! ",
            (Stream::Stderr, true) => b"\x1b[31m !\x1b[0m ",
        };
        out.extend_from_slice(mark);
    }

    fn text(
        &mut self,
        column: &Column,
        lines: &Lines<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut prefix = std::mem::take(&mut self.prefix);
        prefix.clear();
        self.columns(lines.time, column, &mut prefix);
        let suffix = match lines.part {
            Part::More => "…\n",
            Part::Whole | Part::End => "\n",
        };
        let valid = std::str::from_utf8(lines.bytes).is_ok();
        let mut rest = lines.bytes;
        while !rest.is_empty() && out.len() < limit {
            let (mut line, behind) = first_line(rest, 0);
            rest = behind;
            if !valid {
                line = mend(line, &mut self.scratch, &mut self.invalid);
            }
            out.reserve(prefix.len() + line.len() + suffix.len());
            out.extend_from_slice(&prefix);
            out.extend_from_slice(line);
            out.extend_from_slice(suffix.as_bytes());
        }
        self.prefix = prefix;
        lines.bytes.len() - rest.len()
    }
}

/// Copies whole lines as they are.
fn raw(lines: &[u8], limit: usize, out: &mut Vec<u8>) -> usize {
    let room = limit.saturating_sub(out.len());
    let length = if lines.len() <= room {
        lines.len()
    } else {
        memchr::memrchr(b'\n', &lines[..room])
            .or_else(|| memchr::memchr(b'\n', lines))
            .map_or(lines.len(), |at| at + 1)
    };
    out.extend_from_slice(&lines[..length]);
    length
}

/// The first line, without its newline and a carriage return before that, and what follows it. The newline is not in the
/// first `from` bytes.
#[inline]
pub(super) fn first_line(lines: &[u8], from: usize) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', &lines[from..]).map_or(lines.len(), |at| from + at);
    let line = &lines[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (line, lines.get(end + 1..).unwrap_or_default())
}

/// The line as valid UTF-8; counted if it was not.
#[cold]
pub(super) fn mend<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>, invalid: &mut u64) -> &'a [u8] {
    if std::str::from_utf8(line).is_ok() {
        return line;
    }
    *invalid += 1;
    scratch.clear();
    for chunk in line.utf8_chunks() {
        scratch.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            scratch.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Backpressure;

    fn face(instance: &str, stream: Stream, format: LogFormat) -> Face {
        let label = Label {
            process: Arc::from("web"),
            instance: Arc::from(instance),
        };
        let rule = LogRule {
            format,
            max_line_bytes: 100,
            on_backpressure: Backpressure::Block,
            labels: Vec::new(),
        };
        Face::new(&label, stream, &rule, 0)
    }

    fn written(formatter: &mut Formatter, face: &Face, bytes: &[u8], part: Part) -> String {
        let mut out = Vec::new();
        let time = Wall(1_795_428_000_123_456);
        let mut rest = bytes;
        while !rest.is_empty() {
            let lines = Lines {
                seq: 0,
                time,
                part,
                bytes: rest,
            };
            let limit = out.len() + 1;
            let used = formatter.lines(face, &lines, limit, &mut out);
            assert!(used > 0);
            rest = &rest[used..];
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn text_is_aligned() {
        let mut formatter = Formatter::new(false);
        formatter.widen("scheduler");
        let out = face("web-0", Stream::Stdout, LogFormat::Text);
        let err = face("scheduler", Stream::Stderr, LogFormat::Text);
        assert_eq!(
            written(&mut formatter, &out, b"one\r\n\ntwo \xff\n", Part::Whole),
            "10:00:00.123 web-0     | one\n10:00:00.123 web-0     | \n10:00:00.123 web-0     | two \u{fffd}\n"
        );
        assert_eq!(
            written(&mut formatter, &err, b"half\n", Part::More),
            "10:00:00.123 scheduler ! half…\n"
        );
        assert_eq!(formatter.invalid, 1);
    }

    #[test]
    fn text_is_coloured_on_a_terminal() {
        let mut formatter = Formatter::new(true);
        let err = face("web-0", Stream::Stderr, LogFormat::Text);
        assert_eq!(
            written(&mut formatter, &err, b"x\n", Part::Whole),
            "\x1b[36m10:00:00.123 web-0  \x1b[31m !\x1b[0m x\n"
        );
    }

    #[test]
    fn json_has_the_time_of_the_read() {
        let mut formatter = Formatter::new(false);
        let face = face("web-0", Stream::Stderr, LogFormat::Json);
        assert_eq!(
            written(&mut formatter, &face, b"x\n{\"y\":1}\n", Part::Whole),
            "{\"time\":\"2026-11-23T10:00:00.123456Z\",\"stream\":\"stderr\",\"process\":\"web\",\"instance\":\"web-0\",\"message\":\"x\"}\n\
             {\"time\":\"2026-11-23T10:00:00.123456Z\",\"stream\":\"stderr\",\"process\":\"web\",\"instance\":\"web-0\",\"y\":1}\n"
        );
    }

    #[test]
    fn raw_is_as_it_came() {
        let mut formatter = Formatter::new(true);
        let bytes = b"a\r\n\0\xff\n{\"time\":1}\n\n";
        let face = face("web-0", Stream::Stdout, LogFormat::Raw);
        let mut out = Vec::new();
        let lines = Lines {
            seq: 0,
            time: Wall(0),
            part: Part::Whole,
            bytes,
        };
        assert_eq!(formatter.lines(&face, &lines, 7, &mut out), 6);
        assert_eq!(out, b"a\r\n\0\xff\n");
        out.clear();
        assert_eq!(formatter.lines(&face, &lines, 1, &mut out), 3);
        out.clear();
        assert_eq!(formatter.lines(&face, &lines, 1000, &mut out), bytes.len());
        assert_eq!(out, bytes);
    }
}
