//! Sidecars: the wait before anything starts, and the request to quit once the set ended by itself.

use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;

use super::world::{Set, World, hook, init, secs, service, set, sidecar};
use super::{deaf, dies, stops_in};
use crate::domain::event::Event;
use crate::domain::id::Label;
use crate::domain::plan::{Check, FailurePolicy, SetHooks, Sidecar};
use crate::domain::sidecar::State;
use crate::domain::signal::Signal;
use crate::domain::system::Config;
use crate::domain::time::Mono;

/// A Job's pod: an init process and one that ends.
fn job(sidecars: Vec<Sidecar>) -> Set {
    set(vec![init("cache"), service("job").never()]).sidecars(sidecars)
}

fn done(world: World) -> World {
    world
        .child("cache", dies(0.5, 0))
        .child("job", dies(2.0, 0))
        .child("hook", dies(0.25, 0))
}

#[test]
fn everything_waits_for_all_of_them_and_a_job_tells_them_to_quit_at_its_end() {
    let list = |name| vec![hook(name, 5.0, FailurePolicy::Fail)];
    let set = job(vec![sidecar("istio"), sidecar("sql")]).hooks(SetHooks {
        pre_start: list("pre"),
        post_stop: list("post"),
        ..SetHooks::default()
    });
    let mut world = done(set.world())
        .server_from("istio", 1.5)
        .server_from("sql", 3.0);
    assert_eq!(world.code(), 0);
    expect![[r#"
        002.000 sidecar istio ready
        003.000 sidecar sql ready
        003.000 spawn hook-pre
        003.250 hook pre of set: ok
        003.250 spawn cache-0
        003.750 cache-0 ended: exit code 0
        003.750 cache-0 completed
        003.750 spawn job-0
        005.750 job-0 ended: exit code 0
        005.750 job-0 completed
        005.750 SIGTERM to orphans
        005.750 spawn hook-post
        006.000 hook post of set: ok
        006.000 POST /istio
        006.000 POST /sql
        006.000 sidecar istio quits
        006.000 sidecar sql quits
        006.000 exit 0: all processes completed
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_requested_stop_tells_nobody() {
    let mut world = job(vec![sidecar("istio")])
        .world()
        .child("cache", dies(0.5, 0));
    world.signal(2.0, Signal::TERM);
    assert_eq!(world.code(), 143);
    assert_eq!(world.seen.posts, [], "{}", world.trace);
}

#[test]
fn every_other_end_tells_them_and_keeps_its_code() {
    let failing = |set: Set| done(set.world()).child("cache", dies(0.5, 9));
    let exit_set = set(vec![service("a").never().exit_set(), service("web")]);
    let cases: Vec<(&str, World, u8)> = vec![
        (
            "an init process failed",
            failing(job(vec![sidecar("s")])),
            76,
        ),
        (
            "a process with ExitSet",
            exit_set
                .sidecars(vec![sidecar("s")])
                .world()
                .child("a", dies(1.0, 7))
                .child("web", stops_in(3.0)),
            7,
        ),
        (
            "a process failed for good",
            done(job(vec![sidecar("s")]).world()).child("job", dies(1.0, 3)),
            3,
        ),
        (
            "another sidecar is not ready",
            done(job(vec![sidecar("s"), sidecar("late")]).world()).server("late", |_| false),
            69,
        ),
    ];
    for (name, mut world, code) in cases {
        assert_eq!(world.code(), code, "{name}: {}", world.trace);
        let last = world
            .trace
            .lines()
            .rev()
            .take(5)
            .any(|line| line.ends_with("POST /s"));
        assert!(last, "{name}: {}", world.trace);
    }
}

#[test]
fn one_that_is_not_ready_in_time_ends_the_set_with_69() {
    let mut world = done(job(vec![sidecar("ok"), sidecar("istio").left_alone()]).world())
        .server("istio", |_| false);
    assert_eq!(world.code(), 69);
    expect![[r#"
        000.000 sidecar ok ready
        004.000 sidecar istio not ready, Fail: refused
        004.000 SIGTERM to orphans
        004.000 POST /ok
        004.000 sidecar ok quits
        004.000 exit 69: sidecar istio was not ready in 4.0s: startupProbe: refused
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn or_the_set_starts_without_it() {
    let mut world = done(job(vec![sidecar("istio").or_start().left_alone()]).world())
        .server("istio", |_| false);
    world.run_until(4.5);
    expect![[r#"
        004.000 sidecar istio not ready, Start: refused
        004.000 spawn cache-0
        004.500 cache-0 ended: exit code 0
        004.500 cache-0 completed
        004.500 spawn job-0
    "#]]
    .assert_eq(&world.trace);
    let view = &world.snapshot().sidecars[0];
    assert_eq!(view.state, State::TimedOut);
    assert_eq!(view.message.as_deref(), Some("refused"));
    assert_eq!(world.code(), 0);
}

#[test]
fn one_that_never_answers_is_given_up_at_the_limit() {
    // Slow answers do not stretch it: three checks of 10 s would take 30.
    let slow = sidecar("istio").asked(|probe| {
        probe.timeout = secs(10.0);
        probe.failure_threshold = 3;
        probe.initial_delay = secs(2.0);
    });
    let mut world = job(vec![slow]).world().silent("istio");
    assert_eq!(world.code(), 69);
    assert_eq!(
        world.outcome.as_ref().map(|outcome| &*outcome.reason),
        Some("sidecar istio was not ready in 5.0s: startupProbe: no answer")
    );
    let mut world = job(vec![sidecar("istio")]).world().silent("istio");
    assert_eq!(world.code(), 69);
    assert_eq!(
        world.outcome.as_ref().map(|outcome| &*outcome.reason),
        Some("sidecar istio was not ready in 5.0s: startupProbe: no answer in 1.0s")
    );
}

#[test]
fn who_waits_long_says_so() {
    let patient = sidecar("istio").asked(|probe| probe.failure_threshold = 100);
    let mut world = job(vec![patient]).world().server("istio", |_| false);
    world.run_until(80.0);
    expect![[r#"
        010.000 still waits for sidecar istio: Some("refused")
        030.000 still waits for sidecar istio: Some("refused")
        070.000 still waits for sidecar istio: Some("refused")
    "#]]
    .assert_eq(&world.trace);
}

#[test]
fn a_stop_during_the_wait_ends_it_at_once() {
    let command = sidecar("file").asked(|probe| {
        probe.check = Check::Exec {
            launch: Arc::default(),
            label: Arc::new(Label {
                process: "file".into(),
                instance: "file/startupProbe".into(),
            }),
        };
        probe.timeout = secs(60.0);
        probe.period = secs(60.0);
    });
    let mut world = job(vec![sidecar("istio"), command])
        .world()
        .silent("istio")
        .child("file/startupProbe", deaf());
    world.signal(2.5, Signal::TERM);
    assert_eq!(world.code(), 143);
    expect![[r#"
        000.000 spawn file/startupProbe
        002.500 SIGKILL to file/startupProbe Session
        002.500 SIGTERM to orphans
        002.500 exit 143: stopped by SIGTERM before cache had completed
    "#]]
    .assert_eq(&world.trace);
    assert!(!world.snapshot().started);
}

#[test]
fn a_command_can_say_that_one_is_ready() {
    let command = sidecar("file").left_alone().asked(|probe| {
        probe.check = Check::Exec {
            launch: Arc::default(),
            label: Arc::new(Label {
                process: "file".into(),
                instance: "file/startupProbe".into(),
            }),
        };
    });
    let mut world = done(job(vec![command]).world()).child("file/startupProbe", dies(0.25, 0));
    world.run_until(1.0);
    assert!(
        world
            .trace
            .contains("000.250 sidecar file ready\n000.250 spawn cache-0"),
        "{}",
        world.trace
    );
}

#[test]
fn one_that_does_not_say_that_it_quits_has_a_second() {
    let mut world = done(job(vec![sidecar("a"), sidecar("b")]).world()).silent("/a");
    assert_eq!(world.code(), 0);
    let end = "002.500 POST /a\n002.500 POST /b\n002.500 sidecar b quits\n\
               003.500 sidecar a quits or not: no answer in 1.0s\n003.500 exit 0: all processes completed\n";
    assert!(world.trace.ends_with(end), "{}", world.trace);

    // Nobody but us has set a limit, so a short grace period does not matter.
    let mut world = done(job(vec![sidecar("a")]).grace(0.0).world()).server("/a", |_| false);
    assert_eq!(world.code(), 0);
    assert!(
        world.trace.contains("sidecar a quits or not: refused"),
        "{}",
        world.trace
    );
}

#[test]
fn the_pods_own_deadline_cuts_the_last_second() {
    let end = Mono::ZERO + secs(2.9);
    let mut world = done(job(vec![sidecar("a")]).world()).silent("/a");
    world.at(2.6, Event::DeadlineKnown { end });
    assert_eq!(world.code(), 0);
    assert_eq!(world.now, end, "{}", world.trace);
}

#[test]
fn a_native_sidecar_is_not_told_to_quit() {
    let natives = |names: &[&str]| Event::NativeSidecars {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    for known_at in [0.5, 2.0] {
        let set = job(vec![
            sidecar("istio"),
            sidecar("sql"),
            sidecar("log").left_alone(),
        ]);
        let mut world = World::loading(Config::default());
        world.at(1.0, Event::Loaded(Arc::new(set.plan)));
        world.at(known_at, natives(&["istio", "log", "unknown"]));
        world.at(known_at, natives(&["istio"]));
        let mut world = done(world);
        assert_eq!(world.code(), 0);
        let posts: Vec<&str> = world.seen.posts.iter().map(|(path, _)| &**path).collect();
        assert_eq!(posts, ["/sql"], "{}", world.trace);
        let told = world.trace.matches(" is native").count();
        assert_eq!(told, 1, "{}", world.trace);
    }
}

#[test]
fn the_pod_is_not_ready_before_its_sidecars_are() {
    // Nobody who serves, so that nothing else holds it back.
    let set = set(vec![service("queue").background()]).sidecars(vec![sidecar("istio")]);
    let mut world = set.world().server_from("istio", 2.0);
    for (at, up) in [(0.5, false), (1.9, false), (2.1, true)] {
        world.run_until(at);
        let snapshot = world.snapshot();
        assert_eq!((snapshot.started, snapshot.ready), (up, up), "at {at}");
        let waits = snapshot.sidecars[0].state == State::Waiting;
        assert_eq!(waits, !up, "at {at}");
    }
}

#[test]
fn a_change_waits_until_the_start_is_over() {
    let spec = |program: &str| {
        set(vec![service("queue").background().runs(program)]).sidecars(vec![sidecar("istio")])
    };
    let mut world = spec("v1").world().server_from("istio", 3.0);
    world.change(1.0, &spec("v2")).run_until(2.5);
    assert!(!world.trace.contains("spawn"), "{}", world.trace);
    world.run_until(5.0);
    assert_eq!(
        world.running("queue-0").as_deref(),
        Some("v2"),
        "{}",
        world.trace
    );

    // Whom to tell at the end may change later, and counts; whom to wait for is past.
    let mut new = spec("v2").sidecars(vec![sidecar("istio").left_alone(), sidecar("new")]);
    new.plan.processes[0] = new.plan.processes[0].clone().never();
    world.change(6.0, &new).run_until(7.0);
    let told = "change: queue changes in place (restartPolicy); sidecars of the set; sidecars from the next start of the container on";
    assert!(world.trace.contains(told), "{}", world.trace);
}

#[derive(Debug, Clone)]
struct Neighbour {
    /// Seconds until it is ready; `None`: never, or it does not even answer.
    ready_at: Option<f64>,
    silent: bool,
    or_start: bool,
    quits: bool,
    deaf_to_quit: bool,
    native: bool,
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    (
        prop::option::weighted(0.8, 0.0f64..6.0),
        prop::bool::weighted(0.2),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(ready_at, silent, or_start, quits, deaf_to_quit, native)| Neighbour {
                ready_at,
                silent,
                or_start,
                quits,
                deaf_to_quit,
                native,
            },
        )
}

impl Neighbour {
    fn sidecar(&self, at: usize) -> Sidecar {
        let mut sidecar = sidecar(&format!("s{at}"));
        if self.or_start {
            sidecar = sidecar.or_start();
        }
        if !self.quits {
            sidecar = sidecar.left_alone();
        }
        sidecar
    }

    fn live(&self, at: usize, world: World) -> World {
        let world = world.server_from(&format!("s{at}"), self.ready_at.unwrap_or(1e9));
        let world = match (self.silent, self.ready_at) {
            (true, None) => world.silent(&format!("s{at}")),
            _ => world,
        };
        if self.deaf_to_quit {
            world.silent(&format!("/s{at}"))
        } else {
            world
        }
    }

    /// When nobody waits for it any more: asked once a second, five times.
    fn past_at(&self) -> f64 {
        match self.ready_at {
            Some(at) if at <= 4.0 => at.ceil(),
            None if self.silent => 5.0,
            Some(_) | None => 4.0,
        }
    }

    fn is_late(&self) -> bool {
        self.ready_at.is_none_or(|at| at > 4.0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_sidecars_do_nothing_starts_before_them_and_each_is_told_once(
        neighbours in prop::collection::vec(neighbour(), 0..5),
        job in prop::option::weighted(0.7, (0.1f64..4.0, 0u8..3)),
        init_code in prop_oneof![4 => Just(0u8), 1 => Just(9u8)],
        stop_at in prop::option::of(0.0f64..12.0),
    ) {
        let sidecars = neighbours.iter().enumerate().map(|(at, one)| one.sidecar(at)).collect();
        let mut world = set(vec![init("cache"), service("job").never()]).sidecars(sidecars).world();
        for (at, one) in neighbours.iter().enumerate() {
            world = one.live(at, world);
        }
        world = world.child("cache", dies(0.5, init_code));
        if let Some((life, code)) = job {
            world = world.child("job", dies(life, code));
        }
        let natives = neighbours.iter().enumerate().filter(|(_, one)| one.native);
        let names = natives.map(|(at, _)| format!("s{at}")).collect();
        world.at(0.25, Event::NativeSidecars { names });
        // Someone who never ends by himself has to be asked.
        let stop_at = stop_at.or(job.is_none().then_some(12.0));
        if let Some(at) = stop_at {
            world.signal(at, Signal::TERM);
        }
        world.run_until(1e6);
        let trace = &world.trace;
        let Some(outcome) = &world.outcome else {
            return Err(TestCaseError::fail(format!("no end:\n{trace}")));
        };

        let past = neighbours.iter().map(Neighbour::past_at).fold(0.0, f64::max);
        let stopped = |at: f64| stop_at.is_some_and(|stop| stop <= at);
        let first = trace.lines().find(|line| line.contains("spawn"));
        let fails = |one: &&Neighbour| one.is_late() && !one.or_start;
        let failed_at = neighbours.iter().filter(fails).map(Neighbour::past_at).reduce(f64::min);
        match failed_at {
            Some(at) if !stopped(at) => {
                prop_assert_eq!(outcome.code, 69, "{}", trace);
                prop_assert_eq!(first, None, "{}", trace);
            }
            _ if stopped(past) => prop_assert_eq!(first, None, "{}", trace),
            Some(_) => prop_assert_eq!(first, None, "{}", trace),
            None => {
                let wanted = format!("{past:07.3} spawn cache-0");
                prop_assert_eq!(first, Some(&*wanted), "{}", trace);
                prop_assert!(outcome.code != 69, "{}", trace);
            }
        }
        prop_assert_eq!(world.seen.spawned_in_stop, 0, "started in a stop:\n{}", trace);

        // When the set ends by itself, if nobody asks before.
        let ends_at = match (failed_at, init_code, job) {
            (Some(at), ..) => at,
            (None, 0, Some((life, _))) => past + 0.5 + life,
            (None, 0, None) => f64::INFINITY,
            (None, ..) => past + 0.5,
        };
        let requested = stopped(ends_at);
        let mut told: Vec<&str> = world.seen.posts.iter().map(|(path, _)| &**path).collect();
        told.sort_unstable();
        let mut wanted = Vec::new();
        for (at, one) in neighbours.iter().enumerate() {
            if !requested && one.quits && !one.native {
                wanted.push(format!("/s{at}"));
            }
        }
        prop_assert_eq!(told, wanted, "{}", trace);
        if let Some((_, at)) = world.seen.posts.first() {
            let deaf = neighbours.iter().any(|one| one.quits && !one.native && one.deaf_to_quit);
            let took = world.now.since(*at);
            prop_assert_eq!(took, secs(f64::from(u8::from(deaf))), "{}", trace);
        }
    }
}
