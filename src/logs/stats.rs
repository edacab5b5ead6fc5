//! What the logs have counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start. Every line a child wrote is in the output, or counted in `dropped` or `lost`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes read from children.
    pub read_bytes: u64,
    /// Lines of children dropped because output did not keep up (`DropOldest`).
    pub dropped_lines: u64,
    /// Records of our own dropped because output did not keep up.
    pub dropped_records: u64,
    /// Lines of children and records of our own that could not be written.
    pub lost_lines: u64,
    /// Pieces cut off lines longer than `maxLineBytes`.
    pub cut_pieces: u64,
    /// Lines written whose UTF-8 was invalid.
    pub invalid_lines: u64,
    /// Panics caught on our threads.
    pub panics: u64,
}

/// The same, written by the logs thread.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) read_bytes: AtomicU64,
    pub(super) dropped_lines: AtomicU64,
    pub(super) dropped_records: AtomicU64,
    pub(super) cut_pieces: AtomicU64,
    pub(super) invalid_lines: AtomicU64,
    /// Lines lost elsewhere than on the way out.
    pub(super) lost_lines: AtomicU64,
    pub(super) panics: AtomicU64,
}

impl Counters {
    /// As they are now; `lost` lines were lost on the way out.
    pub(super) fn stats(&self, lost: u64) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            read_bytes: get(&self.read_bytes),
            dropped_lines: get(&self.dropped_lines),
            dropped_records: get(&self.dropped_records),
            lost_lines: get(&self.lost_lines) + lost,
            cut_pieces: get(&self.cut_pieces),
            invalid_lines: get(&self.invalid_lines),
            panics: get(&self.panics),
        }
    }
}
