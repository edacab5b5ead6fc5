//! Memory: who may still be read, and whose lines go when it is short. Pure.

use std::cmp::Reverse;

use super::{OURS, OWN_RING, RING, Source, SourceId, Store, TOTAL};
use crate::domain::plan::Backpressure;

/// What a source gets while memory is short, in bytes.
const SCARCE: usize = 4 * 1024;

/// What a source gets while there is memory, in bytes.
pub(super) fn ring_of(id: SourceId) -> usize {
    if id == OURS { OWN_RING } else { RING }
}

impl Store {
    /// Whether the source has room for a read more. `closing`: it is the last one, it may have a ring's size more.
    pub(in super::super) fn may_read(&mut self, id: SourceId, closing: bool) -> bool {
        let source = &self.sources[id.0];
        match source.policy {
            Backpressure::DropOldest => true,
            Backpressure::Block => {
                let share = if self.backlog > TOTAL / 2 {
                    SCARCE
                } else {
                    RING
                };
                let share = if closing { share + RING } else { share };
                if source.ring.backlog() > 0 && source.ring.size() >= share {
                    return false;
                }
                self.make_room(None);
                self.size < TOTAL
            }
        }
    }

    /// Brings the memory back to its bounds after lines were appended.
    pub(in super::super) fn settle(&mut self, id: SourceId) {
        let limit = if self.size > TOTAL / 4 * 3 {
            RING.min((TOTAL / self.sources.len()).max(SCARCE))
        } else {
            ring_of(id)
        };
        let lossy = self.sources[id.0].policy == Backpressure::DropOldest;
        let mut lost = 0;
        self.change(id, |source| {
            let ring = &mut source.ring;
            ring.trim(limit);
            while lossy && ring.size() > limit && ring.segments() > 1 {
                lost += ring.drop_front();
                ring.trim(limit);
            }
        });
        self.lose(id, lost);
        self.make_room(lossy.then_some(id));
    }

    /// Frees history of the largest rings until the sum is in its bound; then, for a `DropOldest` source, lines of the
    /// largest such ring.
    fn make_room(&mut self, lossy: Option<SourceId>) {
        while self.size >= TOTAL {
            let mut freed = false;
            if let Some(id) = self.largest(|source| source.ring.has_history()) {
                self.change(id, |source| freed = source.ring.evict());
            }
            if freed {
                continue;
            }
            let may_lose = |source: &Source| source.policy == Backpressure::DropOldest;
            let Some(id) = lossy.and_then(|_| self.largest(may_lose)) else {
                return;
            };
            let before = self.size;
            let mut lost = 0;
            self.change(id, |source| lost = source.ring.drop_front());
            self.lose(id, lost);
            if self.size == before {
                return;
            }
        }
    }

    fn largest(&self, eligible: impl Fn(&Source) -> bool) -> Option<SourceId> {
        self.sources
            .iter()
            .enumerate()
            .filter(|(_, source)| eligible(source))
            .max_by_key(|(_, source)| (source.ring.size(), Reverse(source.last)))
            .map(|(index, _)| SourceId(index))
    }
}
