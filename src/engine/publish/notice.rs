//! Facts into notices: what a person who looks after the pod is told by an Event of Kubernetes. Reasons are Kubernetes'
//! own words where it has one.

use super::record;
use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::time::Human;
use crate::ports::{Notice, Record};

/// So many restarts in a row are a crash loop.
const LOOP: u32 = 3;

const NORMAL: bool = false;
const WARNING: bool = true;

/// What a notice says that the record of the same fact does not.
enum Words {
    /// Nothing.
    Same,
    /// This, before it.
    Before(String),
    /// This, behind it.
    Behind(String),
    /// This, in its place.
    Instead(String),
}

/// The record of a fact, and the notice for people if there is something they need to be told.
pub fn told(fact: Fact) -> (Record, Option<Notice>) {
    let Some((warning, reason, action)) = kind(&fact) else {
        return (record(fact), None);
    };
    let words = words(&fact);
    let record = record(fact);
    let said = &record.message;
    let note = match words {
        Words::Same => said.clone(),
        Words::Before(words) => words + said,
        Words::Behind(words) => format!("{said}{words}"),
        Words::Instead(words) => words,
    };
    let note = match &record.label {
        Some(label) => format!("{}: {note}", label.instance),
        None => note,
    };
    let notice = Notice {
        warning,
        reason,
        action,
        about: record.label.clone(),
        note,
    };
    (record, Some(notice))
}

fn words(fact: &Fact) -> Words {
    match fact {
        Fact::RestartScheduled { after, .. } => Words::Before(format!("{after}; ")),
        Fact::StopRequested { grace, drain, .. } => {
            let drain = if drain.is_zero() {
                String::new()
            } else {
                format!(", drain {}", Human(*drain))
            };
            Words::Behind(format!(": grace {}{drain}", Human(*grace)))
        }
        Fact::ChangeRefused(refusal) => {
            let problems = refusal.message.replace('\n', "; ");
            Words::Instead(format!("{}: {problems}", refusal.reason))
        }
        _ => Words::Same,
    }
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
        }
        | Fact::HookCut {
            hook,
            by: Cut::Stop | Cut::Claim,
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
