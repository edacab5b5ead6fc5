use proptest::prelude::*;

use super::{BUCKETS, Before, Fleet, MaxUnavailable, Pod, Progress, admitted, bucket};

use MaxUnavailable::{Count, Percent};

#[test]
fn the_hash_is_what_pods_of_all_versions_agree_on() {
    for (uid, at) in [
        ("", 37),
        ("a", 996),
        ("0b1f6a3c-5d0e-4a57-9a0e-3c8f8d2f1a77", 153),
        ("9f2d7e10-1c3b-4a8e-8d46-b6a1f0c5e932", 851),
    ] {
        assert_eq!(bucket(uid), at, "{uid}");
    }
    assert!(!admitted("a", 0));
    assert!(admitted("a", u32::from(bucket("a")) + 1));
    assert!(admitted("a", 1000));
}

#[test]
fn uids_spread_evenly() {
    let mut counts = [0u32; BUCKETS as usize];
    for n in 0..100_000u32 {
        counts[usize::from(bucket(&uid(n)))] += 1;
    }
    assert!(counts.iter().all(|count| (50..160).contains(count)));
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

/// A uid of each bucket wanted.
fn in_bucket(wanted: u16, nth: usize) -> String {
    (0..)
        .map(uid)
        .filter(|uid| bucket(uid) == wanted)
        .nth(nth)
        .unwrap()
}

fn pod(uid: &str, acted: bool, ready: bool) -> Pod<'_> {
    Pod {
        uid,
        acted,
        ready,
        reverted: false,
        refuses: false,
    }
}

/// After so many thousandths were admitted.
fn after(permille: u32) -> Before {
    Before {
        permille,
        ..Before::default()
    }
}

fn fleet(pods: &[(String, bool, bool)]) -> Fleet {
    let mut fleet = Fleet::new();
    for (uid, acted, ready) in pods {
        fleet.add(pod(uid, *acted, *ready));
    }
    fleet
}

fn untouched(buckets: &[u16]) -> Vec<(String, bool, bool)> {
    let mut seen = [0usize; BUCKETS as usize];
    buckets
        .iter()
        .map(|bucket| {
            let nth = &mut seen[usize::from(*bucket)];
            *nth += 1;
            (in_bucket(*bucket, *nth - 1), false, true)
        })
        .collect()
}

