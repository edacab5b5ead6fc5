//! Facts into log records: the one place where podinit's own messages are worded.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::id::Label;
use crate::domain::plan::GraceSource;
use crate::domain::time::Human;
use crate::ports::{Level, Record, Value};

mod change;
mod health;
mod notice;
pub mod report;
mod sidecar;

pub use notice::told;

type Fields = Vec<(&'static str, Value)>;

/// The record of a fact.
pub fn record(fact: Fact) -> Record {
    match fact {
        Fact::ChangeApplied { .. }
        | Fact::ChangeWaits { .. }
        | Fact::ChangeRefused(_)
        | Fact::ChangeDone { .. }
        | Fact::ChangeReverted { .. } => change::record(fact),
        Fact::SidecarReady { .. }
        | Fact::SidecarStillWaiting { .. }
        | Fact::SidecarTimedOut { .. }
        | Fact::SidecarQuit { .. }
        | Fact::SidecarIsNative { .. } => sidecar::record(fact),
        Fact::PlanAccepted { .. }
        | Fact::SignalIgnored { .. }
        | Fact::AllStarted { .. }
        | Fact::HookEnded { .. }
        | Fact::HookCut { .. } => of_the_set(fact),
        Fact::StopRequested { .. }
        | Fact::StopRepeated { .. }
        | Fact::Hurried
        | Fact::DeadlineShortened { .. }
        | Fact::StopReported(_)
        | Fact::Finished { .. } => of_the_end(fact),
        Fact::Started { .. }
        | Fact::SpawnFailed { .. }
        | Fact::Exited { .. }
        | Fact::RestartScheduled { .. }
        | Fact::Completed { .. }
        | Fact::FailedForGood { .. }
        | Fact::StillWaiting { .. }
        | Fact::ActiveDeadlineExceeded { .. } => of_a_run(fact),
        Fact::DoneElsewhere { .. } | Fact::ClaimLost { .. } | Fact::ClaimUnrecorded { .. } => {
            of_a_claim(fact)
        }
        Fact::ProbeFailing { .. }
        | Fact::BecameReady { .. }
        | Fact::BecameUnready { .. }
        | Fact::Unhealthy { .. }
        | Fact::NotifyFailed { .. } => health::record(fact),
        Fact::StopSignalled { .. }
        | Fact::Killed { .. }
        | Fact::LeftoversSignalled { .. }
        | Fact::Stuck { .. } => of_a_stop(fact),
    }
}

fn of_the_set(fact: Fact) -> Record {
    match fact {
        Fact::PlanAccepted {
            name,
            origin,
            processes,
        } => {
            let mut fields = vec![
                ("processSet", text(&name)),
                ("processes", Value::Int(processes as i64)),
            ];
            // A file is the one that was named.
            if origin.object.is_some() {
                fields.extend(change::source(&origin));
            }
            about_set(Level::Info, "plan accepted".to_owned(), fields)
        }
        Fact::SignalIgnored { signal, why } => about_set(
            Level::Warn,
            format!("{signal} ignored: {why}"),
            vec![("signal", Value::Text(signal.to_string()))],
        ),
        Fact::AllStarted { took } => about_set(
            Level::Info,
            format!("all processes started in {}", Human(took)),
            vec![("seconds", seconds(took))],
        ),
        Fact::HookEnded {
            of,
            hook,
            failure,
            attempts,
            took,
        } => hook_ended(&of, &hook, failure, attempts, took),
        Fact::HookCut {
            of,
            hook,
            by,
            attempts,
            took,
        } => {
            // One that is not needed any more has not failed, and neither has one that others put an end to.
            let level = match by {
                Cut::ProcessEnded | Cut::Change => Level::Info,
                Cut::Stop | Cut::Claim => Level::Warn,
            };
            let fields = of_a_hook(&of, &hook, attempts, took);
            about_set(level, format!("hook {hook} of {of} {by}"), fields)
        }
        _ => unworded(),
    }
}

fn of_the_end(fact: Fact) -> Record {
    match fact {
        Fact::StopRequested {
            why,
            grace,
            source,
            budget,
            shrunk,
            drain: _,
        } => {
            let mut fields: Fields = vec![
                ("graceSeconds", seconds(grace)),
                ("graceSource", text(source_name(source))),
                ("budgetSeconds", seconds(budget)),
            ];
            if shrunk {
                fields.push(("claimsShortened", Value::Bool(true)));
            }
            about_set(Level::Info, format!("stopping on {why}"), fields)
        }
        Fact::StopRepeated { signal } => about_set(
            Level::Info,
            format!("{signal} again: the stop goes on"),
            vec![("signal", Value::Text(signal.to_string()))],
        ),
        Fact::Hurried => about_set(
            Level::Warn,
            "interrupted again: killing what is left".to_owned(),
            Vec::new(),
        ),
        Fact::DeadlineShortened { budget, shrunk } => {
            let mut fields: Fields = vec![("budgetSeconds", seconds(budget))];
            if shrunk {
                fields.push(("claimsShortened", Value::Bool(true)));
            }
            about_set(
                Level::Info,
                format!("the pod ends earlier: {} in all", Human(budget)),
                fields,
            )
        }
        Fact::StopReported(stop) => report::record(&stop),
        Fact::Finished {
            code,
            reason,
            used,
            orphans,
            runs,
            exits,
        } => about_set(
            if code == 0 { Level::Info } else { Level::Error },
            format!("finished: {reason}"),
            vec![
                ("exitCode", Value::Int(i64::from(code))),
                ("stopSeconds", seconds(used)),
                ("runs", Value::Int(runs as i64)),
                ("exits", Value::Int(exits as i64)),
                ("orphansReaped", Value::Int(orphans as i64)),
            ],
        ),
        _ => unworded(),
    }
}

fn hook_ended(
    of: &str,
    hook: &str,
    failure: Option<String>,
    attempts: u32,
    took: Duration,
) -> Record {
    let mut fields = of_a_hook(of, hook, attempts, took);
    match failure {
        None => about_set(Level::Info, format!("hook {hook} of {of} done"), fields),
        Some(why) => {
            fields.push(("error", Value::Text(why.clone())));
            about_set(
                Level::Error,
                format!("hook {hook} of {of} failed: {why}"),
                fields,
            )
        }
    }
}

fn of_a_hook(of: &str, hook: &str, attempts: u32, took: Duration) -> Fields {
    vec![
        ("hook", text(hook)),
        ("of", text(of)),
        ("attempts", Value::Int(i64::from(attempts))),
        ("seconds", seconds(took)),
    ]
}

fn of_a_run(fact: Fact) -> Record {
    match fact {
        Fact::Started {
            label,
            pid,
            restarts,
        } => about(
            Level::Info,
            label,
            "started".to_owned(),
            vec![
                ("pid", Value::Int(i64::from(pid))),
                ("restarts", Value::Int(restarts as i64)),
            ],
        ),
        Fact::SpawnFailed { label, failure } => {
            about(Level::Error, label, failure.to_string(), Vec::new())
        }
        Fact::Exited {
            label,
            pid,
            exit,
            success,
            lived,
            usage,
            left,
        } => about(
            if success { Level::Info } else { Level::Warn },
            label,
            format!("exited after {}: {exit}", Human(lived)),
            vec![
                ("pid", Value::Int(i64::from(pid))),
                ("exitCode", Value::Int(i64::from(exit.shell_code()))),
                ("seconds", seconds(lived)),
                ("cpuSeconds", seconds(usage.user + usage.system)),
                ("maxRssBytes", Value::Int(usage.max_rss as i64)),
                ("leftBehind", Value::Int(i64::from(left))),
            ],
        ),
        Fact::RestartScheduled {
            label,
            delay,
            attempt,
            after: _,
        } => about(
            Level::Info,
            label,
            if delay.is_zero() {
                "restarting at once".to_owned()
            } else {
                format!("restarting in {}", Human(delay))
            },
            vec![
                ("delaySeconds", seconds(delay)),
                ("attempt", Value::Int(i64::from(attempt))),
            ],
        ),
        Fact::Completed { label } => about(Level::Info, label, "completed".to_owned(), Vec::new()),
        Fact::FailedForGood { label, why } => about(
            Level::Error,
            label,
            format!("failed for good: {why}"),
            Vec::new(),
        ),
        Fact::StillWaiting { label, on } => about(
            Level::Warn,
            label,
            format!("still waiting for {on}"),
            vec![("waitingFor", Value::Text(on))],
        ),
        Fact::ActiveDeadlineExceeded { label, limit } => about(
            Level::Warn,
            label,
            format!("ran longer than activeDeadlineSeconds {}", limit.as_secs()),
            Vec::new(),
        ),
        _ => unworded(),
    }
}

fn of_a_claim(fact: Fact) -> Record {
    match fact {
        Fact::DoneElsewhere { label } => about(
            Level::Info,
            label,
            "not run: it has succeeded in another pod".to_owned(),
            Vec::new(),
        ),
        Fact::ClaimLost { label } => about(
            Level::Error,
            label,
            "stopped: its claim could not be renewed, and another pod may run it".to_owned(),
            Vec::new(),
        ),
        Fact::ClaimUnrecorded { label } => about(
            Level::Warn,
            label,
            "its success could not be written: another pod runs it again".to_owned(),
            Vec::new(),
        ),
        _ => unworded(),
    }
}

fn of_a_stop(fact: Fact) -> Record {
    match fact {
        Fact::StopSignalled {
            label,
            signal,
            target,
            grace,
        } => about(
            Level::Info,
            label,
            format!("stopping with {signal}"),
            vec![
                ("signal", Value::Text(signal.to_string())),
                ("target", Value::Text(format!("{target:?}"))),
                ("graceSeconds", seconds(grace)),
            ],
        ),
        Fact::Killed { label, by_deadline } => about(
            Level::Warn,
            label,
            if by_deadline {
                "killed: the deadline of the set has come".to_owned()
            } else {
                "killed: its grace period is over".to_owned()
            },
            vec![("byDeadline", Value::Bool(by_deadline))],
        ),
        Fact::LeftoversSignalled { label, signal } => about(
            Level::Info,
            label,
            format!("ending what it left behind with {signal}"),
            vec![("signal", Value::Text(signal.to_string()))],
        ),
        Fact::Stuck { label } => about(
            Level::Error,
            label,
            "stuck: still there after SIGKILL".to_owned(),
            Vec::new(),
        ),
        _ => unworded(),
    }
}

/// Unreachable: [`record`] sends each fact to the function that words it, and a test words them all.
fn unworded() -> Record {
    debug_assert!(false, "a fact without words");
    about_set(Level::Error, "a fact without words".to_owned(), Vec::new())
}

fn about(level: Level, label: Arc<Label>, message: String, fields: Fields) -> Record {
    Record {
        level,
        label: Some(label),
        message,
        fields,
        lines: Vec::new(),
    }
}

fn about_set(level: Level, message: String, fields: Fields) -> Record {
    Record {
        level,
        label: None,
        message,
        fields,
        lines: Vec::new(),
    }
}

fn source_name(source: GraceSource) -> &'static str {
    match source {
        GraceSource::Environment => "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS",
        GraceSource::Spec => "spec.terminationGracePeriodSeconds",
        GraceSource::Default => "default",
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn seconds(time: Duration) -> Value {
    Value::Float((time.as_secs_f64() * 1e6).round() / 1e6)
}
