use proptest::prelude::*;

use super::{Before, Fleet, MaxUnavailable, NAMED, PARTS, Pod, Progress, admitted, part};
use crate::domain::election::tests::world::Random;

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

/// A pod whose uid is its part in words, which is what it counts as in [`fleet`].
fn pod(part: u32, acted: bool, ready: bool) -> Pod<'static> {
    Pod {
        uid: Box::leak(part.to_string().into_boxed_str()),
        name: "web",
        late: false,
        acted,
        ready,
        reverted: false,
        refuses: false,
        leaves: false,
    }
}

/// After so many parts were admitted.
fn after(parts: u32) -> Before {
    Before {
        parts,
        ..Before::default()
    }
}

fn fleet(pods: &[Pod<'_>]) -> Fleet {
    let mut fleet = Fleet::default();
    for pod in pods {
        fleet.count(*pod, in_words(pod));
    }
    fleet
}

fn in_words(pod: &Pod<'_>) -> u32 {
    pod.uid.parse().unwrap()
}

fn untouched<const N: usize>(parts: [u32; N]) -> [Pod<'static>; N] {
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
    let step = |pods: &[Pod<'_>], current| {
        let admission = fleet(pods).admit(&after(current), Count(2));
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
    let back = Pod {
        reverted: true,
        ..pods[0]
    };
    let admission = fleet(&[back, pods[1], pods[2]]).admit(&after(11), Count(3));
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
        fleet(&pods).admit(&after(0), Count(1)).parts,
        10,
        "one is at risk already"
    );
    pods[3].ready = true;
    assert_eq!(fleet(&pods).admit(&after(0), Count(1)).parts, 500);
}

#[test]
fn pods_that_share_a_part_beyond_the_limit_go_alone() {
    let mut pods = untouched([10, 20, 20, 20, 30]);
    assert_eq!(
        fleet(&pods).admit(&after(0), Count(2)).parts,
        20,
        "not beside another one"
    );
    pods[0].acted = true;
    let admission = fleet(&pods).admit(&after(20), Count(2));
    assert_eq!(
        (admission.parts, admission.progress),
        (30, Progress::Waiting { at_risk: 3 })
    );
    for pod in &mut pods[1..3] {
        pod.acted = true;
    }
    // Under the limit again, so the next one may go.
    assert_eq!(fleet(&pods).admit(&after(30), Count(2)).parts, PARTS);
}

#[test]
fn nothing_is_admitted_without_reports() {
    assert_eq!(Fleet::default().admit(&after(0), Percent(100)).parts, 0);
}

#[test]
fn what_is_admitted_stays() {
    let pods = untouched([1, 2, 3, 4, 5, 6]);
    let admission = fleet(&pods).admit(&after(5), Count(1));
    assert_eq!(
        (admission.parts, admission.progress),
        (5, Progress::Waiting { at_risk: 4 })
    );
    assert_eq!(fleet(&pods).admit(&after(u32::MAX), Count(1)).parts, PARTS);
}

#[derive(Debug, Clone, Copy)]
struct Life {
    n: u32,
    part: u32,
    /// What it acted on last.
    generation: u32,
    ready: bool,
}

/// How many of these pods share one part at most.
fn biggest(pods: &[Life]) -> u32 {
    let mut parts: Vec<u32> = pods.iter().map(|pod| pod.part).collect();
    parts.sort_unstable();
    let sharing = parts.chunk_by(u32::eq).map(<[u32]>::len);
    sharing.max().unwrap_or(0) as u32
}

/// A set, what its pods have reported, and what is admitted.
struct Play {
    random: Random,
    pods: Vec<Life>,
    reports: Vec<Life>,
    generation: u32,
    before: Before,
    /// With it, no more than so many parts have pods.
    few: Option<u32>,
    made: u32,
}

impl Play {
    fn fresh_pod(&mut self, generation: u32) -> Life {
        self.made += 1;
        let part = part(&uid(self.made));
        Life {
            n: self.made,
            part: (self.few).map_or(part, |few| part % few * (PARTS / few)),
            generation,
            ready: true,
        }
    }

    /// How many are not ready, or may be so any moment.
    fn down(&self) -> u32 {
        let parts = self.before.parts;
        let may_act = |pod: &Life| {
            pod.generation != self.generation
                && (pod.part < parts || self.before.pods.contains(&pod.n.to_string()))
        };
        let down = |pod: &&Life| !pod.ready || may_act(pod);
        self.pods.iter().filter(down).count() as u32
    }

    fn look(&mut self, max: MaxUnavailable) -> Result<(u32, bool), TestCaseError> {
        let mut fleet = Fleet::default();
        for report in &self.reports {
            let acted = report.generation == self.generation;
            let uid = &report.n.to_string();
            let pod = Pod {
                uid,
                ..pod(0, acted, report.ready)
            };
            fleet.count(pod, report.part);
        }
        let limit = fleet.limit(max);
        let admission = fleet.admit(&self.before, max);
        // A set that shrinks has a smaller limit than what it admitted; parts without pods are passed over all the same.
        let bound = limit.max(biggest(&self.reports)).max(self.down());
        let raised = admission.parts > self.before.parts;
        prop_assert!(admission.parts >= self.before.parts);
        self.before = Before {
            parts: admission.parts,
            pods: admission.pods,
            complete: admission.progress == Progress::Complete,
            ..Before::default()
        };
        prop_assert!(!raised || self.down() <= bound);
        Ok((if raised { bound } else { limit }, raised))
    }

    fn live(&mut self) {
        let (before, now) = (self.before.clone(), self.generation);
        for pod in &mut self.pods {
            let may_act = pod.part < before.parts || before.pods.contains(&pod.n.to_string());
            if pod.generation != now && may_act && self.random.chance(40) {
                (pod.generation, pod.ready) = (now, false);
            } else if !pod.ready && self.random.chance(50) {
                pod.ready = true;
            }
        }
    }

    /// Reports lag: only some of them are of now.
    fn report(&mut self, percent: u64) {
        for (report, pod) in self.reports.iter_mut().zip(&self.pods) {
            if self.random.chance(percent) {
                *report = *pod;
            }
        }
    }

    /// Some go, some come: with the new spec, and ready by the time they report.
    fn come_and_go(&mut self) {
        let gone = self.random.below(self.pods.len() as u64) as usize;
        if self.pods.len() > 1 && self.random.chance(30) {
            self.pods.swap_remove(gone);
            self.reports.swap_remove(gone);
            return;
        }
        self.pods[gone] = self.fresh_pod(self.generation);
        self.reports[gone] = self.pods[gone];
    }
}

/// Plays a rollout: pods act once admitted, get ready later, come and go; the holder counts reports that may be late; in the
/// middle of it the spec is changed again, `changes` times.
fn play(
    count: u32,
    max: MaxUnavailable,
    few: Option<u32>,
    (changes, seed): (u32, u64),
) -> Result<(), TestCaseError> {
    let mut play = Play {
        random: Random(seed),
        pods: Vec::new(),
        reports: Vec::new(),
        generation: 1,
        before: Before::default(),
        few,
        made: 0,
    };
    play.pods = (0..count).map(|_| play.fresh_pod(0)).collect();
    play.reports.clone_from(&play.pods);
    let mut allowed = 0;
    for round in 0..30 * count + 200 {
        play.report(70);
        let (limit, raised) = play.look(max)?;
        allowed = if raised { limit } else { allowed.max(limit) };
        play.live();
        let unready = play.pods.iter().filter(|pod| !pod.ready).count() as u32;
        prop_assert!(unready <= allowed, "{unready} of {limit} in round {round}");
        let done = |pod: &Life| pod.generation == play.generation && pod.ready;
        let all = play.pods.iter().all(done);
        if play.generation <= changes && (all || play.random.chance(10)) {
            play.generation += 1;
            play.before = Before {
                settling: !play.before.complete,
                ..Before::default()
            };
            let settling = play.before.settling;
            play.look(max)?;
            if settling {
                prop_assert_eq!((play.before.parts, play.before.pods.len()), (0, 0));
                // That look is for the reports of the pods that are in the middle of the change before.
                play.report(100);
            }
        } else if all {
            return Ok(());
        }
        if round < 50 && play.random.chance(20) {
            play.come_and_go();
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
        play(count, max, None, (0, seed))?;
    }

    #[test]
    fn uneven_hashes_slow_it_down_but_do_not_stop_it(
        count in 1u32..200, few in prop_oneof![Just(2u32), Just(4), Just(20)],
        max in prop_oneof![(1u32..30).prop_map(Percent), (1u32..6).prop_map(Count)], seed: u64,
    ) {
        play(count, max, Some(few), (0, seed))?;
    }

    #[test]
    fn a_change_in_the_middle_of_another_one_takes_no_more_pods(
        count in prop_oneof![1u32..12, 1u32..100],
        max in prop_oneof![(1u32..60).prop_map(Percent), (1u32..6).prop_map(Count)],
        changes in 1u32..5, seed: u64,
    ) {
        play(count, max, None, (changes, seed))?;
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
                uid,
                reverted: *reverted,
                ..pod(0, *acts, !acts)
            });
        }
        parts = fleet.admit(&after(parts), max).parts;
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
        ..Before::default()
    };
    let admission = fleet.admit(&before, Count(3));
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
        ..Before::default()
    };
    assert_eq!(
        fleet(&pods).admit(&known, Count(1)).progress,
        Progress::Complete
    );
    let waiting = Progress::Waiting { at_risk: 1 };
    assert_eq!(
        fleet(&pods).admit(&after(PARTS), Count(1)).progress,
        waiting
    );
    pods[2] = pod(30, false, true);
    let waiting = Progress::Waiting { at_risk: 2 };
    assert_eq!(fleet(&pods).admit(&known, Count(1)).progress, waiting);
}

