//! Who belongs to a run besides its leader: looking at all processes, and what can be concluded from it.
//!
//! Everything in a session descends from its leader, and whoever's parent dies becomes our child. So a session without
//! its leader can only have members when we have a child that is no leader; and who lost his parent stays to be seen,
//! dead or alive, until we reap him, which we do not while we look.

use std::collections::{HashMap, HashSet};

use crate::domain::id::RunId;
use crate::sys::call::{self, Pid};
use crate::sys::procfs::{Listing, OwnFiles, Stat};

use super::session::Boundary;

/// So many looks at all processes at most; two answer all but what a storm of forks hides.
const LOOKS: usize = 4;

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
    pub(super) dead: HashSet<Pid>,
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
    /// Says whether a look answered it. Whoever was alive when the look began is in it, dead or alive. So nobody in it,
    /// but for those who were dead before, means that nobody was alive.
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
    // Cheaper than a file, and after a storm most are dead children of ours.
    if call::is_dead(pid) == Some(true) {
        return false;
    }
    match Stat::read(pid) {
        Some(stat) => stat.is_alive() && of(&stat) == leader,
        // It is gone; or there is no descriptor left to read with, and then it counts as alive if it may be.
        None => boundary.holds(pid, leader),
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
