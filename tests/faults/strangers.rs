//! Processes that are not podinit's: never signalled, whatever their numbers.

use std::collections::HashSet;

use serde_json::Value;

use crate::bare::{Bare, Ended, NAMESPACE, Running, STUB, kill};
use crate::support::{As, PODINIT, SOON, children_of, within};

/// Crashes with leftovers that ignore TERM, daemons, short runs; ends by TERM.
fn wild(runs: &str) -> String {
    format!(
        "
  terminationGracePeriodSeconds: 6
  processes:
    - {{name: quiet, command: [{STUB}, --trap-all, --say, quiet, --forever], stopSignal: SIGKILL}}
{runs}"
    )
}

const BACKOFF: &str = "restartBackoff: {initial: 1ms, max: 5ms}";

fn leaving(name: &str, what: &str, code: i32) -> String {
    format!("    - {{name: {name}, command: [{STUB}, {what}, --exit, '{code}'], {BACKOFF}}}\n")
}

/// Somebody who tells of each signal.
fn bystander() -> Running {
    let words = [STUB, "--trap-all", "--say", "ready", "--forever"];
    let running = Bare::new(As::PlainChild, &words).start();
    running.stdout().wait_for("ready\n", 1);
    running
}

/// Nobody has signalled it, and it would have told.
fn was_left_alone(bystander: Running) {
    bystander.signal(libc::SIGUSR2);
    bystander.stdout().wait_for("got 12\n", 1);
    kill(bystander.pid(), libc::SIGKILL);
    let ended = bystander.finish(SOON);
    assert_eq!(ended.stdout, "ready\ngot 12\n");
}

fn wait_runs(running: &Running, count: usize) {
    running.stdout().wait_for("\"message\":\"started\"", count);
}

/// With the same parent, user, session and group as podinit.
#[test]
fn a_sibling_is_never_signalled_by_crash_sweep_or_stop() {
    let spec = wild(
        &[
            leaving("a", "--hold, '2', --group", 11),
            leaving("b", "--ignore, SIGTERM, --hold, '1'", 12),
            leaving("c", "--aside, '5'", 13),
        ]
        .concat(),
    );
    let bystander = bystander();
    let running = Bare::spec(As::PlainChild, &[], &spec).start();
    wait_runs(&running, 60);
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 0, "{}", ended.story());
    was_left_alone(bystander);
}

/// As with shareProcessNamespace: PID 1 is somebody else, and so are its other children.
#[test]
fn in_a_shared_pid_namespace_other_containers_are_never_signalled() {
    let leaving = |n| leaving(&format!("a{n}"), "--ignore, SIGTERM, --hold, '1'", 11);
    let spec = wild(&(1..=5).map(leaving).collect::<String>());
    let script = format!(
        "{STUB} --trap-all --say ready --forever > other & \"$0\" \"$@\"; code=$?; cat other; exit $code"
    );
    let running = Bare::spec(As::Pid1, &["sh", "-c", &script], &spec).start();
    wait_runs(&running, 16);
    kill(podinit_below(&running), libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 0, "{}", ended.story());
    assert!(ended.stdout.ends_with("\nready\n"), "{}", ended.story());
}

/// podinit where a shell is PID 1.
fn podinit_below(running: &Running) -> i32 {
    let shell = running.pid();
    within(SOON, "podinit", || {
        children_of(shell).into_iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm == "podinit\n")
        })
    })
}

/// About a hundred numbers for hundreds of processes: each is used again and again.
const FEW_PIDS: &str = "echo 400 > /proc/sys/kernel/pid_max";

fn reuse_spec() -> String {
    let mut runs = String::new();
    for n in 0..6 {
        runs += &leaving(&format!("left{n}"), "--hold, '2'", 20 + n);
        runs += &leaving(&format!("short{n}"), "--mark, x", 40 + n);
    }
    runs += &leaving("groups", "--group, --hold, '1'", 60);
    wild(&runs)
}

/// Each end is the one that belongs to the run, and none is missing.
fn check_statuses(ended: &Ended) {
    let records: Vec<Value> = ended
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let stop = records
        .iter()
        .position(|r| r["message"] == "stopping on SIGTERM");
    let before = &records[..stop.unwrap_or_else(|| panic!("{}", ended.story()))];
    let mut pids = Vec::new();
    for record in before.iter().filter(|record| record["source"] == "podinit") {
        let (Some(message), Some(process)) =
            (record["message"].as_str(), record["process"].as_str())
        else {
            continue;
        };
        if message.starts_with("exited") {
            assert_eq!(record["exitCode"], code_of(process), "{record}");
        }
        pids.extend(record["pid"].as_u64().filter(|_| message == "started"));
        assert!(!message.starts_with("stuck"), "{record}");
    }
    let different: HashSet<u64> = pids.iter().copied().collect();
    assert!(
        pids.len() - different.len() > 300,
        "{} of {}",
        different.len(),
        pids.len()
    );
    let finished = |r: &&Value| {
        r["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("finished: "))
    };
    let last = records.iter().find(finished).unwrap();
    assert_eq!(last["runs"], last["exits"], "{last}");
}

fn code_of(process: &str) -> i32 {
    let number = |text: &str| text.parse::<i32>().unwrap();
    match process.split_at_checked(process.len() - 1) {
        Some(("left", n)) => 20 + number(n),
        Some(("short", n)) => 40 + number(n),
        _ => 60,
    }
}

#[test]
fn numbers_that_are_used_again_lead_to_no_wrong_kill_and_no_lost_status() {
    let script = format!("{FEW_PIDS} && exec \"$0\" \"$@\"");
    let running = Bare::spec(As::Pid1, &["sh", "-c", &script], &reuse_spec()).start();
    wait_runs(&running, 700);
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 0, "{}", ended.story());
    assert!(!ended.stdout.contains("got "), "{}", ended.story());
    check_statuses(&ended);
}

#[test]
fn numbers_that_are_used_again_lead_to_no_signal_for_a_stranger() {
    let script = format!(
        "{FEW_PIDS}; {STUB} --trap-all --say ready --forever > other & \"$0\" \"$@\"; code=$?; cat other; exit $code"
    );
    let running = Bare::spec(As::Pid1, &["sh", "-c", &script], &reuse_spec()).start();
    wait_runs(&running, 700);
    kill(podinit_below(&running), libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 0, "{}", ended.story());
    assert!(ended.stdout.ends_with("\nready\n"), "{}", ended.story());
    check_statuses(&ended);
}

/// The same in command mode: orphans, leftovers, and a bystander.
#[test]
fn command_mode_never_signals_a_stranger_either() {
    let bystander = bystander();
    let left = [
        STUB, "--ignore", "SIGTERM", "--hold", "2", "--group", "--daemon", "2", "--exit", "3",
    ];
    let ended = Bare::podinit(As::PlainChild, &left).run();
    assert_eq!(ended.code, 3, "{}", ended.story());
    was_left_alone(bystander);
    let script = format!(
        "{FEW_PIDS}; exec {PODINIT} -- sh -c 'for i in $(seq 400); do {STUB} --daemon 0 & wait $!; done; exit 9'"
    );
    let words = [&NAMESPACE[..], &["sh", "-c", &script]].concat();
    assert_eq!(Bare::new(As::PlainChild, &words).run().code, 9);
}
