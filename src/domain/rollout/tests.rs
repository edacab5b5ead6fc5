use proptest::prelude::*;

use super::{Before, Fleet, MaxUnavailable, PARTS, Pod, Progress, admitted, part};

use MaxUnavailable::{Count, Percent};

#[test]
fn the_hash_is_what_pods_of_all_versions_agree_on() {
    for (uid, at) in [
        ("", 346_656_037),
        ("a", 555_641_996),
        ("0b1f6a3c-5d0e-4a57-9a0e-3c8f8d2f1a77", 905_584_153),
        ("9f2d7e10-1c3b-4a8e-8d46-b6a1f0c5e932", 157_116_851),
    ] {
        assert_eq!(part(uid), at, "{uid}");
    }
    assert!(!admitted("a", 0));
    assert!(!admitted("a", part("a")));
    assert!(admitted("a", part("a") + 1));
    assert!(admitted("a", PARTS));
}

#[test]
fn uids_spread_evenly() {
    let mut counts = [0u32; 1000];
    let mut parts: Vec<u32> = (0..100_000).map(|n| part(&uid(n))).collect();
    for part in &parts {
        counts[(part / 1_000_000) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (50..160).contains(count)));
    parts.sort_unstable();
    parts.dedup();
    assert!(parts.len() > 99_980, "hardly any two pods share a part");
}

/// Looks like a pod's.
fn uid(n: u32) -> String {
    let (a, b) = (
        n.wrapping_mul(2_654_435_761),
        n.wrapping_mul(40_503) & 0xFFFF,
    );
    format!(
        "{a:08x}-{b:04x}-4{:03x}-9a0e-{:012x}",
        n & 0xFFF,
        u64::from(a) * 77
    )
}

fn pod(part: u32, acted: bool, ready: bool) -> Pod {
    Pod {
        part,
        acted,
        ready,
        reverted: false,
        refuses: false,
    }
}

/// After so many parts were admitted.
fn after(parts: u32) -> Before {
    Before {
        parts,
        ..Before::default()
    }
}

fn fleet(pods: &[Pod]) -> Fleet {
    let mut fleet = Fleet::default();
    for pod in pods {
        fleet.add(*pod);
    }
    fleet
}

fn untouched<const N: usize>(parts: [u32; N]) -> [Pod; N] {
    parts.map(|part| pod(part, false, true))
}

#[test]
fn the_limit_is_rounded_down_and_at_least_one() {
    let mut fleet = Fleet::default();
    assert_eq!(fleet.limit(Percent(25)), 1);
    for n in 0..10 {
        fleet.add(pod(n, false, true));
    }
    let limits = [
        Percent(25),
        Percent(100),
        Percent(5),
        Count(3),
        Count(0),
        Percent(400),
    ];
    assert_eq!(limits.map(|max| fleet.limit(max)), [2, 10, 1, 3, 1, 10]);
}

#[test]
fn it_is_raised_as_pods_get_ready() {
    let mut pods = untouched([10, 200, 300, 990]);
    let step = |pods: &[Pod], current| {
        let admission = fleet(pods).admit(after(current), Count(2));
        (admission.parts, admission.progress)
    };
    // Up to the part of the third.
    assert_eq!(step(&pods, 0), (300, Progress::Waiting { at_risk: 2 }));
    pods[0].acted = true;
    pods[0].ready = false;
    assert_eq!(
        step(&pods, 300),
        (300, Progress::Waiting { at_risk: 2 }),
        "acted, not ready"
    );
    pods[0].ready = true;
    assert_eq!(step(&pods, 300), (990, Progress::Waiting { at_risk: 2 }));
    // Ready still by its old spec: it may act any moment.
    pods[2] = pod(300, true, true);
    assert_eq!(step(&pods, 990), (PARTS, Progress::Waiting { at_risk: 2 }));
    for pod in &mut pods {
        pod.acted = true;
    }
    assert_eq!(step(&pods, PARTS), (PARTS, Progress::Complete));
    // One that falls over later takes nothing back.
    pods[1].ready = false;
    assert_eq!(
        step(&pods, PARTS),
        (PARTS, Progress::Waiting { at_risk: 1 })
    );
}

#[test]
fn a_failure_stops_it() {
    let pods = untouched([10, 200, 300]);
    let mut fleet = Fleet::default();
    let mut back = pod(pods[0].part, false, true);
    back.reverted = true;
    fleet.add(back);
    fleet.add(pod(pods[1].part, false, true));
    fleet.add(pod(pods[2].part, false, true));
    let admission = fleet.admit(after(11), Count(3));
    assert_eq!(
        (admission.parts, admission.progress),
        (11, Progress::Failed { reverted: 1 })
    );
}

