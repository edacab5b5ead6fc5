//! Hooks of the whole set: each list in order, one at a time.

use std::sync::Arc;
use std::time::Duration;

use super::System;
use super::context::{Context, Owner, Timer};
use crate::domain::hook::{Answer, Cut, HookRun, Progress};
use crate::domain::id::RunId;
use crate::domain::plan::{FailurePolicy, Hook, Plan};
use crate::domain::shutdown::report::HookReport;
use crate::domain::time::{Mono, Now};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    PreStart,
    PostStart,
    PreStop,
    PostStop,
}

impl Which {
    pub(super) fn list(self, plan: &Plan) -> &[Arc<Hook>] {
        match self {
            Which::PreStart => &plan.hooks.pre_start,
            Which::PostStart => &plan.hooks.post_start,
            Which::PreStop => &plan.hooks.pre_stop,
            Which::PostStop => &plan.hooks.post_stop,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Which::PreStart => "preStart",
            Which::PostStart => "postStart",
            Which::PreStop => "preStop",
            Which::PostStop => "postStop",
        }
    }
}

/// The hook of the set that runs.
#[derive(Debug)]
pub(super) struct SetHookRun {
    which: Which,
    at: usize,
    run: HookRun,
}

impl System {
    /// Begins a list of hooks; true when there is one to run.
    pub(super) fn begin_set_hooks(&mut self, which: Which, now: Now) -> bool {
        self.begin_set_hook(which, 0, now)
    }

    fn begin_set_hook(&mut self, which: Which, at: usize, now: Now) -> bool {
        let Some(plan) = self.plan.clone() else {
            return false;
        };
        let Some(hook) = which.list(&plan).get(at) else {
            return false;
        };
        let latest = self.set_hook_latest(which, at, now);
        let run = HookRun::begin(
            Arc::clone(hook),
            Arc::clone(&plan.name),
            latest,
            &mut Context {
                now,
                owner: Owner::SetHook,
                shared: &mut self.shared,
            },
        );
        self.set_hook = Some(SetHookRun { which, at, run });
        self.rearm_set_hook();
        true
    }

    pub(super) fn set_hook_answer(&mut self, run: RunId, answer: Answer, now: Now) {
        self.with_set_hook(now, |hook, cx| {
            if hook.run() == Some(run) {
                hook.answer(answer, cx)
            } else {
                cx.late();
                Progress::Pending
            }
        });
    }

    pub(super) fn set_hook_tick(&mut self, now: Now) {
        self.with_set_hook(now, HookRun::tick);
    }

    /// Ends the hook that runs and its list.
    pub(super) fn cut_set_hook(&mut self, now: Now) {
        if let Some(mut hook) = self.set_hook.take() {
            let mut cx = Context {
                now,
                owner: Owner::SetHook,
                shared: &mut self.shared,
            };
            hook.run.cut(Cut::Stop, &mut cx);
            self.note_hook(&hook.run);
        }
        self.rearm_set_hook();
    }

    /// For the report of the stop.
    fn note_hook(&mut self, hook: &HookRun) {
        if let (Some(stop), Some((took, failure))) = (&mut self.stop, hook.ended()) {
            stop.note_hook(HookReport {
                name: Arc::clone(&hook.hook().name),
                began: hook.began().since(stop.deadlines.t0),
                took: *took,
                failure: failure.clone(),
            });
        }
    }

    fn with_set_hook(
        &mut self,
        now: Now,
        step: impl FnOnce(&mut HookRun, &mut Context<'_>) -> Progress,
    ) {
        let Some(hook) = &mut self.set_hook else {
            self.shared.late += 1;
            return;
        };
        let mut cx = Context {
            now,
            owner: Owner::SetHook,
            shared: &mut self.shared,
        };
        let progress = step(&mut hook.run, &mut cx);
        let (which, at) = (hook.which, hook.at);
        if progress != Progress::Pending {
            let ended = hook.run.clone();
            self.note_hook(&ended);
        }
        let Some(hook) = &self.set_hook else { return };
        match progress {
            Progress::Pending => self.rearm_set_hook(),
            Progress::Succeeded => self.next_set_hook(which, at, now),
            Progress::Failed => {
                let fatal = hook.run.hook().failure == FailurePolicy::Fail;
                let name = Arc::clone(&hook.run.hook().name);
                if fatal && matches!(which, Which::PreStart | Which::PostStart) {
                    self.set_hook = None;
                    self.rearm_set_hook();
                    self.start_failed(format!("{} hook `{name}` failed", which.name()), None, now);
                } else if fatal {
                    // The rest of the list does not run; the stop goes on.
                    self.set_hook = None;
                    self.rearm_set_hook();
                } else {
                    self.next_set_hook(which, at, now);
                }
            }
        }
    }

    fn next_set_hook(&mut self, which: Which, at: usize, now: Now) {
        self.set_hook = None;
        if !self.begin_set_hook(which, at + 1, now) {
            self.rearm_set_hook();
        }
    }

    /// The list of the hook that runs, and its place in it.
    pub(super) fn set_hook_place(&self) -> Option<(Which, usize)> {
        self.set_hook.as_ref().map(|hook| (hook.which, hook.at))
    }

    /// For how long the hook that runs has done so.
    pub(super) fn set_hook_age(&self, now: Now) -> Duration {
        let hook = self.set_hook.as_ref();
        hook.map_or(Duration::ZERO, |hook| now.mono.since(hook.run.began()))
    }

    /// Lowers the instant at which the hook that runs is cut.
    pub(super) fn hasten_set_hook(&mut self, latest: Mono) {
        if let Some(hook) = &mut self.set_hook {
            hook.run.hasten(latest);
        }
        self.rearm_set_hook();
    }

    fn rearm_set_hook(&mut self) {
        let deadline = self
            .set_hook
            .as_ref()
            .map_or(Mono::NEVER, |hook| hook.run.deadline());
        self.shared
            .rearm(Timer::SetHook, self.set_hook_armed, deadline);
        self.set_hook_armed = deadline;
    }
}
