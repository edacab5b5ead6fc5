//! A standard output that nobody reads: a matter of logs, nothing else.

use std::io::{PipeReader, PipeWriter, Write as _};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;

use crate::bare::{Bare, Ended, Running, STUB, Stream, status_of};
use crate::support::{As, SOON, within};

const NEVER: &str = "restartPolicy: Never";

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let block = [b'\n'; 4096];
    while writer.write(&block).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

/// podinit with a standard output that takes nothing until its reader reads.
fn blocked(mode: As, spec: &str) -> (Running, PipeReader) {
    let (reader, writer) = full_pipe();
    let bare = Bare::spec(mode, &[], spec).with(|command| {
        command.stdout(writer);
    });
    (bare.start(), reader)
}

fn wait_file(running: &Running, name: &str) {
    within(SOON, name, || running.path(name).exists().then_some(()));
}

/// All that comes out from now on, once podinit has ended.
fn rest(running: Running, reader: PipeReader) -> (Ended, String) {
    let stream = Stream::of(reader);
    let ended = running.finish(SOON);
    (ended, stream.to_the_end())
}

/// The numbers that children wrote, a line each.
fn numbers_of(output: &str) -> Vec<u64> {
    let message = |line: &str| {
        line.split_once("\"message\":\"")?
            .1
            .strip_suffix("\"}")?
            .parse()
            .ok()
    };
    output.lines().filter_map(message).collect()
}

#[test]
fn crashes_are_restarted_while_nobody_reads() {
    let (running, _reader) = blocked(
        As::Pid1,
        "  processes: [{name: p, command: [sh, -c, 'echo out; echo x >> runs; exit 1'], restartBackoff: {initial: 5ms, max: 5ms}}]",
    );
    within(SOON, "thirty runs", || {
        (std::fs::read(running.path("runs")).ok()?.len() >= 60).then_some(())
    });
}

/// A third process beside those that flood, and the exit code that comes of it.
fn stop_while_nobody_reads(third: &str, code: i32) {
    let flood = format!("command: [{STUB}, --flood, '1000000000000']");
    let (running, _reader) = blocked(
        As::Pid1,
        &format!(
            "
  terminationGracePeriodSeconds: 4
  processes:
    - {{name: a, {flood}, replicas: 3}}
    - {{name: b, {flood}, logging: {{onBackpressure: DropOldest}}}}
    - {{name: c, {third}}}"
        ),
    );
    wait_file(&running, "up");
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, code, "{}", ended.story());
    assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
    assert!(
        ended.stderr.contains("of log output could not be written"),
        "{}",
        ended.story()
    );
}

const UP: &str = "command: [sh, -c, 'touch up; exec sleep infinity']";

#[test]
fn a_stop_ends_all_inside_the_grace_period_while_nobody_reads() {
    stop_while_nobody_reads(UP, 0);
}

#[test]
fn a_stop_that_leaves_something_undone_is_143_while_nobody_reads() {
    stop_while_nobody_reads(&format!("{UP}, restartPolicy: OnFailure"), 143);
}

#[test]
fn a_stop_that_has_to_kill_is_124_while_nobody_reads() {
    let deaf = "command: [sh, -c, 'trap \"\" TERM; touch up; while :; do sleep .1; done']";
    stop_while_nobody_reads(deaf, 124);
}

/// After the last deadline nobody waits for our output any more: there is too little time.
#[test]
fn a_hook_after_the_last_deadline_waits_for_nobody_who_reads() {
    let deaf = "command: [sh, -c, 'trap \"\" TERM; touch up; while :; do sleep .1; done']";
    let (running, _reader) = blocked(
        As::Pid1,
        &format!(
            "
  terminationGracePeriodSeconds: 16
  hooks: {{postStop: [{{name: x, exec: {{command: [sh, -c, 'seq 200000; touch done']}}, timeoutSeconds: 10}}]}}
  processes: [{{name: deaf, {deaf}}}]"
        ),
    );
    wait_file(&running, "up");
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 124, "{}", ended.story());
    assert!(ended.path("done").exists(), "{}", ended.story());
}

