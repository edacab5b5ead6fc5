//! The end of what nobody started by name.

use std::collections::HashSet;

use crate::domain::event::Event;
use crate::domain::signal::Signal;
use crate::sys::call::Pid;

use super::Table;
use super::reap::Reaped;

/// Orphans are being ended.
#[derive(Debug)]
pub(super) struct Ending {
    signal: Signal,
    /// Sent it already; each of these is a child that we have not reaped.
    told: HashSet<Pid>,
    /// `Childless` has not been said.
    unanswered: bool,
}

impl Ending {
    pub(super) fn reaped(&mut self, pid: Pid) {
        self.told.remove(&pid);
    }
}

impl Table {
    pub(super) fn begin_ending(&mut self, signal: Signal) {
        self.ending = Some(Ending {
            signal,
            told: HashSet::new(),
            unanswered: true,
        });
        self.tell_strangers();
        // There may be none, and then no CHLD will come.
        self.reap_due = true;
    }

    /// New orphans appear when a process dies. If it was a child of ours, this turn reaped it; if not, its own parent
    /// still stands between.
    pub(super) fn go_on_ending(&mut self, reaped: Reaped, events: &mut Vec<Event>) {
        if self.ending.is_none() {
            return;
        }
        if reaped.strangers > 0 || reaped.leaders > 0 {
            self.tell_strangers();
        }
        if !reaped.childless {
            return;
        }
        // Whatever descends from us has an ancestor among our children: so all sessions are empty too.
        for run in self.leaderless.values().copied().collect::<Vec<_>>() {
            self.forget(run);
            events.push(Event::SessionEmpty { run });
        }
        if let Some(ending) = &mut self.ending
            && std::mem::take(&mut ending.unanswered)
        {
            events.push(Event::Childless);
        }
    }

    fn tell_strangers(&mut self) {
        let strangers = self.processes.strangers(&self.leaders);
        let Some(mut ending) = self.ending.take() else {
            return;
        };
        for pid in strangers {
            // A child's number is its own until we reap it. What shares our terminal's session with us may still be
            // the run's, but as a leftover at most.
            if ending.told.insert(pid) {
                self.kill_and_wake(pid, ending.signal);
            }
        }
        self.ending = Some(ending);
    }
}
