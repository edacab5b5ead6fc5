//! Lines to JSON: our envelope around a line, or merged with the object the line is. Pure.
//!
//! ```json
//! {"time":"2026-11-23T10:00:00.123456Z","stream":"stdout","process":"nginx","instance":"nginx-0","message":"..."}
//! ```
//!
//! Labels stand before the message. A line that is itself a JSON object (it begins with `{` in the first column) is
//! merged: its members take the place of `message`, byte for byte as the child wrote them. No name occurs twice: a member
//! called like one of ours (`time`, `stream`, `process`, `instance` or a label) becomes `app.NAME`; a label called like
//! one of ours, or `message`, `level`, `source`, `partial`, becomes `label.NAME`. An object that has a name twice by
//! itself, or that parsers may refuse ([`json::object`]), is a text like any other. What is inside a child's own values is
//! its own business.
//!
//! A piece of an over-long line is never merged; all but its last carry `"partial":true`. A carriage return before the
//! newline is no part of the line. Invalid UTF-8 becomes U+FFFD.

use std::collections::HashSet;
use std::ops::Range;

use super::format::{Stream, first_line, mend};
use super::frame::Part;
use super::json;
use super::ring::Lines;
use crate::domain::id::Label;

/// Names that labels do not get.
const RESERVED: [&str; 8] = [
    "time", "stream", "process", "instance", "message", "level", "source", "partial",
];
/// Names that members of a child's objects do not get, beside those of the labels.
const OURS: [&str; 4] = ["time", "stream", "process", "instance"];
/// Names that are compared each with each rather than sorted.
const FEW: usize = 16;

/// What the envelopes of a stream have in common.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// From behind the time to before the message.
    text: Vec<u8>,
    /// Names in it.
    names: Vec<String>,
    /// One bit for each length of a name that occurs; the highest for all long ones.
    lengths: u64,
}

