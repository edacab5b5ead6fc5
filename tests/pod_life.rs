//! Pods as their users run them, as PID 1: start, order, restart, hooks, stop, exit codes.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a test"
)]

mod support;

use std::time::Duration;

use support::{As, SOON, Start, children_of, within};

const ONE_SECOND: Duration = Duration::from_secs(1);

/// The order in which own records of these kinds came, as `instance message`.
fn order(finished: &support::Finished, messages: &[&str]) -> Vec<String> {
    finished
        .lines
        .iter()
        .filter(|line| line.get("source") == "podinit" && !line.get("instance").is_empty())
        .filter_map(|line| {
            let message = line.get("message");
            messages
                .iter()
                .find(|known| message.starts_with(**known))
                .map(|known| format!("{} {known}", line.get("instance")))
        })
        .collect()
}

#[test]
fn starts_in_order_and_stops_in_reverse() {
    let podinit = Start::spec(
        "
  initProcesses:
    - {name: first, command: [/bin/true]}
    - {name: second, command: [/bin/true]}
  processes:
    - {name: db, command: [sleep, infinity]}
    - {name: app, command: [sleep, infinity], dependsOn: [{name: db}]}
    - {name: web, command: [sleep, infinity], dependsOn: [{name: app}]}",
    )
    .start();
    podinit.wait_started("web-0");
    let finished = podinit.stop();
    // sleep ends on SIGTERM by the signal; nothing was left undone.
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert_eq!(
        order(&finished, &["started", "exited", "stopping"]),
        [
            "first started",
            "first exited",
            "second started",
            "second exited",
            "db-0 started",
            "app-0 started",
            "web-0 started",
            "web-0 stopping",
            "web-0 exited",
            "app-0 stopping",
            "app-0 exited",
            "db-0 stopping",
            "db-0 exited"
        ],
        "{}",
        finished.story()
    );
    assert!(finished.took < ONE_SECOND, "{:?}", finished.took);
}

