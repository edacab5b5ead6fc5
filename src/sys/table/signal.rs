//! Sending signals to runs.

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::SignalTarget;
use crate::domain::signal::Signal;
use crate::sys::call::{self, Pid};
use crate::sys::signals::SignalMode;

use super::session::{Boundary, tell};
use super::{Phase, Table};

/// Rounds of looking for and killing members that are not in the leader's group. Who forks faster meets KILL again
/// when the leader or the witness has died.
const ROUNDS: usize = 4;

impl Table {
    pub(super) fn send(&mut self, run: RunId, signal: Signal, target: SignalTarget) -> bool {
        // It may have made its exec, and have children, without our having looked.
        let mut answer = Vec::new();
        self.settle(run, &mut answer);
        self.queued.append(&mut answer);

        let Some(entry) = self.runs.get_mut(&run) else {
            return false;
        };
        let (pid, boundary) = (entry.pid, entry.boundary);
        if target == SignalTarget::Session && signal == Signal::KILL {
            entry.killed = true;
        }
        match (&entry.phase, target) {
            (Phase::Failed, _) | (Phase::Leaderless(_), SignalTarget::Leader) => false,
            // Before its exec it has no children, and perhaps no session or group yet.
            (Phase::Starting(_), _) | (Phase::Running, SignalTarget::Leader) => {
                self.kill_and_wake(pid, signal)
            }
            (Phase::Running, SignalTarget::Group) => self.kill_and_wake(-pid, signal),
            (Phase::Running, SignalTarget::Session) => {
                // At one stroke for the leader's group, so that nobody escapes by forking.
                let told = self.kill_and_wake(-pid, signal);
                self.tell_members(pid, boundary, signal, Some(pid)) || told
            }
            (Phase::Leaderless(_), SignalTarget::Group | SignalTarget::Session) => {
                self.tell_leftovers(run, pid, boundary, signal, target)
            }
        }
    }

    /// What is left of a session. Its group's number is not safe to use without the leader, so one by one.
    fn tell_leftovers(
        &mut self,
        run: RunId,
        pid: Pid,
        boundary: Boundary,
        signal: Signal,
        target: SignalTarget,
    ) -> bool {
        if call::is_taken(pid) {
            self.session_is_over(run);
            return false;
        }
        if target == SignalTarget::Group {
            return self.tell_members(pid, Boundary::Group, signal, None);
        }
        let told = self.tell_members(pid, boundary, signal, None);
        let scan = self.scan.get_or_insert_with(|| self.processes.scan());
        // The last of it may have left for a session of its own, of which nobody tells us.
        if !told && scan.alive(pid, boundary).is_empty() {
            self.session_is_over(run);
        }
        told
    }

    fn session_is_over(&mut self, run: RunId) {
        self.forget(run);
        self.queued.push(Event::SessionEmpty { run });
    }

    /// Sends a signal to each member but those of the `done` group; each gets it once. One look serves all runs that
    /// are signalled before the next turn. KILL looks again until it finds nobody new.
    fn tell_members(
        &mut self,
        leader: Pid,
        boundary: Boundary,
        signal: Signal,
        done: Option<Pid>,
    ) -> bool {
        let mut told: Vec<Pid> = Vec::new();
        for _ in 0..ROUNDS {
            let scan = self.scan.get_or_insert_with(|| self.processes.scan());
            let new: Vec<Pid> = scan
                .members(leader, boundary)
                .filter(|pid| !told.contains(pid))
                .filter(|pid| done.is_none() || call::group_of(*pid) != done)
                .filter(|pid| tell(*pid, leader, boundary, signal))
                .collect();
            if self.wakes(signal) {
                for pid in &new {
                    tell(*pid, leader, boundary, Signal::CONT);
                }
            }
            let nobody = new.is_empty();
            told.extend(new);
            if nobody || signal != Signal::KILL {
                break;
            }
            self.scan = None;
        }
        !told.is_empty()
    }

    pub(super) fn kill_and_wake(&self, target: Pid, signal: Signal) -> bool {
        let told = call::kill(target, signal);
        if told && self.wakes(signal) {
            call::kill(target, Signal::CONT);
        }
        told
    }

    /// Asked to end, a stopped process has to go on for it. `--` is transparent: there whoever sends TERM to a stopped
    /// process sees to that, as with any process.
    fn wakes(&self, signal: Signal) -> bool {
        self.mode == SignalMode::Set && [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal)
    }
}
