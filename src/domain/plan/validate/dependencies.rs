//! Who waits for whom: names, conditions, order of the stop, cycles, priorities. Disabled processes wait for nobody.

use super::super::graph::{Cause, StartGraph};
use crate::domain::id::ProcessId;
use crate::spec::problem::{FieldPath, Problem, did_you_mean};
use crate::spec::v1alpha1::{
    Dependency, DependencyCondition, Process, ProcessSetSpec, RestartPolicy, Traffic,
};

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    for (at, process) in spec.init_processes.iter().enumerate() {
        if process.enabled {
            let path = FieldPath::spec().key("initProcesses").index(at);
            let dependent = Dependent::init(&process.name, path, spec);
            dependent.check_all(&process.depends_on, problems);
        }
    }
    for (at, process) in spec.processes.iter().enumerate() {
        if process.enabled {
            let path = FieldPath::spec().key("processes").index(at);
            let dependent = Dependent::process(process, path, spec);
            dependent.check_all(&process.depends_on, problems);
        }
    }
    let graph = StartGraph::of(spec);
    check_cycles(&graph, problems);
    check_priorities(&graph, problems);
    check_traffic_of_priorities(spec, &graph.with_priorities(), problems);
}

/// A process with `dependsOn`.
struct Dependent<'s> {
    name: &'s str,
    path: FieldPath,
    spec: &'s ProcessSetSpec,
    /// `None`: an init process.
    process: Option<&'s Process>,
}

/// What a name in `dependsOn` stands for.
enum Target<'s> {
    Init { enabled: bool },
    Process(&'s Process),
    Cron,
    Sidecar,
}

impl<'s> Dependent<'s> {
    fn init(name: &'s str, path: FieldPath, spec: &'s ProcessSetSpec) -> Self {
        Dependent {
            name,
            path,
            spec,
            process: None,
        }
    }

    fn process(process: &'s Process, path: FieldPath, spec: &'s ProcessSetSpec) -> Self {
        Dependent {
            name: &process.name,
            path,
            spec,
            process: Some(process),
        }
    }

    fn check_all(&self, wanted: &[Dependency], problems: &mut Vec<Problem>) {
        for (at, dependency) in wanted.iter().enumerate() {
            let path = self.path.key("dependsOn").index(at);
            let name = &dependency.name;
            if name == self.name {
                let message = format!("`{name}` depends on itself");
                problems.push(Problem::error(path.key("name"), message));
            } else if wanted[..at].iter().any(|earlier| earlier.name == *name) {
                let message = format!("`{name}` is in this list already");
                problems.push(Problem::error(path.key("name"), message));
            } else {
                problems.extend(self.check(dependency, &path));
            }
        }
    }

    fn check(&self, dependency: &Dependency, path: &FieldPath) -> Option<Problem> {
        let name = &dependency.name;
        let error = |message: String| Some(Problem::error(path.key("name"), message));
        let enabled = match (self.target(name), self.process) {
            (None, _) => return self.unknown(dependency, path),
            (Some(Target::Cron), _) => {
                return error(format!(
                    "`{name}` is a cron process: it runs on its schedule, and nothing can wait for it"
                ));
            }
            (Some(Target::Sidecar), _) => {
                return error(format!(
                    "`{name}` is a sidecar: everything starts after the sidecars anyway"
                ))
                .map(remove);
            }
            (Some(Target::Init { .. }), Some(_)) => {
                return error(format!(
                    "`{name}` is an init process: every process starts after all init processes anyway"
                ))
                .map(remove);
            }
            (Some(Target::Process(_)), None) => {
                return error(format!(
                    "`{name}` is no init process: it starts after all init processes, so none can wait for it"
                ));
            }
            (Some(Target::Init { enabled }), None) => enabled,
            (Some(Target::Process(target)), Some(process)) if target.enabled => {
                return check_pair(process, target, dependency, path);
            }
            (Some(Target::Process(_)), Some(_)) => false,
        };
        (!enabled && !dependency.optional).then(|| {
            Problem::error(path.key("name"), format!("`{name}` is disabled"))
                .help("write `optional: true` to start without it, or enable it")
        })
    }

    fn target(&self, name: &str) -> Option<Target<'s>> {
        let spec = self.spec;
        let init = spec.init_processes.iter().find(|entry| entry.name == name);
        let process = spec.processes.iter().find(|entry| entry.name == name);
        // Where a name is taken twice, which is a problem of its own, its own kind comes first.
        match (init, process, self.process.is_some()) {
            (Some(init), None, _) | (Some(init), Some(_), false) => Some(Target::Init {
                enabled: init.enabled,
            }),
            (_, Some(process), _) => Some(Target::Process(process)),
            (None, None, _) => {
                let cron = spec.cron_processes.iter().any(|entry| entry.name == name);
                let sidecar = spec.sidecars.iter().any(|entry| entry.name == name);
                match (cron, sidecar) {
                    (true, _) => Some(Target::Cron),
                    (false, true) => Some(Target::Sidecar),
                    (false, false) => None,
                }
            }
        }
    }

    /// An optional dependency may be absent; one that looks like a slip of the pen is worth a warning.
    fn unknown(&self, dependency: &Dependency, path: &FieldPath) -> Option<Problem> {
        let name = &dependency.name;
        let (what, known): (_, Vec<&str>) = if self.process.is_some() {
            let names = self.spec.processes.iter().map(|entry| &*entry.name);
            ("process", names.collect())
        } else {
            let names = self.spec.init_processes.iter().map(|entry| &*entry.name);
            ("init process", names.collect())
        };
        let others = known.iter().copied().filter(|known| *known != self.name);
        let suggestion = did_you_mean(name, others.clone());
        let message = format!("there is no {what} `{name}`");
        if dependency.optional {
            let suggestion = suggestion?;
            return Some(Problem::warning(path.key("name"), message).help(suggestion));
        }
        let names: Vec<&str> = others.take(8).collect();
        let all = (!names.is_empty()).then(|| format!("there is {}", names.join(", ")));
        Some(Problem::error(path.key("name"), message).maybe_help(suggestion.or(all)))
    }
}

