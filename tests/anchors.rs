//! What goes wrong in other supervisors, each as a test that fails on such behaviour: defects that were reproduced in a
//! Go system of the same aim, and the anchors that none of the peers holds.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a test"
)]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{As, Finished, SOON, Start, children_of, descendants_of, within};

const SHORT: Duration = Duration::from_millis(1500);

fn started(finished: &Finished, instance: &str) -> usize {
    finished
        .lines
        .iter()
        .filter(|line| line.is_own(instance, "started"))
        .count()
}

// --- stopping ---------------------------------------------------------------------------------------------------------

/// A stop that cancels the context of the child kills it before its signal.
#[test]
fn a_process_that_takes_its_time_over_term_is_given_it() {
    let podinit = Start::spec(
        "
  processes: [{name: a, command: [bash, -c, 'trap \"sleep 2; touch X; exit 0\" TERM; echo up; while :; do sleep .1; done']}]",
    )
    .start();
    podinit.wait_for("up", |line| line.get("message") == "up");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(finished.dir().join("X").exists(), "{}", finished.story());
    assert!(finished.took >= Duration::from_secs(2));
}

/// A leader that is gone while its workers hold the pipe must not hang the stop, hook or no hook.
#[test]
fn workers_that_outlive_their_master_do_not_hang_the_stop() {
    let podinit = Start::spec(
        "
  terminationGracePeriodSeconds: 8
  processes:
    - name: master
      command: [bash, -c, '(trap \"\" TERM QUIT; while :; do sleep .1; done) & trap \"exit 0\" QUIT; echo up; wait']
      stopSignal: SIGQUIT
      lifecycle: {preStop: {exec: {command: [sleep, '0.5']}}}",
    )
    .start();
    podinit.wait_for("up", |line| line.get("message") == "up");
    let finished = podinit.stop();
    assert!(
        finished.took < Duration::from_secs(4),
        "{:?}",
        finished.took
    );
    assert_eq!(finished.code, 0, "{}", finished.story());
}

