//! The phases of an instance, what can happen to it, and the table of both.

use std::fmt;
use std::time::Duration;

use crate::domain::exit::{Exit, SpawnFailure};
use crate::domain::health::Health;
use crate::domain::hook::HookRun;
use crate::domain::id::RunId;
use crate::domain::plan::ProbeKind;
use crate::domain::time::Mono;

/// Where an instance is. Data lives in the phase in which it is valid; each phase that waits holds its deadline.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Its dependencies are not met yet.
    Waiting {
        /// When to say so.
        complain_at: Mono,
    },
    /// It runs once over all pods of the set, and waits for its turn.
    Claiming {
        /// When to say so.
        complain_at: Mono,
    },
    /// Its preStart hook runs.
    PreStart {
        /// That hook.
        hook: HookRun,
    },
    /// Forked; the exec is not confirmed yet. The child table bounds this to 10 s, a stop to the end of its time.
    Spawning {
        /// This run.
        run: RunId,
    },
    /// Executed.
    Running {
        /// This run.
        live: Live,
        /// Its postStart hook, until that is done; ready waits for it.
        post_start: Option<HookRun>,
        /// Its probes.
        health: Box<Health>,
        /// Ready for so long that dependents count it: from then on. [`Mono::NEVER`] while it is not ready.
        available_at: Mono,
        /// That time has come.
        available: bool,
        /// Its activeDeadlineSeconds end then.
        active_until: Mono,
        /// A stop left it to end by itself until then (`onStop: Finish`).
        finish_until: Mono,
    },
    /// Its preStop hook runs.
    PreStop {
        /// This run.
        live: Live,
        /// That hook.
        hook: HookRun,
        /// Why it is stopped.
        why: StopReason,
    },
    /// It was sent its stop signal.
    Signalled {
        /// This run.
        live: Live,
        /// Why it is stopped.
        why: StopReason,
        /// Since then.
        since: Mono,
        /// KILL follows then.
        kill_at: Mono,
        /// That KILL is the set's deadline, not its own grace.
        by_deadline: bool,
    },
    /// It was sent KILL.
    Killed {
        /// This run.
        live: Live,
        /// Why it is stopped.
        why: StopReason,
        /// Called stuck then.
        stuck_at: Mono,
    },
    /// It outlived KILL; reported, never taken for stopped.
    Stuck {
        /// This run.
        live: Live,
        /// Why it was stopped.
        why: StopReason,
    },
    /// The leader is gone; the rest of its session is being ended.
    Clearing {
        /// The run that left it behind.
        run: RunId,
        /// How that run ended.
        ended: Ended,
        /// KILL follows then, or, after KILL, it is called stuck.
        step_at: Mono,
        /// KILL was sent.
        killed: bool,
    },
    /// Its postStop hook runs.
    PostStop {
        /// That hook.
        hook: HookRun,
        /// How the run before ended.
        ended: Ended,
    },
    /// Another run follows.
    Backoff {
        /// Then.
        until: Mono,
    },
    /// Ended for good, as it should.
    Completed,
    /// Failed for good.
    Failed,
    /// Stopped on request, or never started because of a stop.
    Stopped,
}

/// A run whose leader is alive.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Its id.
    pub run: RunId,
    /// For people.
    pub pid: u32,
    /// When its exec was confirmed.
    pub since: Mono,
    /// Ready since then, if it is.
    pub ready_since: Option<Mono>,
    /// How long it had been ready before that.
    pub ready_before: Duration,
}

impl Live {
    /// How long it has been ready, all in all.
    pub fn ready_for(&self, now: Mono) -> Duration {
        let current = self.ready_since.map_or(Duration::ZERO, |at| now.since(at));
        self.ready_before + current
    }
}

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The set stops.
    Requested,
    /// It passed its activeDeadlineSeconds.
    ActiveDeadline,
    /// Its postStart hook failed.
    PostStartFailed,
    /// This probe failed.
    Unhealthy(ProbeKind),
    /// The spec changed: what runs is out of date, or wanted no more.
    Changed,
    /// Another pod may soon begin what may run in one only.
    ClaimLost,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// What ended it.
    pub how: RunEnd,
    /// It had been stopped, and why.
    pub why: Option<StopReason>,
    /// It had been sent its stop signal (or KILL) by then.
    pub signalled: bool,
    /// How long it lived.
    pub lived: Duration,
    /// How long of that it was ready.
    pub ready_for: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Some(StopReason::Unhealthy(probe)) => write!(f, "{} failed, then ", probe.field())?,
            Some(StopReason::ActiveDeadline) => {
                f.write_str("passed activeDeadlineSeconds, then ")?;
            }
            Some(StopReason::PostStartFailed) => f.write_str("postStart hook failed, then ")?,
            Some(StopReason::ClaimLost) => f.write_str("its claim could not be renewed, then ")?,
            Some(StopReason::Requested | StopReason::Changed) | None => {}
        }
        self.how.fmt(f)
    }
}

