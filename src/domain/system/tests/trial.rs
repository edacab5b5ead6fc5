//! Specs on trial: what makes one a good one, and the way back from one that is none.

use std::sync::Arc;

use super::world::{Set, World, init, secs, service, set};
use super::{dies, stops_in};
use crate::domain::event::{Event, Refusal};
use crate::domain::plan::{Condition, ObjectVersion, ProbeKind};
use crate::domain::signal::Signal;
use crate::domain::system::Config;
use crate::domain::time::Mono;

fn web() -> Set {
    set(vec![service("web"), service("queue").background()])
        .drain(0.0)
        .generation(1)
}

fn version(generation: i64) -> ObjectVersion {
    ObjectVersion {
        uid: "uid".into(),
        generation,
    }
}

/// The pod has run under this set, and takes `bad` at 20 s, for which it has 60 s.
fn tries(world: World, bad: &Set) -> World {
    let mut world = world;
    let mut bad = bad.clone().generation(2);
    bad.plan.rollout.progress_deadline = secs(60.0);
    let turn = Event::Admitted { object: version(2) };
    world.change(20.0, &bad).at(20.0, turn).run_until(25.0);
    world
}

fn runs(world: &mut World, generation: i64) {
    let snapshot = world.snapshot();
    assert_eq!(snapshot.spec.origin.object, Some(version(generation)));
    assert!(snapshot.ready && snapshot.spec.good);
}

#[test]
fn what_changes_in_place_meanwhile_makes_no_probe_a_good_one() {
    let mut bad = web();
    bad.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let mut world = tries(web().world().server("web", |_| false), &bad);
    let mut tame = bad.clone().generation(3);
    tame.plan.rollout.progress_deadline = secs(60.0);
    tame.plan.processes[0].stop.signal = Signal::USR2;
    world.change(30.0, &tame).run_until(79.0);
    assert!(!world.snapshot().spec.good);
    assert_eq!(world.snapshot().spec.origin.object, Some(version(3)));
    world.run_until(90.0);
    runs(&mut world, 1);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    assert_eq!(refused.origin.object, Some(version(3)));
}

#[test]
fn what_changes_in_place_meanwhile_makes_no_worker_a_good_one() {
    let mut bad = web();
    bad.plan.processes[1] = service("worker").background();
    let mut world = tries(web().world().child("worker", dies(0.1, 1)), &bad);
    let mut tame = bad.clone().generation(3);
    tame.plan.rollout.progress_deadline = secs(61.0);
    world.change(30.0, &tame).run_until(80.0);
    assert!(!world.snapshot().spec.good);
    world.run_until(90.0);
    runs(&mut world, 1);
}

#[test]
fn a_change_back_to_the_good_spec_is_a_good_one() {
    let mut bad = web();
    bad.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let mut world = tries(web().world().server("web", |_| false), &bad);
    let turn = Event::Admitted { object: version(3) };
    let back = web().generation(3);
    world.change(30.0, &back).at(30.0, turn).run_until(35.0);
    runs(&mut world, 3);
    world.run_until(200.0);
    runs(&mut world, 3);
}

#[test]
fn another_deadline_holds_for_the_trial_that_is_under_way() {
    for (deadline, at_100) in [(120.0, 3), (65.0, 1)] {
        let mut slow = web();
        slow.plan.processes[0] = service("web").runs("v2").probe(ProbeKind::Readiness);
        let mut world = tries(web().world().server("web", |_| false), &slow);
        let mut more = slow.generation(3);
        more.plan.rollout.progress_deadline = secs(deadline);
        world.change(60.0, &more).run_until(84.0);
        assert_eq!(world.snapshot().spec.origin.object, Some(version(3)));
        world.run_until(100.0);
        let origin = world.snapshot().spec.origin.object.clone();
        assert_eq!(origin, Some(version(at_100)), "{deadline}");
    }
}

/// As after a start of the container: generation 1 was a good one, 2 is the newest.
fn starts_anew(newest: Set) -> World {
    let mut world = World::loading(Config::default());
    let mut newest = newest.generation(2);
    newest.plan.rollout.progress_deadline = secs(60.0);
    world.at(0.0, Event::LastGood(Arc::new(web().plan)));
    world.at(0.0, Event::Loaded(Arc::new(newest.plan)));
    world
}

