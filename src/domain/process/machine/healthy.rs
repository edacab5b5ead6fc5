//! Probes of a run: what they find changes whether it is started and ready, or ends it.

use std::sync::Arc;

use super::{Machine, Me};
use crate::domain::fact::Fact;
use crate::domain::health::Verdict;
use crate::domain::hook::Answer;
use crate::domain::id::RunId;
use crate::domain::plan::{Kind, ProbeKind};
use crate::domain::process::phase::{Phase, Stimulus, StopReason};
use crate::domain::system::context::Context;
use crate::domain::time::Mono;

impl Machine {
    /// `run` is the run of a check in flight.
    pub(super) fn is_check(&self, run: RunId) -> bool {
        match &self.phase {
            Phase::Running { health, .. } => health.owns(run),
            _ => false,
        }
    }

    pub(super) fn check_answer(
        &mut self,
        run: RunId,
        answer: Answer,
        me: Me<'_>,
        cx: &mut Context<'_>,
    ) {
        if let Phase::Running { health, .. } = &mut self.phase {
            let verdict = health.answer(run, answer, cx);
            self.follow(verdict, me, cx);
        }
    }

    /// What the command of a check wrote.
    pub fn said(&mut self, run: RunId, text: String, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Running { health, .. } if health.owns(run) => health.said(run, text),
            _ => cx.late(),
        }
    }

    /// Its run said something of itself.
    pub fn notified(&mut self, run: RunId, text: &str, me: Me<'_>, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Running { live, health, .. } if live.run == run && self.limits.is_none() => {
                let verdict = health.notified(text, cx);
                self.follow(verdict, me, cx);
            }
            _ => cx.late(),
        }
    }

    /// Time has passed for the probes, or for how long it must be ready; says whether that was it.
    pub(super) fn check_health(&mut self, me: Me<'_>, cx: &mut Context<'_>) -> bool {
        let now = cx.now.mono;
        let Phase::Running {
            health,
            available_at,
            available,
            ..
        } = &mut self.phase
        else {
            return false;
        };
        if !*available && *available_at <= now {
            *available = true;
            return true;
        }
        if health.deadline() > now {
            return false;
        }
        let verdict = health.tick(cx);
        self.follow(verdict, me, cx);
        true
    }

    fn follow(&mut self, verdict: Verdict, me: Me<'_>, cx: &mut Context<'_>) {
        match verdict {
            Verdict::Same => {}
            Verdict::Failing(probe, why) => cx.fact(Fact::ProbeFailing {
                label: Arc::clone(&me.instance.label),
                probe,
                why,
            }),
            Verdict::Changed => self.look_at_health(me, cx),
            Verdict::Unhealthy(probe) => {
                self.sick = Some(probe);
                self.react(Stimulus::Unhealthy, me, cx);
            }
        }
    }

    /// Books whether it is started and ready now.
    pub(super) fn look_at_health(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let Phase::Running {
            live,
            post_start,
            health,
            available_at,
            available,
            ..
        } = &mut self.phase
        else {
            return;
        };
        self.started_once |= health.is_started();
        self.begun_once |= health.is_started() && post_start.is_none();
        let ready = post_start.is_none() && health.is_ready();
        if ready == live.ready_since.is_some() {
            return;
        }
        let label = Arc::clone(&me.instance.label);
        if ready {
            live.ready_since = Some(now);
            *available_at = now + me.process.min_ready;
            *available = me.process.min_ready.is_zero();
            if health.is_gated() {
                let took = now.since(live.since);
                cx.fact(Fact::BecameReady { label, took });
            }
        } else {
            live.ready_before = live.ready_for(now);
            live.ready_since = None;
            *available_at = Mono::NEVER;
            *available = false;
            let (why, failures) = health.failure(ProbeKind::Readiness);
            cx.fact(Fact::BecameUnready {
                label,
                why,
                failures,
            });
        }
    }

    /// A probe failed: another run has to follow.
    pub(super) fn replace_run(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let (Some(probe), Phase::Running { health, .. }) = (self.sick.take(), &self.phase) else {
            return cx.late();
        };
        let (why, failures) = health.failure(probe);
        cx.fact(Fact::Unhealthy {
            label: Arc::clone(&me.instance.label),
            probe,
            why,
            failures,
        });
        self.begin_stop(StopReason::Unhealthy(probe), me, cx);
    }

    /// The set stops: until its turn comes nothing ends its run but itself, since others may need it.
    pub(super) fn keep_to_its_turn(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if let Phase::Running {
            health,
            active_until,
            ..
        } = &mut self.phase
        {
            health.cut(cx);
            if me.process.kind == Kind::Service {
                *active_until = Mono::NEVER;
            }
        }
    }
}