/// What ended a run, or kept it from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Its leader ended.
    Exit(Exit),
    /// It could not be executed.
    SpawnFailed(SpawnFailure),
    /// Its preStart hook failed.
    PreStartFailed,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Exit(exit) => exit.fmt(f),
            RunEnd::SpawnFailed(failure) => failure.fmt(f),
            RunEnd::PreStartFailed => f.write_str("preStart hook failed"),
        }
    }
}

/// A phase without its data, in the order of a run's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "documented at Phase")]
pub enum PhaseKind {
    Waiting,
    Claiming,
    PreStart,
    Spawning,
    Running,
    PreStop,
    Signalled,
    Killed,
    Stuck,
    Clearing,
    PostStop,
    Backoff,
    Completed,
    Failed,
    Stopped,
}

impl PhaseKind {
    /// Every phase.
    pub const ALL: [PhaseKind; 15] = [
        PhaseKind::Waiting,
        PhaseKind::Claiming,
        PhaseKind::PreStart,
        PhaseKind::Spawning,
        PhaseKind::Running,
        PhaseKind::PreStop,
        PhaseKind::Signalled,
        PhaseKind::Killed,
        PhaseKind::Stuck,
        PhaseKind::Clearing,
        PhaseKind::PostStop,
        PhaseKind::Backoff,
        PhaseKind::Completed,
        PhaseKind::Failed,
        PhaseKind::Stopped,
    ];
}

impl Phase {
    /// The phase without its data.
    pub fn kind(&self) -> PhaseKind {
        match self {
            Phase::Waiting { .. } => PhaseKind::Waiting,
            Phase::Claiming { .. } => PhaseKind::Claiming,
            Phase::PreStart { .. } => PhaseKind::PreStart,
            Phase::Spawning { .. } => PhaseKind::Spawning,
            Phase::Running { .. } => PhaseKind::Running,
            Phase::PreStop { .. } => PhaseKind::PreStop,
            Phase::Signalled { .. } => PhaseKind::Signalled,
            Phase::Killed { .. } => PhaseKind::Killed,
            Phase::Stuck { .. } => PhaseKind::Stuck,
            Phase::Clearing { .. } => PhaseKind::Clearing,
            Phase::PostStop { .. } => PhaseKind::PostStop,
            Phase::Backoff { .. } => PhaseKind::Backoff,
            Phase::Completed => PhaseKind::Completed,
            Phase::Failed => PhaseKind::Failed,
            Phase::Stopped => PhaseKind::Stopped,
        }
    }
}

/// What can happen to an instance, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stimulus {
    /// Its dependencies are met.
    Start,
    /// A dependency can never be met.
    DependencyFailed,
    /// It may run, and no other pod may.
    Granted,
    /// It has succeeded in another pod.
    DoneElsewhere,
    /// It cannot be had.
    Refused,
    /// The set stops, and it is this instance's turn.
    Stop,
    /// Its deadline has come: KILL, now.
    Kill,
    /// The exec of its run succeeded.
    Spawned,
    /// Its run could not be executed.
    SpawnFailed,
    /// The leader of its run ended.
    Exited,
    /// The session of its run is empty.
    SessionEmpty,
    /// The hook it is at went well.
    HookSucceeded,
    /// The hook it is at failed.
    HookFailed,
    /// Its startup or liveness probe failed.
    Unhealthy,
    /// The spec changed, and it is this instance's turn to follow.
    Replace,
    /// The deadline of its phase has come.
    Tick,
}