#[test]
fn with_block_a_child_waits_and_not_one_of_its_lines_is_lost() {
    let (running, reader) = blocked(
        As::PlainChild,
        &format!(
            "  processes: [{{name: p, {NEVER}, command: [sh, -c, 'touch begun; seq 200000; touch done']}}]"
        ),
    );
    wait_file(&running, "begun");
    // More than all buffers in between hold: it cannot have ended.
    assert!(!running.path("done").exists());
    let (ended, output) = rest(running, reader);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.path("done").exists());
    assert!(numbers_of(&output).into_iter().eq(1..=200_000));
    assert_eq!(ended.stderr, "");
}

#[test]
fn with_drop_oldest_a_child_never_waits_and_each_lost_line_is_counted() {
    let (running, reader) = blocked(
        As::PlainChild,
        &format!(
            "  processes: [{{name: p, {NEVER}, command: [sh, -c, 'seq 200000; touch done'], logging: {{onBackpressure: DropOldest}}}}]"
        ),
    );
    wait_file(&running, "done");
    let (ended, output) = rest(running, reader);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let written = numbers_of(&output);
    let dropped: u64 = output
        .lines()
        .filter(|line| line.contains("\"dropped\":"))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["instance"] == "p-0")
        .map(|record| record["dropped"].as_u64().unwrap())
        .sum();
    assert!(dropped > 100_000, "{dropped}");
    assert_eq!(written.len() as u64 + dropped, 200_000);
    assert!(written.is_sorted(), "in order");
    assert_eq!(written.last(), Some(&200_000), "the newest are kept");
}

#[test]
fn memory_is_bounded_with_twenty_flooding_processes_and_a_blocked_output() {
    let flood =
        |file: &str| format!("command: [{STUB}, --flood, '20000000', --file, {file}, --forever]");
    let mut spec = format!(
        "  processes:\n    - {{name: b, replicas: 10, {}}}\n",
        flood("never")
    );
    for n in 0..10 {
        spec += &format!(
            "    - {{name: d{n}, {}, logging: {{onBackpressure: DropOldest}}}}\n",
            flood(&format!("done{n}"))
        );
    }
    let (running, _reader) = blocked(As::PlainChild, &spec);
    for n in 0..10 {
        wait_file(&running, &format!("done{n}"));
    }
    assert!(!running.path("never").exists());
    let peak = status_of(running.pid(), "VmHWM").unwrap();
    let kilobytes: u64 = peak.strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kilobytes < 40_000, "{peak}");
}

#[test]
fn the_last_lines_of_a_dead_process_are_in_the_termination_message_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let message = dir.path().join("termination-log");
    std::fs::write(&message, "").unwrap();
    let (reader, writer) = full_pipe();
    let bare = Bare::spec(
        As::Pid1,
        &[],
        &format!("
  terminationGracePeriodSeconds: 3
  processes: [{{name: p, {NEVER}, onFailure: ExitSet, command: [sh, -c, 'seq 9000; echo the very last; exit 9']}}, {{name: b, command: [sleep, infinity]}}]"),
    )
    .with(|command| {
        command
            .arg("--termination-log")
            .arg(&message)
            .stdout(writer);
    });
    let ended = bare.start().finish(SOON);
    assert_eq!(ended.code, 9, "{}", ended.story());
    let message = std::fs::read_to_string(&message).unwrap();
    assert!(
        message.starts_with("exit code 9: p-0 failed for good: exit code 9\n"),
        "{message}"
    );
    assert!(
        message.ends_with("\n8999\n9000\nthe very last\n"),
        "{message}"
    );
    drop(reader);
}

#[test]
fn whoever_still_holds_a_pipe_does_not_hold_up_the_exit() {
    for mode in [As::Pid1, As::PlainChild] {
        let bare = Bare::spec(
            mode,
            &[],
            "  processes: [{name: p, command: [sh, -c, 'echo up; exec sleep infinity']}]",
        );
        let running = bare.start();
        running.stdout().wait_for("\"message\":\"up\"", 1);
        // In the test's own hands, for as long as it likes.
        let held: Vec<_> = (1..=2)
            .map(|fd| {
                let path = format!("/proc/{}/fd/{fd}", running.child());
                std::fs::File::options().write(true).open(path).unwrap()
            })
            .collect();
        running.signal(libc::SIGTERM);
        let ended = running.finish(SOON);
        assert_eq!(ended.code, 0, "{}", ended.story());
        assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
        drop(held);
    }
}
