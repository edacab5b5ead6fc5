//! Losses are counted, and told of in the output. Pure.

use std::time::{Duration, Instant};

use super::{OURS, SourceId, Store};
use crate::domain::time::Wall;
use crate::ports::{Level, Record, Value};

/// Time between two records about losses of one source.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Store {
    /// Records of ours were dropped before they came here.
    pub(in super::super) fn lose_records(&mut self, records: u64) {
        self.lose(OURS, records);
    }

    /// When the next loss may be told of.
    pub(in super::super) fn tell_at(&self) -> Option<Instant> {
        let due = |id: &SourceId| self.sources[id.0].told.map(|told| told + TELL_EVERY);
        self.losses.iter().map(due).min().flatten()
    }

    /// Whether there are losses to tell of.
    pub(in super::super) fn has_losses(&self) -> bool {
        !self.losses.is_empty()
    }

    /// Appends records about losses, in front of the lines that followed them; at most one a second and source unless it
    /// is the `last` chance.
    pub(in super::super) fn tell_losses(&mut self, now: Instant, time: Wall, last: bool) {
        for id in std::mem::take(&mut self.losses) {
            let source = &mut self.sources[id.0];
            if !last && source.told.is_some_and(|told| now < told + TELL_EVERY) {
                self.losses.push(id);
                continue;
            }
            source.told = Some(now);
            let dropped = std::mem::take(&mut source.dropped) as i64;
            let mut fields = vec![("dropped", Value::Int(dropped))];
            let message = if id == OURS {
                "records dropped: output did not keep up"
            } else {
                fields.insert(0, ("stream", Value::Text(source.stream.name().to_owned())));
                "lines dropped: output did not keep up"
            };
            let record = Record {
                level: Level::Warn,
                label: source.label.clone(),
                message: message.to_owned(),
                fields,
                lines: Vec::new(),
            };
            let read = source.ring.next().map(|lines| lines.seq);
            let read = read.unwrap_or_else(|| self.next_read());
            self.record_at(&record, time, read);
        }
    }

    /// Lines of a source were dropped.
    pub(in super::super) fn lose(&mut self, id: SourceId, lines: u64) {
        if lines == 0 {
            return;
        }
        let source = &mut self.sources[id.0];
        if source.dropped == 0 {
            self.losses.push(id);
        }
        source.dropped += lines;
        if id == OURS {
            self.counts.records += lines;
        } else {
            self.counts.dropped += lines;
        }
    }
}
