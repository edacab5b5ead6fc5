//! Exit codes: the child's own, whatever it is; or one line that says why there was no child.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::MODES;
use crate::bare::{Bare, Ended, STUB};
use crate::support::{As, Start};

/// podinit adds nothing to what its child says.
fn code(bare: Bare) -> i32 {
    let ended = bare.run();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    ended.code
}

#[test]
fn every_exit_code_is_passed_on() {
    for want in 0..=255 {
        let got = code(Bare::podinit(
            As::PlainChild,
            &[STUB, "--exit", &want.to_string()],
        ));
        assert_eq!(got, want);
    }
}

#[test]
fn exit_codes_are_passed_on_as_pid_1_too() {
    for want in [0, 1, 2, 64, 65, 70, 75, 126, 127, 128, 137, 143, 255] {
        let got = code(Bare::podinit(
            As::Pid1,
            &[STUB, "--exit", &want.to_string()],
        ));
        assert_eq!(got, want);
    }
}

#[test]
fn death_by_any_signal_is_128_and_its_number_as_with_tini() {
    // Those that end a process when it does not handle them.
    let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    for number in (1..=64).filter(|n| !harmless.contains(n) && !stops.contains(n)) {
        if [32, 33].contains(&number) {
            continue; // The C library's own.
        }
        let child = [STUB, "--raise", &number.to_string()];
        for mode in MODES {
            assert_eq!(
                code(Bare::podinit(mode, &child)),
                128 + number,
                "{number} as {mode:?}"
            );
        }
        assert_eq!(code(Bare::tini(As::PlainChild, &child)), 128 + number);
    }
}

#[test]
fn a_child_whose_reader_is_gone_dies_of_sigpipe_as_always() {
    for init in [Bare::podinit, Bare::tini] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let bare = init(As::Pid1, &["yes"]).with(|command| {
            command.stdout(writer);
        });
        assert_eq!(bare.run().code, 128 + libc::SIGPIPE);
    }
}

/// Nothing on standard output, one line on standard error.
fn only_line(ended: &Ended) -> &str {
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.story());
    ended.stderr.trim_end()
}

#[test]
fn a_command_that_is_not_there_is_127_and_is_named() {
    for mode in MODES {
        for command in ["no-such-command", "/no/such/command", ""] {
            let ended = Bare::podinit(mode, &[command, "--flag"]).run();
            assert_eq!(ended.code, 127, "{}", ended.story());
            let want = format!("podinit: failed to execute `{command}`: No such file or directory");
            assert_eq!(only_line(&ended), want);
        }
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_126_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        (file("not-executable", "x", 0o644), "Permission denied"),
        (dir.path().to_str().unwrap().to_owned(), "Permission denied"),
        (file("no-binary", "x", 0o755), "Exec format error"),
    ];
    for (command, why) in cases {
        let ended = Bare::podinit(As::PlainChild, &[&command]).run();
        assert_eq!(ended.code, 126, "{}", ended.story());
        let want = format!("podinit: failed to execute `{command}`: {why}");
        assert_eq!(only_line(&ended), want);
    }
}

#[test]
fn a_script_without_its_interpreter_is_127_as_in_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script");
    std::fs::write(&path, "#!/no/such/shell\n").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let script = path.to_str().unwrap();
    for bare in [
        Bare::podinit(As::PlainChild, &[script]),
        Bare::tini(As::PlainChild, &[script]),
    ] {
        let ended = bare.run();
        assert_eq!(ended.code, 127, "{}", ended.story());
    }
}

#[test]
fn no_command_is_64_and_says_what_is_missing() {
    for mode in MODES {
        let ended = Start::args(&["--"]).mode(mode).run();
        assert_eq!(ended.code, 64, "{}", ended.story());
        assert_eq!(
            ended.stderr,
            "podinit: expected a command after --, as in: podinit -- php-fpm -F\n"
        );
    }
}

#[test]
fn a_grace_period_that_is_no_number_is_65_and_nothing_runs() {
    let ended = Bare::podinit(As::PlainChild, &["echo", "never"])
        .env("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "soon")
        .run();
    assert_eq!(ended.code, 65, "{}", ended.story());
    assert_eq!(
        only_line(&ended),
        "podinit: PODINIT_TERMINATION_GRACE_PERIOD_SECONDS is `soon`: expected a whole number of seconds"
    );
}

#[test]
fn arguments_are_taken_as_they_are() {
    let words = ["-f", "--", "$(HOME)", "", "a b", "--help", "\n", "*"];
    let ended = Bare::podinit(As::PlainChild, &[&["printf", "<%s>"][..], &words].concat()).run();
    assert_eq!(ended.code, 0, "{}", ended.story());
    let want: String = words.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(ended.stdout, want);
}
