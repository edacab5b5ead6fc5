//! The end of a run: its session is cleared, its postStop hook run, and it is decided what follows.

use std::sync::Arc;
use std::time::Duration;

use super::{Machine, Me, STUCK_AFTER, begin_hook};
use crate::domain::effect::Effect;
use crate::domain::exit::{Exit, Usage};
use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::id::RunId;
use crate::domain::plan::{RestartPolicy, SignalTarget};
use crate::domain::process::phase::{Ended, Phase, RunEnd, StopReason};
use crate::domain::signal::Signal;
use crate::domain::system::context::{Context, LEFTOVER_GRACE};
use crate::domain::time::Mono;

impl Machine {
    /// The run is over before it began. One that was killed before its exec did not fail by itself.
    pub(super) fn fail_run(&mut self, how: RunEnd, me: Me<'_>, cx: &mut Context<'_>) {
        let ended = Ended {
            how,
            why: None,
            signalled: matches!(self.phase, Phase::Killed { .. } | Phase::Stuck { .. }),
            lived: Duration::ZERO,
            ready_for: Duration::ZERO,
        };
        self.finish_run(ended, me, cx);
    }

    /// The leader is gone: its session is cleared, or is empty.
    pub(super) fn end_run(
        &mut self,
        (exit, usage, left): (Exit, Usage, u32),
        me: Me<'_>,
        cx: &mut Context<'_>,
    ) {
        let (live, why, signalled, killed) = match &mut self.phase {
            Phase::Running {
                live,
                post_start,
                health,
                ..
            } => {
                if let Some(hook) = post_start {
                    hook.cut(Cut::ProcessEnded, cx);
                }
                health.cut(cx);
                (*live, None, false, false)
            }
            Phase::PreStop { live, hook, why } => {
                hook.cut(Cut::ProcessEnded, cx);
                (*live, Some(*why), false, false)
            }
            Phase::Signalled { live, why, .. } => (*live, Some(*why), true, false),
            Phase::Killed { live, why, .. } | Phase::Stuck { live, why } => {
                (*live, Some(*why), true, true)
            }
            _ => return cx.late(),
        };
        let now = cx.now.mono;
        let ended = Ended {
            how: RunEnd::Exit(exit),
            why,
            signalled,
            lived: now.since(live.since),
            ready_for: live.ready_for(now),
        };
        cx.fact(Fact::Exited {
            label: Arc::clone(&me.instance.label),
            pid: live.pid,
            exit,
            success: Self::succeeded(&ended, me) || (ended.signalled && !killed),
            lived: ended.lived,
            usage,
            left,
        });
        if left == 0 {
            return self.finish_run(ended, me, cx);
        }
        self.clear_session(live.run, ended, killed, me, cx);
    }

    fn clear_session(
        &mut self,
        run: RunId,
        ended: Ended,
        killed: bool,
        me: Me<'_>,
        cx: &mut Context<'_>,
    ) {
        let now = cx.now.mono;
        let latest = self.limits.map_or(Mono::NEVER, |limits| limits.stop_latest);
        let kill_now = killed || latest <= now;
        let signal = if kill_now { Signal::KILL } else { Signal::TERM };
        cx.effect(Effect::Signal {
            run,
            signal,
            target: SignalTarget::Session,
        });
        cx.fact(Fact::LeftoversSignalled {
            label: Arc::clone(&me.instance.label),
            signal,
        });
        if kill_now && !killed {
            self.note_kill(true, me, cx);
        }
        let step_at = if kill_now {
            now + STUCK_AFTER
        } else {
            (now + LEFTOVER_GRACE).min(latest)
        };
        self.phase = Phase::Clearing {
            run,
            ended,
            step_at,
            killed: kill_now,
        };
    }

    /// The session is empty.
    pub(super) fn after_run(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if let Phase::Clearing { ended, .. } = &self.phase {
            let ended = *ended;
            self.finish_run(ended, me, cx);
        }
    }

