//! The order of a stop: whose turn it is, how long each stage may last, and what changes when the deadline does.

use std::time::Duration;

use super::{Step, System};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::id::ProcessId;
use crate::domain::plan::{Kind, Mode, OnStop, Plan, Traffic};
use crate::domain::process::machine::{FINISH_RESERVE, Limits};
use crate::domain::process::phase::{Phase, PhaseKind};
use crate::domain::shutdown::outline::{Member, Outline, StageKind};
use crate::domain::shutdown::planner::{FULL_SCALE, Reserves};
use crate::domain::shutdown::timeline::ABSENT_CLAIM;
use crate::domain::system::context::Timer;
use crate::domain::system::hooks::Which;
use crate::domain::system::is_init;
use crate::domain::time::{Mono, Now};

/// The stages of the budget and where each process's are.
#[derive(Debug, Default)]
pub(super) struct StagePlan {
    /// The latest end of each.
    latest: Vec<Mono>,
    /// Claims had to shrink.
    pub(super) claims_cut: bool,
    drain: usize,
    /// A process's preStop hook and its stop.
    first: Vec<[usize; 2]>,
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
        let free = is_init(plan.process(process).kind) || self.board.dependents_gone(process);
        let in_turn = stop.at_once || stop.killed || (drained && free);
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
            Some([hook, end]) => (stop.plan.latest(*hook), stop.plan.latest(*end)),
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
            Step::Quits => {
                let until = stop.quits_until(stop.armed).max(now.mono);
                self.arm_stop(until);
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

    /// The stages of the budget. What runs already claims what is left of its claim, what is gone nothing.
    pub(super) fn stages(&self, plan: &Plan, t_kill: Mono, now: Now) -> StagePlan {
        let at_once = (self.stop.as_ref()).is_some_and(|stop| stop.at_once);
        let mut outline = self.outline(plan, at_once);
        let mut stages = StagePlan {
            first: vec![[usize::MAX; 2]; plan.processes.len()],
            drain: usize::MAX,
            ..StagePlan::default()
        };
        for (stage, step) in outline.steps.iter().enumerate() {
            let (used, gone) = match step.kind {
                StageKind::SetHook => self.hook_so_far(step.at, now),
                StageKind::Drain => {
                    stages.drain = stage;
                    self.drain_so_far(now)
                }
                StageKind::PreStop => {
                    stages.first[step.at][0] = stage;
                    self.so_far(step.at, None, now)[0]
                }
                StageKind::Stop => {
                    stages.first[step.at][1] = stage;
                    let limit = outline.stages[stage].limit;
                    self.so_far(step.at, limit, now)[1]
                }
            };
            let planned = &mut outline.stages[stage];
            (planned.used, planned.gone) = (used, gone);
        }
        let reserves = Reserves::plan(&outline.stages, t_kill.since(now.mono));
        stages.latest = (0..outline.stages.len())
            .map(|stage| reserves.latest(stage, t_kill))
            .collect();
        stages.claims_cut = reserves.scale < FULL_SCALE;
        stages
    }

    /// What the stop has to do, the same from t0 to its end.
    fn outline(&self, plan: &Plan, at_once: bool) -> Outline {
        let members = plan.processes.iter().enumerate().map(|(at, process)| {
            let hook = process.instances.first();
            let hook = hook.and_then(|instance| instance.hooks.pre_stop.as_ref());
            let dependents = self.board.dependents(ProcessId(at as u32));
            let dependents = dependents.iter().map(|one| one.index());
            // Init processes wait for nobody, and one that is left to end has two seconds after that.
            let (grace, dependents) = match process.kind {
                Kind::Service => (process.stop.grace, dependents.collect()),
                Kind::Init { on_stop } => {
                    let own = process.stop.grace;
                    let finish = own.unwrap_or(FINISH_RESERVE).min(FINISH_RESERVE);
                    let grace = (on_stop == OnStop::Finish).then_some(finish);
                    (grace.or(own), Vec::new())
                }
            };
            Member {
                name: process.name.to_string(),
                traffic: process.traffic,
                grace,
                pre_stop: hook.map(|hook| hook.claim()),
                dependents,
                gone: false,
            }
        });
        let members: Vec<Member> = members.collect();
        if at_once {
            return Outline::at_once(&members);
        }
        let hooks = plan.hooks.pre_stop.iter();
        let hooks: Vec<(String, Duration)> = hooks
            .map(|hook| (hook.name.to_string(), hook.claim()))
            .collect();
        let drain = self.stop.as_ref().map(|stop| stop.drain.planned);
        Outline::new(&hooks, drain, &members)
    }

    /// How much of its claim a hook of the set has had, and whether it is over.
    fn hook_so_far(&self, at: usize, now: Now) -> (Duration, bool) {
        let begun = self.stop.as_ref().is_some_and(|stop| stop.hooks_begun);
        match self.set_hook_place() {
            Some((Which::PreStop, running)) if running == at => (self.set_hook_age(now), false),
            Some((Which::PreStop, running)) => (Duration::ZERO, at < running),
            _ => (Duration::ZERO, begun),
        }
    }

    fn drain_so_far(&self, now: Now) -> (Duration, bool) {
        self.stop.as_ref().map_or((Duration::ZERO, true), |stop| {
            (now.mono.since(stop.deadlines.t0), stop.drain.over)
        })
    }

    /// The same for the preStop hook and the stop of a process, which claims `limit`: of the instance that has most of it
    /// before it.
    fn so_far(&self, process: usize, limit: Option<Duration>, now: Now) -> [(Duration, bool); 2] {
        let [mut hook, mut stop] = [(Duration::MAX, true); 2];
        let claim = |stage: &mut (Duration, bool), used: Duration| {
            *stage = (stage.0.min(used), false);
        };
        for unit in self.units_of(ProcessId(process as u32)) {
            match self.units[unit as usize].machine.phase() {
                Phase::Spawning { .. } | Phase::Running { .. } => {
                    claim(&mut hook, Duration::ZERO);
                    claim(&mut stop, Duration::ZERO);
                }
                Phase::PreStop { hook: run, .. } => {
                    claim(&mut hook, now.mono.since(run.began()));
                    claim(&mut stop, Duration::ZERO);
                }
                Phase::Signalled { since, .. } => claim(&mut stop, now.mono.since(*since)),
                Phase::Clearing {
                    step_at,
                    killed: false,
                    ..
                } => {
                    let left = step_at.since(now.mono);
                    claim(
                        &mut stop,
                        limit.unwrap_or(ABSENT_CLAIM).saturating_sub(left),
                    );
                }
                _ => {}
            }
        }
        [hook, stop]
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

/// What the set's postStop hooks may take.
pub(super) fn post_stop(plan: &Plan) -> Duration {
    plan.hooks.post_stop.iter().map(|hook| hook.claim()).sum()
}
