//! The worst case against the rule of DESIGN 5.4 written a second time, slowly.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::plan::Traffic;
use crate::domain::shutdown::outline::{Member, StageKind};
use crate::domain::shutdown::table::{CHAINS, GRACES, chain, times};

/// Every way from a stage on, as a sum: as many steps as there are ways.
fn after(stages: &[Stage], values: &[u64], stage: usize) -> u64 {
    let next = (0..stages.len()).filter(|next| stages[*next].after.contains(&stage));
    next.map(|next| values[next] + after(stages, values, next))
        .max()
        .unwrap_or(0)
}

fn whole(stages: &[Stage], values: &[u64]) -> u64 {
    let all = (0..stages.len()).map(|at| values[at] + after(stages, values, at));
    all.max().unwrap_or(0)
}

/// (start, end) in microseconds: s is looked for from the top, step by step.
fn slow(stages: &[Stage], budget: u64) -> Vec<(u64, u64)> {
    let claims: Vec<u64> = stages
        .iter()
        .map(|one| claim(one).as_micros() as u64)
        .collect();
    let ones: Vec<u64> = claims.iter().map(|claim| u64::from(*claim > 0)).collect();
    let floor = match whole(stages, &ones) {
        0 => 0,
        n => (budget / n).min(500_000),
    };
    let shares = |s: u64| -> Vec<u64> {
        let share = |claim: &u64| (claim * s / 1024).max(floor.min(*claim));
        claims.iter().map(share).collect()
    };
    let s = (0..=1024)
        .rev()
        .find(|s| whole(stages, &shares(*s)) <= budget);
    let shares = shares(s.unwrap());
    let mut bars: Vec<(u64, u64)> = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        let start = stage.after.iter().map(|before| bars[*before].1).max();
        let start = start.unwrap_or(0);
        let mut end = budget - after(stages, &shares, at);
        if stage.gone {
            end = start;
        } else if let Some(limit) = stage.limit {
            end = end.min(start + limit.as_micros() as u64);
        }
        bars.push((start, end.max(start)));
    }
    bars
}

/// Processes of a set that depend on earlier ones, with hooks and a drain.
fn parts() -> impl Strategy<Value = Parts> {
    let member = (
        any::<bool>(),
        option::of(0..40_u64),
        option::of(1..8_u64),
        vec(0..9_usize, 0..3),
        0..8_u8,
    );
    (vec(1..6_u64, 0..3), 0..9_u64, vec(member, 1..9)).prop_map(|(hooks, drain, entries)| {
        let seconds = Duration::from_secs;
        let mut members: Vec<Member> = (entries.iter().enumerate())
            .map(|(at, (serving, grace, pre_stop, _, gone))| Member {
                name: format!("p{at}"),
                traffic: if *serving {
                    Traffic::Serving
                } else {
                    Traffic::Background
                },
                grace: grace.map(seconds),
                pre_stop: pre_stop.map(seconds),
                dependents: Vec::new(),
                gone: *gone == 0,
            })
            .collect();
        for (at, (.., on, _)) in entries.iter().enumerate() {
            for on in on.iter().filter(|on| **on < at) {
                let allowed = members[*on].traffic == Traffic::Serving
                    || members[at].traffic == Traffic::Background;
                if allowed && !members[*on].dependents.contains(&at) {
                    members[*on].dependents.push(at);
                }
            }
        }
        let hooks = hooks.into_iter().enumerate();
        Parts {
            hooks: hooks
                .map(|(at, time)| (format!("h{at}"), seconds(time)))
                .collect(),
            drain: seconds(drain),
            places: (0..members.len()).collect(),
            members,
        }
    })
}

fn micros(bar: &Bar) -> (u64, u64) {
    (bar.start.as_micros() as u64, bar.end.as_micros() as u64)
}

proptest! {
    #[test]
    fn the_worst_case_is_that_of_the_rule(
        parts in parts(), grace in 0..90_u64, tail in 0..8_u64, post_stop in 0..8_u64,
    ) {
        let seconds = Duration::from_secs;
        let times = Times { grace: seconds(grace), tail: seconds(tail), post_stop: seconds(post_stop) };
        let timeline = Timeline::new(&parts, &times);
        let budget = timeline.deadlines.budget();
        let stages = &timeline.outline.stages;
        let all_micros = budget.as_nanos().is_multiple_of(1000);
        let slow = slow(stages, budget.as_micros() as u64);
        for (at, bar) in timeline.bars.iter().enumerate() {
            // All is dead by T_kill, and nobody begins before those it follows are done.
            prop_assert!(bar.start <= bar.end && bar.end <= budget, "{bar:?}");
            for before in &stages[at].after {
                prop_assert!(timeline.bars[*before].end <= bar.start);
            }
            let (from, to) = micros(bar);
            if all_micros {
                prop_assert_eq!((from, to), slow[at], "stage {}", at);
            } else {
                prop_assert!(from.abs_diff(slow[at].0) <= 1 && to.abs_diff(slow[at].1) <= 1);
            }
        }
        // Whoever fits is not cut, and the longest chain is what fits or not.
        let cut = timeline.bars.iter().any(Bar::is_cut);
        prop_assert!(!(timeline.fits && cut), "{timeline:#?}");
        prop_assert!(timeline.fits || cut, "{timeline:#?}");
        let claims: Vec<u64> = stages.iter().map(|one| claim(one).as_micros() as u64).collect();
        prop_assert_eq!(timeline.needed.as_micros() as u64, whole(stages, &claims));
        let sum: Duration = timeline.longest.iter().map(|at| claim(&stages[*at])).sum();
        prop_assert_eq!(sum, timeline.needed);
        prop_assert!(timeline.longest.is_sorted());
        if grace <= 2 {
            prop_assert!(timeline.at_once);
            prop_assert!(stages.iter().all(|stage| stage.after.is_empty()));
            prop_assert!(timeline.outline.steps.iter().all(|step| step.kind == StageKind::Stop));
            prop_assert!(timeline.bars.iter().all(|bar| bar.start.is_zero()));
        }
    }
}

#[test]
fn the_examples_of_the_docs() {
    let wanted: [&[u64]; 3] = [&[2200; 5], &[833, 8333, 833], &[5000, 23_000]];
    for ((claims, budget), wanted) in CHAINS.into_iter().zip(wanted) {
        let bars = worst_case(&chain(claims), Duration::from_secs(budget));
        for (bar, wanted) in bars.iter().zip(wanted) {
            let got = bar.end.saturating_sub(bar.start).as_millis() as u64;
            assert!(
                got.abs_diff(*wanted) <= 30,
                "{claims:?}: {got}, not {wanted}"
            );
        }
    }
    let wanted = [0, 583, 1167, 8000, 28_000, 58_000, 3_598_000];
    for (grace, wanted) in GRACES.into_iter().zip(wanted) {
        let millis = times(grace).deadlines().budget().as_secs_f64() * 1000.0;
        assert_eq!(millis.round() as u64, wanted, "G = {grace}");
    }
}

#[test]
fn of_equal_chains_the_first_is_named() {
    let mut stages = chain(&[Some(1), Some(2), Some(3)]);
    stages[1].after.clear();
    stages[2].after = vec![0, 1];
    assert_eq!(longest_chain(&stages), (vec![1, 2], Duration::from_secs(5)));
    stages[0].limit = Some(Duration::from_secs(2));
    assert_eq!(longest_chain(&stages).0, [0, 2]);
    assert_eq!(longest_chain(&[]), (Vec::new(), Duration::ZERO));
}
