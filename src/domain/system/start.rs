//! The start: sidecars, preStart hooks, init processes, processes as soon as their own conditions hold, postStart hooks.

use std::fmt::Write as _;
use std::sync::Arc;

use super::board::{Board, Met, Summary};
use super::hooks::Which;
use super::stop::Cause;
use super::{Stage, System, Unit, is_init};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::id::{InstanceId, ProcessId};
use crate::domain::plan::{Condition, Kind, OnFailure, OnSuccess, Plan};
use crate::domain::process::phase::PhaseKind;
use crate::domain::time::Now;

impl System {
    /// The plan is there: begin.
    pub(super) fn adopt(&mut self, plan: &Arc<Plan>, now: Now) {
        if self.stage != Stage::Loading {
            self.shared.late += 1;
            return;
        }
        self.shared.outbox.facts.push(Fact::PlanAccepted {
            name: Arc::clone(&plan.name),
            origin: plan.origin.clone(),
            processes: plan.processes.len(),
        });
        if let Some(socket) = &plan.notify_socket {
            let socket = Arc::clone(socket);
            self.shared
                .outbox
                .effects
                .push(Effect::ListenNotify { socket });
        }
        self.board = Board::new(plan);
        for (at, process) in plan.processes.iter().enumerate() {
            for index in 0..process.instances.len() as u32 {
                let id = InstanceId {
                    process: ProcessId(at as u32),
                    index,
                };
                let unit = Unit::new(id, index < process.desired);
                self.board
                    .update(id.process, Summary::default(), unit.summary);
                self.units.push(unit);
            }
        }
        self.changes.begin(plan, now);
        self.plan = Some(Arc::clone(plan));
        self.view.mark_all();
        self.stage = Stage::Sidecars;
        self.begin_sidecars(plan, now);
    }

    pub(super) fn advance_start(&mut self, now: Now) -> bool {
        match self.stage {
            Stage::Sidecars if self.sidecars.are_past() => {
                self.stage = Stage::PreStart;
                self.view.mark_all();
                self.begin_set_hooks(Which::PreStart, now);
                true
            }
            Stage::PreStart if self.set_hook.is_none() => {
                self.stage = Stage::Init;
                self.open(now, is_init);
                true
            }
            Stage::Init if self.all_over(is_init) => {
                self.stage = Stage::Main;
                self.view.mark_all();
                // What changed meanwhile is what begins.
                self.take_pending(now);
                self.open(now, |kind| kind == Kind::Service);
                true
            }
            Stage::Main => self.advance_main(now),
            _ => false,
        }
    }

    fn advance_main(&mut self, now: Now) -> bool {
        if !self.post_start_done && self.board.total().all_begun() {
            self.post_start_done = true;
            self.shared.outbox.facts.push(Fact::AllStarted {
                took: now.mono.since(self.began),
            });
            self.begin_set_hooks(Which::PostStart, now);
            return true;
        }
        if self.roll(now) {
            return true;
        }
        if self.set_hook.is_none() && self.board.total().all_over() {
            self.begin_stop(Cause::Done, now);
            return true;
        }
        false
    }

    fn all_over(&self, which: fn(Kind) -> bool) -> bool {
        self.each(which)
            .all(|process| self.board.count(process).all_over())
    }

