//! What a stop has to do, by name: the stages of the budget and which must be done before which.
//!
//! Set preStop hooks one after the other, before everything; the drain beside them, from t0, before Serving processes
//! only; each process after all that depend on it: its preStop hook, then its stop. Init processes and cron runs have
//! rules of their own (`onStop`) and are no part of it.

use std::time::Duration;

use super::planner::Stage;
use crate::domain::plan::graph::StartGraph;
use crate::domain::plan::resolve::{drain, stop_hook_timeout};
use crate::domain::plan::{Traffic, claim_of};
use crate::spec::v1alpha1::{self as wire, ProcessSetSpec};

/// A process, as far as a stop is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether the drain comes first.
    pub traffic: Traffic,
    /// From the stop signal to KILL; `None`: all that is left.
    pub grace: Option<Duration>,
    /// The timeout of its preStop hook; `None`: it has none.
    pub pre_stop: Option<Duration>,
    /// Who must be gone before it is stopped: places in the list of members.
    pub dependents: Vec<usize>,
    /// There is nothing to stop: it claims nothing.
    pub gone: bool,
}

/// What a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageKind {
    /// A preStop hook of the set.
    SetHook,
    /// The drain.
    Drain,
    /// The preStop hook of a process.
    PreStop,
    /// From the stop signal of a process to its KILL.
    Stop,
}

/// Whose stage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: StageKind,
    /// The place in the list of hooks or of members; 0 for the drain.
    pub at: usize,
}

/// What a stop has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The stages, each after those it follows; the planner takes them as they are.
    pub stages: Vec<Stage>,
    /// Whose they are, in the same order.
    pub steps: Vec<Step>,
    names: Vec<String>,
}

impl Outline {
    /// The outline of a set with these preStop hooks (name and timeout), this drain (`None` or zero: none) and these
    /// processes, in any order.
    pub fn new(
        hooks: &[(String, Duration)],
        drain: Option<Duration>,
        members: &[Member],
    ) -> Outline {
        let mut outline = Outline {
            stages: Vec::new(),
            steps: Vec::new(),
            names: Vec::new(),
        };
        let mut last_hook = None;
        for (at, (name, timeout)) in hooks.iter().enumerate() {
            let step = Step {
                kind: StageKind::SetHook,
                at,
            };
            let after = last_hook.into_iter().collect();
            last_hook = Some(outline.push(step, name.clone(), Some(*timeout), after));
        }
        let drain = drain.filter(|drain| !drain.is_zero()).map(|drain| {
            let step = Step {
                kind: StageKind::Drain,
                at: 0,
            };
            outline.push(step, "drain".to_owned(), Some(drain), Vec::new())
        });
        let mut stop_of = vec![None; members.len()];
        for at in dependents_first(members) {
            let member = &members[at];
            let mut after: Vec<usize> = last_hook.into_iter().collect();
            if member.traffic == Traffic::Serving {
                after.extend(drain);
            }
            after.extend(member.dependents.iter().filter_map(|other| stop_of[*other]));
            stop_of[at] = Some(outline.push_member(member, at, after));
        }
        outline
    }

    /// The same where there is no time for order: no hooks, no drain, everybody is signalled at t0.
    pub fn at_once(members: &[Member]) -> Outline {
        let alone: Vec<Member> = members
            .iter()
            .map(|member| Member {
                pre_stop: None,
                dependents: Vec::new(),
                ..member.clone()
            })
            .collect();
        Outline::new(&[], None, &alone)
    }

    fn push(
        &mut self,
        step: Step,
        name: String,
        limit: Option<Duration>,
        after: Vec<usize>,
    ) -> usize {
        self.stages.push(Stage {
            limit,
            used: Duration::ZERO,
            after,
            gone: false,
        });
        self.steps.push(step);
        self.names.push(name);
        self.stages.len() - 1
    }

    /// Gives the stage of its stop.
    fn push_member(&mut self, member: &Member, at: usize, mut after: Vec<usize>) -> usize {
        if let Some(timeout) = member.pre_stop {
            let step = Step {
                kind: StageKind::PreStop,
                at,
            };
            let hook = self.push(step, member.name.clone(), Some(timeout), after);
            self.stages[hook].gone = member.gone;
            after = vec![hook];
        }
        let step = Step {
            kind: StageKind::Stop,
            at,
        };
        let at = self.push(step, member.name.clone(), member.grace, after);
        self.stages[at].gone = member.gone;
        at
    }

