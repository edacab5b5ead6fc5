//! Init processes that run once over all pods of the set.

use expect_test::expect;
use proptest::prelude::*;

use super::world::claims::Told;
use super::world::{Set, World, hook, init, secs, service, set};
use super::{deaf, dies, stops_in};
use crate::domain::plan::{Condition, FailurePolicy, InstanceHooks};
use crate::domain::signal::Signal;

const LEASE: &str = "shop-migrate";

fn shop() -> Set {
    set(vec![init("migrate").once(LEASE), service("web")])
}

fn run(mut world: World, until: f64) -> String {
    world.run_until(until);
    world.trace
}

#[test]
fn it_runs_once_it_is_granted_and_others_wait_for_its_success() {
    let world = shop().world().child("migrate", dies(2.0, 0));
    let world = world.claim(LEASE, &[(5.0, Told::Granted(90.0, 100.0))]);
    expect![[r#"
        000.000 claim shop-migrate
        005.000 spawn migrate-0
        007.000 migrate-0 ended: exit code 0
        007.000 migrate-0 completed
        007.000 claim shop-migrate ended well
        007.000 spawn web-0
    "#]]
    .assert_eq(&run(world, 60.0));
}

#[test]
fn what_has_succeeded_elsewhere_is_not_run() {
    let world = shop().world().claim(LEASE, &[(5.0, Told::Done)]);
    expect![[r#"
        000.000 claim shop-migrate
        005.000 migrate-0 completed
        005.000 spawn web-0
    "#]]
    .assert_eq(&run(world, 60.0));
}

#[test]
fn a_failed_run_gives_the_claim_back_and_claims_again() {
    let mut migrate = init("migrate").once(LEASE);
    migrate.restart.policy = crate::domain::plan::RestartPolicy::OnFailure;
    let world = set(vec![migrate, service("web")]).world();
    let world = world.child("migrate", dies(2.0, 1));
    let world = world
        .claim(LEASE, &[(0.0, Told::Granted(90.0, 100.0))])
        .claim(LEASE, &[(3.0, Told::Done)]);
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        002.000 migrate-0 ended: exit code 1
        002.000 migrate-0 restarts in 1
        002.000 claim shop-migrate ended
        003.000 claim shop-migrate
        006.000 migrate-0 completed
        006.000 spawn web-0
    "#]]
    .assert_eq(&run(world, 60.0));
}

#[test]
fn it_is_stopped_before_anybody_else_may_begin() {
    let world = shop().world().child("migrate", deaf());
    let world = world.claim(
        LEASE,
        &[
            (0.0, Told::Granted(90.0, 100.0)),
            (5.0, Told::Renewed(90.0, 100.0)),
        ],
    );
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        095.000 SIGTERM to migrate-0 Leader
        105.000 SIGKILL to migrate-0 Group
        105.000 migrate-0 ended: SIGKILL
        105.000 migrate-0 failed: its claim could not be renewed, then SIGKILL
        105.000 claim shop-migrate ended
        105.000 SIGTERM to orphans
        105.000 exit 76: init process migrate-0 failed for good: its claim could not be renewed, then SIGKILL
    "#]].assert_eq(&run(world, 400.0));
}

#[test]
fn a_claim_that_is_lost_ends_the_run_at_once() {
    let world = shop().world().child("migrate", stops_in(3.0));
    let world = world.claim(
        LEASE,
        &[(0.0, Told::Granted(90.0, 100.0)), (7.0, Told::Lost)],
    );
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        007.000 SIGTERM to migrate-0 Leader
        010.000 migrate-0 ended: exit code 0
        010.000 migrate-0 failed: its claim could not be renewed, then exit code 0
        010.000 claim shop-migrate ended
        010.000 SIGTERM to orphans
        010.000 exit 76: init process migrate-0 failed for good: its claim could not be renewed, then exit code 0
    "#]].assert_eq(&run(world, 400.0));
}

#[test]
fn its_pre_start_hook_is_part_of_it() {
    let hooks = InstanceHooks {
        pre_start: Some(hook("warm", 1000.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let world = set(vec![init("migrate").once(LEASE).with_hooks(&hooks)]).world();
    let world = world
        .child("warm", deaf())
        .claim(LEASE, &[(0.0, Told::Granted(90.0, 100.0))]);
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn hook-warm
        090.000 hook warm of migrate-0: cut with the claim of its process
        090.000 migrate-0 failed: preStart hook failed
        090.000 SIGTERM to hook-warm Session
        090.000 claim shop-migrate ended
        090.000 SIGTERM to orphans
        090.000 exit 76: init process migrate-0 failed for good: preStart hook failed
    "#]]
    .assert_eq(&run(world, 400.0));
}

#[test]
fn an_exec_that_hangs_is_killed_before_anybody_else_may_begin() {
    let hung = super::world::Behaviour {
        exec_after: secs(300.0),
        ..super::world::Behaviour::default()
    };
    let world = shop().world().child("migrate", hung);
    let world = world.claim(LEASE, &[(0.0, Told::Granted(90.0, 100.0))]);
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        100.000 SIGKILL to migrate-0 Group
        100.000 migrate-0 ended: SIGKILL
        100.000 migrate-0 failed: SIGKILL
        100.000 claim shop-migrate ended
        100.000 SIGTERM to orphans
        100.000 exit 76: init process migrate-0 failed for good: SIGKILL
    "#]]
    .assert_eq(&run(world, 400.0));
}

#[test]
fn who_waits_too_long_is_not_available_and_who_may_not_ask_has_failed_to_start() {
    let mut late = shop().world().claim(LEASE, &[(600.0, Told::TooLong)]);
    assert_eq!(late.code(), 69);
    expect![[r#"
        000.000 claim shop-migrate
        010.000 migrate-0 waits for its turn: it runs in one pod at a time
        030.000 migrate-0 waits for its turn: it runs in one pod at a time
        070.000 migrate-0 waits for its turn: it runs in one pod at a time
        150.000 migrate-0 waits for its turn: it runs in one pod at a time
        310.000 migrate-0 waits for its turn: it runs in one pod at a time
        600.000 migrate-0 failed: it runs in one pod at a time, and web-2 has it for too long
        600.000 SIGTERM to orphans
        600.000 exit 69: migrate-0 failed for good: it runs in one pod at a time, and web-2 has it for too long
    "#]].assert_eq(&late.trace);
    let mut denied = shop().world().claim(LEASE, &[(10.0, Told::Denied)]);
    assert_eq!(denied.code(), 76);
    expect![[r#"
        000.000 claim shop-migrate
        010.000 migrate-0 failed: it runs in one pod at a time, and leases are forbidden; its Role needs create, get and update of leases
        010.000 SIGTERM to orphans
        010.000 exit 76: init process migrate-0 failed for good: it runs in one pod at a time, and leases are forbidden; its Role needs create, get and update of leases
    "#]].assert_eq(&denied.trace);
}

#[test]
fn a_stop_withdraws_what_waits_and_keeps_what_runs() {
    let mut waits = shop().world().claim(LEASE, &[]);
    waits.signal(5.0, Signal::TERM);
    assert_eq!(waits.code(), 143);
    expect![[r#"
        000.000 claim shop-migrate
        005.000 claim shop-migrate withdrawn
        005.000 SIGTERM to orphans
        005.000 exit 143: stopped by SIGTERM before migrate had completed
    "#]]
    .assert_eq(&waits.trace);
    let mut runs = shop().world().child("migrate", dies(9.0, 0));
    runs.signal(5.0, Signal::TERM);
    runs.code();
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        009.000 migrate-0 ended: exit code 0
        009.000 migrate-0 completed
        009.000 claim shop-migrate ended well
        009.000 SIGTERM to orphans
        009.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&runs.trace);
    let mut granted_late = shop().world();
    granted_late = granted_late.claim(LEASE, &[(6.0, Told::Granted(90.0, 100.0))]);
    granted_late = granted_late.child("db", deaf());
    granted_late.signal(5.0, Signal::TERM);
    assert_eq!(granted_late.code(), 143);
    assert_eq!(granted_late.seen.spawned.get("migrate"), None);
}

#[test]
fn in_a_stop_it_ends_by_its_claim_too() {
    let mut world = shop().grace(600.0).world().child("migrate", deaf());
    world = world.claim(LEASE, &[(0.0, Told::Granted(90.0, 100.0))]);
    world.signal(5.0, Signal::TERM);
    world.run_until(1000.0);
    expect![[r#"
        000.000 claim shop-migrate
        000.000 spawn migrate-0
        090.000 SIGTERM to migrate-0 Leader
        100.000 SIGKILL to migrate-0 Group
        100.000 migrate-0 ended: SIGKILL
        100.000 claim shop-migrate ended
        100.000 SIGTERM to orphans
        100.000 exit 143: stopped by SIGTERM before migrate had completed
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn what_depends_on_it_starts_when_it_is_done_elsewhere() {
    let plan = vec![
        init("migrate").once(LEASE),
        init("seed").after("migrate", Condition::Completed),
        service("web"),
    ];
    let world = set(plan).world().child("seed", dies(1.0, 0));
    let world = world.claim(LEASE, &[(1.0, Told::Done)]);
    expect![[r#"
        000.000 claim shop-migrate
        001.000 migrate-0 completed
        001.000 spawn seed-0
        002.000 seed-0 ended: exit code 0
        002.000 seed-0 completed
        002.000 spawn web-0
    "#]]
    .assert_eq(&run(world, 60.0));
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        3 => (1.0f64..60.0, 0.0f64..20.0).prop_map(|(stop, more)| Told::Granted(stop, stop + more)),
        3 => (1.0f64..60.0, 0.0f64..20.0).prop_map(|(stop, more)| Told::Renewed(stop, stop + more)),
        1 => Just(Told::Lost),
        1 => Just(Told::Done),
        1 => Just(Told::TooLong),
        1 => Just(Told::Denied),
    ]
}

/// As a claim answers: refused or done at first or never, and renewed only once granted; each renewal is for longer.
fn script(raw: Vec<(f64, Told)>) -> Vec<(f64, Told)> {
    let (mut at, mut granted, mut script) = (0.0, false, Vec::new());
    for (after, told) in raw {
        at += after;
        match (told, granted) {
            (Told::Granted(..), false) => granted = true,
            (Told::Renewed(..) | Told::Lost, true) => {}
            (Told::Done | Told::TooLong | Told::Denied, false) => {
                script.push((at, told));
                return script;
            }
            _ => continue,
        }
        script.push((at, told));
        if matches!(told, Told::Lost) {
            return script;
        }
    }
    script
}

fn lived() -> impl Strategy<Value = super::world::Behaviour> {
    (
        prop_oneof![9 => Just(0), 1 => Just(2)],
        prop_oneof![4 => 0.0f64..1.0, 1 => 0.0f64..200.0],
        prop::option::of((0.0f64..60.0, 0u8..2)),
        prop::option::of(0.0f64..60.0),
        prop_oneof![3 => Just(0u32), 1 => 1u32..3],
        prop::option::of(0.0f64..10.0),
    )
        .prop_map(
            |(exec_errno, exec, life, stops_in, leaves, left)| super::world::Behaviour {
                exec_errno,
                // One that fails does so at once: in this world no KILL can hasten it.
                exec_after: secs(if exec_errno == 0 { exec } else { 0.0 }),
                life: life.map(|(time, code)| (secs(time), code)),
                stops_in: stops_in.map(secs),
                leaves,
                left_stop_in: left.map(secs),
                immortal: false,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_runs_that_is_not_granted_and_every_claim_ends(
        scripts in prop::collection::vec(prop::collection::vec((0.0f64..40.0, told()), 0..6), 1..5),
        behaviour in lived(),
        (pre_start, pre_stop, post_stop) in any::<(bool, bool, bool)>(),
        grace in prop::option::of(0.0f64..60.0),
        stop_at in 0.0f64..300.0,
    ) {
        let each = |wanted: bool, name: &str| wanted.then(|| hook(name, 30.0, FailurePolicy::Fail));
        let hooks = InstanceHooks {
            pre_start: each(pre_start, "a"),
            pre_stop: each(pre_stop, "b"),
            post_stop: each(post_stop, "c"),
            ..InstanceHooks::default()
        };
        let mut migrate = init("migrate").once(LEASE).with_hooks(&hooks);
        migrate.restart.policy = crate::domain::plan::RestartPolicy::OnFailure;
        migrate.stop.grace = grace.map(secs);
        let mut world = set(vec![migrate, service("web")]).grace(60.0).world();
        world = world.child("migrate", behaviour);
        for raw in scripts {
            world = world.claim(LEASE, &script(raw));
        }
        world.signal(stop_at, Signal::TERM);
        world.run_until(1e4);
        let (broken, open) = world.broken_claims();
        prop_assert!(broken.is_empty(), "{broken:?}\n{}", world.trace);
        prop_assert_eq!(open, 0, "claims that nobody ended:\n{}", world.trace);
        prop_assert!(world.outcome.is_some(), "no end:\n{}", world.trace);
    }
}
