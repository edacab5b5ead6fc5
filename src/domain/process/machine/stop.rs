//! The stop of a run: preStop hook, stop signal, grace, KILL. The same path whoever asked for it.

use std::sync::Arc;
use std::time::Duration;

use super::{FINISH_RESERVE, Limits, Machine, Me, STUCK_AFTER, begin_hook, finishes};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::id::RunId;
use crate::domain::plan::{ProbeKind, SignalTarget, StopRule};
use crate::domain::process::phase::{Live, Phase, StopReason};
use crate::domain::signal::Signal;
use crate::domain::system::context::Context;
use crate::domain::time::Mono;

impl Machine {
    pub(super) fn begin_stop(&mut self, why: StopReason, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let limits = self.limits;
        let Phase::Running {
            live,
            post_start,
            health,
            finish_until,
            ..
        } = &mut self.phase
        else {
            return cx.late();
        };
        if let Some(limits) = limits
            && why == StopReason::Requested
            && finishes(me.process)
        {
            let until = left_until(limits, me);
            if now < until {
                *finish_until = (*finish_until).min(until);
                return;
            }
        }
        if let Some(hook) = post_start {
            hook.cut(cut_by(why), cx);
        }
        health.cut(cx);
        let live = *live;
        match &me.instance.hooks.pre_stop {
            // A hook that would be cut at once is not begun.
            Some(hook) if limits.is_none_or(|limits| limits.hooks && now < limits.hook_latest) => {
                let latest = limits.map_or(Mono::NEVER, |limits| limits.hook_latest);
                let hook = begin_hook(hook, latest, me, cx);
                self.phase = Phase::PreStop { live, hook, why };
            }
            _ => self.signal_stop(live, why, me, cx),
        }
    }

    pub(super) fn send_stop(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if let Phase::PreStop { live, why, .. } = self.phase {
            self.signal_stop(live, why, me, cx);
        }
    }

    fn signal_stop(&mut self, live: Live, why: StopReason, me: Me<'_>, cx: &mut Context<'_>) {
        let rule = me.process.stop;
        if !self.limits.is_some_and(|limits| limits.signalled) {
            ask(live.run, me, cx);
        }
        let (kill_at, by_deadline) = self.kill_at(why, me, cx);
        cx.fact(Fact::StopSignalled {
            label: Arc::clone(&me.instance.label),
            signal: rule.signal,
            target: rule.target,
            grace: kill_at.since(cx.now.mono),
        });
        self.phase = Phase::Signalled {
            live,
            why,
            since: cx.now.mono,
            kill_at,
            by_deadline,
        };
    }

    /// When KILL follows a stop signal sent now, and whether that is the set's deadline rather than its own grace.
    fn kill_at(&self, why: StopReason, me: Me<'_>, cx: &Context<'_>) -> (Mono, bool) {
        let now = cx.now.mono;
        let probes = &me.instance.probes;
        let of_probe = match why {
            StopReason::Unhealthy(ProbeKind::Startup) => probes.startup.as_ref(),
            StopReason::Unhealthy(ProbeKind::Liveness) => probes.liveness.as_ref(),
            _ => None,
        };
        let grace = of_probe.and_then(|probe| probe.grace);
        let own = grace.or(me.process.stop.grace).map(|grace| now + grace);
        match self.limits {
            None => (own.unwrap_or(now + me.grace), false),
            Some(limits) => match own {
                Some(own) if own <= limits.stop_latest => (own, false),
                _ => (limits.stop_latest.max(now), true),
            },
        }
    }

    /// The set's deadline has become an earlier one.
    pub fn shorten(&mut self, limits: Limits, me: Me<'_>, cx: &mut Context<'_>) {
        if self.limits.is_none() {
            return;
        }
        self.limits = Some(limits);
        if let Phase::Running { finish_until, .. } = &mut self.phase {
            if *finish_until != Mono::NEVER {
                *finish_until = (*finish_until).min(left_until(limits, me));
                self.check_times(me, cx);
            }
            return;
        }
        self.hasten(me, cx);
    }

    /// The set stops, or must stop earlier: nothing here may last longer than that.
    pub(super) fn hasten(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let Some(limits) = self.limits else { return };
        let now = cx.now.mono;
        if let Phase::PreStop { live, hook, why } = &mut self.phase
            && !limits.hooks
        {
            hook.cut(Cut::Stop, cx);
            let (live, why) = (*live, *why);
            return self.signal_stop(live, why, me, cx);
        }
        match &mut self.phase {
            Phase::PreStop { hook, .. } => hook.hasten(limits.hook_latest),
            Phase::PostStop { hook, .. } => hook.hasten(limits.t_kill),
            Phase::Signalled {
                kill_at,
                by_deadline,
                ..
            } if limits.stop_latest < *kill_at => {
                *kill_at = limits.stop_latest;
                *by_deadline = true;
            }
            Phase::Clearing {
                step_at,
                killed: false,
                ..
            } => *step_at = (*step_at).min(limits.stop_latest),
            _ => {}
        }
        if self.deadline() <= now {
            self.tick(me, cx);
        }
    }

