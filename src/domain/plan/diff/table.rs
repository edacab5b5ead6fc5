//! What a change of each field does to a set that runs: one table, by the paths of v1alpha1. `podinit explain-changes` prints
//! it, docs/changes.md shows it, and a test changes every field of the schema and holds [`super::Diff`] to it.

use std::fmt;

use crate::domain::plan::validate::NOT_SUPPORTED;
use crate::spec::check::process_set_spec;
use crate::spec::check::rules::{Object, Rule};

/// What happens because a field changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The runs of its process are replaced.
    Restart,
    /// It holds at once, and no run is touched.
    InPlace,
    /// A process is added or removed.
    ComesOrGoes,
    /// It holds from the next start of the container on.
    NextStart,
    /// Nothing.
    Nothing,
    /// Such a spec is not taken.
    Refused,
}

impl Effect {
    /// All of them, in the order in which a page explains them.
    pub const ALL: [Effect; 6] = [
        Effect::Restart,
        Effect::InPlace,
        Effect::ComesOrGoes,
        Effect::NextStart,
        Effect::Nothing,
        Effect::Refused,
    ];

    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Effect::Restart => "restart",
            Effect::InPlace => "inPlace",
            Effect::ComesOrGoes => "comesOrGoes",
            Effect::NextStart => "nextStart",
            Effect::Nothing => "nothing",
            Effect::Refused => "refused",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Effect::Restart => "the runs of its process are replaced, as `updateStrategy` says",
            Effect::InPlace => "it holds at once, and no run is touched",
            Effect::ComesOrGoes => {
                "a process that is new starts as soon as its conditions hold; one that is gone is stopped gracefully"
            }
            Effect::NextStart => {
                "it holds from the next start of the container on: what has run does not run again"
            }
            Effect::Nothing => "no process is touched, and nothing is told",
            Effect::Refused => "such a spec is not taken, and nothing changes",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effect::Restart => "restart",
            Effect::InPlace => "in place",
            Effect::ComesOrGoes => "comes or goes",
            Effect::NextStart => "next start",
            Effect::Nothing => "nothing",
            Effect::Refused => "refused",
        })
    }
}

/// Whether a pod of a fleet (a ProcessSet of the API server) waits for its turn before it takes the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// All pods take it at once.
    AtOnce,
    /// Only some changes of the field wait; the note says which.
    MayWait,
    /// It waits.
    Waits,
}

impl Turn {
    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Turn::AtOnce => "atOnce",
            Turn::MayWait => "mayWait",
            Turn::Waits => "waits",
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Turn::AtOnce => "at once",
            Turn::MayWait => "may wait",
            Turn::Waits => "waits",
        })
    }
}

/// What a change of a field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The field and all below it, unless a longer path of the table says otherwise. `[]` is each item of a list; a path that
    /// begins with neither `spec.` nor `metadata.` holds wherever it can stand.
    pub path: &'static str,
    /// What happens. Most have one; of several the first one is the main one.
    pub effects: &'static [Effect],
    /// Whether a pod of a fleet waits for its turn.
    pub turn: Turn,
    /// What the record of the change calls it.
    pub told: &'static [&'static str],
    /// What else there is to know; may be empty.
    pub note: &'static str,
}

impl Row {
    const fn new(path: &'static str, effects: &'static [Effect], turn: Turn) -> Row {
        Row {
            path,
            effects,
            turn,
            told: &[],
            note: "",
        }
    }

    const fn told(self, told: &'static [&'static str]) -> Row {
        Row { told, ..self }
    }

    const fn turn(self, turn: Turn) -> Row {
        Row { turn, ..self }
    }

    const fn note(self, note: &'static str) -> Row {
        Row { note, ..self }
    }
}