#[test]
fn who_does_not_take_a_spec_holds_nobody_up() {
    let pods = untouched([10, 20, 30]);
    let refuses = Pod {
        refuses: true,
        ..pods[0]
    };
    let fleet = fleet(&[refuses, pod(20, true, true), pods[2]]);
    let admission = fleet.admit(&after(25), Count(1));
    assert_eq!(admission.parts, PARTS);
    assert_eq!(admission.progress, Progress::Waiting { at_risk: 1 });
}

#[test]
fn a_podinit_that_ended_under_the_new_spec_is_at_risk_and_counts_as_no_pod() {
    let pods = untouched([10, 20, 30]);
    let mut fleet = fleet(&pods[1..]);
    fleet.add_ended("web");
    assert_eq!(fleet.pods(), 2);
    let admission = fleet.admit(&after(11), Count(1));
    assert_eq!(
        (admission.parts, admission.progress),
        (20, Progress::Waiting { at_risk: 1 }),
        "up to the next pod, and not over it"
    );
}

#[test]
fn who_is_not_ready_goes_first_and_counts_for_the_others() {
    // Two are in the middle of an older change.
    let mut pods = untouched([10, 20, 30, 40, 50]);
    pods[2].ready = false;
    pods[4].ready = false;
    let step = |pods: &[Pod<'_>], before: &Before, max: MaxUnavailable| {
        let admission = fleet(pods).admit(before, max);
        (admission.parts, admission.pods.join(" "))
    };
    let is = |parts: u32, pods: &str| (parts, pods.to_owned());
    assert_eq!(step(&pods, &after(0), Count(1)), is(10, "30"), "one");
    assert_eq!(step(&pods, &after(0), Count(2)), is(10, "30 50"), "both");
    assert_eq!(
        step(&pods, &after(0), Count(3)),
        is(20, "30 50"),
        "and another"
    );
    let admission = fleet(&pods).admit(&after(0), Count(3));
    assert_eq!(admission.progress, Progress::Waiting { at_risk: 3 });
    // The first one acted and is ready: so may the second.
    pods[2] = pod(30, true, true);
    let before = Before {
        pods: vec!["30".to_owned()],
        ..after(10)
    };
    assert_eq!(step(&pods, &before, Count(1)), is(10, "50"));
}

