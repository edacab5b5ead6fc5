//! The order and the times of a stop: drain, shares, deadlines that become earlier, the report.

use expect_test::expect;

use super::world::{World, hook, secs, service, set};
use super::{deaf, stops_in};
use crate::domain::event::Event;
use crate::domain::plan::{Condition, FailurePolicy, InstanceHooks, SetHooks};
use crate::domain::shutdown::report::StopReport;
use crate::domain::signal::Signal;
use crate::domain::time::Mono;

fn at(seconds: f64) -> Mono {
    Mono::ZERO + secs(seconds)
}

fn report(world: &World) -> StopReport {
    let outcome = world.outcome.as_ref().expect("it ended");
    (**outcome.report.as_ref().expect("a report")).clone()
}

#[test]
fn background_first_then_the_drain_then_serving_in_reverse() {
    let mut world = set(vec![
        service("fpm"),
        service("nginx").after("fpm", Condition::Ready),
        service("queue").background(),
    ])
    .drain(5.0)
    .world()
    .child("queue", stops_in(2.0))
    .child("nginx", stops_in(1.0));
    world.signal(100.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn fpm-0
        000.000 spawn queue-0
        000.000 spawn nginx-0
        100.000 SIGTERM to queue-0 Leader
        102.000 queue-0 ended: exit code 0
        105.000 SIGTERM to nginx-0 Leader
        106.000 nginx-0 ended: exit code 0
        106.000 SIGTERM to fpm-0 Leader
        106.000 fpm-0 ended: exit code 0
        106.000 SIGTERM to orphans
        106.000 exit 0: stopped by SIGTERM
    "#]]
    .assert_eq(&world.trace);
    assert_eq!(world.seen.files["draining"].0, at(100.0));
}

#[test]
fn the_set_s_hooks_come_first_and_the_drain_runs_beside_them() {
    let hooks = SetHooks {
        pre_stop: vec![hook("announce", 5.0, FailurePolicy::Continue)],
        ..SetHooks::default()
    };
    let mut world = set(vec![service("web"), service("queue").background()])
        .drain(3.0)
        .hooks(hooks)
        .world()
        .child("hook", super::dies(2.0, 0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.seen.signalled["queue-0"], at(12.0), "{}", world.trace);
    assert_eq!(world.seen.signalled["web-0"], at(13.0), "{}", world.trace);
    let report = report(&world);
    assert_eq!(report.hooks.len(), 1);
    assert_eq!(report.hooks[0].took, secs(2.0));
    assert_eq!(report.drain.map(|drain| drain.took), Some(secs(3.0)));
}

#[test]
fn a_hook_that_is_cut_says_by_what() {
    let hooks = InstanceHooks {
        pre_stop: Some(hook("quit", 10.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    };
    // It makes its process leave and goes on: that is what it is for.
    let mut world = set(vec![service("nginx").with_hooks(&hooks)])
        .world()
        .child("nginx", super::dies(12.0, 0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    let said = "012.000 hook quit of nginx-0: ended with its process\n";
    assert!(world.trace.contains(said), "{}", world.trace);

    let hooks = InstanceHooks {
        pre_start: Some(hook("warm", 100.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let web = || service("web").with_hooks(&hooks);
    let mut world = set(vec![web()]).world();
    world.change(20.0, &set(vec![web().runs("v2")]));
    world.signal(30.0, Signal::TERM);
    world.run_until(1e6);
    for said in [
        "020.000 hook warm of web-0: cut by a change of the spec\n",
        "030.000 hook warm of web-0: cut by a stop\n",
    ] {
        assert!(world.trace.contains(said), "{}", world.trace);
    }
}

#[test]
fn a_hook_that_failed_is_cut_by_nothing_more() {
    let hooks = InstanceHooks {
        post_start: Some(hook("warm", 30.0, FailurePolicy::Fail)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![service("web").with_hooks(&hooks)])
        .world()
        .child("hook", super::dies(1.5, 1));
    world.run_until(1.6);
    let told = world.trace.matches("hook warm of web-0").count();
    assert_eq!(told, 1, "{}", world.trace);
}

#[test]
fn nobody_to_serve_is_nobody_to_drain() {
    let mut world = set(vec![service("queue").background()]).drain(5.0).world();
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.now, at(10.0), "{}", world.trace);
    let once = service("web").never();
    let mut world = set(vec![once, service("queue").background()])
        .drain(5.0)
        .world()
        .child("web", super::dies(1.0, 0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.now, at(10.0), "{}", world.trace);
}

#[test]
fn a_drain_that_nobody_is_left_for_is_not_cut() {
    let mut world = set(vec![service("web"), service("queue").background()])
        .drain(5.0)
        .world()
        .child("web", super::dies(12.0, 0))
        .child("queue", stops_in(3.0));
    world.signal(10.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    // Nothing is left to wait for once the queue is gone, at 13.
    assert_eq!(world.now, at(13.0), "{}", world.trace);
    let drain = report(&world).drain.unwrap();
    assert!(drain.took < drain.planned && !drain.cut, "{drain:?}");
}

#[test]
fn five_in_a_chain_that_want_ten_seconds_each_share_eleven() {
    let names = ["e", "d", "c", "b", "a"];
    let mut processes = vec![service("e").grace(10.0)];
    for pair in names.windows(2) {
        let process = service(pair[1]).grace(10.0);
        processes.push(process.after(pair[0], Condition::Started));
    }
    let mut plan = set(processes.clone()).grace(12.0).plan;
    plan.shutdown.tail = secs(0.0);
    let mut world = World::new(plan.clone());
    for name in names {
        world = world.child(name, deaf());
    }
    world.signal(100.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    let report = report(&world);
    assert_eq!(report.budget, secs(11.0));
    assert!(report.claims_cut);
    for (nth, name) in names.iter().rev().enumerate() {
        let one = report
            .instances
            .iter()
            .find(|one| &*one.label.process == *name)
            .unwrap();
        let asked = one.signalled.unwrap().as_secs_f64();
        assert!((asked - 2.2 * nth as f64).abs() < 0.05, "{name}: {asked}");
        assert!(
            one.by_deadline && one.took().unwrap() <= secs(2.25),
            "{one:?}"
        );
    }
    assert!(world.now <= at(100.0) + secs(11.8));
    // Well-behaved ones use nothing of it, and one that is slow may have all.
    let mut world = World::new(plan).child("c", stops_in(8.0));
    world.signal(100.0, Signal::TERM);
    world.run_until(1e6);
    assert_eq!(world.seen.signalled["c-0"], at(100.0));
    let killed = world.seen.killed["c-0"];
    assert!(
        (killed.since(at(100.0)).as_secs_f64() - 6.6).abs() < 0.05,
        "{}",
        world.trace
    );
}

#[test]
fn a_deadline_that_becomes_earlier_shortens_everything_and_never_lengthens() {
    let chain = || {
        set(vec![
            service("fpm").grace(20.0),
            service("nginx").grace(20.0).after("fpm", Condition::Ready),
        ])
        .grace(60.0)
        .drain(10.0)
        .world()
        .child("fpm", deaf())
        .child("nginx", deaf())
    };
    let mut world = chain();
    world.signal(100.0, Signal::TERM);
    // T = 160; T_kill = 158. At 103 it is known that the pod ends at 120: T_kill = 118, 15 s are left.
    world.at(103.0, Event::DeadlineKnown { end: at(120.0) });
    world.at(104.0, Event::DeadlineKnown { end: at(150.0) });
    assert_eq!(world.code(), 124, "{}", world.trace);
    // Left of the claims: drain 7, 20, 20; in 15 s each gets 0.319 of it: 2.2, 6.4, 6.4.
    let got = [
        world.seen.signalled["nginx-0"],
        world.seen.killed["nginx-0"],
        world.seen.killed["fpm-0"],
    ]
    .map(|at| at.as_nanos() as f64 / 1e9);
    for (got, want) in got.into_iter().zip([105.24, 111.62, 118.0]) {
        assert!(
            (got - want).abs() < 0.1,
            "{got} is not {want}: {}",
            world.trace
        );
    }
    assert!(report(&world).shortened && report(&world).drain.unwrap().cut);
    // A later deadline changes nothing at all.
    let mut world = chain();
    world.signal(100.0, Signal::TERM);
    world.at(103.0, Event::DeadlineKnown { end: at(170.0) });
    world.run_until(1e6);
    assert_eq!(world.seen.signalled["nginx-0"], at(110.0));
    assert!(!report(&world).shortened);
}

#[test]
fn a_deadline_that_has_passed_kills_at_once() {
    for past in [99.0, 100.0, 100.5] {
        let mut world = set(vec![
            service("a"),
            service("b").after("a", Condition::Ready),
        ])
        .drain(5.0)
        .world()
        .child("a", deaf())
        .child("b", deaf());
        world.signal(100.0, Signal::TERM);
        world.at(101.0, Event::DeadlineKnown { end: at(past) });
        assert_eq!(world.code(), 124, "{}", world.trace);
        assert!(world.now <= at(102.0), "{}", world.trace);
        assert_eq!(world.seen.killed["a-0"], at(101.0));
        assert!(world.seen.signalled.contains_key("a-0"), "{}", world.trace);
    }
}

#[test]
fn a_deadline_shortens_a_hook_of_a_process_and_the_wait_for_orphans() {
    let hooks = InstanceHooks {
        pre_stop: Some(hook("slow", 20.0, FailurePolicy::Continue)),
        ..InstanceHooks::default()
    };
    let mut world = set(vec![service("a").with_hooks(&hooks)])
        .world()
        .child("hook", deaf())
        .child("a", deaf());
    world.signal(100.0, Signal::TERM);
    world.at(102.0, Event::DeadlineKnown { end: at(110.0) });
    assert_eq!(world.code(), 124);
    // T_kill = 108. The hook has had 2 of 20 s: 18 and 1 share 6.
    let signalled = world.seen.signalled["a-0"].as_nanos() as f64 / 1e9;
    assert!(
        (signalled - 107.5).abs() < 0.1,
        "{signalled}: {}",
        world.trace
    );
    assert_eq!(world.seen.killed["a-0"], at(108.0));
}

#[test]
fn prestop_is_a_stop_and_the_signal_that_follows_changes_nothing() {
    let mut world = set(vec![service("web")]).drain(5.0).world();
    world.at(
        100.0,
        Event::StopRequested {
            by: "podinit prestop",
        },
    );
    world.signal(101.0, Signal::TERM);
    assert_eq!(world.code(), 0);
    assert_eq!(world.seen.signalled["web-0"], at(105.0), "{}", world.trace);
    assert_eq!(report(&world).why, "podinit prestop");
}

#[test]
fn a_failure_that_ends_the_set_drains_too() {
    let mut world = set(vec![
        service("db").never().exit_set().background(),
        service("web"),
    ])
    .drain(4.0)
    .world()
    .child("db", super::dies(10.0, 3));
    assert_eq!(world.code(), 3);
    assert_eq!(world.seen.signalled["web-0"], at(14.0), "{}", world.trace);
}

#[test]
fn processes_can_read_when_they_must_be_gone() {
    let mut world = set(vec![
        service("web").grace(5.0),
        service("queue").background(),
    ])
    .drain(3.0)
    .world()
    .child("web", stops_in(1.0))
    .child("queue", stops_in(1.0));
    world.signal(100.0, Signal::TERM);
    world.run_until(1e6);
    let millis = |name: &str| -> Vec<i64> {
        let text = &world.seen.files[&format!("deadline/{name}")].1;
        text.split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    };
    // T_kill is 28 s after t0; web has 5 s from its signal on, at 103 s.
    assert_eq!(millis("queue-0"), [128_000, 128_000]);
    assert_eq!(millis("web-0"), [128_000, 108_000]);
}