    /// The stage of this step.
    pub fn stage_of(&self, kind: StageKind, at: usize) -> Option<usize> {
        self.steps
            .iter()
            .position(|step| *step == Step { kind, at })
    }

    /// The name of the hook or process; `drain` for the drain.
    pub fn name(&self, stage: usize) -> &str {
        &self.names[stage]
    }

    /// What people call a stage: its name, and for the hook of a process also that.
    pub fn label(&self, stage: usize) -> String {
        match self.steps[stage].kind {
            StageKind::PreStop => format!("{} preStop", self.names[stage]),
            StageKind::SetHook | StageKind::Drain | StageKind::Stop => self.names[stage].clone(),
        }
    }
}

/// The order of a stop. What is on a cycle, which `validate` refuses, comes last.
fn dependents_first(members: &[Member]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(members.len());
    let mut waits: Vec<usize> = members.iter().map(|one| one.dependents.len()).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    for (at, member) in members.iter().enumerate() {
        for dependent in &member.dependents {
            before[*dependent].push(at);
        }
    }
    order.extend((0..members.len()).filter(|at| waits[*at] == 0));
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for after in &before[at] {
            waits[*after] -= 1;
            if waits[*after] == 0 {
                order.push(*after);
            }
        }
    }
    order.extend((0..members.len()).filter(|at| waits[*at] > 0));
    order
}

/// What a spec says about its stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// preStop hooks of the set, with their timeouts.
    pub hooks: Vec<(String, Duration)>,
    /// How long Serving processes are drained; zero where there is none.
    pub drain: Duration,
    /// Enabled processes, in the order of the spec.
    pub members: Vec<Member>,
    /// The place of each in `spec.processes`.
    pub places: Vec<usize>,
}

impl Parts {
    /// Takes them from a spec that `validate` has no complaints about.
    pub fn of(spec: &ProcessSetSpec, in_kubernetes: bool) -> Parts {
        let graph = StartGraph::of(spec).with_priorities();
        let mut places = Vec::new();
        let mut member_of = vec![None; graph.processes().count()];
        for process in graph.processes() {
            let node = graph.node(process);
            if !node.init {
                member_of[process.index()] = Some(places.len());
                places.push(node.at);
            }
        }
        let mut members: Vec<Member> = (places.iter())
            .map(|at| member(&spec.processes[*at]))
            .collect();
        for process in graph.processes() {
            for (on, _) in graph.edges(process) {
                if let (Some(dependent), Some(on)) =
                    (member_of[process.index()], member_of[on.index()])
                {
                    members[on].dependents.push(dependent);
                }
            }
        }
        let hooks = spec.hooks.pre_stop.iter();
        let hooks = hooks.map(|hook| (hook.name.clone(), claim(hook)));
        let serves = |member: &Member| member.traffic == Traffic::Serving && !member.gone;
        let drain = drain(spec, in_kubernetes);
        Parts {
            hooks: hooks.collect(),
            drain: if members.iter().any(serves) {
                drain
            } else {
                Duration::ZERO
            },
            members,
            places,
        }
    }

    /// The outline of these; `at_once`: there is no time for order.
    pub fn outline(&self, at_once: bool) -> Outline {
        if at_once {
            Outline::at_once(&self.members)
        } else {
            Outline::new(&self.hooks, Some(self.drain), &self.members)
        }
    }
}

fn member(process: &wire::Process) -> Member {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let pre_stop = process.lifecycle.pre_stop.as_ref();
    Member {
        name: process.name.clone(),
        traffic: match process.traffic {
            wire::Traffic::Serving => Traffic::Serving,
            wire::Traffic::Background => Traffic::Background,
        },
        grace: process.termination_grace_period_seconds.map(seconds),
        pre_stop: pre_stop.map(|hook| stop_hook_timeout(hook.timeout_seconds, hook.sleep.as_ref())),
        dependents: Vec::new(),
        gone: process.replicas == 0,
    }
}

fn claim(hook: &wire::Hook) -> Duration {
    let timeout = stop_hook_timeout(hook.timeout_seconds, hook.sleep.as_ref());
    claim_of(timeout, hook.retries, hook.retry_delay.to_std())
}

/// What the set's postStop hooks may take.
pub fn post_stop(spec: &ProcessSetSpec) -> Duration {
    spec.hooks.post_stop.iter().map(claim).sum()
}

#[cfg(test)]
mod tests;
