//! Facts into notices: what a person who looks after the pod is told by an Event of Kubernetes. Reasons are Kubernetes'
//! own words where it has one.

use std::sync::Arc;

use super::record;
use crate::domain::fact::Fact;
use crate::domain::time::Human;
use crate::ports::Notice;

/// So many restarts in a row are a crash loop.
const LOOP: u32 = 3;

const NORMAL: bool = false;
const WARNING: bool = true;

/// What a fact is to people; `None`: nothing they need to be told.
pub fn notice(fact: &Fact) -> Option<Notice> {
    let (warning, reason, action) = kind(fact)?;
    let (about, note) = match fact {
        Fact::RestartScheduled {
            label,
            delay,
            after,
            ..
        } => {
            let when = if delay.is_zero() {
                "at once".to_owned()
            } else {
                format!("in {}", Human(*delay))
            };
            (
                Some(Arc::clone(label)),
                format!("{after}; restarting {when}"),
            )
        }
        Fact::StopRequested {
            why, grace, drain, ..
        } => {
            let drain = if drain.is_zero() {
                String::new()
            } else {
                format!(", drain {}", Human(*drain))
            };
            (
                None,
                format!("stopping on {why}: grace {}{drain}", Human(*grace)),
            )
        }
        Fact::ChangeRefused(refusal) => {
            let problems = refusal.message.replace('\n', "; ");
            (None, format!("{}: {problems}", refusal.reason))
        }
        other => {
            let record = record(other.clone());
            (record.label, record.message)
        }
    };
    let note = match &about {
        Some(label) => format!("{}: {note}", label.instance),
        None => note,
    };
    Some(Notice {
        warning,
        reason,
        action,
        about,
        note,
    })
}

/// Whether it is a warning, the reason, what podinit was doing.
fn kind(fact: &Fact) -> Option<(bool, &'static str, &'static str)> {
    Some(match fact {
        Fact::SpawnFailed { .. } => (WARNING, "FailedStart", "Starting"),
        Fact::RestartScheduled { attempt, .. } if *attempt >= LOOP => {
            (WARNING, "BackOff", "Restarting")
        }
        Fact::RestartScheduled { .. } => (NORMAL, "Restarting", "Restarting"),
        Fact::FailedForGood { .. } => (WARNING, "Failed", "Restarting"),
        Fact::ActiveDeadlineExceeded { .. } => (WARNING, "DeadlineExceeded", "Stopping"),
        Fact::Unhealthy { .. } | Fact::BecameUnready { .. } => (WARNING, "Unhealthy", "Probing"),
        Fact::Killed { .. } => (WARNING, "Killed", "Killing"),
        Fact::Stuck { .. } => (WARNING, "Stuck", "Killing"),
        Fact::HookEnded {
            hook,
            failure: Some(_),
            ..
        } => match &**hook {
            "postStart" => (WARNING, "FailedPostStartHook", "Starting"),
            "preStart" => (WARNING, "FailedPreStartHook", "Starting"),
            "preStop" => (WARNING, "FailedPreStopHook", "Stopping"),
            "postStop" => (WARNING, "FailedPostStopHook", "Stopping"),
            // One of the set's, with a name of its own.
            _ => (WARNING, "FailedHook", "Running"),
        },
        Fact::SidecarTimedOut { .. } => (WARNING, "SidecarNotReady", "Starting"),
        Fact::ChangeApplied { .. } => (NORMAL, "Updating", "Updating"),
        Fact::ChangeRefused(_) => (WARNING, "FailedUpdate", "Updating"),
        Fact::ChangeReverted { .. } => (WARNING, "ProgressDeadlineExceeded", "Updating"),
        Fact::StopRequested { drain, .. } if drain.is_zero() => (NORMAL, "Stopping", "Stopping"),
        Fact::StopRequested { .. } => (NORMAL, "Draining", "Stopping"),
        _ => return None,
    })
}
