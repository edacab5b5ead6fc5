//! The stop, whatever its cause: preStop hooks, then every process as soon as its dependents are gone, then orphans, then
//! postStop hooks, then the end. At T_kill everything still there gets KILL, from whatever step the stop is at.

use std::time::Duration;

use super::context::Timer;
use super::hooks::Which;
use super::{Stage, System};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::id::ProcessId;
use crate::domain::plan::{Mode, Plan};
use crate::domain::process::machine::{Limits, Machine};
use crate::domain::process::phase::PhaseKind;
use crate::domain::shutdown::deadline::{Deadlines, NO_ORDER};
use crate::domain::shutdown::planner::{FULL_SCALE, Reserves, Stage as Planned};
use crate::domain::signal::Signal;
use crate::domain::time::{Mono, Now};

/// What is killed at T_kill is given so long to vanish, or half the time until we must be done.
const VANISH: Duration = Duration::from_millis(500);
/// From TERM to KILL for orphans.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// Why the set stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked; in words.
    Requested(String),
    /// Nothing can run again.
    Done,
    /// A process with `ExitSet` ended; in words.
    ExitSet(String),
    /// An init process or a start hook failed; in words.
    StartFailed(String),
}

impl Cause {
    /// Why; `None` when nothing is left to be stopped.
    fn in_words(&self) -> Option<&str> {
        match self {
            Cause::Requested(why) | Cause::ExitSet(why) | Cause::StartFailed(why) => Some(why),
            Cause::Done => None,
        }
    }
}

/// A stop that is under way.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) cause: Cause,
    pub(super) deadlines: Deadlines,
    step: Step,
    plan: StagePlan,
    /// No drain, no hooks, no order: the grace period is too short.
    at_once: bool,
    /// The stop signal was forwarded to the one process of `--` mode.
    forwarded: bool,
    killed: bool,
    armed: Mono,
}

/// Where a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    PreStopHooks,
    Processes,
    Orphans { kill_at: Mono, killed: bool },
    PostStopHooks,
    Remains,
}

/// The stages of the budget and where each process's are.
#[derive(Debug)]
struct StagePlan {
    reserves: Reserves,
    /// First stage of a process: its preStop hook; the next one is its stop.
    first: Vec<usize>,
}

impl System {
    /// A signal came to podinit itself.
    pub(super) fn signalled(&mut self, signal: Signal, now: Now) {
        if self.is_command() {
            return self.forward(signal, now);
        }
        match signal {
            Signal::TERM | Signal::INT | Signal::QUIT | Signal::RTMIN_3 => {
                self.stop_requested(signal, now);
            }
            Signal::HUP => self.ignored(signal, "reload is not supported yet"),
            _ => self.ignored(signal, "it has no meaning for podinit"),
        }
    }

    fn ignored(&mut self, signal: Signal, why: &'static str) {
        self.shared
            .outbox
            .facts
            .push(Fact::SignalIgnored { signal, why });
    }

    fn stop_requested(&mut self, signal: Signal, now: Now) {
        if self.stop.is_none() {
            self.interrupted = signal == Signal::INT;
            return self.begin_stop(Cause::Requested(signal.to_string()), now);
        }
        let hurry = self.config.terminal && signal == Signal::INT && self.interrupted;
        self.interrupted |= signal == Signal::INT;
        self.shared.outbox.facts.push(Fact::StopRepeated { signal });
        if hurry {
            self.hurry(now);
        }
    }

    /// `--` mode: every signal goes to the one process; TERM, and QUIT without a terminal, also start the deadline.
    fn forward(&mut self, signal: Signal, now: Now) {
        if let Some(run) = self.units.first().and_then(|unit| unit.machine.live_run()) {
            self.shared.outbox.effects.push(Effect::Signal {
                run,
                signal,
                target: crate::domain::plan::SignalTarget::Leader,
            });
        }
        let stops = match signal {
            Signal::TERM | Signal::RTMIN_3 => true,
            Signal::QUIT => !self.config.terminal,
            _ => false,
        };
        if stops && self.stop.is_none() {
            self.begin_stop(Cause::Requested(signal.to_string()), now);
        }
    }