#[test]
fn runs_as_a_plain_child_as_well() {
    let podinit = Start::spec("  processes: [{name: a, command: [sleep, infinity]}]")
        .mode(As::PlainChild)
        .start();
    podinit.wait_started("a-0");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

#[test]
fn runs_as_any_user_without_capabilities_and_without_home() {
    let podinit = Start::args(&["-f", "-"])
        .stdin(
            "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n  processes:\n    - {name: a, command: [sh, -c, 'id -u; exec sleep infinity']}\n",
        )
        .mode(As::PlainChild)
        .under(&[
            "setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups",
            "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
        ])
        .env_remove("HOME")
        .start();
    podinit.wait_for("its user id", |line| line.get("message") == "54321");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

#[test]
fn runs_with_a_read_only_root() {
    let podinit = Start::args(&["-f", "-"])
        .stdin(
            "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n  directories: [{path: /srv/never-made/x}]\n  processes:\n    - {name: a, command: [sh, -c, 'touch /tmp/x || echo read-only; exec sleep infinity']}\n",
        )
        .mode(As::PlainChild)
        .under(&[
            "unshare", "--mount", "sh", "-c",
            "mount -o remount,bind,ro / && exec \"$@\"", "sh",
        ])
        // One that is asked for has to be had.
        .env_remove("PODINIT_SOCKET")
        .start();
    podinit.wait_for("read-only", |line| line.get("message") == "read-only");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

#[test]
fn a_crash_is_restarted_and_siblings_never_notice() {
    let podinit = Start::spec(
        "
  processes:
    - {name: a, command: [sleep, infinity], restartBackoff: {initial: 100ms}}
    - {name: b, command: [sleep, infinity]}",
    )
    .start();
    podinit.wait_started("a-0");
    podinit.wait_started("b-0");
    let children = children_of(podinit.pid());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(children[0]),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    podinit.wait_for_nth("a second run of a", 2, |line| line.is_own("a-0", "started"));
    assert!(children_of(podinit.pid()).contains(&children[1]));
    let finished = podinit.stop();
    let mut starts = order(&finished, &["started"]);
    starts.sort_unstable();
    assert_eq!(
        starts,
        ["a-0 started", "a-0 started", "b-0 started"],
        "sorted: who was executed first is the kernel's choice"
    );
}

#[test]
fn hooks_run_in_order_around_runs_and_the_set() {
    let hook = |name: &str| format!("{{exec: {{command: [sh, -c, 'echo {name} >> log']}}}}");
    let named = |name: &str| {
        let label = name.to_lowercase();
        format!("[{{name: {label}, exec: {{command: [sh, -c, 'echo set-{name} >> log']}}}}]")
    };
    let podinit = Start::spec(&format!(
        "
  hooks: {{preStart: {}, postStart: {}, preStop: {}, postStop: {}}}
  processes:
    - name: a
      command: [sh, -c, 'echo run >> log; echo up; exec sleep infinity']
      lifecycle: {{preStart: {}, postStart: {}, preStop: {}, postStop: {}}}",
        named("preStart"),
        named("postStart"),
        named("preStop"),
        named("postStop"),
        hook("preStart"),
        hook("postStart"),
        hook("preStop"),
        hook("postStop"),
    ))
    .start();
    podinit.wait_for("the last start hook", |line| {
        line.get("message")
            .starts_with("hook poststart of test done")
    });
    podinit.wait_for("the run", |line| line.get("message") == "up");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let log = std::fs::read_to_string(finished.dir().join("log")).unwrap();
    let mut lines: Vec<&str> = log.lines().collect();
    // The run goes on beside all that follows its start.
    let run = lines.iter().position(|line| *line == "run").unwrap();
    assert!((2..=4).contains(&run), "{lines:?}");
    lines.remove(run);
    assert_eq!(
        lines,
        [
            "set-preStart",
            "preStart",
            "postStart",
            "set-postStart",
            "set-preStop",
            "preStop",
            "postStop",
            "set-postStop"
        ],
        "{}",
        finished.story()
    );
}

#[test]
fn replicas_know_who_they_are() {
    let podinit = Start::spec(
        "
  processes:
    - name: w
      command: [sh, -c, 'echo $PODINIT_PROCESS $PODINIT_INSTANCE_INDEX $PORT; exec sleep infinity']
      replicas: 3
      portBase: 9000",
    )
    .start();
    for index in 0..3 {
        let want = format!("w {index} {}", 9000 + index);
        let line = podinit.wait_for(&want, |line| line.get("message") == want);
        assert_eq!(line.get("instance"), format!("w-{index}"));
    }
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let cases = [
        ("[{name: a, command: [/bin/true], restartPolicy: Never}]", 0),
        (
            "[{name: a, command: [sh, -c, 'exit 7'], restartPolicy: Never}]",
            7,
        ),
        (
            "[{name: a, command: [sh, -c, 'kill -9 $$$$'], restartPolicy: Never}]",
            137,
        ),
        (
            "[{name: a, command: [sh, -c, 'exit 7'], restartPolicy: Never, onFailure: ExitSet}, {name: b, command: [sleep, infinity]}]",
            7,
        ),
        (
            "[{name: a, command: [/bin/true], restartPolicy: Never, onSuccess: ExitSet}, {name: b, command: [sleep, infinity]}]",
            0,
        ),
        (
            "[{name: a, command: [/nowhere], restartPolicy: Never, onFailure: ExitSet}, {name: b, command: [sleep, infinity]}]",
            75,
        ),
    ];
    for (processes, code) in cases {
        let finished = Start::spec(&format!("  processes: {processes}")).run();
        assert_eq!(finished.code, code, "{processes}\n{}", finished.story());
    }
    let finished = Start::spec(
        "  initProcesses: [{name: i, command: [sh, -c, 'echo because; exit 3']}]\n  processes: [{name: a, command: [sleep, infinity]}]",
    )
    .run();
    assert_eq!(finished.code, 76, "{}", finished.story());
    assert!(!finished.has(|line| line.is_own("a-0", "started")));
}

#[test]
fn a_job_that_is_stopped_is_no_success() {
    let podinit = Start::spec(
        "  processes: [{name: a, command: [sleep, infinity], restartPolicy: OnFailure}]",
    )
    .start();
    podinit.wait_started("a-0");
    let finished = podinit.stop();
    assert_eq!(finished.code, 143, "{}", finished.story());
}

#[test]
fn the_termination_message_says_who_and_why_with_its_last_lines() {
    let start = Start::spec(
        "  processes: [{name: a, command: [sh, -c, 'echo one; echo two >&2; exit 9'], restartPolicy: Never, onFailure: ExitSet}]",
    );
    let path = start.dir().join("termination-log");
    std::fs::write(&path, "").unwrap();
    let finished = start
        .arg("--termination-log")
        .arg(path.to_str().unwrap())
        .run();
    assert_eq!(finished.code, 9, "{}", finished.story());
    let message = std::fs::read_to_string(finished.dir().join("termination-log")).unwrap();
    let mut lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "exit code 9: a-0 failed for good: exit code 9");
    lines[1..].sort_unstable();
    assert_eq!(lines[1..], ["one", "two"]);
}

#[test]
fn a_process_that_ignores_term_is_killed_inside_the_grace_period() {
    let podinit = Start::spec(
        "
  terminationGracePeriodSeconds: 3
  processes: [{name: a, command: [sh, -c, 'trap \"\" TERM; echo deaf; while :; do sleep 0.1; done']}]",
    )
    .start();
    podinit.wait_for("deaf", |line| line.get("message") == "deaf");
    let finished = podinit.stop();
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(3),
        "{:?}",
        finished.took
    );
    assert!(
        finished.took > Duration::from_secs(1),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_stop_ends_daemons_that_left_their_session() {
    let podinit = Start::spec(
        "
  processes: [{name: a, command: [sh, -c, '(setsid sh -c \"trap : TERM; echo daemon; while :; do sleep 0.1; done\" &) ; exec sleep infinity']}]",
    )
    .mode(As::PlainChild)
    .start();
    podinit.wait_for("the daemon", |line| line.get("message") == "daemon");
    let pid = podinit.pid();
    let daemons = within(SOON, "the daemon to be podinit's child", || {
        let children = children_of(pid);
        (children.len() == 2).then_some(children)
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    for pid in daemons {
        assert_eq!(support::state_of(pid), None, "{pid} is still there");
    }
}

#[test]
fn a_spec_that_is_missing_or_wrong_is_65_and_says_what_to_do() {
    let finished = Start::args(&["-f", "/nowhere/processset.yaml"]).run();
    assert_eq!(finished.code, 65, "{}", finished.story());
    assert!(
        finished.story().contains("/nowhere/processset.yaml"),
        "{}",
        finished.story()
    );
    let finished = Start::spec("  processes: [{name: a, comand: [/bin/true]}]").run();
    assert_eq!(finished.code, 65, "{}", finished.story());
    assert!(finished.story().contains("command"), "{}", finished.story());
}

#[test]
fn a_stop_while_the_spec_is_still_being_read_is_obeyed() {
    // Standard input that never ends: loading hangs.
    let podinit = Start::args(&["-f", "-"])
        .mode(As::PlainChild)
        .under(&["sh", "-c", "sleep infinity | exec \"$0\" \"$@\""])
        .start();
    let shell = podinit.pid();
    let pid = within(SOON, "podinit to be exec'ed", || {
        children_of(shell).into_iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| status.contains("Name:\tpodinit") && blocks_term(&status))
        })
    });
    let sleeper: Vec<i32> = children_of(shell)
        .into_iter()
        .filter(|child| *child != pid)
        .collect();
    let kill = |pid: i32| {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        )
    };
    kill(pid).unwrap();
    within(Duration::from_secs(5), "podinit to leave", || {
        matches!(support::state_of(pid), None | Some('Z')).then_some(())
    });
    for pid in sleeper {
        kill(pid).unwrap();
    }
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 143, "{}", finished.story());
}

/// podinit has taken hold of its signals.
fn blocks_term(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigBlk:\t"))
        .and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .is_some_and(|mask| mask & (1 << 14) != 0)
}
