//! Who belongs to a run besides its leader.
//!
//! Belonging is by session (by process group for the one child that shares our terminal). What left it by a setsid of
//! its own is an orphan, not a leftover. Everything in a session descends from its leader, and whoever's parent dies
//! becomes our child; so a session without its leader can only have members when we have a child that is no leader.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::signal::Signal;
use crate::sys::call::{self, Pid};
use crate::sys::poller::Ready;
use crate::sys::procfs::{Listing, OwnFiles, Stat};

use super::{Phase, Table};

/// So many looks at all processes at most; two answer all but what a storm of forks hides.
const LOOKS: usize = 4;

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

/// All processes at a moment, as far as belonging goes. Dead ones that nobody has reaped are among them.
#[derive(Debug, Default)]
pub(super) struct Look {
    by_session: Vec<(Pid, Pid)>,
    by_group: Vec<(Pid, Pid)>,
}

impl Look {
    /// Members but for the leader.
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
}

/// What is left of a run without its leader.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Members that live.
    pub(super) alive: Vec<Pid>,
    /// Members that are dead.
    dead: HashSet<Pid>,
    /// In every look there were members that had not been there before, and were dead by the time they were looked at:
    /// somebody forks and ends, over and over.
    moving: bool,
}

impl Left {
    pub(super) fn count(&self) -> u32 {
        (self.alive.len() as u32).max(u32::from(self.moving))
    }
}

/// A run of which it is not known yet whether anything is left.
struct Question {
    leader: Pid,
    boundary: Boundary,
    left: Left,
    /// The last look found nobody new.
    quiet: bool,
}

impl Question {
    /// Says whether a look answered it. Whoever was alive when the look began is in it, dead or alive, as only we reap
    /// those who lost their parent. So nobody in it, but for those who were dead before, means that nobody was alive.
    fn is_answered_by(&mut self, look: &Look, nobody_forked: bool) -> bool {
        let dead = &self.left.dead;
        let new: Vec<Pid> = look
            .members(self.leader, self.boundary)
            .filter(|pid| !dead.contains(pid))
            .collect();
        if new.is_empty() {
            // Short of one who was reaped by a parent outside of the session during the look. A second one will do.
            return nobody_forked || std::mem::replace(&mut self.quiet, true);
        }
        self.quiet = false;
        let (alive, dead) = new
            .into_iter()
            .partition(|pid| is_alive_in(*pid, self.leader, self.boundary));
        self.left.alive = alive;
        self.left.dead.extend::<Vec<Pid>>(dead);
        !self.left.alive.is_empty()
    }
}

fn is_alive_in(pid: Pid, leader: Pid, boundary: Boundary) -> bool {
    let of = |stat: &Stat| match boundary {
        Boundary::Session => stat.session,
        Boundary::Group => stat.group,
    };
    match Stat::read(pid) {
        Some(stat) => stat.is_alive() && of(&stat) == leader,
        // It is gone; or there is no descriptor left to read with, and then it counts as alive if it may be.
        None => boundary.holds(pid, leader) && call::is_dead(pid) != Some(true),
    }
}

/// The view of other processes.
#[derive(Debug)]
pub(super) struct Processes {
    listing: Listing,
    files: OwnFiles,
}

impl Processes {
    pub(super) fn open() -> Self {
        Processes {
            listing: Listing::open(),
            files: OwnFiles::open(call::own_pid()),
        }
    }

    /// Children that are no run's leader.
    pub(super) fn strangers(&mut self, leaders: &HashMap<Pid, RunId>) -> Vec<Pid> {
        let mut strangers = self.files.children().unwrap_or_else(|| {
            let mut children = Vec::new();
            self.listing.each(|pid| {
                if call::is_dead(pid).is_some() {
                    children.push(pid);
                }
            });
            children
        });
        strangers.retain(|pid| !leaders.contains_key(pid));
        strangers
    }

    /// Whether all our children are surely leaders.
    fn has_no_stranger(&self, leaders: &HashMap<Pid, RunId>) -> bool {
        let children = self.files.children();
        children.is_some_and(|children| children.iter().all(|pid| leaders.contains_key(pid)))
    }

    /// What leaders left behind that were dead before the call. Looks at our own children first: mostly they are all
    /// leaders, and then nothing can be left.
    pub(super) fn left_by_dead(
        &mut self,
        dead: &[(Pid, Boundary)],
        leaders: &HashMap<Pid, RunId>,
    ) -> HashMap<Pid, Left> {
        if dead.is_empty() || self.has_no_stranger(leaders) {
            return HashMap::new();
        }
        self.left(dead)
    }

    /// What is left of runs without their leaders. All in one look, mostly.
    pub(super) fn left(&mut self, of: &[(Pid, Boundary)]) -> HashMap<Pid, Left> {
        let mut answers = HashMap::new();
        let mut questions: Vec<Question> = of
            .iter()
            .map(|(leader, boundary)| Question {
                leader: *leader,
                boundary: *boundary,
                left: Left::default(),
                quiet: false,
            })
            .collect();
        for _ in 0..LOOKS {
            let before = self.files.last_pid();
            let look = self.look();
            let nobody_forked = before.is_some() && self.files.last_pid() == before;
            let answered = |question: &mut Question| question.is_answered_by(&look, nobody_forked);
            for question in questions.extract_if(.., answered) {
                answers.insert(question.leader, question.left);
            }
            if questions.is_empty() {
                break;
            }
        }
        for mut question in questions {
            question.left.moving = !question.quiet;
            answers.insert(question.leader, question.left);
        }
        answers
    }

    /// Looks at all processes.
    pub(super) fn look(&mut self) -> Look {
        let mut look = Look::default();
        self.listing.each(|pid| {
            if let Some(session) = call::session_of(pid) {
                look.by_session.push((session, pid));
            }
            if let Some(group) = call::group_of(pid) {
                look.by_group.push((group, pid));
            }
        });
        look.by_session.sort_unstable();
        look.by_group.sort_unstable();
        look
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

/// Kills members. Says whether any was alive. One that forks and ends faster than we look is met by its group, at one
/// stroke: a dead child of ours in that group, which nobody else can reap, keeps the group's number from being used
/// again.
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
        call::kill(-group, Signal::KILL);
    }
    told
}
