//! Changes of the spec while the set runs.

use expect_test::expect;

use super::world::{Behaviour, Set, World, init, secs, service, set};
use super::{deaf, dies, stops_in, unexecutable};
use crate::domain::event::{Event, Refusal};
use crate::domain::plan::{Condition, ObjectVersion, Origin, ProbeKind};
use crate::domain::signal::Signal;

/// nginx after php-fpm, and two workers.
fn shop() -> Set {
    set(vec![
        init("migrate"),
        service("php-fpm"),
        service("nginx").after("php-fpm", Condition::Ready),
        service("queue").background().replicas(2),
    ])
    .drain(5.0)
}

fn started(set: Set) -> World {
    let mut world = set.world().child("migrate", dies(0.0, 0));
    world.run_until(10.0);
    world.trace.clear();
    world
}

#[test]
fn nothing_is_touched_by_the_same_spec() {
    let mut world = started(shop());
    world.change(20.0, &shop()).run_until(30.0);
    expect![[r#"
        020.000 change: nothing changes
        020.000 change done
    "#]]
    .assert_eq(&world.trace);
    assert!(world.snapshot().ready);
}

#[test]
fn workers_are_replaced_one_after_the_other() {
    let mut world = started(shop()).child("queue", stops_in(2.0));
    let mut new = shop();
    new.plan.processes[3] = new.plan.processes[3].clone().runs("v2");
    world.change(20.0, &new).run_until(21.0);
    assert!(
        world.snapshot().ready,
        "the pod stays ready while workers are replaced"
    );
    world.run_until(40.0);
    expect![[r#"
        020.000 change: queue is restarted (command)
        020.000 SIGTERM to queue-0 Leader
        022.000 queue-0 ended: exit code 0
        022.000 spawn queue-0
        022.000 SIGTERM to queue-1 Leader
        024.000 queue-1 ended: exit code 0
        024.000 spawn queue-1
        024.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_serving_process_is_replaced_after_the_drain_and_the_pod_is_unready_until_it_is_back() {
    let mut world = started(shop()).child("php-fpm", stops_in(1.0));
    let mut new = shop();
    new.plan.processes[1] = new.plan.processes[1].clone().runs("v2");
    world.change(20.0, &new);
    for (at, ready) in [(19.9, true), (20.1, false), (25.9, false), (26.1, true)] {
        world.run_until(at);
        assert_eq!(world.snapshot().ready, ready, "at {at}");
    }
    expect![[r#"
        020.000 change: php-fpm is restarted (command)
        025.000 SIGTERM to php-fpm-0 Leader
        026.000 php-fpm-0 ended: exit code 0
        026.000 spawn php-fpm-0
        026.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn processes_come_and_go() {
    let mut world = started(shop()).child("queue", stops_in(3.0));
    let new = set(vec![
        init("migrate"),
        service("php-fpm"),
        service("reverb").after("horizon", Condition::Started),
        service("nginx").after("php-fpm", Condition::Ready),
        service("horizon").background(),
    ]);
    world.change(20.0, &new).run_until(30.0);
    expect![[r#"
        020.000 change: reverb is added; horizon is added; queue is removed; shutdown of the set
        020.000 spawn horizon-0
        020.000 SIGTERM to queue-0 Leader
        020.000 SIGTERM to queue-1 Leader
        020.000 spawn reverb-0
        023.000 queue-0 ended: exit code 0
        023.000 queue-1 ended: exit code 0
        023.000 change done
    "#]]
    .assert_eq(&world.trace);
    let names: Vec<String> = (world.snapshot().processes.iter())
        .map(|process| process.name.to_string())
        .collect();
    assert_eq!(names, ["migrate", "php-fpm", "reverb", "nginx", "horizon"]);
    world.signal(40.0, Signal::TERM);
    assert_eq!(world.code(), 0);
}

#[test]
fn replicas_come_and_go() {
    let mut world = started(shop());
    let mut four = shop();
    four.plan.processes[3] = service("queue").background().replicas(4);
    let mut one = shop();
    one.plan.processes[3] = service("queue").background().replicas(1);
    world.change(20.0, &four).change(30.0, &one).run_until(40.0);
    expect![[r#"
        020.000 change: queue changes in place (replicas)
        020.000 change done
        020.000 spawn queue-2
        020.000 spawn queue-3
        030.000 change: queue changes in place (fewer replicas)
        030.000 SIGTERM to queue-1 Leader
        030.000 SIGTERM to queue-2 Leader
        030.000 SIGTERM to queue-3 Leader
        030.000 queue-1 ended: exit code 0
        030.000 queue-2 ended: exit code 0
        030.000 queue-3 ended: exit code 0
        030.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn an_instance_on_its_way_out_is_called_back() {
    let mut world = started(shop()).child("queue", stops_in(3.0));
    let mut one = shop();
    one.plan.processes[3] = service("queue").background().replicas(1);
    world
        .change(20.0, &one)
        .change(21.0, &shop())
        .run_until(30.0);
    expect![[r#"
        020.000 change: queue changes in place (fewer replicas)
        020.000 SIGTERM to queue-1 Leader
        021.000 change: queue changes in place (replicas)
        023.000 queue-1 ended: exit code 0
        023.000 change done
        023.000 spawn queue-1
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn recreate_stops_all_before_the_first_new_one_starts() {
    let old = || set(vec![service("queue").background().replicas(2).recreate()]);
    let mut world = old()
        .world()
        .child("queue-0", stops_in(1.0))
        .child("queue-1", stops_in(2.0));
    let new = set(vec![
        service("queue")
            .background()
            .replicas(2)
            .recreate()
            .runs("v2"),
    ]);
    world.change(20.0, &new).run_until(30.0);
    expect![[r#"
        000.000 spawn queue-0
        000.000 spawn queue-1
        020.000 change: queue is restarted (command)
        020.000 SIGTERM to queue-0 Leader
        020.000 SIGTERM to queue-1 Leader
        021.000 queue-0 ended: exit code 0
        022.000 queue-1 ended: exit code 0
        022.000 spawn queue-0
        022.000 spawn queue-1
        022.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn with_a_surge_nobody_is_missing_and_nothing_is_drained() {
    let old = || set(vec![service("web").replicas(2).surge(1)]).drain(5.0);
    let mut world = old().world().child("web", stops_in(1.0));
    let mut new = old();
    new.plan.processes[0] = service("web").replicas(2).surge(1).runs("v2");
    world.change(20.0, &new).run_until(20.5);
    assert!(world.snapshot().ready);
    world.run_until(30.0);
    expect![[r#"
        000.000 spawn web-0
        000.000 spawn web-1
        020.000 change: web is restarted (command)
        020.000 spawn web-2
        020.000 SIGTERM to web-0 Leader
        021.000 web-0 ended: exit code 0
        021.000 spawn web-0
        021.000 SIGTERM to web-1 Leader
        022.000 web-1 ended: exit code 0
        022.000 spawn web-1
        022.000 SIGTERM to web-2 Leader
        023.000 web-2 ended: exit code 0
        023.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_stop_ends_a_change_where_it_is() {
    let mut world = started(shop()).child("php-fpm", stops_in(1.0));
    let mut new = shop();
    new.plan.processes[1] = new.plan.processes[1].clone().runs("v2");
    new.plan.processes[3] = service("horizon").background();
    world.change(20.0, &new).signal(22.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        020.000 change: php-fpm is restarted (command); horizon is added; queue is removed
        020.000 spawn horizon-0
        020.000 SIGTERM to queue-0 Leader
        020.000 SIGTERM to queue-1 Leader
        020.000 queue-0 ended: exit code 0
        020.000 queue-1 ended: exit code 0
        022.000 SIGTERM to horizon-0 Leader
        022.000 horizon-0 ended: exit code 0
        027.000 SIGTERM to nginx-0 Leader
        027.000 nginx-0 ended: exit code 0
        027.000 SIGTERM to php-fpm-0 Leader
        028.000 php-fpm-0 ended: exit code 0
        028.000 SIGTERM to orphans
        028.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_crash_in_the_middle_brings_what_is_written_now() {
    // The old run dies by itself while the pod drains: its successor is of the new spec and nothing more is stopped.
    let mut world = started(shop()).child("php-fpm", dies(22.0, 1));
    world.trace.clear();
    let mut world = {
        let mut fresh = shop()
            .world()
            .child("migrate", dies(0.0, 0))
            .child("php-fpm", dies(22.0, 1));
        fresh.run_until(10.0);
        std::mem::swap(&mut world, &mut fresh);
        world
    };
    world.trace.clear();
    let mut new = shop();
    new.plan.processes[1] = new.plan.processes[1].clone().runs("v2");
    world.change(20.0, &new).run_until(30.0);
    expect![[r#"
        020.000 change: php-fpm is restarted (command)
        022.000 php-fpm-0 ended: exit code 1
        022.000 php-fpm-0 restarts in 0
        022.000 spawn php-fpm-0
        022.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn what_failed_for_good_is_healed_with_its_dependents() {
    let old = set(vec![
        service("php-fpm").never(),
        service("nginx").after("php-fpm", Condition::Started),
        service("other"),
    ]);
    let mut world = old.world().child("php-fpm", unexecutable());
    world.run_until(10.0);
    world.trace.clear();
    let mut world = world.child("php-fpm", stops_in(0.0));
    let new = set(vec![
        service("php-fpm").never().runs("v2"),
        service("nginx").after("php-fpm", Condition::Started),
        service("other"),
    ]);
    world.change(20.0, &new).run_until(30.0);
    expect![[r#"
        020.000 change: php-fpm is restarted (command)
        020.000 spawn php-fpm-0
        020.000 change done
        020.000 spawn nginx-0
    "#]]
    .assert_eq(&world.trace);
    assert!(world.snapshot().ready);
}

#[test]
fn a_failure_that_was_mended_or_removed_does_not_decide_the_exit_code() {
    let task = || service("task").never();
    let other = || service("other").never();
    for (what, changed, then, code) in [
        ("mended", vec![task().runs("v2"), other()], 0, 0),
        ("not mended", vec![task().runs("v2"), other()], 9, 9),
        ("removed", vec![other()], 0, 0),
        ("left alone", vec![task(), other().grace(9.0)], 0, 7),
    ] {
        let mut world = set(vec![task(), other()])
            .world()
            .child("task", dies(1.0, 7))
            .child("other", dies(40.0, 0));
        world.run_until(10.0);
        let mut world = world.child("task", dies(1.0, then));
        world.change(20.0, &set(changed));
        assert_eq!(world.code(), code, "{what}: {}", world.trace);
    }
}

/// The drain keeps the old run, which ends by itself: what is now written has neither failed nor completed.
#[test]
fn what_ends_for_good_before_its_turn_begins_as_it_is_now_written() {
    let all = |web| set(vec![web, service("other")]).drain(5.0);
    let web = || service("web").never();
    for (code, rule) in [(3, web()), (0, web()), (3, web().recreate())] {
        let mut world = all(rule.clone()).world().child("web", dies(12.0, code));
        world.change(10.0, &all(rule.runs("v2"))).run_until(11.0);
        let mut world = world.child("web", dies(60.0, 0));
        world.run_until(14.0);
        assert_eq!(world.seen.spawned["web-0"], 2, "{}", world.trace);
        assert!(world.snapshot().ready, "{}", world.trace);
    }
}

#[test]
fn a_change_during_the_start_waits_for_its_end() {
    let old = set(vec![init("migrate"), service("web")]);
    let mut world = old.world().child("migrate", dies(5.0, 0));
    let new = set(vec![init("other"), service("web").runs("v2")]);
    world.change(2.0, &new).run_until(10.0);
    expect![[r#"
        000.000 spawn migrate-0
        002.000 change waits: the start is not over yet
        005.000 migrate-0 ended: exit code 0
        005.000 migrate-0 completed
        005.000 change: web is restarted (command); initProcesses from the next start of the container on
        005.000 spawn web-0
        005.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut world = started(shop());
    let refusal = Refusal {
        origin: Origin::default(),
        reason: "Invalid",
        message: "spec.processes: bad".to_owned(),
    };
    world
        .at(20.0, Event::ChangeRefused { refusal })
        .run_until(30.0);
    assert_eq!(world.trace, "020.000 refused: spec.processes: bad\n");
    let snapshot = world.snapshot();
    assert!(snapshot.ready);
    assert_eq!(snapshot.spec.refused.as_ref().unwrap().reason, "Invalid");
}

fn version(generation: i64) -> ObjectVersion {
    ObjectVersion {
        uid: "uid".into(),
        generation,
    }
}

#[test]
fn a_fleet_takes_what_stops_runs_when_its_turn_has_come_and_the_rest_at_once() {
    let mut world = started(shop().generation(1));
    let mut tame = shop().generation(2);
    tame.plan.processes[3] = service("queue").background().replicas(3);
    let mut wild = shop().generation(3);
    wild.plan.processes[3] = service("queue").background().replicas(3).runs("v3");
    let admitted = |generation| Event::Admitted {
        object: version(generation),
    };
    world.change(20.0, &tame).change(30.0, &wild);
    world.at(40.0, admitted(2)).run_until(41.0);
    assert_eq!(world.snapshot().spec.waits, Some(version(3)));
    world.at(50.0, admitted(3)).run_until(60.0);
    expect![[r#"
        020.000 change: queue changes in place (replicas)
        020.000 change done
        020.000 spawn queue-2
        030.000 change waits: its turn among the pods of the set has not come
        050.000 change: queue is restarted (command)
        050.000 SIGTERM to queue-0 Leader
        050.000 queue-0 ended: exit code 0
        050.000 spawn queue-0
        050.000 SIGTERM to queue-1 Leader
        050.000 queue-1 ended: exit code 0
        050.000 spawn queue-1
        050.000 SIGTERM to queue-2 Leader
        050.000 queue-2 ended: exit code 0
        050.000 spawn queue-2
        050.000 change done
    "#]]
    .assert_eq(&world.trace);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.spec.origin.object, Some(version(3)));
    assert_eq!(snapshot.spec.waits, None);
}

#[test]
fn a_pod_that_does_not_get_ready_goes_back_to_its_last_good_spec_once() {
    let mut old = shop().generation(1);
    old.plan.shutdown.drain = secs(0.0);
    let mut world = started(old.clone());
    let mut bad = old.clone().generation(2);
    bad.plan.rollout.progress_deadline = secs(60.0);
    bad.plan.processes[1] = service("php-fpm").runs("v2").probe(ProbeKind::Readiness);
    let mut world = {
        world.trace.clear();
        world.server("php-fpm", |_| false)
    };
    world
        .change(20.0, &bad)
        .at(20.0, Event::Admitted { object: version(2) });
    world.run_until(79.0);
    assert!(!world.snapshot().ready);
    world.change(90.0, &bad).run_until(200.0);
    expect![[r#"
        020.000 change waits: its turn among the pods of the set has not come
        020.000 change: php-fpm is restarted (command, readinessProbe); rollout of the set
        020.000 SIGTERM to php-fpm-0 Leader
        020.000 php-fpm-0 ended: exit code 0
        020.000 spawn php-fpm-0
        080.000 change taken back
        080.000 change: php-fpm is restarted (command, readinessProbe); rollout of the set
        080.000 SIGTERM to php-fpm-0 Leader
        080.000 php-fpm-0 ended: exit code 0
        080.000 spawn php-fpm-0
        080.000 change done
    "#]]
    .assert_eq(&world.trace);
    let snapshot = world.snapshot();
    assert!(snapshot.ready);
    assert_eq!(snapshot.spec.origin.object, Some(version(1)));
    let refused = snapshot.spec.refused.as_ref().unwrap();
    assert_eq!(refused.reason, "ProgressDeadlineExceeded");
    assert_eq!(refused.origin.object, Some(version(2)));
}

#[test]
fn a_turn_that_comes_before_the_start_is_over_is_taken_then() {
    let old = set(vec![init("migrate"), service("web")]).generation(1);
    let mut world = old.world().child("migrate", dies(5.0, 0));
    let new = set(vec![init("migrate"), service("web").runs("v2")]).generation(2);
    let turn = Event::Admitted { object: version(2) };
    world.change(2.0, &new).at(3.0, turn).run_until(10.0);
    expect![[r#"
        000.000 spawn migrate-0
        002.000 change waits: the start is not over yet
        005.000 migrate-0 ended: exit code 0
        005.000 migrate-0 completed
        005.000 change: web is restarted (command)
        005.000 spawn web-0
        005.000 change done
    "#]]
    .assert_eq(&world.trace);
    let spec = &world.snapshot().spec;
    assert_eq!(
        (&spec.origin.object, &spec.waits),
        (&Some(version(2)), &None)
    );
    assert!(spec.good);
}

/// Says nothing good of a spec before its own probe has found something.
fn only_its_probe_is_bad(kind: ProbeKind) -> World {
    let mut old = shop().generation(1);
    old.plan.shutdown.drain = secs(0.0);
    let mut world = started(old.clone()).server("php-fpm", |_| false);
    let mut bad = old.clone().generation(2);
    bad.plan.rollout.progress_deadline = secs(60.0);
    bad.plan.processes[1] = service("php-fpm").probe(kind);
    let turn = Event::Admitted { object: version(2) };
    world.change(20.0, &bad).at(20.0, turn).run_until(20.5);
    let spec = &world.snapshot().spec;
    assert!(spec.changing && !spec.good, "nothing is known yet");
    world.run_until(200.0);
    world
}

#[test]
fn a_readiness_probe_that_never_passes_is_taken_back() {
    let mut world = only_its_probe_is_bad(ProbeKind::Readiness);
    let snapshot = world.snapshot();
    assert!(snapshot.ready);
    assert_eq!(snapshot.spec.origin.object, Some(version(1)));
    let refused = snapshot.spec.refused.as_ref().unwrap();
    assert_eq!(refused.reason, "ProgressDeadlineExceeded");
}

#[test]
fn a_liveness_probe_that_never_passes_is_taken_back() {
    let mut world = only_its_probe_is_bad(ProbeKind::Liveness);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.spec.origin.object, Some(version(1)));
    assert!(snapshot.ready);
}

#[test]
fn a_probe_that_passes_makes_a_spec_a_good_one() {
    for kind in [
        ProbeKind::Startup,
        ProbeKind::Readiness,
        ProbeKind::Liveness,
    ] {
        let mut world = started(shop().generation(1)).server("php-fpm", |_| true);
        let mut new = shop().generation(2);
        new.plan.processes[1] = service("php-fpm").probe(kind);
        let turn = Event::Admitted { object: version(2) };
        world.change(20.0, &new).at(20.0, turn).run_until(60.0);
        let spec = &world.snapshot().spec;
        assert!(spec.good && !spec.changing, "{kind:?}");
    }
}

#[test]
fn another_content_of_a_file_needs_no_turn() {
    let mut world = started(shop().generation(1));
    let mut new = shop().generation(1);
    new.plan.processes[3] = service("queue").background().replicas(2).runs("v2");
    world.change(20.0, &new).run_until(30.0);
    assert!(
        world.trace.contains("020.000 change: queue is restarted"),
        "{}",
        world.trace
    );
}

#[test]
fn what_has_completed_runs_again_when_it_always_runs() {
    let task = || service("task").background();
    let mut world = set(vec![service("web"), task().on_failure_only()])
        .world()
        .child("task", dies(2.0, 0));
    world.run_until(10.0);
    world.trace.clear();
    world.change(
        20.0,
        &set(vec![service("web"), task().grace(9.0).on_failure_only()]),
    );
    world.change(30.0, &set(vec![service("web"), task().grace(9.0)]));
    world.run_until(31.0);
    expect![[r#"
        020.000 change: task changes in place (terminationGracePeriodSeconds)
        020.000 change done
        030.000 change: task changes in place (restartPolicy)
        030.000 change done
        030.000 spawn task-0
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn what_is_on_its_way_out_and_written_again_is_new_for_a_fleet() {
    let both = || set(vec![service("web"), service("queue").background()]);
    let mut world = started(both().generation(1)).child("queue", stops_in(9.0));
    let admitted = |generation| Event::Admitted {
        object: version(generation),
    };
    world.change(20.0, &set(vec![service("web")]).generation(2));
    world.at(20.0, admitted(2));
    world.change(22.0, &both().generation(3)).run_until(23.0);
    assert_eq!(world.snapshot().spec.waits, Some(version(3)));
    world.at(24.0, admitted(3)).run_until(40.0);
    expect![[r#"
        020.000 change waits: its turn among the pods of the set has not come
        020.000 change: queue is removed
        020.000 SIGTERM to queue-0 Leader
        022.000 change waits: its turn among the pods of the set has not come
        024.000 change: queue is added
        029.000 queue-0 ended: exit code 0
        029.000 spawn queue-0
        029.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn init_processes_that_change_are_told_once() {
    let mut world = started(shop());
    let mut first = shop();
    first.plan.processes[0] = init("migrate").runs("v2");
    let mut second = first.clone();
    second.plan.processes[3] = second.plan.processes[3].clone().grace(9.0);
    world.change(20.0, &first).change(30.0, &second);
    world.run_until(40.0);
    expect![[r#"
        020.000 change: initProcesses from the next start of the container on
        020.000 change done
        030.000 change: queue changes in place (terminationGracePeriodSeconds)
        030.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_run_that_ignores_its_stop_signal_is_killed_and_replaced() {
    let mut world = set(vec![service("queue").background().grace(2.0)])
        .world()
        .child("queue", deaf());
    let new = set(vec![service("queue").background().grace(2.0).runs("v2")]);
    world.change(20.0, &new).run_until(30.0);
    expect![[r#"
        000.000 spawn queue-0
        020.000 change: queue is restarted (command)
        020.000 SIGTERM to queue-0 Leader
        022.000 SIGKILL to queue-0 Group
        022.000 queue-0 ended: SIGKILL
        022.000 spawn queue-0
        022.000 change done
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn what_is_just_being_executed_keeps_its_turn_in_a_stop_though_it_is_out_of_date() {
    let slow = Behaviour {
        exec_after: secs(3.0),
        ..stops_in(1.0)
    };
    let mut world = started(shop())
        .child("php-fpm", slow)
        .child("nginx", stops_in(4.0));
    let mut new = shop().drain(0.0);
    new.plan.processes[1] = service("php-fpm").runs("v2");
    world.change(20.0, &new);
    new.plan.processes[1] = service("php-fpm").runs("v3");
    world.change(21.5, &new).signal(22.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        020.000 change: php-fpm is restarted (command); shutdown of the set
        020.000 SIGTERM to php-fpm-0 Leader
        021.000 php-fpm-0 ended: exit code 0
        021.000 spawn php-fpm-0
        021.500 change: php-fpm is restarted (command)
        022.000 SIGTERM to nginx-0 Leader
        022.000 SIGTERM to queue-0 Leader
        022.000 SIGTERM to queue-1 Leader
        022.000 queue-0 ended: exit code 0
        022.000 queue-1 ended: exit code 0
        026.000 nginx-0 ended: exit code 0
        026.000 SIGTERM to php-fpm-0 Leader
        027.000 php-fpm-0 ended: exit code 0
        027.000 SIGTERM to orphans
        027.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}
