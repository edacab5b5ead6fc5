//! Who belongs to a run besides its leader.
//!
//! Belonging is by session (by process group for the one child that shares our terminal). What left it by a setsid of
//! its own is an orphan, not a leftover. Everything in a session descends from its leader, and whoever's parent dies
//! becomes our child; so a session without its leader can only have members when we have a child that is no leader.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::signal::Signal;
use crate::sys::call::{self, Pid};
use crate::sys::procfs::{self, Listing, Stat};

use super::{Phase, Table};

/// Looks at all processes are repeated while somebody forks, at most so often.
const LOOKS: usize = 3;

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
pub(super) struct Witness(OwnedFd);

impl Witness {
    /// `None` when it is dead, or has left, or there are no pidfds here.
    pub(super) fn take(pid: Pid, leader: Pid, boundary: Boundary) -> Option<Witness> {
        let handle = call::pidfd(pid)?;
        // After the handle: while that process lives, the number is its own.
        let there = boundary.holds(pid, leader) && Stat::read(pid).is_some_and(|s| s.is_alive());
        there.then_some(Witness(handle))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// All processes at a moment, as far as belonging goes.
#[derive(Debug, Default)]
pub(super) struct Scan {
    by_session: Vec<(Pid, Pid)>,
    by_group: Vec<(Pid, Pid)>,
}

impl Scan {
    /// Members but for the leader, dead ones that nobody reaped included.
    pub(super) fn members(&self, leader: Pid, boundary: Boundary) -> impl Iterator<Item = Pid> {
        let list = match boundary {
            Boundary::Session => &self.by_session,
            Boundary::Group => &self.by_group,
        };
        let from = list.partition_point(|(of, _)| *of < leader);
        list[from..]
            .iter()
            .take_while(move |(of, _)| *of == leader)
            .map(|(_, pid)| *pid)
            .filter(move |pid| *pid != leader)
    }

    /// Members but for the leader that still live and belong.
    pub(super) fn alive(&self, leader: Pid, boundary: Boundary) -> Vec<Pid> {
        self.members(leader, boundary)
            .filter(|pid| is_alive_in(*pid, leader, boundary))
            .collect()
    }

    fn finish(mut self) -> Self {
        for list in [&mut self.by_session, &mut self.by_group] {
            list.sort_unstable();
            list.dedup();
        }
        self
    }
}

fn is_alive_in(pid: Pid, leader: Pid, boundary: Boundary) -> bool {
    let of = |stat: &Stat| match boundary {
        Boundary::Session => stat.session,
        Boundary::Group => stat.group,
    };
    Stat::read(pid).is_some_and(|stat| stat.is_alive() && of(&stat) == leader)
}

/// The view of other processes.
#[derive(Debug)]
pub(super) struct Processes {
    own: Pid,
    listing: Listing,
    /// The kernel has a file with our children.
    has_children_file: bool,
}

impl Processes {
    pub(super) fn open() -> Self {
        let own = call::own_pid();
        Processes {
            own,
            listing: Listing::open(),
            has_children_file: procfs::children_of(own).is_some(),
        }
    }

    /// Children that are no run's leader.
    pub(super) fn strangers(&mut self, leaders: &HashMap<Pid, RunId>) -> Vec<Pid> {
        let mut strangers = self.children();
        strangers.retain(|pid| !leaders.contains_key(pid));
        strangers
    }

    fn children(&mut self) -> Vec<Pid> {
        if self.has_children_file
            && let Some(children) = procfs::children_of(self.own)
        {
            return children;
        }
        let mut children = Vec::new();
        self.listing.each(|pid| {
            if call::is_dead(pid).is_some() {
                children.push(pid);
            }
        });
        children
    }

    /// What dead leaders left behind; exact for those that were dead before the call. Looks at our own children first:
    /// mostly they are all leaders, and then nothing can be left.
    pub(super) fn leftovers(
        &mut self,
        dead: &[(Pid, Boundary)],
        leaders: &HashMap<Pid, RunId>,
    ) -> Scan {
        if dead.is_empty() || (self.has_children_file && self.strangers(leaders).is_empty()) {
            return Scan::default();
        }
        self.scan()
    }

    /// Looks at all processes, again while somebody forks: one that forks and ends could hide behind the numbers that
    /// were looked at already. Whoever was seen in any look counts.
    pub(super) fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let mut last = procfs::last_pid();
        for _ in 0..LOOKS {
            self.listing.each(|pid| {
                if let Some(session) = call::session_of(pid) {
                    scan.by_session.push((session, pid));
                }
                if let Some(group) = call::group_of(pid) {
                    scan.by_group.push((group, pid));
                }
            });
            let now = procfs::last_pid();
            if now == last {
                break;
            }
            last = now;
        }
        scan.finish()
    }
}

impl Table {
    /// Leaderless runs whose end no handle will tell.
    pub(super) fn without_witness(&self) -> Vec<RunId> {
        let blind = |run: &&RunId| {
            self.runs
                .get(run)
                .is_some_and(|run| matches!(run.phase, Phase::Leaderless(None)))
        };
        self.leaderless.values().filter(blind).copied().collect()
    }

    /// Looks whether anything is left of these runs, all in one look.
    pub(super) fn look_again(&mut self, doubtful: Vec<RunId>, events: &mut Vec<Event>) {
        let mut scan = None;
        for run in doubtful {
            let Some(entry) = self.runs.get(&run) else {
                continue;
            };
            let Phase::Leaderless(witness) = &entry.phase else {
                continue;
            };
            if let Some(witness) = witness {
                self.poller.remove(witness.as_fd());
            }
            let (pid, boundary, killed) = (entry.pid, entry.boundary, entry.killed);
            let left = if call::is_taken(pid) {
                Vec::new()
            } else {
                scan.get_or_insert_with(|| self.processes.scan())
                    .alive(pid, boundary)
            };
            if left.is_empty() {
                self.forget(run);
                events.push(Event::SessionEmpty { run });
                continue;
            }
            let witness = self.take_witness(run, &left);
            if let Some(entry) = self.runs.get_mut(&run) {
                entry.phase = Phase::Leaderless(witness);
            }
            if killed {
                self.kill_members(run, &left);
            }
        }
    }

    pub(super) fn kill_members(&self, run: RunId, members: &[Pid]) {
        if let Some(entry) = self.runs.get(&run) {
            for pid in members {
                tell(*pid, entry.pid, entry.boundary, Signal::KILL);
            }
        }
    }
}

/// Sends a signal to a member, if it still is one. Says whether it was.
pub(super) fn tell(pid: Pid, leader: Pid, boundary: Boundary, signal: Signal) -> bool {
    // The handle first: what is found of that number afterwards is of the process it holds, or that one is dead.
    let handle = call::pidfd(pid);
    boundary.holds(pid, leader)
        && match handle {
            Some(handle) => call::pidfd_kill(handle.as_fd(), signal),
            // No pidfds here, or no descriptor left: the moment since the look is all that is at risk.
            None => call::kill(pid, signal),
        }
}
