//! What one stream wrote: first the backlog that waits to be written, then the history of it. Pure.
//!
//! Lines are kept once, as they came, in segments that grow from [`FIRST`] to [`SEGMENT`] bytes. A cursor divides them:
//! in front of it is history, which may go at any time; behind it is the backlog, which goes only by being written or
//! by [`Ring::drop_front`]. A ring survives the runs that filled it.

use std::collections::VecDeque;

use super::frame::{Part, whole_characters};
use crate::domain::time::Wall;

/// Capacity of a stream's first segment, in bytes; each further one is twice as large.
const FIRST: usize = 512;
/// Capacity of a segment that holds no longer line, in bytes.
const SEGMENT: usize = 16 * 1024;
/// Batches in a segment, so that many short ones cannot outgrow the text.
const BATCHES: usize = 256;
/// What is kept of a line that is longer than the ring, once it is written, in bytes.
const STUB: usize = 8 * 1024;

/// Lines that came with one read.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Rises from read to read over all streams.
    seq: u64,
    time: Wall,
    /// Where they end in their segment.
    end: u32,
    part: Part,
}

/// Lines to write: of one batch, each with its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines<'a> {
    pub(super) seq: u64,
    pub(super) time: Wall,
    pub(super) part: Part,
    pub(super) bytes: &'a [u8],
}

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    batches: Vec<Batch>,
}

impl Segment {
    fn new(capacity: usize) -> Self {
        Segment {
            bytes: Vec::with_capacity(capacity),
            batches: Vec::new(),
        }
    }

    fn size(&self) -> usize {
        size_of::<Segment>() + self.bytes.capacity() + self.batches.capacity() * size_of::<Batch>()
    }

    fn lines(&self) -> impl DoubleEndedIterator<Item = Lines<'_>> {
        self.batches.iter().enumerate().map(|(i, batch)| {
            let start = i.checked_sub(1).map_or(0, |p| self.batches[p].end as usize);
            Lines {
                seq: batch.seq,
                time: batch.time,
                part: batch.part,
                bytes: &self.bytes[start..batch.end as usize],
            }
        })
    }
}

/// Lines of one stream.
#[derive(Debug, Default)]
pub(super) struct Ring {
    segments: VecDeque<Segment>,
    /// The cursor: the first segment with something to write, the first such batch in it, the first such byte.
    segment: usize,
    batch: usize,
    byte: usize,
    size: usize,
    backlog: usize,
}