#[test]
fn new_pods_that_do_not_get_ready_hold_the_others_up() {
    let mut pods = untouched([10, 500, 600, 990]);
    pods[3] = pod(990, true, false);
    assert_eq!(
        fleet(&pods).admit(after(0), Count(1)).parts,
        10,
        "one is at risk already"
    );
    pods[3].ready = true;
    assert_eq!(fleet(&pods).admit(after(0), Count(1)).parts, 500);
}

#[test]
fn pods_that_share_a_part_beyond_the_limit_go_alone() {
    let mut pods = untouched([10, 20, 20, 20, 30]);
    assert_eq!(
        fleet(&pods).admit(after(0), Count(2)).parts,
        20,
        "not beside another one"
    );
    pods[0].acted = true;
    let admission = fleet(&pods).admit(after(20), Count(2));
    assert_eq!(
        (admission.parts, admission.progress),
        (30, Progress::Waiting { at_risk: 3 })
    );
    for pod in &mut pods[1..3] {
        pod.acted = true;
    }
    // Under the limit again, so the next one may go.
    assert_eq!(fleet(&pods).admit(after(30), Count(2)).parts, PARTS);
}

#[test]
fn nothing_is_admitted_without_reports() {
    assert_eq!(Fleet::default().admit(after(0), Percent(100)).parts, 0);
}

#[test]
fn what_is_admitted_stays() {
    let pods = untouched([1, 2, 3, 4, 5, 6]);
    let admission = fleet(&pods).admit(after(5), Count(1));
    assert_eq!(
        (admission.parts, admission.progress),
        (5, Progress::Waiting { at_risk: 4 })
    );
    assert_eq!(fleet(&pods).admit(after(u32::MAX), Count(1)).parts, PARTS);
}

#[derive(Debug, Clone, Copy)]
struct Life {
    part: u32,
    acted: bool,
    ready: bool,
}

impl Life {
    fn may_act(self, parts: u32) -> bool {
        self.part < parts && !(self.acted && self.ready)
    }
}

/// How many of these pods share one part at most.
fn biggest(pods: &[Life]) -> u32 {
    let mut parts: Vec<u32> = pods.iter().map(|pod| pod.part).collect();
    parts.sort_unstable();
    let sharing = parts.chunk_by(u32::eq).map(<[u32]>::len);
    sharing.max().unwrap_or(0) as u32
}

