//! What differs between the plan in force and a newer one, field by field, and what each difference does to runs.
//!
//! Plans are compared, not specs: a variable of the set, a file that a spec names and a default count for what they do to
//! each process. Init processes, directories, the set's start hooks and the wait for sidecars have done their work: what
//! changes there holds from the next start of the container on. [`table`] has the same by the fields of v1alpha1; a test
//! holds the two together.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Check, Instance, Kind, Launch, LogRule, OnFailure, OnSuccess, OnTimeout, Plan, Probe, Probes,
    Process, Request, Traffic,
};
use crate::domain::id::Label;
use table::Turn;

mod same;
pub mod table;
#[cfg(test)]
mod tests;

/// What a newer plan changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// One entry a process that changes, in the order of the newer plan; those that go come last.
    pub processes: Vec<ProcessDiff>,
    /// Fields of the set that change in place.
    pub set: Vec<&'static str>,
    /// Fields that hold from the next start of the container on.
    pub later: Vec<&'static str>,
}

/// What changes in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDiff {
    /// Which.
    pub name: Arc<str>,
    /// What happens.
    pub step: Step,
    /// The fields that differ, those that need another run first; none for one that comes or goes.
    pub fields: Vec<&'static str>,
    /// It can make a pod unready that is ready now: by a run that ends, by another probe, by somebody new who has to be
    /// ready.
    pub is_risky: bool,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is new: it starts as soon as its conditions hold.
    Add,
    /// It is stopped gracefully.
    Remove,
    /// Its runs are replaced, as its updateStrategy says.
    Restart,
    /// No run is touched, but for instances that come or go with `replicas`.
    InPlace,
}

impl fmt::Display for ProcessDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.join(", ");
        match self.step {
            Step::Add => write!(f, "{} is added", self.name),
            Step::Remove => write!(f, "{} is removed", self.name),
            Step::Restart => write!(f, "{} is restarted ({fields})", self.name),
            Step::InPlace => write!(f, "{} changes in place ({fields})", self.name),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.processes.iter().map(ToString::to_string).collect();
        if !self.set.is_empty() {
            parts.push(format!("{} of the set", self.set.join(", ")));
        }
        if !self.later.is_empty() {
            let later = self.later.join(", ");
            parts.push(format!("{later} from the next start of the container on"));
        }
        if parts.is_empty() {
            return f.write_str("nothing changes");
        }
        f.write_str(&parts.join("; "))
    }
}

impl Diff {
    /// What `new` changes where `old` is in force.
    pub fn between(old: &Plan, new: &Plan) -> Diff {
        let before: BTreeMap<&str, &Process> = services(old).collect();
        let after: BTreeMap<&str, &Process> = services(new).collect();
        let mut diff = Diff::default();
        for (name, process) in services(new) {
            let entry = match before.get(name) {
                Some(known) => changed(known, process, (old, new)),
                None => Some(whole(process, Step::Add)),
            };
            diff.processes.extend(entry);
        }
        for (name, process) in services(old) {
            if !after.contains_key(name) && process.desired > 0 {
                diff.processes.push(whole(process, Step::Remove));
            }
        }
        diff.set = of_the_set(old, new);
        diff.later = of_the_next_start(old, new);
        diff
    }

    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.set.is_empty() && self.later.is_empty()
    }

    /// It can make a pod unready that is ready now. A fleet takes such a change by and by.
    pub fn is_risky(&self) -> bool {
        self.processes.iter().any(|process| process.is_risky)
    }

    /// The processes that it starts, or starts again.
    pub fn started(&self) -> impl Iterator<Item = &Arc<str>> {
        let all = self.processes.iter();
        all.filter(|process| matches!(process.step, Step::Add | Step::Restart))
            .map(|process| &process.name)
    }

    /// The processes that go on with other probes.
    pub fn probed(&self) -> impl Iterator<Item = &Arc<str>> {
        let all = self.processes.iter();
        let probes =
            |process: &&ProcessDiff| process.fields.iter().any(|field| PROBES.contains(field));
        all.filter(|process| process.step == Step::InPlace)
            .filter(probes)
            .map(|process| &process.name)
    }

    /// Some run ends because of it.
    pub fn stops_runs(&self) -> bool {
        self.processes.iter().any(|process| {
            matches!(process.step, Step::Restart | Step::Remove) || process.fields.contains(&FEWER)
        })
    }
}

/// The fields of probes.
const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

/// `replicas`, where it becomes less.
const FEWER: &str = "fewer replicas";

/// The names of those that differ.
fn named<const N: usize>(all: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differ = all.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(field, _)| field).collect()
}

fn of_the_set(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let times = |plan: &Plan| (plan.shutdown.drain, plan.shutdown.tail);
    let [before, after] = [old, new].map(|plan| [&plan.hooks.pre_stop, &plan.hooks.post_stop]);
    named([
        ("name", old.name != new.name),
        (
            "terminationGracePeriodSeconds",
            old.shutdown.grace != new.shutdown.grace,
        ),
        ("shutdown", times(old) != times(new)),
        ("rollout", old.rollout != new.rollout),
        ("hooks", !same::lists_of_hooks(before, after)),
        (
            "env",
            both_and_differ(
                same::env_of(before.into_iter().flatten()),
                same::env_of(after.into_iter().flatten()),
            ),
        ),
        (
            "logging",
            both_and_differ(log_of_hooks(old), log_of_hooks(new)),
        ),
        ("sidecars", quits(old) != quits(new)),
    ])
}

