//! Each right of examples/rbac.yaml, missing alone: that is said once, by its name, and costs only what it is for.

use std::fs;

use crate::cluster::{Cluster, Pod, documented_rules};
use crate::support::{Podinit, SOON, says, within};
use crate::{STUB, server, set, status, tells};

/// A right, and all others.
struct Missing {
    resource: String,
    verb: String,
    rules: String,
}

impl Missing {
    fn is(&self, resource: &str, verbs: &[&str]) -> bool {
        self.resource == resource && verbs.contains(&&*self.verb)
    }

    /// Nobody sees what this pod does, or nobody says whose turn it is.
    fn costs_turns(&self) -> bool {
        self.resource.starts_with("processreports") || self.resource == "processsets/status"
    }

    /// As the API server says it.
    fn words(&self) -> String {
        format!("cannot {} resource \"{}\"", self.verb, self.resource)
    }
}

/// What stands between `before` and `after` in a line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn one_by_one() -> Vec<Missing> {
    let rules = documented_rules();
    let lines: Vec<&str> = rules.lines().collect();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(verbs) = between(line, "verbs: [", "]") else {
            continue;
        };
        if line.contains("shop-migrate-") {
            // Asked for by a set that has such an init process only: tests/api_once.rs.
            continue;
        }
        let resource = between(line, "resources: [", "]").unwrap();
        for verb in verbs.split(", ") {
            let left: Vec<&str> = verbs.split(", ").filter(|other| *other != verb).collect();
            let rest = line.replace(verbs, &left.join(", "));
            let mut rules = lines.clone();
            if left.is_empty() {
                rules.remove(at);
            } else {
                rules[at] = &rest;
            }
            all.push(Missing {
                resource: resource.to_owned(),
                verb: verb.to_owned(),
                rules: rules.join("\n"),
            });
        }
    }
    all
}

/// A stop takes a moment, and two processes crash now and then, so that Events are counted up.
fn spec(word: &str, replicas: u32) -> String {
    let crashes = |name: &str| {
        format!(
            "    - {{name: {name}, traffic: Background, command: [{STUB}, --delay, \"1000\", --exit, \"3\"], \
             restartBackoff: {{initial: 10ms, max: 10ms}}, restartLimit: {{count: 1000, window: 60s}}}}\n"
        )
    };
    format!(
        "  shutdown: {{drain: 0s}}\n  processes:\n    \
         - {{name: a, traffic: Background, command: [{STUB}, --trap, \"15\", \"1500\", \"0\", --say, {word}, --forever]}}\n    \
         - {{name: b, traffic: Background, replicas: {replicas}, command: [{STUB}, --say, b, --forever]}}\n{}{}",
        crashes("c"),
        crashes("d")
    )
}

#[test]
fn each_right_that_is_missing_costs_what_it_is_for_and_is_named_once() {
    let cluster = server();
    let all = one_by_one();
    assert_eq!(all.len(), 16);
    std::thread::scope(|scope| {
        let tests: Vec<_> = (all.iter())
            .map(|missing| (missing, scope.spawn(|| without(cluster, missing))))
            .collect();
        let failed: Vec<String> = (tests.into_iter())
            .filter_map(|(missing, test)| test.join().is_err().then(|| missing.words()))
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
    });
}

fn without(cluster: &Cluster, missing: &Missing) {
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("one", 1)));
    let pod = cluster.pod(&namespace, "shop-1", &missing.rules);
    let dir = tempfile::tempdir().unwrap();
    let fallback = dir.path().join("fallback.yaml");
    fs::write(&fallback, set(&spec("fallback", 1))).unwrap();
    let args = ["--processset", "shop", "-f", fallback.to_str().unwrap()];
    let podinit = pod.podinit(&args).start();
    let follows = !missing.is("processsets", &["get", "list"]);
    podinit.wait_for("a", says(if follows { "one" } else { "fallback" }));
    podinit.wait_started("b-0");
    everything_else_goes_on(cluster, missing, &pod, &podinit);
    if missing.resource != "pods" {
        podinit.wait_for(&missing.words(), tells(&missing.words()));
    }
    if missing.is("events", &["patch"]) {
        // The second thing that is to be counted up, and the next of all that are.
        podinit.wait_for_nth("many crashes", 40, |line| line.is_own("c-0", "started"));
    }
    assert_eq!((podinit.starts("a-0"), podinit.starts("b-0")), (1, 1));
    if missing.costs_turns() {
        no_turn_comes(cluster, missing, &namespace, &podinit);
    }
    let finished = podinit.stop();
    assert!([0, 143].contains(&finished.code), "{}", finished.story());
    let lines = finished.lines.iter();
    // Where it begins with the fallback, it says why.
    let said = lines.filter(|line| !line.get("message").contains("beginning with"));
    let said = said.filter(|line| tells(&missing.words())(line));
    assert_eq!(said.count(), 1, "{}\n{}", missing.words(), finished.story());
    // What is not missing is not missed.
    let other = finished.lines.iter().filter(|line| {
        let message = line.get("message");
        message.contains("forbidden") && !message.contains(&missing.words())
    });
    assert_eq!(
        other.count(),
        0,
        "{}\n{}",
        missing.words(),
        finished.story()
    );
}

/// A change that stops a process is waited with, and what was said of the right has said so.
fn no_turn_comes(cluster: &Cluster, missing: &Missing, namespace: &str, podinit: &Podinit) {
    let told = podinit.wait_for(&missing.words(), tells(&missing.words()));
    let cost = "without them no pod acts on a change that stops processes";
    assert!(told.get("message").contains(cost), "{}", told.text);
    cluster.apply(namespace, &set(&spec("two", 2)));
    podinit.wait_for("it waits", tells("which waits: its turn"));
    // Each takes a second; a turn, where there is one, comes in less.
    let later = podinit.starts("c-0") + 5;
    podinit.wait_for_nth("time passes", later, |line| line.is_own("c-0", "started"));
    assert_eq!(podinit.starts("a-0"), 1, "without {}", missing.words());
}

fn everything_else_goes_on(cluster: &Cluster, missing: &Missing, pod: &Pod<'_>, podinit: &Podinit) {
    let namespace = pod.namespace.as_str();
    let what = |what: &str| format!("{what} without {}", missing.words());
    let follows = !missing.is("processsets", &["get", "list"]);
    if follows {
        // In place, and without a turn of its own; where there is no watch, it looks now and then.
        cluster.apply(namespace, &set(&spec("one", 2)));
        podinit.wait_started("b-1");
    }
    let reports = !missing.is("processreports", &["create", "patch"])
        && missing.resource != "processreports/status";
    if reports {
        within(SOON, &what("a report"), || {
            let told = cluster.report(pod);
            let b = told["status"]["processes"][1].clone();
            (b["ready"] == if follows { 2 } else { 1 }).then_some(())
        });
    }
    if reports
        && follows
        && !["leases", "processsets/status"].contains(&&*missing.resource)
        && missing.resource != "processreports"
    {
        within(SOON, &what("the status"), || {
            (status(cluster, namespace)["pods"]["total"] == 1).then_some(())
        });
    }
    if !missing.is("events", &["create"]) {
        within(SOON, &what("an Event"), || {
            let told = cluster.kubectl(&["describe", "pod", "-n", namespace, &pod.name]);
            told.contains("exit code 3").then_some(())
        });
    }
}
