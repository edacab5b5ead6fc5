//! What a change of the spec does to an instance: in place, another run, or the end.

use std::sync::Arc;

use super::{Machine, Me, Update};
use crate::domain::effect::Effect;
use crate::domain::hook::Cut;
use crate::domain::plan::LogRule;
use crate::domain::process::phase::{Phase, PhaseKind, Stimulus, StopReason};
use crate::domain::process::restart::History;
use crate::domain::system::context::Context;
use crate::domain::time::Mono;

impl Machine {
    /// An instance that is there in case it is needed.
    pub fn spare() -> Self {
        Machine {
            phase: Phase::Stopped,
            update: Some(Update::Retire),
            ..Self::new()
        }
    }

    /// What runs is out of date, and it is this instance's turn: it is stopped gracefully, and another run follows, which
    /// has nothing to do with earlier failures. What does not run begins anew.
    pub fn replace(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.update = Some(Update::Replace);
        self.react(Stimulus::Replace, me, cx);
    }

    /// The same, but it waits to be started afterwards.
    pub fn replace_later(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.update = Some(Update::Hold);
        self.react(Stimulus::Replace, me, cx);
    }

    /// It is wanted no more: it is stopped gracefully, and nothing follows.
    pub fn retire(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        self.update = Some(Update::Retire);
        self.react(Stimulus::Stop, me, cx);
    }

    /// It is wanted after all, or again, as it is now written.
    pub fn recall(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if self.phase.kind() == PhaseKind::Waiting {
            self.update = None;
        } else {
            self.replace(me, cx);
        }
    }

    /// A change made it leave, or keeps it away.
    pub fn is_retired(&self) -> bool {
        self.update == Some(Update::Retire)
    }

    /// It has been told to make room for its next run.
    pub fn is_replaced(&self) -> bool {
        matches!(self.update, Some(Update::Replace | Update::Hold))
    }

    /// A run was begun since the last call: it is of what is now written.
    pub fn was_renewed(&mut self) -> bool {
        std::mem::take(&mut self.renewed)
    }

    /// Nothing of it runs, and no hook: what is now written holds from its next run on.
    pub fn is_resting(&self) -> bool {
        matches!(
            self.phase.kind(),
            PhaseKind::Waiting
                | PhaseKind::Backoff
                | PhaseKind::Completed
                | PhaseKind::Failed
                | PhaseKind::Stopped
        )
    }

    /// It has failed for good, or completed.
    pub fn is_done(&self) -> bool {
        matches!(self.phase.kind(), PhaseKind::Completed | PhaseKind::Failed)
    }

    /// What changes without another run: probes, deadlines, the shape of its log.
    pub fn adapt(&mut self, log: Option<&Arc<LogRule>>, me: Me<'_>, cx: &mut Context<'_>) {
        let stopping = self.limits.is_some();
        let Phase::Running {
            live,
            health,
            available_at,
            available,
            active_until,
            ..
        } = &mut self.phase
        else {
            return;
        };
        if stopping {
            return;
        }
        if let Some(rule) = log {
            let (run, rule) = (live.run, Arc::clone(rule));
            let label = Arc::clone(&me.instance.label);
            cx.effect(Effect::Relog { run, label, rule });
        }
        let limit = me.process.active_deadline;
        *active_until = limit.map_or(Mono::NEVER, |limit| live.since + limit);
        if let Some(ready) = live.ready_since
            && !*available
        {
            *available_at = ready + me.process.min_ready;
        }
        health.renew(&me.instance.probes, cx);
        self.look_at_health(me, cx);
    }

    /// Why it is stopped when it is.
    pub(super) fn asked(&self) -> StopReason {
        match self.update {
            Some(_) if self.limits.is_none() => StopReason::Changed,
            _ => StopReason::Requested,
        }
    }

    /// The run that begins is of what is now written.
    pub(super) fn take_next<'a>(&mut self, me: Me<'a>) -> Me<'a> {
        self.renewed = true;
        self.update = None;
        let (process, instance) = me.next;
        Me {
            process,
            instance,
            ..me
        }
    }

    pub(super) fn begin_again(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if let Some(hook) = self.hook_mut() {
            hook.cut(Cut::Change, cx);
        }
        self.renew(me, cx);
    }

    pub(super) fn renew(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let update = self.update.unwrap_or(Update::Replace);
        self.follow_update(update, me, cx);
    }

    /// Nothing of its run is left.
    pub(super) fn follow_update(&mut self, update: Update, me: Me<'_>, cx: &mut Context<'_>) {
        match update {
            Update::Replace => {
                self.history = History::default();
                self.failure = None;
                self.begin_run(me, cx);
            }
            Update::Hold => {
                self.history = History::default();
                self.failure = None;
                self.update = None;
                self.phase = Phase::Waiting {
                    complain_at: Mono::NEVER,
                };
            }
            Update::Retire => self.phase = Phase::Stopped,
        }
    }
}
