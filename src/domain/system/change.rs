//! A change of the spec while the set runs: the newer plan takes the place of the one in force, what changes in place is
//! changed, and what needs another run is replaced by and by ([`roll`]).
//!
//! Nothing here is a list of steps to go through: each instance knows whether its run is of what is now written, and
//! whatever happens next (a crash, another change, a stop) finds that out anew.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::board::{Board, Summary};
use super::context::Timer;
use super::{Stage, System, Unit};
use crate::domain::effect::Effect;
use crate::domain::event::Refusal;
use crate::domain::fact::Fact;
use crate::domain::id::{InstanceId, Label, ProcessId};
use crate::domain::plan::diff::Diff;
use crate::domain::plan::merge::merge;
use crate::domain::plan::{Instance, Kind, ObjectVersion, Plan, Process, RestartPolicy};
use crate::domain::process::machine::Machine;
use crate::domain::process::phase::PhaseKind;
use crate::domain::snapshot::SpecView;
use crate::domain::time::{Mono, Now};

mod roll;
mod trial;

use trial::Trial;

/// So long a pod has to be ready before a spec is a good one: what ends at once is no proof.
const PROOF: Duration = Duration::from_secs(1);

/// What is known about newer specs.
#[derive(Debug)]
pub(super) struct Changes {
    /// The spec in force as it is written: the plan without what is on its way out.
    pub(super) written: Option<Arc<Plan>>,
    /// The last one under which the pod was ready.
    pub(super) good: Option<Arc<Plan>>,
    /// A newer one that waits: until the start is over, or for its turn in the fleet.
    pending: Option<Arc<Plan>>,
    /// The last version whose turn came while the start was not over.
    admitted: Option<ObjectVersion>,
    /// The last one that was refused or taken back.
    refused: Option<Arc<Refusal>>,
    /// The pending one was refused before: the pods of the set may have had their turns without this one.
    late: bool,
    /// A change that is being carried out.
    work: Option<Work>,
    /// The processes that the last change, or all changes since the last good spec, added or restarted; sorted.
    touched: Vec<Arc<str>>,
    /// And those whose probes they changed.
    probed: Vec<Arc<str>>,
    /// The pod was ready under the spec in force, for [`PROOF`].
    pub(super) is_proven: bool,
    /// It is ready, and will have been for so long then.
    proven_at: Mono,
    /// The spec in force, or one before it, has to prove itself: the pod goes back if it is not ready in time.
    on_trial: Option<Trial>,
    /// The pod was ready until a spec that it went back from, and has not proved its last good one again yet.
    fell: bool,
    armed: Mono,
}

/// A change that is being carried out.
#[derive(Debug)]
struct Work {
    began: Mono,
    /// From then on Serving instances may be stopped; set once one has to be. The pod is not ready meanwhile.
    drained_at: Option<Mono>,
    /// What was on its way out has left.
    tidied: bool,
}

impl Default for Changes {
    fn default() -> Self {
        Changes {
            written: None,
            good: None,
            pending: None,
            admitted: None,
            refused: None,
            late: false,
            work: None,
            touched: Vec::new(),
            probed: Vec::new(),
            is_proven: false,
            proven_at: Mono::NEVER,
            on_trial: None,
            fell: false,
            armed: Mono::NEVER,
        }
    }
}

impl Changes {
    /// Known before the plan that the set starts with.
    pub(super) fn last_good(&mut self, plan: Arc<Plan>) {
        self.good = Some(plan);
    }

    /// The plan that the set starts with.
    pub(super) fn begin(&mut self, plan: &Arc<Plan>, now: Now) {
        self.written = Some(Arc::clone(plan));
        match &self.good {
            Some(good) => {
                let diff = Diff::between(good, plan);
                (self.touched, self.probed) = to_see(&diff);
                // Where it is the same for the processes there is nothing to prove.
                self.on_trial = diff.is_risky().then(|| Trial::begin(now, false));
            }
            None => self.good = Some(Arc::clone(plan)),
        }
    }

    /// The pod is kept unready: Serving instances are replaced.
    pub(super) fn holds_back(&self) -> bool {
        (self.work.as_ref()).is_some_and(|work| work.drained_at.is_some())
    }
}

impl System {
    /// There is a newer spec.
    pub(super) fn change(&mut self, plan: Arc<Plan>, now: Now) {
        match self.stage {
            Stage::Sidecars | Stage::PreStart | Stage::Init => {
                self.wait_with(plan, "the start is not over yet");
            }
            Stage::Main => self.consider(plan, now),
            Stage::Loading | Stage::Stopping | Stage::Over => self.shared.late += 1,
        }
    }

