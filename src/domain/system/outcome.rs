//! The exit code and the words for it. Precedence when several hold: 76, a forwarded code, 75, 69, 124, 143, 0.

use std::sync::Arc;
use std::time::Duration;

use super::stop::Cause;
use super::{Outcome, System, is_init};
use crate::domain::exit::{SpawnFailure, SpawnStep};
use crate::domain::id::Label;
use crate::domain::plan::{Mode, RestartPolicy};
use crate::domain::process::phase::{Ended, PhaseKind, RunEnd};
use crate::domain::time::Now;

/// An init process or a set's start hook with `Fail` failed.
const START_FAILED: u8 = 76;
/// A process with `ExitSet` could never be started.
const NEVER_STARTED: u8 = 75;
/// A sidecar was not ready in time.
const UNAVAILABLE: u8 = 69;
/// The set's deadline forced a KILL.
const DEADLINE: u8 = 124;
/// Stopped on request with something left undone.
const UNDONE: u8 = 143;

/// Logs get at least so long at the end, if the grace period has it left.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// And if so little time has passed: the kubelet lets no grace period be shorter than 2 s (`minimumGracePeriodInSeconds`
/// of its kuberuntime), and one of 0 would leave nothing to write the report in.
const SHORTEST: Duration = Duration::from_secs(1);

/// What has been decided about the end so far. The first of each kind counts; of the failures, of those that no change has
/// mended.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    start_failed: Option<(String, Option<Arc<Label>>)>,
    exit_set: Option<Ending>,
    unavailable: Option<String>,
    /// One an instance, in their order.
    failures: Vec<Ending>,
}

#[derive(Debug)]
struct Ending {
    label: Arc<Label>,
    code: u8,
    reason: String,
}

/// The code that a run passes on; `None` when nothing ran.
pub(super) fn code_of(ended: &Ended) -> Option<u8> {
    match ended.how {
        RunEnd::Exit(exit) => Some(exit.shell_code()),
        RunEnd::SpawnFailed(_) | RunEnd::PreStartFailed => None,
    }
}

impl Verdict {
    /// Nothing has failed so far.
    pub(super) fn is_success(&self) -> bool {
        let failed =
            self.start_failed.is_some() || self.unavailable.is_some() || !self.failures.is_empty();
        !failed && self.exit_set.as_ref().is_none_or(|ending| ending.code == 0)
    }

    pub(super) fn start_failed(&mut self, reason: String, about: Option<Arc<Label>>) {
        self.start_failed.get_or_insert((reason, about));
    }

    pub(super) fn unavailable(&mut self, reason: String) {
        self.unavailable.get_or_insert(reason);
    }

    pub(super) fn exit_set(
        &mut self,
        label: Arc<Label>,
        code: Option<u8>,
        spawned: bool,
        reason: String,
    ) {
        let code = failure_code(code, spawned);
        self.exit_set.get_or_insert(Ending {
            label,
            code,
            reason,
        });
    }

    pub(super) fn exit_on_success(&mut self, label: Arc<Label>, reason: String) {
        self.exit_set.get_or_insert(Ending {
            label,
            code: 0,
            reason,
        });
    }

    pub(super) fn note_failure(
        &mut self,
        label: &Arc<Label>,
        code: Option<u8>,
        spawned: bool,
        reason: String,
    ) {
        self.failures.retain(|known| known.label != *label);
        self.failures.push(Ending {
            label: Arc::clone(label),
            code: failure_code(code, spawned),
            reason,
        });
    }

    /// Only these failures decide anything any more.
    pub(super) fn keep_failures(&mut self, of: impl Fn(&Label) -> bool) {
        self.failures.retain(|known| of(&known.label));
    }
}

/// What never ran has no code to pass on. A run that failed although it ended with 0 (it passed its
/// activeDeadlineSeconds, say) gives 1: 0 would call it a success.
fn failure_code(code: Option<u8>, spawned: bool) -> u8 {
    match code {
        Some(0) => 1,
        Some(code) => code,
        None if spawned => 1,
        None => NEVER_STARTED,
    }
}

