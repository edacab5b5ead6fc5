//! What does not end when it is told to.

use std::time::Duration;

use crate::bare::{Bare, STUB, kill, mark, with_mark};
use crate::cgroup::Cgroup;
use crate::support::{As, SOON, Start, state_of, within};

fn stop(pid: i32) {
    kill(pid, libc::SIGSTOP);
    within(SOON, "it to stop", || {
        (state_of(pid) == Some('T')).then_some(())
    });
}

/// Not even KILL ends what the freezer holds, as with a process in an uninterruptible wait.
#[test]
fn what_kill_does_not_end_is_called_stuck_and_podinit_leaves_on_time_with_124() {
    let podinit = Start::spec(&format!(
        "
  terminationGracePeriodSeconds: 6
  processes:
    - {{name: db, command: [{STUB}, --say, up, --forever]}}
    - {{name: web, command: [{STUB}, --say, up, --forever], terminationGracePeriodSeconds: 1, dependsOn: [{{name: db}}]}}"
    ))
    .mode(As::PlainChild)
    .start();
    let db = podinit.wait_started("db-0");
    let web = podinit.wait_started("web-0");
    podinit.wait_for_nth("both", 2, |line| line.get("message") == "up");
    let cgroup = Cgroup::freezer("stuck");
    cgroup.add(web);
    cgroup.freeze();
    let finished = podinit.stop();
    let (web_there, db_there) = (state_of(web), state_of(db));
    drop(cgroup);
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(6),
        "{:?}",
        finished.took
    );
    assert!(
        finished.has(|line| line.is_own("web-0", "stuck")),
        "{}",
        finished.story()
    );
    assert!(web_there.is_some() && db_there.is_none());
    // It holds nobody up: what it depends on is asked, in time, and ends.
    assert!(
        finished.has(|line| line.is_own("db-0", "exited")),
        "{}",
        finished.story()
    );
    within(SOON, "the end of what was frozen", || {
        state_of(web).is_none().then_some(())
    });
}

/// Killed at the very deadline: there is no time to wait and see, but it is said all the same.
#[test]
fn what_is_stuck_at_the_deadline_is_called_that_too() {
    let podinit = Start::spec(&format!(
        "
  terminationGracePeriodSeconds: 3
  processes: [{{name: web, command: [{STUB}, --say, up, --forever]}}]"
    ))
    .mode(As::PlainChild)
    .start();
    let web = podinit.wait_started("web-0");
    podinit.wait_for("it", |line| line.get("message") == "up");
    let cgroup = Cgroup::freezer("deadline");
    cgroup.add(web);
    cgroup.freeze();
    let finished = podinit.stop();
    drop(cgroup);
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(3),
        "{:?}",
        finished.took
    );
    assert!(
        finished.has(|line| line.is_own("web-0", "stuck")),
        "{}",
        finished.story()
    );
}

#[test]
fn a_stopped_process_is_continued_so_that_it_can_end() {
    for mode in [As::Pid1, As::PlainChild] {
        let podinit = Start::spec(&format!(
            "  processes: [{{name: p, command: [{STUB}, --trap, SIGTERM, '0', '0', --hold, '1', --say, up, --forever]}}]"
        ))
        .mode(mode)
        .start();
        podinit.wait_for("it", |line| line.get("message") == "up");
        let leader = crate::support::children_of(podinit.pid())[0];
        for pid in [leader, crate::support::children_of(leader)[0]] {
            stop(pid);
        }
        let finished = podinit.stop();
        assert_eq!(finished.code, 0, "{}", finished.story());
        assert!(finished.has(|line| line.get("message") == "trapped SIGTERM"));
        assert!(
            finished.took < Duration::from_secs(3),
            "{:?}",
            finished.took
        );
    }
}

#[test]
fn a_stopped_child_of_command_mode_is_killed_at_the_deadline() {
    let running = Bare::podinit(As::PlainChild, &[STUB, "--say", "up", "--forever"])
        .env("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "2")
        .start();
    running.stdout().wait_for("up\n", 1);
    stop(running.child());
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 137, "{}", ended.story());
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
}

/// Fifty that fork and end all the time, and ignore TERM: none of them is left.
#[test]
fn a_storm_of_forks_that_ignores_term_is_gone_at_the_end() {
    let mark = mark("storm");
    let podinit = Start::spec(&format!(
        "
  terminationGracePeriodSeconds: 5
  processes: [{{name: p, command: [{STUB}, --mark, {mark}, --ignore, SIGTERM, --storm, '50', --say, up, --forever]}}]"
    ))
    .mode(As::PlainChild)
    .start();
    podinit.wait_for("it", |line| line.get("message") == "up");
    assert!(with_mark(&mark).len() > 10);
    let finished = podinit.stop();
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert_eq!(with_mark(&mark), Vec::<i32>::new());
    assert!(
        finished.took < Duration::from_secs(5),
        "{:?}",
        finished.took
    );
}

/// The same without its leader: the next run waits until none of them is left.
#[test]
fn a_storm_that_outlives_its_leader_is_ended_before_the_next_run() {
    let mark = mark("leaderless");
    let podinit = Start::spec(&format!(
        "
  processes:
    - name: p
      command: [sh, -c, 'echo run; [ -e storm ] && exec sleep infinity; touch storm; {STUB} --mark $MARK --ignore SIGTERM --storm 50; exit 1']
      env: [{{name: MARK, value: {mark}}}]
      restartBackoff: {{initial: 10ms, max: 10ms}}"
    ))
    .mode(As::PlainChild)
    .start();
    podinit.wait_for_nth("its second run", 2, |line| line.get("message") == "run");
    assert_eq!(with_mark(&mark), Vec::<i32>::new());
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
}

/// Daemons out of every session, ignoring TERM, that fork more of them.
#[test]
fn daemons_that_ignore_term_are_gone_at_the_end() {
    let mark = mark("daemons");
    let podinit = Start::spec(&format!(
        "
  terminationGracePeriodSeconds: 5
  processes: [{{name: p, command: [{STUB}, --mark, {mark}, --ignore, SIGTERM, --daemon, '20', --say, up, --forever], stopSignal: SIGKILL}}]"
    ))
    .mode(As::PlainChild)
    .start();
    podinit.wait_for("it", |line| line.get("message") == "up");
    let finished = podinit.stop();
    assert_eq!(with_mark(&mark), Vec::<i32>::new());
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(5),
        "{:?}",
        finished.took
    );
}