#[test]
fn who_is_not_ready_for_a_moment_is_not_named_with_another_one() {
    let mut pods = untouched([10, 20, 900]);
    pods[2].ready = false;
    let admission = fleet(&pods).admit(&after(0), Count(1));
    assert_eq!(
        (admission.parts, &admission.pods[..]),
        (10, &["900".to_owned()][..])
    );
    // All are unready now, and one may be acting already.
    pods[0].ready = false;
    pods[1].ready = false;
    let before = Before {
        pods: admission.pods.clone(),
        ..after(10)
    };
    assert_eq!(fleet(&pods).admit(&before, Count(1)).pods, before.pods);
    // Named once, it may be acting though it says that it is ready.
    pods[2].ready = true;
    let admission = fleet(&pods).admit(&before, Count(1));
    assert_eq!((admission.parts, admission.pods), (10, before.pods));
}

#[test]
fn a_set_of_which_nobody_is_ready_is_mended_by_and_by() {
    let mut pods = untouched([40, 10, 20, 30]).map(|pod| Pod {
        ready: false,
        ..pod
    });
    let mut before = after(0);
    for _ in 0..pods.len() {
        let admission = fleet(&pods).admit(&before, Count(1));
        before.parts = admission.parts;
        before.pods = admission.pods;
        let named = |pod: &Pod<'_>| before.pods.iter().any(|uid| uid == pod.uid);
        let may_act =
            |pod: &&mut Pod<'_>| !pod.acted && (in_words(pod) < before.parts || named(pod));
        let acting: Vec<_> = pods.iter_mut().filter(may_act).collect();
        assert_eq!(acting.len(), 1, "{before:?}");
        for pod in acting {
            (pod.acted, pod.ready) = (true, true);
        }
    }
    let admission = fleet(&pods).admit(&before, Count(1));
    assert_eq!(admission.progress, Progress::Complete);
}

