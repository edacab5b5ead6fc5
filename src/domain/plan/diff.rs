//! What differs between the plan in force and a newer one, field by field, and what each difference does to runs.
//!
//! Plans are compared, not specs: a variable of the set, a file that a spec names and a default count for what they do to
//! each process. Init processes, directories, the set's start hooks and the wait for sidecars have done their work: what
//! changes there holds from the next start of the container on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Instance, Kind, Launch, OnTimeout, Plan, Probe, Process, Request, Traffic};
use crate::domain::id::Label;

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
                None => Some((Step::Add, Vec::new())),
            };
            diff.push(process, entry);
        }
        for (name, process) in services(old) {
            if !after.contains_key(name) && process.desired > 0 {
                diff.push(process, Some((Step::Remove, Vec::new())));
            }
        }
        diff.note_set(old, new);
        diff
    }

    fn push(&mut self, process: &Process, entry: Option<(Step, Vec<&'static str>)>) {
        if let Some((step, fields)) = entry {
            let name = Arc::clone(&process.name);
            self.processes.push(ProcessDiff { name, step, fields });
        }
    }

    fn note_set(&mut self, old: &Plan, new: &Plan) {
        let mut note = |differs: bool, field| {
            if differs {
                self.set.push(field);
            }
        };
        note(
            old.shutdown.grace != new.shutdown.grace,
            "terminationGracePeriodSeconds",
        );
        note(
            (old.shutdown.drain, old.shutdown.tail) != (new.shutdown.drain, new.shutdown.tail),
            "shutdown",
        );
        note(old.rollout != new.rollout, "rollout");
        note(
            (&old.hooks.pre_stop, &old.hooks.post_stop)
                != (&new.hooks.pre_stop, &new.hooks.post_stop),
            "hooks",
        );
        note(quits(old) != quits(new), "sidecars");
        let mut later = |differs: bool, field| {
            if differs {
                self.later.push(field);
            }
        };
        later(
            (&old.hooks.pre_start, &old.hooks.post_start)
                != (&new.hooks.pre_start, &new.hooks.post_start),
            "hooks",
        );
        later(waits(old) != waits(new), "sidecars");
        later(old.directories != new.directories, "directories");
        later(
            !same_inits(
                &inits(old).collect::<Vec<_>>(),
                &inits(new).collect::<Vec<_>>(),
            ),
            "initProcesses",
        );
    }

    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.set.is_empty() && self.later.is_empty()
    }

    /// It can make a pod unready that is ready now: by a run that ends, by another probe, by somebody new who has to be
    /// ready. A fleet takes such a change by and by.
    pub fn is_risky(&self) -> bool {
        const TELLING: [&str; 3] = ["probes", "traffic", "minReadySeconds"];
        self.stops_runs()
            || self.processes.iter().any(|process| {
                process.step == Step::Add
                    || process.fields.iter().any(|field| TELLING.contains(field))
            })
    }

    /// The processes that it starts, or starts again.
    pub fn started(&self) -> impl Iterator<Item = &Arc<str>> {
        let all = self.processes.iter();
        all.filter(|process| matches!(process.step, Step::Add | Step::Restart))
            .map(|process| &process.name)
    }

    /// Some run ends because of it.
    pub fn stops_runs(&self) -> bool {
        self.processes.iter().any(|process| {
            matches!(process.step, Step::Restart | Step::Remove) || process.fields.contains(&FEWER)
        })
    }
}

/// `replicas`, where it becomes less.
const FEWER: &str = "fewer replicas";

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

fn same_inits(old: &[&Process], new: &[&Process]) -> bool {
    old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| {
            let launch =
                |process: &Process| process.instances.first().map(|one| one.launch.clone());
            old.name == new.name
                && old.kind == new.kind
                && old.restart == new.restart
                && launch(old) == launch(new)
        })
}

type Differs<T> = fn(&T, &T) -> bool;

/// What makes another run necessary, and the field it comes from.
const OF_A_RUN: &[(&str, Differs<Launch>)] = &[
    ("command", |old, new| old.argv != new.argv),
    ("env", |old, new| old.env != new.env),
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
        (
            old.restart.policy,
            &old.restart.success_codes,
            old.restart.backoff,
        ) != (
            new.restart.policy,
            &new.restart.success_codes,
            new.restart.backoff,
        )
    }),
    ("restartLimit", |old, new| {
        old.restart.limit != new.restart.limit
    }),
    ("onFailure", |old, new| old.on_failure != new.on_failure),
    ("onSuccess", |old, new| old.on_success != new.on_success),
    ("stopSignal", |old, new| {
        (old.stop.signal, old.stop.target) != (new.stop.signal, new.stop.target)
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
    ("updateStrategy", |old, new| {
        let rule = |process: &Process| (process.update.recreate, process.update.max_unavailable);
        rule(old) != rule(new) || old.update.surge != new.update.surge
    }),
    ("lifecycle", |old, new| {
        paired(old, new).any(|(old, new)| old.hooks != new.hooks)
    }),
    ("probes", |old, new| {
        paired(old, new).any(|(old, new)| old.probes != new.probes)
    }),
];

fn paired<'a>(
    old: &'a Process,
    new: &'a Process,
) -> impl Iterator<Item = (&'a Instance, &'a Instance)> {
    let most = old.desired.min(new.desired) as usize;
    old.instances.iter().zip(&new.instances).take(most)
}

fn changed(
    old: &Process,
    new: &Process,
    plans: (&Plan, &Plan),
) -> Option<(Step, Vec<&'static str>)> {
    let differs = |differs: Differs<Launch>| {
        paired(old, new).any(|(old, new)| differs(&old.launch, &new.launch))
    };
    let runs = OF_A_RUN.iter().filter(|(_, rule)| differs(*rule));
    let mut fields: Vec<&'static str> = runs.map(|(field, _)| *field).collect();
    let restart = !fields.is_empty();
    let in_place = IN_PLACE.iter().filter(|(_, rule)| rule(old, new));
    // What runs with another environment or directory has other hooks and probes too: that is no news.
    let news = |field: &&str| !restart || !matches!(*field, "lifecycle" | "probes");
    fields.extend(in_place.map(|(field, _)| *field).filter(news));
    if waits_for(old, plans.0) != waits_for(new, plans.1) {
        fields.push("dependsOn");
    }
    let step = if restart {
        Step::Restart
    } else {
        Step::InPlace
    };
    (!fields.is_empty()).then_some((step, fields))
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
