//! What runs once over all pods of a set: it asks before each run, runs no longer than it is granted, and says what became
//! of it.

use std::sync::Arc;

use super::{Machine, Me};
use crate::domain::claim::{News, Refusal, Term};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::id::RunId;
use crate::domain::plan::Once;
use crate::domain::process::phase::{Phase, PhaseKind, RunEnd, Stimulus, StopReason};
use crate::domain::system::context::Context;
use crate::domain::time::Mono;

/// A claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Its name.
    pub(super) run: RunId,
    /// `None`: it was not granted yet.
    term: Option<Term>,
}

impl Machine {
    pub(super) fn ask_for_claim(&mut self, once: &Arc<Once>, cx: &mut Context<'_>) {
        let run = cx.new_run();
        cx.effect(Effect::Claim {
            run,
            once: Arc::clone(once),
        });
        self.claim = Some(Held { run, term: None });
        self.phase = Phase::Claiming {
            complain_at: Mono::NEVER,
        };
        self.expect_start(cx);
    }

    /// Something became of a claim.
    pub fn claim_news(&mut self, run: RunId, news: News, me: Me<'_>, cx: &mut Context<'_>) {
        let label = Arc::clone(&me.instance.label);
        let present = self.claim.as_mut().filter(|claim| claim.run == run);
        match (news, present) {
            (News::Granted(term), Some(claim)) => {
                claim.term = Some(term);
                self.react(Stimulus::Granted, me, cx);
            }
            (News::Renewed(term), Some(claim)) => claim.term = Some(term),
            (News::Lost, Some(claim)) => {
                if let Some(term) = &mut claim.term {
                    term.stop_at = term.stop_at.min(cx.now.mono);
                    self.tick(me, cx);
                }
            }
            (News::Done, Some(_)) => {
                self.drop_claim(cx);
                cx.fact(Fact::DoneElsewhere { label });
                self.react(Stimulus::DoneElsewhere, me, cx);
            }
            (News::Refused(refusal), Some(_)) => {
                self.drop_claim(cx);
                self.unavailable = matches!(refusal, Refusal::TooLong { .. });
                self.failure = Some(refusal.to_string());
                self.react(Stimulus::Refused, me, cx);
            }
            (News::Recorded, _) => cx.forget(run),
            (News::Unrecorded, _) => {
                cx.forget(run);
                cx.fact(Fact::ClaimUnrecorded { label });
            }
            (
                News::Granted(_) | News::Renewed(_) | News::Lost | News::Done | News::Refused(_),
                None,
            ) => cx.late(),
        }
    }

    /// It has failed for good because its claim could not be had in time.
    pub fn was_unavailable(&self) -> bool {
        self.unavailable && matches!(self.phase, Phase::Failed)
    }

    pub(super) fn give_up_claim(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let why = self.failure.clone().unwrap_or_default();
        self.fail_for_good(why, me, cx);
    }

    /// Nothing of the run is left: whoever comes next may have it, or need not.
    pub(super) fn end_claim(&mut self, success: bool, cx: &mut Context<'_>) {
        if let Some(Held { run, .. }) = self.claim.take() {
            cx.effect(Effect::ClaimEnded { run, success });
        }
    }

    /// It is not wanted any more, and nothing runs.
    pub(super) fn withdraw_claim(&mut self, cx: &mut Context<'_>) {
        if let Some(Held { run, .. }) = self.claim {
            cx.effect(Effect::Withdraw { run });
            self.drop_claim(cx);
        }
    }

    fn drop_claim(&mut self, cx: &mut Context<'_>) {
        if let Some(Held { run, .. }) = self.claim.take() {
            cx.forget(run);
        }
    }

    /// When the claim ends what it is at: first the stop, then KILL. [`Mono::NEVER`]: nothing of it runs.
    pub(super) fn claim_deadline(&self) -> Mono {
        let Some(term) = self.claim.and_then(|claim| claim.term) else {
            return Mono::NEVER;
        };
        match self.phase.kind() {
            PhaseKind::PreStart | PhaseKind::Running => term.stop_at.min(term.kill_at),
            PhaseKind::Spawning
            | PhaseKind::PreStop
            | PhaseKind::Signalled
            | PhaseKind::PostStop => term.kill_at,
            PhaseKind::Clearing if !self.is_gone() => term.kill_at,
            _ => Mono::NEVER,
        }
    }

    /// Its last instant has come.
    pub(super) fn claim_ends(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let killed = (self.claim.and_then(|claim| claim.term))
            .is_some_and(|term| term.kill_at <= cx.now.mono);
        match self.phase.kind() {
            PhaseKind::PreStart => {
                if let Some(hook) = self.hook_mut() {
                    hook.cut(Cut::Claim, cx);
                }
                self.fail_run(RunEnd::PreStartFailed, me, cx);
            }
            PhaseKind::Running if !killed => {
                cx.fact(Fact::ClaimLost {
                    label: Arc::clone(&me.instance.label),
                });
                self.begin_stop(StopReason::ClaimLost, me, cx);
            }
            PhaseKind::Signalled => {
                if let Phase::Signalled { by_deadline, .. } = &mut self.phase {
                    *by_deadline = false;
                }
                self.kill_run(false, me, cx);
            }
            PhaseKind::Clearing => self.kill_rest(false, me, cx),
            PhaseKind::PostStop => self.cut_hook(Cut::Claim, me, cx),
            _ => self.kill_run(false, me, cx),
        }
    }
}