    pub(super) fn each(
        &self,
        which: fn(Kind) -> bool,
    ) -> impl Iterator<Item = ProcessId> + use<'_> {
        let processes = self
            .plan
            .as_ref()
            .map_or(&[][..], |plan| &plan.processes[..]);
        processes
            .iter()
            .enumerate()
            .filter(move |(_, process)| which(process.kind))
            .map(|(at, _)| ProcessId(at as u32))
    }

    /// The turn of these processes has come: they start as soon as their conditions hold.
    fn open(&mut self, now: Now, which: fn(Kind) -> bool) {
        for process in self.each(which).collect::<Vec<_>>() {
            for unit in self.board.wanted(process) {
                self.with_unit(unit, now, |machine, _, cx| machine.expect_start(cx));
            }
            self.try_start(process, now);
        }
    }

    /// Starts a process if its conditions hold, fails it if they never will.
    pub(super) fn try_start(&mut self, process: ProcessId, now: Now) {
        let Some(plan) = self.plan.clone() else {
            return;
        };
        let rule = plan.process(process);
        let turn = match self.stage {
            Stage::Init => is_init(rule.kind),
            Stage::Main => true,
            Stage::Loading | Stage::Sidecars | Stage::PreStart | Stage::Stopping | Stage::Over => {
                false
            }
        };
        if !turn || self.board.is_open(process) {
            return;
        }
        let mut all_met = true;
        for dependency in &rule.depends_on {
            match self.board.met(dependency) {
                Met::Yes => {}
                Met::NotYet => all_met = false,
                Met::Never => {
                    self.board.open(process);
                    let why = format!("{} failed for good", plan.process(dependency.on).name);
                    for unit in self.board.wanted(process) {
                        let why = why.clone();
                        self.with_unit(unit, now, |machine, me, cx| {
                            machine.dependency_failed(why, me, cx);
                        });
                    }
                    return;
                }
            }
        }
        if all_met && self.board.open(process) {
            for unit in self.board.wanted(process) {
                self.with_unit(unit, now, super::super::process::machine::Machine::start);
            }
        }
    }

    /// An instance failed for good: what does that do to the set?
    pub(super) fn failed_for_good(&mut self, at: u32, now: Now) {
        let Some(plan) = self.plan.clone() else {
            return;
        };
        let unit = &self.units[at as usize];
        let process = plan.process(unit.id.process);
        let label = Arc::clone(&plan.instance(unit.id).label);
        let why = unit.machine.failure().unwrap_or("failed").to_owned();
        let reason = format!("{label} failed for good: {why}");
        let spawned = unit.machine.was_spawned();
        let unavailable = unit.machine.was_unavailable();
        let code = unit.machine.last().and_then(super::outcome::code_of);
        self.verdict
            .note_failure(&label, code, spawned, reason.clone());
        if matches!(self.stage, Stage::Stopping | Stage::Over) {
            // An init process that failed by itself while a stop waited for it did fail: 76, not 143.
            if is_init(process.kind) && process.on_failure == OnFailure::ExitSet {
                let reason = format!("init process {reason}");
                self.verdict.start_failed(reason, Some(label));
            }
            return;
        }
        match (process.kind, process.on_failure) {
            (_, OnFailure::Ignore | OnFailure::MarkUnready) => {}
            (Kind::Init { .. }, OnFailure::ExitSet) if unavailable => {
                self.verdict.unavailable(reason.clone());
                self.begin_stop(Cause::StartFailed(reason), now);
            }
            (Kind::Init { .. }, OnFailure::ExitSet) => {
                self.start_failed(format!("init process {reason}"), Some(label), now);
            }
            (Kind::Service, OnFailure::ExitSet) => {
                self.verdict.exit_set(label, code, spawned, reason.clone());
                self.begin_stop(Cause::ExitSet(reason), now);
            }
        }
    }

    /// All instances of a process have completed: what does that do to the set?
    pub(super) fn completed_for_good(&mut self, process: ProcessId, now: Now) {
        let Some(plan) = self.plan.clone() else {
            return;
        };
        let rule = plan.process(process);
        let count = self.board.count(process);
        if rule.on_success == OnSuccess::ExitSet
            && count.desired > 0
            && count.all_completed()
            && self.stage == Stage::Main
        {
            let label = Arc::clone(&rule.instances[0].label);
            let reason = format!("{} completed", rule.name);
            self.verdict.exit_on_success(label, reason.clone());
            self.begin_stop(Cause::ExitSet(reason), now);
        }
    }

    /// A start hook of the set, or an init process, failed: nothing more is started.
    pub(super) fn start_failed(
        &mut self,
        reason: String,
        about: Option<Arc<crate::domain::id::Label>>,
        now: Now,
    ) {
        self.verdict.start_failed(reason.clone(), about);
        self.begin_stop(Cause::StartFailed(reason), now);
    }

    /// Says whom an instance still waits for.
    pub(super) fn tell_waiting(&mut self, at: u32) {
        let (Some(plan), unit) = (&self.plan, &self.units[at as usize]) else {
            return;
        };
        if unit.machine.phase().kind() != PhaseKind::Waiting {
            return;
        }
        let on = unmet(plan, &self.board, unit.id.process);
        self.shared.outbox.facts.push(Fact::StillWaiting {
            label: Arc::clone(&plan.instance(unit.id).label),
            on,
        });
    }
}

fn unmet(plan: &Plan, board: &Board, process: ProcessId) -> String {
    let mut text = String::new();
    for dependency in &plan.process(process).depends_on {
        if board.met(dependency) != Met::Yes {
            let condition = match dependency.condition {
                Condition::Started => "Started",
                Condition::Ready => "Ready",
                Condition::Completed => "Completed",
                Condition::Exited => "Exited",
            };
            let name = &plan.process(dependency.on).name;
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{separator}{name} ({condition})");
        }
    }
    text
}
