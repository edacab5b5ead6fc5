//! Reaping: strangers at once, leaders after a look at what they leave behind.

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::sys::call::{self, Peek, Pid};

use super::{Phase, Table};

/// Children reaped in one turn. More are reaped in the next one, which starts at once: signals and exits of others are
/// not to wait for the end of a storm.
const BATCH: usize = 256;

/// What one turn reaped.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reaped {
    /// Children that were no run.
    pub(super) strangers: u32,
    /// Leaders.
    pub(super) leaders: u32,
    /// There is no child left.
    pub(super) childless: bool,
}

impl Table {
    pub(super) fn reap(&mut self, events: &mut Vec<Event>) -> Reaped {
        let mut reaped = Reaped::default();
        let mut looks = 0;
        self.reap_due = true;
        for _ in 0..BATCH {
            let pid = match call::peek() {
                Peek::Dead(pid) => pid,
                Peek::Alive => {
                    self.reap_due = false;
                    break;
                }
                Peek::Childless => {
                    self.reap_due = false;
                    reaped.childless = true;
                    break;
                }
            };
            if let Some(run) = self.leaders.get(&pid).copied() {
                // A look counts for those only that were dead before it. So: one look for the first, one for all others
                // that are dead by then, the rest in the next turn.
                let dead = match looks {
                    0 => vec![(pid, run)],
                    1 => self.dead_leaders(),
                    _ => break,
                };
                looks += 1;
                reaped.leaders += dead.len() as u32;
                self.bury(&dead, events);
            } else {
                self.hear(events);
                call::reap(pid);
                reaped.strangers += 1;
                if let Some(ending) = &mut self.ending {
                    ending.reaped(pid);
                }
            }
        }
        if reaped.strangers > 0 {
            events.push(Event::OrphansReaped(reaped.strangers));
        }
        reaped
    }

    fn dead_leaders(&self) -> Vec<(Pid, RunId)> {
        self.leaders
            .iter()
            .filter(|(pid, _)| call::is_dead(**pid) == Some(true))
            .map(|(pid, run)| (*pid, *run))
            .collect()
    }

    /// Reaps leaders that are dead. Until each is reaped its number is its own, so what is found in its session is.
    fn bury(&mut self, dead: &[(Pid, RunId)], events: &mut Vec<Event>) {
        let mut ran = Vec::new();
        for (pid, run) in dead {
            self.settle(*run, events);
            if let Some(entry) = self.runs.get(run)
                && !matches!(entry.phase, Phase::Failed)
            {
                ran.push((*pid, entry.boundary));
            }
        }
        self.hear(events);
        let mut all_left = self.processes.left_by_dead(&ran, &self.leaders);
        for (pid, run) in dead {
            let failed = match self.runs.get(run) {
                Some(entry) => matches!(entry.phase, Phase::Failed),
                None => true,
            };
            let said = self.said(*run).filter(|_| !failed);
            let left = all_left.remove(pid).unwrap_or_default();
            if left.count() > 0 {
                self.watch(*run, &left);
            } else {
                self.forget(*run);
            }
            if let Some(terminal) = &mut self.terminal {
                terminal.over(*pid);
            }
            let ended = call::reap(*pid);
            self.leaders.remove(pid);
            if let (Some((exit, usage)), false) = (ended, failed) {
                events.extend(said);
                events.push(Event::Exited {
                    run: *run,
                    exit,
                    usage,
                    left: left.count(),
                });
            }
        }
    }
}
