//! The order of a stop: whose turn it is, how long each stage may last, and what changes when the deadline does.

use std::sync::Arc;
use std::time::Duration;

use super::{Step, System};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::id::ProcessId;
use crate::domain::plan::{Hook, Mode, Plan, Traffic};
use crate::domain::process::machine::Limits;
use crate::domain::process::phase::{Phase, PhaseKind};
use crate::domain::shutdown::planner::{FULL_SCALE, Reserves, Stage as Planned};
use crate::domain::system::context::Timer;
use crate::domain::system::hooks::Which;
use crate::domain::time::{Mono, Now};

/// The stages of the budget and where each process's are.
#[derive(Debug, Default)]
pub(super) struct StagePlan {
    /// The latest end of each.
    latest: Vec<Mono>,
    /// Claims had to shrink.
    pub(super) claims_cut: bool,
    /// The drain, after the set's preStop hooks.
    drain: usize,
    /// First stage of a process: its preStop hook; the next one is its stop.
    first: Vec<usize>,
}

/// The time in which Serving processes go on serving.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// As the spec says.
    pub(super) planned: Duration,
    /// It is over then.
    pub(super) until: Mono,
    /// It is over.
    pub(super) over: bool,
    armed: Mono,
}

impl StagePlan {
    fn latest(&self, stage: usize) -> Mono {
        self.latest.get(stage).copied().unwrap_or(Mono::NEVER)
    }

    /// Whoever was given an end keeps it, or gets an earlier one, even where others have left in the meantime.
    fn no_later_than(mut self, before: &StagePlan) -> StagePlan {
        for (at, latest) in self.latest.iter_mut().enumerate() {
            *latest = (*latest).min(before.latest(at));
        }
        self
    }
}

impl Drain {
    pub(super) const NONE: Drain = Drain {
        planned: Duration::ZERO,
        until: Mono::NEVER,
        over: true,
        armed: Mono::NEVER,
    };

    pub(super) fn of(planned: Duration) -> Drain {
        Drain {
            planned,
            over: planned.is_zero(),
            ..Drain::NONE
        }
    }
}

impl System {
    /// Every process whose turn it is may stop.
    pub(super) fn release_all(&mut self, now: Now) {
        let processes = self.plan.as_ref().map_or(0, |plan| plan.processes.len());
        for at in 0..processes {
            self.try_stop(ProcessId(at as u32), now);
        }
    }

    /// Stops a process if it is its turn: the set's hooks have ended, all that depend on it are gone, and, if it serves,
    /// the drain is over.
    pub(in crate::domain::system) fn try_stop(&mut self, process: ProcessId, now: Now) {
        let (Some(stop), Some(plan)) = (&self.stop, &self.plan) else {
            return;
        };
        let hooks_first = stop.step == Step::PreStopHooks && self.set_hook.is_some();
        let serves = plan.process(process).traffic == Traffic::Serving;
        let drained = stop.drain.over || !serves;
        let in_turn =
            stop.at_once || stop.killed || (drained && self.board.dependents_gone(process));
        if hooks_first || !in_turn || !self.board.begin_stop(process) {
            return;
        }
        let limits = self.limits(process);
        for unit in self.units_of(process) {
            self.with_unit(unit, now, |machine, me, cx| machine.stop(limits, me, cx));
        }
    }

