//! Out of descriptors, processes, memory.

use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::support::{As, Start};

/// Forty with room for about ten: those that cannot start say so and are tried again until they can.
#[test]
fn out_of_descriptors_it_says_so_and_starts_the_rest_when_there_are_some_again() {
    let podinit = Start::spec(
        "
  processes:
    - name: p
      replicas: 40
      restartPolicy: OnFailure
      restartBackoff: {initial: 50ms, max: 50ms}
      command: [sh, -c, 'echo up; until [ -e go ]; do sleep .05; done']",
    )
    .under(&["prlimit", "--nofile=64:64"])
    .start();
    podinit.wait_for_nth("some that run", 5, |line| line.get("message") == "up");
    podinit.wait_for_nth("tries that go on", 100, |line| {
        line.get("message") == "failed to make its pipes: Too many open files"
    });
    std::fs::write(podinit.path("go"), "").unwrap();
    let finished = podinit.finish(Duration::from_secs(60));
    assert_eq!(finished.code, 0, "{}", finished.story());
    let up = finished
        .lines
        .iter()
        .filter(|line| line.get("message") == "up");
    assert_eq!(up.count(), 40);
}

#[test]
fn out_of_descriptors_a_stop_works() {
    let podinit = Start::spec(
        "  processes: [{name: p, replicas: 40, restartBackoff: {initial: 20ms, max: 20ms}, command: [sh, -c, 'sleep infinity & wait']}]",
    )
    .mode(As::PlainChild)
    .under(&["prlimit", "--nofile=64:64"])
    .start();
    podinit.wait_for_nth("tries that go on", 100, |line| {
        line.get("message").starts_with("failed to make its pipes")
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(4),
        "{:?}",
        finished.took
    );
}

#[test]
fn without_room_for_a_process_it_lives_and_recovers_when_there_is_some() {
    let cgroup = Cgroup::new("pids", "fork");
    let words = cgroup.words();
    let podinit = Start::spec(
        "
  processes:
    - {name: a, command: [sleep, infinity]}
    - {name: b, command: [sh, -c, 'until [ -e die ]; do sleep .05; done; exit 3'], restartBackoff: {initial: 20ms, max: 20ms}}",
    )
    .mode(As::PlainChild)
    .under(&words.each_ref().map(String::as_str))
    .start();
    let a = podinit.wait_started("a-0");
    podinit.wait_started("b-0");
    cgroup.limit_pids("1");
    std::fs::write(podinit.path("die"), "").unwrap();
    podinit.wait_for_nth("forks that fail", 20, |line| {
        line.is_own("b-0", "failed to fork: Resource temporarily unavailable")
    });
    std::fs::remove_file(podinit.path("die")).unwrap();
    cgroup.limit_pids("max");
    podinit.wait_for_nth("its next run", 2, |line| line.is_own("b-0", "started"));
    assert!(crate::support::children_of(podinit.pid()).contains(&a));
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

/// No thread, no process: a stop needs none.
#[test]
fn a_stop_needs_no_new_process() {
    let cgroup = Cgroup::new("pids", "stop");
    let words = cgroup.words();
    let podinit = Start::spec(
        "
  processes:
    - name: a
      command: [sh, -c, 'sleep infinity & sleep infinity & echo up; wait']
      lifecycle: {preStop: {exec: {command: [/bin/true]}}}",
    )
    .mode(As::PlainChild)
    .under(&words.each_ref().map(String::as_str))
    .start();
    // The shell forks for itself: only then is the limit for podinit.
    podinit.wait_for("the shell", |line| line.get("message") == "up");
    cgroup.limit_pids("1");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(
        finished.has(|line| line.get("message").contains("failed to fork")),
        "the hook: {}",
        finished.story()
    );
    assert!(
        finished.took < Duration::from_secs(4),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_process_that_the_kernel_kills_for_its_memory_is_restarted_and_the_others_stay() {
    let cgroup = Cgroup::new("memory", "oom");
    cgroup.limit_memory(64 << 20);
    let words = cgroup.words();
    let podinit = Start::spec(
        "
  processes:
    - {name: small, command: [sleep, infinity]}
    - {name: big, command: [perl, -e, '$x = \"x\" x 300_000_000; sleep'], restartBackoff: {initial: 20ms, max: 20ms}}",
    )
    .mode(As::PlainChild)
    .under(&words.each_ref().map(String::as_str))
    .start();
    let small = podinit.wait_started("small-0");
    podinit.wait_for_nth("three of its ends", 3, |line| {
        line.is_own("big-0", "exited") && line.number("exitCode") == Some(137.0)
    });
    assert!(crate::support::children_of(podinit.pid()).contains(&small));
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}
