//! Reaping: strangers at once, leaders after a look at what they leave behind.

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::sys::call::{self, Peek, Pid};

use super::{Output, Phase, Table};

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

/// What is left to do for runs that are over. It is put off to the next turn, so that a run in the place of such a one
/// is not kept waiting by it.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// Leaders whose exit was reported and who are not reaped.
    dead: Vec<Pid>,
    /// To be closed, which wakes the logs thread.
    outputs: Vec<Output>,
}

impl Table {
    /// `more`: the last turn reported a leader's exit, and has not looked at the other children.
    pub(super) fn reap(&mut self, more: bool, events: &mut Vec<Event>) -> Reaped {
        let mut reaped = Reaped::default();
        let mut looks = u32::from(more);
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
                if !self.remains.dead.is_empty() {
                    break;
                }
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

    /// Reaps leaders whose exit was reported.
    pub(super) fn reap_remains(&mut self) {
        for pid in self.remains.dead.drain(..) {
            call::reap(pid);
            self.leaders.remove(&pid);
        }
    }

    /// Does what was put off. Says whether there was anything.
    pub(super) fn clear_remains(&mut self) -> bool {
        let any = !self.remains.dead.is_empty() || !self.remains.outputs.is_empty();
        self.reap_remains();
        self.remains.outputs.clear();
        any
    }

    /// Nothing more is wanted of the output of a run that is over.
    pub(super) fn put_off(&mut self, output: Output) {
        self.close_output(&output);
        if matches!(output, Output::Logged(_)) {
            self.remains.outputs.push(output);
        }
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
            let ended = call::ended(*pid);
            self.remains.dead.push(*pid);
            if left.count() > 0 {
                // The number of a session without its leader may not look taken.
                self.reap_remains();
            }
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
