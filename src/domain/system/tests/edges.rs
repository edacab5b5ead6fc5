//! Stops that come at a bad moment: in the middle of an exec, of a restart, of a hook; and those that become shorter then.

use super::world::{Behaviour, World, hook, init, secs, service, set};
use super::{deaf, dies, stops_in};
use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::plan::{Condition, FailurePolicy, Hook, InstanceHooks, Kind, OnStop, SetHooks};
use crate::domain::shutdown::report::StopReport;
use crate::domain::signal::Signal;
use crate::domain::system::Config;
use crate::domain::time::{Mono, Now, Wall};

fn at(seconds: f64) -> Mono {
    Mono::ZERO + secs(seconds)
}

fn report(world: &World) -> StopReport {
    let outcome = world.outcome.as_ref().expect("it ended");
    (**outcome.report.as_ref().expect("a report")).clone()
}

fn on_a_terminal(plan: crate::domain::plan::Plan) -> World {
    let config = Config {
        seed: 0,
        terminal: true,
    };
    World::with_config(plan, config)
}

fn post_start() -> InstanceHooks {
    InstanceHooks {
        post_start: Some(hook("warm", 30.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    }
}

#[test]
fn in_a_hurry_too_nobody_is_killed_unasked() {
    let mut world = on_a_terminal(set(vec![init("migrate")]).plan).child("migrate", deaf());
    world.signal(1.0, Signal::INT).signal(2.0, Signal::INT);
    assert_eq!(world.code(), 124);
    let asked = world.seen.signalled.get("migrate-0");
    assert_eq!(asked, Some(&at(2.0)), "{}", world.trace);
}

/// A node that was suspended: the first thing that happens does so long after T_kill.
#[test]
fn after_a_pause_nobody_is_killed_unasked() {
    let mut world = set(vec![init("migrate")]).world().child("migrate", deaf());
    world.signal(1.0, Signal::TERM).run_until(5.0);
    let now = Now {
        mono: at(100.0),
        wall: Wall(0),
    };
    let outbox = world.system.step(Event::OrphansReaped(1), now);
    let signals = outbox.effects.iter().filter_map(|effect| match effect {
        Effect::Signal { signal, .. } => Some(*signal),
        _ => None,
    });
    assert_eq!(signals.collect::<Vec<_>>(), [Signal::TERM, Signal::KILL]);
}

#[test]
fn a_hurry_ends_orphans_at_once() {
    let hooks = SetHooks {
        pre_start: vec![hook("slow", 60.0, FailurePolicy::Fail)],
        ..SetHooks::default()
    };
    let plan = set(vec![service("a")]).hooks(hooks).plan;
    let mut world = on_a_terminal(plan).child("hook", deaf());
    world.signal(1.0, Signal::INT).signal(1.25, Signal::INT);
    world.run_until(1e6);
    let killed = "001.250 SIGKILL to orphans";
    assert!(world.trace.contains(killed), "{}", world.trace);
}

#[test]
fn an_exec_that_hangs_takes_nobody_s_time() {
    let hung = Behaviour {
        exec_after: secs(60.0),
        ..Behaviour::default()
    };
    let mut world = set(vec![
        service("db"),
        service("web").after("db", Condition::Started),
    ])
    .grace(10.0)
    .world()
    .child("db", deaf())
    .child("web", hung);
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    // T_kill is at 9, and a second of that is for db.
    assert_eq!(world.seen.killed["web-0"], at(8.0), "{}", world.trace);
    assert_eq!(world.seen.signalled["db-0"], at(8.0), "{}", world.trace);
    assert_eq!(world.seen.killed["db-0"], at(9.0), "{}", world.trace);
}

#[test]
fn an_exec_that_fails_after_the_kill_is_a_stop_and_no_failed_start() {
    let hung = Behaviour {
        exec_after: secs(8.25),
        exec_errno: 2,
        ..Behaviour::default()
    };
    let mut world = set(vec![init("migrate")])
        .grace(10.0)
        .world()
        .child("migrate", hung);
    world.signal(0.125, Signal::TERM);
    assert_eq!(world.code(), 124, "{}", world.trace);
}

#[test]
fn what_is_being_cleared_away_claims_no_grace_period() {
    let behaviour = Behaviour {
        leaves: 1,
        left_stop_in: None,
        ..dies(99.5, 1)
    };
    let mut world = set(vec![
        service("db").grace(20.0),
        service("web").grace(20.0).after("db", Condition::Started),
    ])
    .world()
    .child("db", behaviour)
    .child("web", deaf());
    world.signal(100.0, Signal::TERM);
    assert_eq!(world.code(), 0, "{}", world.trace);
    assert_eq!(world.seen.killed["db-0"], at(100.5), "{}", world.trace);
    assert_eq!(world.seen.killed["web-0"], at(120.0), "{}", world.trace);
    assert!(!report(&world).claims_cut);
}

#[test]
fn init_processes_that_run_together_are_all_left_to_end() {
    let mut world = set(vec![
        init("a").grace(20.0),
        init("b").after("a", Condition::Ready),
    ])
    .world()
    .child("a", deaf())
    .child("b", deaf());
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    for name in ["a-0", "b-0"] {
        assert_eq!(world.seen.signalled[name], at(36.0), "{}", world.trace);
        assert_eq!(world.seen.killed[name], at(38.0), "{}", world.trace);
    }
}

#[test]
fn an_init_process_that_is_to_be_signalled_waits_for_no_other() {
    let mut first = init("a");
    first.kind = Kind::Init {
        on_stop: OnStop::Signal,
    };
    let mut world = set(vec![first, init("b").after("a", Condition::Ready)]).world();
    world.signal(10.0, Signal::TERM).run_until(12.0);
    assert_eq!(world.seen.signalled.get("a-0"), Some(&at(10.0)));
    assert_eq!(world.seen.signalled.get("b-0"), None, "{}", world.trace);
}

#[test]
fn an_init_process_has_its_hook_before_its_two_seconds() {
    let hooks = InstanceHooks {
        pre_stop: Some(hook("slow", 5.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![init("a").with_hooks(&hooks)])
        .world()
        .child("a", deaf())
        .child("hook", deaf());
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    assert_eq!(world.seen.killed["hook-slow"], at(36.0), "{}", world.trace);
    assert_eq!(world.seen.signalled["a-0"], at(36.0), "{}", world.trace);
    assert!(
        world.trace.contains("031.000 spawn hook-slow"),
        "{}",
        world.trace
    );
}

/// What the set's hooks take must leave an init process the time that is promised to it, or its share of it.
#[test]
fn hooks_of_the_set_leave_an_init_process_its_two_seconds() {
    for (timeout, asked, cut) in [(26.0, 36.0, false), (40.0, 36.67, true)] {
        let hooks = SetHooks {
            pre_stop: vec![hook("slow", timeout, FailurePolicy::Continue)],
            ..SetHooks::default()
        };
        let mut world = set(vec![init("a")])
            .hooks(hooks)
            .world()
            .child("a", deaf())
            .child("hook", deaf());
        world.signal(10.0, Signal::TERM);
        assert_eq!(world.code(), 124);
        let got = world.seen.signalled["a-0"].since(at(0.0)).as_secs_f64();
        assert!((got - asked).abs() < 0.05, "{got}: {}", world.trace);
        assert_eq!(report(&world).claims_cut, cut);
    }
}

#[test]
fn an_init_process_is_signalled_earlier_when_the_deadline_becomes_an_earlier_one() {
    let mut world = set(vec![init("migrate")])
        .grace(60.0)
        .world()
        .child("migrate", deaf());
    world.signal(10.0, Signal::TERM);
    world.at(12.0, Event::DeadlineKnown { end: at(30.0) });
    assert_eq!(world.code(), 124);
    let seen = &world.seen;
    assert_eq!(seen.signalled["migrate-0"], at(26.0), "{}", world.trace);
    assert_eq!(seen.killed["migrate-0"], at(28.0), "{}", world.trace);
}

#[test]
fn a_start_hook_that_fails_in_a_stop_does_not_change_the_order() {
    let mut world = set(vec![
        service("fpm").with_hooks(&post_start()),
        service("nginx").after("fpm", Condition::Started),
    ])
    .drain(5.0)
    .world()
    .child("hook", dies(12.0, 1));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    for name in ["nginx-0", "fpm-0"] {
        assert_eq!(world.seen.signalled[name], at(15.0), "{}", world.trace);
    }
}

#[test]
fn a_run_that_becomes_too_old_in_a_stop_does_not_change_the_order() {
    for old_at in [12.0, 10.0] {
        let mut fpm = service("fpm");
        fpm.active_deadline = Some(secs(old_at));
        let mut world = set(vec![fpm, service("nginx").after("fpm", Condition::Started)])
            .drain(5.0)
            .world();
        world.signal(10.0, Signal::TERM);
        assert_eq!(world.code(), 0);
        for name in ["nginx-0", "fpm-0"] {
            assert_eq!(world.seen.signalled[name], at(15.0), "{}", world.trace);
        }
    }
    // An init process has no order to keep, and all the time there is.
    let mut migrate = init("migrate");
    migrate.active_deadline = Some(secs(12.0));
    let mut world = set(vec![migrate]).world();
    world.signal(10.0, Signal::TERM);
    world.run_until(1e6);
    assert_eq!(world.seen.signalled["migrate-0"], at(12.0));
}

#[test]
fn no_attempt_of_a_hook_begins_when_it_would_be_cut() {
    let slow = hook("announce", 5.0, FailurePolicy::Continue);
    let hooks = SetHooks {
        pre_stop: vec![
            Hook {
                retries: 3,
                retry_delay: secs(4.0),
                ..(*slow).clone()
            }
            .into(),
        ],
        ..SetHooks::default()
    };
    let mut world = set(vec![service("a")])
        .hooks(hooks)
        .world()
        .child("hook", dies(0.5, 1));
    world.signal(10.0, Signal::TERM);
    world.at(11.0, Event::DeadlineKnown { end: at(14.0) });
    assert_eq!(world.code(), 0);
    assert_eq!(world.seen.spawned["hook-announce"], 1, "{}", world.trace);
    let failure = report(&world).hooks[0].failure.clone();
    assert_eq!(failure.as_deref(), Some("exit code 1"));
}

#[test]
fn the_report_says_that_claims_were_cut_at_any_time() {
    let chain = |grace| {
        set(vec![
            service("a").grace(20.0),
            service("b").grace(20.0).after("a", Condition::Started),
        ])
        .grace(grace)
        .world()
    };
    // They fit until the deadline becomes an earlier one.
    let mut world = chain(60.0).child("b", stops_in(5.0));
    world.signal(10.0, Signal::TERM);
    world.at(12.0, Event::DeadlineKnown { end: at(30.0) });
    assert_eq!(world.code(), 0);
    assert!(report(&world).claims_cut && report(&world).shortened);
    // They do not fit at first; what is left of them fits the earlier deadline.
    let mut world = chain(30.0)
        .child("b", stops_in(1.0))
        .child("a", stops_in(5.0));
    world.signal(10.0, Signal::TERM);
    world.at(12.0, Event::DeadlineKnown { end: at(39.0) });
    assert_eq!(world.code(), 0);
    assert!(report(&world).claims_cut && report(&world).shortened);
}

#[test]
fn the_report_says_when_hooks_began() {
    let hooks = SetHooks {
        pre_stop: vec![hook("a", 5.0, FailurePolicy::Continue)],
        post_stop: vec![hook("b", 5.0, FailurePolicy::Continue)],
        ..SetHooks::default()
    };
    let mut world = set(vec![service("web")])
        .hooks(hooks)
        .world()
        .child("hook", dies(0.5, 0))
        .child("web", stops_in(2.0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    let began: Vec<_> = report(&world).hooks.iter().map(|one| one.began).collect();
    assert_eq!(began, [secs(0.0), secs(2.5)]);
}

fn pre_stop() -> InstanceHooks {
    InstanceHooks {
        pre_stop: Some(hook("slow", 5.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    }
}

#[test]
fn no_hook_of_a_process_begins_when_it_would_be_cut() {
    // The deadline is over before the turn of the init process came.
    let mut world = set(vec![init("a").with_hooks(&pre_stop())]).world();
    world.signal(10.0, Signal::TERM);
    world.at(12.0, Event::DeadlineKnown { end: at(11.0) });
    world.run_until(1e6);
    assert_eq!(world.seen.signalled["a-0"], at(12.0));
    assert_eq!(world.seen.spawned.get("hook-slow"), None);
    // Somebody is in a hurry.
    let web = service("web").with_hooks(&pre_stop());
    let mut world = on_a_terminal(set(vec![web]).drain(5.0).plan);
    world.signal(10.0, Signal::INT).signal(12.0, Signal::INT);
    world.run_until(1e6);
    assert_eq!(world.seen.signalled["web-0"], at(12.0));
    assert_eq!(world.seen.spawned.get("hook-slow"), None);
}

#[test]
fn two_seconds_are_no_time_for_a_drain_and_for_hooks() {
    let hooks = SetHooks {
        pre_stop: vec![hook("a", 5.0, FailurePolicy::Continue)],
        post_stop: vec![hook("b", 5.0, FailurePolicy::Continue)],
        ..SetHooks::default()
    };
    let own = InstanceHooks {
        post_stop: Some(hook("c", 5.0, FailurePolicy::Continue)),
        ..pre_stop()
    };
    let mut world = set(vec![service("web").with_hooks(&own)])
        .grace(2.0)
        .drain(5.0)
        .hooks(hooks)
        .world();
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.now, at(10.0), "{}", world.trace);
    assert!(!world.trace.contains("hook"), "{}", world.trace);
    let report = report(&world);
    assert!(report.drain.is_none() && report.hooks.is_empty());
}

#[test]
fn a_grace_that_ends_with_the_time_of_all_is_no_missed_deadline() {
    let mut world = set(vec![service("a").grace(8.0)])
        .grace(10.0)
        .world()
        .child("a", deaf());
    world.signal(10.0, Signal::TERM);
    // Whatever comes first in that instant.
    world.at(18.0, Event::OrphansReaped(1));
    assert_eq!(world.code(), 0, "{}", world.trace);
    assert_eq!(world.seen.killed["a-0"], at(18.0));
}

#[test]
fn what_is_stuck_is_left_earlier_when_the_deadline_becomes_an_earlier_one() {
    let stuck = Behaviour {
        immortal: true,
        ..deaf()
    };
    let mut world = set(vec![service("a")])
        .grace(10.0)
        .world()
        .child("a", stuck);
    world.signal(10.0, Signal::TERM);
    // T_kill is at 18; what was killed then has until 18.5 to vanish.
    world.at(18.125, Event::DeadlineKnown { end: at(18.375) });
    assert_eq!(world.code(), 124);
    assert!(world.now <= at(18.375), "{}", world.trace);
}

/// A stage that is under way claims what is left of its claim, one that is over nothing.
#[test]
fn an_earlier_deadline_is_shared_out_by_what_is_left_of_each_claim() {
    let chain = || {
        set(vec![
            service("fpm").grace(20.0),
            service("web").grace(20.0).after("fpm", Condition::Started),
        ])
        .grace(100.0)
    };
    let set_hooks = |names: &[&str]| SetHooks {
        pre_stop: (names.iter())
            .map(|name| hook(name, 20.0, FailurePolicy::Continue))
            .collect(),
        ..SetHooks::default()
    };
    let own_hook = InstanceHooks {
        pre_stop: Some(hook("own", 20.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    };
    let alone = |hooks: &InstanceHooks| set(vec![service("web").grace(20.0).with_hooks(hooks)]);
    // Who is cut then, after how long it is known that T_kill comes when, and when that is: in seconds from t0.
    let cases = [
        // The drain was cut at 12.86; web has had 1.14 of 20, and fpm has 20 before it: 10 s for 38.86.
        (chain().grace(32.0).drain(30.0), 14.0, 24.0, "web-0", 18.85),
        // The first hook is over, the second one has had 10 of 20.
        (
            alone(&InstanceHooks::default())
                .grace(100.0)
                .hooks(set_hooks(&["a", "b"])),
            30.0,
            45.0,
            "hook-b",
            35.0,
        ),
        // The hooks are over; web has had 10 of 20.
        (
            chain().hooks(set_hooks(&["quick"])),
            11.0,
            26.0,
            "web-0",
            16.0,
        ),
        // The preStop hook of a process has had 10 of 20.
        (alone(&own_hook).grace(100.0), 10.0, 25.0, "hook-own", 15.0),
    ];
    for (set, known, t_kill, name, want) in cases {
        let mut world = set
            .world()
            .child("hook", deaf())
            .child("hook-quick", dies(1.0, 0))
            .child("web", deaf())
            .child("fpm", deaf());
        world.signal(100.0, Signal::TERM);
        let end = at(100.0 + t_kill + 2.0);
        world.at(100.0 + known, Event::DeadlineKnown { end });
        assert_eq!(world.code(), 124);
        let got = world.seen.killed[name].since(at(100.0)).as_secs_f64();
        assert!((got - want).abs() < 0.1, "{name}: {got} {}", world.trace);
    }
}

#[test]
fn what_the_deadline_killed_has_no_post_stop_hook() {
    let own = InstanceHooks {
        post_stop: Some(hook("c", 5.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![service("web").with_hooks(&own)])
        .world()
        .child("web", deaf());
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    assert!(!world.trace.contains("spawn hook"), "{}", world.trace);
}

#[test]
fn what_a_process_leaves_behind_takes_nobody_s_time() {
    let leaves = |stops: f64| Behaviour {
        leaves: 1,
        left_stop_in: None,
        ..stops_in(stops)
    };
    let pod = |web: Behaviour| {
        set(vec![
            service("db"),
            service("web").after("db", Condition::Started),
        ])
        .grace(10.0)
        .world()
        .child("db", deaf())
        .child("web", web)
    };
    // T_kill is at 8 and web has to be gone at 7: a quarter of a second is left for what it leaves.
    let mut world = pod(leaves(6.75));
    world.signal(100.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    assert_eq!(world.seen.signalled["db-0"], at(107.0), "{}", world.trace);
    // T_kill becomes 3.17, and half of what is left is for db.
    let mut world = pod(leaves(2.0));
    world.signal(100.0, Signal::TERM);
    world.at(102.25, Event::DeadlineKnown { end: at(105.0) });
    assert_eq!(world.code(), 124);
    let asked = world.seen.signalled["db-0"].since(at(100.0)).as_secs_f64();
    assert!((asked - 2.708).abs() < 0.01, "{asked}: {}", world.trace);
}

/// However little time there is, half of it is for what comes after the wait for those who outlive SIGKILL.
#[test]
fn what_is_stuck_leaves_time_for_the_last_hooks() {
    let hooks = SetHooks {
        post_stop: vec![hook("bye", 5.0, FailurePolicy::Continue)],
        ..SetHooks::default()
    };
    let stuck = Behaviour {
        immortal: true,
        ..deaf()
    };
    let mut world = set(vec![service("a")])
        .grace(3.0)
        .hooks(hooks)
        .world()
        .child("a", stuck)
        .child("hook", dies(0.125, 0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    assert_eq!(report(&world).hooks[0].failure, None, "{}", world.trace);
}

#[test]
fn the_last_hooks_end_earlier_when_the_deadline_becomes_an_earlier_one() {
    let hooks = SetHooks {
        post_stop: vec![hook("bye", 60.0, FailurePolicy::Continue)],
        ..SetHooks::default()
    };
    let mut world = set(vec![service("a")])
        .hooks(hooks)
        .world()
        .child("hook", deaf());
    world.signal(10.0, Signal::TERM);
    world.at(12.0, Event::DeadlineKnown { end: at(16.0) });
    assert_eq!(world.code(), 0);
    assert_eq!(world.now, at(15.0), "{}", world.trace);
}

/// Whoever ignores SIGTERM and has lost its parent is given a second, or less when there is less.
#[test]
fn orphans_are_killed_in_time() {
    let pod = |grace| {
        let hooks = SetHooks {
            pre_start: vec![hook("slow", 60.0, FailurePolicy::Fail)],
            ..SetHooks::default()
        };
        let pod = set(vec![service("a")]).grace(grace).hooks(hooks);
        pod.world().child("hook", deaf())
    };
    let end = |world: &mut World| {
        world.run_until(1e6);
        world.seen.killed["hook-slow"].since(at(10.0)).as_secs_f64()
    };
    let mut world = pod(1.0);
    world.signal(10.0, Signal::TERM);
    let killed = end(&mut world);
    assert!((killed - 0.583).abs() < 0.001, "{}", world.trace);
    // The deadline becomes an earlier one.
    let mut world = pod(30.0);
    world.signal(10.0, Signal::TERM);
    world.at(10.125, Event::DeadlineKnown { end: at(10.75) });
    let killed = end(&mut world);
    assert!((killed - 0.4375).abs() < 0.001, "{}", world.trace);
    assert!(world.now <= at(10.75));
}

#[test]
fn who_is_just_being_executed_is_drained_too() {
    let slow = Behaviour {
        exec_after: secs(2.0),
        ..Behaviour::default()
    };
    let mut world = set(vec![service("web")])
        .drain(5.0)
        .world()
        .child("web", slow);
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.seen.signalled["web-0"], at(6.0), "{}", world.trace);
}
