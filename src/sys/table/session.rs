//! Runs without their leader: what is left of them is watched until nothing is.
//!
//! Belonging is by session (by process group for the one child that shares our terminal). What left it by a setsid of
//! its own is an orphan, not a leftover.

use std::collections::{BTreeSet, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::signal::Signal;
use crate::sys::call::{self, Pid};
use crate::sys::poller::Ready;
use crate::sys::procfs::Stat;

use super::processes::Left;
use super::{Phase, Table};

/// So many turns at most go by between two looks while there is always more to reap.
const POSTPONED: u32 = 16;

/// What holds a run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// The session of its leader.
    Session,
    /// The process group of its leader, in our own session.
    Group,
}

impl Boundary {
    /// Whether a process belongs to a leader, now.
    pub(super) fn holds(self, pid: Pid, leader: Pid) -> bool {
        match self {
            Boundary::Session => call::session_of(pid) == Some(leader),
            Boundary::Group => call::group_of(pid) == Some(leader),
        }
    }
}

/// One of what is left, held so that its death is reported.
#[derive(Debug)]
pub(super) struct Witness {
    pid: Pid,
    handle: OwnedFd,
}

impl Witness {
    /// `None` when it is dead, or has left, or there are no pidfds here.
    pub(super) fn take(pid: Pid, leader: Pid, boundary: Boundary) -> Option<Witness> {
        let handle = call::pidfd(pid)?;
        // After the handle: while that process lives, the number is its own.
        let there = boundary.holds(pid, leader) && Stat::read(pid).is_some_and(|s| s.is_alive());
        there.then_some(Witness { pid, handle })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Table {
    /// Leaderless runs whose end nobody will tell: they have no witness, or it has left the session without dying.
    pub(super) fn without_witness(&self) -> impl Iterator<Item = RunId> {
        let blind = |run: &RunId| match self.runs.get(run) {
            Some(entry) => match &entry.phase {
                Phase::Leaderless(Some(witness)) => !entry.boundary.holds(witness.pid, entry.pid),
                Phase::Leaderless(None) => true,
                Phase::Starting(_) | Phase::Running | Phase::Failed => false,
            },
            None => false,
        };
        self.leaderless
            .values()
            .filter(move |run| blind(run))
            .copied()
    }

    /// Looks at the doubtful ones, when all that is dead is reaped: a look costs the more the more there is to see. In a
    /// storm without end, from time to time.
    pub(super) fn look_after_reaping(&mut self, events: &mut Vec<Event>) {
        if self.reap_due && self.postponed < POSTPONED {
            self.postponed += u32::from(!self.doubtful.is_empty());
            return;
        }
        self.postponed = 0;
        let doubtful = std::mem::take(&mut self.doubtful);
        self.look_again(&doubtful, events);
    }

    /// Looks whether anything is left of these runs.
    pub(super) fn look_again(&mut self, doubtful: &BTreeSet<RunId>, events: &mut Vec<Event>) {
        let mut asked = Vec::new();
        let mut over = Vec::new();
        for run in doubtful {
            let Some(entry) = self.runs.get_mut(run) else {
                continue;
            };
            let Phase::Leaderless(witness) = &mut entry.phase else {
                continue;
            };
            if let Some(witness) = witness.take() {
                self.poller.remove(witness.as_fd());
            }
            // Somebody else has the number: then the session that had it is over.
            if call::is_taken(entry.pid) {
                over.push(*run);
            } else {
                asked.push((*run, entry.pid, entry.boundary));
            }
        }
        if !asked.is_empty() {
            let questions: Vec<(Pid, Boundary)> = asked
                .iter()
                .map(|(_, pid, boundary)| (*pid, *boundary))
                .collect();
            let answers = self.processes.left(&questions);
            for (run, pid, _) in asked {
                match answers.get(&pid) {
                    Some(left) if left.count() > 0 => self.watch(run, left),
                    Some(_) | None => over.push(run),
                }
            }
        }
        for run in over {
            self.forget(run);
            events.push(Event::SessionEmpty { run });
        }
    }

    /// Goes on with a run whose leader is dead. Not reaped yet, best: then the session's number is still its own.
    pub(super) fn watch(&mut self, run: RunId, left: &Left) {
        let witness = self.take_witness(run, &left.alive);
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        entry.phase = Phase::Leaderless(witness);
        self.leaderless.insert(entry.pid, run);
        if entry.killed {
            let members = left.alive.iter().chain(&left.dead).copied();
            kill_all(members, entry.pid, entry.boundary);
        }
    }

    /// Holds on to one of what is left, and has its death reported.
    fn take_witness(&self, run: RunId, alive: &[Pid]) -> Option<Witness> {
        let entry = self.runs.get(&run)?;
        let take = |pid: &Pid| Witness::take(*pid, entry.pid, entry.boundary);
        let witness = alive.iter().find_map(take)?;
        self.poller.add(witness.as_fd(), Ready::Witness(run)).ok()?;
        Some(witness)
    }
}

/// Sends a signal to a member, if it still is one and alive. Says whether it was.
pub(super) fn tell(pid: Pid, leader: Pid, boundary: Boundary, signal: Signal) -> bool {
    // The handle first: what is found of that number afterwards is of the process it holds, or that one is dead.
    let handle = call::pidfd(pid);
    boundary.holds(pid, leader)
        && call::is_dead(pid) != Some(true)
        && match handle {
            Some(handle) => call::pidfd_kill(handle.as_fd(), signal),
            // No pidfds here, or no descriptor left: the moment since the look is all that is at risk.
            None => call::kill(pid, signal),
        }
}

/// Kills members. Says whether any may have been alive. One that forks and ends faster than we look is met by its
/// group, at one stroke: a dead child of ours in that group, which nobody else can reap, keeps the group's number from
/// being used again.
pub(super) fn kill_all(
    members: impl Iterator<Item = Pid>,
    leader: Pid,
    boundary: Boundary,
) -> bool {
    let mut told = false;
    let mut groups = HashSet::new();
    for pid in members {
        if call::is_dead(pid) == Some(true) {
            groups.extend(boundary.holds(pid, leader).then(|| call::group_of(pid)));
        } else {
            told |= tell(pid, leader, boundary, Signal::KILL);
        }
    }
    for group in groups.into_iter().flatten() {
        told |= call::kill(-group, Signal::KILL);
    }
    told
}
