//! How a life ends: exit codes, stops that hurry or come too late, `--` mode.

use expect_test::expect;

use super::world::{Behaviour, Set, World, init, secs, service, set};
use super::{deaf, dies, laravel, stops_in, unexecutable};
use crate::domain::event::{Event, LoadFailure};
use crate::domain::plan::{Condition, Mode, OnFailure, RestartLimit};
use crate::domain::signal::Signal;
use crate::domain::system::Config;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn exit_codes_and_their_precedence() {
    let limited = |mut process: crate::domain::plan::Process| {
        process.restart.limit = Some(RestartLimit {
            count: 1,
            window: secs(60.0),
        });
        process
    };
    let cases: Vec<(&str, World, Option<f64>, u8)> = vec![
        (
            "all completed",
            set(vec![service("a").never()])
                .world()
                .child("a", dies(1.0, 0)),
            None,
            0,
        ),
        (
            "the first that failed for good",
            set(vec![service("a").never(), service("b").never()])
                .world()
                .child("a", dies(2.0, 7))
                .child("b", dies(1.0, 9)),
            None,
            9,
        ),
        (
            "ExitSet on failure",
            set(vec![service("a").never().exit_set(), service("b")])
                .world()
                .child("a", dies(1.0, 7)),
            None,
            7,
        ),
        (
            "ExitSet on success",
            set(vec![
                service("a").on_failure_only().exit_set(),
                service("b"),
            ])
            .world()
            .child("a", dies(1.0, 0)),
            None,
            0,
        ),
        (
            "ExitSet that never started",
            set(vec![limited(service("a")).exit_set(), service("b")])
                .world()
                .child("a", unexecutable()),
            None,
            75,
        ),
        (
            "stopped, nothing undone",
            set(vec![service("a"), service("once").never()])
                .world()
                .child("once", dies(1.0, 0)),
            Some(2.0),
            0,
        ),
        (
            "stopped, a job undone",
            set(vec![service("a"), service("once").never()]).world(),
            Some(2.0),
            143,
        ),
        (
            "the deadline forced a KILL",
            set(vec![service("a"), service("once").never()])
                .world()
                .child("a", deaf()),
            Some(2.0),
            124,
        ),
        (
            "a forwarded code beats 124",
            set(vec![service("a").never().exit_set(), service("b")])
                .world()
                .child("a", dies(1.0, 7))
                .child("b", deaf()),
            None,
            7,
        ),
        (
            "ignored init failure goes on",
            {
                let mut init = init("a");
                init.on_failure = OnFailure::Ignore;
                set(vec![init, service("b").never()])
                    .world()
                    .child("a", dies(1.0, 7))
                    .child("b", dies(1.0, 0))
            },
            None,
            7,
        ),
    ];
    for (name, mut world, stop, code) in cases {
        if let Some(at) = stop {
            world.signal(at, Signal::TERM);
        }
        assert_eq!(world.code(), code, "{name}: {}", world.trace);
    }
}

#[test]
fn a_spec_that_cannot_be_loaded_is_the_end() {
    let mut world = World::loading(Config::default());
    world.at(
        0.5,
        Event::LoadFailed(LoadFailure {
            code: 65,
            message: "no such file".to_owned(),
        }),
    );
    assert_eq!(world.code(), 65);
}

#[test]
fn a_repeated_term_changes_nothing() {
    let mut world = set(vec![service("a")]).world().child("a", stops_in(5.0));
    world.signal(1.0, Signal::TERM).signal(2.0, Signal::TERM);
    world.signal(3.0, Signal::QUIT);
    assert_eq!(world.code(), 0);
    assert!(!world.trace.contains("KILL"), "{}", world.trace);
}

#[test]
fn a_second_interrupt_with_a_terminal_hurries() {
    for (terminal, killed) in [(true, true), (false, false)] {
        let config = Config { seed: 0, terminal };
        let mut world =
            World::with_config(set(vec![service("a")]).plan, config).child("a", stops_in(5.0));
        world.signal(1.0, Signal::INT).signal(2.0, Signal::INT);
        world.run_until(1e6);
        assert_eq!(
            world.seen.killed.contains_key("a-0"),
            killed,
            "{}",
            world.trace
        );
    }
}

fn immortal() -> Behaviour {
    Behaviour {
        immortal: true,
        stops_in: None,
        ..Behaviour::default()
    }
}

#[test]
fn the_first_interrupt_of_a_stop_that_began_otherwise_does_not_hurry() {
    let config = Config {
        seed: 0,
        terminal: true,
    };
    let mut world =
        World::with_config(set(vec![service("a")]).plan, config).child("a", stops_in(5.0));
    world.signal(1.0, Signal::TERM).signal(2.0, Signal::INT);
    world.run_until(3.0);
    assert!(world.seen.killed.is_empty(), "{}", world.trace);
    world.signal(4.0, Signal::INT);
    world.run_until(1e6);
    assert!(world.seen.killed.contains_key("a-0"), "{}", world.trace);
}

