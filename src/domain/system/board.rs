//! What dependents wait for, counted: how many instances of each process are started, ready, completed, and so on.

use std::ops::Range;

use crate::domain::id::ProcessId;
use crate::domain::plan::{Condition, Dependency, Plan};
use crate::domain::process::machine::Machine;
use crate::domain::process::phase::PhaseKind;

/// What an instance counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Some run of it started and its postStart hook was done, or none ever will.
    pub begun: bool,
    /// It started, now or before, and it has not failed for good.
    pub started: bool,
    /// Ready now.
    pub ready: bool,
    /// Ready, and for long enough that dependents count it.
    pub available: bool,
    /// Ended for good, as it should.
    pub completed: bool,
    /// Failed for good.
    pub failed: bool,
    /// In excess, and ready: it stands in for one that is wanted.
    pub spare: bool,
    /// Ended for good, and wanted.
    pub ended: bool,
    /// Ended for good.
    pub over: bool,
    /// Nothing of it runs, for the order of a stop.
    pub gone: bool,
}

impl Summary {
    /// What this instance counts as now. One that is not `wanted` (any more) counts for the order of a stop and for the
    /// end of the set only.
    pub fn of(machine: &Machine, wanted: bool) -> Self {
        let kind = machine.phase().kind();
        let (over, gone) = (machine.is_over(), machine.is_gone());
        if !wanted {
            return Summary {
                spare: machine.is_ready() && !machine.is_retired(),
                over,
                gone,
                ..Summary::default()
            };
        }
        Summary {
            begun: machine.has_begun() || over,
            started: machine.is_started(),
            ready: machine.is_ready(),
            available: machine.is_available(),
            completed: kind == PhaseKind::Completed,
            failed: kind == PhaseKind::Failed,
            spare: false,
            ended: over,
            over,
            gone,
        }
    }
}

/// The instances of one process, counted.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// How many there are.
    all: u32,
    /// How many of them are wanted.
    pub desired: u32,
    begun: u32,
    started: u32,
    ready: u32,
    available: u32,
    completed: u32,
    failed: u32,
    spare: u32,
    ended: u32,
    over: u32,
    gone: u32,
}

impl Count {
    fn add(&mut self, summary: Summary, by: i32) {
        let add = |flag: bool, count: &mut u32| {
            if flag {
                *count = count.wrapping_add_signed(by);
            }
        };
        add(summary.begun, &mut self.begun);
        add(summary.started, &mut self.started);
        add(summary.ready, &mut self.ready);
        add(summary.available, &mut self.available);
        add(summary.completed, &mut self.completed);
        add(summary.failed, &mut self.failed);
        add(summary.spare, &mut self.spare);
        add(summary.ended, &mut self.ended);
        add(summary.over, &mut self.over);
        add(summary.gone, &mut self.gone);
    }

    /// Every instance was ready at least once.
    pub fn all_begun(&self) -> bool {
        self.begun == self.desired
    }

    /// Every instance started, now or before.
    pub fn all_started(&self) -> bool {
        self.started == self.desired
    }

    /// Every instance started, now or before, but for those that failed for good.
    pub fn all_started_or_failed(&self) -> bool {
        self.started + self.failed == self.desired
    }

    /// As many instances are ready as are wanted.
    pub fn all_ready(&self) -> bool {
        self.ready + self.spare >= self.desired
    }

    /// Every instance is ready, but for those that failed for good.
    pub fn all_ready_or_failed(&self) -> bool {
        self.ready + self.spare + self.failed >= self.desired
    }

    /// An instance failed for good.
    pub fn any_failed(&self) -> bool {
        self.failed > 0
    }

    /// Every instance completed.
    pub fn all_completed(&self) -> bool {
        self.completed == self.desired
    }

    /// Every instance ended for good.
    pub fn all_over(&self) -> bool {
        self.over == self.all
    }

    /// So many are available.
    pub fn available(&self) -> u32 {
        self.available
    }

    /// Nothing of it runs.
    pub fn all_gone(&self) -> bool {
        self.gone == self.all
    }
}

