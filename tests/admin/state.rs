//! The state directory.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::{SOON, Start, within};
use crate::{NOBODY, WEB};

#[test]
fn what_an_earlier_container_left_is_removed_before_anything_starts() {
    let spec = "  processes: [{name: look, command: [sh, -c, 'ls -R state | tr \"\\n\" \" \"; echo; exec sleep infinity']}]";
    let start = Start::spec(spec);
    let state = start.dir().join("state");
    std::fs::create_dir_all(state.join("deadline")).unwrap();
    for name in ["draining", "deadline/web-0", "fpm.conf"] {
        std::fs::write(state.join(name), "").unwrap();
    }
    let podinit = start.start();
    let line = podinit.wait_for("the list", |line| line.get("message").starts_with("state:"));
    assert_eq!(
        line.get("message").trim(),
        "state: deadline fpm.conf  state/deadline:"
    );
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_state_directory_is_not_made_before_there_is_something_to_say() {
    let podinit = Start::spec(WEB).start();
    podinit.wait_started("web-0");
    assert!(!podinit.path("state").exists());
    assert_eq!(podinit.stop().code, 0);
}

/// podinit itself works in `/`, the processes where it was started: it is one directory for both.
#[test]
fn a_relative_state_directory_is_below_the_one_podinit_was_started_in() {
    let spec = "
  processes:
    - name: web
      command: [sh, -c, 'trap \"exit 0\" TERM; echo $PODINIT_DEADLINE_FILE; while :; do sleep 0.05; done']";
    let start = Start::spec(spec).env("PODINIT_STATE_DIR", "here");
    let state = start.dir().join("here");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("draining"), "").unwrap();
    let podinit = start.start();
    let file = state.join("deadline/web-0");
    podinit.wait_for("the name of its file", |line| {
        line.get("message") == file.to_str().unwrap()
    });
    assert!(!state.join("draining").exists(), "of an earlier container");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(state.join("draining").exists() && file.exists());
}

/// Whoever runs as somebody else in the pod can look: nginx's workers, a process with a user of its own.
#[test]
fn from_t0_on_there_are_files_that_anybody_can_read() {
    let start = Start::spec(
        "
  terminationGracePeriodSeconds: 20
  shutdown: {drain: 1s}
  processes:
    - name: web
      command: [sh, -c, 'trap \"sleep 0.3; cat $PODINIT_DEADLINE_FILE; exit 0\" TERM; echo up; while :; do sleep 0.05; done']
      terminationGracePeriodSeconds: 7
      securityContext: {runAsUser: 54329, runAsGroup: 54329}
    - {name: queue, command: [sleep, infinity], traffic: Background}",
    );
    // As strict as it gets.
    let podinit = start
        .under(&["sh", "-c", "umask 077; exec \"$@\"", "sh"])
        .start();
    podinit.wait_for("web", |line| line.get("message") == "up");
    assert!(!podinit.path("state").exists());

    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (before, asked) = (wall(), Instant::now());
    podinit.signal(15);
    let draining = podinit.path("state/draining");
    within(SOON, "draining", || draining.exists().then_some(()));
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?}",
        asked.elapsed()
    );
    let file = podinit.path("state/deadline/web-0");
    within(SOON, "the deadline", || file.exists().then_some(()));
    let as_nobody = |words: &[&str]| {
        let words = [&NOBODY[..], words].concat();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(as_nobody(&["cat", draining.to_str().unwrap()]), "");
    let first = as_nobody(&["cat", file.to_str().unwrap()]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let numbers = |text: &str| -> Vec<f64> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let words = text.split(' ');
        words
            .map(|word| word.parse::<i64>().unwrap() as f64 / 1000.0 - before.as_secs_f64())
            .collect()
    };
    // T_kill is 18 s after t0; before its turn web may count on all of it, as nothing stops after it.
    let [t_kill, latest] = numbers(&first)[..] else {
        panic!("{first:?}")
    };
    assert!((17.99..18.5).contains(&t_kill), "{t_kill}");
    assert!((t_kill - latest).abs() < 0.002, "{latest}");

    // Asked to stop, it reads its own end: its grace counts from its signal on.
    let told = podinit.wait_for("what web read", |line| {
        line.get("process") == "web"
            && line.get("stream") == "stdout"
            && line.get("message") != "up"
    });
    let [t_kill, own] = numbers(told.get("message"))[..] else {
        panic!("{told:?}")
    };
    assert!((17.99..18.5).contains(&t_kill), "{t_kill}");
    assert!((7.99..9.0).contains(&own), "{own}");
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
}