#[test]
fn no_more_are_named_than_a_status_has_room_for() {
    let uids: Vec<String> = (0..500).map(uid).collect();
    let mut fleet = Fleet::default();
    for uid in &uids {
        fleet.add(Pod {
            uid,
            ..pod(0, false, false)
        });
    }
    assert_eq!(fleet.admit(&after(0), Percent(100)).pods.len(), NAMED);
}

#[test]
fn a_pod_that_leaves_acts_no_more() {
    let mut pods = untouched([10, 20]);
    pods[0] = Pod {
        ready: false,
        leaves: true,
        ..pods[0]
    };
    let admission = fleet(&pods).admit(&after(0), Count(1));
    assert_eq!((admission.parts, fleet(&pods).pods()), (PARTS, 2));
}

/// Thirty pods that take half an hour to stop are none that could be spared.
#[test]
fn pods_that_leave_make_the_limit_no_higher_and_keep_nothing_from_its_end() {
    let mut pods: Vec<Pod<'_>> = untouched([10, 20, 30, 40, 50, 60, 70, 80]).to_vec();
    pods.extend((100..124).map(|at| Pod {
        leaves: true,
        ..pod(at, false, false)
    }));
    let admission = fleet(&pods).admit(&after(0), Percent(25));
    let acting = pods
        .iter()
        .filter(|one| in_words(one) < admission.parts && !one.leaves);
    assert_eq!(acting.count(), 2);
    for one in &mut pods[..8] {
        one.acted = true;
    }
    let admission = fleet(&pods).admit(&after(PARTS), Percent(25));
    assert_eq!(admission.progress, Progress::Complete);
}

#[test]
fn who_comes_late_acts_by_name_whatever_its_part() {
    let late = |at| Pod {
        late: true,
        ..pod(at, false, true)
    };
    let mut pods = [late(10), late(20), late(30), pod(40, false, true)];
    let mut before = after(PARTS);
    let named = |admission: &super::Admission| admission.pods.len();
    let admission = fleet(&pods).admit(&before, Count(2));
    // The last one may be acting: all parts were admitted.
    assert_eq!(named(&admission), 1);
    before.pods.clone_from(&admission.pods);
    assert_eq!(named(&fleet(&pods).admit(&before, Count(2))), 1);
    pods[3] = pod(40, true, true);
    let admission = fleet(&pods).admit(&before, Count(2));
    assert_eq!(named(&admission), 2);
    assert_eq!(admission.progress, Progress::Waiting { at_risk: 2 });
    // One of them is not ready any more: it has nothing to lose, and goes with the next.
    pods[2].ready = false;
    let admission = fleet(&pods).admit(&after(PARTS), Count(1));
    assert_eq!(admission.pods, ["30"]);
}

#[test]
fn who_holds_a_rollout_up_is_told_by_name() {
    let mut pods = untouched([10, 20, 30, 40]).map(|pod| Pod {
        name: "web-1",
        ..pod
    });
    pods[3] = Pod {
        name: "web-0",
        ..pod(40, true, false)
    };
    let fleet = fleet(&pods);
    assert_eq!(fleet.who(0, &[]), ["web-0"]);
    assert_eq!(fleet.who(20, &[]), ["web-0", "web-1"]);
    assert_eq!(fleet.who(PARTS, &[]).len(), super::SHOWN);
}
