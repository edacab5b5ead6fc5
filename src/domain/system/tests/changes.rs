//! Changes by the thousand: random sets, random newer ones at random times, stops anywhere; with invariants.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::world::{Behaviour, Set, World, secs, service, set};
use crate::domain::plan::{Condition, Process, Traffic};
use crate::domain::signal::Signal;
use crate::domain::time::Mono;

/// One process as it is written in one version of the spec.
#[derive(Debug, Clone)]
struct Written {
    there: bool,
    version: u8,
    replicas: u32,
    serving: bool,
    recreate: bool,
    surge: u32,
    down: u32,
    after: Option<usize>,
}

fn written() -> impl Strategy<Value = Written> {
    (
        prop::bool::weighted(0.8),
        0u8..3,
        0u32..4,
        any::<bool>(),
        prop::bool::weighted(0.2),
        0u32..3,
        0u32..3,
        prop::option::of(0usize..4),
    )
        .prop_map(
            |(there, version, replicas, serving, recreate, surge, down, after)| Written {
                there,
                version,
                replicas,
                serving,
                recreate,
                surge: if recreate || replicas == 0 { 0 } else { surge },
                down,
                after,
            },
        )
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A set that has nothing to run ends: the first one always runs.
fn replicas(at: usize, written: &Written) -> u32 {
    written.replicas.max(u32::from(at == 0))
}

fn spec(processes: &[Written]) -> Set {
    let mut all: Vec<Process> = Vec::new();
    for (at, written) in processes.iter().enumerate() {
        if !written.there && at > 0 {
            continue;
        }
        let mut process = service(NAMES[at]).replicas(replicas(at, written));
        process = process.surge(written.surge);
        process = process.runs(&format!("v{}", written.version));
        process.update.recreate = written.recreate;
        process.update.max_unavailable = written.down.max(u32::from(written.surge == 0));
        if !written.serving {
            process = process.background();
        }
        let before = written.after.filter(|on| *on < at);
        if let Some(on) = before.filter(|on| *on == 0 || processes[*on].there) {
            // A Serving process must not depend on a Background one; the world does not care.
            process = process.after(NAMES[on], Condition::Started);
        }
        all.push(process);
    }
    set(all).drain(3.0)
}

#[derive(Debug, Clone)]
struct Life {
    specs: Vec<(Vec<Written>, f64)>,
    stop_times: [f64; 4],
    crash_after: Option<f64>,
    stop_at: Option<f64>,
}

fn life() -> impl Strategy<Value = Life> {
    (
        prop::collection::vec((prop::collection::vec(written(), 4), 0.0..12.0f64), 2..5),
        [0.0..2.0f64, 0.0..2.0f64, 0.0..2.0f64, 0.0..2.0f64],
        prop::option::weighted(0.3, 3.0..15.0f64),
        prop::option::weighted(0.3, 0.0..40.0f64),
    )
        .prop_map(|(specs, stop_times, crash_after, stop_at)| Life {
            specs,
            stop_times,
            crash_after,
            stop_at,
        })
}

fn live(life: &Life) -> World {
    let mut world = spec(&life.specs[0].0).world().watched();
    for (name, time) in NAMES.iter().zip(life.stop_times) {
        let behaviour = Behaviour {
            life: life
                .crash_after
                .filter(|_| *name == "b")
                .map(|after| (secs(after), 1)),
            stops_in: Some(secs(time)),
            ..Behaviour::default()
        };
        world = world.child(name, behaviour);
    }
    let mut at = 1.0;
    for (processes, after) in &life.specs[1..] {
        at += after;
        world.change(at, &spec(processes));
    }
    if let Some(stop_at) = life.stop_at {
        world.signal(stop_at, Signal::TERM);
    }
    world
}

/// Every wanted instance runs what is now written, and nobody else runs.
fn settled(world: &World, last: &[Written], crashes: bool) -> Result<(), TestCaseError> {
    let mut wanted = BTreeSet::new();
    for (at, written) in last.iter().enumerate() {
        if written.there || at == 0 {
            for index in 0..replicas(at, written) {
                wanted.insert((format!("{}-{index}", NAMES[at]), written.version));
            }
        }
    }
    for (name, version) in &wanted {
        let runs = world.running(name);
        if crashes && name.starts_with('b') && runs.is_none() {
            continue;
        }
        prop_assert_eq!(
            runs,
            Some(format!("v{version}")),
            "{}:\n{}",
            name,
            world.trace
        );
    }
    let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| &**name).collect();
    for name in world.alive() {
        prop_assert!(
            names.contains(&*name),
            "{} still runs:\n{}",
            name,
            world.trace
        );
    }
    Ok(())
}

fn check(life: &Life) -> Result<(), TestCaseError> {
    let mut world = live(life);
    world.run_until(1000.0);
    prop_assert_eq!(world.seen.doubles, 0, "two leaders of one instance");
    prop_assert_eq!(world.seen.spawned_in_stop, 0);
    if life.stop_at.is_some() {
        prop_assert!(world.outcome.is_some(), "the stop ends");
        prop_assert!(world.alive().is_empty());
        return Ok(());
    }
    let (last, _) = life.specs.last().expect("at least two");
    settled(&world, last, life.crash_after.is_some())?;
    prop_assert!(!world.snapshot().spec.changing || life.crash_after.is_some());
    drained_before_stopped(&world, life)
}

/// A Serving run without anybody in excess is stopped only after the pod was unready for the time of the drain.
fn drained_before_stopped(world: &World, life: &Life) -> Result<(), TestCaseError> {
    let drain = secs(3.0);
    for (name, traffic, surge, at, unready_since) in &world.seen.stopped {
        if *traffic != Traffic::Serving || *surge > 0 || life.crash_after.is_some() {
            continue;
        }
        let long = unready_since.is_some_and(|since| at.since(since) >= drain);
        prop_assert!(
            long,
            "{} was stopped at {:?}, unready since {:?}:\n{}",
            name,
            at.since(Mono::ZERO),
            unready_since.map(|since| since.since(Mono::ZERO)),
            world.trace
        );
    }
    Ok(())
}

#[test]
fn whatever_changes_and_whenever_what_is_written_is_what_runs() {
    let mut runner = TestRunner::new(Config {
        cases: 5_000,
        ..Config::default()
    });
    runner
        .run(&life(), |life| check(&life))
        .unwrap_or_else(|error| panic!("{error}"));
}
