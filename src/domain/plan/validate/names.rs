//! Names: unique over all four lists, and different from those of all instances.

use std::collections::BTreeMap;

use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{Process, ProcessSetSpec};

/// What `scale` may set when there is no maxReplicas.
const MOST_REPLICAS: u32 = 1000;

/// Every named entry, disabled ones too: they can be enabled from outside.
fn entries(spec: &ProcessSetSpec) -> Vec<(&str, FieldPath)> {
    fn list<'s>(
        key: &'static str,
        names: impl Iterator<Item = &'s str>,
    ) -> impl Iterator<Item = (&'s str, FieldPath)> {
        let path = FieldPath::spec().key(key);
        names
            .enumerate()
            .map(move |(at, name)| (name, path.index(at)))
    }
    list(
        "initProcesses",
        spec.init_processes.iter().map(|entry| &*entry.name),
    )
    .chain(list(
        "processes",
        spec.processes.iter().map(|entry| &*entry.name),
    ))
    .chain(list(
        "cronProcesses",
        spec.cron_processes.iter().map(|entry| &*entry.name),
    ))
    .chain(list(
        "sidecars",
        spec.sidecars.iter().map(|entry| &*entry.name),
    ))
    .collect()
}

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<&str, FieldPath> = BTreeMap::new();
    for (name, path) in entries(spec) {
        if let Some(first) = taken.get(name) {
            let message = format!(
                "`{name}` is the name of {first} already: names are unique over processes, initProcesses, cronProcesses and sidecars"
            );
            problems.push(Problem::error(path.key("name"), message));
            continue;
        }
        if let Some(process) = spec
            .processes
            .iter()
            .find(|process| is_instance(name, process))
        {
            let message = format!(
                "`{name}` is also what an instance of `{}` is called",
                process.name
            );
            let help = "rename one of them, or lower maxReplicas of the other";
            problems.push(Problem::error(path.key("name"), message).help(help));
        }
        taken.insert(name, path);
    }
}

/// `NAME-INDEX`, for an index that the process has or can be scaled to.
fn is_instance(name: &str, process: &Process) -> bool {
    let index = name
        .strip_prefix(process.name.as_str())
        .and_then(|rest| rest.strip_prefix('-'))
        .filter(|digits| *digits == "0" || !digits.starts_with('0'))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u32>().ok());
    let most = process
        .max_replicas
        .unwrap_or(MOST_REPLICAS)
        .max(process.replicas);
    index.is_some_and(|index| index < most)
}
