//! Which notices become Events, and when: the same thing again is counted, not written again, and a crash loop cannot
//! write faster than its allowance. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::About;
use crate::domain::hash::fnv1a;
use crate::domain::time::{Mono, Now, Wall};
use crate::ports::Notice;

/// What happens again within this time is the same Event, as client-go has it.
const SAME: Duration = Duration::from_mins(6);
/// An Event is counted up at most so often.
const COUNT_UP: Duration = Duration::from_secs(30);
/// So many writes may come in a row.
const BURST: u32 = 10;
/// Then one in this time.
const REFILL: Duration = Duration::from_secs(30);
/// So many things are known at a time. More are dropped.
const MOST: usize = 64;

/// What makes two notices the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    about: About,
    reason: &'static str,
    instance: Option<Arc<str>>,
}

impl Key {
    /// Tells Events of the same instant apart.
    pub(super) fn hash(&self) -> u64 {
        let about = match self.about {
            About::Pod => "pod",
            About::Set => "set",
        };
        let instance = self.instance.as_deref().unwrap_or_default();
        fnv1a(&[about, "/", self.reason, "/", instance])
    }
}

#[derive(Debug)]
struct Entry {
    notice: Notice,
    /// Its Event, once it was written.
    name: Option<String>,
    count: u32,
    /// How many the Event says.
    told: u32,
    first: Wall,
    last: Wall,
    seen_at: Mono,
    /// Not before.
    due: Mono,
}

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) key: Key,
    /// The Event that is to be counted up; `None`: a new one.
    pub(super) name: Option<String>,
    pub(super) about: About,
    pub(super) notice: Notice,
    pub(super) count: u32,
    pub(super) first: Wall,
    pub(super) last: Wall,
}

/// The notices of the last minutes.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: BTreeMap<Key, Entry>,
    /// Writes that may be made now.
    tokens: u32,
    /// Since when the next one is in the making.
    filled: Mono,
}

impl Ledger {
    pub(super) fn new(now: Mono) -> Ledger {
        Ledger {
            entries: BTreeMap::new(),
            tokens: BURST,
            filled: now,
        }
    }