#[test]
fn a_container_that_starts_anew_goes_back_too_in_the_time_after_its_init_processes() {
    let newest = set(vec![
        init("migrate"),
        service("web").probe(ProbeKind::Readiness),
        service("queue").background(),
    ]);
    let mut world = starts_anew(newest.drain(0.0))
        .server("web", |_| false)
        .child("migrate", dies(100.0, 0));
    world.run_until(159.0);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.spec.origin.object, Some(version(2)));
    assert!(!snapshot.ready && !snapshot.spec.good);
    world.run_until(165.0);
    runs(&mut world, 1);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    assert_eq!(refused.reason, "WasNotReady");
}

#[test]
fn a_container_that_starts_anew_with_a_better_spec_stays_with_it() {
    let mut newest = web();
    newest.plan.processes[0] = service("web").runs("v2");
    let mut world = starts_anew(newest);
    world.run_until(5.0);
    runs(&mut world, 2);
    world.run_until(200.0);
    runs(&mut world, 2);
}

#[test]
fn a_set_that_does_its_work_at_once_has_proved_its_spec() {
    for (code, good) in [(0, true), (3, false)] {
        let job = set(vec![service("job").never()]).generation(1);
        let mut world = job.world().child("job", dies(0.2, code));
        world.run_until(10.0);
        assert!(world.outcome.is_some());
        assert_eq!(world.snapshot().spec.good, good, "{code}");
    }
}

#[test]
fn a_stop_takes_its_own_course_though_a_trial_would_end_in_it() {
    let mut bad = web();
    bad.plan.processes[0] = service("web").runs("v2").probe(ProbeKind::Readiness);
    let world = web().world().server("web", |_| false);
    let mut world = tries(world.child("web", stops_in(12.0)), &bad);
    world.signal(75.0, Signal::TERM).run_until(200.0);
    let outcome = world.outcome.as_ref().expect("it ends");
    assert!(
        outcome.code == 0 && world.now < Mono::ZERO + secs(88.0),
        "{:?}",
        world.now
    );
}

#[test]
fn who_was_not_ready_before_says_so() {
    let mut broken = web();
    broken.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let mut other = broken.clone();
    other.plan.processes[1] = service("queue").background().runs("v2");
    let mut world = tries(broken.world().server("web", |_| false), &other);
    world.run_until(200.0);
    let spec = world.snapshot().spec.clone();
    assert_eq!(spec.origin.object, Some(version(1)));
    assert_eq!(spec.refused.unwrap().reason, "WasNotReady");
}

#[test]
fn a_worker_that_is_given_its_time_to_stop_is_no_failure() {
    let mut slow = web();
    slow.plan.processes[1] = service("queue").background().runs("v2");
    slow.plan.processes[1].stop.grace = Some(secs(300.0));
    let mut old = web();
    old.plan.processes[1].stop.grace = Some(secs(300.0));
    let world = old.world().child("queue", stops_in(150.0));
    let mut world = tries(world, &slow);
    world.run_until(169.0);
    assert_eq!(world.snapshot().spec.origin.object, Some(version(2)));
    world.run_until(300.0);
    runs(&mut world, 2);
}

#[test]
fn workers_that_are_replaced_one_after_the_other_have_their_time_each() {
    let six = |set: Set| {
        let mut set = set;
        set.plan.processes[1] = service("queue").background().replicas(6);
        set
    };
    let mut newer = six(web());
    newer.plan.processes[1] = service("queue").background().replicas(6).runs("v2");
    let world = six(web()).world().child("queue", stops_in(25.0));
    let mut world = tries(world, &newer);
    world.run_until(300.0);
    runs(&mut world, 2);
}

#[test]
fn a_worker_that_comes_up_and_falls_over_again_and_again_gets_on_once() {
    let mut bad = web();
    bad.plan.processes[1] = service("worker").background();
    let mut world = tries(web().world().child("worker", dies(0.7, 1)), &bad);
    world.run_until(90.0);
    runs(&mut world, 1);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    let message = &refused.message;
    assert!(message.contains("(`worker` is not available)"), "{message}");
}

