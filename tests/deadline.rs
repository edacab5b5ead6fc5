//! Real stops against their deadline: the order, the shares, and nothing that can move the end.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use support::{As, Finished, Line, Podinit, SOON, Start, descendants_of, within};

const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

fn report(finished: &Finished) -> Value {
    let line = finished
        .lines
        .iter()
        .find(|line| line.json.get("report").is_some());
    let line = line.unwrap_or_else(|| panic!("no report\n{}", finished.story()));
    line.json["report"].clone()
}

fn seconds(of: &Value, what: &str) -> f64 {
    of[what]
        .as_f64()
        .unwrap_or_else(|| panic!("no {what} in {of}"))
}

/// Waits until all instances have said that they are up, and podinit knows: it hears of an exec a moment later.
fn all_up(podinit: &Podinit, count: usize) {
    podinit.wait_for_nth("up", count, |line| line.get("message") == "up");
    podinit.wait_for_nth("started", count, |line| {
        line.get("source") == "podinit" && line.get("message") == "started"
    });
}

/// p1 to p5, each on the one before, each wanting 10 s.
fn chain(command: impl Fn(usize) -> String) -> String {
    let mut spec = "  terminationGracePeriodSeconds: 12\n  processes:\n".to_owned();
    for at in 1..=5 {
        let _ = write!(
            spec,
            "    - {{name: p{at}, command: {}, terminationGracePeriodSeconds: 10",
            command(at)
        );
        if at > 1 {
            let _ = write!(spec, ", dependsOn: [{{name: p{}}}]", at - 1);
        }
        spec.push_str("}\n");
    }
    spec
}

fn deaf() -> String {
    format!("['{STUB}', --ignore, SIGTERM, --say, up, --forever]")
}

fn ends_in(millis: u32) -> String {
    format!("['{STUB}', --trap, SIGTERM, '{millis}', '0', --say, up, --forever]")
}

/// Stops such a chain: all are asked, in their order, each when the one before is dead, and 200 ms are left at the end.
fn stop_chain(command: impl Fn(usize) -> String) -> (Finished, Vec<Value>) {
    let podinit = Start::spec(&chain(command)).start();
    all_up(&podinit, 5);
    let finished = podinit.stop();
    let report = report(&finished);
    // T_kill: 12 s less 1 s for what follows us and 1 s for our own last steps.
    assert!((seconds(&report, "budgetSeconds") - 10.0).abs() < 0.001);
    assert_eq!(report["claimsShortened"], true);
    let mut all = report["processes"].as_array().unwrap().clone();
    let signalled = |one: &Value| seconds(one, "signalledSeconds");
    all.sort_by(|a, b| signalled(a).total_cmp(&signalled(b)));
    let order: Vec<&str> = all
        .iter()
        .map(|one| one["instance"].as_str().unwrap())
        .collect();
    assert_eq!(
        order,
        ["p5-0", "p4-0", "p3-0", "p2-0", "p1-0"],
        "none skipped"
    );
    for two in all.windows(2) {
        // A KILL that was sent counts as gone.
        let gone = match two[0].get("killedSeconds") {
            Some(killed) => killed.as_f64().unwrap(),
            None => seconds(&two[0], "goneSeconds"),
        };
        assert!(signalled(&two[1]) >= gone, "{} {}", two[0], two[1]);
        assert!(signalled(&two[1]) < gone + 0.2, "{} {}", two[0], two[1]);
    }
    assert!(
        finished.took < Duration::from_millis(11_800),
        "{:?}",
        finished.took
    );
    (finished, all)
}

#[test]
fn five_in_a_chain_that_ignore_everything_share_what_there_is() {
    let (finished, all) = stop_chain(|_| deaf());
    assert_eq!(finished.code, 124, "{}", finished.story());
    for one in &all {
        let took = seconds(one, "tookSeconds");
        assert!((1.9..2.3).contains(&took), "{one}");
        assert_eq!(one["killedByDeadline"], true);
        // Our KILL, inside the budget.
        assert!(seconds(one, "killedSeconds") < 10.1, "{one}");
    }
}

#[test]
fn five_in_a_chain_that_end_in_time_need_no_kill() {
    let (finished, all) = stop_chain(|_| ends_in(300));
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(
        finished.took < Duration::from_millis(2_500),
        "{:?}",
        finished.took
    );
    assert!(all.iter().all(|one| one.get("killedSeconds").is_none()));
}

/// Each needs most of its share: claims that were shortened are no KILL yet.
#[test]
fn five_in_a_chain_that_just_make_it_need_no_kill() {
    let (finished, all) = stop_chain(|_| ends_in(1_700));
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(all.iter().all(|one| one.get("killedSeconds").is_none()));
}

