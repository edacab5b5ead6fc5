//! What a machine looks like from outside.

use std::sync::Arc;

use super::Machine;
use crate::domain::hook::HookRun;
use crate::domain::id::RunId;
use crate::domain::process::phase::{Ended, Phase};
use crate::domain::snapshot::LastRun;
use crate::domain::time::Mono;

impl Machine {
    /// Its phase.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How its last run ended.
    pub fn last(&self) -> Option<&Ended> {
        self.last.as_ref()
    }

    /// How its last run ended, and when.
    pub fn last_run(&self) -> Option<LastRun> {
        let ended = self.last.as_ref()?;
        Some(LastRun {
            how: ended.how,
            why: ended.why,
            at: self.last_at,
        })
    }

    /// Why it failed for good.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Some run of it was executed.
    pub fn was_spawned(&self) -> bool {
        self.spawned
    }

    /// Some run of it started, and its postStart hook was done.
    pub fn has_begun(&self) -> bool {
        self.begun_once
    }

    /// The set's deadline forced a KILL of it.
    pub fn killed_by_deadline(&self) -> bool {
        self.killed_by_deadline
    }

    /// Some run of it started: its exec succeeded, and its startup probe passed if it has one. Or it has completed.
    pub fn is_started(&self) -> bool {
        match &self.phase {
            Phase::Completed => true,
            Phase::Failed => false,
            _ => self.started_once,
        }
    }

    /// Started, and its postStart hook is done.
    pub fn is_ready(&self) -> bool {
        match &self.phase {
            Phase::Running { live, .. } => live.ready_since.is_some(),
            Phase::Completed => true,
            Phase::Waiting { .. }
            | Phase::Claiming { .. }
            | Phase::PreStart { .. }
            | Phase::Spawning { .. }
            | Phase::PreStop { .. }
            | Phase::Signalled { .. }
            | Phase::Killed { .. }
            | Phase::Stuck { .. }
            | Phase::Clearing { .. }
            | Phase::PostStop { .. }
            | Phase::Backoff { .. }
            | Phase::Failed
            | Phase::Stopped => false,
        }
    }

    /// Ready, and for long enough that dependents count it.
    pub fn is_available(&self) -> bool {
        match &self.phase {
            Phase::Running { available, .. } => *available,
            _ => self.is_ready(),
        }
    }

    /// Each probe of the present run, if there is one, has found something by itself.
    pub fn probes_have_found(&self) -> bool {
        match &self.phase {
            Phase::Running { health, .. } => health.has_found(),
            _ => true,
        }
    }

    /// Runs that began before the present one.
    pub fn restarts(&self) -> u64 {
        self.runs.saturating_sub(1)
    }

    /// More than its phase tells: why it is not what it should be, or what it says of itself.
    pub fn message(&self) -> Option<Arc<str>> {
        match &self.phase {
            Phase::Running {
                post_start: Some(_),
                ..
            } => Some("its postStart hook runs".into()),
            Phase::Running { health, .. } => health.message(),
            Phase::Failed => self.failure.as_deref().map(Into::into),
            Phase::Claiming { .. } => {
                Some("waits for its turn: it runs in one pod at a time".into())
            }
            Phase::Backoff { .. } => {
                let how = self.last.as_ref()?.how;
                Some(format!("waits to be restarted after {how}").into())
            }
            _ => None,
        }
    }

    /// Its postStart hook runs.
    pub fn warms_up(&self) -> bool {
        matches!(
            self.phase,
            Phase::Running {
                post_start: Some(_),
                ..
            }
        )
    }

    /// What its message is made of, as far as no phase tells: cheap enough to be looked at after each step.
    pub fn words(&self) -> Option<Arc<str>> {
        match &self.phase {
            Phase::Running { health, .. } => health.words().cloned(),
            _ => None,
        }
    }

    /// Nothing of it runs, as far as the order of a stop is concerned: a KILL that was sent counts as gone.
    pub fn is_gone(&self) -> bool {
        match &self.phase {
            Phase::Waiting { .. }
            | Phase::Claiming { .. }
            | Phase::Killed { .. }
            | Phase::Stuck { .. }
            | Phase::Clearing { killed: true, .. }
            | Phase::PostStop { .. }
            | Phase::Backoff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => true,
            Phase::PreStart { .. }
            | Phase::Spawning { .. }
            | Phase::Running { .. }
            | Phase::PreStop { .. }
            | Phase::Signalled { .. }
            | Phase::Clearing { killed: false, .. } => false,
        }
    }

    /// It failed for good because another one had: no run of it ever began.
    pub fn never_met(&self) -> bool {
        let why = self.failure.as_deref();
        matches!(self.phase, Phase::Failed)
            && why.is_some_and(|why| why.starts_with(super::DEPENDENCY_FAILED))
    }

    /// Nothing follows any more.
    pub fn is_over(&self) -> bool {
        matches!(
            self.phase,
            Phase::Completed | Phase::Failed | Phase::Stopped
        )
    }

    /// The instant at which it wants a [`Stimulus::Tick`].
    pub fn deadline(&self) -> Mono {
        self.phase_deadline().min(self.claim_deadline())
    }

    fn phase_deadline(&self) -> Mono {
        match &self.phase {
            Phase::Waiting { complain_at } | Phase::Claiming { complain_at } => *complain_at,
            Phase::PreStart { hook }
            | Phase::PreStop { hook, .. }
            | Phase::PostStop { hook, .. } => hook.deadline(),
            Phase::Running {
                post_start,
                health,
                available_at,
                available,
                active_until,
                finish_until,
                ..
            } => post_start
                .as_ref()
                .map_or(Mono::NEVER, HookRun::deadline)
                .min(health.deadline())
                .min(if *available {
                    Mono::NEVER
                } else {
                    *available_at
                })
                .min(*active_until)
                .min(*finish_until),
            Phase::Signalled { kill_at, .. } => *kill_at,
            Phase::Killed { stuck_at, .. } => *stuck_at,
            Phase::Clearing { step_at, .. } => *step_at,
            Phase::Backoff { until } => *until,
            Phase::Spawning { .. } => {
                (self.limits).map_or(Mono::NEVER, |limits| limits.stop_latest)
            }
            Phase::Stuck { .. } | Phase::Completed | Phase::Failed | Phase::Stopped => Mono::NEVER,
        }
    }

    /// The run whose leader is alive, or may be.
    pub fn live_run(&self) -> Option<RunId> {
        match &self.phase {
            Phase::Spawning { run } => Some(*run),
            Phase::Running { live, .. }
            | Phase::PreStop { live, .. }
            | Phase::Signalled { live, .. }
            | Phase::Killed { live, .. }
            | Phase::Stuck { live, .. } => Some(live.run),
            Phase::Waiting { .. }
            | Phase::Claiming { .. }
            | Phase::PreStart { .. }
            | Phase::Clearing { .. }
            | Phase::PostStop { .. }
            | Phase::Backoff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => None,
        }
    }
}