    /// The start is over: what came meanwhile has its turn.
    pub(super) fn take_pending(&mut self, now: Now) {
        // However long the start took: no process has had its time yet.
        self.begin_trial_anew(now);
        if let Some(plan) = self.changes.pending.take() {
            self.consider(plan, now);
        }
    }

    fn wait_with(&mut self, plan: Arc<Plan>, why: &'static str) {
        let origin = plan.origin.clone();
        let fact = Fact::ChangeWaits { origin, why };
        self.shared.outbox.facts.push(fact);
        self.changes.pending = Some(plan);
        self.view.mark_all();
    }

    /// Takes a newer spec, or lets it wait for its turn in the fleet.
    fn consider(&mut self, plan: Arc<Plan>, now: Now) {
        let Some(written) = self.changes.written.clone() else {
            return;
        };
        let object = &plan.origin.object;
        let refused = self.changes.refused.as_ref();
        let went_back = refused.filter(|refused| Refusal::WENT_BACK.contains(&refused.reason));
        if object.is_some() && went_back.is_some_and(|refused| &refused.origin.object == object) {
            // It was taken back, and is told again.
            self.shared.late += 1;
            return;
        }
        let pending = self.changes.pending.take();
        let known = pending.is_some_and(|pending| &pending.origin.object == object);
        let was_refused = refused.is_some_and(|refused| &refused.origin.object == object);
        self.changes.late = object.is_some() && (was_refused || self.changes.late && known);
        self.changes.refused = None;
        let diff = Diff::between(&written, &plan);
        // Another content of files that the version in force names is no other version: nobody gives turns for it.
        let waits = object.is_some() && object != &written.origin.object && diff.is_risky();
        if waits && object == &self.changes.admitted {
            self.take_turn(plan, &diff, now);
        } else if waits {
            self.wait_with(plan, "its turn among the pods of the set has not come");
        } else {
            self.apply(plan, &diff, now);
        }
    }

    /// The turn of this pod has come.
    pub(super) fn admitted(&mut self, object: &ObjectVersion, now: Now) {
        let waits = self.changes.pending.as_ref();
        let it = waits.is_some_and(|plan| plan.origin.object.as_ref() == Some(object));
        let written = self.changes.written.clone();
        let (true, Some(written)) = (it, written) else {
            self.shared.late += 1;
            return;
        };
        match self.stage {
            // It is told once.
            Stage::Sidecars | Stage::PreStart | Stage::Init => {
                self.changes.admitted = Some(object.clone());
            }
            Stage::Main => {
                if let Some(plan) = self.changes.pending.take() {
                    let diff = Diff::between(&written, &plan);
                    self.take_turn(plan, &diff, now);
                }
            }
            Stage::Loading | Stage::Stopping | Stage::Over => self.shared.late += 1,
        }
    }

    fn take_turn(&mut self, plan: Arc<Plan>, diff: &Diff, now: Now) {
        let before = self.changes.on_trial.is_some_and(|trial| trial.was_ready);
        let was_ready = before || self.changes.fell || self.pod_is_ready();
        self.changes.on_trial = Some(Trial::begin(now, was_ready));
        self.apply(plan, diff, now);
    }

    /// A newer spec cannot be had: nothing changes.
    pub(super) fn change_refused(&mut self, refusal: Refusal) {
        let fact = Fact::ChangeRefused(refusal.clone());
        self.shared.outbox.facts.push(fact);
        let went_back = |one: &Arc<Refusal>| {
            Refusal::WENT_BACK.contains(&one.reason) && one.origin.object == refusal.origin.object
        };
        // That it was taken back says more than that it cannot be read now.
        if !self.changes.refused.as_ref().is_some_and(went_back) {
            self.changes.refused = Some(Arc::new(refusal));
        }
        self.changes.pending = None;
        self.view.mark_all();
    }

    fn apply(&mut self, plan: Arc<Plan>, diff: &Diff, now: Now) {
        let Some(current) = self.plan.clone() else {
            return;
        };
        self.shared.outbox.facts.push(Fact::ChangeApplied {
            origin: plan.origin.clone(),
            what: diff.to_string(),
            stops_runs: diff.stops_runs(),
        });
        if let (None, Some(socket)) = (&current.notify_socket, &plan.notify_socket) {
            let socket = Arc::clone(socket);
            let effect = Effect::ListenNotify { socket };
            self.shared.outbox.effects.push(effect);
        }
        (self.changes.touched, self.changes.probed) = to_see(diff);
        self.stay_on_trial(&plan);
        let news = self.install(&current, &plan);
        self.rebase_trial();
        let drained_at = self.changes.work.take().and_then(|work| work.drained_at);
        self.changes.work = Some(Work {
            began: now.mono,
            drained_at,
            tidied: false,
        });
        if plan.origin.object.is_none() {
            self.changes.good = Some(Arc::clone(&plan));
            self.changes.on_trial = None;
        }
        self.changes.written = Some(plan);
        self.changes.is_proven = false;
        self.changes.proven_at = Mono::NEVER;
        self.follow(&current, diff, &news, now);
        self.forgive();
        self.arm_change(now);
    }

