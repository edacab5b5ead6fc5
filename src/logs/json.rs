//! JSON by hand, for speed: escaping a line, and finding out whether a line is itself an object. Pure.

use std::ops::Range;

/// How deep an object may be nested to be merged: parsers downstream have limits too (serde_json 128).
const DEPTH: u32 = 100;
/// Digits of a number above which it is looked at whether it is finite.
const LONG_NUMBER: usize = 300;

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// The number of bytes at the beginning of `bytes` that need no escape in a JSON string.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        // The lowest set top bit is of the first byte that is below 0x20, a quote or a backslash; borrows reach only
        // bytes above it.
        let hits = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash))
            & TOPS;
        if hits != 0 {
            return i * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let at = rest
        .iter()
        .position(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
    bytes.len() - rest.len() + at.unwrap_or(rest.len())
}

/// Appends `text`, which is UTF-8, as the inside of a JSON string.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let (run, more) = rest.split_at(plain(rest));
        out.extend_from_slice(run);
        let Some((byte, behind)) = more.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            }
        }
        rest = behind;
    }
}

/// Appends a JSON string with its quotes.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text.as_bytes(), out);
    out.push(b'"');
}

/// Looks whether `line`, which is UTF-8, is one JSON object and nothing else. Gives where its inside is, and the names of
/// its own members (not of those further in), as written, without quotes.
///
/// Stricter than RFC 8259 where parsers downstream are: no half surrogates, no number too large for a float, no nesting
/// deeper than 100.
pub(super) fn object(line: &[u8], names: &mut Vec<Range<usize>>) -> Option<Range<usize>> {
    names.clear();
    let mut at = space(line, 0);
    if *line.get(at)? != b'{' {
        return None;
    }
    at += 1;
    let start = at;
    // One bit a level: an object or an array.
    let mut objects: u128 = 1;
    let mut depth = 1;
    let mut expect = Expect::NameOrEnd;
    loop {
        at = space(line, at);
        let byte = *line.get(at)?;
        let in_object = objects & 1 == 1;
        match (expect, byte) {
            (Expect::Name | Expect::NameOrEnd, b'"') => {
                let end = quoted(line, at)?;
                if depth == 1 {
                    names.push(at + 1..end - 1);
                }
                at = space(line, end);
                if *line.get(at)? != b':' {
                    return None;
                }
                at += 1;
                expect = Expect::Value;
            }
            (Expect::NameOrEnd, b'}') | (Expect::ValueOrEnd, b']') => {
                depth -= 1;
                objects >>= 1;
                expect = Expect::Next;
                at += 1;
            }
            (Expect::Next, b'}') if in_object => {
                depth -= 1;
                objects >>= 1;
                at += 1;
            }
            (Expect::Next, b']') if !in_object => {
                depth -= 1;
                objects >>= 1;
                at += 1;
            }
            (Expect::Next, b',') => {
                expect = if in_object {
                    Expect::Name
                } else {
                    Expect::Value
                };
                at += 1;
            }
            (Expect::Value | Expect::ValueOrEnd, b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH {
                    return None;
                }
                objects = objects << 1 | u128::from(byte == b'{');
                expect = if byte == b'{' {
                    Expect::NameOrEnd
                } else {
                    Expect::ValueOrEnd
                };
                at += 1;
            }
            (Expect::Value | Expect::ValueOrEnd, _) => {
                at = scalar(line, at, byte)?;
                expect = Expect::Next;
            }
            _ => return None,
        }
        if depth == 0 {
            return (space(line, at) == line.len()).then_some(start..at - 1);
        }
    }
}

#[derive(Clone, Copy)]
enum Expect {
    Name,
    NameOrEnd,
    Value,
    ValueOrEnd,
    Next,
}

/// Where the value that begins at `at` ends.
fn scalar(line: &[u8], at: usize, first: u8) -> Option<usize> {
    let word = |word: &[u8]| line[at..].starts_with(word).then_some(at + word.len());
    match first {
        b'"' => quoted(line, at),
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        b'-' | b'0'..=b'9' => number(line, at),
        _ => None,
    }
}

fn space(line: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = line.get(at) {
        at += 1;
    }
    at
}

/// Where the string that begins at `at` ends, behind its closing quote.
#[inline]
fn quoted(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += plain(&line[at..]);
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                at = match line.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
                    b'u' => match hex(line, at + 2)? {
                        0xd800..=0xdbff
                            if line.get(at + 6..at + 8)? == b"\\u"
                                && (0xdc00..=0xdfff).contains(&hex(line, at + 8)?) =>
                        {
                            at + 12
                        }
                        0xd800..=0xdfff => return None,
                        _ => at + 6,
                    },
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

fn hex(line: &[u8], at: usize) -> Option<u32> {
    let mut value = 0;
    for byte in line.get(at..at + 4)? {
        value = value * 16 + char::from(*byte).to_digit(16)?;
    }
    Some(value)
}

fn number(line: &[u8], start: usize) -> Option<usize> {
    let digits = |at: usize| {
        let length = line[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        (length > 0).then_some(at + length)
    };
    let mut at = start + usize::from(line[start] == b'-');
    let zero = line.get(at) == Some(&b'0');
    let integer = digits(at)?;
    if zero && integer > at + 1 {
        return None;
    }
    at = integer;
    if line.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    let mut check = at - start > LONG_NUMBER;
    if let Some(b'e' | b'E') = line.get(at) {
        at += 1;
        at += usize::from(matches!(line.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
        check = true;
    }
    if check {
        let number: f64 = std::str::from_utf8(&line[start..at]).ok()?.parse().ok()?;
        if !number.is_finite() {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests;