impl System {
    /// The end, as things stand.
    pub(super) fn outcome(&self, now: Now) -> Outcome {
        // What is logged is written out until we must be done; and for a moment longer, out of the tail, when the end
        // took all there was.
        let until = self.stop.as_ref().map_or(now.mono, |stop| {
            let end = stop.deadlines.end.max(stop.deadlines.t0 + SHORTEST);
            let least = (now.mono + LAST_WORDS).min(end);
            stop.deadlines.finish_by.max(least)
        });
        let (code, reason, about) = self.code();
        Outcome {
            code,
            reason,
            about,
            report: None,
            until,
        }
    }

    fn code(&self) -> (u8, String, Option<Arc<Label>>) {
        if let Some((reason, about)) = &self.verdict.start_failed {
            return (START_FAILED, reason.clone(), about.clone());
        }
        if self.is_command() {
            return self.command_code();
        }
        if let Some(Ending {
            label,
            code,
            reason,
        }) = &self.verdict.exit_set
        {
            return (*code, reason.clone(), Some(Arc::clone(label)));
        }
        if let Some(reason) = &self.verdict.unavailable {
            return (UNAVAILABLE, reason.clone(), None);
        }
        let requested = self.stop.as_ref().and_then(|stop| match &stop.cause {
            Cause::Requested(why) => Some(why.as_str()),
            Cause::Done | Cause::ExitSet(_) | Cause::StartFailed(_) => None,
        });
        let Some(why) = requested else {
            return match self.verdict.failures.first() {
                Some(first) => (
                    first.code,
                    first.reason.clone(),
                    Some(Arc::clone(&first.label)),
                ),
                None => (0, "all processes completed".to_owned(), None),
            };
        };
        if let Some(unit) = self
            .units
            .iter()
            .find(|unit| unit.machine.killed_by_deadline() || !unit.machine.is_over())
        {
            let label = self.plan.as_ref().map(|plan| &plan.instance(unit.id).label);
            let reason = format!("stopped by {why}; the deadline forced a SIGKILL");
            return (DEADLINE, reason, label.cloned());
        }
        match self.undone() {
            Some(name) => (
                UNDONE,
                format!("stopped by {why} before {name} had completed"),
                None,
            ),
            None => (0, format!("stopped by {why}"), None),
        }
    }

    /// A process that was to complete and did not.
    fn undone(&self) -> Option<String> {
        let Some(plan) = &self.plan else {
            return Some("anything".to_owned());
        };
        self.units.iter().find_map(|unit| {
            let process = plan.process(unit.id.process);
            let once = is_init(process.kind) || process.restart.policy != RestartPolicy::Always;
            let completed = unit.machine.phase().kind() == PhaseKind::Completed;
            (once && !completed && !unit.machine.is_retired()).then(|| process.name.to_string())
        })
    }

    /// `--` mode: the child's own code, whatever we did to it. It is about the child only when there was none.
    fn command_code(&self) -> (u8, String, Option<Arc<Label>>) {
        debug_assert_eq!(
            self.plan.as_ref().map(|plan| plan.mode),
            Some(Mode::Command)
        );
        let undone = || (UNDONE, "stopped before it began".to_owned(), None);
        let (Some(plan), Some(unit)) = (&self.plan, self.units.first()) else {
            return undone();
        };
        match unit.machine.last().map(|ended| ended.how) {
            Some(RunEnd::Exit(exit)) => (exit.shell_code(), exit.to_string(), None),
            Some(RunEnd::SpawnFailed(failure)) => {
                let instance = plan.instance(unit.id);
                let command = instance.launch.argv.first();
                let command = command.map_or_else(String::new, |c| c.to_string_lossy().into());
                let label = Some(Arc::clone(&instance.label));
                (unexecutable(failure), failure.of(&command), label)
            }
            Some(RunEnd::PreStartFailed) | None => undone(),
        }
    }
}

/// 127 for a command that was not found, 126 for one that could not be executed, as shells do.
fn unexecutable(failure: SpawnFailure) -> u8 {
    const ENOENT: i32 = 2;
    match failure {
        SpawnFailure {
            step: SpawnStep::Exec,
            errno: ENOENT,
        } => 127,
        _ => 126,
    }
}
