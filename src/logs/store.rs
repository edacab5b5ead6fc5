//! All streams' lines: what waits to be written, in order, and what the instances wrote last. Pure.
//!
//! A *source* is one stream of one instance; it outlives the instance's runs. Its lines are in a [`Ring`]. Rules:
//!
//! - A ring has [`RING`] bytes, that of our own records [`OWN_RING`], all rings together [`TOTAL`]. When that is short, the largest rings lose history first, so
//!   what a quiet instance said last stays.
//! - `Block`: a source is not read while its ring is full of backlog, or while all of the memory is; nothing is lost.
//! - `DropOldest`: a source is always read; when its ring is full of backlog its oldest lines go, counted.
//! - Our own records are a source too, with `DropOldest`.
//! - Backlog is written in the order of the reads it came with.

mod losses;
mod room;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::format::{Face, Formatter, Stream};
use super::frame::Part;
use super::ring::{Lines, Ring};
use super::{record, tail};
use crate::domain::id::Label;
use crate::domain::plan::{Backpressure, LogFormat, LogRule};
use crate::domain::time::Wall;
use crate::ports::Record;

/// Lines of one source, in bytes.
pub(super) const RING: usize = 64 * 1024;
/// Our own records, in bytes: a thousand processes that end at once are three thousand of them.
pub(super) const OWN_RING: usize = 2 * 1024 * 1024;
/// Lines of all sources, in bytes.
pub(super) const TOTAL: usize = 8 * 1024 * 1024;
/// Sources remembered; those without a pipe go beyond that.
const SOURCES: usize = 4096;

/// A source's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceId(usize);

impl SourceId {
    /// Counts instances, whose two sources come one after the other, behind ours.
    fn instance(self) -> usize {
        self.0.saturating_sub(1) / 2
    }
}

/// Where our own records go.
const OURS: SourceId = SourceId(0);

/// What went wrong so far, over all sources.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Lines of children dropped because output did not keep up.
    pub(super) dropped: u64,
    /// Records of ours dropped.
    pub(super) records: u64,
    /// Pieces that over-long lines were cut off.
    pub(super) cut: u64,
}