impl Stimulus {
    /// Every stimulus.
    pub const ALL: [Stimulus; 16] = [
        Stimulus::Start,
        Stimulus::DependencyFailed,
        Stimulus::Granted,
        Stimulus::DoneElsewhere,
        Stimulus::Refused,
        Stimulus::Stop,
        Stimulus::Kill,
        Stimulus::Spawned,
        Stimulus::SpawnFailed,
        Stimulus::Exited,
        Stimulus::SessionEmpty,
        Stimulus::HookSucceeded,
        Stimulus::HookFailed,
        Stimulus::Unhealthy,
        Stimulus::Replace,
        Stimulus::Tick,
    ];
}

/// What an instance does about a stimulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reaction {
    /// Begins a run: its claim if it needs one, its preStart hook, else the spawn.
    BeginRun,
    /// Begins the run that was claimed: its preStart hook, else the spawn.
    BeginClaimed,
    /// Has completed without a run of its own.
    TakeOver,
    /// Fails for good: it cannot be run here.
    GiveUpClaim,
    /// Says that it still waits, and for whom.
    Complain,
    /// Fails for good, because a dependency did.
    GiveUp,
    /// Is stopped at once: nothing runs.
    Withdraw,
    /// Ends the hook it is at, and is stopped.
    CutHook,
    /// Forks.
    Spawn,
    /// The run begins: postStart hook, or ready.
    EnterRun,
    /// The run is over before it began.
    FailRun,
    /// Notes that it is to stop; acts when it can.
    Remember,
    /// Begins to stop the run: preStop hook, else the stop signal.
    BeginStop,
    /// Lowers its deadlines to the set's.
    Hasten,
    /// Its postStart hook is done: ready, if its probes say so.
    BecomeReady,
    /// Its postStart hook failed: the run is stopped and counts as a failure.
    RejectRun,
    /// A probe failed: the run is stopped gracefully and counts as a failure.
    ReplaceRun,
    /// What runs is out of date: it is stopped gracefully, and another run follows.
    UpdateRun,
    /// Its preStart hook is out of date: the hook is ended, and the run begins again.
    BeginAgain,
    /// Nothing runs: it begins anew.
    Renew,
    /// Looks which of its deadlines has come.
    CheckTimes,
    /// Sends the stop signal.
    SendStop,
    /// Sends KILL.
    KillRun,
    /// Reports that KILL did not help.
    CallStuck,
    /// The leader is gone: clears the session, or goes on when it is empty.
    EndRun,
    /// Sends KILL to what is left of the session.
    KillRest,
    /// The session is empty: postStop hook, else settles.
    AfterRun,
    /// Decides what follows the run: another one, or the end.
    Settle,
    /// Stays as it is, as it should.
    Keep,
    /// Stays as it is; the stimulus came too late or cannot come here. Counted.
    Late,
}

/// What an instance in `phase` does about `stimulus`. Every pair is decided here and nowhere else.
pub const fn reaction(phase: PhaseKind, stimulus: Stimulus) -> Reaction {
    use PhaseKind as P;
    match phase {
        P::Waiting | P::Claiming | P::PreStart | P::Spawning | P::Running => {
            coming_up(phase, stimulus)
        }
        P::PreStop | P::Signalled | P::Killed | P::Stuck => going_down(phase, stimulus),
        P::Clearing | P::PostStop | P::Backoff | P::Completed | P::Failed | P::Stopped => {
            afterwards(phase, stimulus)
        }
    }
}