/// What those before it did not use is its own, and what those after it may need is not.
#[test]
fn one_in_a_chain_that_ignores_everything_has_all_that_others_leave() {
    let (finished, all) = stop_chain(|at| if at == 3 { deaf() } else { ends_in(0) });
    assert_eq!(finished.code, 124, "{}", finished.story());
    for one in &all {
        let killed = one.get("killedSeconds").map(|at| at.as_f64().unwrap());
        if one["instance"] == "p3-0" {
            // Two of five shares are kept for p2 and p1.
            assert!(killed.is_some_and(|at| (5.9..6.3).contains(&at)), "{one}");
        } else {
            assert_eq!(killed, None, "{one}");
        }
    }
    assert!(finished.took < Duration::from_secs(7));
}

/// Unused time moves on at once, and the end follows the slowest at once. A busy machine may need more than one try.
#[test]
fn the_end_comes_right_after_the_slowest() {
    let mut spec = "  processes:\n".to_owned();
    for at in 0..5 {
        let _ = writeln!(
            spec,
            "    - {{name: p{at}, command: {}}}",
            ends_in(at * 100)
        );
    }
    let after = (0..5).map(|_| {
        let podinit = Start::spec(&spec).mode(As::PlainChild).start();
        all_up(&podinit, 5);
        let finished = podinit.stop();
        assert_eq!(finished.code, 0, "{}", finished.story());
        let report = report(&finished);
        let all = report["processes"].as_array().unwrap();
        let slowest = all
            .iter()
            .map(|one| seconds(one, "exitedSeconds"))
            .fold(0.0, f64::max);
        // From TERM to the end of podinit itself, as the kubelet sees it.
        finished.took.as_secs_f64() - slowest
    });
    let after: Vec<f64> = after.collect();
    assert!(
        after.iter().any(|after| *after < 0.020),
        "{after:?} s after the slowest"
    );
}

/// With 2 s or less there is no time for order: everybody is asked in the first moment, and killed at T_kill.
#[test]
fn a_grace_period_of_two_seconds_or_less_leaves_no_order() {
    std::thread::scope(|scope| {
        for (grace, t_kill) in [(0, 0.0), (1, 0.583), (2, 1.167)] {
            scope.spawn(move || {
                let podinit = Start::spec(&format!(
                    "
  terminationGracePeriodSeconds: {grace}
  shutdown: {{drain: {grace}s}}
  hooks: {{preStop: [{{name: h, exec: {{command: [sleep, '1234']}}, timeoutSeconds: 60}}]}}
  processes:
    - {{name: db, command: {0}}}
    - {{name: web, command: {0}, dependsOn: [{{name: db}}], lifecycle: {{preStop: {{sleep: {{seconds: 9}}}}}}}}
    - {{name: queue, command: {0}, traffic: Background, terminationGracePeriodSeconds: 9}}",
                    deaf()
                ))
                .start();
                all_up(&podinit, 3);
                let finished = podinit.stop();
                assert_eq!(finished.code, 124, "G = {grace}: {}", finished.story());
                let report = report(&finished);
                assert!((seconds(&report, "budgetSeconds") - t_kill).abs() < 0.001);
                assert_eq!(report["hooks"].as_array().map_or(0, Vec::len), 0, "{report}");
                for one in report["processes"].as_array().unwrap() {
                    assert!(seconds(one, "signalledSeconds") < 0.05, "G = {grace}: {one}");
                    let killed = seconds(one, "killedSeconds");
                    assert!((t_kill..t_kill + 0.3).contains(&killed), "G = {grace}: {one}");
                    assert_eq!(one["killedByDeadline"], true, "G = {grace}: {one}");
                }
                let left = f64::from(grace).max(1.0);
                assert!(finished.took.as_secs_f64() < left, "G = {grace}: {:?}", finished.took);
            });
        }
    });
}

