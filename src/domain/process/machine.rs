//! Carries out what [`reaction`] decides. One method a reaction; each leaves the instance in a phase with its deadline.

use std::sync::Arc;
use std::time::Duration;

use super::phase::{
    Ended, Live, Phase, PhaseKind, Reaction, RunEnd, Stimulus, StopReason, reaction,
};
use super::restart::History;
use crate::domain::effect::Effect;
use crate::domain::exit::{Exit, SpawnFailure, Usage};
use crate::domain::fact::Fact;
use crate::domain::health::Health;
use crate::domain::hook::{Answer, HookRun, Progress};
use crate::domain::id::RunId;
use crate::domain::plan::{Hook, Instance, Kind, OnStop, Output, ProbeKind, Process};
use crate::domain::system::context::Context;
use crate::domain::time::{Mono, Wall};

mod change;
mod claim;
mod ended;
mod healthy;
mod stop;
#[cfg(test)]
mod tests;
mod view;

use stop::cut_by;

/// A process is called stuck when KILL did not end it in this time.
pub const STUCK_AFTER: Duration = Duration::from_secs(2);

/// An instance, or the set for a sidecar, says that it still waits after this time, then after twice that, and so on.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// `onStop: Finish` runs are signalled so long before T_kill.
pub const FINISH_RESERVE: Duration = Duration::from_secs(2);

/// How the failure begins of an instance that waited for another one that failed for good.
const DEPENDENCY_FAILED: &str = "DependencyFailed: ";

/// What an instance is part of: unchanging facts a step needs.
#[derive(Debug, Clone, Copy)]
pub struct Me<'a> {
    /// The process.
    pub process: &'a Process,
    /// The replica.
    pub instance: &'a Instance,
    /// The pod's grace period: the time from stop signal to KILL when neither the process nor a stop of the set gives one.
    pub grace: Duration,
    /// What its next run is of; something else than `process` and `instance` when the spec changed under the present one.
    pub next: (&'a Process, &'a Instance),
}

/// What a stop of the set leaves an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Its preStop hook is cut then.
    pub hook_latest: Mono,
    /// KILL comes then at the latest.
    pub stop_latest: Mono,
    /// Everything is dead by then.
    pub t_kill: Mono,
    /// Hooks run at all (not when the grace period is 2 s or less).
    pub hooks: bool,
    /// The stop signal was forwarded already (`--` mode).
    pub signalled: bool,
}

/// One instance.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// A stop of the set was asked of it; nothing starts any more.
    limits: Option<Limits>,
    /// Its turn in that stop has come: all that depend on it are gone.
    turn: bool,
    history: History,
    patience: Duration,
    runs: u64,
    spawned: bool,
    started_once: bool,
    begun_once: bool,
    last: Option<Ended>,
    /// When that was.
    last_at: Wall,
    failure: Option<String>,
    killed_by_deadline: bool,
    /// The probe that failed, on the way to the end of the run.
    sick: Option<ProbeKind>,
    /// What the end of the present run leads to since the spec changed.
    update: Option<Update>,
    /// A run was begun since the last look.
    renewed: bool,
    /// Asked for, or held, by a process that runs once over all pods.
    claim: Option<claim::Held>,
    /// The claim could not be had in time.
    unavailable: bool,
}

/// What a change of the spec makes of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Another run follows at once.
    Replace,
    /// It waits to be started again.
    Hold,
    /// It is wanted no more.
    Retire,
}

impl Machine {
    /// An instance that waits for its dependencies.
    pub fn new() -> Self {
        Machine {
            phase: Phase::Waiting {
                complain_at: Mono::NEVER,
            },
            limits: None,
            turn: false,
            history: History::default(),
            patience: PATIENCE,
            runs: 0,
            spawned: false,
            started_once: false,
            begun_once: false,
            last: None,
            last_at: Wall::default(),
            failure: None,
            killed_by_deadline: false,
            sick: None,
            update: None,
            renewed: false,
            claim: None,
            unavailable: false,
        }
    }

    /// A stop of the set began: nothing starts any more. What does not run is stopped now, what runs when its turn comes.
    /// As under the kubelet, a pod that ends is not probed any more.
    pub fn stop_begins(&mut self, limits: Limits, me: Me<'_>, cx: &mut Context<'_>) {
        self.limits = Some(limits);
        self.keep_to_its_turn(me, cx);
        if self.phase.kind() != PhaseKind::Running {
            self.react(Stimulus::Stop, me, cx);
        }
    }

