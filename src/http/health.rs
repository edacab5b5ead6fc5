//! What the pod's probes are told: from a snapshot to a verdict and the words for it.
//!
//! The verdict is the snapshot's; the lines say why. Without `?verbose` an answer is `ok`, or the lines that hold the pod
//! back; with it there is a line for everything, as kube-apiserver has them, `[+]` and `[-]` for what decides and `[ ]`
//! for what does not, and the verdict last.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::domain::plan::{Kind, Traffic};
use crate::domain::process::phase::PhaseKind;
use crate::domain::sidecar::State;
use crate::domain::snapshot::{InstanceView, ProcessView, SidecarView, Snapshot};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Whether the start is over.
    Startup,
    /// Whether the pod takes requests.
    Ready,
    /// Whether podinit itself works: the instances do not matter.
    Live,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::Startup => "startupz",
            Check::Ready => "readyz",
            Check::Live => "livez",
        }
    }

    /// What is said of whatever holds it back.
    fn missing(self) -> &'static str {
        match self {
            Check::Startup => "not started",
            Check::Ready => "not ready",
            Check::Live => "not alive",
        }
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) passed: bool,
    pub(super) body: String,
}

/// One thing that was looked at.
struct Line<'a> {
    name: &'a str,
    /// Why it is not as it should be; `None`: it is.
    why: Option<String>,
    /// It holds the pod back when it is not.
    decides: bool,
    /// Said behind it.
    remark: &'static str,
    /// What it says of itself when nothing is wrong.
    said: Option<Arc<str>>,
}

/// Whether the start is over.
pub(super) fn startup(snapshot: &Snapshot, verbose: bool) -> Verdict {
    let mut lines = vec![plan(snapshot)];
    lines.extend(snapshot.sidecars.iter().map(sidecar));
    let waits = waits(snapshot);
    for process in &snapshot.processes {
        lines.extend(instances(process, Check::Startup, waits.as_deref()));
    }
    verdict(Check::Startup, snapshot.started, lines, verbose)
}

/// Whether the pod takes requests.
pub(super) fn ready(snapshot: &Snapshot, verbose: bool) -> Verdict {
    let stopping = snapshot.stopping.as_ref();
    let mut lines = vec![
        plan(snapshot),
        deciding("shutdown", stopping.map(|why| format!("stopping on {why}"))),
    ];
    lines.extend(snapshot.sidecars.iter().map(sidecar));
    let waits = waits(snapshot);
    for process in &snapshot.processes {
        if let Some(why) = &process.marks_unready {
            lines.push(deciding(&process.name, Some(why.to_string())));
        }
        lines.extend(instances(process, Check::Ready, waits.as_deref()));
    }
    verdict(Check::Ready, snapshot.ready, lines, verbose)
}

/// Whether podinit itself works: `engine` is why it does not.
pub(super) fn live(engine: Option<&'static str>, snapshot: &Snapshot, verbose: bool) -> Verdict {
    let mut lines = vec![deciding("engine", engine.map(str::to_owned))];
    let waits = waits(snapshot);
    for process in &snapshot.processes {
        lines.extend(instances(process, Check::Live, waits.as_deref()));
    }
    verdict(Check::Live, engine.is_none(), lines, verbose)
}

fn verdict(check: Check, passed: bool, mut lines: Vec<Line<'_>>, verbose: bool) -> Verdict {
    let holds = |line: &Line<'_>| line.decides && line.why.is_some();
    if passed {
        // It may have been so once and for all, as with what has started.
        for line in lines.iter_mut().filter(|line| holds(line)) {
            line.decides = false;
        }
    } else if !lines.iter().any(holds) {
        lines.push(deciding("set", Some("not yet".to_owned())));
    }
    let mut body = String::new();
    for line in &lines {
        if verbose {
            let mark = match (line.decides, &line.why) {
                (false, _) => "[ ]",
                (true, None) => "[+]",
                (true, Some(_)) => "[-]",
            };
            body.push_str(mark);
        } else if !holds(line) {
            continue;
        }
        // Writing into a String cannot fail.
        let _ = match &line.why {
            None => match &line.said {
                Some(said) => writeln!(body, "{} ok{}: {said}", line.name, line.remark),
                None => writeln!(body, "{} ok{}", line.name, line.remark),
            },
            Some(why) => writeln!(
                body,
                "{} {}: {why}{}",
                line.name,
                check.missing(),
                line.remark
            ),
        };
    }
    if verbose {
        let ended = if passed { "passed" } else { "failed" };
        let _ = writeln!(body, "{} check {ended}", check.name());
    } else if passed {
        body.push_str("ok\n");
    }
    Verdict { passed, body }
}