    /// Nothing of the run is left: postStop hook, else what follows.
    fn finish_run(&mut self, ended: Ended, me: Me<'_>, cx: &mut Context<'_>) {
        self.last = Some(ended);
        self.last_at = cx.now.wall;
        // A run that never began has nothing for the hook to clean up after.
        let began = matches!(ended.how, RunEnd::Exit(_));
        match &me.instance.hooks.post_stop {
            Some(hook)
                if began
                    && !cx.shared.ruthless
                    && self.limits.is_none_or(|limits| limits.hooks) =>
            {
                let latest = self.limits.map_or(Mono::NEVER, |limits| limits.t_kill);
                let hook = begin_hook(hook, latest.max(cx.now.mono), me, cx);
                self.phase = Phase::PostStop { hook, ended };
            }
            _ => self.decide(ended, me, cx),
        }
    }

    pub(super) fn settle(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        if let Phase::PostStop { ended, .. } = &self.phase {
            let ended = *ended;
            self.decide(ended, me, cx);
        }
    }

    pub(super) fn cut_hook(&mut self, by: Cut, me: Me<'_>, cx: &mut Context<'_>) {
        if let Some(hook) = self.hook_mut() {
            hook.cut(by, cx);
        }
        if let Phase::PostStop { ended, .. } = &self.phase {
            let ended = *ended;
            self.decide(ended, me, cx);
        } else {
            self.end_claim(false, cx);
            self.phase = Phase::Stopped;
        }
    }

    fn succeeded(ended: &Ended, me: Me<'_>) -> bool {
        let by_itself = match ended.why {
            None => true,
            Some(StopReason::Requested | StopReason::Changed) => !ended.signalled,
            Some(
                StopReason::ActiveDeadline
                | StopReason::PostStartFailed
                | StopReason::ClaimLost
                | StopReason::Unhealthy(_),
            ) => false,
        };
        match ended.how {
            RunEnd::Exit(Exit::Code(code)) => {
                by_itself && me.process.restart.success_codes.contains(&code)
            }
            RunEnd::Exit(Exit::Signal { .. }) | RunEnd::SpawnFailed(_) | RunEnd::PreStartFailed => {
                false
            }
        }
    }

    /// Another run, or the end?
    fn decide(&mut self, ended: Ended, me: Me<'_>, cx: &mut Context<'_>) {
        let rule = &me.process.restart;
        let success = Self::succeeded(&ended, me);
        self.end_claim(success, cx);
        let again = match rule.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Never => false,
        };
        if self.limits.is_some() {
            self.decide_in_stop(ended, success && !again, me, cx);
        } else if let Some(update) = self.update {
            self.follow_update(update, me, cx);
        } else if success && !again {
            self.complete(me, cx);
        } else if !again {
            self.fail_for_good(ended.to_string(), me, cx);
        } else if !success && self.history.failed(rule.limit, cx.now.mono) {
            let limit = rule.limit.map_or(0, |limit| limit.count);
            let why = format!("{ended}: more than {limit} failures (restartLimit)");
            self.fail_for_good(why, me, cx);
        } else {
            let draw = cx.draw();
            let delay = self
                .history
                .next_delay(&rule.backoff, ended.lived, ended.ready_for, draw);
            cx.fact(Fact::RestartScheduled {
                label: Arc::clone(&me.instance.label),
                delay,
                attempt: self.history.attempt(),
                after: ended.how,
            });
            if delay.is_zero() {
                self.begin_run(me, cx);
            } else {
                let until = cx.now.mono + delay;
                self.phase = Phase::Backoff { until };
            }
        }
    }

    /// It has ended for good, as it should.
    pub(super) fn complete(&mut self, me: Me<'_>, cx: &mut Context<'_>) {
        cx.fact(Fact::Completed {
            label: Arc::clone(&me.instance.label),
        });
        self.phase = Phase::Completed;
    }

    /// While the set stops nothing runs again. What ended by itself is what it is; what we ended is stopped. `--` mode
    /// passes on whatever its one process ended with.
    fn decide_in_stop(&mut self, ended: Ended, completed: bool, me: Me<'_>, cx: &mut Context<'_>) {
        if completed {
            self.complete(me, cx);
        } else if ended.signalled
            || (matches!(ended.how, RunEnd::Exit(_))
                && me.process.restart.policy != RestartPolicy::Never)
        {
            self.phase = Phase::Stopped;
        } else {
            self.fail_for_good(ended.to_string(), me, cx);
        }
    }
}
