//! Bytes to whole lines. Pure.
//!
//! What a child writes arrives in pieces that end anywhere. A [`Framer`], one a pipe, gives out whole lines only, many at
//! once where it can: the bytes of a read are passed on as they are, up to the last newline, and only the unfinished
//! line behind it is copied.
//!
//! A line longer than the limit is cut at the last whole character before it and goes on as a line of its own: nothing
//! is lost. All pieces but the last are [`Part::More`], the last is [`Part::End`]; that is what CRI's `P` and `F` tags
//! mean too.

/// The shortest limit that is honoured, in bytes: room for any character.
const MIN_LINE: usize = 16;
/// What a finished line may leave allocated, in bytes: enough for most, so that they need no allocation.
const KEEP: usize = 256;

/// Which part of a line a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Whole lines, one or many.
    Whole,
    /// One piece of an over-long line that goes on.
    More,
    /// The last piece of an over-long line.
    End,
}

/// Frames the bytes of one pipe.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// The line under way.
    held: Vec<u8>,
    /// A piece of that line was given out already.
    cut: bool,
}

impl Framer {
    /// Takes the bytes of a read. `emit` gets whole lines with their newlines, or one piece of a line: [`Part::More`]
    /// has no newline. `max` is the longest line, in bytes without its newline.
    pub(super) fn push(&mut self, bytes: &[u8], max: usize, emit: &mut impl FnMut(&[u8], Part)) {
        let max = max.max(MIN_LINE);
        let mut rest = bytes;
        if !self.held.is_empty() || self.cut {
            let Some(at) = memchr::memchr(b'\n', rest) else {
                self.hold(rest, max, emit);
                return;
            };
            let (line, behind) = rest.split_at(at + 1);
            self.complete(line, max, emit);
            rest = behind;
        }
        if rest.len() > max {
            rest = self.short_lines(rest, max, emit);
        }
        let (lines, unfinished) =
            rest.split_at(memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1));
        if !lines.is_empty() {
            emit(lines, Part::Whole);
        }
        if !unfinished.is_empty() {
            self.hold(unfinished, max, emit);
        }
    }

    /// The pipe has ended: gives out the line under way, without a newline.
    pub(super) fn end(&mut self, emit: &mut impl FnMut(&[u8], Part)) {
        if !self.held.is_empty() {
            self.finish_line(emit);
        }
        self.cut = false;
    }

    /// Gives out what is held of the line under way, earlier than its limit asks for: memory is short.
    pub(super) fn cut(&mut self, emit: &mut impl FnMut(&[u8], Part)) {
        let at = whole_characters(&self.held);
        if at == 0 {
            return;
        }
        emit(&self.held[..at], Part::More);
        self.held = self.held.split_off(at);
        self.cut = true;
    }

    /// Memory held, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held.capacity()
    }

    /// `rest` is long enough to hold an over-long line: gives out its lines up to a tail that holds none.
    #[cold]
    fn short_lines<'a>(
        &mut self,
        rest: &'a [u8],
        max: usize,
        emit: &mut impl FnMut(&[u8], Part),
    ) -> &'a [u8] {
        let (mut run, mut at) = (0, 0);
        while rest.len() - at > max {
            let end = memchr::memchr(b'\n', &rest[at..]).map_or(rest.len(), |n| at + n + 1);
            if end - at <= max + 1 && rest[end - 1] == b'\n' {
                at = end;
                continue;
            }
            if run < at {
                emit(&rest[run..at], Part::Whole);
            }
            self.complete(&rest[at..end], max, emit);
            (run, at) = (end, end);
        }
        if run < at {
            emit(&rest[run..at], Part::Whole);
        }
        &rest[at..]
    }

    /// Appends to the line under way: its end when that has a newline.
    fn complete(&mut self, line: &[u8], max: usize, emit: &mut impl FnMut(&[u8], Part)) {
        let Some((b'\n', text)) = line.split_last() else {
            self.hold(line, max, emit);
            return;
        };
        self.hold(text, max, emit);
        self.held.push(b'\n');
        self.finish_line(emit);
    }

    /// Appends text without a newline, giving out pieces where that makes the line over-long.
    fn hold(&mut self, mut text: &[u8], max: usize, emit: &mut impl FnMut(&[u8], Part)) {
        while self.held.len() + text.len() > max {
            let (fits, more) = text.split_at(max.saturating_sub(self.held.len()));
            self.held.extend_from_slice(fits);
            let at = whole_characters(&self.held).max(1);
            emit(&self.held[..at], Part::More);
            self.held.drain(..at);
            self.cut = true;
            text = more;
        }
        self.held.extend_from_slice(text);
    }

    fn finish_line(&mut self, emit: &mut impl FnMut(&[u8], Part)) {
        let part = if self.cut { Part::End } else { Part::Whole };
        emit(&self.held, part);
        self.cut = false;
        self.held.clear();
        self.held.shrink_to(KEEP);
    }
}

