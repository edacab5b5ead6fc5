//! Promises with a number: a burst, a flood, a hundred milliseconds. One at a time, so that they measure podinit and not each
//! other.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a test"
)]

#[path = "support/cgroup.rs"]
mod cgroup;
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cgroup::Cgroup;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Start, children_of, descendants_of, state_of, within};

/// Held by the test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A leader that dies while a grandchild holds its pipes is noticed at once, and the group is gone before the next run.
#[test]
fn a_crash_is_noticed_while_a_grandchild_holds_the_pipes() {
    let _alone = alone();
    let podinit = Start::spec(
        "
  processes:
    - name: a
      command: [bash, -c, '(trap \"\" TERM; echo holding; while :; do sleep .05; done) & sleep infinity']
      restartBackoff: {initial: 10ms, max: 10ms}",
    )
    .start();
    podinit.wait_for("the grandchild", |line| line.get("message") == "holding");
    let leader = children_of(podinit.pid())[0];
    let held = descendants_of(leader);
    assert!(!held.is_empty());
    kill(Pid::from_raw(leader), Signal::SIGKILL).unwrap();
    let killed = Instant::now();
    let exited = podinit.wait_for("its end", |line| line.is_own("a-0", "exited"));
    assert!(
        exited.at - killed < Duration::from_millis(100),
        "{:?}",
        exited.at - killed
    );
    podinit.wait_for_nth("its next run", 2, |line| line.is_own("a-0", "started"));
    for pid in held {
        assert!(
            matches!(state_of(pid), None | Some('Z')),
            "{pid} outlived its run"
        );
    }
    assert_eq!(podinit.stop().code, 0);
}

/// Orphans in a burst are reaped as they die.
#[test]
fn three_thousand_orphans_leave_no_zombies() {
    let _alone = alone();
    // Numbers of zombies are races between podinit and the burst: with others on both cores they would tell of those.
    let cgroup = Cgroup::new("cpu", "orphans");
    cgroup.first_on_the_cpu();
    let words = cgroup.words();
    let podinit = Start::spec(
        "
  processes:
    - {name: a, command: [sleep, infinity]}
    - {name: burst, restartPolicy: Never, command: [perl, -e, 'for (1..3000) { my $p = fork; if (!$p) { exit 0 if fork; select undef, undef, undef, 0.001; exit 0 } waitpid $p, 0 } print \"burst over\\n\"']}",
    )
    .under(&words.each_ref().map(String::as_str))
    .start();
    podinit.wait_started("a-0");
    let pid = podinit.pid();
    let mut most = 0;
    let mut zombies = || {
        let count = children_of(pid)
            .into_iter()
            .filter(|pid| state_of(*pid) == Some('Z'))
            .count();
        most = most.max(count);
        count
    };
    while !podinit
        .lines()
        .iter()
        .any(|line| line.get("message") == "burst over")
    {
        zombies();
    }
    let over = Instant::now();
    within(Duration::from_millis(100), "no zombies", || {
        (zombies() == 0).then_some(())
    });
    assert!(most <= 50, "{most} zombies at a time");
    let finished = podinit.stop();
    let reaped = finished.summary().number("orphansReaped");
    assert_eq!(reaped, Some(3000.0), "{} {over:?}", finished.summary().text);
}

/// A hundred processes that crash at once cost next to nothing. The number to hold, 5 % of a core, is that of the release
/// build, and `benches/run` holds it; this is the build of the tests on a machine that does other things too.
#[test]
fn a_crash_loop_of_a_hundred_is_cheap() {
    let _alone = alone();
    let podinit =
        Start::spec("  processes: [{name: a, command: ['false'], replicas: 100}]").start();
    podinit.wait_for_nth("a few rounds", 300, |line| {
        line.is_own_prefix("a-", "started")
    });
    let pid = podinit.pid();
    let (before, from) = (cpu_ticks(pid), Instant::now());
    podinit.wait_for_nth("another two", 500, |line| {
        line.is_own_prefix("a-", "started")
    });
    let (spent, took) = (cpu_ticks(pid) - before, from.elapsed());
    // Ticks are hundredths of a second.
    let share = spent as f64 / 100.0 / took.as_secs_f64();
    assert!(
        share < 0.1,
        "{:.1} % of a core over {took:?}",
        share * 100.0
    );
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
}

/// Exits that come before anybody looks are all counted.
#[test]
fn ten_thousand_instant_exits_are_all_counted() {
    let _alone = alone();
    let mut spec = String::from("  processes:\n");
    for at in 0..10 {
        let after = if at > 0 {
            format!(", dependsOn: [{{name: p{}, condition: Completed}}]", at - 1)
        } else {
            String::new()
        };
        spec.push_str(&format!(
            "    - {{name: p{at}, command: [/bin/true], replicas: 1000, restartPolicy: Never{after}}}\n"
        ));
    }
    let finished = Start::spec(&spec).start().finish(Duration::from_secs(120));
    let last = finished.summary();
    assert_eq!(finished.code, 0, "{}", last.text);
    assert_eq!(last.number("runs"), Some(10_000.0), "{}", last.text);
    assert_eq!(last.number("exits"), Some(10_000.0), "{}", last.text);
    assert_eq!(last.number("orphansReaped"), Some(0.0), "{}", last.text);
}

/// As PID 1, with four hooks a run and a thousand runs: every status arrives.
#[test]
fn four_thousand_hooks_four_thousand_statuses() {
    let _alone = alone();
    let finished = Start::spec(
        "
  processes:
    - name: a
      command: [sleep, infinity]
      replicas: 1000
      lifecycle:
        preStart: {exec: {command: [/bin/true]}, timeoutSeconds: 60}
        postStart: {exec: {command: [/bin/true]}, timeoutSeconds: 60}
        preStop: {exec: {command: [/bin/true]}, timeoutSeconds: 20}
        postStop: {exec: {command: [/bin/true]}, timeoutSeconds: 20}
  terminationGracePeriodSeconds: 60",
    )
    .start();
    finished.wait_for("all of them", |line| {
        line.get("message").starts_with("all processes started")
    });
    let finished = finished.stop();
    let last = finished.summary();
    assert_eq!(finished.code, 0, "{}", last.text);
    // The runs themselves, and four hooks for each.
    assert_eq!(last.number("runs"), Some(5000.0), "{}", last.text);
    assert_eq!(last.number("exits"), Some(5000.0), "{}", last.text);
    assert!(
        !finished.has(|line| line.get("message").contains("failed")),
        "{}",
        last.text
    );
}

fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
