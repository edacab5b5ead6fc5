//! The system as others see it: rebuilt a process at a time, as far as it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Stage, System};
use crate::domain::id::ProcessId;
use crate::domain::plan::{Kind, OnFailure, Plan, Process, Traffic};
use crate::domain::process::machine::Machine;
use crate::domain::process::phase::PhaseKind;
use crate::domain::snapshot::{InstanceView, ProcessView, Snapshot};

/// What was shown last, and what changed since.
#[derive(Debug, Default)]
pub(super) struct View {
    shown: Arc<Snapshot>,
    /// By process: its instances that changed.
    changed: BTreeMap<ProcessId, BTreeSet<u32>>,
    /// Something beside the processes.
    otherwise: bool,
    /// There are other processes than before.
    anew: bool,
}

impl View {
    pub(super) fn mark(&mut self, process: ProcessId, unit: u32) {
        self.changed.entry(process).or_default().insert(unit);
    }

    pub(super) fn mark_all(&mut self) {
        self.otherwise = true;
    }

    pub(super) fn rebuild(&mut self) {
        self.otherwise = true;
        self.anew = true;
    }
}

/// As much of a machine as is worth a new picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glance {
    phase: PhaseKind,
    started: bool,
    ready: bool,
    restarts: u64,
    warms_up: bool,
    words: Option<Arc<str>>,
}

impl Glance {
    pub(super) fn of(machine: &Machine) -> Glance {
        Glance {
            phase: machine.phase().kind(),
            started: machine.is_started(),
            ready: machine.is_ready(),
            restarts: machine.restarts(),
            warms_up: machine.warms_up(),
            words: machine.words(),
        }
    }
}

impl System {
    /// What the set looks like, if that changed since the last call.
    pub fn snapshot(&mut self) -> Option<Arc<Snapshot>> {
        if self.view.changed.is_empty() && !self.view.otherwise {
            return None;
        }
        let plan = self.plan.clone();
        let mut processes = self.view.shown.processes.clone();
        if std::mem::take(&mut self.view.anew) {
            processes.clear();
        }
        if let Some(plan) = &plan {
            let known = processes.len();
            let changed = std::mem::take(&mut self.view.changed);
            for at in 0..plan.processes.len() {
                let process = ProcessId(at as u32);
                if at >= known {
                    processes.push(Arc::new(self.look_at(process, plan)));
                } else if let Some(units) = changed.get(&process) {
                    let again = self.look_again(process, plan, (&processes[at], units));
                    processes[at] = Arc::new(again);
                }
            }
        }
        // Not so in a stop, which ends init processes too: what has started by then was shown before.
        let init_done = self.stage == Stage::Main;
        let stopping = self.stop.as_ref().map(|stop| stop.cause.to_string().into());
        let started = init_done
            && self.serving_all(|count, process| match process.on_failure {
                OnFailure::Ignore => count.all_started_or_failed(),
                OnFailure::ExitSet | OnFailure::MarkUnready => count.all_started(),
            });
        let ready = stopping.is_none() && !self.changes.holds_back() && self.pod_is_ready();
        self.view.otherwise = false;
        self.view.changed.clear();
        self.view.shown = Arc::new(Snapshot {
            loaded: plan.is_some(),
            started: self.view.shown.started || started,
            ready,
            stopping,
            gone: self.stage == Stage::Over,
            sidecars: self.sidecars.view(),
            quits: (self.plan.iter())
                .flat_map(|plan| &plan.sidecars)
                .any(|sidecar| sidecar.quit.is_some()),
            processes,
            spec: self.spec_view(),
        });
        Some(Arc::clone(&self.view.shown))
    }

    /// Init processes are done, every Serving process is ready, and no failure makes the pod unready.
    pub(super) fn pod_is_ready(&self) -> bool {
        let marked = |(at, process): (usize, &Process)| {
            process.on_failure == OnFailure::MarkUnready
                && self.board.count(ProcessId(at as u32)).any_failed()
        };
        self.stage == Stage::Main
            && self.serving_all(|count, process| match process.on_failure {
                OnFailure::Ignore => count.all_ready_or_failed(),
                OnFailure::ExitSet | OnFailure::MarkUnready => count.all_ready(),
            })
            && !(self.plan.iter())
                .flat_map(|plan| plan.processes.iter().enumerate())
                .any(marked)
    }

    /// `holds` for every Serving process.
    fn serving_all(&self, holds: impl Fn(&super::board::Count, &Process) -> bool) -> bool {
        let processes = self.plan.iter().flat_map(|plan| &plan.processes);
        processes.enumerate().all(|(at, process)| {
            let serves = process.kind == Kind::Service && process.traffic == Traffic::Serving;
            !serves || holds(self.board.count(ProcessId(at as u32)), process)
        })
    }

    /// The picture of a process of which only these instances changed: with many of them the rest is taken over.
    fn look_again(
        &self,
        process: ProcessId,
        plan: &Plan,
        (before, changed): (&ProcessView, &BTreeSet<u32>),
    ) -> ProcessView {
        let units = self.units_of(process);
        let otherwise = |at: &u32| {
            let machine = &self.units[*at as usize].machine;
            machine.phase().kind() == PhaseKind::Failed || machine.is_retired()
        };
        let whole = before.instances.len() == units.len() && before.marks_unready.is_none();
        if !whole || changed.iter().any(otherwise) {
            return self.look_at(process, plan);
        }
        let mut view = before.clone();
        for at in changed {
            view.instances[(at - units.start) as usize] = self.look_at_one(*at, plan);
        }
        view
    }

    fn look_at_one(&self, at: u32, plan: &Plan) -> InstanceView {
        let unit = &self.units[at as usize];
        let machine = &unit.machine;
        InstanceView {
            label: Arc::clone(&plan.instance(unit.id).label),
            phase: machine.phase().kind(),
            started: machine.is_started(),
            ready: machine.is_ready(),
            restarts: machine.restarts(),
            last: machine.last_run(),
            message: machine.message(),
        }
    }

    fn look_at(&self, process: ProcessId, plan: &Plan) -> ProcessView {
        let rule = plan.process(process);
        let mut marks_unready = None;
        let shown = |at: &u32| {
            let machine = &self.units[*at as usize].machine;
            !(machine.is_retired() && machine.is_over())
        };
        let instances = self.units_of(process).filter(shown).map(|at| {
            let unit = &self.units[at as usize];
            let machine = &unit.machine;
            let phase = machine.phase().kind();
            if phase == PhaseKind::Failed && rule.on_failure == OnFailure::MarkUnready {
                let why = machine.failure().unwrap_or("failed");
                let label = &plan.instance(unit.id).label;
                marks_unready
                    .get_or_insert_with(|| format!("{label} failed for good: {why}").into());
            }
            self.look_at_one(at, plan)
        });
        let instances = instances.collect();
        ProcessView {
            name: Arc::clone(&rule.name),
            kind: rule.kind,
            traffic: rule.traffic,
            marks_unready,
            instances,
        }
    }
}
