//! The start graph: who waits for whom, written out. An edge goes from a process to one it waits for.
//!
//! Three things make edges: `dependsOn`; the order of the list for init processes without one; `priority`. The graph takes
//! a spec as it is: an entry that names nobody, itself or something disabled makes no edge ([`super::validate`] says so),
//! and cycles are found rather than assumed away.

use std::collections::{BTreeMap, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;

use super::{Condition, Dependency, Plan};
use crate::domain::id::ProcessId;
use crate::spec::v1alpha1::{self as spec, DependencyCondition, ProcessSetSpec};

/// One enabled process or init process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'s> {
    /// Its name.
    pub name: &'s str,
    /// It is an init process.
    pub init: bool,
    /// Its place in its list of the spec.
    pub at: usize,
    /// Its priority.
    pub priority: Option<i32>,
}

/// Why one waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// `dependsOn[at]`.
    DependsOn {
        /// Its place in `dependsOn`.
        at: usize,
    },
    /// An init process without `dependsOn` waits for the one before it.
    InitOrder,
    /// A lower `priority` starts first.
    Priority,
}

/// One waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// What must hold.
    pub condition: Condition,
    /// Also met when the other failed for good.
    pub optional: bool,
    /// Why.
    pub cause: Cause,
}

/// The start graph of a spec. Nodes stand in the order of [`Plan::processes`]: init processes, then processes, without
/// disabled ones.
#[derive(Debug, Clone)]
pub struct StartGraph<'s> {
    graph: DiGraph<Node<'s>, Edge>,
}

impl<'s> StartGraph<'s> {
    /// The graph of `dependsOn` and of the order of the init processes.
    pub fn of(spec: &'s ProcessSetSpec) -> Self {
        let mut graph = StartGraph {
            graph: DiGraph::new(),
        };
        graph.add_nodes(spec);
        graph.add_init_edges(spec);
        graph.add_process_edges(spec);
        graph
    }

    /// The same with the edges of `priority`: each process of a group (equal priority) waits for `Started` of each of
    /// the next lower group. They only order: one that failed for good holds nobody up. What waits for the other anyway
    /// gets no second edge.
    #[must_use]
    pub fn with_priorities(mut self) -> Self {
        let mut groups: BTreeMap<i32, Vec<NodeIndex>> = BTreeMap::new();
        for node in self.graph.node_indices() {
            if let Some(priority) = self.graph[node].priority {
                groups.entry(priority).or_default().push(node);
            }
        }
        for (lower, higher) in groups.values().zip(groups.values().skip(1)) {
            for first in lower {
                for then in higher {
                    if self.graph.find_edge(*then, *first).is_none() {
                        let edge = Edge {
                            condition: Condition::Started,
                            optional: true,
                            cause: Cause::Priority,
                        };
                        self.graph.add_edge(*then, *first, edge);
                    }
                }
            }
        }
        self
    }

    fn add_nodes(&mut self, spec: &'s ProcessSetSpec) {
        for (at, process) in spec.init_processes.iter().enumerate() {
            if process.enabled {
                self.graph.add_node(Node {
                    name: &process.name,
                    init: true,
                    at,
                    priority: None,
                });
            }
        }
        for (at, process) in spec.processes.iter().enumerate() {
            if process.enabled {
                self.graph.add_node(Node {
                    name: &process.name,
                    init: false,
                    at,
                    priority: process.priority,
                });
            }
        }
    }

    fn add_init_edges(&mut self, spec: &'s ProcessSetSpec) {
        let init: Vec<NodeIndex> = self
            .graph
            .node_indices()
            .filter(|node| self.graph[*node].init)
            .collect();
        for (place, node) in init.iter().enumerate() {
            let wants = &spec.init_processes[self.graph[*node].at].depends_on;
            if let ([], Some(before)) = (&wants[..], place.checked_sub(1)) {
                let edge = Edge {
                    condition: Condition::Completed,
                    optional: true,
                    cause: Cause::InitOrder,
                };
                self.graph.add_edge(*node, init[before], edge);
            }
            // A Pod's init container is ready when it has completed, and so is an init process.
            self.add_depends_on(*node, wants, |condition| match condition {
                Condition::Ready => Condition::Completed,
                other => other,
            });
        }
    }