impl Ring {
    /// Memory in use, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    /// Appends the lines of a read, or a piece of a line; a missing newline is added.
    pub(super) fn append(&mut self, seq: u64, time: Wall, part: Part, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let needs = if rest.ends_with(b"\n") {
                rest.len()
            } else {
                rest.len() + 1
            };
            let room = self.room();
            let take = if needs <= room {
                rest.len()
            } else {
                // As many whole lines as fit here; else a new segment, for one line at least.
                let fits = &rest[..room.min(rest.len())];
                let Some(at) = memchr::memrchr(b'\n', fits) else {
                    let line = memchr::memchr(b'\n', rest).map_or(needs, |at| at + 1);
                    self.grow(line);
                    continue;
                };
                at + 1
            };
            let (now, later) = rest.split_at(take);
            self.put(seq, time, part, now);
            rest = later;
        }
    }

    /// What is to be written next.
    pub(super) fn next(&mut self) -> Option<Lines<'_>> {
        if self.backlog == 0 {
            return None;
        }
        if self.batch == self.segments.get(self.segment)?.batches.len() {
            (self.segment, self.batch, self.byte) = (self.segment + 1, 0, 0);
        }
        let segment = self.segments.get(self.segment)?;
        let batch = segment.batches.get(self.batch)?;
        Some(Lines {
            seq: batch.seq,
            time: batch.time,
            part: batch.part,
            bytes: &segment.bytes[self.byte..batch.end as usize],
        })
    }

    /// The first `bytes` of [`Ring::next`] are written. Says whether that was all of it.
    pub(super) fn advance(&mut self, bytes: usize) -> bool {
        self.byte += bytes;
        self.backlog -= bytes;
        let end = self.segments[self.segment].batches[self.batch].end as usize;
        let all = self.byte == end;
        self.batch += usize::from(all);
        all
    }

    /// Whether something could be freed without loss.
    pub(super) fn has_history(&self) -> bool {
        let front = self.segments.front();
        front.is_some_and(|front| self.segment > 0 || self.byte == front.bytes.len())
    }

    /// Frees the oldest segment if nothing in it waits to be written. Says whether it did.
    pub(super) fn evict(&mut self) -> bool {
        let free = self.has_history();
        if free {
            self.pop_front();
        }
        free
    }

    /// Frees the oldest segment whatever is in it. Gives the number of lines lost by that.
    pub(super) fn drop_front(&mut self) -> u64 {
        let Some(front) = self.segments.front() else {
            return 0;
        };
        let mut lost = 0;
        if self.segment == 0 {
            let bytes = &front.bytes[self.byte..];
            lost = memchr::memchr_iter(b'\n', bytes).count() as u64;
            self.backlog -= bytes.len();
        }
        self.pop_front();
        lost
    }

    /// Brings history down to `limit` bytes as far as that can be done. What is left of a last line longer than that is
    /// its beginning.
    pub(super) fn trim(&mut self, limit: usize) {
        while self.size > limit && self.segments.len() > 1 {
            if !self.evict() {
                return;
            }
        }
        if self.size > limit && self.backlog == 0 && STUB < limit {
            self.stub();
        }
    }

    /// Segments it consists of.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Everything it holds, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = Lines<'_>> {
        self.segments.iter().rev().flat_map(|s| s.lines().rev())
    }

    /// Bytes that fit into the last segment.
    fn room(&self) -> usize {
        match self.segments.back() {
            Some(last) if last.batches.len() < BATCHES => last.bytes.capacity() - last.bytes.len(),
            _ => 0,
        }
    }

    fn grow(&mut self, at_least: usize) {
        let last = self.segments.back().map_or(0, |last| last.bytes.capacity());
        let segment = Segment::new((last * 2).clamp(FIRST, SEGMENT).max(at_least));
        self.size += segment.size();
        self.segments.push_back(segment);
    }

    /// Appends what fits into the last segment.
    fn put(&mut self, seq: u64, time: Wall, part: Part, bytes: &[u8]) {
        let index = self.segments.len() - 1;
        let last = &mut self.segments[index];
        let before = last.size();
        last.bytes.extend_from_slice(bytes);
        let mut added = bytes.len();
        if !bytes.ends_with(b"\n") {
            last.bytes.push(b'\n');
            added += 1;
        }
        let end = last.bytes.len() as u32;
        let open = self.segment < index || self.batch < last.batches.len();
        match last.batches.last_mut() {
            // Lines of the same read, and none of them written yet.
            Some(batch)
                if open && batch.seq == seq && batch.part == part && part == Part::Whole =>
            {
                batch.end = end;
            }
            _ => last.batches.push(Batch {
                seq,
                time,
                end,
                part,
            }),
        }
        self.size += last.size() - before;
        self.backlog += added;
    }

    fn pop_front(&mut self) {
        if let Some(front) = self.segments.pop_front() {
            self.size -= front.size();
        }
        if self.segment == 0 {
            (self.batch, self.byte) = (0, 0);
        }
        self.segment = self.segment.saturating_sub(1);
    }

    /// Only one segment is left, with nothing to write and too large: keeps the beginning of its last line.
    #[cold]
    fn stub(&mut self) {
        let Some(last) = self.segments.pop_back() else {
            return;
        };
        let Some(lines) = last.lines().next_back() else {
            return;
        };
        let text = &lines.bytes[..lines.bytes.len() - 1];
        let start = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
        let line = &text[start..];
        let cut = whole_characters(&line[..line.len().min(STUB)]);
        let (seq, time) = (lines.seq, lines.time);
        let line = line[..cut].to_vec();
        *self = Ring::default();
        self.append(seq, time, Part::More, &line);
        self.backlog = 0;
        if let Some(segment) = self.segments.front() {
            (self.batch, self.byte) = (segment.batches.len(), segment.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests;
