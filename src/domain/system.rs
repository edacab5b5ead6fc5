//! The whole set as one machine: `step(event, now)` gives effects and facts, `next_deadline()` the next tick.
//!
//! [`start`] opens the stages (sidecars, preStart hooks, init processes, processes, postStart hooks), [`stop`] runs the
//! stop, [`board`] counts what dependents wait for, [`outcome`] finds the exit code. Every event is about one instance or
//! one hook; what changes there is counted on the board, and the board says who is affected: a step costs O(log n).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::board::{Board, Summary};
use self::change::Changes;
use self::context::{Context, Outbox, Owner, Shared, Timer};
use self::hooks::SetHookRun;
use self::outcome::Verdict;
use self::sidecars::Sidecars;
use self::stop::Stop;
use self::view::{Glance, View};
use super::effect::Effect;
use super::event::{Event, LoadFailure};
use super::exit::{Exit, SpawnFailure, Usage};
use super::fact::Fact;
use super::hook::Answer;
use super::id::{InstanceId, Label, ProcessId, RunId};
use super::plan::{Kind, Mode, Plan};
use super::process::machine::{Machine, Me};
use super::process::phase::PhaseKind;
use super::shutdown::report::StopReport;
use super::time::{Mono, Now};

pub mod board;
mod change;
pub mod context;
mod hooks;
mod outcome;
mod sidecars;
mod start;
mod stop;
#[cfg(test)]
pub(crate) mod tests;
mod view;

/// How it all ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// podinit's exit code.
    pub code: u8,
    /// In words, for the termination message.
    pub reason: String,
    /// Whose last lines belong to it.
    pub about: Option<Arc<Label>>,
    /// What became of the stop, if there was one.
    pub report: Option<Arc<StopReport>>,
    /// Logs may be written out until then.
    pub until: Mono,
}

/// What a system is told once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config {
    /// Seeds the jitter of restarts.
    pub seed: u64,
    /// stdin is a terminal: a second SIGINT hurries, and SIGQUIT is no stop in `--` mode.
    pub terminal: bool,
}

/// How far the set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No plan yet.
    Loading,
    /// The sidecars are waited for.
    Sidecars,
    /// preStart hooks of the set.
    PreStart,
    /// Init processes.
    Init,
    /// Processes.
    Main,
    /// A stop, of whatever cause.
    Stopping,
    /// `Effect::Exit` was emitted.
    Over,
}

/// An instance and what the system remembers about it.
#[derive(Debug)]
struct Unit {
    id: InstanceId,
    machine: Machine,
    armed: Mono,
    summary: Summary,
    glance: Glance,
    /// What its present run is of, if that is something else than what is now written.
    old: Option<(Arc<Plan>, InstanceId)>,
    /// That run ended for good before the turn of the instance came: what is now written has neither failed nor completed.
    ended_old: bool,
}

impl Unit {
    /// An instance that nothing has happened to; one that is not wanted is there in case it is needed.
    fn new(id: InstanceId, wanted: bool) -> Unit {
        let machine = if wanted {
            Machine::new()
        } else {
            Machine::spare()
        };
        Unit {
            id,
            armed: Mono::NEVER,
            summary: Summary::of(&machine, wanted),
            glance: Glance::of(&machine),
            machine,
            old: None,
            ended_old: false,
        }
    }
}

/// The whole set.
#[derive(Debug)]
pub struct System {
    config: Config,
    began: Mono,
    stage: Stage,
    plan: Option<Arc<Plan>>,
    units: Vec<Unit>,
    board: Board,
    shared: Shared,
    set_hook: Option<SetHookRun>,
    set_hook_armed: Mono,
    post_start_done: bool,
    stop: Option<Stop>,
    verdict: Verdict,
    orphans: u64,
    /// A SIGINT was among the stop requests; a second one with a terminal hurries.
    interrupted: bool,
    /// Runs of every kind that began, and that ended.
    runs: (u64, u64),
    /// Processes whose board changed and whose neighbours have not been looked at.
    work: VecDeque<ProcessId>,
    view: View,
    changes: Changes,
    sidecars: Sidecars,
}