#[test]
fn a_newer_spec_that_was_refused_stays_refused_when_the_pod_goes_back() {
    let mut bad = web();
    bad.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let mut world = tries(web().world().server("web", |_| false), &bad);
    let refusal = Refusal {
        origin: web().generation(3).plan.origin,
        reason: "RevisionMismatch",
        message: "another revision".to_owned(),
    };
    world.at(30.0, Event::ChangeRefused { refusal });
    world.run_until(200.0);
    runs(&mut world, 1);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    assert_eq!(refused.reason, "RevisionMismatch");
}

#[test]
fn who_refused_a_spec_at_first_comes_to_it_late() {
    let mut newer = web().generation(2);
    newer.plan.processes[1] = service("queue").background().runs("v2");
    let refusal = Refusal {
        origin: newer.plan.origin.clone(),
        reason: "Invalid",
        message: "a file is missing".to_owned(),
    };
    let mut world = web().world();
    world
        .at(20.0, Event::ChangeRefused { refusal })
        .run_until(25.0);
    assert!(!world.snapshot().spec.late);
    // Told twice: it waits all the same.
    world
        .change(30.0, &newer)
        .change(31.0, &newer)
        .run_until(35.0);
    assert!(world.snapshot().spec.late);
    let newest = newer.clone().generation(3);
    world.change(40.0, &newest).run_until(45.0);
    assert_eq!(world.snapshot().spec.waits, Some(version(3)));
    assert!(!world.snapshot().spec.late);
}

#[test]
fn who_is_ready_though_its_trial_goes_on_was_ready_before_the_next_change() {
    let mut newest = web();
    newest.plan.processes[1] = service("worker").background().probe(ProbeKind::Readiness);
    let mut world = starts_anew(newest.clone())
        .server("worker", |_| false)
        .server("web", |_| false);
    let mut bad = newest.generation(3);
    bad.plan.rollout.progress_deadline = secs(60.0);
    bad.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let turn = Event::Admitted { object: version(3) };
    world.change(20.0, &bad).at(20.0, turn).run_until(200.0);
    runs(&mut world, 1);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    assert_eq!(refused.reason, "ProgressDeadlineExceeded");
}

#[test]
fn who_went_back_was_ready_before_the_change_that_comes_then() {
    let mut bad = web();
    bad.plan.processes[0] = service("web").runs("v2").probe(ProbeKind::Readiness);
    let mut old = web();
    old.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    // It takes some time to be ready again.
    let world = old.world().server("web", |at| at < 19.0);
    let mut world = tries(world, &bad);
    let mut other = bad.generation(3);
    other.plan.rollout.progress_deadline = secs(60.0);
    let turn = Event::Admitted { object: version(3) };
    world.change(79.0, &other).at(81.0, turn).run_until(200.0);
    let refused = world.snapshot().spec.refused.clone().unwrap();
    assert_eq!(refused.origin.object, Some(version(3)));
    assert_eq!(refused.reason, "ProgressDeadlineExceeded");
}

#[test]
fn a_container_that_starts_one_after_the_other_has_its_time_for_each() {
    let chain = |set: Set| {
        let mut set = set;
        let web = service("web").probe(ProbeKind::Readiness);
        let front = service("front").probe(ProbeKind::Readiness);
        let queue = set.plan.processes[1].clone();
        set.plan.processes = vec![web, front.after("web", Condition::Ready), queue];
        set
    };
    let mut world = World::loading(Config::default())
        .server("web", |at| at > 50.0)
        .server("front", |at| at > 100.0);
    let mut newest = chain(web()).generation(2);
    newest.plan.rollout.progress_deadline = secs(60.0);
    newest.plan.processes[2] = service("queue").background().runs("v2");
    world.at(0.0, Event::LastGood(Arc::new(chain(web()).plan)));
    world.at(0.0, Event::Loaded(Arc::new(newest.plan)));
    world.run_until(150.0);
    runs(&mut world, 2);
}

#[test]
fn a_container_that_starts_with_a_spec_that_is_the_same_for_the_processes_has_nothing_to_prove() {
    let mut old = web();
    old.plan.processes[0] = service("web").probe(ProbeKind::Readiness);
    let mut newest = old.clone().generation(2);
    newest.plan.rollout.progress_deadline = secs(60.0);
    let mut world = World::loading(Config::default()).server("web", |at| at > 150.0);
    world.at(0.0, Event::LastGood(Arc::new(old.plan)));
    world.at(0.0, Event::Loaded(Arc::new(newest.plan)));
    world.run_until(200.0);
    runs(&mut world, 2);
}