/// Whether a dependency is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It is.
    Yes,
    /// Not yet.
    NotYet,
    /// It never will be.
    Never,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    count: Count,
    units: Range<u32>,
    dependents: Vec<ProcessId>,
    dependencies: Vec<ProcessId>,
    opened: bool,
    stopping: bool,
}

/// One entry a process, and the totals.
#[derive(Debug, Clone, Default)]
pub struct Board {
    entries: Vec<Entry>,
    total: Count,
}

impl Board {
    /// An empty board for this plan; instances are numbered process by process.
    pub fn new(plan: &Plan) -> Self {
        let mut board = Board {
            entries: vec![Entry::default(); plan.processes.len()],
            total: Count::default(),
        };
        let mut next = 0;
        for (at, process) in plan.processes.iter().enumerate() {
            let id = ProcessId(at as u32);
            let all = process.instances.len() as u32;
            board.entries[at].units = next..next + all;
            for count in [&mut board.entries[at].count, &mut board.total] {
                count.all += all;
                count.desired += process.desired;
            }
            next += all;
            for Dependency { on, .. } in &process.depends_on {
                board.entries[at].dependencies.push(*on);
                board.entries[on.index()].dependents.push(id);
            }
        }
        board
    }

    /// Books a change of one instance.
    pub fn update(&mut self, process: ProcessId, before: Summary, after: Summary) {
        for count in [&mut self.entries[process.index()].count, &mut self.total] {
            count.add(before, -1);
            count.add(after, 1);
        }
    }

    /// The count of one process.
    pub fn count(&self, process: ProcessId) -> &Count {
        &self.entries[process.index()].count
    }

    /// The count over all processes.
    pub fn total(&self) -> &Count {
        &self.total
    }

    /// Where the instances of a process are in the system's list.
    pub fn units(&self, process: ProcessId) -> Range<u32> {
        self.entries[process.index()].units.clone()
    }

    /// Where those instances of it are that are wanted.
    pub fn wanted(&self, process: ProcessId) -> Range<u32> {
        let entry = &self.entries[process.index()];
        entry.units.start..entry.units.start + entry.count.desired
    }

    /// Who depends on a process.
    pub fn dependents(&self, process: ProcessId) -> Vec<ProcessId> {
        self.entries[process.index()].dependents.clone()
    }

    /// On whom a process depends.
    pub fn dependencies(&self, process: ProcessId) -> Vec<ProcessId> {
        self.entries[process.index()].dependencies.clone()
    }

    /// Every dependent of a process is gone.
    pub fn dependents_gone(&self, process: ProcessId) -> bool {
        self.entries[process.index()]
            .dependents
            .iter()
            .all(|dependent| self.count(*dependent).all_gone())
    }

    /// Marks a process as allowed to start; false when it was before.
    pub fn open(&mut self, process: ProcessId) -> bool {
        !std::mem::replace(&mut self.entries[process.index()].opened, true)
    }

    /// A process has to be allowed to start again.
    pub fn close(&mut self, process: ProcessId) {
        self.entries[process.index()].opened = false;
    }

    /// A process is allowed to start.
    pub fn is_open(&self, process: ProcessId) -> bool {
        self.entries[process.index()].opened
    }

    /// Marks a process as told to stop; false when it was before.
    pub fn begin_stop(&mut self, process: ProcessId) -> bool {
        !std::mem::replace(&mut self.entries[process.index()].stopping, true)
    }

    /// Whether a dependency is met. All desired instances count; none desired is met.
    pub fn met(&self, dependency: &Dependency) -> Met {
        let count = self.count(dependency.on);
        let (have, failed) = match dependency.condition {
            Condition::Started => (count.started, count.failed),
            Condition::Ready => (count.available, count.failed),
            Condition::Completed => (count.completed, count.failed),
            Condition::Exited => (count.ended, 0),
        };
        // An instance that failed for good is what an optional dependency no longer waits for.
        let (have, never) = if dependency.optional {
            (have + failed, false)
        } else {
            (have, failed > 0)
        };
        if have == count.desired {
            Met::Yes
        } else if never {
            Met::Never
        } else {
            Met::NotYet
        }
    }
}
