//! Random pods, random lives: what must hold whatever happens.

use proptest::prelude::*;

use super::world::{Behaviour, World, secs, service, set};
use crate::domain::plan::{Condition, Process};
use crate::domain::signal::Signal;
use crate::domain::system::Config;
use crate::domain::time::Mono;

#[derive(Debug, Clone)]
struct Child {
    after: Vec<prop::sample::Index>,
    grace: Option<u64>,
    behaviour: Behaviour,
    policy: u8,
    replicas: u32,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let millis = |max: u64| (0..max).prop_map(std::time::Duration::from_millis);
    (
        prop_oneof![9 => Just(0), 1 => Just(2)],
        millis(200),
        prop::option::of((millis(20_000), 0u8..3)),
        prop::option::weighted(0.8, millis(15_000)),
        prop_oneof![4 => Just(0u32), 1 => 1u32..4],
        prop::option::weighted(0.7, millis(3_000)),
    )
        .prop_map(
            |(exec_errno, exec_after, life, stops_in, leaves, left_stop_in)| Behaviour {
                exec_errno,
                exec_after,
                life,
                stops_in,
                leaves,
                left_stop_in,
                immortal: false,
            },
        )
}

fn child() -> impl Strategy<Value = Child> {
    (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::option::of(0u64..30),
        behaviour(),
        0u8..3,
        0u32..3,
    )
        .prop_map(|(after, grace, behaviour, policy, replicas)| Child {
            after,
            grace,
            behaviour,
            policy,
            replicas,
        })
}

fn process(at: usize, child: &Child) -> Process {
    let mut process = service(&format!("p{at}")).replicas(child.replicas);
    process = match child.policy {
        0 => process,
        1 => process.never(),
        _ => process.on_failure_only(),
    };
    if let Some(grace) = child.grace {
        process = process.grace(grace as f64);
    }
    // Only on earlier ones: no cycles.
    if at > 0 {
        for index in &child.after {
            let on = format!("p{}", index.index(at));
            if !process
                .depends_on
                .iter()
                .any(|dependency| dependency.on.index() == usize::MAX)
            {
                process = process.after(&on, Condition::Started);
            }
        }
    }
    process
}

fn live(children: &[Child], grace: u64, stop_at: f64, seed: u64) -> World {
    let processes = children
        .iter()
        .enumerate()
        .map(|(at, child)| process(at, child))
        .collect();
    let config = Config {
        seed,
        terminal: false,
    };
    let mut world = World::with_config(set(processes).grace(grace as f64).plan, config);
    for (at, child) in children.iter().enumerate() {
        world = world.child(&format!("p{at}"), child.behaviour.clone());
    }
    world.signal(stop_at, Signal::TERM);
    world.run_until(stop_at + 2.0 * grace as f64 + 10.0);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_stop_ends_everything_in_time_and_starts_nothing(
        children in prop::collection::vec(child(), 0..8),
        grace in 0u64..40,
        stop_at in 0.0f64..30.0,
        seed: u64,
    ) {
        let world = live(&children, grace, stop_at, seed);
        let trace = &world.trace;
        let stopped_at = Mono::ZERO + secs(stop_at);
        prop_assert!(world.outcome.is_some(), "no end:\n{trace}");
        prop_assert_eq!(world.seen.doubles, 0, "two runs at a time:\n{}", trace);
        prop_assert_eq!(world.seen.spawned_in_stop, 0, "started in a stop:\n{}", trace);
        prop_assert!(world.now <= stopped_at + secs(grace as f64), "too late:\n{trace}");
        for (name, at) in &world.seen.killed {
            if *at >= stopped_at {
                let signalled = world.seen.signalled.get(name);
                let died = world.seen.died.get(name).is_some_and(|died| died <= at);
                prop_assert!(signalled.is_some() || died, "{name} was killed unasked:\n{trace}");
            }
        }
    }
}