    fn hurry(&mut self, now: Now) {
        let Some(stop) = &mut self.stop else { return };
        if stop.killed {
            return;
        }
        stop.deadlines.t_kill = stop.deadlines.t_kill.min(now.mono);
        self.shared.outbox.facts.push(Fact::Hurried);
        self.kill_everything(now);
    }

    /// Begins the stop, or notes a further cause of one that is under way.
    pub(super) fn begin_stop(&mut self, cause: Cause, now: Now) {
        if self.stop.is_some() || self.stage == Stage::Over {
            return;
        }
        self.cut_set_hook(now);
        let loading = self.stage == Stage::Loading;
        self.stage = Stage::Stopping;
        let plan = self.plan.clone();
        let post_stop: Duration = plan
            .iter()
            .flat_map(|plan| &plan.hooks.post_stop)
            .map(|hook| hook.timeout)
            .sum();
        let (grace, tail) = plan
            .as_ref()
            .map_or((Duration::from_secs(1), Duration::ZERO), |plan| {
                (plan.shutdown.grace, plan.shutdown.tail)
            });
        let deadlines = Deadlines::new(now.mono, grace, tail, post_stop);
        let at_once = grace <= NO_ORDER;
        let stages = match &plan {
            Some(plan) => self.stages(plan, deadlines.budget(), at_once),
            None => StagePlan {
                reserves: Reserves::plan(&[], Duration::ZERO),
                first: Vec::new(),
            },
        };
        if let (Some(plan), Some(why)) = (&plan, cause.in_words()) {
            self.shared.outbox.facts.push(Fact::StopRequested {
                why: why.to_owned(),
                grace,
                source: plan.shutdown.source,
                budget: deadlines.budget(),
                shrunk: stages.reserves.scale < FULL_SCALE,
            });
        }
        let forwarded = self.is_command() && matches!(cause, Cause::Requested(_));
        self.stop = Some(Stop {
            cause,
            deadlines,
            step: Step::PreStopHooks,
            plan: stages,
            at_once,
            forwarded,
            killed: false,
            armed: Mono::NEVER,
        });
        self.arm_stop(deadlines.t_kill);
        if !loading {
            self.stop_begins(now);
        }
    }

    /// Nothing starts any more; what runs waits for its turn.
    fn stop_begins(&mut self, now: Now) {
        let anything = !self.board.total().all_gone();
        for at in 0..self.units.len() as u32 {
            let limits = self.limits(self.units[at as usize].id.process);
            self.with_unit(at, now, |machine, me, cx| {
                machine.stop_begins(limits, me, cx);
            });
        }
        let hooks = self.stop.as_ref().is_some_and(|stop| !stop.at_once);
        if hooks && anything {
            self.begin_set_hooks(Which::PreStop, now);
        }
    }

    pub(super) fn advance_stop(&mut self, now: Now) -> bool {
        let Some(stop) = &self.stop else { return false };
        if !stop.killed && now.mono >= stop.deadlines.t_kill && !self.board.total().all_over() {
            // G = 0, or a stop that began late: nobody waits for a timer.
            self.release_all(now);
            self.kill_everything(now);
            return true;
        }
        match stop.step {
            Step::PreStopHooks if self.set_hook.is_none() => {
                self.set_step(Step::Processes);
                self.release_all(now);
                true
            }
            Step::Processes if self.board.total().all_over() => {
                self.end_orphans(now);
                true
            }
            Step::PostStopHooks if self.set_hook.is_none() => {
                self.set_step(Step::Remains);
                true
            }
            Step::Remains if self.shared.remains() == 0 => {
                let outcome = self.outcome(now);
                self.leave(outcome, now);
                false
            }
            _ => false,
        }
    }