    /// From now on it is a matter of time until it must complain that it waits.
    pub fn expect_start(&mut self, cx: &mut Context<'_>) {
        if let Phase::Waiting { complain_at } | Phase::Claiming { complain_at } = &mut self.phase {
            *complain_at = cx.now.mono + self.patience;
        }
    }

    /// Its dependencies are met.
    pub fn start(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.react(Stimulus::Start, me, cx);
    }

    /// A dependency can never be met; `why` says which.
    pub fn dependency_failed(&mut self, why: String, me: Me<'_>, cx: &mut Context<'_>) {
        if self.phase.kind() == PhaseKind::Waiting {
            self.failure = Some(why);
        }
        self.react(Stimulus::DependencyFailed, me, cx);
    }

    /// The set stops and it is this instance's turn, or the set's deadline has become an earlier one.
    pub fn stop(&mut self, limits: Limits, me: Me<'_>, cx: &mut Context<'_>) {
        self.limits = Some(limits);
        self.turn = true;
        self.react(Stimulus::Stop, me, cx);
    }

    /// The set's deadline has come.
    pub fn kill(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.react(Stimulus::Kill, me, cx);
    }

    /// Time has passed.
    pub fn tick(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if self.claim_deadline() <= cx.now.mono {
            self.claim_ends(me, cx);
        } else {
            self.react(Stimulus::Tick, me, cx);
        }
    }

    /// The exec of `run` succeeded.
    pub fn spawned(&mut self, run: RunId, pid: u32, me: Me<'_>, cx: &mut Context<'_>) {
        if self.is_aside(run) {
            return self.aside(run, Answer::Spawned, me, cx);
        }
        match reaction(self.phase.kind(), Stimulus::Spawned) {
            Reaction::EnterRun => {
                self.spawned = true;
                cx.fact(Fact::Started {
                    label: Arc::clone(&me.instance.label),
                    pid,
                    restarts: self.runs.saturating_sub(1),
                });
                self.enter_run(run, pid, me, cx);
            }
            Reaction::Keep => self.spawned = true,
            _ => self.react(Stimulus::Spawned, me, cx),
        }
    }

    /// `run` could not be executed.
    pub fn spawn_failed(
        &mut self,
        run: RunId,
        failure: SpawnFailure,
        me: Me<'_>,
        cx: &mut Context<'_>,
    ) {
        if self.is_aside(run) {
            return self.aside(run, Answer::SpawnFailed(failure), me, cx);
        }
        cx.fact(Fact::SpawnFailed {
            label: Arc::clone(&me.instance.label),
            failure,
        });
        if reaction(self.phase.kind(), Stimulus::SpawnFailed) == Reaction::FailRun {
            self.fail_run(RunEnd::SpawnFailed(failure), me, cx);
        } else {
            cx.late();
        }
    }

    /// The leader of its run ended, `left` of its session are still there.
    pub fn exited(
        &mut self,
        (exit, usage, left): (Exit, Usage, u32),
        me: Me<'_>,
        cx: &mut Context<'_>,
    ) {
        if reaction(self.phase.kind(), Stimulus::Exited) == Reaction::EndRun {
            self.end_run((exit, usage, left), me, cx);
        } else {
            cx.late();
        }
    }

    /// The session of `run` is empty.
    pub fn session_empty(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.react(Stimulus::SessionEmpty, me, cx);
    }

    /// Something happened to a run that is not its own but that of a hook or a probe.
    pub fn aside(&mut self, run: RunId, answer: Answer, me: Me<'_>, cx: &mut Context<'_>) {
        if self.is_check(run) {
            self.check_answer(run, answer, me, cx);
        } else if self.is_hook(run) {
            self.hook_answer(answer, me, cx);
        } else {
            cx.late();
        }
    }

    fn hook_answer(&mut self, answer: Answer, me: Me<'_>, cx: &mut Context<'_>) {
        let progress = match self.hook_mut() {
            Some(hook) => hook.answer(answer, cx),
            None => return cx.late(),
        };
        self.hook_progress(progress, me, cx);
    }