/// What would like to hold the end up, fields of the set, the command, fields of the process.
type Case = (&'static str, String, String, String);

fn what_hangs() -> Vec<Case> {
    let deaf = deaf();
    let quiet = format!("['{STUB}', --say, up, --forever]");
    let hang =
        "exec: {command: [sh, -c, 'trap \"\" TERM; sleep 1234 & sleep 1234']}, timeoutSeconds: 60";
    let child =
        "exec: {command: [sh, -c, 'trap \"\" TERM; sleep 1234 & exit 0']}, timeoutSeconds: 60";
    vec![
        (
            "a hook of the set that hangs",
            format!("hooks: {{preStop: [{{name: h, {hang}}}]}}"),
            deaf.clone(),
            String::new(),
        ),
        (
            "a hook of the set that leaves a child",
            format!("hooks: {{preStop: [{{name: h, {child}}}]}}"),
            quiet.clone(),
            String::new(),
        ),
        (
            "a hook of a process that hangs",
            String::new(),
            deaf.clone(),
            format!("lifecycle: {{preStop: {{{hang}}}}}"),
        ),
        (
            "a hook of a process that leaves a child",
            String::new(),
            quiet.clone(),
            format!("lifecycle: {{preStop: {{{child}}}}}"),
        ),
        (
            "a postStop hook that hangs",
            format!("hooks: {{postStop: [{{name: h, {hang}}}]}}"),
            quiet.clone(),
            String::new(),
        ),
        (
            "a probe that hangs",
            String::new(),
            quiet.clone(),
            format!("readinessProbe: {{{hang}, periodSeconds: 1}}"),
        ),
        (
            "probes that hang in a start that is not over",
            String::new(),
            quiet.clone(),
            format!(
                "startupProbe: {{{hang}, periodSeconds: 1, failureThreshold: 100}}, livenessProbe: {{{hang}}}"
            ),
        ),
        (
            "a drain that is longer than the grace period leaves",
            "shutdown: {drain: 4s}".to_owned(),
            deaf.clone(),
            String::new(),
        ),
        (
            "a storm of forks",
            String::new(),
            format!("['{STUB}', --ignore, SIGTERM, --say, up, --storm, '3', --forever]"),
            String::new(),
        ),
        (
            "a crowd that ignores everything",
            String::new(),
            format!(
                "['{STUB}', --ignore, SIGTERM, --hold, '20', --daemon, '3', --say, up, --forever]"
            ),
            String::new(),
        ),
    ]
}

/// Grace 4 s: everything is dead 2.33 s after t0.
#[test]
fn nothing_moves_the_deadline() {
    std::thread::scope(|scope| {
        for (what, set, command, process) in what_hangs() {
            scope.spawn(move || {
                let set = if set.is_empty() { String::new() } else { format!("  {set}\n") };
                let fields = if process.is_empty() { String::new() } else { format!(", {process}") };
                let podinit = Start::spec(&format!(
                    "  terminationGracePeriodSeconds: 4\n{set}  processes: [{{name: p, command: {command}{fields}}}]"
                ))
                .start();
                all_up(&podinit, 1);
                let finished = podinit.stop();
                assert!(finished.took < Duration::from_millis(4_000), "{what}: {:?}\n{}", finished.took, finished.story());
                assert!([0, 124].contains(&finished.code), "{what}: {}", finished.story());
                for one in report(&finished)["processes"].as_array().unwrap() {
                    assert!(seconds(one, "exitedSeconds") < 2.9, "{what}: {one}");
                    assert!(one.get("signalledSeconds").is_some(), "{what}: {one}");
                }
            });
        }
    });
}

#[test]
fn a_process_that_was_stopped_does_not_move_the_deadline() {
    let podinit = Start::spec(&format!(
        "  terminationGracePeriodSeconds: 4\n  processes: [{{name: p, command: ['{STUB}', --ignore, SIGTERM, --say, up, --forever]}}]"
    ))
    .start();
    all_up(&podinit, 1);
    let child = descendants_of(podinit.pid())[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::SIGSTOP).unwrap();
    within(SOON, "a stopped process", || {
        (support::state_of(child) == Some('T')).then_some(())
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 124, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(4),
        "{:?}",
        finished.took
    );
}

/// The termination message tells the whole stop in a few lines.
#[test]
fn the_termination_message_has_the_report() {
    let start = Start::spec(&format!(
        "  terminationGracePeriodSeconds: 4\n  processes:\n    - {{name: web, command: ['{STUB}', --ignore, SIGTERM, --say, up, --forever]}}\n    - {{name: queue, traffic: Background, command: ['{STUB}', --say, up, --forever]}}"
    ));
    let path = start.dir().join("message");
    std::fs::write(&path, "").unwrap();
    let podinit = start
        .arg("--termination-log")
        .arg(path.to_str().unwrap())
        .start();
    all_up(&podinit, 2);
    let finished = podinit.stop();
    assert_eq!(finished.code, 124);
    let message = std::fs::read_to_string(finished.dir().join("message")).unwrap();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(
        lines[0],
        "exit code 124: stopped by SIGTERM; the deadline forced a SIGKILL"
    );
    assert!(
        // A busy machine notices the death some milliseconds later.
        lines[1].starts_with("used 2.") && lines[1].contains("s of 2.3s (grace 4.0s from spec."),
        "{message}"
    );
    assert!(
        lines[2].starts_with("web-0: asked ") && lines[2].contains("SIGKILL 2."),
        "{message}"
    );
    assert!(
        lines[3].starts_with("queue-0: asked ") && lines[3].contains("SIGTERM, took"),
        "{message}"
    );
    let told = |line: &Line| {
        let message = line.get("message");
        message.starts_with("stopped in 2.") && message.ends_with("s of 2.3s")
    };
    assert!(finished.has(told), "{}", finished.story());
}

/// A thousand ends within milliseconds are a thousand records.
#[test]
fn a_thousand_that_end_at_once_are_all_told_of() {
    let podinit =
        Start::spec("  processes: [{name: p, replicas: 1000, command: [sleep, infinity]}]").start();
    podinit.wait_for("all", |line| {
        line.get("message").starts_with("all processes started")
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    for what in ["stopping with SIGTERM", "exited after"] {
        let told = |line: &&Line| line.is_own_prefix("p-", what);
        assert_eq!(finished.lines.iter().filter(told).count(), 1000, "{what}");
    }
    assert_eq!(
        report(&finished)["processes"].as_array().unwrap().len(),
        1000
    );
}