fn of_the_next_start(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let [before, after] = [old, new].map(|plan| [&plan.hooks.pre_start, &plan.hooks.post_start]);
    named([
        ("hooks", !same::lists_of_hooks(before, after)),
        (
            "env",
            both_and_differ(
                same::env_of(before.into_iter().flatten()),
                same::env_of(after.into_iter().flatten()),
            ) || both_and_differ(env_of_asking(old), env_of_asking(new)),
        ),
        ("sidecars", !same_waits(old, new)),
        ("directories", old.directories != new.directories),
        ("initProcesses", !same_inits(old, new)),
    ])
}

/// How the output of the set's hooks is logged.
fn log_of_hooks(plan: &Plan) -> Option<&LogRule> {
    let hooks = &plan.hooks;
    let start = hooks.pre_start.iter().chain(&hooks.post_start);
    same::log_of(start.chain(&hooks.pre_stop).chain(&hooks.post_stop))
}

fn both_and_differ<T: PartialEq>(old: Option<T>, new: Option<T>) -> bool {
    matches!((old, new), (Some(old), Some(new)) if old != new)
}

/// Who is told to quit at the end, and how.
fn quits(plan: &Plan) -> Vec<(&Arc<Label>, &Arc<Request>)> {
    let all = plan.sidecars.iter();
    all.filter_map(|one| Some((&one.label, one.quit.as_ref()?)))
        .collect()
}

/// For whom the start waits, and how.
fn waits(plan: &Plan) -> Vec<(&Arc<Label>, &Arc<Probe>, OnTimeout)> {
    let all = plan.sidecars.iter();
    all.filter_map(|one| Some((&one.label, one.probe.as_ref()?, one.on_timeout)))
        .collect()
}

fn same_waits(old: &Plan, new: &Plan) -> bool {
    let (old, new) = (waits(old), waits(new));
    let same = |(old, new): (&(_, &Arc<Probe>, _), &(_, &Arc<Probe>, _))| {
        (old.0, old.2) == (new.0, new.2) && same::probe(old.1, new.1)
    };
    old.len() == new.len() && old.iter().zip(&new).all(same)
}

/// The environment of what sidecars are asked with.
fn env_of_asking(plan: &Plan) -> Option<&[CString]> {
    let mut probes = waits(plan).into_iter().map(|(_, probe, _)| probe);
    probes.find_map(|probe| match &probe.check {
        Check::Exec { launch, .. } => Some(&launch.env[..]),
        Check::Request(_) | Check::Notify => None,
    })
}

fn services(plan: &Plan) -> impl Iterator<Item = (&str, &Process)> {
    let services = plan.processes.iter();
    services
        .filter(|process| process.kind == Kind::Service)
        .map(|process| (&*process.name, process))
}

fn inits(plan: &Plan) -> impl Iterator<Item = &Process> {
    let all = plan.processes.iter();
    all.filter(|process| process.kind != Kind::Service)
}

fn same_inits(old: &Plan, new: &Plan) -> bool {
    // Not its Lease, which follows the name of the set.
    let key = |process: &Process| process.once.as_ref().map(|once| once.key.clone());
    let same = |(before, after): (&Process, &Process)| {
        before.name == after.name
            && before.kind == after.kind
            && key(before) == key(after)
            && !OF_A_RUN
                .iter()
                .any(|(_, rule)| launch_differs(before, after, *rule))
            && !IN_PLACE.iter().any(|(_, rule)| rule(before, after))
            && waits_for(before, old) == waits_for(after, new)
    };
    inits(old).count() == inits(new).count() && inits(old).zip(inits(new)).all(same)
}

type Differs<T> = fn(&T, &T) -> bool;

/// What makes another run necessary, and the field it comes from.
const OF_A_RUN: &[(&str, Differs<Launch>)] = &[
    ("command", |old, new| old.argv != new.argv),
    ("env", |old, new| !same::env(old, new)),
    ("workingDir", |old, new| old.dir != new.dir),
    ("securityContext", |old, new| {
        (&old.identity, old.no_new_privs) != (&new.identity, new.no_new_privs)
    }),
    ("umask", |old, new| old.umask != new.umask),
    ("rlimits", |old, new| old.rlimits != new.rlimits),
    ("nice", |old, new| old.nice != new.nice),
    ("oomScoreAdj", |old, new| {
        old.oom_score_adj != new.oom_score_adj
    }),
];

