//! What a snapshot looks like as the status of a ProcessReport. Pure.

use std::sync::Arc;

use super::super::rfc3339;
use crate::domain::exit::Exit;
use crate::domain::plan::{Kind, ProbeKind};
use crate::domain::process::phase::{PhaseKind, RunEnd, StopReason};
use crate::domain::snapshot::{InstanceView, LastRun, ProcessView, Snapshot};
use crate::domain::time::Wall;
use crate::spec::v1alpha1::{
    Condition, ConditionStatus, LastExit, Phase, ProcessReportStatus, ProcessState,
};

/// What no snapshot knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra<'a> {
    pub(super) pod: &'a str,
    pub(super) container: &'a str,
    pub(super) process_set: &'a str,
    /// The generation that this pod takes late.
    pub(super) late: Option<i64>,
    pub(super) now: Wall,
}

/// Why a pod is not in the middle of a change: it has proved its spec.
pub(in crate::cluster) const SETTLED: &str = "Settled";

/// Longest message of a process, in characters.
const MESSAGE: usize = 1024;
/// Longest message of a condition.
const LONG_MESSAGE: usize = 4096;

/// The status; conditions that did not change keep their time.
pub(super) fn status(
    snapshot: &Snapshot,
    before: Option<&ProcessReportStatus>,
    extra: &Extra<'_>,
) -> ProcessReportStatus {
    let all = || snapshot.processes.iter();
    let services = || all().filter(|process| process.kind == Kind::Service);
    let desired: usize = services().map(|process| process.instances.len()).sum();
    let ready: usize = services().map(|process| ready_of(process)).sum();
    let restarts: u64 = all().map(|process| restarts_of(process)).sum();
    // An init process that has run keeps its place, also when a change gave its name to another one. No name may be there twice.
    let is_shown = |one: &&Arc<ProcessView>| {
        one.kind == Kind::Service || !services().any(|service| service.name == one.name)
    };
    let object = snapshot.spec.origin.object.as_ref();
    ProcessReportStatus {
        pod: extra.pod.to_owned(),
        container: extra.container.to_owned(),
        process_set: extra.process_set.to_owned(),
        observed_generation: object.map(|object| object.generation),
        observed_uid: object.map(|object| object.uid.to_string()),
        refused_uid: (snapshot.spec.refused.as_ref())
            .and_then(|refused| refused.origin.object.as_ref())
            .map(|object| object.uid.to_string()),
        late_for: extra.late,
        phase: phase(snapshot),
        ready: format!("{ready}/{desired}"),
        restarts: number(restarts),
        processes: all()
            .filter(is_shown)
            .map(|process| state(process))
            .collect(),
        cron: Vec::new(),
        conditions: conditions(snapshot, before, extra.now),
    }
}

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn ready_of(process: &ProcessView) -> usize {
    process.instances.iter().filter(|one| one.ready).count()
}

fn restarts_of(process: &ProcessView) -> u64 {
    process.instances.iter().map(|one| one.restarts).sum()
}

fn phase(snapshot: &Snapshot) -> Phase {
    let instances = || snapshot.processes.iter().flat_map(|one| &one.instances);
    let failed = || instances().any(|one| one.phase == PhaseKind::Failed);
    if snapshot.gone {
        return Phase::Stopped;
    }
    if snapshot.stopping.is_some() {
        let asked = |one: &InstanceView| {
            use PhaseKind as P;
            matches!(
                one.phase,
                P::PreStop | P::Signalled | P::Killed | P::Stuck | P::Clearing | P::PostStop
            )
        };
        return if instances().any(asked) {
            Phase::Stopping
        } else if instances().any(|one| one.phase == PhaseKind::Running) {
            Phase::Draining
        } else {
            Phase::Stopped
        };
    }
    if failed() {
        Phase::Degraded
    } else if instances().all(|one| one.started) {
        Phase::Running
    } else {
        Phase::Starting
    }
}

fn state(process: &ProcessView) -> ProcessState {
    let last = process.instances.iter().filter_map(|one| one.last.as_ref());
    let last = last.max_by_key(|last| last.at);
    let unwell = process.instances.iter().find(|one| !one.ready);
    let message = unwell.and_then(|one| {
        let message = one.message.as_ref()?;
        Some(short(&format!("{}: {message}", one.label), MESSAGE))
    });
    ProcessState {
        name: process.name.to_string(),
        replicas: number(process.instances.len() as u64),
        ready: number(ready_of(process) as u64),
        restarts: number(restarts_of(process)),
        last_exit: last.and_then(last_exit),
        message,
    }
}

