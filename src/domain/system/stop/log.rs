//! Notes for the report of a stop, taken while it goes on.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::plan::{GraceSource, Plan};
use crate::domain::process::machine::Machine;
use crate::domain::process::phase::{Phase, PhaseKind};
use crate::domain::shutdown::report::{DrainReport, HookReport, InstanceReport, StopReport};
use crate::domain::system::Unit;
use crate::domain::time::Mono;

/// The notes.
#[derive(Debug, Default)]
pub(in crate::domain::system) struct StopLog {
    t0: Mono,
    /// By unit; `None`: there was nothing to stop.
    instances: Vec<Option<InstanceReport>>,
    pub(super) hooks: Vec<HookReport>,
}

impl StopLog {
    /// Notes about the instances that have anything to stop.
    pub(super) fn new(t0: Mono, plan: Option<&Plan>, units: &[Unit]) -> StopLog {
        let instances = units.iter().map(|unit| {
            let plan = plan?;
            let process = plan.process(unit.id.process);
            stops(unit.machine.phase().kind()).then(|| InstanceReport {
                label: Arc::clone(&plan.instance(unit.id).label),
                traffic: process.traffic,
                signal: process.stop.signal,
                asked: None,
                signalled: None,
                killed: None,
                by_deadline: false,
                exited: None,
                gone: None,
                how: None,
            })
        });
        StopLog {
            t0,
            instances: instances.collect(),
            hooks: Vec::new(),
        }
    }

    /// An instance took a step; says whether it was sent its stop signal in it.
    pub(in crate::domain::system) fn note(
        &mut self,
        at: u32,
        machine: &Machine,
        now: Mono,
    ) -> bool {
        let Some(Some(notes)) = self.instances.get_mut(at as usize) else {
            return false;
        };
        let before = notes.signalled;
        let now = now.since(self.t0);
        let phase = machine.phase();
        match phase {
            Phase::PreStop { .. } => {
                notes.asked.get_or_insert(now);
            }
            Phase::Signalled { .. } => {
                notes.asked.get_or_insert(now);
                notes.signalled.get_or_insert(now);
            }
            Phase::Killed { .. } | Phase::Stuck { .. } | Phase::Clearing { killed: true, .. } => {
                notes.asked.get_or_insert(now);
                notes.killed.get_or_insert(now);
            }
            _ => {}
        }
        notes.by_deadline = machine.killed_by_deadline();
        if !stops(phase.kind()) || phase.kind() == PhaseKind::Clearing {
            notes.exited.get_or_insert(now);
            notes.how = machine.last().map(|ended| ended.how);
        }
        if machine.is_over() {
            notes.gone.get_or_insert(now);
        }
        before.is_none() && notes.signalled.is_some()
    }

    /// There was something to stop.
    pub(super) fn is_worth_telling(&self) -> bool {
        !self.hooks.is_empty() || self.instances.iter().any(Option::is_some)
    }

    /// The report.
    pub(super) fn report(&self, frame: Frame) -> StopReport {
        StopReport {
            why: frame.why,
            code: frame.code,
            grace: frame.grace,
            source: frame.source,
            budget: frame.budget,
            shortened: frame.shortened,
            claims_cut: frame.claims_cut,
            used: frame.used,
            drain: frame.drain,
            hooks: self.hooks.clone(),
            instances: self.instances.iter().flatten().cloned().collect(),
        }
    }
}

/// What the report says of the stop as a whole.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) why: String,
    pub(super) code: u8,
    pub(super) grace: Duration,
    pub(super) source: GraceSource,
    pub(super) budget: Duration,
    pub(super) shortened: bool,
    pub(super) claims_cut: bool,
    pub(super) used: Duration,
    pub(super) drain: Option<DrainReport>,
}

/// In this phase there is something to stop.
fn stops(phase: PhaseKind) -> bool {
    match phase {
        PhaseKind::Waiting
        | PhaseKind::Claiming
        | PhaseKind::PreStart
        | PhaseKind::PostStop
        | PhaseKind::Backoff
        | PhaseKind::Completed
        | PhaseKind::Failed
        | PhaseKind::Stopped => false,
        PhaseKind::Spawning
        | PhaseKind::Running
        | PhaseKind::PreStop
        | PhaseKind::Signalled
        | PhaseKind::Killed
        | PhaseKind::Stuck
        | PhaseKind::Clearing => true,
    }
}