const fn restart(path: &'static str, told: &'static [&'static str]) -> Row {
    Row::new(path, &[Effect::Restart], Turn::Waits).told(told)
}

const fn in_place(path: &'static str, told: &'static [&'static str]) -> Row {
    Row::new(path, &[Effect::InPlace], Turn::AtOnce).told(told)
}

const fn comes_or_goes(path: &'static str) -> Row {
    Row::new(path, &[Effect::ComesOrGoes], Turn::Waits)
}

const fn next_start(path: &'static str, told: &'static [&'static str]) -> Row {
    Row::new(path, &[Effect::NextStart], Turn::AtOnce).told(told)
}

const fn nothing(path: &'static str, note: &'static str) -> Row {
    Row::new(path, &[Effect::Nothing], Turn::AtOnce).note(note)
}

const fn refused(path: &'static str, why: &'static str) -> Row {
    Row::new(path, &[Effect::Refused], Turn::AtOnce).note(why)
}

/// The environment of the set is that of its processes, of its hooks and of the probes of its sidecars.
const OF_THE_SET: &[Effect] = &[Effect::Restart, Effect::InPlace, Effect::NextStart];
const OF_THE_SET_NOTE: &str = "where a process's own environment differs by it; hooks of the set: stop hooks at once, start hooks, init processes and what sidecars are asked from the next start on";
const OF_INITS_TOO: &str =
    "of those that do not say it themselves; init processes from the next start on";
const AT_THE_END: &str = "how it is told to quit: at once";
const ONLY_ONE: &str = "only 1 is valid";
const MISSING: &str = "decides only whether a missing file is an error";
const TOLD_AT_EXEC: &str = "the process is told by its environment";

/// What a change of each field does. What is not supported yet is in [`NOT_SUPPORTED`] only.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    in_place("metadata.name", &["name"]).note("of a file; an object of the API server keeps its name"),
    nothing("metadata.namespace", ""),
    nothing("metadata.labels", ""),
    nothing("metadata.annotations", ""),

    nothing("spec.revision", "decides which pods take the spec; it is part of the default `runKey`"),
    in_place("spec.terminationGracePeriodSeconds", &["terminationGracePeriodSeconds"]).note("where the pod's own is not known"),
    in_place("spec.shutdown", &["shutdown"]),
    in_place("spec.rollout", &["rollout"]),
    next_start("spec.hooks.preStart", &["hooks"]),
    next_start("spec.hooks.postStart", &["hooks"]),
    in_place("spec.hooks.preStop", &["hooks"]),
    in_place("spec.hooks.postStop", &["hooks"]),
    Row::new("spec.env", OF_THE_SET, Turn::Waits).told(&["env", "initProcesses"]).note(OF_THE_SET_NOTE),
    Row::new("spec.envFrom", OF_THE_SET, Turn::Waits).told(&["env", "initProcesses"]).note(OF_THE_SET_NOTE),
    Row::new("spec.securityContext", &[Effect::Restart, Effect::NextStart], Turn::Waits).told(&["securityContext", "initProcesses"]).note(OF_INITS_TOO),
    Row::new("spec.logging", &[Effect::InPlace, Effect::NextStart], Turn::AtOnce).told(&["logging", "initProcesses"]).note(OF_INITS_TOO),
    next_start("spec.directories", &["directories"]),
    next_start("spec.initProcesses", &["initProcesses"]),

    comes_or_goes("spec.processes"),
    comes_or_goes("spec.processes[].name").note("another name is another process"),
    comes_or_goes("spec.processes[].enabled"),
    restart("spec.processes[].command", &["command"]),
    restart("spec.processes[].args", &["command"]),
    restart("spec.processes[].workingDir", &["workingDir"]),
    restart("spec.processes[].env", &["env"]),
    restart("spec.processes[].envFrom", &["env"]).note("also when a file or directory that it names has another content"),
    restart("spec.processes[].envPolicy", &["env"]),
    restart("spec.processes[].securityContext", &["securityContext"]),
    restart("spec.processes[].umask", &["umask"]),
    restart("spec.processes[].rlimits", &["rlimits"]),
    restart("spec.processes[].nice", &["nice"]),
    restart("spec.processes[].oomScoreAdj", &["oomScoreAdj"]),
    in_place("spec.processes[].stopSignal", &["stopSignal"]),
    in_place("spec.processes[].signalTarget", &["signalTarget"]),
    in_place("spec.processes[].terminationGracePeriodSeconds", &["terminationGracePeriodSeconds"]),
    in_place("spec.processes[].successExitCodes", &["successExitCodes"]),
    in_place("spec.processes[].activeDeadlineSeconds", &["activeDeadlineSeconds"]).turn(Turn::MayWait)
        .note("a run that is older is stopped; waits unless it becomes longer"),
    in_place("spec.processes[].logging", &["logging"]),
    in_place("spec.processes[].dependsOn", &["dependsOn"]).note("for starts to come"),
    in_place("spec.processes[].priority", &["dependsOn"]).note("for starts to come"),
    in_place("spec.processes[].replicas", &["replicas"]).turn(Turn::MayWait)
        .note("instances come and go; waits unless a Background process gets more of them"),
    nothing("spec.processes[].maxReplicas", "bounds `podinit scale`, which is still to come"),
    restart("spec.processes[].portBase", &["env"]),
    in_place("spec.processes[].startupProbe", &["startupProbe"]).turn(Turn::Waits)
        .note("begins anew; until it has found something, what the former one found holds"),
    restart("spec.processes[].startupProbe.notify", &["env", "startupProbe"]).note(TOLD_AT_EXEC),
    refused("spec.processes[].startupProbe.successThreshold", ONLY_ONE),
    in_place("spec.processes[].livenessProbe", &["livenessProbe"]).turn(Turn::Waits)
        .note("begins anew; restart if periodSeconds or failureThreshold of a `notify` probe changes"),
    restart("spec.processes[].livenessProbe.notify", &["env", "livenessProbe"]).note(TOLD_AT_EXEC),
    refused("spec.processes[].livenessProbe.successThreshold", ONLY_ONE),
    in_place("spec.processes[].readinessProbe", &["readinessProbe"]).turn(Turn::Waits)
        .note("begins anew; until it has found something, what the former one found holds"),
    restart("spec.processes[].readinessProbe.notify", &["env", "readinessProbe"]).note(TOLD_AT_EXEC),
    refused("spec.processes[].readinessProbe.terminationGracePeriodSeconds", "a readinessProbe stops nothing"),
    in_place("spec.processes[].minReadySeconds", &["minReadySeconds"]).turn(Turn::Waits),
    in_place("spec.processes[].restartPolicy", &["restartPolicy"]),
    in_place("spec.processes[].restartBackoff", &["restartBackoff"]),
    in_place("spec.processes[].restartLimit", &["restartLimit"]),
    in_place("spec.processes[].onFailure", &["onFailure"]).turn(Turn::MayWait)
        .note("holds for what has failed already; waits unless it becomes Ignore"),
    in_place("spec.processes[].onSuccess", &["onSuccess"]).turn(Turn::MayWait)
        .note("waits if it becomes ExitSet"),
    in_place("spec.processes[].lifecycle", &["lifecycle"]),
    in_place("spec.processes[].traffic", &["traffic"]).turn(Turn::Waits),
    in_place("spec.processes[].updateStrategy", &["updateStrategy"]),

    Row::new("spec.sidecars", &[Effect::NextStart, Effect::InPlace], Turn::AtOnce).told(&["sidecars"]).note(AT_THE_END),
    Row::new("spec.sidecars[].name", &[Effect::NextStart, Effect::InPlace], Turn::AtOnce).told(&["sidecars"]).note(AT_THE_END),
    Row::new("spec.sidecars[].preset", &[Effect::NextStart, Effect::InPlace], Turn::AtOnce).told(&["sidecars"]).note(AT_THE_END),
    next_start("spec.sidecars[].startupProbe", &["sidecars"]),
    refused("spec.sidecars[].startupProbe.notify", "a sidecar is no process of podinit"),
    refused("spec.sidecars[].startupProbe.successThreshold", ONLY_ONE),
    refused("spec.sidecars[].startupProbe.terminationGracePeriodSeconds", "podinit does not stop a sidecar"),
    next_start("spec.sidecars[].onTimeout", &["sidecars"]),
    in_place("spec.sidecars[].quit", &["sidecars"]),
    in_place("spec.sidecars[].quitHttpPost", &["sidecars"]),

    nothing("env[].valueFrom.file.optional", MISSING),
    nothing("envFrom[].file.optional", MISSING),
    nothing("envFrom[].directory.optional", MISSING),
];

/// A field, and what a change of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, with `[]` for each item of a list.
    pub path: String,
    /// What governs it.
    pub row: Row,
}

/// All fields of a ProcessSet, in the order of the schema, each before those below it.
pub fn fields() -> Vec<String> {
    let metadata = ["name", "namespace", "labels", "annotations"];
    let mut all: Vec<String> = metadata.map(|key| format!("metadata.{key}")).into();
    below(process_set_spec(), "spec", &mut all);
    all
}

fn below(object: &Object, path: &str, all: &mut Vec<String>) {
    for field in object.fields {
        let path = format!("{path}.{}", field.key);
        all.push(path.clone());
        match field.rule {
            Rule::Object(object) => below(object, &path, all),
            Rule::List(list) => {
                if let Rule::Object(object) = list.item {
                    below(object, &format!("{path}[]"), all);
                }
            }
            _ => {}
        }
    }
}

/// What governs a field: the row whose path reaches furthest down; `None`: only fields below it are in the table.
pub fn row_of(path: &str) -> Option<Row> {
    let steps = steps(path);
    // Whatever is below it, too.
    if let Some(missing) = (NOT_SUPPORTED.iter()).find(|one| end(one.path, &steps).is_some()) {
        return Some(refused(missing.path, "not supported yet"));
    }
    let reach = |row: &Row| Some((end(row.path, &steps)?, *row));
    TABLE
        .iter()
        .filter_map(reach)
        .max_by_key(|(end, _)| *end)
        .map(|(_, row)| row)
}

/// How many steps of a field's path a row's path reaches down; `None`: it is none of its fields.
fn end(row: &str, path: &[&str]) -> Option<usize> {
    let row = steps(row);
    if matches!(row.first(), Some(&"spec" | &"metadata")) {
        return path.starts_with(&row).then_some(row.len());
    }
    let mut at = path.windows(row.len());
    Some(at.position(|window| window == row)? + row.len())
}

/// The keys of a path, whatever its brackets say.
fn steps(path: &str) -> Vec<&str> {
    let steps = path.split('.');
    steps
        .map(|step| step.split('[').next().unwrap_or_default())
        .collect()
}

/// One entry a field that differs from what it stands in: every other field is governed as the one above it is.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for path in fields() {
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        if let Some(row) = row_of(&path)
            && row_of(above) != Some(row)
        {
            all.push(Entry { path, row });
        }
    }
    all
}