    /// Every process whose dependents are gone may stop.
    fn release_all(&mut self, now: Now) {
        let processes = self.plan.as_ref().map_or(0, |plan| plan.processes.len());
        for at in 0..processes {
            self.try_stop(ProcessId(at as u32), now);
        }
    }

    /// Stops a process if it is its turn.
    pub(super) fn try_stop(&mut self, process: ProcessId, now: Now) {
        let Some(stop) = &self.stop else { return };
        let hooks_first = stop.step == Step::PreStopHooks && self.set_hook.is_some();
        let in_turn = stop.at_once || stop.killed || self.board.dependents_gone(process);
        if hooks_first || !in_turn {
            return;
        }
        if !self.board.begin_stop(process) {
            return;
        }
        let limits = self.limits(process);
        for unit in self.units_of(process) {
            self.with_unit(unit, now, |machine, me, cx| machine.stop(limits, me, cx));
        }
    }

    fn limits(&self, process: ProcessId) -> Limits {
        let Some(stop) = &self.stop else {
            return Limits {
                hook_latest: Mono::NEVER,
                stop_latest: Mono::NEVER,
                t_kill: Mono::NEVER,
                hooks: true,
                signalled: false,
            };
        };
        let t_kill = stop.deadlines.t_kill;
        let (hook_latest, stop_latest) = match stop.plan.first.get(process.index()) {
            Some(first) if !stop.at_once => (
                stop.plan.reserves.latest(*first, t_kill),
                stop.plan.reserves.latest(first + 1, t_kill),
            ),
            _ => (t_kill, t_kill),
        };
        Limits {
            hook_latest,
            stop_latest,
            t_kill,
            hooks: !stop.at_once,
            signalled: stop.forwarded,
        }
    }

    /// When a hook of the set is cut, besides its own timeout.
    pub(super) fn set_hook_latest(&self, which: Which, at: usize, now: Now) -> Mono {
        match (&self.stop, which) {
            (Some(stop), Which::PreStop) => stop
                .plan
                .reserves
                .latest(at, stop.deadlines.t_kill)
                .max(now.mono),
            (Some(stop), Which::PostStop) => stop.deadlines.finish_by.max(now.mono),
            _ => Mono::NEVER,
        }
    }

    /// The stages of the budget: preStop hooks of the set, then for each process its preStop hook and its stop, a
    /// process after all that depend on it.
    fn stages(&self, plan: &Plan, budget: Duration, at_once: bool) -> StagePlan {
        let mut stages: Vec<Planned> = Vec::new();
        if plan.mode == Mode::Set && !at_once {
            for (at, hook) in plan.hooks.pre_stop.iter().enumerate() {
                stages.push(Planned {
                    limit: Some(hook.timeout),
                    after: at.checked_sub(1).into_iter().collect(),
                    gone: false,
                });
            }
        }
        let last_hook = stages.len().checked_sub(1);
        let mut first = vec![0; plan.processes.len()];
        for process in self.board.stop_order() {
            let rule = plan.process(process);
            let gone = self
                .units_of(process)
                .all(|unit| !self.is_stopping_work(unit));
            let mut after: Vec<usize> = last_hook.into_iter().collect();
            after.extend(
                self.board
                    .dependents(process)
                    .iter()
                    .map(|dependent| first[dependent.index()] + 1),
            );
            let hook = rule
                .instances
                .first()
                .and_then(|instance| instance.hooks.pre_stop.as_ref());
            first[process.index()] = stages.len();
            stages.push(Planned {
                limit: hook.map(|hook| hook.timeout),
                after,
                gone: gone || hook.is_none() || at_once,
            });
            let at = stages.len();
            stages.push(Planned {
                limit: rule.stop.grace,
                after: vec![at - 1],
                gone,
            });
        }
        StagePlan {
            reserves: Reserves::plan(&stages, budget),
            first,
        }
    }

