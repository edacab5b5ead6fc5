//! The last steps of a stop: KILL at T_kill, orphans, postStop hooks, and the end.

use std::time::Duration;

use super::{Step, Stop, System};
use crate::domain::effect::Effect;
use crate::domain::process::machine::Machine;
use crate::domain::signal::Signal;
use crate::domain::system::hooks::Which;
use crate::domain::time::{Mono, Now};

/// What is killed at T_kill is given so long to vanish, or half the time until we must be done.
const VANISH: Duration = Duration::from_millis(500);
/// From TERM to KILL for orphans.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

impl System {
    /// All processes are gone: now the processes that nobody started by name.
    pub(super) fn end_orphans(&mut self, now: Now) {
        let Some(stop) = &self.stop else { return };
        let killed = stop.killed || now.mono >= stop.deadlines.t_kill;
        let t_kill = stop.deadlines.t_kill;
        let kill_at = if killed {
            self.vanished_by(now)
        } else {
            (now.mono + ORPHAN_GRACE).min(t_kill)
        };
        self.set_step(Step::Orphans { kill_at, killed });
        self.shared.outbox.effects.push(Effect::EndOrphans {
            signal: if killed { Signal::KILL } else { Signal::TERM },
        });
        self.arm_stop(kill_at);
    }

    /// podinit has no children left.
    pub(in crate::domain::system) fn childless(&mut self, now: Now) {
        let orphans = self
            .stop
            .as_ref()
            .is_some_and(|stop| matches!(stop.step, Step::Orphans { .. }));
        if orphans {
            self.begin_post_stop(now);
        }
    }

    fn begin_post_stop(&mut self, now: Now) {
        let Some(stop) = &self.stop else { return };
        let finish_by = stop.deadlines.finish_by;
        let hooks = !stop.at_once;
        self.set_step(Step::PostStopHooks);
        self.arm_stop(finish_by);
        if hooks {
            self.begin_set_hooks(Which::PostStop, now);
        }
    }

    /// The deadline has become an earlier one while what was killed, or orphans, are waited for.
    pub(super) fn shrink_end(&mut self, now: Now) {
        let vanished_by = self.vanished_by(now);
        let Some(stop) = &mut self.stop else { return };
        let at = match &mut stop.step {
            Step::Orphans {
                kill_at,
                killed: false,
            } => {
                *kill_at = (*kill_at).min(stop.deadlines.t_kill.max(now.mono));
                *kill_at
            }
            _ => stop.armed.min(vanished_by),
        };
        self.arm_stop(at);
    }

    /// The instant at which we stop waiting for what was killed.
    fn vanished_by(&self, now: Now) -> Mono {
        let finish_by = self
            .stop
            .as_ref()
            .map_or(now.mono, |stop| stop.deadlines.finish_by);
        now.mono + VANISH.min(finish_by.since(now.mono) / 2)
    }

    /// T_kill has come, or what was killed has not vanished, or everything must be done.
    pub(in crate::domain::system) fn stop_tick(&mut self, now: Now) {
        let Some(stop) = &mut self.stop else { return };
        stop.armed = Mono::NEVER;
        match stop.step {
            Step::PreStopHooks | Step::Processes if !stop.killed => self.kill_everything(now),
            // Killed, and still not gone: stuck. We leave on time.
            Step::PreStopHooks | Step::Processes => {
                for at in 0..self.units.len() as u32 {
                    self.with_unit(at, now, Machine::leave_behind);
                }
                self.end_orphans(now);
            }
            Step::Orphans { killed: false, .. } => self.kill_orphans(now),
            Step::Orphans { killed: true, .. } => self.begin_post_stop(now),
            Step::PostStopHooks | Step::Remains => {
                // Nobody is left to send a KILL later: what is cut from now on gets it at once.
                self.shared.kill_all_remains();
                self.cut_set_hook(now);
                self.finish(now);
            }
            Step::Quits => {
                self.cut_quits();
                self.finish(now);
            }
        }
    }

    /// The set is over: its sidecars are told, then podinit leaves.
    pub(super) fn finish(&mut self, now: Now) {
        if let Some(until) = self.begin_quits(now) {
            self.set_step(Step::Quits);
            return self.arm_stop(until);
        }
        let outcome = self.outcome(now);
        self.leave(outcome, now);
    }

    /// KILL, after a stop signal for those whose turn has not come.
    pub(super) fn kill_everything(&mut self, now: Now) {
        let vanished_by = self.vanished_by(now);
        if let Some(stop) = &mut self.stop {
            stop.killed = true;
            if stop.step == Step::PreStopHooks {
                stop.step = Step::Processes;
            }
        }
        self.shared.outbox.effects.push(Effect::DropLogs);
        self.cut_set_hook(now);
        self.release_all(now);
        for at in 0..self.units.len() as u32 {
            self.with_unit(at, now, Machine::kill);
        }
        self.shared.kill_all_remains();
        self.arm_stop(vanished_by);
        if let Some(Stop {
            step: Step::Orphans { killed: false, .. },
            ..
        }) = self.stop
        {
            self.kill_orphans(now);
        }
    }

    fn kill_orphans(&mut self, now: Now) {
        let kill_at = self.vanished_by(now);
        self.set_step(Step::Orphans {
            kill_at,
            killed: true,
        });
        self.shared.kill_all_remains();
        self.shared.outbox.effects.push(Effect::DropLogs);
        self.shared.outbox.effects.push(Effect::EndOrphans {
            signal: Signal::KILL,
        });
        self.arm_stop(kill_at);
    }
}
