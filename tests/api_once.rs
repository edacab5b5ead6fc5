//! Init processes that run once over all pods of a set, against a real API server.

#![allow(
    missing_docs,
    dead_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    unsafe_code,
    unreachable_pub,
    reason = "a test"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, Pod};
use support::{Podinit, SOON, Start, within};

const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

/// What `examples/rbac.yaml` gives for it.
const RULES: &str = r#"
  - {apiGroups: [podinit.dev], resources: [processsets], verbs: [get, list, watch]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, update]}"#;

/// A migration that notes each of its runs and ends when it is let.
fn spec(dir: &Path, key: &str) -> String {
    let dir = dir.display();
    format!(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: web}}\nspec:\n  shutdown: {{drain: 0s}}\n  \
         initProcesses:\n    - name: migrate\n      scope: Set\n      runKey: {key}\n      \
         command: [sh, -c, 'echo run >> {dir}/runs; until test -e {dir}/go; do sleep 0.02; done']\n  processes:\n    \
         - {{name: a, traffic: Background, command: [{STUB}, --say, up, --forever]}}\n"
    )
}

fn runs(dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join("runs")).unwrap_or_default();
    text.lines().count()
}

fn let_go(dir: &Path) {
    std::fs::write(dir.join("go"), "").unwrap();
}

fn pods<'a>(cluster: &'a Cluster, namespace: &str, count: usize) -> Vec<Pod<'a>> {
    let account = cluster.account(namespace, "web", RULES);
    (0..count)
        .map(|at| cluster.pod_of(namespace, &format!("web-{at}"), &account))
        .collect()
}

fn follows(pod: &Pod<'_>) -> Podinit {
    pod.podinit(&["--processset", "web"]).start()
}

fn succeeded(cluster: &Cluster, namespace: &str) -> String {
    let leases = cluster.json(&["get", "leases", "-n", namespace]);
    let leases = leases["items"].as_array().unwrap().clone();
    let of_init = |lease: &serde_json::Value| {
        let name = lease["metadata"]["name"].as_str().unwrap_or_default();
        name.starts_with("web-migrate-")
    };
    let lease = leases.into_iter().find(of_init).unwrap_or_default();
    let done = &lease["metadata"]["annotations"]["podinit.dev/succeeded"];
    done.as_str().unwrap_or_default().to_owned()
}

#[test]
fn ten_pods_make_one_migration_and_a_later_one_none() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    let dir = tempfile::tempdir().unwrap();
    cluster.apply(&namespace, &spec(dir.path(), "one"));
    let pods = pods(&cluster, &namespace, 11);
    let first: Vec<Podinit> = pods[..10].iter().map(follows).collect();
    within(SOON, "somebody runs it", || {
        (runs(dir.path()) > 0).then_some(())
    });
    within(SOON, "the others say that they wait", || {
        let waits = |podinit: &&Podinit| {
            let lines = podinit.lines();
            lines
                .iter()
                .any(|line| line.text.contains("runs in one pod at a time"))
        };
        (first.iter().filter(waits).count() == 9).then_some(())
    });
    let_go(dir.path());
    for podinit in &first {
        podinit.wait_started("a-0");
    }
    assert_eq!(runs(dir.path()), 1);
    within(SOON, "it is written down", || {
        (!succeeded(&cluster, &namespace).is_empty()).then_some(())
    });
    let late = follows(&pods[10]);
    late.wait_for("it is not run", |line| {
        line.is_own("migrate", "not run: it has succeeded in another pod")
    });
    late.wait_started("a-0");
    assert_eq!(runs(dir.path()), 1);
    for podinit in first.into_iter().chain([late]) {
        assert_eq!(podinit.stop().code, 0);
    }
}

#[test]
fn a_failure_is_for_the_next_pod_and_a_container_that_was_killed_tries_again() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    let dir = tempfile::tempdir().unwrap();
    let fails = spec(dir.path(), "one").replace("done']", "done; test -e %/good']");
    let fails = fails.replace('%', &dir.path().display().to_string());
    cluster.apply(&namespace, &fails);
    let pods = pods(&cluster, &namespace, 2);
    // Killed in the middle: the same pod has its claim still.
    let killed = follows(&pods[0]);
    within(SOON, "the first run", || {
        (runs(dir.path()) == 1).then_some(())
    });
    killed.signal(9);
    killed.finish(SOON);
    let again = follows(&pods[0]);
    within(SOON, "the second run", || {
        (runs(dir.path()) == 2).then_some(())
    });
    let other = follows(&pods[1]);
    let_go(dir.path());
    let finished = again.finish(SOON);
    assert_eq!(finished.code, 76, "{}", finished.story());
    // Its failure is written at once: the other pod need not wait for the end of a lease.
    within(SOON, "the third run", || {
        (runs(dir.path()) == 3).then_some(())
    });
    assert_eq!(other.finish(SOON).code, 76);
    std::fs::write(dir.path().join("good"), "").unwrap();
    let last = follows(&pods[1]);
    last.wait_started("a-0");
    assert_eq!(runs(dir.path()), 4);
    assert_eq!(last.stop().code, 0);
}

#[test]
fn a_server_that_goes_away_in_the_middle_costs_nothing_and_a_right_that_is_missing_the_start() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    let dir = tempfile::tempdir().unwrap();
    cluster.apply(&namespace, &spec(dir.path(), "one"));
    let pods = pods(&cluster, &namespace, 2);
    let podinit = follows(&pods[0]);
    within(SOON, "the run", || (runs(dir.path()) == 1).then_some(()));
    cluster.stop_server();
    let_go(dir.path());
    // It has succeeded: nobody here waits until that is written.
    podinit.wait_started("a-0");
    cluster.start_server();
    within(SOON, "it is written down", || {
        (!succeeded(&cluster, &namespace).is_empty()).then_some(())
    });
    let other = follows(&pods[1]);
    other.wait_started("a-0");
    assert_eq!(runs(dir.path()), 1);
    // A right that is missing is a start that fails.
    let rules =
        "\n  - {apiGroups: [podinit.dev], resources: [processsets], verbs: [get, list, watch]}";
    let poor = cluster.pod(&namespace, "poor", rules);
    let finished = follows(&poor).finish(SOON);
    assert_eq!(finished.code, 76, "{}", finished.story());
    assert!(
        finished.has(|line| line
            .text
            .contains("its Role needs create, get and update of leases")),
        "{}",
        finished.story()
    );
    assert_eq!(podinit.stop().code, 0);
    assert_eq!(other.stop().code, 0);
}

#[test]
fn a_set_from_a_file_claims_too_and_outside_kubernetes_it_just_runs() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("set.yaml");
    std::fs::write(&file, spec(dir.path(), "one")).unwrap();
    let file = file.to_str().unwrap();
    let_go(dir.path());
    let pods = pods(&cluster, &namespace, 2);
    for pod in &pods {
        let podinit = pod.podinit(&["-f", file]).start();
        podinit.wait_started("a-0");
        within(SOON, "it is written down", || {
            (!succeeded(&cluster, &namespace).is_empty()).then_some(())
        });
        assert_eq!(podinit.stop().code, 0);
    }
    assert_eq!(runs(dir.path()), 1);
    let alone = Start::args(&["-f", file]).start();
    alone.wait_started("a-0");
    let finished = alone.stop();
    assert_eq!(finished.code, 0);
    assert!(finished.has(|line| {
        line.text
            .contains("this is no Kubernetes: it runs here as with `scope: Pod`")
    }));
    assert_eq!(runs(dir.path()), 2);
    assert!(finished.took < Duration::from_secs(5));
}