    /// A stop has something to do about this instance.
    fn is_stopping_work(&self, unit: u32) -> bool {
        match self.units[unit as usize].machine.phase().kind() {
            PhaseKind::Waiting
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

    fn set_step(&mut self, step: Step) {
        if let Some(stop) = &mut self.stop {
            stop.step = step;
        }
    }

    fn arm_stop(&mut self, at: Mono) {
        if let Some(stop) = &mut self.stop {
            self.shared.rearm(Timer::Stop, stop.armed, at);
            stop.armed = at;
        }
    }

    /// All processes are gone: now the processes that nobody started by name.
    fn end_orphans(&mut self, now: Now) {
        let Some(stop) = &self.stop else { return };
        let killed = stop.killed || now.mono >= stop.deadlines.t_kill;
        let t_kill = stop.deadlines.t_kill;
        let kill_at = if killed {
            self.vanished_by(now)
        } else {
            (now.mono + ORPHAN_GRACE).min(t_kill)
        };
        self.set_step(Step::Orphans { kill_at, killed });
        self.shared.outbox.effects.push(Effect::EndOrphans {
            signal: if killed { Signal::KILL } else { Signal::TERM },
        });
        self.arm_stop(kill_at);
    }

    /// podinit has no children left.
    pub(super) fn childless(&mut self, now: Now) {
        let orphans = self
            .stop
            .as_ref()
            .is_some_and(|stop| matches!(stop.step, Step::Orphans { .. }));
        if orphans {
            self.begin_post_stop(now);
        }
    }

    fn begin_post_stop(&mut self, now: Now) {
        let Some(stop) = &self.stop else { return };
        let finish_by = stop.deadlines.finish_by;
        let hooks = !stop.at_once;
        self.set_step(Step::PostStopHooks);
        self.arm_stop(finish_by);
        if hooks {
            self.begin_set_hooks(Which::PostStop, now);
        }
    }

    /// The instant at which we stop waiting for what was killed.
    fn vanished_by(&self, now: Now) -> Mono {
        let finish_by = self
            .stop
            .as_ref()
            .map_or(now.mono, |stop| stop.deadlines.finish_by);
        now.mono + VANISH.min(finish_by.since(now.mono) / 2)
    }

    /// T_kill has come, or what was killed has not vanished, or everything must be done.
    pub(super) fn stop_tick(&mut self, now: Now) {
        let Some(stop) = &mut self.stop else { return };
        stop.armed = Mono::NEVER;
        match stop.step {
            Step::PreStopHooks | Step::Processes if !stop.killed => {
                self.release_all(now);
                self.kill_everything(now);
            }
            // Killed, and still not gone: stuck. We leave on time.
            Step::PreStopHooks | Step::Processes => {
                for at in 0..self.units.len() as u32 {
                    self.with_unit(at, now, Machine::leave_behind);
                }
                self.end_orphans(now);
            }
            Step::Orphans { killed: false, .. } => {
                let kill_at = self.vanished_by(now);
                self.set_step(Step::Orphans {
                    kill_at,
                    killed: true,
                });
                self.shared.kill_all_remains();
                self.shared.outbox.effects.push(Effect::EndOrphans {
                    signal: Signal::KILL,
                });
                self.arm_stop(kill_at);
            }
            Step::Orphans { killed: true, .. } => self.begin_post_stop(now),
            Step::PostStopHooks | Step::Remains => {
                // Nobody is left to send a KILL later: what is cut from now on gets it at once.
                self.shared.kill_all_remains();
                self.cut_set_hook(now);
                let outcome = self.outcome(now);
                self.leave(outcome, now);
            }
        }
    }

    fn kill_everything(&mut self, now: Now) {
        let vanished_by = self.vanished_by(now);
        if let Some(stop) = &mut self.stop {
            stop.killed = true;
            if stop.step == Step::PreStopHooks {
                stop.step = Step::Processes;
            }
        }
        self.cut_set_hook(now);
        for at in 0..self.units.len() as u32 {
            self.with_unit(at, now, Machine::kill);
        }
        self.shared.kill_all_remains();
        self.arm_stop(vanished_by);
    }
}