/// The order of a stop is real: nobody is signalled before those that depend on it are gone.
#[test]
fn a_dependency_is_signalled_only_after_its_dependents_are_gone() {
    let slow = "trap 'sleep 0.3; exit 0' TERM; echo up; while :; do sleep .05; done";
    let podinit = Start::spec(&format!(
        "
  processes:
    - {{name: db, command: [bash, -c, \"{slow}\"]}}
    - {{name: php, command: [bash, -c, \"{slow}\"], dependsOn: [{{name: db}}]}}
    - {{name: web, command: [bash, -c, \"{slow}\"], dependsOn: [{{name: php}}]}}"
    ))
    .start();
    podinit.wait_for_nth("all up", 3, |line| line.get("message") == "up");
    let finished = podinit.stop();
    let at = |instance: &str, message: &str| {
        finished.position(message, |line| line.is_own(instance, message))
    };
    assert!(
        at("web-0", "exited") < at("php-0", "stopping"),
        "{}",
        finished.story()
    );
    assert!(
        at("php-0", "exited") < at("db-0", "stopping"),
        "{}",
        finished.story()
    );
}

/// Five in a chain that would each like all the time there is: everyone is asked, all are gone in time.
#[test]
fn a_chain_of_deaf_processes_fits_the_deadline_and_nobody_is_skipped() {
    let deaf = "trap '' TERM; echo up; while :; do sleep .05; done";
    let mut spec = String::from("  terminationGracePeriodSeconds: 6\n  processes:\n");
    for at in 0..5 {
        let after = if at > 0 {
            format!(", dependsOn: [{{name: p{}}}]", at - 1)
        } else {
            String::new()
        };
        spec.push_str(&format!(
            "    - {{name: p{at}, command: [bash, -c, \"{deaf}\"], terminationGracePeriodSeconds: 10{after}}}\n"
        ));
    }
    let podinit = Start::spec(&spec).start();
    podinit.wait_for_nth("all up", 5, |line| line.get("message") == "up");
    let finished = podinit.stop();
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(6),
        "{:?}",
        finished.took
    );
    for at in 0..5 {
        let name = format!("p{at}-0");
        assert!(
            finished.has(|line| line.is_own(&name, "stopping with SIGTERM")),
            "{}",
            finished.story()
        );
    }
}

/// A stop is obeyed while init processes, hooks, waits and backoffs run; nothing starts after it.
#[test]
fn term_is_obeyed_in_every_phase_of_the_start() {
    let web = "{name: web, command: [sleep, infinity]}";
    let cases = [
        ("a set hook", format!("  hooks: {{preStart: [{{name: h, exec: {{command: [sh, -c, 'echo here; sleep 300']}}, timeoutSeconds: 300}}]}}\n  processes: [{web}]")),
        ("an init process", format!("  initProcesses: [{{name: i, command: [sh, -c, 'echo here; sleep 300'], onStop: Signal}}]\n  processes: [{web}]")),
        ("a wait", "  processes: [{name: web, command: [sleep, infinity], dependsOn: [{name: once, condition: Completed}]}, {name: once, command: [sh, -c, 'echo here; exec sleep 300'], restartPolicy: Never}]".to_owned()),
        ("a preStart hook", "  processes: [{name: web, command: [sleep, infinity], lifecycle: {preStart: {exec: {command: [sh, -c, 'echo here; sleep 300']}, timeoutSeconds: 300}}}]".to_owned()),
        ("a backoff", "  processes: [{name: once, command: [sh, -c, 'echo here; exit 1'], restartBackoff: {initial: 100s}}]".to_owned()),
    ];
    for (phase, spec) in cases {
        let podinit = Start::spec(&spec).start();
        podinit.wait_for(phase, |line| line.get("message") == "here");
        let finished = podinit.stop();
        assert!(
            finished.took < SHORT,
            "{phase}: {:?}\n{}",
            finished.took,
            finished.story()
        );
        assert!(
            !finished.has(|line| line.is_own("web-0", "started")),
            "{phase}: {}",
            finished.story()
        );
        assert!(
            matches!(finished.code, 0 | 143),
            "{phase}: {}",
            finished.story()
        );
    }
}

/// A second TERM is not a reason to hurry.
#[test]
fn a_second_term_changes_nothing() {
    let podinit = Start::spec(
        "  processes: [{name: a, command: [bash, -c, 'trap \"sleep 1; exit 0\" TERM; echo up; while :; do sleep .05; done']}]",
    )
    .start();
    podinit.wait_for("up", |line| line.get("message") == "up");
    podinit.signal(15);
    podinit.signal(15);
    podinit.signal(3);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(!finished.has(|line| line.is_own("a-0", "killed")));
}

/// HUP ends nothing: it looks whether the spec has changed.
#[test]
fn hup_and_user_signals_end_nothing() {
    let podinit = Start::spec("  processes: [{name: a, command: [sleep, infinity]}]").start();
    podinit.wait_started("a-0");
    for signal in [1, 10, 12] {
        podinit.signal(signal);
    }
    podinit.wait_for_nth("two words about the others", 2, |line| {
        line.get("message").contains("ignored")
    });
    podinit.wait_for("HUP looks for changes", |line| {
        line.get("message") == "the spec has not changed"
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

/// Every catchable signal can be a stop signal, real-time ones too.
#[test]
fn any_signal_can_be_the_stop_signal() {
    for (name, trap) in [
        ("SIGUSR1", "USR1"),
        ("SIGRTMIN+3", "RTMIN+3"),
        ("SIGINT", "INT"),
        ("SIGWINCH", "WINCH"),
    ] {
        let podinit = Start::spec(&format!(
            "  processes: [{{name: a, stopSignal: {name}, command: [bash, -c, 'trap \"echo got {trap}; exit 0\" {trap}; echo up; while :; do sleep .05; done']}}]"
        ))
        .start();
        podinit.wait_for("up", |line| line.get("message") == "up");
        let finished = podinit.stop();
        let got = format!("got {trap}");
        assert!(
            finished.has(|line| line.get("message") == got),
            "{}",
            finished.story()
        );
    }
}

// --- crashes ----------------------------------------------------------------------------------------------------------

/// What failed for good is said to have failed, and can end the set with its code.
#[test]
fn a_process_that_is_dead_for_good_is_not_taken_for_running() {
    let finished = Start::spec(
        "
  processes:
    - name: a
      command: [sh, -c, 'exit 5']
      restartBackoff: {initial: 1ms, max: 1ms}
      restartLimit: {count: 3, window: 1m}
      onFailure: ExitSet
    - {name: b, command: [sleep, infinity]}",
    )
    .run();
    assert_eq!(finished.code, 5, "{}", finished.story());
    assert_eq!(started(&finished, "a-0"), 4, "{}", finished.story());
    assert!(
        finished.has(|line| line.is_own("a-0", "failed for good")),
        "{}",
        finished.story()
    );
}

/// A dependency on the end of a process waits for its end, and hears of its failure.
#[test]
fn dependents_of_a_one_shot_wait_for_its_end() {
    let finished = Start::spec(
        "
  processes:
    - {name: migrate, command: [sh, -c, 'sleep 0.5; exit 1'], restartPolicy: Never}
    - {name: web, command: [/bin/true], restartPolicy: Never, dependsOn: [{name: migrate, condition: Completed}]}
    - {name: after, command: [/bin/true], restartPolicy: Never, dependsOn: [{name: migrate, condition: Exited}]}",
    )
    .run();
    assert_eq!(finished.code, 1, "{}", finished.story());
    assert_eq!(started(&finished, "web-0"), 0, "{}", finished.story());
    assert!(finished.has(|line| line.is_own("web-0", "failed for good: DependencyFailed")));
    let ended = finished.position("the end", |line| line.is_own("migrate-0", "exited"));
    let after = finished.position("its follower", |line| line.is_own("after-0", "started"));
    assert!(ended < after, "{}", finished.story());
}

/// Backoff keeps its cap after hundreds of restarts.
#[test]
fn hundreds_of_crashes_stay_at_the_cap() {
    let podinit = Start::spec(
        "  processes: [{name: a, command: ['false'], restartBackoff: {initial: 1ms, max: 50ms, jitter: 0}}]",
    )
    .start();
    podinit.wait_for_nth("60 runs", 60, |line| line.is_own("a-0", "started"));
    let from = Instant::now();
    let line = podinit.wait_for_nth("20 more", 80, |line| line.is_own("a-0", "started"));
    let took = line.at - from;
    assert!(
        took >= Duration::from_millis(900),
        "20 restarts in {took:?}"
    );
    assert_eq!(podinit.stop().code, 0);
}

/// One instance's crash touches no other.
#[test]
fn a_crashed_replica_is_the_only_one_restarted() {
    let podinit = Start::spec(
        "  processes: [{name: a, command: [sleep, infinity], replicas: 5, restartBackoff: {initial: 10ms}}]",
    )
    .start();
    podinit.wait_for_nth("all five", 5, |line| line.get("message") == "started");
    let before = children_of(podinit.pid());
    kill(Pid::from_raw(before[2]), Signal::SIGKILL).unwrap();
    podinit.wait_for_nth("a sixth", 6, |line| line.get("message") == "started");
    let after = children_of(podinit.pid());
    let kept = before.iter().filter(|pid| after.contains(pid)).count();
    assert_eq!(kept, 4, "{before:?} {after:?}");
    assert_eq!(podinit.stop().code, 0);
}

/// What crashes at the start does not leave the others orphaned.
#[test]
fn a_failed_start_stops_what_had_started() {
    let podinit = Start::spec(
        "
  hooks: {postStart: [{name: bad, exec: {command: ['false']}}], postStop: [{name: bye, exec: {command: [touch, bye]}}]}
  processes: [{name: a, command: [bash, -c, 'trap \"touch graceful; exit 0\" TERM; while :; do sleep .05; done']}]",
    )
    .start();
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 76, "{}", finished.story());
    assert!(finished.dir().join("bye").exists(), "{}", finished.story());
}

/// A set with another run ahead is not done, although nothing runs.
#[test]
fn a_set_in_backoff_is_not_done() {
    let finished = Start::spec(
        "
  processes:
    - {name: a, command: [sh, -c, '[ -e x ] && exit 0; touch x; exit 1'], restartPolicy: OnFailure, restartBackoff: {initial: 300ms}}",
    )
    .run();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert_eq!(started(&finished, "a-0"), 2, "{}", finished.story());
}

// --- hooks ------------------------------------------------------------------------------------------------------------

/// A hook is over when it is over, whatever it left in the background.
#[test]
fn a_hook_that_leaves_a_child_behind_holds_nobody_up() {
    let podinit = Start::spec(
        "
  hooks: {preStart: [{name: h, exec: {command: [sh, -c, 'sleep 300 & exit 0']}, timeoutSeconds: 60}]}
  processes: [{name: a, command: [sleep, infinity]}]",
    )
    .mode(As::PlainChild)
    .start();
    let from = Instant::now();
    podinit.wait_started("a-0");
    assert!(
        from.elapsed() < Duration::from_secs(2),
        "{:?}",
        from.elapsed()
    );
    let pid = podinit.pid();
    within(SOON, "the hook's child to be ended", || {
        (descendants_of(pid).len() == 1).then_some(())
    });
    assert_eq!(podinit.stop().code, 0);
}

/// A hook that hangs is cut at its timeout, with everything it started.
#[test]
fn a_hook_that_hangs_is_cut_at_its_timeout() {
    let finished = Start::spec(
        "
  hooks: {preStart: [{name: h, exec: {command: [sh, -c, 'trap \"\" TERM; sleep 300 & wait']}, timeoutSeconds: 1}]}
  processes: [{name: a, command: [sleep, infinity]}]",
    )
    .run();
    assert_eq!(finished.code, 76, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(3),
        "{:?}",
        finished.took
    );
}

/// Hooks of a process run as its user, in its directory, with its environment.
#[test]
fn a_process_s_hook_is_who_the_process_is() {
    let podinit = Start::spec(
        "
  processes:
    - name: a
      command: [sleep, infinity]
      workingDir: /usr
      env: [{name: COLOUR, value: blue}]
      securityContext: {runAsUser: 12345, runAsGroup: 23456}
      lifecycle: {postStart: {exec: {command: [sh, -c, 'echo $(id -u) $(id -g) $(id -G) $PWD $COLOUR']}}}",
    )
    .start();
    podinit.wait_for("who it is", |line| {
        line.get("message") == "12345 23456 23456 /usr blue"
    });
    assert_eq!(podinit.stop().code, 0);
}

// --- reaping ----------------------------------------------------------------------------------------------------------

// --- environment ------------------------------------------------------------------------------------------------------

/// A user that does not exist is refused: nothing runs as root in its place.
#[test]
fn an_unknown_user_is_refused_and_nothing_runs() {
    let finished = Start::spec(
        "  processes: [{name: a, command: [touch, ran], restartPolicy: Never, securityContext: {runAsUser: nobody-at-all}}]",
    )
    .run();
    assert_eq!(finished.code, 65, "{}", finished.story());
    assert!(!finished.dir().join("ran").exists());
    assert!(
        finished.story().contains("nobody-at-all"),
        "{}",
        finished.story()
    );
}

/// A number needs no entry, and HOME follows the user.
#[test]
fn a_numeric_user_is_that_user_with_a_home_and_groups_of_its_own() {
    let finished = Start::spec(
        "  processes: [{name: a, command: [sh, -c, 'echo $(id -u) $(id -g) $(id -G) $HOME'], restartPolicy: Never, securityContext: {runAsUser: 4242, runAsGroup: 4243}}]",
    )
    .run();
    assert!(
        finished.has(|line| line.get("message") == "4242 4243 4243 /"),
        "{}",
        finished.story()
    );
}

/// A user without the right to change to another is told so at the start.
#[test]
fn a_foreign_user_without_the_right_is_refused() {
    let finished = Start::args(&["-f", "-"])
        .stdin("apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec: {processes: [{name: a, command: [/usr/bin/id], restartPolicy: Never, securityContext: {runAsUser: 4242}}]}\n")
        .mode(As::PlainChild)
        .under(&["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
        .run();
    assert_eq!(finished.code, 65, "{}", finished.story());
    assert!(finished.story().contains("SETUID"), "{}", finished.story());
}

/// Overrides are typed by their field: 1 is a number where one is wanted, and text where text is.
#[test]
fn overrides_from_the_environment_are_typed_by_the_field() {
    let podinit = Start::spec("  processes: [{name: my-app, command: [sh, -c, 'echo up $TOKEN; exec sleep infinity'], env: [{name: TOKEN, value: '00123456'}]}]")
        .env("PODINIT_PROCESS_MY_APP_REPLICAS", "1")
        .env("PODINIT_PROCESS_MY_APP_PRIORITY", "0")
        .start();
    podinit.wait_for("the token", |line| line.get("message") == "up 00123456");
    assert_eq!(podinit.stop().code, 0);
    let finished = Start::spec("  processes: [{name: my-app, command: [sleep, infinity]}]")
        .env("PODINIT_PROCESS_MY_AP_REPLICAS", "1")
        .run();
    assert_eq!(finished.code, 65, "{}", finished.story());
    assert!(
        finished.story().contains("PODINIT_PROCESS_MY_APP_"),
        "{}",
        finished.story()
    );
}

/// A dependency on a disabled process is refused by the check and by the start alike.
#[test]
fn a_dependency_on_a_disabled_process_is_refused_by_both() {
    let spec = "  processes: [{name: a, command: [/usr/bin/id], enabled: false}, {name: b, command: [/usr/bin/id], dependsOn: [{name: a}]}]";
    let start = Start::spec(spec);
    let file = start.dir().join("processset.yaml");
    let check = Start::args(&["check", file.to_str().unwrap()]).run();
    let run = start.run();
    for finished in [check, run] {
        assert_eq!(finished.code, 65, "{}", finished.story());
        assert!(
            finished.story().contains("optional: true"),
            "{}",
            finished.story()
        );
    }
}

// --- limits -----------------------------------------------------------------------------------------------------------

/// When forks fail, podinit lives, tries again, and says so.
#[test]
fn when_no_process_can_be_made_podinit_goes_on() {
    let podinit = Start::args(&["-f", "-"])
        .stdin("apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n  processes:\n    - {name: a, command: [sleep, infinity], replicas: 60, restartBackoff: {initial: 200ms, max: 200ms}}\n")
        .mode(As::PlainChild)
        .under(&["prlimit",
            "--nproc=30",
            "setpriv",
            "--reuid",
            "54322",
            "--regid",
            "54322",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ])
        .start();
    podinit.wait_for("a fork that fails", |line| {
        line.get("message").starts_with("failed to fork")
    });
    podinit.wait_for("a fork that works", |line| line.get("message") == "started");
    podinit.wait_for_nth("tries that go on", 100, |line| {
        line.get("message").starts_with("failed to fork")
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{:?}", finished.lines.last());
}