#[test]
fn the_limit_is_rounded_down_and_at_least_one() {
    let mut fleet = Fleet::new();
    assert_eq!(fleet.limit(Percent(25)), 1);
    for n in 0..10 {
        fleet.add(pod(&uid(n), false, true));
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
    let mut pods = untouched(&[10, 200, 300, 990]);
    let step = |pods: &[_], current| {
        let admission = fleet(pods).admit(after(current), Count(2));
        (admission.permille, admission.progress)
    };
    // Up to the bucket of the third.
    assert_eq!(step(&pods, 0), (300, Progress::Waiting { at_risk: 2 }));
    pods[0].1 = true;
    pods[0].2 = false;
    assert_eq!(
        step(&pods, 300),
        (300, Progress::Waiting { at_risk: 2 }),
        "acted, not ready"
    );
    pods[0].2 = true;
    assert_eq!(step(&pods, 300), (990, Progress::Waiting { at_risk: 2 }));
    // Ready still by its old spec: it may act any moment.
    pods[2] = (pods[2].0.clone(), true, true);
    assert_eq!(step(&pods, 990), (1000, Progress::Waiting { at_risk: 2 }));
    for pod in &mut pods {
        pod.1 = true;
    }
    assert_eq!(step(&pods, 1000), (1000, Progress::Complete));
    // One that falls over later takes nothing back.
    pods[1].2 = false;
    assert_eq!(step(&pods, 1000), (1000, Progress::Waiting { at_risk: 1 }));
}

#[test]
fn a_failure_stops_it() {
    let pods = untouched(&[10, 200, 300]);
    let mut fleet = Fleet::new();
    let mut back = pod(&pods[0].0, false, true);
    back.reverted = true;
    fleet.add(back);
    fleet.add(pod(&pods[1].0, false, true));
    fleet.add(pod(&pods[2].0, false, true));
    let admission = fleet.admit(after(11), Count(3));
    assert_eq!(
        (admission.permille, admission.progress),
        (11, Progress::Failed { reverted: 1 })
    );
}

#[test]
fn new_pods_that_do_not_get_ready_hold_the_others_up() {
    let mut pods = untouched(&[10, 500, 600, 990]);
    pods[3] = (pods[3].0.clone(), true, false);
    assert_eq!(
        fleet(&pods).admit(after(0), Count(1)).permille,
        10,
        "one is at risk already"
    );
    pods[3].2 = true;
    assert_eq!(fleet(&pods).admit(after(0), Count(1)).permille, 500);
}

#[test]
fn a_bucket_larger_than_the_limit_goes_alone() {
    let mut pods = untouched(&[10, 20, 20, 20, 30]);
    assert_eq!(
        fleet(&pods).admit(after(0), Count(2)).permille,
        20,
        "not beside another one"
    );
    pods[0].1 = true;
    let admission = fleet(&pods).admit(after(20), Count(2));
    assert_eq!(
        (admission.permille, admission.progress),
        (30, Progress::Waiting { at_risk: 3 })
    );
    for pod in &mut pods[1..3] {
        pod.1 = true;
    }
    // Under the limit again, so the next one may go.
    assert_eq!(fleet(&pods).admit(after(30), Count(2)).permille, 1000);
}

#[test]
fn nothing_is_admitted_without_reports() {
    assert_eq!(Fleet::new().admit(after(0), Percent(100)).permille, 0);
}

#[test]
fn what_is_admitted_stays() {
    let pods = untouched(&[1, 2, 3, 4, 5, 6]);
    let admission = fleet(&pods).admit(after(5), Count(1));
    assert_eq!(
        (admission.permille, admission.progress),
        (5, Progress::Waiting { at_risk: 4 })
    );
    assert_eq!(fleet(&pods).admit(after(4000), Count(1)).permille, 1000);
}

#[derive(Debug, Clone)]
struct Life {
    acted: bool,
    ready: bool,
    n: u32,
    uid: String,
}

/// Plays a rollout: pods act once admitted, get ready later, come and go; the holder counts reports that may be late.
fn play(count: u32, max: MaxUnavailable, skew: u32, seed: u64) -> Result<(), TestCaseError> {
    let mut random = crate::domain::election::tests::world::Random(seed);
    let mut made = 0;
    let mut fresh_pod = |spread: u32| {
        // Skewed: uids are picked so that few buckets get many pods.
        loop {
            made += 1;
            let uid = uid(made);
            if u32::from(bucket(&uid)) % spread == 0 {
                break Life {
                    acted: false,
                    ready: true,
                    n: made,
                    uid,
                };
            }
        }
    };
    let mut pods: Vec<Life> = (0..count).map(|_| fresh_pod(skew)).collect();
    let mut reports = pods.clone();
    let (mut permille, mut allowed) = (0u16, 0);
    for round in 0..200_000 {
        // Reports lag: only some of them are of now.
        for (report, pod) in reports.iter_mut().zip(&pods) {
            if random.chance(70) {
                report.clone_from(pod);
            }
        }
        let mut fleet = Fleet::new();
        let mut sizes = [0u32; BUCKETS as usize];
        for report in &reports {
            fleet.add(pod(&report.uid, report.acted, report.ready));
            sizes[usize::from(bucket(&report.uid))] += 1;
        }
        let (limit, biggest) = (fleet.limit(max), sizes.iter().max().copied().unwrap_or(0));
        let admission = fleet.admit(after(u32::from(permille)), max);
        prop_assert!(admission.permille >= permille);
        let raised = admission.permille > permille;
        let risky = |permille: u16| {
            let risky =
                |pod: &&Life| admitted(&pod.uid, u32::from(permille)) && !(pod.acted && pod.ready);
            pods.iter().filter(risky).count() as u32
        };
        // A set that shrinks has a smaller limit than what it admitted; buckets without pods are passed over all the same.
        let bound = limit.max(biggest).max(risky(permille));
        permille = admission.permille;
        if raised {
            prop_assert!(risky(permille) <= bound);
        }
        allowed = if raised { bound } else { allowed.max(limit) };
        for pod in &mut pods {
            if !pod.acted && admitted(&pod.uid, u32::from(permille)) && random.chance(40) {
                (pod.acted, pod.ready) = (true, false);
            } else if pod.acted && !pod.ready && random.chance(50) {
                pod.ready = true;
            }
        }
        let acting = pods.iter().filter(|pod| pod.acted && !pod.ready).count() as u32;
        prop_assert!(acting <= allowed, "{acting} of {limit} in round {round}");
        if pods.iter().all(|pod| pod.acted && pod.ready) {
            prop_assert!(round < 30 * u32::from(BUCKETS) + 100, "{round} rounds");
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
            let mut fresh = fresh_pod(skew);
            fresh.acted = true;
            pods[gone] = fresh.clone();
            reports[gone] = fresh;
        }
    }
    let last = pods.iter().map(|pod| pod.n).max();
    Err(TestCaseError::fail(format!("it never ends: {last:?}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn never_more_than_the_limit_act_and_all_do_in_the_end(
        count in prop_oneof![1u32..12, 1u32..300, 1000u32..5000],
        max in prop_oneof![(1u32..100).prop_map(Percent), (10u32..400).prop_map(Count)],
        seed: u64,
    ) {
        play(count, max, 1, seed)?;
    }

    #[test]
    fn uneven_hashes_slow_it_down_but_do_not_stop_it(
        count in 1u32..200, skew in prop_oneof![Just(50u32), Just(250), Just(500)],
        max in prop_oneof![(1u32..30).prop_map(Percent), (1u32..6).prop_map(Count)], seed: u64,
    ) {
        play(count, max, skew, seed)?;
    }
}

#[test]
fn a_bad_spec_reaches_no_more_pods_than_the_limit() {
    for first in (0..2000).step_by(20) {
        let uids: Vec<String> = (first..first + 20).map(uid).collect();
        // (acted ever, acts now, went back)
        let mut pods = vec![(false, false, false); uids.len()];
        let mut permille = 0;
        for round in 0..40 {
            let mut fleet = Fleet::new();
            for (uid, (_, acts, reverted)) in uids.iter().zip(&pods) {
                let ready = !acts;
                fleet.add(Pod {
                    uid,
                    acted: *acts,
                    ready,
                    reverted: *reverted,
                    refuses: false,
                });
            }
            permille = fleet.admit(after(permille), Percent(25)).permille.into();
            for (uid, pod) in uids.iter().zip(&mut pods) {
                if admitted(uid, permille) && !pod.2 {
                    // The progress deadline passes.
                    *pod = (true, round < 20, round >= 20);
                }
            }
        }
        let ever = pods.iter().filter(|pod| pod.0).count();
        assert!((1..=5).contains(&ever), "{ever} of pods from {first}");
        assert!(permille < 1000);
    }
}

#[test]
fn a_rollout_that_failed_stays_failed_though_those_that_went_back_are_gone() {
    let fleet = fleet(&untouched(&[10, 20, 30]));
    let before = Before {
        permille: 11,
        failed: true,
        complete: false,
    };
    let admission = fleet.admit(before, Count(3));
    assert_eq!(
        (admission.permille, admission.progress),
        (11, Progress::Failed { reverted: 0 })
    );
}

#[test]
fn what_was_complete_stays_so_until_somebody_has_not_acted() {
    let mut pods = untouched(&[10, 20, 30]);
    for pod in &mut pods {
        pod.1 = true;
    }
    pods[1].2 = false;
    let known = Before {
        permille: 1000,
        complete: true,
        failed: false,
    };
    assert_eq!(
        fleet(&pods).admit(known, Count(1)).progress,
        Progress::Complete
    );
    let waiting = Progress::Waiting { at_risk: 1 };
    assert_eq!(fleet(&pods).admit(after(1000), Count(1)).progress, waiting);
    pods[2] = (pods[2].0.clone(), false, true);
    let waiting = Progress::Waiting { at_risk: 2 };
    assert_eq!(fleet(&pods).admit(known, Count(1)).progress, waiting);
}

#[test]
fn who_does_not_take_a_spec_holds_nobody_up() {
    let pods = untouched(&[10, 20, 30]);
    let mut fleet = Fleet::new();
    fleet.add(Pod {
        refuses: true,
        ..pod(&pods[0].0, false, true)
    });
    fleet.add(pod(&pods[1].0, true, true));
    fleet.add(pod(&pods[2].0, false, true));
    let admission = fleet.admit(after(25), Count(1));
    assert_eq!(admission.permille, 1000);
    assert_eq!(admission.progress, Progress::Waiting { at_risk: 1 });
}

#[test]
fn a_podinit_that_ended_under_the_new_spec_is_at_risk_and_counts_as_no_pod() {
    let pods = untouched(&[10, 20, 30]);
    let mut fleet = fleet(&pods[1..]);
    fleet.add_ended(&pods[0].0);
    assert_eq!(fleet.pods(), 2);
    let admission = fleet.admit(after(11), Count(1));
    assert_eq!(
        (admission.permille, admission.progress),
        (20, Progress::Waiting { at_risk: 1 }),
        "up to the next pod, and not over it"
    );
}