/// Plays a rollout: pods act once admitted, get ready later, come and go; the holder counts reports that may be late.
/// With `few`, no more than so many parts have pods.
fn play(count: u32, max: MaxUnavailable, few: Option<u32>, seed: u64) -> Result<(), TestCaseError> {
    let mut random = crate::domain::election::tests::world::Random(seed);
    let mut made = 0;
    let mut fresh_pod = |acted| {
        made += 1;
        let part = part(&uid(made));
        Life {
            part: few.map_or(part, |few| part % few * (PARTS / few)),
            acted,
            ready: true,
        }
    };
    let mut pods: Vec<Life> = (0..count).map(|_| fresh_pod(false)).collect();
    let mut reports = pods.clone();
    let (mut parts, mut allowed) = (0, 0);
    for round in 0..30 * count + 200 {
        // Reports lag: only some of them are of now.
        for (report, pod) in reports.iter_mut().zip(&pods) {
            if random.chance(70) {
                *report = *pod;
            }
        }
        let counted: Vec<Pod> = (reports.iter())
            .map(|report| pod(report.part, report.acted, report.ready))
            .collect();
        let fleet = fleet(&counted);
        let limit = fleet.limit(max);
        let admission = fleet.admit(after(parts), max);
        prop_assert!(admission.parts >= parts);
        let raised = admission.parts > parts;
        let risky = |parts| pods.iter().filter(|pod| pod.may_act(parts)).count() as u32;
        // A set that shrinks has a smaller limit than what it admitted; parts without pods are passed over all the same.
        let bound = limit.max(biggest(&reports)).max(risky(parts));
        parts = admission.parts;
        if raised {
            prop_assert!(risky(parts) <= bound);
        }
        allowed = if raised { bound } else { allowed.max(limit) };
        for pod in &mut pods {
            if !pod.acted && pod.may_act(parts) && random.chance(40) {
                (pod.acted, pod.ready) = (true, false);
            } else if pod.acted && !pod.ready && random.chance(50) {
                pod.ready = true;
            }
        }
        let acting = pods.iter().filter(|pod| pod.acted && !pod.ready).count() as u32;
        prop_assert!(acting <= allowed, "{acting} of {limit} in round {round}");
        if pods.iter().all(|pod| pod.acted && pod.ready) {
            return Ok(());
        }
        // Some go, some come: with the new spec, and ready by the time they report.
        if round < 50 && random.chance(20) {
            let gone = random.below(pods.len() as u64) as usize;
            if pods.len() > 1 && random.chance(30) {
                pods.swap_remove(gone);
                reports.swap_remove(gone);
                continue;
            }
            pods[gone] = fresh_pod(true);
            reports[gone] = pods[gone];
        }
    }
    Err(TestCaseError::fail("it never ends"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn never_more_than_the_limit_act_and_all_do_in_the_end(
        count in prop_oneof![1u32..12, 1u32..300, 1000u32..5000],
        max in prop_oneof![(1u32..100).prop_map(Percent), (10u32..400).prop_map(Count)],
        seed: u64,
    ) {
        play(count, max, None, seed)?;
    }

    #[test]
    fn uneven_hashes_slow_it_down_but_do_not_stop_it(
        count in 1u32..200, few in prop_oneof![Just(2u32), Just(4), Just(20)],
        max in prop_oneof![(1u32..30).prop_map(Percent), (1u32..6).prop_map(Count)], seed: u64,
    ) {
        play(count, max, Some(few), seed)?;
    }
}

#[test]
fn a_bad_spec_reaches_no_more_pods_than_the_limit() {
    for (max, limit) in [
        (Percent(25), 5),
        (Percent(5), 1),
        (Count(1), 1),
        (Count(2), 2),
    ] {
        for first in (0..2000).step_by(20) {
            let ever = bad_spec(first, max);
            assert_eq!(ever, limit, "of the pods from {first}, {max:?}");
        }
    }
}

/// How many of twenty pods ever act on a spec that makes none ready.
fn bad_spec(first: u32, max: MaxUnavailable) -> usize {
    let uids: Vec<String> = (first..first + 20).map(uid).collect();
    // (acted ever, acts now, went back)
    let mut pods = vec![(false, false, false); uids.len()];
    let mut parts = 0;
    for round in 0..40 {
        let mut fleet = Fleet::default();
        for (uid, (_, acts, reverted)) in uids.iter().zip(&pods) {
            fleet.add(Pod {
                reverted: *reverted,
                ..pod(part(uid), *acts, !acts)
            });
        }
        parts = fleet.admit(after(parts), max).parts;
        for (uid, pod) in uids.iter().zip(&mut pods) {
            if admitted(uid, parts) && !pod.2 {
                // The progress deadline passes.
                *pod = (true, round < 20, round >= 20);
            }
        }
    }
    assert!(parts < PARTS);
    pods.iter().filter(|pod| pod.0).count()
}

#[test]
fn a_rollout_that_failed_stays_failed_though_those_that_went_back_are_gone() {
    let fleet = fleet(&untouched([10, 20, 30]));
    let before = Before {
        parts: 11,
        failed: true,
        complete: false,
    };
    let admission = fleet.admit(before, Count(3));
    assert_eq!(
        (admission.parts, admission.progress),
        (11, Progress::Failed { reverted: 0 })
    );
}

#[test]
fn what_was_complete_stays_so_until_somebody_has_not_acted() {
    let mut pods = untouched([10, 20, 30]);
    for pod in &mut pods {
        pod.acted = true;
    }
    pods[1].ready = false;
    let known = Before {
        parts: PARTS,
        complete: true,
        failed: false,
    };
    assert_eq!(
        fleet(&pods).admit(known, Count(1)).progress,
        Progress::Complete
    );
    let waiting = Progress::Waiting { at_risk: 1 };
    assert_eq!(fleet(&pods).admit(after(PARTS), Count(1)).progress, waiting);
    pods[2] = pod(30, false, true);
    let waiting = Progress::Waiting { at_risk: 2 };
    assert_eq!(fleet(&pods).admit(known, Count(1)).progress, waiting);
}

#[test]
fn who_does_not_take_a_spec_holds_nobody_up() {
    let pods = untouched([10, 20, 30]);
    let mut fleet = Fleet::default();
    fleet.add(Pod {
        refuses: true,
        ..pod(pods[0].part, false, true)
    });
    fleet.add(pod(pods[1].part, true, true));
    fleet.add(pod(pods[2].part, false, true));
    let admission = fleet.admit(after(25), Count(1));
    assert_eq!(admission.parts, PARTS);
    assert_eq!(admission.progress, Progress::Waiting { at_risk: 1 });
}

#[test]
fn a_podinit_that_ended_under_the_new_spec_is_at_risk_and_counts_as_no_pod() {
    let pods = untouched([10, 20, 30]);
    let mut fleet = fleet(&pods[1..]);
    fleet.add_ended();
    assert_eq!(fleet.pods(), 2);
    let admission = fleet.admit(after(11), Count(1));
    assert_eq!(
        (admission.parts, admission.progress),
        (20, Progress::Waiting { at_risk: 1 }),
        "up to the next pod, and not over it"
    );
}