fn deciding(name: &str, why: Option<String>) -> Line<'_> {
    Line {
        name,
        why,
        decides: true,
        remark: "",
        said: None,
    }
}

fn plan(snapshot: &Snapshot) -> Line<'_> {
    let loading = "the ProcessSet is being loaded".to_owned();
    deciding("plan", (!snapshot.loaded).then_some(loading))
}

/// One that was not ready in time holds nobody back any more: the set started without it.
fn sidecar(sidecar: &SidecarView) -> Line<'_> {
    let said = sidecar.message.as_deref().unwrap_or("no answer yet");
    Line {
        name: &sidecar.name,
        why: match sidecar.state {
            State::Waiting => Some(format!("startupProbe: {}", in_one_line(said))),
            State::TimedOut => Some(format!("was not in time: {}", in_one_line(said))),
            State::Ready => None,
        },
        decides: sidecar.state != State::TimedOut,
        remark: " (sidecar)",
        said: None,
    }
}

/// What those wait for who wait at all, while there are sidecars that are not ready.
fn waits(snapshot: &Snapshot) -> Option<String> {
    let waiting = |one: &&SidecarView| one.state == State::Waiting;
    let names: Vec<&str> = (snapshot.sidecars.iter().filter(waiting))
        .map(|one| &*one.name)
        .collect();
    let word = match names.len() {
        0 => return None,
        1 => "sidecar",
        _ => "sidecars",
    };
    Some(format!("waits for {word} {}", names.join(", ")))
}

fn instances<'s>(
    process: &'s ProcessView,
    check: Check,
    waits: Option<&'s str>,
) -> impl Iterator<Item = Line<'s>> {
    let (decides, remark) = match (check, process.kind, process.traffic) {
        (Check::Live, ..) => (false, ""),
        (_, Kind::Init { .. }, _) => (true, " (init process)"),
        (_, Kind::Service, Traffic::Serving) => (true, ""),
        (_, Kind::Service, Traffic::Background) => (false, " (Background)"),
    };
    process.instances.iter().map(move |instance| {
        let (is_fine, decides) = match process.kind {
            // One that failed for good and holds nobody up has been counted as done.
            Kind::Init { .. } => (
                instance.phase == PhaseKind::Completed,
                decides && instance.phase != PhaseKind::Failed,
            ),
            Kind::Service if check == Check::Startup => (instance.started, decides),
            Kind::Service => (instance.ready, decides),
        };
        Line {
            name: &instance.label.instance,
            why: (!is_fine).then(|| why(instance, waits)),
            decides,
            remark,
            said: instance.message.clone().filter(|_| is_fine),
        }
    })
}

/// An answer has one line for each thing.
fn in_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Why an instance is not as it should be: what it says of itself, else where it is.
fn why(instance: &InstanceView, waits: Option<&str>) -> String {
    if let Some(message) = &instance.message {
        return in_one_line(message);
    }
    let where_it_is = match instance.phase {
        PhaseKind::Waiting => waits.unwrap_or("waits for its dependencies"),
        PhaseKind::Claiming => "waits for its turn",
        PhaseKind::PreStart => "its preStart hook runs",
        PhaseKind::Spawning => "is being started",
        PhaseKind::Running => "runs, and is not as far yet",
        PhaseKind::PreStop => "its preStop hook runs",
        PhaseKind::Signalled => "was asked to stop",
        PhaseKind::Killed => "was killed",
        PhaseKind::Stuck => "is stuck: SIGKILL did not end it",
        PhaseKind::Clearing => "what it left behind is being ended",
        PhaseKind::PostStop => "its postStop hook runs",
        PhaseKind::Backoff => "waits to be restarted",
        PhaseKind::Completed => "completed",
        PhaseKind::Failed => "failed for good",
        PhaseKind::Stopped => "stopped",
    };
    where_it_is.to_owned()
}

#[cfg(test)]
mod tests;