impl System {
    /// A system that waits for its plan.
    pub fn new(config: Config, now: Now) -> Self {
        System {
            config,
            began: now.mono,
            stage: Stage::Loading,
            plan: None,
            units: Vec::new(),
            board: Board::default(),
            shared: Shared::new(config.seed),
            set_hook: None,
            set_hook_armed: Mono::NEVER,
            post_start_done: false,
            stop: None,
            verdict: Verdict::default(),
            orphans: 0,
            interrupted: false,
            runs: (0, 0),
            work: VecDeque::new(),
            view: View::default(),
            changes: Changes::default(),
            sidecars: Sidecars::default(),
        }
    }

    /// Takes what happened; gives what to do and what to tell.
    pub fn step(&mut self, event: Event, now: Now) -> Outbox {
        if self.stage != Stage::Over {
            self.take(event, now);
            self.settle(now);
        }
        std::mem::take(&mut self.shared.outbox)
    }

    /// When it wants an [`Event::Tick`]; `None`: only other events matter.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.shared.timers.first().map(|(at, _)| *at)
    }

    /// `Effect::Exit` was emitted.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Stimuli that came too late or to nobody.
    pub fn late(&self) -> u64 {
        self.shared.late
    }

    /// The phase of an instance.
    pub fn phase(&self, process: &str, index: u32) -> Option<PhaseKind> {
        let plan = self.plan.as_ref()?;
        self.units
            .iter()
            .find(|unit| unit.id.index == index && &*plan.process(unit.id.process).name == process)
            .map(|unit| unit.machine.phase().kind())
    }

    fn take(&mut self, event: Event, now: Now) {
        match &event {
            Event::Spawned { .. } => self.runs.0 += 1,
            Event::Exited { .. } => self.runs.1 += 1,
            _ => {}
        }
        match event {
            Event::LastGood(plan) => self.changes.last_good(plan),
            Event::Loaded(plan) => self.adopt(&plan, now),
            Event::LoadFailed(failure) => self.load_failed(failure, now),
            Event::Signal(signal) => self.signalled(signal, now),
            Event::Spawned { run, pid } => match self.owner(run) {
                Some(Owner::Unit(unit)) => {
                    self.with_unit(unit, now, |machine, me, cx| {
                        machine.spawned(run, pid, me, cx);
                    });
                }
                Some(Owner::SetHook) => self.set_hook_answer(run, Answer::Spawned, now),
                Some(Owner::Sidecar(_) | Owner::Remains) | None => {}
            },
            Event::SpawnFailed { run, failure } => self.spawn_failed(run, failure, now),
            Event::Exited {
                run,
                exit,
                usage,
                left,
            } => self.exited(run, (exit, usage, left), now),
            Event::SessionEmpty { run } => match self.owner(run) {
                Some(Owner::Unit(unit)) => {
                    self.shared.owners.remove(&run);
                    self.with_unit(unit, now, super::process::machine::Machine::session_empty);
                }
                _ => self.shared.remains_gone(run),
            },
            Event::Responded { run, result } => {
                let owner = self.shared.owners.remove(&run);
                let answer = Answer::Responded(result);
                match owner {
                    Some(Owner::Unit(unit)) => self.with_unit(unit, now, |machine, me, cx| {
                        machine.aside(run, answer, me, cx);
                    }),
                    Some(Owner::SetHook) => self.set_hook_answer(run, answer, now),
                    Some(Owner::Sidecar(at)) => self.sidecar_answer(at, run, answer, now),
                    Some(Owner::Remains) | None => {}
                }
            }
            Event::Said { run, text } => match self.owner(run) {
                Some(Owner::Unit(unit)) => {
                    self.with_unit(unit, now, |machine, _, cx| machine.said(run, text, cx));
                }
                Some(Owner::Sidecar(at)) => self.sidecar_said(at, run, text),
                Some(Owner::SetHook | Owner::Remains) | None => {}
            },
            Event::Notified { run, text } => {
                if let Some(Owner::Unit(unit)) = self.owner(run) {
                    self.with_unit(unit, now, |machine, me, cx| {
                        machine.notified(run, &text, me, cx);
                    });
                }
            }
            Event::NotifyFailed { why } => {
                self.shared.outbox.facts.push(Fact::NotifyFailed { why });
            }
            Event::StopRequested { by } => self.stop_asked(by, now),
            Event::DeadlineKnown { end } => self.shrink(end, now),
            Event::Changed(plan) => self.change(plan, now),
            Event::ChangeRefused { refusal } => self.change_refused(refusal),
            Event::Admitted { object } => self.admitted(&object, now),
            Event::Claim { run, news } => {
                if let Some(Owner::Unit(unit)) = self.owner(run) {
                    self.with_unit(unit, now, |machine, me, cx| {
                        machine.claim_news(run, news, me, cx);
                    });
                }
            }
            Event::NativeSidecars { names } => self.know_natives(names),
            Event::Childless => self.childless(now),
            Event::OrphansReaped(count) => self.orphans += u64::from(count),
            Event::Tick => self.tick(now),
        }
    }

    fn owner(&mut self, run: RunId) -> Option<Owner> {
        let owner = self.shared.owners.get(&run).copied();
        if owner.is_none() {
            self.shared.late += 1;
        }
        owner
    }

    fn spawn_failed(&mut self, run: RunId, failure: SpawnFailure, now: Now) {
        let answer = Answer::SpawnFailed(failure);
        match self.owner(run) {
            Some(Owner::Unit(unit)) => self.with_unit(unit, now, |machine, me, cx| {
                machine.spawn_failed(run, failure, me, cx);
            }),
            Some(Owner::SetHook) => self.set_hook_answer(run, answer, now),
            Some(Owner::Sidecar(at)) => self.sidecar_answer(at, run, answer, now),
            Some(Owner::Remains) | None => {}
        }
        self.shared.remains_gone(run);
    }

    fn exited(&mut self, run: RunId, (exit, usage, left): (Exit, Usage, u32), now: Now) {
        match self.owner(run) {
            Some(Owner::Unit(unit)) => {
                let aside = self.units[unit as usize].machine.is_aside(run);
                if aside {
                    self.shared.hook_exited(run, left, now.mono);
                } else if left == 0 {
                    self.shared.owners.remove(&run);
                }
                self.with_unit(unit, now, |machine, me, cx| {
                    if aside {
                        machine.aside(run, Answer::Exited(exit), me, cx);
                    } else {
                        machine.exited((exit, usage, left), me, cx);
                    }
                });
            }
            Some(Owner::SetHook) => {
                self.shared.hook_exited(run, left, now.mono);
                self.set_hook_answer(run, Answer::Exited(exit), now);
            }
            Some(Owner::Sidecar(at)) => {
                self.shared.hook_exited(run, left, now.mono);
                self.sidecar_answer(at, run, Answer::Exited(exit), now);
            }
            Some(Owner::Remains) => self.shared.remains_exited(run, left, now.mono),
            None => {}
        }
    }

    /// Lets one instance take a step, and books what it changed.
    fn with_unit(
        &mut self,
        at: u32,
        now: Now,
        step: impl FnOnce(&mut Machine, Me<'_>, &mut Context<'_>),
    ) {
        let Some(plan) = self.plan.clone() else {
            return;
        };
        let unit = &mut self.units[at as usize];
        let old = unit.old.clone();
        let next = plan.both(unit.id);
        let (process, instance) = old.as_ref().map_or(next, |(plan, id)| plan.both(*id));
        let me = Me {
            process,
            instance,
            grace: plan.shutdown.grace,
            next,
        };
        let mut cx = Context {
            now,
            owner: Owner::Unit(at),
            shared: &mut self.shared,
        };
        step(&mut unit.machine, me, &mut cx);
        if unit.machine.was_renewed() || unit.machine.is_resting() {
            let was_old = unit.old.take().is_some();
            unit.ended_old |= was_old && unit.machine.is_done();
        }
        let deadline = unit.machine.deadline();
        self.shared.rearm(Timer::Unit(at), unit.armed, deadline);
        unit.armed = deadline;
        let signalled =
            (self.stop.as_mut()).is_some_and(|stop| stop.log.note(at, &unit.machine, now.mono));
        let glance = Glance::of(&unit.machine);
        if glance != unit.glance {
            unit.glance = glance;
            self.view.mark(unit.id.process, at);
        }
        let wanted = unit.id.index < plan.process(unit.id.process).desired;
        let after = Summary::of(&unit.machine, wanted);
        if after != unit.summary {
            self.board.update(unit.id.process, unit.summary, after);
            unit.summary = after;
            self.work.push_back(unit.id.process);
            if after.failed {
                self.failed_for_good(at, now);
            }
        }
        if signalled {
            self.tell_deadline(at, now);
        }
    }

    fn tick(&mut self, now: Now) {
        while let Some((at, timer)) = self.shared.timers.first().copied() {
            if at > now.mono {
                break;
            }
            self.shared.timers.remove(&(at, timer));
            match timer {
                Timer::Unit(unit) => {
                    self.units[unit as usize].armed = Mono::NEVER;
                    let waiting =
                        self.units[unit as usize].machine.phase().kind() == PhaseKind::Waiting;
                    self.with_unit(unit, now, super::process::machine::Machine::tick);
                    if waiting {
                        self.tell_waiting(unit);
                    }
                }
                Timer::SetHook => {
                    self.set_hook_armed = Mono::NEVER;
                    self.set_hook_tick(now);
                }
                Timer::Sidecar(at) => self.sidecar_tick(at, now),
                Timer::Drain => self.drain_tick(now),
                Timer::Stop => self.stop_tick(now),
                Timer::Change => self.change_tick(now),
                Timer::Remains(run) => self.shared.remains_tick(run),
            }
        }
    }

    /// Follows up on everything that changed until nothing does.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(process) = self.work.pop_front() {
                self.look_around(process, now);
            }
            if !self.advance(now) {
                break;
            }
        }
    }

    /// A process's board changed: who depends on it may start, whom it depends on may stop.
    fn look_around(&mut self, process: ProcessId, now: Now) {
        if self.stage == Stage::Stopping {
            for on in self.board.dependencies(process) {
                self.try_stop(on, now);
            }
            return;
        }
        for dependent in self.board.dependents(process) {
            self.try_start(dependent, now);
        }
        self.completed_for_good(process, now);
    }

    /// Goes on to the next stage if this one is done; true when it did.
    fn advance(&mut self, now: Now) -> bool {
        match self.stage {
            Stage::Loading | Stage::Over => false,
            Stage::Sidecars | Stage::PreStart | Stage::Init | Stage::Main => {
                self.advance_start(now)
            }
            Stage::Stopping => self.advance_stop(now),
        }
    }

    fn load_failed(&mut self, failure: LoadFailure, now: Now) {
        if self.stage != Stage::Loading {
            self.shared.late += 1;
            return;
        }
        self.leave(
            Outcome {
                code: failure.code,
                reason: failure.message,
                about: None,
                report: None,
                until: now.mono + Duration::from_secs(1),
            },
            now,
        );
    }

    /// The last step.
    fn leave(&mut self, mut outcome: Outcome, now: Now) {
        if let Some(report) = self.stop_report(&outcome, now) {
            let report = Arc::new(report);
            let fact = Fact::StopReported(Arc::clone(&report));
            self.shared.outbox.facts.push(fact);
            outcome.report = Some(report);
        }
        self.stage = Stage::Over;
        self.view.mark_all();
        let used = self
            .stop
            .as_ref()
            .map_or(Duration::ZERO, |stop| now.mono.since(stop.deadlines.t0));
        self.shared.outbox.facts.push(Fact::Finished {
            code: outcome.code,
            reason: outcome.reason.clone(),
            used,
            orphans: self.orphans,
            runs: self.runs.0,
            exits: self.runs.1,
        });
        self.shared.outbox.effects.push(Effect::Exit(outcome));
    }

    fn is_command(&self) -> bool {
        self.plan
            .as_ref()
            .is_some_and(|plan| plan.mode == Mode::Command)
    }

    fn units_of(&self, process: ProcessId) -> std::ops::Range<u32> {
        self.board.units(process)
    }
}

/// Init or process, whatever an init process does at a stop.
fn is_init(kind: Kind) -> bool {
    matches!(kind, Kind::Init { .. })
}