    /// Something happened.
    pub(super) fn note(&mut self, about: About, notice: Notice, now: Now) {
        let key = Key {
            about,
            reason: notice.reason,
            instance: (notice.about.as_ref()).map(|label| Arc::clone(&label.instance)),
        };
        self.forget(now.mono);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.count = entry.count.saturating_add(1);
            entry.last = now.wall;
            entry.seen_at = now.mono;
            return;
        }
        if self.entries.len() >= MOST {
            return;
        }
        self.entries.insert(
            key,
            Entry {
                notice,
                name: None,
                count: 1,
                told: 0,
                first: now.wall,
                last: now.wall,
                seen_at: now.mono,
                due: now.mono,
            },
        );
    }

    /// What has been said and has not happened again for long is over.
    fn forget(&mut self, now: Mono) {
        self.entries
            .retain(|_, entry| entry.told < entry.count || now.since(entry.seen_at) < SAME);
    }

    /// What to write now, what came first before the rest; it costs a token.
    pub(super) fn next(&mut self, now: Mono) -> Option<Write> {
        self.fill(now);
        if self.tokens == 0 {
            return None;
        }
        let waiting = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.told < entry.count);
        let due = waiting.filter(|(_, entry)| entry.due <= now);
        let (key, entry) = due.min_by_key(|(_, entry)| entry.due)?;
        if self.tokens == BURST {
            self.filled = now;
        }
        self.tokens -= 1;
        Some(Write {
            key: key.clone(),
            name: entry.name.clone(),
            about: key.about,
            notice: entry.notice.clone(),
            count: entry.count,
            first: entry.first,
            last: entry.last,
        })
    }

    /// When there may be something to write; `None`: not before the next notice.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let waiting = self
            .entries
            .values()
            .filter(|entry| entry.told < entry.count);
        let due = waiting.map(|entry| entry.due).min()?;
        Some(match self.tokens {
            0 => due.max(self.filled + REFILL),
            _ => due,
        })
    }

    /// It was written, as the Event of this name.
    pub(super) fn written(&mut self, write: &Write, name: String, now: Mono) {
        if let Some(entry) = self.entries.get_mut(&write.key) {
            entry.told = write.count;
            entry.name = Some(name);
            entry.due = now + COUNT_UP;
        }
    }

    /// The server does not know the Event any more: there will be another one.
    pub(super) fn gone(&mut self, write: &Write) {
        if let Some(entry) = self.entries.get_mut(&write.key) {
            entry.count -= entry.told;
            entry.told = 0;
            entry.name = None;
            entry.first = entry.last;
        }
    }

    /// This one is not to be written.
    pub(super) fn drop_one(&mut self, write: &Write) {
        self.entries.remove(&write.key);
    }

    /// Nothing of what waits is to be written.
    pub(super) fn drop_waiting(&mut self) {
        self.entries.retain(|_, entry| entry.told >= entry.count);
    }

    fn fill(&mut self, now: Mono) {
        while self.tokens < BURST && now.since(self.filled) >= REFILL {
            self.filled = self.filled + REFILL;
            self.tokens += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Label;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono::ZERO + Duration::from_secs(1000 + seconds),
            wall: Wall(seconds as i64 * 1_000_000),
        }
    }

    fn notice(reason: &'static str, instance: &str) -> Notice {
        let label = Label {
            process: "worker".into(),
            instance: instance.into(),
        };
        Notice {
            warning: true,
            reason,
            action: "Restarting",
            about: Some(Arc::new(label)),
            note: format!("{instance}: exit code 1"),
        }
    }

    /// Writes what there is; counts of what was written.
    fn write_all(ledger: &mut Ledger, now: Now) -> Vec<(bool, u32)> {
        let mut written = Vec::new();
        while let Some(write) = ledger.next(now.mono) {
            written.push((write.name.is_some(), write.count));
            ledger.written(&write, "e".to_owned(), now.mono);
        }
        written
    }

    #[test]
    fn the_same_thing_again_is_counted_up_seldom() {
        let mut ledger = Ledger::new(at(0).mono);
        for second in 0..100 {
            ledger.note(About::Pod, notice("BackOff", "worker-0"), at(second));
            let expected: &[(bool, u32)] = match second {
                0 => &[(false, 1)],
                30 => &[(true, 31)],
                60 => &[(true, 61)],
                90 => &[(true, 91)],
                _ => &[],
            };
            assert_eq!(write_all(&mut ledger, at(second)), expected, "{second}");
        }
        assert_eq!(ledger.deadline(), Some(at(120).mono));
        assert_eq!(write_all(&mut ledger, at(120)), [(true, 100)]);
        assert_eq!(ledger.deadline(), None);
        // Long after, it is something new.
        ledger.note(About::Pod, notice("BackOff", "worker-0"), at(700));
        assert_eq!(write_all(&mut ledger, at(700)), [(false, 1)]);
    }

    #[test]
    fn what_is_not_the_same_is_told_apart() {
        let mut ledger = Ledger::new(at(0).mono);
        ledger.note(About::Pod, notice("BackOff", "worker-0"), at(0));
        ledger.note(About::Pod, notice("BackOff", "worker-1"), at(0));
        ledger.note(About::Pod, notice("Unhealthy", "worker-0"), at(0));
        ledger.note(About::Set, notice("BackOff", "worker-0"), at(0));
        assert_eq!(write_all(&mut ledger, at(0)).len(), 4);
    }

    #[test]
    fn however_much_happens_writes_are_few_and_what_is_known_is_bounded() {
        let mut ledger = Ledger::new(at(0).mono);
        let mut written = 0;
        for second in 0..3600 {
            for instance in 0..200 {
                let instance = format!("worker-{instance}");
                ledger.note(About::Pod, notice("BackOff", &instance), at(second));
            }
            written += write_all(&mut ledger, at(second)).len();
        }
        assert_eq!(ledger.entries.len(), MOST);
        assert_eq!(written as u64, u64::from(BURST) + 3599 / REFILL.as_secs());
    }

    #[test]
    fn an_event_that_the_server_has_forgotten_is_made_anew() {
        let mut ledger = Ledger::new(at(0).mono);
        ledger.note(About::Pod, notice("Killed", "worker-0"), at(0));
        assert_eq!(write_all(&mut ledger, at(0)), [(false, 1)]);
        for second in 40..43 {
            ledger.note(About::Pod, notice("Killed", "worker-0"), at(second));
        }
        let write = ledger.next(at(43).mono).unwrap();
        assert_eq!((write.name.as_deref(), write.count), (Some("e"), 4));
        ledger.gone(&write);
        let write = ledger.next(at(43).mono).unwrap();
        assert_eq!(
            (write.name, write.count, write.first),
            (None, 3, at(42).wall)
        );
    }

    #[test]
    fn what_nobody_may_write_does_not_wait() {
        let mut ledger = Ledger::new(at(0).mono);
        ledger.note(About::Pod, notice("Killed", "worker-0"), at(0));
        ledger.drop_waiting();
        assert_eq!((ledger.next(at(0).mono), ledger.deadline()), (None, None));
    }
}