fn remove(problem: Problem) -> Problem {
    problem.help("remove this entry")
}

/// One enabled process on another.
fn check_pair(
    process: &Process,
    target: &Process,
    dependency: &Dependency,
    path: &FieldPath,
) -> Option<Problem> {
    let ends = matches!(
        dependency.condition,
        DependencyCondition::Completed | DependencyCondition::Exited
    );
    if ends && target.restart_policy == RestartPolicy::Always {
        let message = format!(
            "`{}` never ends for good: its restartPolicy is Always",
            target.name
        );
        let problem = Problem::error(path.key("condition"), message);
        return Some(problem.help(format!(
            "set restartPolicy of `{}` to OnFailure or Never, or wait for Ready",
            target.name
        )));
    }
    if process.traffic == Traffic::Serving && target.traffic == Traffic::Background {
        let message = format!(
            "`{}` is Serving and `{}` is Background: Background processes stop first, while this one still needs it",
            process.name, target.name
        );
        let problem = Problem::error(path.key("name"), message);
        return Some(problem.help(format!(
            "make `{}` Serving, or `{}` Background",
            target.name, process.name
        )));
    }
    None
}

fn check_cycles(graph: &StartGraph<'_>, problems: &mut Vec<Problem>) {
    for cycle in graph.cycles() {
        let names: Vec<&str> = (cycle.iter().chain(cycle.first()))
            .map(|process| graph.node(*process).name)
            .collect();
        let edges = (cycle.iter().zip(cycle.iter().cycle().skip(1)))
            .filter_map(|(from, to)| Some((*from, edge(graph, *from, *to)?)));
        let edges: Vec<(ProcessId, Cause)> = edges.collect();
        let message = format!("dependency cycle: {}", names.join(" -> "));
        let path = edges.iter().find_map(|(process, cause)| {
            Some(
                path_of(graph, *process)
                    .key("dependsOn")
                    .index(place(*cause)?),
            )
        });
        let problem = Problem::error(path.unwrap_or_else(FieldPath::spec), message);
        let by_order = edges.iter().find(|(_, cause)| *cause == Cause::InitOrder);
        problems.push(problem.maybe_help(by_order.map(|(process, _)| {
            format!(
                "`{}` has no dependsOn, so it waits for the init process before it",
                graph.node(*process).name
            )
        })));
    }
}

fn check_priorities(graph: &StartGraph<'_>, problems: &mut Vec<Problem>) {
    for path in graph.contradictions() {
        let [first, next, ..] = path[..] else {
            continue;
        };
        let (Some(cause), Some(last)) = (edge(graph, first, next), path.last()) else {
            continue;
        };
        let (from, to) = (graph.node(first), graph.node(*last));
        let names: Vec<&str> = path
            .iter()
            .map(|process| graph.node(*process).name)
            .collect();
        let way = match names.len() {
            2 => String::new(),
            _ => format!(" ({})", names.join(" -> ")),
        };
        let message = format!(
            "`{}` has priority {} and depends on `{}`{way}, which has priority {} and so starts after it",
            from.name,
            from.priority.unwrap_or_default(),
            to.name,
            to.priority.unwrap_or_default(),
        );
        let at = place(cause).unwrap_or_default();
        let path = path_of(graph, first).key("dependsOn").index(at).key("name");
        problems.push(Problem::error(path, message).help(format!(
            "give `{}` a priority of at most that of `{}`, or leave the priorities out",
            to.name, from.name
        )));
    }
}

/// What holds for `dependsOn` holds for the edges that `priority` makes.
fn check_traffic_of_priorities(
    spec: &ProcessSetSpec,
    graph: &StartGraph<'_>,
    problems: &mut Vec<Problem>,
) {
    let traffic = |process: ProcessId| {
        let node = graph.node(process);
        (!node.init).then(|| spec.processes[node.at].traffic)
    };
    for process in graph.processes() {
        if traffic(process) != Some(Traffic::Serving) {
            continue;
        }
        let background = graph.edges(process).into_iter().find(|(on, edge)| {
            edge.cause == Cause::Priority && traffic(*on) == Some(Traffic::Background)
        });
        let Some((on, _)) = background else { continue };
        let (node, on) = (graph.node(process), graph.node(on));
        let message = format!(
            "`{}` is Serving and starts after `{}` (priority {}), which is Background: it would have to stop before it, but Background processes stop first",
            node.name,
            on.name,
            on.priority.unwrap_or_default(),
        );
        let path = path_of(graph, process).key("priority");
        problems.push(Problem::error(path, message).help(format!(
            "make `{}` Serving, or give it a higher priority than `{}`",
            on.name, node.name
        )));
    }
}

fn edge(graph: &StartGraph<'_>, from: ProcessId, to: ProcessId) -> Option<Cause> {
    let mut edges = graph.edges(from).into_iter();
    edges.find(|(on, _)| *on == to).map(|(_, edge)| edge.cause)
}

fn place(cause: Cause) -> Option<usize> {
    match cause {
        Cause::DependsOn { at } => Some(at),
        Cause::InitOrder | Cause::Priority => None,
    }
}

fn path_of(graph: &StartGraph<'_>, process: ProcessId) -> FieldPath {
    let node = graph.node(process);
    let list = if node.init {
        "initProcesses"
    } else {
        "processes"
    };
    FieldPath::spec().key(list).index(node.at)
}
