//! A spec on trial: the pod has to get ready under it, and goes back to its last good one if it does not get on.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Stage, System};
use super::to_see;
use crate::domain::effect::Effect;
use crate::domain::event::Refusal;
use crate::domain::fact::Fact;
use crate::domain::id::ProcessId;
use crate::domain::plan::diff::Diff;
use crate::domain::plan::{Kind, Plan};
use crate::domain::process::phase::PhaseKind;
use crate::domain::time::{Human, Mono, Now};

/// A spec that has to prove itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    /// When it began, or got on last.
    since: Mono,
    /// The pod was ready just before.
    pub(super) was_ready: bool,
    reached: Reached,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    /// Runs of what is not written any more.
    outdated: u32,
    /// Instances that run what is written and are available, of those that have to be seen.
    up: u32,
    /// Instances that are available, of all.
    all: u32,
}

impl Reached {
    /// What comes up and falls over again and again is a step once.
    fn best(self, other: Reached) -> Reached {
        Reached {
            outdated: self.outdated.min(other.outdated),
            up: self.up.max(other.up),
            all: self.all.max(other.all),
        }
    }
}

impl Trial {
    pub(super) fn begin(now: Now, was_ready: bool) -> Trial {
        Trial {
            since: now.mono,
            was_ready,
            reached: Reached::default(),
        }
    }
}

impl System {
    /// The start is over. However long it took: no process has had its time yet.
    pub(super) fn begin_trial_anew(&mut self, now: Now) {
        if let Some(trial) = &mut self.changes.on_trial {
            trial.since = now.mono;
            self.arm_change(now);
        }
    }

    /// Another spec is on trial: what it has to reach is counted anew. That alone is no step forward.
    pub(super) fn rebase_trial(&mut self) {
        let reached = self.reached();
        if let Some(trial) = &mut self.changes.on_trial {
            trial.reached = Reached {
                outdated: reached.outdated,
                ..reached.best(trial.reached)
            };
        }
    }

    /// Each step forward gives the pod its time anew, as a Deployment's does.
    pub(super) fn note_progress(&mut self, now: Now) {
        if self.changes.on_trial.is_none() {
            return;
        }
        let reached = self.reached();
        if let Some(trial) = &mut self.changes.on_trial {
            let best = reached.best(trial.reached);
            let is_step = best.outdated < trial.reached.outdated
                || best.up > trial.reached.up
                || best.all > trial.reached.all;
            if is_step {
                trial.reached = best;
                trial.since = now.mono;
                self.arm_change(now);
            }
        }
    }

    fn reached(&self) -> Reached {
        let outdated = self.units.iter().filter(|unit| unit.old.is_some()).count();
        let (mut up, mut all) = (0, 0);
        for (at, process) in self
            .plan
            .iter()
            .flat_map(|plan| &plan.processes)
            .enumerate()
        {
            let process_id = ProcessId(at as u32);
            all += self.board.count(process_id).available();
            if self.changes.touched.binary_search(&process.name).is_ok() {
                let units = self.board.wanted(process_id);
                let is_up = |at: &u32| {
                    let unit = &self.units[*at as usize];
                    unit.old.is_none() && unit.machine.is_available()
                };
                up += units.filter(is_up).count();
            }
        }
        Reached {
            outdated: outdated as u32,
            up: up as u32,
            all,
        }
    }

    /// By then the pod must be ready under the spec in force.
    pub(super) fn progress_until(&self) -> Mono {
        let changes = &self.changes;
        match (changes.on_trial, &changes.written) {
            (Some(trial), Some(plan)) => {
                let settle = plan.processes.iter().map(|process| process.min_ready).max();
                trial.since + plan.rollout.progress_deadline + settle.unwrap_or(Duration::ZERO)
            }
            _ => Mono::NEVER,
        }
    }

    /// Time has passed: the drain of a change is over, or the pod had its time to become ready.
    pub(in crate::domain::system) fn change_tick(&mut self, now: Now) {
        self.changes.armed = Mono::NEVER;
        let proving = self.changes.proven_at != Mono::NEVER;
        if self.stage == Stage::Main && !proving && self.progress_until() <= now.mono {
            if self.makes_room(now) {
                self.begin_trial_anew(now);
            } else {
                self.revert(now);
            }
        }
        self.arm_change(now);
    }

    /// The pod drains, or a run that has to go has its own time for its stop. What KILL does not end is not waited for.
    fn makes_room(&self, now: Now) -> bool {
        let drained = (self.changes.work.as_ref()).and_then(|work| work.drained_at);
        let goes = |kind| {
            matches!(
                kind,
                PhaseKind::PreStop | PhaseKind::Signalled | PhaseKind::PostStop
            )
        };
        drained.is_some_and(|at| at > now.mono)
            || self.units.iter().any(|unit| {
                let leaves = unit.old.is_some() || unit.machine.is_retired();
                leaves && goes(unit.machine.phase().kind())
            })
    }

    /// The pod did not become ready under the spec in force: back to the last one under which it was.
    fn revert(&mut self, now: Now) {
        let trial = self.changes.on_trial.take();
        let changes = &self.changes;
        let (Some(bad), Some(good)) = (changes.written.clone(), changes.good.clone()) else {
            return;
        };
        if Arc::ptr_eq(&bad, &good) {
            return;
        }
        let limit = bad.rollout.progress_deadline;
        let origin = bad.origin.clone();
        self.shared.outbox.facts.push(Fact::ChangeReverted {
            origin: origin.clone(),
            limit,
        });
        self.changes.fell = trial.is_none_or(|trial| trial.was_ready);
        let (reason, nor) = if self.changes.fell {
            (Refusal::PROGRESS_DEADLINE, "")
        } else {
            (Refusal::WAS_NOT_READY, ", nor before")
        };
        let message = format!(
            "the pod was not ready {} after it took it{nor}{}: back to the last good spec",
            Human(limit),
            self.who_is_missing()
        );
        // A newer one that was refused meanwhile is what others have to know of.
        let refused = self.changes.refused.as_ref();
        if refused.is_none_or(|newer| newer.origin.object == origin.object) {
            self.changes.refused = Some(Arc::new(Refusal {
                origin,
                reason,
                message,
            }));
        }
        let diff = Diff::between(&bad, &good);
        self.apply(good, &diff, now);
    }

    /// The first process that is not up, in words.
    fn who_is_missing(&self) -> String {
        let processes = self.plan.iter().flat_map(|plan| &plan.processes);
        let missing = processes.enumerate().find(|(at, process)| {
            process.kind == Kind::Service && !self.is_up(ProcessId(*at as u32), process)
        });
        missing.map_or_else(String::new, |(_, process)| {
            format!(" (`{}` is not available)", process.name)
        })
    }

    /// Whatever has changed since the last good spec has to be seen to work, not only what changes now.
    pub(super) fn stay_on_trial(&mut self, plan: &Plan) {
        let Some(trial) = self.changes.on_trial else {
            return;
        };
        if let Some(object) = plan.origin.object.clone() {
            let was_ready = trial.was_ready;
            let effect = Effect::TryOut { object, was_ready };
            self.shared.outbox.effects.push(effect);
        }
        if let Some(good) = &self.changes.good {
            let (touched, probed) = to_see(&Diff::between(good, plan));
            for (known, more) in [
                (&mut self.changes.touched, touched),
                (&mut self.changes.probed, probed),
            ] {
                known.extend(more);
                known.sort_unstable();
                known.dedup();
            }
        }
    }
}