#[test]
fn an_init_process_that_fails_by_itself_during_a_stop_is_a_failed_start() {
    let mut world = laravel().world().child("cache", dies(4.0, 9));
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 76, "{}", world.trace);
}

#[test]
fn an_optional_dependency_waits_for_the_replicas_that_have_not_failed() {
    let slow = Behaviour {
        exec_after: secs(5.0),
        ..Behaviour::default()
    };
    let mut world = set(vec![
        service("db").never().replicas(2),
        service("web").after_optional("db", Condition::Ready),
    ])
    .world()
    .child("db-0", dies(1.0, 1))
    .child("db-1", slow);
    world.run_until(4.0);
    assert!(!world.trace.contains("spawn web-0"), "{}", world.trace);
    world.run_until(6.0);
    assert!(world.trace.contains("spawn web-0"), "{}", world.trace);
}

#[test]
fn a_crash_loop_has_started_all_the_same() {
    let mut world = set(vec![
        service("a"),
        service("b"),
        service("web")
            .after("a", Condition::Started)
            .after("b", Condition::Started),
    ])
    .world()
    .child("a", dies(0.1, 1))
    .child(
        "b",
        Behaviour {
            exec_after: secs(0.5),
            ..dies(0.1, 1)
        },
    );
    world.run_until(2.0);
    assert!(world.trace.contains("spawn web-0"), "{}", world.trace);
}

#[test]
fn what_outlives_kill_is_called_stuck_and_we_leave_on_time() {
    let mut world = set(vec![service("a").grace(1.0), service("b")])
        .grace(10.0)
        .world()
        .child("a", immortal());
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    assert!(world.now.as_nanos() <= 11_000_000_000, "{}", world.trace);
    assert!(world.trace.contains("a-0 is stuck"), "{}", world.trace);
}

#[test]
fn what_the_deadline_itself_could_not_kill_is_called_stuck_too() {
    let mut world = set(vec![
        service("a"),
        service("b").after("a", Condition::Ready),
    ])
    .grace(10.0)
    .world()
    .child("a", immortal())
    .child("b", immortal());
    world.signal(1.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    for stuck in ["a-0 is stuck", "b-0 is stuck"] {
        assert_eq!(world.trace.matches(stuck).count(), 1, "{}", world.trace);
    }
}

/// With nothing left of it, a grace period of 0 would lose the report to whichever thread is faster.
#[test]
fn a_grace_period_of_0_leaves_a_moment_for_the_last_words() {
    let mut world = set(vec![service("web")])
        .grace(0.0)
        .world()
        .child("web", deaf());
    world.signal(5.0, Signal::TERM);
    assert_eq!(world.code(), 124);
    let outcome = world.outcome.as_ref().expect("it ended");
    let left = outcome.until.since(world.now);
    assert!(
        left >= secs(0.1),
        "{left:?} to write the report in\n{}",
        world.trace
    );
}

fn command() -> Set {
    let mut set = set(vec![service("cmd").never()]).grace(10.0);
    set.plan.mode = Mode::Command;
    set.plan.processes[0].log = None;
    set
}

#[test]
fn command_mode_passes_signals_and_the_code_on() {
    let mut world = command().world().child("cmd", stops_in(2.0));
    world.signal(1.0, Signal::HUP);
    assert_eq!(world.code(), 0);
    expect![[r#"
        000.000 spawn cmd-0
        001.000 SIGHUP to cmd-0 Leader
        003.000 cmd-0 ended: exit code 0
        003.000 cmd-0 completed
        003.000 SIGTERM to orphans
        003.000 exit 0: exit code 0
    "#]]
    .assert_eq(&world.trace);

    let mut world = command().world().child("cmd", dies(1.0, 42));
    assert_eq!(world.code(), 42);
    let mut world = command().world().child("cmd", unexecutable());
    assert_eq!(world.code(), 127);
}

#[test]
fn command_mode_kills_at_the_deadline_with_the_childs_own_code() {
    let mut world = command().world().child("cmd", deaf());
    world.signal(1.0, Signal::TERM).signal(2.0, Signal::TERM);
    assert_eq!(world.code(), 137);
    expect![[r#"
        000.000 spawn cmd-0
        001.000 SIGTERM to cmd-0 Leader
        002.000 SIGTERM to cmd-0 Leader
        009.000 SIGKILL to cmd-0 Group
        009.000 cmd-0 ended: SIGKILL
        009.000 SIGKILL to orphans
        009.000 exit 137: SIGKILL
    "#]]
    .assert_eq(&world.trace);
}
