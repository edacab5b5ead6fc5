//! Probes in whole lives: who waits for whom, who is restarted, what others see.

use expect_test::expect;

use super::deaf;
use super::world::{Behaviour, World, hook, init, service, set};
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::{
    Condition, FailurePolicy, InstanceHooks, OnFailure, ProbeKind, SetHooks,
};
use crate::domain::signal::Signal;

fn ready(world: &mut World) -> bool {
    world.snapshot().ready
}

#[test]
fn a_dependency_that_fails_and_heals_releases_its_dependents_within_a_period() {
    let mut world = set(vec![
        service("fpm").probe(ProbeKind::Readiness),
        service("nginx").after("fpm", Condition::Ready),
    ])
    .world()
    .server("fpm", |seconds| seconds > 4.2);
    world.run_until(4.9);
    assert!(!ready(&mut world));
    world.run_until(10.0);
    assert!(ready(&mut world));
    expect![[r#"
        000.000 spawn fpm-0
        005.000 fpm-0 ready
        005.000 spawn nginx-0
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn dependents_wait_for_ready_seconds_and_readiness_does_not() {
    let mut world = set(vec![
        service("fpm").probe(ProbeKind::Readiness).min_ready(5.0),
        service("nginx").after("fpm", Condition::Ready).background(),
    ])
    .world()
    .server("fpm", |seconds| {
        seconds > 2.5 && !(5.0..8.5).contains(&seconds)
    });
    world.run_until(4.0);
    assert!(ready(&mut world));
    world.run_until(30.0);
    // Ready at 3, but not for 5 s: unready at 7; ready again at 9.
    expect![[r#"
        000.000 spawn fpm-0
        003.000 fpm-0 ready
        007.000 fpm-0 unready
        009.000 fpm-0 ready
        010.000 nginx-0 waits for fpm (Ready)
        014.000 spawn nginx-0
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn started_waits_for_the_startup_probe() {
    let mut world = set(vec![
        service("app").probe(ProbeKind::Startup),
        service("worker")
            .after("app", Condition::Started)
            .background(),
    ])
    .world()
    .server("app", |seconds| seconds > 1.5);
    world.run_until(1.9);
    assert!(!world.snapshot().started);
    world.run_until(2.1);
    assert!(world.snapshot().started && ready(&mut world));
    assert!(
        world.trace.contains("002.000 spawn worker-0"),
        "{}",
        world.trace
    );
}

#[test]
fn a_liveness_failure_restarts_that_instance_only_and_gracefully() {
    let mut world = set(vec![
        service("app").probe(ProbeKind::Liveness),
        service("other").after("app", Condition::Ready),
    ])
    .world()
    .server("app", |seconds| !(20.5..23.5).contains(&seconds));
    world.run_until(60.0);
    // It was ready for 10 s: no backoff.
    expect![[r#"
        000.000 spawn app-0
        000.000 spawn other-0
        023.000 app-0 unhealthy: refused
        023.000 SIGTERM to app-0 Leader
        023.000 app-0 ended: exit code 0
        023.000 app-0 restarts in 0
        023.000 spawn app-0
    "#]]
    .assert_eq(&world.trace);
    assert_eq!(world.seen.spawned["other-0"], 1);
}

#[test]
fn a_restart_by_a_probe_has_the_probe_s_grace_period() {
    let mut process = service("app").grace(20.0).probe(ProbeKind::Liveness);
    let probe = process.instances[0].probes.liveness.take().unwrap();
    let mut probe = (*probe).clone();
    probe.grace = Some(super::world::secs(3.0));
    process.instances[0].probes.liveness = Some(probe.into());
    let mut world = set(vec![process])
        .world()
        .child("app", deaf())
        .server("app", |seconds| seconds < 10.5);
    world.run_until(16.5);
    // Failures at 11, 12 and 13; KILL at 16.
    assert!(world.trace.contains("013.000 SIGTERM"), "{}", world.trace);
    assert!(world.trace.contains("016.000 SIGKILL"), "{}", world.trace);
}

#[test]
fn a_run_that_never_starts_is_replaced_with_backoff() {
    let mut world = set(vec![service("app").probe(ProbeKind::Startup)])
        .world()
        .server("app", |_| false);
    world.run_until(12.0);
    expect![[r#"
        000.000 spawn app-0
        002.000 app-0 unhealthy: refused
        002.000 SIGTERM to app-0 Leader
        002.000 app-0 ended: exit code 0
        002.000 app-0 restarts in 1
        003.000 spawn app-0
        005.000 app-0 unhealthy: refused
        005.000 SIGTERM to app-0 Leader
        005.000 app-0 ended: exit code 0
        005.000 app-0 restarts in 2
        007.000 spawn app-0
        009.000 app-0 unhealthy: refused
        009.000 SIGTERM to app-0 Leader
        009.000 app-0 ended: exit code 0
        009.000 app-0 restarts in 4
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn unhealthy_without_restart_is_a_failure() {
    let mut world = set(vec![
        service("app").never().exit_set().probe(ProbeKind::Liveness),
    ])
    .world()
    .server("app", |seconds| seconds < 5.0);
    // It ended with 0, but it was not well.
    assert_eq!(world.code(), 1, "{}", world.trace);
    let why = "app-0 failed: livenessProbe failed, then exit code 0";
    assert!(world.trace.contains(why), "{}", world.trace);
}

#[test]
fn who_decides_whether_the_pod_is_ready() {
    let down: fn(f64) -> bool = |_| false;
    let probed = || service("app").probe(ProbeKind::Readiness);
    let failed = |on_failure| {
        let mut process = service("app").never();
        process.on_failure = on_failure;
        process
    };
    let dies = super::dies(1.0, 3);
    for (what, process, dies_too, want) in [
        ("a Serving one that is not ready", probed(), false, false),
        ("a Background one", probed().background(), false, true),
        (
            "failed for good: MarkUnready",
            failed(OnFailure::MarkUnready).background(),
            true,
            false,
        ),
        (
            "failed for good: Ignore",
            failed(OnFailure::Ignore),
            true,
            true,
        ),
    ] {
        let mut world = set(vec![process, service("other")])
            .world()
            .server("app", down);
        if dies_too {
            world = world.child("app", dies.clone());
        }
        world.run_until(5.0);
        assert_eq!(ready(&mut world), want, "{what}");
    }
}

/// What is to be ignored must not keep the kubelet's startup probe from passing either.
#[test]
fn who_decides_whether_the_pod_has_started() {
    let cannot = Behaviour {
        exec_errno: 2,
        ..Behaviour::default()
    };
    for (on_failure, want) in [(OnFailure::Ignore, true), (OnFailure::MarkUnready, false)] {
        let mut app = service("app").never().replicas(2);
        app.on_failure = on_failure;
        let mut world = set(vec![app, service("other")])
            .world()
            .child("app", cannot.clone());
        world.run_until(5.0);
        assert_eq!(world.snapshot().started, want, "{on_failure:?}");
        assert_eq!(ready(&mut world), want, "{on_failure:?}");
    }
}

#[test]
fn what_has_completed_counts_as_started_and_ready() {
    let mut world = set(vec![service("once").never(), service("app")])
        .world()
        .child("once", super::dies(1.0, 0));
    world.run_until(5.0);
    assert!(world.snapshot().started && ready(&mut world));
}

#[test]
fn unready_from_the_first_moment_of_a_stop() {
    let mut world = set(vec![service("app").probe(ProbeKind::Readiness)])
        .drain(5.0)
        .world();
    world.run_until(3.0);
    assert!(ready(&mut world));
    world.signal(4.0, Signal::TERM);
    world.run_until(4.0);
    let snapshot = world.snapshot();
    assert!(!snapshot.ready && snapshot.started);
    assert_eq!(snapshot.stopping.as_deref(), Some("SIGTERM"));
    assert_eq!(world.code(), 0);
}

#[test]
fn what_a_run_said_before_is_nothing_to_the_next() {
    // Up for the first run only: the second must not inherit its readiness.
    let mut world = set(vec![service("app").probe(ProbeKind::Readiness)])
        .world()
        .child("app", super::dies(10.5, 1))
        .server("app", |seconds| seconds < 10.0);
    world.run_until(10.6);
    assert!(world.snapshot().processes[0].instances[0].restarts == 1);
    assert!(!ready(&mut world), "{}", world.trace);
}

/// `postStart` of the set comes when everything has started, by exec and startup probe; readiness is another matter.
#[test]
fn the_set_has_started_before_it_is_ready() {
    let hooks = SetHooks {
        post_start: vec![hook("announce", 5.0, FailurePolicy::Fail)],
        ..SetHooks::default()
    };
    let mut world = set(vec![
        service("app")
            .probe(ProbeKind::Startup)
            .probe(ProbeKind::Readiness),
    ])
    .hooks(hooks)
    .world()
    .child("hook", super::dies(0.1, 0))
    .server("app", |seconds| seconds > 2.5 && seconds < 3.5);
    world.run_until(10.0);
    let begun = "003.000 spawn hook-announce";
    assert!(world.trace.contains(begun), "{}", world.trace);
}

#[test]
fn others_see_at_once_what_a_process_says_of_itself_and_why_it_is_not_ready() {
    let mut world = set(vec![
        service("app"),
        service("db").probe(ProbeKind::Readiness),
    ])
    .world()
    .server("db", |seconds| seconds > 5.5);
    let message = |world: &mut World, process: usize| {
        let snapshot = world.snapshot();
        snapshot.processes[process].instances[0].message.clone()
    };
    // Nothing but words changes from here on.
    world.run_until(0.0);
    world.snapshot();
    world.run_until(1.5);
    assert_eq!(
        message(&mut world, 1).as_deref(),
        Some("readinessProbe: refused")
    );
    for status in ["Did 1 job", "Did 2 jobs"] {
        let text = format!("STATUS={status}");
        let run = RunId(1);
        world.at(2.0, Event::Notified { run, text });
        world.run_until(2.0);
        assert_eq!(message(&mut world, 0).as_deref(), Some(status));
    }
    world.run_until(6.5);
    assert_eq!(message(&mut world, 1), None);
}

/// As under the kubelet, a pod that ends is not probed any more: what fails during the drain ends nothing.
#[test]
fn during_the_drain_nobody_is_replaced() {
    let mut world = set(vec![service("app").probe(ProbeKind::Liveness)])
        .drain(10.0)
        .world()
        .server("app", |seconds| seconds < 20.5);
    world.signal(20.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert!(!world.trace.contains("unhealthy"), "{}", world.trace);
    assert!(
        world.trace.contains("030.000 SIGTERM to app-0"),
        "{}",
        world.trace
    );
}

/// Ten seconds of readiness, all in all, are enough for a restart without a delay.
#[test]
fn readiness_with_a_gap_adds_up() {
    let mut world = set(vec![service("app").probe(ProbeKind::Readiness)])
        .world()
        .child("app", super::dies(20.5, 1))
        .server("app", |seconds| !(7.5..13.5).contains(&seconds));
    world.run_until(20.6);
    assert!(
        world.trace.contains("app-0 restarts in 0\n"),
        "{}",
        world.trace
    );
}

#[test]
fn once_the_post_start_hook_is_done_it_is_no_reason_any_more() {
    let hooks = InstanceHooks {
        post_start: Some(hook("warm", 30.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![
        service("app")
            .with_hooks(&hooks)
            .probe(ProbeKind::Readiness),
    ])
    .world()
    .child("hook", super::dies(1.5, 0))
    .server("app", |_| false);
    let message = |world: &mut World| {
        let snapshot = world.snapshot();
        snapshot.processes[0].instances[0].message.clone()
    };
    world.run_until(1.25);
    let while_it_runs = message(&mut world);
    assert_eq!(while_it_runs.as_deref(), Some("its postStart hook runs"));
    world.run_until(10.0);
    let afterwards = message(&mut world);
    assert_eq!(afterwards.as_deref(), Some("readinessProbe: refused"));
}

/// The kubelet takes a container for running once its postStart hook is done, and probes no other.
#[test]
fn nothing_is_probed_before_the_post_start_hook_is_done() {
    let hooks = InstanceHooks {
        post_start: Some(hook("warm", 30.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    for kind in [ProbeKind::Startup, ProbeKind::Liveness] {
        let mut world = set(vec![service("app").with_hooks(&hooks).probe(kind)])
            .world()
            .child("hook", super::dies(10.25, 0))
            .server("app", |seconds| seconds > 10.0);
        world.run_until(10.25);
        assert!(world.snapshot().started, "{kind:?}: {}", world.trace);
        world.run_until(60.0);
        assert_eq!(world.seen.spawned["app-0"], 1, "{kind:?}: {}", world.trace);
    }
}

#[test]
fn a_probe_that_kill_does_not_end_is_not_asked_again_beside_it() {
    let stuck = Behaviour {
        immortal: true,
        ..super::deaf()
    };
    let mut world = set(vec![service("app").exec_probe(ProbeKind::Readiness)])
        .world()
        .child("hook", stuck);
    world.run_until(1000.0);
    // Stuck is what is still there two seconds after SIGKILL.
    assert_eq!(world.seen.spawned["hook-probe"], 3, "{}", world.trace);
    let snapshot = world.snapshot();
    let message = snapshot.processes[0].instances[0].message.as_deref();
    let why = "readinessProbe: the check before is still there after SIGKILL";
    assert_eq!(message, Some(why));
}

#[test]
fn what_has_started_once_stays_so() {
    let mut world = set(vec![service("app").never()])
        .world()
        .child("app", super::dies(5.0, 1));
    // Something that goes on.
    world.run_until(1.0);
    assert!(world.snapshot().started && ready(&mut world));
    world.run_until(1e6);
    assert!(world.snapshot().started && !ready(&mut world));
}

#[test]
fn a_start_that_was_cut_is_none() {
    let pod = || {
        set(vec![init("migrate"), service("queue").background()])
            .world()
            .child("migrate", super::dies(20.0, 3))
    };
    let mut world = pod();
    world.signal(10.0, Signal::TERM).run_until(1e6);
    assert!(!world.snapshot().started, "stopped: {}", world.trace);
    let mut world = pod();
    world.run_until(1e6);
    assert!(!world.snapshot().started, "failed: {}", world.trace);
}

/// `Started` gates first starts only: what holds once holds through restarts.
#[test]
fn a_restart_does_not_take_back_that_it_has_started() {
    let mut world = set(vec![
        service("app").probe(ProbeKind::Startup),
        service("slow"),
        service("web")
            .after("app", Condition::Started)
            .after("slow", Condition::Started),
    ])
    .hooks(SetHooks {
        post_start: vec![hook("announce", 5.0, FailurePolicy::Fail)],
        ..SetHooks::default()
    })
    .world()
    .child("app", super::dies(5.0, 1))
    .child(
        "slow",
        Behaviour {
            exec_after: super::world::secs(7.0),
            ..Behaviour::default()
        },
    )
    .server("app", |seconds| seconds < 5.0);
    world.run_until(8.0);
    assert_eq!(world.seen.spawned["app-0"], 2, "{}", world.trace);
    for begun in ["007.000 spawn web-0", "007.000 spawn hook-announce"] {
        assert!(world.trace.contains(begun), "{}", world.trace);
    }
}

#[test]
fn who_was_ready_for_long_enough_and_is_not_any_more_does_not_count() {
    let mut world = set(vec![
        service("fpm").probe(ProbeKind::Readiness).min_ready(1.0),
        service("slow"),
        service("nginx")
            .after("fpm", Condition::Ready)
            .after("slow", Condition::Started),
    ])
    .world()
    .child(
        "slow",
        Behaviour {
            exec_after: super::world::secs(12.0),
            ..Behaviour::default()
        },
    )
    .server("fpm", |seconds| !(5.5..15.5).contains(&seconds));
    world.run_until(30.0);
    let begun = "017.000 spawn nginx-0";
    assert!(world.trace.contains(begun), "{}", world.trace);
}

#[test]
fn a_post_start_hook_that_ends_in_the_drain_begins_no_probes() {
    let hooks = InstanceHooks {
        post_start: Some(hook("warm", 30.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![
        service("app").with_hooks(&hooks).probe(ProbeKind::Liveness),
    ])
    .drain(10.0)
    .world()
    .child("hook", super::dies(12.0, 0))
    .server("app", |_| false);
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert!(!world.trace.contains("unhealthy"), "{}", world.trace);
}

#[test]
fn what_a_process_says_of_itself_in_a_stop_ends_nothing() {
    let mut world = set(vec![service("app").notify_probe(ProbeKind::Liveness)])
        .drain(5.0)
        .world();
    world.signal(1.5, Signal::TERM);
    let text = "WATCHDOG=trigger".to_owned();
    let run = RunId(1);
    world.at(2.0, Event::Notified { run, text });
    assert_eq!(world.code(), 0);
    let asked = "006.500 SIGTERM to app-0";
    assert!(world.trace.contains(asked), "{}", world.trace);
}
