//! Whole pod lives as scripts, each with its expected trace; and lives by the thousand with invariants.

use expect_test::expect;

use self::world::{Behaviour, Set, World, hook, init, secs, service, set};
use super::Config;

use crate::domain::plan::{Condition, FailurePolicy, InstanceHooks, SetHooks};
use crate::domain::signal::Signal;

mod change;
mod changes;
mod claims;
mod edges;
mod ending;
mod health;
mod properties;
mod sidecars;
mod stopping;
mod stops;
mod trial;
pub(crate) mod world;

fn dies(after: f64, code: u8) -> Behaviour {
    Behaviour {
        life: Some((secs(after), code)),
        ..Behaviour::default()
    }
}

fn stops_in(seconds: f64) -> Behaviour {
    Behaviour {
        stops_in: Some(secs(seconds)),
        ..Behaviour::default()
    }
}

fn deaf() -> Behaviour {
    Behaviour {
        stops_in: None,
        ..Behaviour::default()
    }
}

fn unexecutable() -> Behaviour {
    Behaviour {
        exec_errno: 2,
        ..Behaviour::default()
    }
}

/// A Laravel pod: two init processes, php-fpm, nginx after it, two workers.
fn laravel() -> Set {
    set(vec![
        init("cache"),
        init("migrate").after("cache", Condition::Completed),
        service("php-fpm"),
        service("nginx").after("php-fpm", Condition::Ready),
        service("queue").background().replicas(2),
    ])
}