    /// `run` is not its own but that of a hook or a probe it is at.
    pub fn is_aside(&self, run: RunId) -> bool {
        self.is_hook(run) || self.is_check(run)
    }

    /// `run` is the run of the hook it is at.
    fn is_hook(&self, run: RunId) -> bool {
        match &self.phase {
            Phase::PreStart { hook }
            | Phase::PreStop { hook, .. }
            | Phase::PostStop { hook, .. }
            | Phase::Running {
                post_start: Some(hook),
                ..
            } => hook.run() == Some(run),
            _ => false,
        }
    }

    fn hook_mut(&mut self) -> Option<&mut HookRun> {
        match &mut self.phase {
            Phase::PreStart { hook }
            | Phase::PreStop { hook, .. }
            | Phase::PostStop { hook, .. }
            | Phase::Running {
                post_start: Some(hook),
                ..
            } => Some(hook),
            _ => None,
        }
    }

    fn hook_progress(&mut self, progress: Progress, me: Me<'_>, cx: &mut Context<'_>) {
        let stimulus = match progress {
            Progress::Pending => return,
            Progress::Succeeded => Stimulus::HookSucceeded,
            Progress::Failed => match self.hook_mut().map(|hook| hook.hook().failure) {
                Some(crate::domain::plan::FailurePolicy::Continue) => Stimulus::HookSucceeded,
                _ => Stimulus::HookFailed,
            },
        };
        self.react(stimulus, me, cx);
    }

    /// The whole machine: the table decides, a method acts.
    fn react(&mut self, stimulus: Stimulus, me: Me<'_>, cx: &mut Context<'_>) {
        match reaction(self.phase.kind(), stimulus) {
            Reaction::BeginRun => self.begin_run(me, cx),
            Reaction::BeginClaimed => self.begin_claimed(me, cx),
            Reaction::TakeOver => self.complete(me, cx),
            Reaction::GiveUpClaim => self.give_up_claim(me, cx),
            Reaction::Complain => self.complain(me, cx),
            Reaction::GiveUp => self.give_up(me, cx),
            Reaction::Withdraw => {
                self.withdraw_claim(cx);
                self.phase = Phase::Stopped;
            }
            Reaction::CutHook => self.cut_hook(cut_by(self.asked()), me, cx),
            Reaction::Spawn => self.spawn(me, cx),
            Reaction::FailRun => self.fail_run(RunEnd::PreStartFailed, me, cx),
            Reaction::BeginStop => self.begin_stop(self.asked(), me, cx),
            Reaction::Hasten => self.hasten(me, cx),
            Reaction::BecomeReady => self.become_ready(me, cx),
            Reaction::ReplaceRun => self.replace_run(me, cx),
            Reaction::UpdateRun => self.begin_stop(StopReason::Changed, me, cx),
            Reaction::BeginAgain => self.begin_again(me, cx),
            Reaction::Renew => self.renew(me, cx),
            Reaction::RejectRun => self.reject_run(me, cx),
            Reaction::CheckTimes => self.check_times(me, cx),
            Reaction::SendStop => self.send_stop(me, cx),
            Reaction::KillRun => self.kill_run(stimulus == Stimulus::Kill, me, cx),
            Reaction::CallStuck => self.call_stuck(me, cx),
            Reaction::KillRest => self.kill_rest(stimulus == Stimulus::Kill, me, cx),
            Reaction::AfterRun => self.after_run(me, cx),
            Reaction::Settle => self.settle(me, cx),
            Reaction::Remember | Reaction::Keep => {}
            // Those three carry data and are entered by their own methods above.
            Reaction::EnterRun | Reaction::EndRun | Reaction::Late => cx.late(),
        }
    }

    fn begin_run(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let me = self.take_next(me);
        match &me.process.once {
            Some(once) => self.ask_for_claim(once, cx),
            None => self.begin_claimed(me, cx),
        }
    }

    fn begin_claimed(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        match &me.instance.hooks.pre_start {
            Some(hook) => {
                let hook = begin_hook(hook, Mono::NEVER, me, cx);
                self.phase = Phase::PreStart { hook };
            }
            None => self.spawn(me, cx),
        }
    }