impl Head {
    /// Of an instance's stream, with static labels.
    pub(super) fn new(label: &Label, stream: Stream, labels: &[(String, String)]) -> Self {
        let mut names: Vec<String> = OURS.map(str::to_owned).to_vec();
        let mut text = b"\",\"stream\":\"".to_vec();
        text.extend_from_slice(stream.name().as_bytes());
        text.extend_from_slice(b"\",\"process\":");
        json::string(&label.process, &mut text);
        text.extend_from_slice(b",\"instance\":");
        json::string(&label.instance, &mut text);
        for (name, value) in labels {
            let name = if RESERVED.contains(&name.as_str()) {
                format!("label.{name}")
            } else {
                name.clone()
            };
            if names.contains(&name) {
                continue;
            }
            text.push(b',');
            json::string(&name, &mut text);
            text.push(b':');
            json::string(value, &mut text);
            names.push(name);
        }
        let lengths = names
            .iter()
            .fold(0, |bits, name| bits | length_bit(name.len()));
        Head {
            text,
            names,
            lengths,
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0
            && self.names.iter().any(|taken| taken.as_bytes() == name)
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// Writes envelopes; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    prefix: Vec<u8>,
    scratch: Vec<u8>,
    names: Vec<Range<usize>>,
    sorted: Vec<Range<usize>>,
}

impl Envelope {
    /// Appends lines to `out` until that has `limit` bytes. Gives the bytes of `lines` used; adds to `invalid` the lines
    /// that were not UTF-8.
    pub(super) fn lines(
        &mut self,
        (head, time): (&Head, &[u8]),
        lines: &Lines<'_>,
        limit: usize,
        out: &mut Vec<u8>,
        invalid: &mut u64,
    ) -> usize {
        self.prefix.clear();
        self.prefix.extend_from_slice(b"{\"time\":\"");
        self.prefix.extend_from_slice(time);
        self.prefix.extend_from_slice(&head.text);
        let envelope = self.prefix.len();
        self.prefix.extend_from_slice(b",\"message\":\"");
        let suffix: &[u8] = match lines.part {
            Part::More => b"\",\"partial\":true}\n",
            Part::Whole | Part::End => b"\"}\n",
        };
        let valid = std::str::from_utf8(lines.bytes).is_ok();
        let mut rest = lines.bytes;
        while !rest.is_empty() && out.len() < limit {
            // One scan finds the first byte to escape and, in most lines, that it is the newline.
            let plain = json::plain(rest);
            let simple = matches!(rest[plain..], [b'\n', ..] | [b'\r', b'\n', ..]);
            let (mut line, behind) = first_line(rest, plain);
            rest = behind;
            if !valid {
                line = mend(line, &mut self.scratch, invalid);
            }
            if lines.part == Part::Whole && line.first() == Some(&b'{') {
                let before = out.len();
                out.extend_from_slice(&self.prefix[..envelope]);
                if merge(line, head, (&mut self.names, &mut self.sorted), out) {
                    continue;
                }
                out.truncate(before);
            }
            out.reserve(self.prefix.len() + line.len() + suffix.len());
            out.extend_from_slice(&self.prefix);
            if simple {
                out.extend_from_slice(line);
            } else {
                json::escape(line, out);
            }
            out.extend_from_slice(suffix);
        }
        lines.bytes.len() - rest.len()
    }
}

/// Appends the members of the object that `line` is, and closes it. If it is none that can be merged, appends nothing and
/// says so.
fn merge(
    line: &[u8],
    head: &Head,
    (names, sorted): (&mut Vec<Range<usize>>, &mut Vec<Range<usize>>),
    out: &mut Vec<u8>,
) -> bool {
    if line.trim_ascii_end().last() != Some(&b'}') {
        return false;
    }
    let Some(inside) = json::object(line, names) else {
        return false;
    };
    let name = |range: &Range<usize>| &line[range.clone()];
    let mut renamed = false;
    let mut escaped = false;
    for range in names.iter() {
        renamed |= head.has(name(range));
        escaped |= name(range).contains(&b'\\');
    }
    sorted.clear();
    if escaped {
        let Some(taken) = decoded(line, head, names) else {
            return false;
        };
        *sorted = taken;
    } else {
        if twice(line, names, sorted) {
            return false;
        }
        sorted.clear();
        if renamed {
            sorted.extend(names.iter().filter(|n| head.has(name(n))).cloned());
            let clash = |n: &Range<usize>| {
                let new = [b"app.", name(n)].concat();
                head.has(&new) || names.iter().any(|other| name(other) == new)
            };
            if sorted.iter().any(clash) {
                return false;
            }
        }
    }
    if !names.is_empty() {
        out.push(b',');
    }
    let mut at = inside.start;
    for taken in sorted.iter() {
        out.extend_from_slice(&line[at..taken.start]);
        out.extend_from_slice(b"app.");
        at = taken.start;
    }
    out.extend_from_slice(&line[at..inside.end]);
    out.extend_from_slice(b"}\n");
    true
}

/// Whether a name occurs twice.
fn twice(line: &[u8], names: &[Range<usize>], sorted: &mut Vec<Range<usize>>) -> bool {
    let name = |range: &Range<usize>| &line[range.clone()];
    if names.len() <= FEW {
        let same = |a: &Range<usize>, b: &Range<usize>| a.len() == b.len() && name(a) == name(b);
        return (1..names.len()).any(|n| names[..n].iter().any(|other| same(other, &names[n])));
    }
    sorted.extend_from_slice(names);
    sorted.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    sorted
        .windows(2)
        .any(|pair| name(&pair[0]) == name(&pair[1]))
}

/// Where the names to rename are, when some name is written with escapes. `None`: a name would occur twice.
#[cold]
fn decoded(line: &[u8], head: &Head, names: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
    let mut taken = Vec::new();
    let mut all: HashSet<String> = head.names.iter().cloned().collect();
    for range in names {
        let mut name: String = serde_json::from_slice(&line[range.start - 1..=range.end]).ok()?;
        if head.has(name.as_bytes()) {
            name.insert_str(0, "app.");
            taken.push(range.clone());
        }
        if !all.insert(name) {
            return None;
        }
    }
    Some(taken)
}

#[cfg(test)]
mod tests;