    pub(super) fn kill_run(&mut self, by_set: bool, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        // Nobody else comes for a hook.
        let cut = if by_set { Cut::Stop } else { Cut::Claim };
        let (live, why, by_deadline) = match &mut self.phase {
            Phase::Spawning { run } => {
                let live = Live {
                    run: *run,
                    pid: 0,
                    since: now,
                    ready_since: None,
                    ready_before: Duration::ZERO,
                };
                // Only a stop gives it an end.
                (live, StopReason::Requested, true)
            }
            Phase::Running {
                live,
                post_start,
                health,
                ..
            } => {
                if let Some(hook) = post_start {
                    hook.cut(cut, cx);
                }
                health.cut(cx);
                ask(live.run, me, cx);
                (*live, StopReason::Requested, by_set)
            }
            Phase::PreStop { live, hook, why } => {
                hook.cut(cut, cx);
                ask(live.run, me, cx);
                (*live, *why, by_set)
            }
            // Its own grace may end at the very instant of the set's deadline: that is no missed deadline.
            Phase::Signalled {
                live,
                why,
                kill_at,
                by_deadline,
                ..
            } => (*live, *why, *by_deadline || (by_set && *kill_at > now)),
            _ => return cx.late(),
        };
        cx.effect(Effect::Signal {
            run: live.run,
            signal: Signal::KILL,
            target: SignalTarget::Group,
        });
        self.note_kill(by_deadline, me, cx);
        self.phase = Phase::Killed {
            live,
            why,
            stuck_at: now + STUCK_AFTER,
        };
    }

    pub(super) fn kill_rest(&mut self, by_set: bool, me: Me<'_>, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let Phase::Clearing {
            run,
            step_at,
            killed,
            ..
        } = &mut self.phase
        else {
            return cx.late();
        };
        if *killed {
            return;
        }
        *killed = true;
        *step_at = now + STUCK_AFTER;
        cx.effect(Effect::Signal {
            run: *run,
            signal: Signal::KILL,
            target: SignalTarget::Session,
        });
        let by_deadline = by_set || self.limits.is_some_and(|limits| limits.stop_latest <= now);
        self.note_kill(by_deadline, me, cx);
    }

    pub(super) fn note_kill(&mut self, by_deadline: bool, me: Me<'_>, cx: &mut Context<'_>) {
        self.killed_by_deadline |= by_deadline;
        cx.fact(Fact::Killed {
            label: Arc::clone(&me.instance.label),
            by_deadline,
        });
    }

    /// The set ends without waiting any longer for what was killed.
    pub fn leave_behind(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Killed { .. } => self.call_stuck(me, cx),
            Phase::Clearing {
                killed: true,
                step_at,
                ..
            } if step_at != Mono::NEVER => self.call_stuck(me, cx),
            _ => {}
        }
    }

    pub(super) fn call_stuck(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        let run = match &mut self.phase {
            Phase::Killed { live, why, .. } => {
                let (live, why) = (*live, *why);
                self.phase = Phase::Stuck { live, why };
                live.run
            }
            Phase::Clearing { run, step_at, .. } => {
                *step_at = Mono::NEVER;
                *run
            }
            _ => return cx.late(),
        };
        cx.effect(Effect::Signal {
            run,
            signal: Signal::KILL,
            target: SignalTarget::Session,
        });
        cx.fact(Fact::Stuck {
            label: Arc::clone(&me.instance.label),
        });
    }
}

/// What a stop for this reason means for a hook beside the run.
pub(super) fn cut_by(why: StopReason) -> Cut {
    match why {
        StopReason::Changed => Cut::Change,
        StopReason::ClaimLost => Cut::Claim,
        StopReason::Requested
        | StopReason::ActiveDeadline
        | StopReason::PostStartFailed
        | StopReason::Unhealthy(_) => Cut::Stop,
    }
}

/// So long is an init process left to end: two seconds are for its stop signal, and before that comes its preStop hook.
fn left_until(limits: Limits, me: Me<'_>) -> Mono {
    let hook = me.instance.hooks.pre_stop.as_ref();
    let hook = hook.filter(|_| limits.hooks).map(|hook| hook.claim());
    limits.t_kill - FINISH_RESERVE - hook.unwrap_or_default()
}

/// The stop signal: nobody is killed unasked.
fn ask(run: RunId, me: Me<'_>, cx: &mut Context<'_>) {
    let StopRule { signal, target, .. } = me.process.stop;
    cx.effect(Effect::Signal {
        run,
        signal,
        target,
    });
}
