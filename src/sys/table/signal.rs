//! Sending signals to runs.

use std::collections::BTreeSet;

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::SignalTarget;
use crate::domain::signal::Signal;
use crate::sys::call::{self, Pid};
use crate::sys::signals::SignalMode;

use super::session::{Boundary, kill_all, tell};
use super::{Phase, Table};

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
        if self.tell_members(pid, boundary, signal, None) {
            return true;
        }
        // The last of it may have left for a session of its own, of which nobody tells us; or it forks and ends faster
        // than we look.
        let mut events = Vec::new();
        self.look_again(&BTreeSet::from([run]), &mut events);
        self.queued.append(&mut events);
        self.runs.contains_key(&run)
    }

    fn session_is_over(&mut self, run: RunId) {
        self.forget(run);
        self.queued.push(Event::SessionEmpty { run });
    }

    /// Sends a signal to each member but those of the `done` group. One look serves all runs that are signalled before
    /// the next turn. Who was forked since does not get it; but where it is KILL, the run remembers that, and the death
    /// of its leader or its witness is the occasion to look for more.
    fn tell_members(
        &mut self,
        leader: Pid,
        boundary: Boundary,
        signal: Signal,
        done: Option<Pid>,
    ) -> bool {
        let look = self.look.get_or_insert_with(|| self.processes.look());
        let members: Vec<Pid> = look
            .members(leader, boundary)
            .filter(|pid| done.is_none() || call::group_of(*pid) != done)
            .collect();
        if signal == Signal::KILL {
            return kill_all(members.into_iter(), leader, boundary);
        }
        let mut told = false;
        for pid in members {
            told |= tell(pid, leader, boundary, signal);
            if self.wakes(signal) {
                tell(pid, leader, boundary, Signal::CONT);
            }
        }
        told
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