fn last_exit(last: &LastRun) -> Option<LastExit> {
    let (code, signal) = match last.how {
        RunEnd::Exit(Exit::Code(code)) => (Some(i32::from(code)), None),
        RunEnd::Exit(Exit::Signal { signal, .. }) => (None, Some(signal.to_string())),
        RunEnd::SpawnFailed(_) | RunEnd::PreStartFailed => return None,
    };
    let reason = last.why.map(|why| match why {
        StopReason::Requested => "Stopped",
        StopReason::ActiveDeadline => "ActiveDeadline",
        StopReason::PostStartFailed => "PostStartHook",
        StopReason::Changed => "Changed",
        StopReason::ClaimLost => "ClaimLost",
        StopReason::Unhealthy(ProbeKind::Startup) => "StartupProbe",
        StopReason::Unhealthy(ProbeKind::Liveness) => "LivenessProbe",
        StopReason::Unhealthy(ProbeKind::Readiness) => "ReadinessProbe",
    });
    Some(LastExit {
        code,
        signal,
        at: rfc3339(last.at),
        reason: reason.map(str::to_owned),
    })
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn conditions(
    snapshot: &Snapshot,
    before: Option<&ProcessReportStatus>,
    now: Wall,
) -> Vec<Condition> {
    let spec = &snapshot.spec;
    let generation = spec.origin.object.as_ref().map(|object| object.generation);
    let mut all = Vec::new();
    let (holds, reason, message, of) = match &spec.refused {
        Some(refused) => (
            false,
            refused.reason,
            short(&refused.message, LONG_MESSAGE),
            refused
                .origin
                .object
                .as_ref()
                .map(|object| object.generation),
        ),
        None => (true, "Valid", String::new(), generation),
    };
    all.push(condition("Accepted", holds, (reason, message), of));
    let why = snapshot
        .processes
        .iter()
        .find_map(|one| one.marks_unready.clone());
    let (reason, message) = match (&snapshot.stopping, why, snapshot.ready) {
        (_, _, true) => ("AllReady", String::new()),
        (Some(stopping), ..) => ("Stopping", stopping.to_string()),
        (None, Some(why), _) => ("ProcessFailed", why.to_string()),
        (None, None, _) if spec.changing => ("Changing", String::new()),
        (None, None, _) => ("NotReady", unready(snapshot)),
    };
    let message = short(&message, LONG_MESSAGE);
    all.push(condition(
        "Ready",
        snapshot.ready,
        (reason, message),
        generation,
    ));
    let failed: Vec<String> = (snapshot.processes.iter())
        .flat_map(|one| &one.instances)
        .filter(|one| one.phase == PhaseKind::Failed)
        .map(|one| {
            let why = one.message.as_deref().unwrap_or("failed for good");
            format!("{}: {why}", one.label)
        })
        .collect();
    let reason = if failed.is_empty() {
        "AsExpected"
    } else {
        "ProcessFailed"
    };
    let message = short(&failed.join("; "), LONG_MESSAGE);
    all.push(condition(
        "Degraded",
        !failed.is_empty(),
        (reason, message),
        generation,
    ));
    // What was not read from the API server is never on trial.
    let good = spec.good || spec.origin.object.is_none();
    let moving = snapshot.stopping.is_none() && (spec.changing || !good);
    // The end of a pod that was never ready for long may be the doing of its spec.
    let reason = match (moving, spec.changing, good) {
        (true, true, _) => "Changing",
        (true, false, _) => "Starting",
        (false, _, true) => SETTLED,
        (false, _, false) => "Interrupted",
    };
    let message = match &spec.waits {
        Some(waits) => format!("generation {} waits for its turn", waits.generation),
        None => String::new(),
    };
    all.push(condition(
        "Progressing",
        moving,
        (reason, message),
        generation,
    ));
    keep_times(&mut all, before, now);
    all
}

/// What did not change keeps its time.
fn keep_times(all: &mut [Condition], before: Option<&ProcessReportStatus>, now: Wall) {
    for condition in all {
        let known = before.and_then(|before| {
            let mut known = before.conditions.iter();
            known.find(|known| known.kind == condition.kind)
        });
        condition.last_transition_time = match known {
            Some(known) if known.status == condition.status => known.last_transition_time.clone(),
            _ => rfc3339(now),
        };
    }
}

/// Who is not ready, and why.
fn unready(snapshot: &Snapshot) -> String {
    let mut names = Vec::new();
    for one in snapshot.processes.iter().flat_map(|one| &one.instances) {
        if !one.ready {
            names.push(match &one.message {
                Some(message) => format!("{}: {message}", one.label),
                None => format!("{}: {:?}", one.label, one.phase),
            });
        }
    }
    names.join("; ")
}

fn condition(
    kind: &str,
    holds: bool,
    (reason, message): (&str, String),
    generation: Option<i64>,
) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        },
        observed_generation: generation,
        last_transition_time: String::new(),
        reason: reason.to_owned(),
        message,
    }
}