    /// What was mended, or is not wanted any more, has not failed for the end of the set.
    fn forgive(&mut self) {
        let Some(plan) = &self.plan else {
            return;
        };
        let failed = self.units.iter().filter(|unit| unit.summary.failed);
        let failed: HashSet<&Label> = failed.map(|unit| &*plan.instance(unit.id).label).collect();
        self.verdict.keep_failures(|label| failed.contains(label));
    }

    /// Puts a plan in the place of `current` and moves every instance to its place there. Says for each one where it was.
    fn install(&mut self, current: &Arc<Plan>, plan: &Plan) -> Vec<Option<Before>> {
        let stays = |process: ProcessId| {
            let mut at = self.board.units(process).rev();
            at.find(|at| !self.units[*at as usize].machine.is_resting())
                .map_or(0, |at| self.units[at as usize].id.index + 1)
        };
        let merged = Arc::new(merge(current, plan, stays));
        let mut known: BTreeMap<(Arc<str>, bool, u32), (u32, Unit)> = BTreeMap::new();
        for (at, unit) in std::mem::take(&mut self.units).into_iter().enumerate() {
            let process = current.process(unit.id.process);
            known.insert(key(process, unit.id.index), (at as u32, unit));
        }
        let opened = self.opened(current);
        self.board = Board::new(&merged);
        let mut places = BTreeMap::new();
        let mut news = Vec::new();
        for (at, process) in merged.processes.iter().enumerate() {
            let id = ProcessId(at as u32);
            if opened.contains(&(Arc::clone(&process.name), process.kind == Kind::Service)) {
                self.board.open(id);
            }
            for (index, instance) in (0..).zip(&process.instances) {
                let id = InstanceId { process: id, index };
                let wanted = index < process.desired;
                let (unit, before) = if let Some((place, unit)) = known.remove(&key(process, index))
                {
                    places.insert(place, self.units.len() as u32);
                    let (unit, before) = moved(unit, id, (current, instance, wanted));
                    (unit, Some(before))
                } else {
                    (Unit::new(id, wanted), None)
                };
                news.push(before);
                self.board
                    .update(id.process, Summary::default(), unit.summary);
                self.units.push(unit);
            }
        }
        self.shared.move_units(|at| places.get(&at).copied());
        self.work.clear();
        self.work
            .extend((0..merged.processes.len() as u32).map(ProcessId));
        self.plan = Some(merged);
        self.view.rebuild();
        news
    }

    /// The processes of the plan that may start, by name and whether they are no init processes.
    fn opened(&self, plan: &Plan) -> Vec<(Arc<str>, bool)> {
        let all = plan.processes.iter().enumerate();
        all.filter(|(at, _)| self.board.is_open(ProcessId(*at as u32)))
            .map(|(_, process)| (Arc::clone(&process.name), process.kind == Kind::Service))
            .collect()
    }

    /// Whatever needs no turn: changes in place, what is new, what had ended and is written otherwise now.
    fn follow(&mut self, current: &Plan, diff: &Diff, news: &[Option<Before>], now: Now) {
        let Some(plan) = self.plan.clone() else {
            return;
        };
        let differs = |process: &Process| {
            let known = diff.processes.iter();
            known.into_iter().any(|one| one.name == process.name)
        };
        for (at, before) in news.iter().enumerate() {
            let id = self.units[at].id;
            let process = plan.process(id.process);
            if process.kind != Kind::Service || id.index >= process.desired {
                continue;
            }
            match before {
                Some(before) => {
                    let log = current.process(before.id.process).log != process.log;
                    self.follow_known(at as u32, before, (log, differs(process)), now);
                }
                None => self.follow_new(at as u32, now),
            }
        }
        for process in self.each(|kind| kind == Kind::Service).collect::<Vec<_>>() {
            self.try_start(process, now);
        }
    }

