//! Odd ways to be started, and the end of podinit itself.

use crate::bare::{Bare, STUB, kill, mark, status_of, with_mark};
use crate::support::{As, PODINIT, SOON, Start, within};

const MODES: [As; 2] = [As::Pid1, As::PlainChild];

/// A set that needs statuses, signals and files to get to its end by itself, with the code 7.
const SPEC: &str = "
  processes:
    - {name: first, restartPolicy: OnFailure, command: [sh, -c, 'cat /proc/self/status; [ -e again ] && exit 0; : > again; exit 1'], restartBackoff: {initial: 1ms, max: 1ms}}
    - {name: last, restartPolicy: Never, command: [sh, -c, 'sleep infinity & exit 7'], onFailure: ExitSet, dependsOn: [{name: first, condition: Completed}]}";

fn ends_with_7(start: Start, how: &str) -> crate::support::Finished {
    let finished = start.run();
    assert_eq!(finished.code, 7, "{how}: {}", finished.story());
    assert_eq!(
        finished.summary().number("exits"),
        Some(3.0),
        "{how}: {}",
        finished.story()
    );
    finished
}

#[test]
fn blocked_and_ignored_signals_are_no_legacy_of_the_children() {
    for mode in MODES {
        for how in ["--ignore-signal", "--block-signal", "--ignore-signal=CHLD"] {
            let finished = ends_with_7(Start::spec(SPEC).mode(mode).under(&["env", how]), how);
            for field in ["SigBlk", "SigIgn"] {
                let want = format!("{field}:\t0000000000000000");
                assert!(
                    finished.has(|line| line.get("message") == want),
                    "{}",
                    finished.story()
                );
            }
        }
    }
}

#[test]
fn an_odd_mask_directory_or_environment_is_no_reason_to_fail() {
    for (how, script) in [
        ("a closed stdin", "exec \"$0\" \"$@\" <&-"),
        ("all closed but stdout", "exec \"$0\" \"$@\" <&- 2>&-"),
        ("a umask of 0777", "umask 0777; exec \"$0\" \"$@\""),
        ("no environment at all", "exec env -i \"$0\" \"$@\""),
        ("no PATH", "unset PATH; exec \"$0\" \"$@\""),
        ("a child from before", "sleep infinity & exec \"$0\" \"$@\""),
        (
            "many descriptors",
            "for i in 3 4 5 6 7 8 9; do eval \"exec $i</dev/null\"; done; exec \"$0\" \"$@\"",
        ),
    ] {
        for mode in MODES {
            ends_with_7(
                Start::spec(SPEC).mode(mode).under(&["sh", "-c", script]),
                how,
            );
        }
    }
}

#[test]
fn a_directory_that_was_deleted_is_no_reason_to_fail() {
    for mode in MODES {
        let gone = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
        let finished = Start::spec(
            "  processes: [{name: p, restartPolicy: Never, command: [sh, -c, 'exit 7']}]",
        )
        .mode(mode)
        .under(&["sh", "-c", gone])
        .run();
        assert_eq!(finished.code, 7, "{}", finished.story());
        let shell = format!("{gone}; : ");
        let words = ["sh", "-c", &shell, PODINIT, "--", STUB, "--exit", "5"];
        let dir = tempfile::tempdir().unwrap();
        let ended = Bare::new(mode, &words).dir(dir.path()).run();
        assert_eq!(ended.code, 5, "{}", ended.story());
    }
}

/// How many are enough depends on what whoever starts it left open: so the limit rises until it is one.
#[test]
fn too_few_descriptors_to_begin_with_is_70_and_is_said() {
    const ENDS: &str = "  processes: [{name: p, restartPolicy: Never, command: [sh, -c, 'exit 7'], onFailure: ExitSet}]";
    for (what, codes) in [("a set", &[65, 70, 75]), ("--", &[70, 126, 126])] {
        let begun = (3..60).find(|count| {
            let limit = format!("--nofile={count}:{count}");
            let start = match what {
                "--" => Start::args(&["--", "sh", "-c", "exit 7"]),
                _ => Start::spec(ENDS),
            };
            let finished = start.mode(As::PlainChild).under(&["prlimit", &limit]).run();
            let story = finished.story();
            if finished.code == 7 {
                return true;
            }
            assert!(codes.contains(&finished.code), "{limit}: {story}");
            assert!(story.contains("Too many open files"), "{limit}: {story}");
            false
        });
        assert!(begun.is_some_and(|count| count > 10), "{what}: {begun:?}");
    }
}

/// As a plain child nothing else would end them.
#[test]
fn when_podinit_is_killed_its_children_die_with_it() {
    let mark = mark("orphaned");
    for user in ["", ", securityContext: {runAsUser: 12345}"] {
        let running = Bare::spec(
            As::PlainChild,
            &[],
            &format!("  processes: [{{name: p, replicas: 5, command: [perl, -e, '$SIG{{TERM}} = $SIG{{HUP}} = \"IGNORE\"; $| = 1; print \"up\\n\"; sleep', {mark}]{user}}}]"),
        )
        .start();
        running.stdout().wait_for("\"message\":\"up\"", 5);
        assert_eq!(with_mark(&mark).len(), 5);
        running.signal(libc::SIGKILL);
        assert_eq!(running.finish(SOON).code, 137);
        within(SOON, "the end of its children", || {
            with_mark(&mark).is_empty().then_some(())
        });
    }
}

#[test]
fn when_podinit_is_killed_the_child_of_command_mode_dies_with_it() {
    let mark = mark("orphan");
    let words = [
        STUB,
        "--mark",
        &mark,
        "--ignore",
        "SIGTERM",
        "--say",
        "up",
        "--forever",
    ];
    let running = Bare::podinit(As::PlainChild, &words).start();
    running.stdout().wait_for("up\n", 1);
    running.signal(libc::SIGKILL);
    assert_eq!(running.finish(SOON).code, 137);
    within(SOON, "the end of its child", || {
        with_mark(&mark).is_empty().then_some(())
    });
}

/// A stopped podinit misses nothing: what happened meanwhile is seen to when it goes on.
#[test]
fn a_podinit_that_was_stopped_for_a_while_misses_no_exit() {
    let podinit = Start::spec(
        "  processes: [{name: p, replicas: 20, command: [sleep, infinity], restartBackoff: {initial: 1ms, max: 1ms}}]",
    )
    .start();
    podinit.wait_for_nth("all", 20, |line| line.get("message") == "started");
    let pid = podinit.pid();
    kill(pid, libc::SIGSTOP);
    let children = crate::support::children_of(pid);
    for child in &children {
        kill(*child, libc::SIGKILL);
    }
    within(SOON, "twenty zombies", || {
        let dead =
            |child: &&i32| status_of(**child, "State").is_some_and(|state| state.starts_with('Z'));
        (children.iter().filter(dead).count() == 20).then_some(())
    });
    kill(pid, libc::SIGCONT);
    podinit.wait_for_nth("all of them again", 40, |line| {
        line.get("message") == "started"
    });
    assert_eq!(podinit.stop().code, 0);
}