/// The field that somebody means, and what is said of it and below it. A path may have `[]`, an index or nothing for items of
/// lists, and go on below a field with any keys. Empty: there is no such field.
pub fn explain(path: &str) -> Vec<Entry> {
    let wanted = steps(path);
    let known = fields();
    let is = |known: &&String| wanted.starts_with(&steps(known));
    // The deepest one that it is, or is below of.
    let Some(field) = known
        .iter()
        .filter(is)
        .max_by_key(|known| steps(known).len())
    else {
        let all = entries().into_iter();
        return all
            .filter(|entry| !path.is_empty() && steps(&entry.path).starts_with(&wanted))
            .collect();
    };
    let exact = steps(field).len() == wanted.len();
    if !exact && !has_any_keys(field) {
        return Vec::new();
    }
    let own = row_of(field).map(|row| Entry {
        path: field.clone(),
        row,
    });
    let all = entries().into_iter();
    let inner = all
        .filter(|entry| exact && entry.path != *field && steps(&entry.path).starts_with(&wanted));
    own.into_iter().chain(inner).collect()
}

/// It is a mapping from any key.
fn has_any_keys(path: &str) -> bool {
    let keys = steps(path);
    if keys.first() == Some(&"metadata") {
        return matches!(keys.last(), Some(&"labels" | &"annotations"));
    }
    let mut object = process_set_spec();
    for key in keys.into_iter().skip(1) {
        match object.field(key).map(|field| field.rule) {
            Some(Rule::Object(inner)) => object = inner,
            Some(Rule::List(list)) => match list.item {
                Rule::Object(inner) => object = inner,
                _ => return false,
            },
            Some(Rule::Map(..)) => return true,
            _ => return false,
        }
    }
    false
}