    fn spawn(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let run = cx.new_run();
        self.runs += 1;
        cx.effect(Effect::Spawn {
            run,
            label: Arc::clone(&me.instance.label),
            launch: Arc::clone(&me.instance.launch),
            output: match &me.process.log {
                Some(rule) => Output::Logged(Arc::clone(rule)),
                None => Output::Inherited,
            },
        });
        self.phase = Phase::Spawning { run };
    }

    fn enter_run(&mut self, run: RunId, pid: u32, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let stopping = self.limits.is_some();
        let post_start = match &me.instance.hooks.post_start {
            Some(hook) if !stopping => Some(begin_hook(hook, Mono::NEVER, me, cx)),
            _ => None,
        };
        let health = Health::begin(&me.instance.probes, post_start.is_some(), cx);
        self.phase = Phase::Running {
            live: Live {
                run,
                pid,
                since: now,
                ready_since: None,
                ready_before: Duration::ZERO,
            },
            post_start,
            health: Box::new(health),
            available_at: Mono::NEVER,
            available: false,
            active_until: me
                .process
                .active_deadline
                .map_or(Mono::NEVER, |limit| now + limit),
            finish_until: Mono::NEVER,
        };
        self.look_at_health(me, cx);
        if self.turn || (self.update.is_some() && !stopping) {
            self.begin_stop(self.asked(), me, cx);
        } else if stopping {
            self.keep_to_its_turn(me, cx);
        }
    }

    fn become_ready(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let stopping = self.limits.is_some();
        if let Phase::Running {
            post_start, health, ..
        } = &mut self.phase
        {
            *post_start = None;
            if !stopping {
                health.release(cx.now.mono);
            }
        }
        self.look_at_health(me, cx);
    }

    /// Its postStart hook failed. In a stop nothing follows the run, and others may need it until its turn comes.
    fn reject_run(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Running { post_start, .. }
                if self.limits.is_some() && me.process.kind == Kind::Service =>
            {
                *post_start = None;
            }
            _ => self.begin_stop(StopReason::PostStartFailed, me, cx),
        }
    }

    fn complain(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if self.phase.kind() == PhaseKind::Claiming {
            cx.fact(Fact::StillWaiting {
                label: Arc::clone(&me.instance.label),
                on: "its turn: it runs in one pod at a time".to_owned(),
            });
        }
        self.patience = self.patience.saturating_mul(2);
        self.expect_start(cx);
    }

    fn give_up(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let why = self.failure.clone().unwrap_or_default();
        self.fail_for_good(format!("{DEPENDENCY_FAILED}{why}"), me, cx);
    }

    fn fail_for_good(&mut self, why: String, me: Me<'_>, cx: &mut Context<'_>) {
        cx.fact(Fact::FailedForGood {
            label: Arc::clone(&me.instance.label),
            why: why.clone(),
        });
        self.failure = Some(why);
        self.phase = Phase::Failed;
    }

    /// Which of the deadlines of the phase has come?
    fn check_times(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if now < self.deadline() {
            return;
        }
        if let Phase::Running {
            active_until,
            finish_until,
            ..
        } = &self.phase
        {
            if *finish_until <= now {
                return self.begin_stop(StopReason::Requested, me, cx);
            }
            if *active_until <= now {
                cx.fact(Fact::ActiveDeadlineExceeded {
                    label: Arc::clone(&me.instance.label),
                    limit: me.process.active_deadline.unwrap_or_default(),
                });
                return self.begin_stop(StopReason::ActiveDeadline, me, cx);
            }
        }
        if self.check_health(me, cx) {
            return;
        }
        if let Phase::Clearing { killed, .. } = &self.phase {
            return if *killed {
                self.call_stuck(me, cx);
            } else {
                self.kill_rest(false, me, cx);
            };
        }
        if let Some(hook) = self.hook_mut() {
            let progress = hook.tick(cx);
            self.hook_progress(progress, me, cx);
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// `onStop: Finish`: a stop leaves it to end by itself.
fn finishes(process: &Process) -> bool {
    process.kind
        == Kind::Init {
            on_stop: OnStop::Finish,
        }
}

fn begin_hook(hook: &Arc<Hook>, latest: Mono, me: Me<'_>, cx: &mut Context<'_>) -> HookRun {
    HookRun::begin(
        Arc::clone(hook),
        Arc::clone(&me.instance.label.instance),
        latest,
        cx,
    )
}
