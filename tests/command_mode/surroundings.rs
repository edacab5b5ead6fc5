//! What the child finds around itself is what it would find without podinit; and nothing is left after it.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::MODES;
use crate::bare::{Bare, STUB, mark, with_mark};
use crate::support::{As, SOON, children_of, within};

#[test]
fn standard_input_passes_through_to_its_end() {
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    for mode in MODES {
        let mut running = Bare::podinit(mode, &["cat"]).start();
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let ended = running.finish(SOON);
        assert_eq!(ended.code, 0);
        assert_eq!(ended.stderr, "");
        assert!(
            ended.stdout == text,
            "{} of {} bytes",
            ended.stdout.len(),
            text.len()
        );
    }
}

fn state(bare: Bare) -> Value {
    let ended = bare.run();
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.story()))
}

#[test]
fn the_streams_are_the_very_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for mode in MODES {
        std::fs::write(path("in"), "").unwrap();
        let out = File::create(path("out")).unwrap();
        let err = File::create(path("err")).unwrap();
        let ended = Bare::podinit(mode, &[STUB, "--state"])
            .with(|command| {
                let stdin = File::open(path("in")).unwrap();
                command.stdin(stdin).stdout(out).stderr(err);
            })
            .run();
        assert_eq!(ended.code, 0, "{}", ended.story());
        let written = std::fs::read_to_string(path("out")).unwrap();
        let state: Value = serde_json::from_str(&written).unwrap();
        let name = |name: &str| path(name).to_str().unwrap().to_owned();
        let want = serde_json::json!({"0": name("in"), "1": name("out"), "2": name("err")});
        assert_eq!(state["fds"], want);
    }
}

#[test]
fn streams_that_are_closed_are_no_reason_to_fail() {
    for mode in MODES {
        let shell = format!(
            "exec {} -- {STUB} --exit 4 <&- >&- 2>&-",
            crate::support::PODINIT
        );
        assert_eq!(Bare::new(mode, &["sh", "-c", &shell]).run().code, 4);
    }
}

/// Limits, ids, mask, environment, directory, priority: all but its place among processes.
#[test]
fn it_finds_what_it_would_find_without_podinit() {
    let dir = tempfile::tempdir().unwrap();
    let shell = "umask 0137; ulimit -n 500; ulimit -c 0; exec nice -n 5 \"$@\"";
    let around = |words: &[&str]| {
        let words = [&["sh", "-c", shell, "sh"][..], words].concat();
        let mut state = state(
            Bare::new(As::PlainChild, &words)
                .env("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "7")
                .env("PODINIT_PORT_9480_TCP", "tcp://10.0.0.1:9480")
                .env("EMPTY", "")
                .dir(dir.path()),
        );
        let fields = state.as_object_mut().unwrap();
        for own in [
            "pid",
            "parent",
            "group",
            "session",
            "parentDeathSignal",
            "args",
            "fds",
        ] {
            fields.remove(own);
        }
        state
    };
    let mut without = around(&[STUB, "--state"]);
    let own = "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS";
    assert!(
        without["env"]
            .as_object_mut()
            .unwrap()
            .remove(own)
            .is_some()
    );
    let with = around(&[crate::support::PODINIT, "--", STUB, "--state"]);
    assert_eq!(with, without);
    assert_eq!(with["cwd"], dir.path().to_str().unwrap());
    assert_eq!(with["umask"], "0137");
}

#[test]
fn the_environment_is_passed_on_byte_by_byte_in_its_order() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let printed = |words: &[&str]| {
        let output = Bare::new(As::PlainChild, words)
            .with(|command| {
                command
                    .env_clear()
                    .env("PATH", "/usr/bin:/bin")
                    .env("BINARY", OsStr::from_bytes(b"\xff\xfe=x"))
                    .env("LINES", "a\nb")
                    .env("PODINIT_CONFIG", "/x");
            })
            .run();
        assert_eq!(output.code, 0, "{}", output.story());
        output.stdout
    };
    let with = printed(&[crate::support::PODINIT, "--", "env", "-0"]);
    let without = printed(&["env", "-0"]).replace("PODINIT_CONFIG=/x\0", "");
    assert_eq!(with, without);
}

/// No signal blocked, none ignored that was not before.
#[test]
fn no_signal_is_blocked_or_ignored() {
    for mode in MODES {
        let ended = Bare::podinit(mode, &["cat", "/proc/self/status"]).run();
        for field in ["SigBlk", "SigIgn", "ShdPnd", "SigPnd"] {
            let want = format!("{field}:\t0000000000000000\n");
            assert!(ended.stdout.contains(&want), "{}", ended.story());
        }
    }
}

#[test]
fn orphans_in_a_burst_leave_no_zombies() {
    let words = [STUB, "--burst", "2000", "--say", "over", "--forever"];
    let running = Bare::podinit(As::Pid1, &words).start();
    let pid = running.pid();
    running.stdout().wait_for("over\n", 1);
    within(Duration::from_secs(2), "none but the child", || {
        (children_of(pid).len() == 1).then_some(())
    });
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish(SOON).code, 143);
}

#[test]
fn what_the_child_leaves_behind_is_ended() {
    let mark = mark("left-behind");
    let left = ["--mark", &mark, "--hold", "2", "--group", "--daemon", "2"];
    for ignore in [&[][..], &["--ignore", "SIGTERM"]] {
        let words = [
            &[STUB][..],
            ignore,
            &left,
            &["--say", "left", "--exit", "7"],
        ]
        .concat();
        let running = Bare::podinit(As::PlainChild, &words).start();
        let ended = running.finish(SOON);
        assert_eq!(ended.code, 7, "{}", ended.story());
        assert_eq!(with_mark(&mark), Vec::<i32>::new());
        assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    }
}

/// A leader that dies while others hold its output: podinit's own end does not wait for them.
#[test]
fn a_stop_is_not_held_up_by_a_grandchild() {
    let mark = mark("grandchild");
    let words = [
        STUB,
        "--mark",
        &mark,
        "--ignore",
        "SIGTERM",
        "--daemon",
        "1",
        "--trap",
        "SIGTERM",
        "0",
        "3",
        "--say",
        "ready",
        "--forever",
    ];
    let running = Bare::podinit(As::PlainChild, &words).start();
    running.stdout().wait_for("ready\n", 1);
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 3, "{}", ended.story());
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!(with_mark(&mark), Vec::<i32>::new());
}