#[test]
fn a_whole_life() {
    let mut world = laravel()
        .world()
        .child("cache", dies(0.5, 0))
        .child("migrate", dies(1.0, 0))
        .child("queue", stops_in(3.0))
        .child("nginx", stops_in(0.25));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn cache-0
        000.500 cache-0 ended: exit code 0
        000.500 cache-0 completed
        000.500 spawn migrate-0
        001.500 migrate-0 ended: exit code 0
        001.500 migrate-0 completed
        001.500 spawn php-fpm-0
        001.500 spawn queue-0
        001.500 spawn queue-1
        001.500 spawn nginx-0
        010.000 SIGTERM to nginx-0 Leader
        010.000 SIGTERM to queue-0 Leader
        010.000 SIGTERM to queue-1 Leader
        010.250 nginx-0 ended: exit code 0
        010.250 SIGTERM to php-fpm-0 Leader
        010.250 php-fpm-0 ended: exit code 0
        013.000 queue-0 ended: exit code 0
        013.000 queue-1 ended: exit code 0
        013.000 SIGTERM to orphans
        013.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_crash_is_restarted_with_growing_delays() {
    let mut world = set(vec![service("web")]).world().child("web", dies(0.5, 1));
    world.run_until(12.0);
    expect![[r#"
        000.000 spawn web-0
        000.500 web-0 ended: exit code 1
        000.500 web-0 restarts in 1
        001.500 spawn web-0
        002.000 web-0 ended: exit code 1
        002.000 web-0 restarts in 2
        004.000 spawn web-0
        004.500 web-0 ended: exit code 1
        004.500 web-0 restarts in 4
        008.500 spawn web-0
        009.000 web-0 ended: exit code 1
        009.000 web-0 restarts in 8
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_run_that_was_ready_for_ten_seconds_is_restarted_at_once() {
    let mut world = set(vec![service("web")])
        .world()
        .child("web", dies(10.0, 1));
    world.run_until(21.0);
    expect![[r#"
        000.000 spawn web-0
        010.000 web-0 ended: exit code 1
        010.000 web-0 restarts in 0
        010.000 spawn web-0
        020.000 web-0 ended: exit code 1
        020.000 web-0 restarts in 2
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn what_a_crash_leaves_behind_is_gone_before_the_next_run() {
    let behaviour = Behaviour {
        leaves: 2,
        left_stop_in: None,
        ..dies(20.0, 1)
    };
    let mut world = set(vec![service("web")]).world().child("web", behaviour);
    world.run_until(22.0);
    expect![[r#"
        000.000 spawn web-0
        020.000 web-0 ended: exit code 1
        020.000 SIGTERM to web-0 Session
        021.000 SIGKILL to web-0 Session
        021.000 web-0 restarts in 0
        021.000 spawn web-0
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn dependents_wait_for_completion_not_for_the_start() {
    let mut world = set(vec![
        service("migrate").never(),
        service("web").after("migrate", Condition::Completed),
    ])
    .world()
    .child("migrate", dies(3.0, 0));
    world.run_until(5.0);
    expect![[r#"
        000.000 spawn migrate-0
        003.000 migrate-0 ended: exit code 0
        003.000 migrate-0 completed
        003.000 spawn web-0
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_dependency_that_failed_for_good_fails_its_dependents_in_words() {
    let mut world = set(vec![
        service("migrate").never(),
        service("web").after("migrate", Condition::Completed),
        service("cleanup")
            .after("migrate", Condition::Exited)
            .never(),
        service("extra")
            .after_optional("web", Condition::Ready)
            .never(),
    ])
    .world()
    .child("migrate", dies(1.0, 3))
    .child("cleanup", dies(1.0, 0))
    .child("extra", dies(1.0, 0));
    assert_eq!(world.code(), 3);
    expect![[r#"
        000.000 spawn migrate-0
        001.000 migrate-0 ended: exit code 3
        001.000 migrate-0 failed: exit code 3
        001.000 web-0 failed: DependencyFailed: migrate failed for good
        001.000 spawn cleanup-0
        001.000 spawn extra-0
        002.000 cleanup-0 ended: exit code 0
        002.000 cleanup-0 completed
        002.000 extra-0 ended: exit code 0
        002.000 extra-0 completed
        002.000 SIGTERM to orphans
        002.000 exit 3: migrate-0 failed for good: exit code 3
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn whoever_waits_says_for_whom() {
    let slow = Behaviour {
        exec_after: secs(9999.0),
        ..Behaviour::default()
    };
    let mut world = set(vec![
        service("db"),
        service("web").after("db", Condition::Started),
    ])
    .world()
    .child("db", slow);
    world.run_until(80.0);
    expect![[r#"
        000.000 spawn db-0
        010.000 web-0 waits for db (Started)
        030.000 web-0 waits for db (Started)
        070.000 web-0 waits for db (Started)
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn an_init_process_that_fails_ends_the_set_with_76() {
    let mut world = laravel().world().child("cache", dies(0.5, 9));
    assert_eq!(world.code(), 76);
    assert!(!world.trace.contains("spawn migrate"), "{}", world.trace);
    assert!(!world.trace.contains("spawn php-fpm"), "{}", world.trace);
    let reason = world.outcome.map(|outcome| outcome.reason);
    assert_eq!(
        reason.as_deref(),
        Some("init process cache-0 failed for good: exit code 9")
    );
}

#[test]
fn a_stop_is_obeyed_in_every_phase_of_the_start() {
    let waits = Behaviour {
        exec_after: secs(5.0),
        ..Behaviour::default()
    };
    let cases: [(&str, World, u8); 5] = [
        ("loading", World::loading(Config::default()), 143),
        (
            "set hook",
            laravel()
                .hooks(SetHooks {
                    pre_start: vec![hook("slow", 300.0, FailurePolicy::Fail)],
                    ..SetHooks::default()
                })
                .world()
                .child("hook", Behaviour::default()),
            143,
        ),
        ("init", laravel().world().child("cache", dies(4.0, 0)), 143),
        (
            "spawning",
            set(vec![service("a")]).world().child("a", waits),
            0,
        ),
        (
            "backoff",
            set(vec![service("a")]).world().child("a", dies(0.5, 1)),
            0,
        ),
    ];
    for (name, mut world, code) in cases {
        world.signal(1.0, Signal::TERM);
        assert_eq!(world.code(), code, "{name}: {}", world.trace);
        assert_eq!(world.seen.spawned_in_stop, 0, "{name}: {}", world.trace);
        assert!(
            world.now.as_nanos() <= 5_100_000_000,
            "{name}: {}",
            world.trace
        );
    }
}

#[test]
fn an_init_process_is_left_to_end_and_nothing_follows_it() {
    let mut world = laravel().world().child("cache", dies(4.0, 0));
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 143);
    expect![[r#"
        000.000 spawn cache-0
        004.000 cache-0 ended: exit code 0
        004.000 cache-0 completed
        004.000 SIGTERM to orphans
        004.000 exit 143: stopped by SIGTERM before migrate had completed
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn an_init_process_that_does_not_end_is_signalled_two_seconds_before_the_deadline() {
    let mut world = laravel().world().child("cache", deaf());
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    expect![[r#"
        000.000 spawn cache-0
        027.000 SIGTERM to cache-0 Leader
        029.000 SIGKILL to cache-0 Group
        029.000 cache-0 ended: SIGKILL
        029.000 SIGKILL to orphans
        029.000 exit 124: stopped by SIGTERM; the deadline forced a SIGKILL
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn reverse_order_with_a_deaf_process_ends_inside_the_budget() {
    let mut world = set(vec![
        service("db").grace(10.0),
        service("php").grace(10.0).after("db", Condition::Ready),
        service("web").grace(10.0).after("php", Condition::Ready),
    ])
    .grace(12.0)
    .world()
    .child("db", deaf())
    .child("php", deaf())
    .child("web", deaf());
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    expect![[r#"
        000.000 spawn db-0
        000.000 spawn php-0
        000.000 spawn web-0
        001.000 SIGTERM to web-0 Leader
        004.340 SIGKILL to web-0 Group
        004.340 SIGTERM to php-0 Leader
        004.340 web-0 ended: SIGKILL
        007.670 SIGKILL to php-0 Group
        007.670 SIGTERM to db-0 Leader
        007.670 php-0 ended: SIGKILL
        011.000 SIGKILL to db-0 Group
        011.000 db-0 ended: SIGKILL
        011.000 SIGKILL to orphans
        011.000 exit 124: stopped by SIGTERM; the deadline forced a SIGKILL
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_dependency_that_is_just_being_restarted_waits_for_its_turn() {
    let slow_exec = Behaviour {
        exec_after: secs(0.5),
        ..dies(20.0, 1)
    };
    let mut world = set(vec![
        service("db"),
        service("web").after("db", Condition::Started),
    ])
    .world()
    .child("db", slow_exec)
    .child("web", stops_in(3.0));
    // db ended at 20.5 and is being executed again until 21.0.
    world.signal(20.75, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn db-0
        000.500 spawn web-0
        020.500 db-0 ended: exit code 1
        020.500 db-0 restarts in 0
        020.500 spawn db-0
        020.750 SIGTERM to web-0 Leader
        023.750 web-0 ended: exit code 0
        023.750 SIGTERM to db-0 Leader
        023.750 db-0 ended: exit code 0
        023.750 SIGTERM to orphans
        023.750 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn its_own_grace_is_no_missed_deadline() {
    let mut world = set(vec![service("a").grace(2.0)])
        .world()
        .child("a", deaf());
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn a-0
        001.000 SIGTERM to a-0 Leader
        003.000 SIGKILL to a-0 Group
        003.000 a-0 ended: SIGKILL
        003.000 SIGTERM to orphans
        003.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn no_time_for_order_means_everybody_at_once() {
    for (grace, code) in [(0.0, 124), (1.0, 124), (2.0, 124)] {
        let hooks = InstanceHooks {
            pre_stop: Some(hook("drain", 5.0, FailurePolicy::Continue)),
            ..InstanceHooks::default()
        };
        let mut world = set(vec![
            service("db").with_hooks(&hooks),
            service("web").after("db", Condition::Ready),
        ])
        .grace(grace)
        .world()
        .child("db", deaf())
        .child("web", deaf());
        world.signal(1.0, Signal::TERM);
        assert_eq!(world.code(), code, "{}", world.trace);
        for name in ["db-0", "web-0"] {
            assert_eq!(
                world.seen.signalled[name].as_nanos(),
                1_000_000_000,
                "{}",
                world.trace
            );
        }
        assert!(!world.trace.contains("hook"), "{}", world.trace);
        let end = 1.0 + grace;
        assert!(world.now.as_nanos() as f64 / 1e9 <= end, "{}", world.trace);
    }
}

#[test]
fn hooks_of_a_run_and_of_the_set_run_in_order() {
    let each = |name| Some(hook(name, 5.0, FailurePolicy::Fail));
    let hooks = InstanceHooks {
        pre_start: each("pre-start"),
        post_start: each("post-start"),
        pre_stop: each("pre-stop"),
        post_stop: each("post-stop"),
    };
    let list = |name| vec![hook(name, 5.0, FailurePolicy::Fail)];
    let mut world = set(vec![
        service("web").with_hooks(&hooks),
        service("late").after("web", Condition::Ready),
    ])
    .hooks(SetHooks {
        pre_start: list("set-pre-start"),
        post_start: list("set-post-start"),
        pre_stop: list("set-pre-stop"),
        post_stop: list("set-post-stop"),
    })
    .world()
    .child("hook", dies(0.25, 0))
    .child("late", stops_in(0.5));
    world.signal(5.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn hook-set-pre-start
        000.250 hook set-pre-start of set: ok
        000.250 spawn hook-pre-start
        000.500 hook pre-start of web-0: ok
        000.500 spawn web-0
        000.500 spawn hook-post-start
        000.750 hook post-start of web-0: ok
        000.750 spawn late-0
        000.750 spawn hook-set-post-start
        001.000 hook set-post-start of set: ok
        005.000 spawn hook-set-pre-stop
        005.250 hook set-pre-stop of set: ok
        005.250 SIGTERM to late-0 Leader
        005.750 late-0 ended: exit code 0
        005.750 spawn hook-pre-stop
        006.000 hook pre-stop of web-0: ok
        006.000 SIGTERM to web-0 Leader
        006.000 web-0 ended: exit code 0
        006.000 spawn hook-post-stop
        006.250 hook post-stop of web-0: ok
        006.250 SIGTERM to orphans
        006.250 spawn hook-set-post-stop
        006.500 hook set-post-stop of set: ok
        006.500 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_hook_that_leaves_a_child_behind_holds_nobody_up() {
    let hooks = InstanceHooks {
        pre_start: Some(hook("spawns", 1.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let leaving = Behaviour {
        leaves: 1,
        left_stop_in: None,
        ..dies(0.1, 0)
    };
    let mut world = set(vec![service("web").with_hooks(&hooks)])
        .world()
        .child("hook", leaving);
    world.run_until(3.0);
    expect![[r#"
        000.000 spawn hook-spawns
        000.100 hook spawns of web-0: ok
        000.100 SIGTERM to hook-spawns Session
        000.100 spawn web-0
        001.100 SIGKILL to hook-spawns Session
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_hook_that_hangs_is_cut_at_its_timeout() {
    let hooks = InstanceHooks {
        pre_start: Some(hook("hangs", 1.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![service("web").never().with_hooks(&hooks)])
        .world()
        .child("hook", deaf());
    assert_eq!(world.code(), 75);
    expect![[r#"
        000.000 spawn hook-hangs
        001.000 hook hangs of web-0: cut after 1.0s
        001.000 web-0 failed: preStart hook failed
        001.000 SIGKILL to hook-hangs Session
        001.000 SIGTERM to orphans
        001.000 exit 75: web-0 failed for good: preStart hook failed
    "#]]
    .assert_eq(&world.trace);
}