    pub(super) fn limits(&self, process: ProcessId) -> Limits {
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
            Some(first) if !stop.at_once => (stop.plan.latest(*first), stop.plan.latest(first + 1)),
            _ => (t_kill, t_kill),
        };
        Limits {
            hook_latest,
            stop_latest,
            t_kill,
            hooks: !stop.at_once && !stop.killed,
            signalled: stop.forwarded,
        }
    }

    /// When a hook of the set is cut, besides its own timeout.
    pub(in crate::domain::system) fn set_hook_latest(
        &self,
        which: Which,
        at: usize,
        now: Now,
    ) -> Mono {
        match (&self.stop, which) {
            (Some(stop), Which::PreStop) => stop.plan.latest(at).max(now.mono),
            (Some(stop), Which::PostStop) => stop.deadlines.finish_by.max(now.mono),
            _ => Mono::NEVER,
        }
    }

    /// Starts the clock of the drain, or sets it to an earlier end.
    pub(super) fn set_drain(&mut self, now: Now) {
        let Some(stop) = &mut self.stop else { return };
        if stop.drain.over {
            return;
        }
        let latest = stop.plan.latest(stop.plan.drain);
        let until = (stop.deadlines.t0 + stop.drain.planned).min(latest);
        stop.drain.until = stop.drain.until.min(until).max(now.mono);
        self.shared
            .rearm(Timer::Drain, stop.drain.armed, stop.drain.until);
        stop.drain.armed = stop.drain.until;
    }

    /// Its time is over: Serving processes stop too.
    pub(in crate::domain::system) fn drain_tick(&mut self, now: Now) {
        let Some(stop) = &mut self.stop else { return };
        stop.drain.armed = Mono::NEVER;
        stop.drain.over = true;
        self.release_all(now);
    }

    /// The pod ends earlier than was known. Deadlines only shrink.
    pub(in crate::domain::system) fn shrink(&mut self, end: Mono, now: Now) {
        let (Some(plan), Some(stop)) = (self.plan.clone(), &self.stop) else {
            self.shared.late += 1;
            return;
        };
        if end >= stop.deadlines.end {
            return;
        }
        let mut deadlines = stop.deadlines;
        deadlines.shrink(end, plan.shutdown.tail, post_stop(&plan));
        let stages = self.stages(&plan, deadlines.t_kill, now);
        let Some(stop) = &mut self.stop else { return };
        stop.deadlines = deadlines;
        stop.plan = stages.no_later_than(&stop.plan);
        stop.shortened = true;
        stop.claims_cut |= stop.plan.claims_cut;
        self.shared.outbox.facts.push(Fact::DeadlineShortened {
            budget: deadlines.budget(),
            shrunk: stop.plan.claims_cut,
        });
        match stop.step {
            Step::PreStopHooks | Step::Processes if !stop.killed => {
                self.shrink_stages(now);
                self.arm_stop(deadlines.t_kill);
            }
            // Killed: what has not vanished by half of what is left is stuck.
            Step::PreStopHooks | Step::Processes | Step::Orphans { .. } => {
                self.shrink_end(now);
            }
            Step::PostStopHooks | Step::Remains => {
                self.hasten_set_hook(deadlines.finish_by.max(now.mono));
                self.arm_stop(deadlines.finish_by);
            }
        }
    }

    fn shrink_stages(&mut self, now: Now) {
        if let Some((which, at)) = self.set_hook_place() {
            let latest = self.set_hook_latest(which, at, now);
            self.hasten_set_hook(latest);
        }
        self.set_drain(now);
        for at in 0..self.units.len() as u32 {
            let limits = self.limits(self.units[at as usize].id.process);
            self.with_unit(at, now, |machine, me, cx| machine.shorten(limits, me, cx));
        }
        self.tell_deadlines(now);
    }

    /// The stages of the budget: preStop hooks of the set and the drain, then for each process its preStop hook and its
    /// stop, a process after all that depend on it. What runs already claims what is left of its claim.
    pub(super) fn stages(&self, plan: &Plan, t_kill: Mono, now: Now) -> StagePlan {
        let at_once = (self.stop.as_ref()).is_some_and(|stop| stop.at_once);
        let mut stages = self.hook_stages(plan, now);
        let last_hook = stages.len().checked_sub(1);
        let drain = stages.len();
        stages.push(self.drain_stage(now));
        let mut first = vec![0; plan.processes.len()];
        for process in self.board.stop_order() {
            let rule = plan.process(process);
            let mut after: Vec<usize> = last_hook.into_iter().collect();
            if rule.traffic == Traffic::Serving {
                after.push(drain);
            }
            let dependents = self.board.dependents(process);
            after.extend(dependents.iter().map(|one| first[one.index()] + 1));
            let [hook, stop] = self.stages_of(process, plan, now);
            first[process.index()] = stages.len();
            stages.push(Planned { after, ..hook });
            let before = stages.len() - 1;
            stages.push(Planned {
                after: vec![before],
                ..stop
            });
        }
        if at_once {
            // No order: nobody keeps anything free for anybody.
            for stage in &mut stages {
                stage.after.clear();
            }
        }
        let reserves = Reserves::plan(&stages, t_kill.since(now.mono));
        StagePlan {
            latest: (0..stages.len())
                .map(|stage| reserves.latest(stage, t_kill))
                .collect(),
            claims_cut: reserves.scale < FULL_SCALE,
            drain,
            first,
        }
    }

    fn hook_stages(&self, plan: &Plan, now: Now) -> Vec<Planned> {
        let running = match self.set_hook_place() {
            Some((Which::PreStop, at)) => Some(at),
            _ => None,
        };
        let begun = self.stop.as_ref().is_some_and(|stop| stop.hooks_begun);
        let hooks = plan.hooks.pre_stop.iter().enumerate();
        hooks
            .map(|(at, hook)| Planned {
                limit: Some(hook_claim(hook)),
                used: match running {
                    Some(running) if running == at => self.set_hook_age(now),
                    _ => Duration::ZERO,
                },
                after: at.checked_sub(1).into_iter().collect(),
                gone: begun && running.is_none_or(|running| at < running),
            })
            .collect()
    }

    fn drain_stage(&self, now: Now) -> Planned {
        let (drain, t0) = match &self.stop {
            Some(stop) => (stop.drain, stop.deadlines.t0),
            None => (Drain::NONE, now.mono),
        };
        Planned {
            limit: Some(drain.planned),
            used: now.mono.since(t0),
            after: Vec::new(),
            gone: drain.over,
        }
    }

    /// The preStop hook and the stop of a process: of the instance that has most of it before it.
    fn stages_of(&self, process: ProcessId, plan: &Plan, now: Now) -> [Planned; 2] {
        let rule = plan.process(process);
        let hook = rule.instances.first();
        let hook = hook.and_then(|instance| instance.hooks.pre_stop.as_ref());
        let planned = |limit: Option<Duration>| Planned {
            limit,
            used: Duration::MAX,
            after: Vec::new(),
            gone: true,
        };
        let mut hook_stage = planned(hook.map(hook_claim));
        let mut stop_stage = planned(rule.stop.grace);
        let claim = |stage: &mut Planned, used: Duration| {
            stage.gone = false;
            stage.used = stage.used.min(used);
        };
        for unit in self.units_of(process) {
            let machine = &self.units[unit as usize].machine;
            match machine.phase() {
                Phase::Spawning { .. } | Phase::Running { .. } => {
                    if hook.is_some() {
                        claim(&mut hook_stage, Duration::ZERO);
                    }
                    claim(&mut stop_stage, Duration::ZERO);
                }
                Phase::PreStop { hook, .. } => {
                    claim(&mut hook_stage, now.mono.since(hook.began()));
                    claim(&mut stop_stage, Duration::ZERO);
                }
                Phase::Signalled { since, .. } => {
                    claim(&mut stop_stage, now.mono.since(*since));
                }
                Phase::Clearing { killed: false, .. } => claim(&mut stop_stage, Duration::ZERO),
                _ => {}
            }
        }
        [hook_stage, stop_stage]
    }

    /// Somebody is there to be drained.
    pub(super) fn anybody_serves(&self, plan: &Plan) -> bool {
        self.units.iter().any(|unit| {
            let serves = plan.process(unit.id.process).traffic == Traffic::Serving;
            let kind = unit.machine.phase().kind();
            serves && matches!(kind, PhaseKind::Spawning | PhaseKind::Running)
        })
    }

    /// Files for the processes: when all must be gone and when each must, as Unix milliseconds.
    pub(super) fn tell_deadlines(&mut self, now: Now) {
        for at in 0..self.units.len() as u32 {
            self.tell_deadline(at, now);
        }
    }

    /// The file of one instance, unless nothing of it runs.
    pub(in crate::domain::system) fn tell_deadline(&mut self, at: u32, now: Now) {
        let unit = &self.units[at as usize];
        let (Some(plan), Some(stop)) = (&self.plan, &self.stop) else {
            return;
        };
        if plan.mode == Mode::Command || unit.machine.is_gone() {
            return;
        }
        let end = match unit.machine.phase() {
            Phase::Signalled { kill_at, .. } => *kill_at,
            _ => self.limits(unit.id.process).stop_latest,
        };
        let wall = |at: Mono| {
            let micros = i64::try_from(at.since(now.mono).as_micros()).unwrap_or(i64::MAX);
            now.wall.0.saturating_add(micros) / 1000
        };
        self.shared.outbox.effects.push(Effect::WriteState {
            name: format!("deadline/{}", plan.instance(unit.id).label),
            content: format!("{} {}\n", wall(stop.deadlines.t_kill), wall(end)),
        });
    }
}

/// All attempts of a hook and the pauses between them.
fn hook_claim(hook: &Arc<Hook>) -> Duration {
    let attempts = hook.timeout.saturating_mul(hook.retries.saturating_add(1));
    attempts.saturating_add(hook.retry_delay.saturating_mul(hook.retries))
}

/// What the set's postStop hooks may take.
pub(super) fn post_stop(plan: &Plan) -> Duration {
    plan.hooks.post_stop.iter().map(hook_claim).sum()
}
