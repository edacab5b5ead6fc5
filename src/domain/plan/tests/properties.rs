//! Random specs against oracles that are too slow or too plain to ship.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{root, set};
use crate::domain::id::ProcessId;
use crate::domain::plan::graph::{StartGraph, waves};
use crate::domain::plan::resolve::resolve;
use crate::domain::plan::validate::validate;
use crate::domain::plan::{Kind, Plan};
use crate::spec::problem::Problem;
use crate::spec::v1alpha1::ProcessSetSpec;

/// Processes `p0` to `pN` that depend on those given, with priorities.
fn graph_spec(edges: &[Vec<usize>], priorities: &[Option<i32>]) -> ProcessSetSpec {
    let mut body = "processes:\n".to_owned();
    for (at, on) in edges.iter().enumerate() {
        let on: Vec<String> = on.iter().map(|on| format!("{{name: p{on}}}")).collect();
        let priority = priorities.get(at).copied().flatten();
        let priority = priority.map_or_else(String::new, |p| format!(", priority: {p}"));
        let _ = writeln!(
            body,
            "- {{name: p{at}, command: [a], dependsOn: [{}]{priority}}}",
            on.join(", ")
        );
    }
    set(&body).spec
}

/// `reach[a][b]`: there is a way from a to b along at least one edge.
fn reach(edges: &[Vec<usize>]) -> Vec<Vec<bool>> {
    let n = edges.len();
    let mut reach = vec![vec![false; n]; n];
    for (from, on) in edges.iter().enumerate() {
        for to in on {
            reach[from][*to] = true;
        }
    }
    for via in 0..n {
        for from in 0..n {
            for to in 0..n {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

fn any_edges(n: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let on = vec(any::<bool>(), n).prop_map(|bits| {
        let on = bits.into_iter().enumerate();
        on.filter_map(|(at, bit)| bit.then_some(at))
            .collect::<Vec<_>>()
    });
    // A third of all pairs at most, or nearly every graph would be one knot.
    (vec(on, n), vec(0..3_u8, n * n)).prop_map(move |(edges, keep)| {
        let kept = |from: usize, to: usize| from != to && keep[from * n + to] == 0;
        let edges = edges.into_iter().enumerate();
        edges
            .map(|(from, on)| on.into_iter().filter(|to| kept(from, *to)).collect())
            .collect()
    })
}

/// Edges to lower numbers only: no cycles.
fn acyclic_edges(n: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    any_edges(n).prop_map(|edges| {
        let edges = edges.into_iter().enumerate();
        edges
            .map(|(from, on)| on.into_iter().filter(|to| *to < from).collect())
            .collect()
    })
}

/// A spec that nothing is wrong with, as text, and how many instances each enabled entry should have.
fn good_spec() -> impl Strategy<Value = (String, Vec<(String, usize)>)> {
    let entry = (
        0..4_usize,
        0..5_u8,
        select(vec!["Ready", "Started"]),
        any::<bool>(),
    );
    let text = "[a-c$()A-Z ]{0,12}";
    (
        vec((text, 0..5_u8), 0..4),
        (1..9_usize).prop_flat_map(move |n| (acyclic_edges(n), vec(entry.clone(), n))),
        vec((text, any::<bool>()), 8),
    )
        .prop_map(|(init, (edges, entries), texts)| {
            let mut body = String::new();
            let mut wanted = Vec::new();
            let quote = |text: &str| format!("'{text}'");
            let _ = writeln!(body, "initProcesses:");
            if init.is_empty() {
                body.clear();
            }
            for (at, (arg, off)) in init.iter().enumerate() {
                let enabled = *off != 0;
                let arg = quote(arg);
                let _ = writeln!(body, "- {{name: i{at}, command: [a, {arg}], enabled: {enabled}}}");
                if enabled {
                    wanted.push((format!("i{at}"), 1));
                }
            }
            let _ = writeln!(body, "processes:\n- {{name: always, command: [a]}}");
            wanted.push(("always".to_owned(), 1));
            for (at, (replicas, off, condition, optional)) in entries.iter().enumerate() {
                let enabled = *off != 0;
                let on: Vec<String> = (edges[at].iter())
                    .map(|on| {
                        let optional = *optional || entries[*on].1 == 0;
                        format!("{{name: p{on}, condition: {condition}, optional: {optional}}}")
                    })
                    .collect();
                let (text, clean) = &texts[at % texts.len()];
                let policy = if *clean { "Clean" } else { "Inherit" };
                let _ = writeln!(
                    body,
                    "- {{name: p{at}, command: [a, {arg}], env: [{{name: E, value: {arg}}}], envPolicy: {policy}, replicas: {replicas}, enabled: {enabled}, priority: {at}, portBase: 100, dependsOn: [{}]}}",
                    on.join(", "),
                    arg = quote(text),
                );
                if enabled {
                    wanted.push((format!("p{at}"), *replicas));
                }
            }
            (body, wanted)
        })
}

fn rows(plan: &Plan) -> Vec<usize> {
    let mut row = vec![usize::MAX; plan.processes.len()];
    for (at, wave) in waves(plan).into_iter().enumerate() {
        for process in wave {
            assert_eq!(row[process.index()], usize::MAX, "once");
            row[process.index()] = at;
        }
    }
    row
}

proptest! {
    #[test]
    fn a_good_spec_gives_its_plan((body, wanted) in good_spec()) {
        let (plan, warnings) = resolve(&set(&body), &root()).unwrap();
        prop_assert_eq!(warnings, vec![]);
        let found: Vec<(String, usize)> = plan
            .processes
            .iter()
            .map(|process| (process.name.to_string(), process.instances.len()))
            .collect();
        prop_assert_eq!(found, wanted);
        let row = rows(&plan);
        for (at, process) in plan.processes.iter().enumerate() {
            for dependency in &process.depends_on {
                prop_assert!(row[dependency.on.index()] < row[at]);
                let same = |kind| matches!(kind, Kind::Init { .. });
                prop_assert_eq!(same(plan.process(dependency.on).kind), same(process.kind));
            }
            for instance in &process.instances {
                prop_assert!(!instance.launch.argv.is_empty());
                let names = instance.launch.env.iter().map(|entry| entry.to_bytes().split(|b| *b == b'=').next());
                let names: Vec<_> = names.collect();
                let mut unique = names.clone();
                unique.dedup();
                prop_assert_eq!(names, unique);
            }
        }
        let last_init = plan.processes.iter().zip(&row).filter(|(p, _)| matches!(p.kind, Kind::Init { .. })).map(|(_, row)| *row).max();
        let first = plan.processes.iter().zip(&row).filter(|(p, _)| p.kind == Kind::Service).map(|(_, row)| *row).min();
        prop_assert!(last_init < first);
    }

    #[test]
    fn every_process_on_a_cycle_is_named_and_no_other(edges in (2..9_usize).prop_flat_map(any_edges)) {
        let spec = graph_spec(&edges, &[]);
        let reach = reach(&edges);
        let cycles = StartGraph::of(&spec).cycles();
        let mut named = vec![false; edges.len()];
        for cycle in &cycles {
            for (from, to) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
                prop_assert!(edges[from.index()].contains(&to.index()));
                named[from.index()] = true;
            }
            prop_assert_eq!(cycle.iter().min(), cycle.first());
        }
        let on_a_cycle: Vec<bool> = (0..edges.len()).map(|at| reach[at][at]).collect();
        prop_assert_eq!(&named, &on_a_cycle);
        let errors = validate(&spec).iter().filter(|problem| problem.is_error()).count();
        prop_assert_eq!(errors, cycles.len());
    }

    #[test]
    fn priorities_contradict_exactly_when_their_edges_would_close_a_cycle(
        (edges, priorities) in (2..8_usize).prop_flat_map(|n| (acyclic_edges(n), vec(proptest::option::of(-2..3_i32), n)))
    ) {
        let spec = graph_spec(&edges, &priorities);
        let graph = StartGraph::of(&spec);
        let contradictions = graph.contradictions();
        let whole = graph.with_priorities();
        let all: Vec<Vec<usize>> = whole
            .processes()
            .map(|process| whole.edges(process).into_iter().map(|(on, _)| on.index()).collect())
            .collect();
        let reach = reach(&all);
        let closed = (0..all.len()).any(|at| reach[at][at]);
        prop_assert_eq!(closed, !contradictions.is_empty());
        for path in contradictions {
            let priority = |process: &ProcessId| priorities[process.index()];
            prop_assert!(priority(&path[0]) < path.last().and_then(priority));
            prop_assert!(path.windows(2).all(|pair| edges[pair[0].index()].contains(&pair[1].index())));
        }
        if !closed {
            for (a, lower) in priorities.iter().enumerate() {
                for (b, higher) in priorities.iter().enumerate() {
                    if let (Some(lower), Some(higher)) = (lower, higher) && lower < higher {
                        prop_assert!(reach[b][a], "p{} starts before p{}", a, b);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_that_the_loader_accepts_makes_it_panic(
        on in vec(select(vec!["p0", "p1", "p2", "i0", "i1", "x"]), 5),
        flags in vec(any::<bool>(), 12),
        text in "[a-z$(){}A-Z\u{e9}=]{0,20}",
        numbers in vec(select(vec![0_u32, 1, 2, 40]), 3),
    ) {
        let mut body = "initProcesses:\n".to_owned();
        for at in 0..2 {
            let _ = writeln!(body, "- {{name: i{at}, command: ['{text}'], enabled: {}, dependsOn: [{{name: {}}}]}}", flags[at], on[at]);
        }
        body.push_str("processes:\n");
        for at in 0..3 {
            let policy = if flags[at + 2] { "Always" } else { "Never" };
            let traffic = if flags[at + 5] { "Serving" } else { "Background" };
            let _ = writeln!(
                body,
                "- {{name: p{at}, command: ['{text}', a], enabled: {}, restartPolicy: {policy}, traffic: {traffic}, replicas: {}, portBase: 65000, \
                 dependsOn: [{{name: {}, condition: Completed, optional: {}}}], env: [{{name: A, value: '{text}'}}]}}",
                flags[at + 8], numbers[at], on[at + 2], flags[at]
            );
        }
        let set = set(&body);
        let errors = validate(&set.spec).iter().any(Problem::is_error);
        prop_assert_eq!(resolve(&set, &root()).is_err(), errors);
    }
}