const fn coming_up(phase: PhaseKind, stimulus: Stimulus) -> Reaction {
    use PhaseKind as P;
    use Reaction as R;
    use Stimulus as S;
    match phase {
        P::Waiting => match stimulus {
            S::Start => R::BeginRun,
            S::DependencyFailed => R::GiveUp,
            S::Stop | S::Kill => R::Withdraw,
            // What it waits to begin is what the spec says by then.
            S::Replace => R::Keep,
            S::Tick => R::Complain,
            _ => R::Late,
        },
        P::Claiming => match stimulus {
            S::Granted => R::BeginClaimed,
            S::DoneElsewhere => R::TakeOver,
            S::Refused => R::GiveUpClaim,
            S::Stop | S::Kill => R::Withdraw,
            S::Replace => R::Keep,
            S::Tick => R::Complain,
            _ => R::Late,
        },
        P::PreStart => match stimulus {
            S::HookSucceeded => R::Spawn,
            S::HookFailed => R::FailRun,
            S::Stop | S::Kill => R::CutHook,
            S::Replace => R::BeginAgain,
            S::Tick => R::CheckTimes,
            _ => R::Late,
        },
        P::Spawning => match stimulus {
            S::Spawned => R::EnterRun,
            S::SpawnFailed => R::FailRun,
            S::Stop | S::Replace => R::Remember,
            S::Kill | S::Tick => R::KillRun,
            _ => R::Late,
        },
        P::Running => match stimulus {
            S::HookSucceeded => R::BecomeReady,
            S::HookFailed => R::RejectRun,
            S::Unhealthy => R::ReplaceRun,
            S::Exited => R::EndRun,
            S::Stop => R::BeginStop,
            S::Replace => R::UpdateRun,
            S::Kill => R::KillRun,
            S::Tick => R::CheckTimes,
            _ => R::Late,
        },
        _ => R::Late,
    }
}

const fn going_down(phase: PhaseKind, stimulus: Stimulus) -> Reaction {
    use PhaseKind as P;
    use Reaction as R;
    use Stimulus as S;
    match phase {
        P::PreStop => match stimulus {
            S::HookSucceeded | S::HookFailed => R::SendStop,
            S::Exited => R::EndRun,
            S::Stop => R::Hasten,
            S::Replace => R::Remember,
            S::Kill => R::KillRun,
            S::Tick => R::CheckTimes,
            _ => R::Late,
        },
        P::Signalled => match stimulus {
            S::Exited => R::EndRun,
            S::Stop => R::Hasten,
            S::Replace => R::Remember,
            S::Kill | S::Tick => R::KillRun,
            _ => R::Late,
        },
        P::Killed => match stimulus {
            // Killed between its fork and its exec: the table answers the spawn all the same.
            S::Spawned => R::Keep,
            S::SpawnFailed => R::FailRun,
            S::Exited => R::EndRun,
            S::Stop | S::Replace => R::Remember,
            S::Kill => R::Keep,
            S::Tick => R::CallStuck,
            _ => R::Late,
        },
        P::Stuck => match stimulus {
            S::Spawned => R::Keep,
            S::SpawnFailed => R::FailRun,
            S::Exited => R::EndRun,
            S::Stop | S::Replace => R::Remember,
            S::Kill => R::Keep,
            _ => R::Late,
        },
        _ => R::Late,
    }
}

const fn afterwards(phase: PhaseKind, stimulus: Stimulus) -> Reaction {
    use PhaseKind as P;
    use Reaction as R;
    use Stimulus as S;
    match phase {
        P::Clearing => match stimulus {
            S::SessionEmpty => R::AfterRun,
            S::Stop => R::Hasten,
            S::Replace => R::Remember,
            S::Kill => R::KillRest,
            S::Tick => R::CheckTimes,
            _ => R::Late,
        },
        P::PostStop => match stimulus {
            S::HookSucceeded | S::HookFailed => R::Settle,
            S::Stop => R::Hasten,
            S::Replace => R::Remember,
            S::Kill => R::CutHook,
            S::Tick => R::CheckTimes,
            _ => R::Late,
        },
        P::Backoff => match stimulus {
            S::Tick => R::BeginRun,
            S::Stop | S::Kill => R::Withdraw,
            S::Replace => R::Renew,
            _ => R::Late,
        },
        P::Completed | P::Failed | P::Stopped => match stimulus {
            S::Stop | S::Kill => R::Keep,
            S::Replace => R::Renew,
            _ => R::Late,
        },
        _ => R::Late,
    }
}

/// The table as Markdown, for ARCHITECTURE.md; a test compares.
pub fn table() -> String {
    use fmt::Write as _;
    let mut text = String::from("| phase |");
    for stimulus in Stimulus::ALL {
        let _ = write!(text, " {stimulus:?} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Stimulus::ALL.len()));
    for phase in PhaseKind::ALL {
        let _ = write!(text, "\n| {phase:?} |");
        for stimulus in Stimulus::ALL {
            match reaction(phase, stimulus) {
                Reaction::Late => text.push_str(" |"),
                reaction => {
                    let _ = write!(text, " {reaction:?} |");
                }
            }
        }
    }
    text.push('\n');
    text
}
