//! With a terminal: the child is the job, podinit the shell that nobody sees.

use std::path::Path;

use crate::bare::{NAMESPACE, STUB, kill};
use crate::pty::Pty;
use crate::support::{PODINIT, SOON, children_of, state_of, within};

const TRAP_ALL: [&str; 4] = ["--trap-all", "--say", "ready", "--forever"];

fn in_terminal(words: &[&str]) -> Pty {
    Pty::start(words, Path::new("/"))
}

/// `podinit -- stub ...` as the leader of the terminal's session.
fn podinit(words: &[&str]) -> Pty {
    let pty = in_terminal(&[&[PODINIT, "--", STUB], words].concat());
    pty.output().wait_for("ready", 1);
    pty
}

fn only_child(pid: i32) -> i32 {
    within(SOON, "a child", || match children_of(pid)[..] {
        [child] => Some(child),
        _ => None,
    })
}

fn wait_state(pid: i32, wanted: char) {
    within(SOON, &format!("{pid} to be {wanted}"), || {
        (state_of(pid) == Some(wanted)).then_some(())
    });
}

/// An interactive bash with job control, in a directory where `run` is `podinit -- stub`.
fn shell() -> Pty {
    let pty = in_terminal(&["bash", "--norc", "--noprofile", "-i"]);
    pty.output().wait_for("$ ", 1);
    pty.type_in(&format!("run() {{ {PODINIT} -- {STUB} \"$@\"; }}\n"));
    pty.output().wait_for("$ ", 2);
    pty
}

#[test]
fn the_child_is_in_the_foreground_and_ctrl_c_reaches_it_alone() {
    let mut pty = podinit(&TRAP_ALL);
    let child = only_child(pty.pid());
    assert_eq!(pty.foreground(), child);
    pty.type_in("\x03");
    pty.output().wait_for("got 02", 1);
    // Had podinit got it too, it would have forwarded it: before the next.
    pty.type_in("\x1c");
    pty.output().wait_for("got 03", 1);
    kill(pty.pid(), libc::SIGUSR1);
    pty.output().wait_for("got 10", 1);
    let text = pty.output().text();
    assert_eq!(text.matches("got 02").count(), 1, "{text}");
    assert_eq!(text.matches("got 03").count(), 1, "{text}");
    kill(child, libc::SIGKILL);
    assert_eq!(pty.code(SOON), 137);
}

#[test]
fn quit_with_a_terminal_starts_no_deadline() {
    let words = [
        "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS=1",
        PODINIT,
        "--",
        STUB,
        "--trap-all",
        "--say",
        "ready",
        "--delay",
        "1500",
        "--exit",
        "6",
    ];
    let mut pty = in_terminal(&[&["env"], &words[..]].concat());
    pty.output().wait_for("ready", 1);
    pty.type_in("\x1c");
    pty.output().wait_for("got 03", 1);
    assert_eq!(pty.code(SOON), 6);
}

#[test]
fn it_sees_the_size_of_the_window_and_each_change_once() {
    let mut pty = in_terminal(&[PODINIT, "--", "stty", "size"]);
    pty.output().wait_for("37 113", 1);
    assert_eq!(pty.code(SOON), 0);
    let mut pty = podinit(&TRAP_ALL);
    pty.resize(20, 70);
    pty.output().wait_for("got 28", 1);
    kill(pty.pid(), libc::SIGUSR1);
    pty.output().wait_for("got 10", 1);
    assert_eq!(pty.output().text().matches("got 28").count(), 1);
    kill(only_child(pty.pid()), libc::SIGKILL);
    assert_eq!(pty.code(SOON), 137);
}

#[test]
fn ctrl_z_suspends_it_and_fg_resumes_it_in_a_shell() {
    let pty = shell();
    pty.type_in("run --say ready --forever\n");
    pty.output().wait_for("ready\r\n", 1);
    let podinit = only_child(pty.pid());
    let child = only_child(podinit);
    for round in 1..=3 {
        pty.wait_foreground(child);
        pty.type_in("\x1a");
        pty.output().wait_for("Stopped", round);
        wait_state(podinit, 'T');
        wait_state(child, 'T');
        pty.wait_foreground(pty.pid());
        pty.type_in("fg\n");
        pty.wait_foreground(child);
        wait_state(child, 'S');
    }
    pty.type_in("\x03");
    pty.wait_foreground(pty.pid());
    pty.type_in("echo code=$?\n");
    pty.output().wait_for("code=130", 1);
}

#[test]
fn a_suspended_child_goes_on_in_the_background_with_bg() {
    let pty = shell();
    pty.type_in("run --say ready --forever\n");
    pty.output().wait_for("ready\r\n", 1);
    let podinit = only_child(pty.pid());
    let child = only_child(podinit);
    pty.type_in("\x1a");
    pty.output().wait_for("Stopped", 1);
    wait_state(child, 'T');
    pty.type_in("bg\n");
    wait_state(child, 'S');
    wait_state(podinit, 'S');
    pty.wait_foreground(pty.pid());
    pty.type_in("kill -USR1 %1; wait %1; echo code=$?\n");
    pty.output().wait_for("code=138", 1);
}