#[derive(Debug)]
struct Source {
    label: Option<Arc<Label>>,
    stream: Stream,
    policy: Backpressure,
    face: Face,
    ring: Ring,
    /// In the order of writing.
    queued: bool,
    /// Pipes that fill it.
    pipes: u32,
    /// Lines dropped and not told of.
    dropped: u64,
    told: Option<Instant>,
    /// When it last had lines.
    last: u64,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Store {
    sources: Vec<Source>,
    by_label: HashMap<Arc<Label>, [SourceId; 2]>,
    /// Sources with backlog, by the oldest read in it.
    order: BinaryHeap<Reverse<(u64, SourceId)>>,
    /// Sources with losses to tell of.
    losses: Vec<SourceId>,
    pub(super) formatter: Formatter,
    own_format: LogFormat,
    /// `Block` means `DropOldest`.
    lossy: bool,
    seq: u64,
    size: usize,
    backlog: usize,
    line: Vec<u8>,
    pub(super) counts: Counts,
}

impl Store {
    /// No sources but our own, whose records look like `own_format` (`Raw` as `Text`).
    pub(super) fn new(own_format: LogFormat, colour: bool) -> Self {
        let ours = Source {
            label: None,
            stream: Stream::Stdout,
            policy: Backpressure::DropOldest,
            face: Face::Raw,
            ring: Ring::default(),
            queued: false,
            pipes: 1,
            dropped: 0,
            told: None,
            last: 0,
        };
        Store {
            sources: vec![ours],
            by_label: HashMap::new(),
            order: BinaryHeap::new(),
            losses: Vec::new(),
            formatter: Formatter::new(colour),
            own_format,
            lossy: false,
            seq: 0,
            size: 0,
            backlog: 0,
            line: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The sources of an instance's streams, which get a pipe more each; made when there are none.
    pub(super) fn open(&mut self, label: &Arc<Label>, rule: &LogRule) -> [SourceId; 2] {
        self.formatter.widen(&label.instance);
        let ids = match self.by_label.get(label) {
            Some(ids) => *ids,
            None => self.add(label, rule),
        };
        for id in ids {
            self.sources[id.0].pipes += 1;
            self.follow(id, label, rule);
        }
        ids
    }

    /// The lines of an instance's streams follow another rule from now on.
    pub(super) fn relog(&mut self, label: &Arc<Label>, rule: &LogRule) {
        for id in self.by_label.get(label).copied().into_iter().flatten() {
            self.follow(id, label, rule);
        }
    }

    fn follow(&mut self, id: SourceId, label: &Arc<Label>, rule: &LogRule) {
        let source = &mut self.sources[id.0];
        source.policy = rule.on_backpressure;
        if self.lossy {
            source.policy = Backpressure::DropOldest;
        }
        source.face = Face::new(label, source.stream, rule, id.instance());
    }

    /// A pipe that filled the source is gone.
    pub(super) fn close(&mut self, id: SourceId) {
        self.sources[id.0].pipes -= 1;
    }

    /// The number of the next read.
    pub(super) fn next_read(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Appends what a read gave. Follow with [`Store::settle`].
    pub(super) fn append(&mut self, id: SourceId, read: u64, time: Wall, part: Part, bytes: &[u8]) {
        self.counts.cut += u64::from(part == Part::More);
        self.change(id, |source| {
            source.ring.append(read, time, part, bytes);
            source.last = read;
        });
        self.queue(id);
    }

    /// Lines of this source that will come are to be lost rather than waited for.
    pub(super) fn give_up(&mut self, id: SourceId) {
        self.sources[id.0].policy = Backpressure::DropOldest;
    }

    /// Bytes that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    /// The number of sources.
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// No source is waited for from now on.
    pub(super) fn stop_blocking(&mut self) {
        self.lossy = true;
        for source in &mut self.sources {
            source.policy = Backpressure::DropOldest;
        }
    }

    /// Whether something waits to be written.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog > 0
    }

    /// Appends formatted lines to `out` until that has `limit` bytes.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, limit: usize) {
        while out.len() < limit {
            let Some(&Reverse((seq, id))) = self.order.peek() else {
                return;
            };
            let source = &mut self.sources[id.0];
            let Some(lines) = source.ring.next() else {
                source.queued = false;
                self.order.pop();
                continue;
            };
            if lines.seq == seq {
                let used = self.formatter.lines(&source.face, &lines, limit, out);
                self.backlog -= used;
                if source.ring.advance(used) && source.ring.size() > room::ring_of(id) {
                    self.change(id, |source| source.ring.trim(room::ring_of(id)));
                }
            } else {
                let seq = lines.seq;
                self.order.pop();
                self.order.push(Reverse((seq, id)));
            }
        }
    }

    /// Appends a record of ours.
    pub(super) fn record(&mut self, record: &Record, time: Wall) {
        let read = self.next_read();
        self.record_at(record, time, read);
    }

    /// The last lines of an instance, oldest first, in at most `bytes` bytes with their newlines. Of a last line longer
    /// than that, its beginning.
    pub(super) fn last_lines(&self, label: &Label, bytes: usize) -> Vec<String> {
        let Some(ids) = self.by_label.get(label) else {
            return Vec::new();
        };
        tail::last_lines(ids.map(|id| &self.sources[id.0].ring), bytes)
    }

    /// Lines that wait to be written; all of them are given up.
    pub(super) fn abandon(&mut self) -> u64 {
        let mut lost = 0;
        for index in 0..self.sources.len() {
            self.change(SourceId(index), |source| {
                while source.ring.backlog() > 0 {
                    lost += source.ring.drop_front();
                }
            });
        }
        lost
    }

    /// A panic came out of here: makes the sums right. If it came while lines were `written`, the oldest are given up, so
    /// that it does not come for ever.
    pub(super) fn recover(&mut self, written: bool) {
        self.size = self.sources.iter().map(|s| s.ring.size()).sum();
        self.backlog = self.sources.iter().map(|s| s.ring.backlog()).sum();
        if !written {
            return;
        }
        let Some(&Reverse((_, id))) = self.order.peek() else {
            return;
        };
        let mut lost = 0;
        self.change(id, |source| lost = source.ring.drop_front());
        self.lose(id, lost);
    }

    fn add(&mut self, label: &Arc<Label>, rule: &LogRule) -> [SourceId; 2] {
        let ids = if self.sources.len() < SOURCES {
            let next = self.sources.len();
            [SourceId(next), SourceId(next + 1)]
        } else {
            self.oldest_unused()
                .unwrap_or([self.sources.len(), self.sources.len() + 1].map(SourceId))
        };
        for (id, stream) in ids.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
            let source = Source {
                label: Some(Arc::clone(label)),
                stream,
                policy: rule.on_backpressure,
                face: Face::new(label, stream, rule, id.instance()),
                ring: Ring::default(),
                queued: false,
                pipes: 0,
                dropped: 0,
                told: None,
                last: 0,
            };
            match self.sources.get_mut(id.0) {
                Some(old) => {
                    self.size -= old.ring.size();
                    *old = source;
                }
                None => self.sources.push(source),
            }
        }
        self.by_label.insert(Arc::clone(label), ids);
        ids
    }

    /// Forgets the instance that has no pipe, nothing to write and was silent for longest; gives its places.
    fn oldest_unused(&mut self) -> Option<[SourceId; 2]> {
        let unused = |id: &SourceId| {
            let source = &self.sources[id.0];
            source.pipes == 0 && !source.queued && source.dropped == 0
        };
        let (label, ids) = self
            .by_label
            .iter()
            .filter(|(_, ids)| ids.iter().all(unused))
            .min_by_key(|(_, ids)| ids.map(|id| self.sources[id.0].last).into_iter().max())
            .map(|(label, ids)| (Arc::clone(label), *ids))?;
        self.by_label.remove(&label);
        Some(ids)
    }

    fn record_at(&mut self, record: &Record, time: Wall, read: u64) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        match self.own_format {
            LogFormat::Json => record::json(record, time, &mut self.formatter, &mut line),
            LogFormat::Text | LogFormat::Raw => {
                record::text(record, time, &mut self.formatter, &mut line);
            }
        }
        self.append(OURS, read, time, Part::Whole, &line);
        self.settle(OURS);
        self.line = line;
    }

    /// Changes a source and keeps the sums right.
    fn change(&mut self, id: SourceId, change: impl FnOnce(&mut Source)) {
        let source = &mut self.sources[id.0];
        let (size, backlog) = (source.ring.size(), source.ring.backlog());
        change(source);
        self.size = self.size - size + source.ring.size();
        self.backlog = self.backlog - backlog + source.ring.backlog();
    }

    /// Puts a source with backlog in the order of writing.
    fn queue(&mut self, id: SourceId) {
        let source = &mut self.sources[id.0];
        if source.queued {
            return;
        }
        if let Some(Lines { seq, .. }) = source.ring.next() {
            source.queued = true;
            self.order.push(Reverse((seq, id)));
        }
    }
}

#[cfg(test)]
mod tests;