    fn follow_known(&mut self, at: u32, before: &Before, (log, differs): (bool, bool), now: Now) {
        let unit = &self.units[at as usize];
        let always = self.plan.as_ref().is_some_and(|plan| {
            plan.process(unit.id.process).restart.policy == RestartPolicy::Always
        });
        let kind = unit.machine.phase().kind();
        let opened = self.board.is_open(unit.id.process);
        if unit.machine.never_met() || (unit.machine.is_retired() && !opened) {
            // It could not start because of another one, which may be mended now.
            return self.begin_anew(at, now);
        }
        if unit.machine.is_retired() {
            return self.with_unit(at, now, Machine::recall);
        }
        let again = match kind {
            PhaseKind::Failed => differs,
            PhaseKind::Completed => before.outdated || always,
            PhaseKind::Backoff => before.outdated,
            _ => false,
        };
        if again {
            return self.with_unit(at, now, Machine::replace);
        }
        if self.units[at as usize].old.is_none() {
            self.with_unit(at, now, |machine, me, cx| {
                let rule = me.process.log.as_ref().filter(|_| log);
                machine.adapt(rule, me, cx);
            });
        }
    }

    fn begin_anew(&mut self, at: u32, now: Now) {
        let process = self.units[at as usize].id.process;
        self.board.close(process);
        self.with_unit(at, now, |machine, _, cx| {
            *machine = Machine::new();
            machine.expect_start(cx);
        });
    }

    fn follow_new(&mut self, at: u32, now: Now) {
        if self.board.is_open(self.units[at as usize].id.process) {
            self.with_unit(at, now, Machine::start);
        } else {
            self.with_unit(at, now, |machine, _, cx| machine.expect_start(cx));
        }
    }

    /// What is on its way out has left: the plan is as it is written.
    fn tidy(&mut self) {
        if let (Some(current), Some(written)) = (self.plan.clone(), self.changes.written.clone()) {
            self.install(&current, &written);
        }
    }

    fn arm_change(&mut self, now: Now) {
        let changes = &self.changes;
        let later = |at: Mono| if at > now.mono { at } else { Mono::NEVER };
        let drained = changes.work.as_ref().and_then(|work| work.drained_at);
        // A pod that is proving itself is not taken back.
        let limit = match changes.proven_at {
            Mono::NEVER => self.progress_until(),
            proven_at => later(proven_at),
        };
        // A stop takes its own course.
        let next = if self.stage == Stage::Main {
            limit.min(later(drained.unwrap_or(Mono::NEVER)))
        } else {
            Mono::NEVER
        };
        self.shared.rearm(Timer::Change, changes.armed, next);
        self.changes.armed = next;
    }

    pub(super) fn spec_view(&self) -> SpecView {
        let changes = &self.changes;
        let waits = changes.pending.as_ref();
        changes
            .written
            .as_ref()
            .map_or_else(SpecView::default, |plan| SpecView {
                origin: plan.origin.clone(),
                rollout: plan.rollout,
                waits: waits.and_then(|plan| plan.origin.object.clone()),
                late: changes.late && waits.is_some(),
                refused: changes.refused.clone(),
                changing: changes.work.is_some(),
                good: changes.is_proven,
            })
    }
}

/// The processes that a change adds or restarts, and those whose probes it changes; both sorted.
fn to_see(diff: &Diff) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
    let mut started: Vec<Arc<str>> = diff.started().cloned().collect();
    let mut probed: Vec<Arc<str>> = diff.probed().cloned().collect();
    started.sort_unstable();
    probed.sort_unstable();
    (started, probed)
}

/// Where an instance was before the change.
#[derive(Debug, Clone, Copy)]
struct Before {
    id: InstanceId,
    /// What ran, or ran last, is of another launch than what is now written.
    outdated: bool,
}

fn key(process: &Process, index: u32) -> (Arc<str>, bool, u32) {
    let service = process.kind == Kind::Service;
    (Arc::clone(&process.name), service, index)
}

/// An instance in its new place. Its run stays what it was begun as.
fn moved(
    mut unit: Unit,
    id: InstanceId,
    (current, instance, wanted): (&Arc<Plan>, &Instance, bool),
) -> (Unit, Before) {
    let begun_as = (unit.old.take()).unwrap_or_else(|| (Arc::clone(current), unit.id));
    let outdated = begun_as.0.instance(begun_as.1).launch != instance.launch;
    let before = Before {
        id: unit.id,
        outdated,
    };
    if outdated && !unit.machine.is_resting() {
        unit.old = Some(begun_as);
    }
    unit.id = id;
    unit.summary = Summary::of(&unit.machine, wanted);
    (unit, before)
}