    fn add_process_edges(&mut self, spec: &'s ProcessSetSpec) {
        for node in self.graph.node_indices() {
            if !self.graph[node].init {
                let wants = &spec.processes[self.graph[node].at].depends_on;
                self.add_depends_on(node, wants, |condition| condition);
            }
        }
    }

    fn add_depends_on(
        &mut self,
        node: NodeIndex,
        wants: &[spec::Dependency],
        lower: impl Fn(Condition) -> Condition,
    ) {
        for (at, wanted) in wants.iter().enumerate() {
            let init = self.graph[node].init;
            let on = self.graph.node_indices().find(|other| {
                let other = &self.graph[*other];
                other.init == init && other.name == wanted.name
            });
            if let Some(on) = on.filter(|on| *on != node) {
                let edge = Edge {
                    condition: lower(condition(wanted.condition)),
                    optional: wanted.optional,
                    cause: Cause::DependsOn { at },
                };
                self.graph.add_edge(node, on, edge);
            }
        }
    }

    /// All of them.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<> {
        (0..self.graph.node_count() as u32).map(ProcessId)
    }

    /// The process with this id.
    pub fn node(&self, process: ProcessId) -> &Node<'s> {
        &self.graph[NodeIndex::new(process.index())]
    }

    /// The edges of one process, in the order of its `dependsOn`, those of `priority` last.
    pub fn edges(&self, process: ProcessId) -> Vec<(ProcessId, Edge)> {
        let mut edges: Vec<(EdgeIndex, ProcessId, Edge)> = self
            .graph
            .edges(NodeIndex::new(process.index()))
            .map(|edge| (edge.id(), id(edge.target()), *edge.weight()))
            .collect();
        edges.sort_by_key(|(at, ..)| *at);
        edges.into_iter().map(|(_, on, edge)| (on, edge)).collect()
    }

    /// What one process waits for, for its plan.
    pub fn dependencies(&self, process: ProcessId) -> Vec<Dependency> {
        self.edges(process)
            .into_iter()
            .map(|(on, edge)| Dependency {
                on,
                condition: edge.condition,
                optional: edge.optional,
            })
            .collect()
    }

    /// Cycles, each from its first process in the order of the plan, such as `[a, b]` for `a -> b -> a`. Together they
    /// have every process that is on any cycle.
    pub fn cycles(&self) -> Vec<Vec<ProcessId>> {
        let mut cycles = Vec::new();
        for component in tarjan_scc(&self.graph) {
            let mut members = component;
            members.sort();
            let mut named: Vec<NodeIndex> = Vec::new();
            for member in &members {
                if named.contains(member) {
                    continue;
                }
                let Some(cycle) = self.path(*member, *member, |_| true) else {
                    continue;
                };
                named.extend(&cycle);
                cycles.push(from_the_first(&cycle));
            }
        }
        cycles.sort();
        cycles
    }

    /// Paths of `dependsOn` from a process to one with a higher priority that it would have to start before, such as
    /// `[a, x, b]`. Those between have no priority.
    pub fn contradictions(&self) -> Vec<Vec<ProcessId>> {
        let prioritised = || {
            self.graph
                .node_indices()
                .filter_map(|node| Some((node, self.graph[node].priority?)))
        };
        let mut found = Vec::new();
        for (from, low) in prioritised() {
            for (to, _) in prioritised().filter(|(_, high)| *high > low) {
                let free = |node: NodeIndex| self.graph[node].priority.is_none();
                let path = self.path(from, to, free);
                found.extend(path.map(|mut path| {
                    path.push(to);
                    path.into_iter().map(id).collect()
                }));
            }
        }
        found
    }

    /// The rows of its drawing, as [`waves`] gives them for a plan. The graph has no cycle.
    pub fn waves(&self) -> Vec<Vec<ProcessId>> {
        let entry = |process: ProcessId| {
            let on = self.edges(process).into_iter().map(|(on, _)| on);
            (self.node(process).init, on.collect())
        };
        rows(&self.processes().map(entry).collect::<Vec<_>>())
    }

    /// A longest way through the [`waves`](Self::waves), one process of each: what decides how many steps a start takes.
    pub fn longest_way(&self) -> Vec<ProcessId> {
        let waves = self.waves();
        let mut way: Vec<ProcessId> = Vec::new();
        for wave in waves.iter().rev() {
            let wanted = way.last().map(|after| self.edges(*after));
            let before = wanted.and_then(|edges| {
                let mut on = edges.into_iter().map(|(on, _)| on);
                on.find(|on| wave.contains(on))
            });
            // Between the init processes and the others there is no edge: all of these wait for all of those.
            way.extend(before.or_else(|| wave.first().copied()));
        }
        way.reverse();
        way
    }

    /// A shortest way along at least one edge, without its end, over nodes that may be `between`.
    fn path(
        &self,
        from: NodeIndex,
        to: NodeIndex,
        between: impl Fn(NodeIndex) -> bool,
    ) -> Option<Vec<NodeIndex>> {
        let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            let mut next: Vec<NodeIndex> = self.graph.neighbors(node).collect();
            next.sort();
            for next in next {
                if next == to {
                    let mut path = vec![node];
                    while let Some(before) = path.last().and_then(|last| came_from.get(last)) {
                        path.push(*before);
                    }
                    path.reverse();
                    return Some(path);
                }
                if next != from && !came_from.contains_key(&next) && between(next) {
                    came_from.insert(next, node);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

fn id(node: NodeIndex) -> ProcessId {
    ProcessId(node.index() as u32)
}

fn from_the_first(cycle: &[NodeIndex]) -> Vec<ProcessId> {
    let first = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
    let (tail, head) = cycle.split_at(first);
    head.iter().chain(tail).copied().map(id).collect()
}

fn condition(condition: DependencyCondition) -> Condition {
    match condition {
        DependencyCondition::Started => Condition::Started,
        DependencyCondition::Ready => Condition::Ready,
        DependencyCondition::Completed => Condition::Completed,
        DependencyCondition::Exited => Condition::Exited,
    }
}

/// The rows of a plan's drawing: processes that could start together, init processes first. Each process is in the row
/// after the last of those it waits for.
pub fn waves(plan: &Plan) -> Vec<Vec<ProcessId>> {
    let entries = plan.processes.iter().map(|process| {
        let on = process.depends_on.iter().map(|dependency| dependency.on);
        let init = matches!(process.kind, super::Kind::Init { .. });
        (init, on.collect())
    });
    rows(&entries.collect::<Vec<_>>())
}

/// [`waves`] of entries in the order of the plan: whether it is an init process, and whom it waits for.
fn rows(entries: &[(bool, Vec<ProcessId>)]) -> Vec<Vec<ProcessId>> {
    let mut row: Vec<Option<usize>> = vec![None; entries.len()];
    for init in [true, false] {
        let first = row.iter().flatten().max().map_or(0, |last| last + 1);
        let mut left: Vec<usize> = (0..row.len()).filter(|at| entries[*at].0 == init).collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|at| {
                let rows = entries[*at].1.iter().map(|on| row[on.index()]);
                let last = rows
                    .collect::<Option<Vec<usize>>>()
                    .map(|rows| rows.into_iter().map(|row| row + 1).fold(first, usize::max));
                row[*at] = last;
                last.is_none()
            });
            debug_assert!(left.len() < before, "the plan is acyclic");
            if left.len() == before {
                break;
            }
        }
    }
    let mut waves = vec![Vec::new(); row.iter().flatten().max().map_or(0, |last| last + 1)];
    for (at, row) in row.into_iter().enumerate() {
        if let Some(row) = row {
            waves[row].push(ProcessId(at as u32));
        }
    }
    waves
}
