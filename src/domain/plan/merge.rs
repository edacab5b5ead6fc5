//! The plan that takes the place of one in force: the newer one, with what is on its way out and what has done its work.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Dependency, Kind, Plan, Process};
use crate::domain::id::ProcessId;

/// Puts `new` in the place of `old`. Init processes stay those that ran: they do not run again. `stays` says how many
/// instances of a process of `old` are still there, from the first one on: those that `new` does not want any more are kept
/// until they are gone.
pub fn merge(old: &Plan, new: &Plan, stays: impl Fn(ProcessId) -> u32) -> Plan {
    let mut processes: Vec<Process> = Vec::new();
    for process in &old.processes {
        if process.kind != Kind::Service {
            processes.push(process.clone());
        }
    }
    let known: BTreeMap<Arc<str>, ProcessId> = services(old).collect();
    // Those of the newer plan, under their new numbers.
    let mut place: BTreeMap<Arc<str>, ProcessId> = BTreeMap::new();
    for (name, id) in services(new) {
        place.insert(Arc::clone(&name), ProcessId(processes.len() as u32));
        let mut process = new.process(id).clone();
        if let Some(before) = known.get(&name) {
            let leaving = old.process(*before).instances.iter();
            let kept = (stays(*before) as usize).max(process.instances.len());
            let leaving = leaving.take(kept).skip(process.instances.len()).cloned();
            process.instances.extend(leaving);
        }
        processes.push(process);
    }
    for (name, id) in services(old) {
        let there = stays(id);
        if place.contains_key(&name) || there == 0 {
            continue;
        }
        let mut process = old.process(id).clone();
        process.desired = 0;
        process.instances.truncate(there as usize);
        place.insert(name, ProcessId(processes.len() as u32));
        processes.push(process);
    }
    for process in &mut processes {
        if process.kind == Kind::Service {
            let from = if known_only(new, &process.name) {
                old
            } else {
                new
            };
            process.depends_on = moved(&process.depends_on, from, &place);
        }
    }
    Plan {
        processes,
        ..new.clone()
    }
}

fn services(plan: &Plan) -> impl Iterator<Item = (Arc<str>, ProcessId)> {
    let all = plan.processes.iter().enumerate();
    all.filter(|(_, process)| process.kind == Kind::Service)
        .map(|(at, process)| (Arc::clone(&process.name), ProcessId(at as u32)))
}

/// It is on its way out.
fn known_only(new: &Plan, name: &str) -> bool {
    !services(new).any(|(known, _)| &*known == name)
}

/// The same dependencies under the new numbers; those on what is gone are met or past.
fn moved(on: &[Dependency], from: &Plan, place: &BTreeMap<Arc<str>, ProcessId>) -> Vec<Dependency> {
    let moved = on.iter().filter_map(|one| {
        let on = *place.get(&from.process(one.on).name)?;
        Some(Dependency { on, ..*one })
    });
    moved.collect()
}
