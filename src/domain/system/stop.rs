//! The stop, whatever its cause: preStop hooks, then every process as soon as its dependents are gone, then orphans, then
//! postStop hooks, then sidecars that have to be told, then the end. At T_kill everything still there gets KILL, from
//! whatever step the stop is at.

use std::fmt;
use std::time::Duration;

use self::log::{Frame, StopLog};
use self::order::{Drain, StagePlan, post_stop};
use super::context::Timer;
use super::hooks::Which;
use super::{Outcome, Stage, System};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::plan::{GraceSource, Mode, Plan, SignalTarget};
use crate::domain::shutdown::deadline::{Deadlines, NO_ORDER};
use crate::domain::shutdown::report::{DrainReport, HookReport, StopReport};
use crate::domain::signal::Signal;
use crate::domain::time::{Mono, Now};

mod end;
mod log;
mod order;

/// The file that is there from t0 on.
const DRAINING: &str = "draining";

/// Why the set stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked; in words.
    Requested(String),
    /// Nothing can run again.
    Done,
    /// A process with `ExitSet` ended; in words.
    ExitSet(String),
    /// A sidecar was not ready in time, an init process or a start hook failed; in words.
    StartFailed(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words().unwrap_or("all processes completed"))
    }
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
    drain: Drain,
    /// The set's preStop hooks have been begun.
    hooks_begun: bool,
    /// No drain, no hooks, no order: the grace period is too short.
    at_once: bool,
    /// The stop signal was forwarded to the one process of `--` mode.
    forwarded: bool,
    killed: bool,
    armed: Mono,
    /// As it was at t0.
    grace: (Duration, GraceSource),
    shortened: bool,
    claims_cut: bool,
    pub(super) log: StopLog,
}

impl Stop {
    /// Until when sidecars have time to quit, if they may have it until `wanted`. Nobody but us has set a limit to an end
    /// that was not asked for, unless the pod's own has become known.
    pub(super) fn quits_until(&self, wanted: Mono) -> Mono {
        if self.shortened {
            wanted.min(self.deadlines.end)
        } else {
            wanted
        }
    }

    /// A hook of the set has ended.
    pub(super) fn note_hook(&mut self, hook: HookReport) {
        self.log.hooks.push(hook);
    }
}