/// The length of `bytes` without a UTF-8 character that begins in them and would end behind them.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything given out for `reads` and the end, in order.
    fn frames(reads: &[&[u8]], max: usize) -> Vec<(Vec<u8>, Part)> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        let mut emit = |bytes: &[u8], part| out.push((bytes.to_vec(), part));
        for read in reads {
            framer.push(read, max, &mut emit);
        }
        framer.end(&mut emit);
        out
    }

    /// The same, one entry a line.
    fn lines(reads: &[&[u8]], max: usize) -> Vec<(String, Part)> {
        let mut lines = Vec::new();
        for (bytes, part) in frames(reads, max) {
            for line in bytes.split_inclusive(|b| *b == b'\n') {
                lines.push((String::from_utf8_lossy(line).into_owned(), part));
            }
        }
        lines
    }

    #[test]
    fn a_split_at_any_byte_gives_whole_lines() {
        let text = "one\n\ntwo æøå\r\n{\"a\":1}\nlast".as_bytes();
        let whole = lines(&[text], 1000);
        assert_eq!(whole.len(), 5);
        for at in 0..=text.len() {
            let (a, b) = text.split_at(at);
            assert_eq!(lines(&[a, b], 1000), whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes, 1000), whole);
    }

    #[test]
    fn many_lines_of_a_read_are_one_piece() {
        let out = frames(&[b"a\nb\nc\nd"], 1000);
        assert_eq!(
            out,
            [
                (b"a\nb\nc\n".to_vec(), Part::Whole),
                (b"d".to_vec(), Part::Whole)
            ]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let line = format!("{}\n", "x".repeat(32));
        assert_eq!(lines(&[line.as_bytes()], 32), [(line, Part::Whole)]);
    }

    #[test]
    fn an_overlong_line_goes_on_in_pieces() {
        let line = format!("a\n{}\nb\n", "x".repeat(70));
        let x = "x".repeat(32);
        assert_eq!(
            lines(&[line.as_bytes()], 32),
            [
                ("a\n".into(), Part::Whole),
                (x.clone(), Part::More),
                (x, Part::More),
                ("xxxxxx\n".into(), Part::End),
                ("b\n".into(), Part::Whole)
            ]
        );
    }

    #[test]
    fn a_cut_keeps_characters_whole() {
        let line = "å".repeat(20);
        for (piece, _) in frames(&[line.as_bytes()], 17) {
            assert!(std::str::from_utf8(&piece).is_ok(), "{piece:?}");
        }
        assert_eq!(whole_characters("a€".as_bytes()), 4);
        assert_eq!(whole_characters(&"a€".as_bytes()[..3]), 1);
        assert_eq!(whole_characters(&"🦀".as_bytes()[..3]), 0);
        assert_eq!(whole_characters(b"\x80\x80\x80\x80"), 4);
        assert_eq!(whole_characters(b""), 0);
    }

    #[test]
    fn a_long_line_is_held_bounded() {
        let mut framer = Framer::default();
        let mut given = 0;
        let mut emit = |bytes: &[u8], _| given += bytes.len();
        for _ in 0..160 {
            framer.push(&vec![b'x'; 65536], 262_144, &mut emit);
        }
        assert!(framer.held() <= 524_288);
        framer.end(&mut emit);
        assert_eq!(given, 160 * 65536);
        assert!(framer.held() <= KEEP);
    }

    #[test]
    fn an_early_cut_loses_nothing() {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        let mut emit = |bytes: &[u8], part| out.push((bytes.to_vec(), part));
        framer.push("half å".as_bytes(), 100, &mut emit);
        framer.cut(&mut emit);
        framer.push(b"\nnext\n", 100, &mut emit);
        assert_eq!(
            out,
            [
                ("half å".as_bytes().to_vec(), Part::More),
                (b"\n".to_vec(), Part::End),
                (b"next\n".to_vec(), Part::Whole)
            ]
        );
    }

    proptest! {
        #[test]
        fn frames_rejoin_to_the_input(
            reads in prop::collection::vec(prop::collection::vec(prop_oneof![4 => Just(b'\n'), 1 => any::<u8>(), 8 => Just(b'a')], 0..60), 0..8),
            max in 0_usize..100,
        ) {
            let input = reads.concat();
            let reads: Vec<&[u8]> = reads.iter().map(Vec::as_slice).collect();
            let out = frames(&reads, max);
            let joined: Vec<u8> = out.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            prop_assert_eq!(&joined, &input);
            let (last, before) = match out.split_last() { Some((last, before)) => (Some(last), before), None => (None, &[][..]) };
            for (bytes, part) in before {
                prop_assert_eq!(bytes.ends_with(b"\n"), *part != Part::More);
            }
            if let Some((bytes, part)) = last {
                prop_assert!(*part != Part::More);
                prop_assert!(!bytes.is_empty());
            }
            for (bytes, _) in &out {
                for line in bytes.split(|b| *b == b'\n') {
                    prop_assert!(line.len() <= max.max(MIN_LINE));
                }
            }
        }
    }
}