#[test]
fn a_background_read_suspends_it_and_fg_lets_it_read() {
    let pty = shell();
    pty.type_in(&format!("{PODINIT} -- sh -c 'read x; echo got-$x' &\n"));
    let podinit = only_child(pty.pid());
    wait_state(podinit, 'T');
    // bash tells of it before its next prompt.
    pty.type_in("\n");
    pty.output().wait_for("Stopped", 1);
    pty.type_in("fg\n");
    pty.wait_foreground(only_child(podinit));
    pty.type_in("hello\n");
    pty.output().wait_for("got-hello", 1);
    pty.wait_foreground(pty.pid());
}

#[test]
fn a_background_write_suspends_it_where_the_terminal_says_so() {
    let pty = shell();
    pty.type_in("stty tostop\n");
    pty.output().wait_for("$ ", 3);
    pty.type_in(&format!("{PODINIT} -- sh -c 'echo written-$((6*7))' &\n"));
    wait_state(only_child(pty.pid()), 'T');
    pty.type_in("fg\n");
    pty.output().wait_for("written-42", 1);
    pty.wait_foreground(pty.pid());
}

/// `docker run -it image bash`, with podinit in front.
#[test]
fn a_shell_in_it_has_job_control_of_its_own() {
    let shell = ["bash", "--norc", "--noprofile", "-i"];
    let plain = [&[PODINIT, "--"], &shell[..]].concat();
    let first = [&NAMESPACE[..], &["setsid", "--ctty", PODINIT, "--"], &shell].concat();
    for mut pty in [
        in_terminal(&plain),
        Pty::start_uncontrolled(&first, Path::new("/")),
    ] {
        pty.output().wait_for("$ ", 1);
        let bash = pty.foreground();
        pty.type_in(&format!("{STUB} --say ready --forever\n"));
        pty.output().wait_for("ready\r\n", 1);
        pty.type_in("\x1a");
        pty.output().wait_for("Stopped", 1);
        pty.wait_foreground(bash);
        pty.type_in("fg\n");
        within(SOON, "the stub in the foreground", || {
            (pty.foreground() != bash).then_some(())
        });
        pty.type_in("\x03");
        pty.wait_foreground(bash);
        pty.type_in("exit 42\n");
        assert_eq!(pty.code(SOON), 42);
    }
}

#[test]
fn in_the_background_it_takes_no_terminal() {
    let pty = shell();
    pty.type_in("run --say ready --forever &\n");
    pty.output().wait_for("ready\r\n", 1);
    assert_eq!(pty.foreground(), pty.pid());
    pty.type_in("echo still-$((40+2))\n");
    pty.output().wait_for("still-42", 1);
    pty.type_in("kill %1; wait %1; echo code=$?\n");
    pty.output().wait_for("code=143", 1);
}

#[test]
fn the_terminal_is_given_back_at_the_end() {
    // A shell without job control does not take it back by itself: its read would fail.
    let script = format!("{PODINIT} -- {STUB} --exit 3; echo code=$?; read x; echo read-$x");
    let mut pty = in_terminal(&["sh", "-c", &script]);
    pty.output().wait_for("code=3", 1);
    assert_eq!(pty.foreground(), pty.pid());
    pty.type_in("hello\n");
    pty.output().wait_for("read-hello", 1);
    assert_eq!(pty.code(SOON), 0);
    // The same when there is no command.
    let script = format!("{PODINIT} -- /no/such; echo code=$?; read x; echo read-$x");
    let mut pty = in_terminal(&["sh", "-c", &script]);
    pty.output().wait_for("code=127", 1);
    pty.type_in("hello\n");
    pty.output().wait_for("read-hello", 1);
    assert_eq!(pty.code(SOON), 0);
}

/// As `docker run -it`: PID 1 leads the session, and nobody could continue it.
#[test]
fn as_pid_1_ctrl_z_freezes_nothing() {
    let words = [
        &NAMESPACE[..],
        &[
            "setsid",
            "--ctty",
            PODINIT,
            "--",
            STUB,
            "--say",
            "ready",
            "--forever",
        ],
    ]
    .concat();
    let mut pty = Pty::start_uncontrolled(&words, Path::new("/"));
    pty.output().wait_for("ready", 1);
    let podinit = only_child(pty.pid());
    let child = only_child(podinit);
    pty.wait_foreground(child);
    for _ in 0..3 {
        pty.type_in("\x1a");
        pty.output().wait_for("^Z", 1);
        wait_state(child, 'S');
        wait_state(podinit, 'S');
        assert_eq!(pty.foreground(), child);
    }
    pty.type_in("\x03");
    assert_eq!(pty.code(SOON), 130);
}

#[test]
fn the_end_of_the_terminal_is_its_end() {
    for words in [
        &[PODINIT, "--", STUB, "--say", "ready", "--forever"][..],
        &[
            "bash",
            "--norc",
            "--noprofile",
            "-c",
            "\"$0\" \"$@\"; exit $?",
            PODINIT,
            "--",
            STUB,
            "--say",
            "ready",
            "--forever",
        ],
    ] {
        let mut pty = in_terminal(words);
        pty.output().wait_for("ready", 1);
        pty.hang_up();
        assert_eq!(pty.code(SOON), 129, "{words:?}");
    }
}