/// Where a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    PreStopHooks,
    Processes,
    Orphans { kill_at: Mono, killed: bool },
    PostStopHooks,
    Remains,
    Quits,
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
            Signal::HUP => self.shared.outbox.effects.push(Effect::Reload),
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
                target: SignalTarget::Leader,
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

    /// A stop was asked for otherwise than by a signal.
    pub(super) fn stop_asked(&mut self, by: &str, now: Now) {
        if self.stop.is_none() {
            self.begin_stop(Cause::Requested(by.to_owned()), now);
        }
    }

    /// Begins the stop, unless one is under way.
    pub(super) fn begin_stop(&mut self, cause: Cause, now: Now) {
        if self.stop.is_some() || self.stage == Stage::Over {
            return;
        }
        self.cut_set_hook(now);
        if matches!(cause, Cause::Done | Cause::ExitSet(_)) && self.verdict.is_success() {
            // A set that has done its work has proved its spec, however fast.
            self.changes.is_proven |= self.stage == Stage::Main;
        }
        self.stage = Stage::Stopping;
        self.shared.outbox.effects.push(Effect::Unfollow);
        self.cut_sidecars(now);
        self.view.mark_all();
        let plan = self.plan.clone();
        let forwarded = self.is_command() && matches!(cause, Cause::Requested(_));
        self.stop = Some(self.new_stop(cause, plan.as_deref(), forwarded, now));
        let Some(plan) = plan else {
            return self.arm_deadline();
        };
        let t_kill = (self.stop.as_ref()).map_or(now.mono, |stop| stop.deadlines.t_kill);
        let stages = self.stages(&plan, t_kill, now);
        if let Some(stop) = &mut self.stop {
            stop.claims_cut = stages.claims_cut;
            stop.plan = stages;
            if let Some(why) = stop.cause.in_words() {
                self.shared.outbox.facts.push(Fact::StopRequested {
                    why: why.to_owned(),
                    grace: plan.shutdown.grace,
                    source: plan.shutdown.source,
                    budget: stop.deadlines.budget(),
                    shrunk: stop.claims_cut,
                    drain: plan.shutdown.drain,
                });
            }
        }
        self.arm_deadline();
        self.stop_begins(&plan, now);
    }

    fn new_stop(&self, cause: Cause, plan: Option<&Plan>, forwarded: bool, now: Now) -> Stop {
        let (grace, source, tail) = plan.map_or(
            (Duration::from_secs(1), GraceSource::Default, Duration::ZERO),
            |Plan { shutdown, .. }| (shutdown.grace, shutdown.source, shutdown.tail),
        );
        let at_once = grace <= NO_ORDER;
        let drain = plan.filter(|plan| !at_once && self.anybody_serves(plan));
        Stop {
            cause,
            deadlines: Deadlines::new(
                now.mono,
                grace,
                tail,
                plan.map_or(Duration::ZERO, post_stop),
            ),
            step: Step::PreStopHooks,
            plan: StagePlan::default(),
            drain: drain.map_or(Drain::NONE, |plan| Drain::of(plan.shutdown.drain)),
            hooks_begun: false,
            at_once,
            forwarded,
            killed: false,
            armed: Mono::NEVER,
            grace: (grace, source),
            shortened: false,
            claims_cut: false,
            log: StopLog::new(now.mono, plan, &self.units),
        }
    }

    fn arm_deadline(&mut self) {
        if let Some(stop) = &self.stop {
            self.arm_stop(stop.deadlines.t_kill);
        }
    }

    /// Nothing starts any more; what runs waits for its turn.
    fn stop_begins(&mut self, plan: &Plan, now: Now) {
        let anything = !self.board.total().all_gone();
        if plan.mode == Mode::Set && anything {
            let name = DRAINING.to_owned();
            let content = String::new();
            self.shared
                .outbox
                .effects
                .push(Effect::WriteState { name, content });
        }
        for at in 0..self.units.len() as u32 {
            let limits = self.limits(self.units[at as usize].id.process);
            self.with_unit(at, now, |machine, me, cx| {
                machine.stop_begins(limits, me, cx);
            });
        }
        self.set_drain(now);
        let hooks = self.stop.as_ref().is_some_and(|stop| !stop.at_once);
        if hooks && anything {
            self.begin_set_hooks(Which::PreStop, now);
        }
        if let Some(stop) = &mut self.stop {
            stop.hooks_begun = true;
        }
        self.tell_deadlines(now);
    }

    /// What became of the stop; `None` where there was none to speak of.
    pub(super) fn stop_report(&self, outcome: &Outcome, now: Now) -> Option<StopReport> {
        let stop = self.stop.as_ref().filter(|_| !self.is_command())?;
        if !stop.log.is_worth_telling() {
            return None;
        }
        let why = stop.cause.in_words()?.to_owned();
        let since_t0 = |at: Mono| at.since(stop.deadlines.t0);
        let drain = (!stop.drain.planned.is_zero()).then(|| DrainReport {
            planned: stop.drain.planned,
            took: since_t0(stop.drain.until.min(now.mono)),
            cut: stop.drain.until < stop.deadlines.t0 + stop.drain.planned,
        });
        Some(stop.log.report(Frame {
            why,
            code: outcome.code,
            grace: stop.grace.0,
            source: stop.grace.1,
            budget: stop.deadlines.budget(),
            shortened: stop.shortened,
            claims_cut: stop.claims_cut,
            used: since_t0(now.mono),
            drain,
        }))
    }

    pub(super) fn advance_stop(&mut self, now: Now) -> bool {
        let Some(stop) = &self.stop else { return false };
        if !stop.killed && now.mono >= stop.deadlines.t_kill && !self.board.total().all_over() {
            // G = 0, or a stop that began late: nobody waits for a timer.
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
                self.finish(now);
                false
            }
            Step::Quits if self.sidecars.have_quit() => {
                self.finish(now);
                false
            }
            _ => false,
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
}