/// What changes in place, and the field it comes from.
const IN_PLACE: &[(&str, Differs<Process>)] = &[
    ("replicas", |old, new| new.desired > old.desired),
    (FEWER, |old, new| new.desired < old.desired),
    ("restartPolicy", |old, new| {
        old.restart.policy != new.restart.policy
    }),
    ("successExitCodes", |old, new| {
        old.restart.success_codes != new.restart.success_codes
    }),
    ("restartBackoff", |old, new| {
        old.restart.backoff != new.restart.backoff
    }),
    ("restartLimit", |old, new| {
        old.restart.limit != new.restart.limit
    }),
    ("onFailure", |old, new| old.on_failure != new.on_failure),
    ("onSuccess", |old, new| old.on_success != new.on_success),
    ("stopSignal", |old, new| old.stop.signal != new.stop.signal),
    ("signalTarget", |old, new| {
        old.stop.target != new.stop.target
    }),
    ("terminationGracePeriodSeconds", |old, new| {
        old.stop.grace != new.stop.grace
    }),
    ("traffic", |old, new| old.traffic != new.traffic),
    ("minReadySeconds", |old, new| old.min_ready != new.min_ready),
    ("activeDeadlineSeconds", |old, new| {
        old.active_deadline != new.active_deadline
    }),
    ("logging", |old, new| old.log != new.log),
    ("updateStrategy", |old, new| old.update != new.update),
    ("lifecycle", |old, new| {
        paired(old, new).any(|(old, new)| !same::hooks(&old.hooks, &new.hooks))
    }),
    ("startupProbe", |old, new| {
        probe_differs(old, new, |probes| probes.startup.as_deref())
    }),
    ("livenessProbe", |old, new| {
        probe_differs(old, new, |probes| probes.liveness.as_deref())
    }),
    ("readinessProbe", |old, new| {
        probe_differs(old, new, |probes| probes.readiness.as_deref())
    }),
];

fn paired<'a>(
    old: &'a Process,
    new: &'a Process,
) -> impl Iterator<Item = (&'a Instance, &'a Instance)> {
    let most = old.desired.min(new.desired) as usize;
    old.instances.iter().zip(&new.instances).take(most)
}

/// Whether a rule finds a difference between what instances are started with.
fn launch_differs(old: &Process, new: &Process, differs: Differs<Launch>) -> bool {
    paired(old, new).any(|(old, new)| differs(&old.launch, &new.launch))
}

fn probe_differs(old: &Process, new: &Process, which: fn(&Probes) -> Option<&Probe>) -> bool {
    paired(old, new).any(|(old, new)| !same::maybe(which(&old.probes), which(&new.probes)))
}

/// It comes or goes as a whole.
fn whole(process: &Process, step: Step) -> ProcessDiff {
    ProcessDiff {
        name: Arc::clone(&process.name),
        step,
        fields: Vec::new(),
        is_risky: true,
    }
}

fn changed(old: &Process, new: &Process, plans: (&Plan, &Plan)) -> Option<ProcessDiff> {
    let runs = OF_A_RUN
        .iter()
        .filter(|(_, rule)| launch_differs(old, new, *rule));
    let mut fields: Vec<&'static str> = runs.map(|(field, _)| *field).collect();
    let step = if fields.is_empty() {
        Step::InPlace
    } else {
        Step::Restart
    };
    let in_place = IN_PLACE.iter().filter(|(_, rule)| rule(old, new));
    fields.extend(in_place.map(|(field, _)| *field));
    if waits_for(old, plans.0) != waits_for(new, plans.1) {
        fields.push("dependsOn");
    }
    (!fields.is_empty()).then(|| ProcessDiff {
        name: Arc::clone(&new.name),
        step,
        is_risky: fields.iter().any(|field| waits_its_turn(field, old, new)),
        fields,
    })
}

/// What the table says of the field, and where that depends, what it depends on.
fn waits_its_turn(field: &str, old: &Process, new: &Process) -> bool {
    let field = if field == FEWER { "replicas" } else { field };
    let row = table::row_of(&format!("spec.processes[].{field}"));
    match (row.map(|row| row.turn), field) {
        (Some(Turn::AtOnce), _) => false,
        // A Serving instance that is new has to be ready before the pod is again.
        (Some(Turn::MayWait), "replicas") => new.desired < old.desired || serves(new),
        // A run that is over it now is stopped.
        (Some(Turn::MayWait), "activeDeadlineSeconds") => {
            let limit = |process: &Process| process.active_deadline.unwrap_or(Duration::MAX);
            limit(new) < limit(old)
        }
        // What has failed already, or completes next, has the new effect.
        (Some(Turn::MayWait), "onFailure") => new.on_failure != OnFailure::Ignore,
        (Some(Turn::MayWait), "onSuccess") => new.on_success == OnSuccess::ExitSet,
        (Some(Turn::MayWait | Turn::Waits) | None, _) => true,
    }
}

/// Whom a process waits for, by name: ids are of one plan only.
fn waits_for<'a>(process: &Process, plan: &'a Plan) -> Vec<(&'a str, super::Condition, bool)> {
    let on = process.depends_on.iter();
    on.map(|one| (&*plan.process(one.on).name, one.condition, one.optional))
        .collect()
}

/// Whether stopping a run of it takes requests from somebody.
pub fn serves(process: &Process) -> bool {
    process.kind == Kind::Service && process.traffic == Traffic::Serving
}
