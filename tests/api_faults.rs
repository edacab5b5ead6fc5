//! podinit and an API server that fails: rights that are missing, a server that is away, holders that die, more traffic
//! than there ever is. `make test-api` builds the server first; where it is built, `cargo test --features api --test
//! api_faults` does as well.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    unsafe_code,
    unreachable_pub,
    reason = "a test"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "support/cluster.rs"]
mod cluster;
mod support;

#[path = "api_faults/bad_spec.rs"]
mod bad_spec;
#[path = "api_faults/lease.rs"]
mod lease;
#[path = "api_faults/moods.rs"]
mod moods;
#[path = "api_faults/outage.rs"]
mod outage;
#[path = "api_faults/rights.rs"]
mod rights;
#[path = "api_faults/traffic.rs"]
mod traffic;
#[path = "api_faults/trial.rs"]
mod trial;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use cluster::{Cluster, Pod, condition, documented_rules};
use serde_json::Value;
use support::{Line, Podinit, SOON, says, within};

const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

/// One server for all tests of this binary that leave it alone; each has a namespace of its own.
fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(|| Cluster::audited().with_crds())
}

/// The set `shop`.
fn set(spec: &str) -> String {
    cluster::set("shop", spec)
}

/// Two workers, of which the first says what it is told, and the second is there so often.
fn workers(word: &str, replicas: u32) -> String {
    format!(
        "  shutdown: {{drain: 0s}}\n  processes:\n    \
         - {{name: a, traffic: Background, command: [{STUB}, --say, {word}, --forever]}}\n    \
         - {{name: b, traffic: Background, replicas: {replicas}, command: [{STUB}, --say, b, --forever]}}"
    )
}

/// A pod that follows the set `shop`, and its state directory.
fn a_pod<'a>(cluster: &'a Cluster, namespace: &str) -> (Pod<'a>, tempfile::TempDir) {
    let account = cluster.account(namespace, "shop", &documented_rules());
    let pod = cluster.pod_of(namespace, "shop-1", &account);
    (pod, tempfile::tempdir().unwrap())
}

fn start(pod: &Pod<'_>, state: &Path) -> Podinit {
    let start = pod.podinit(&["--processset", "shop"]);
    start
        .env("PODINIT_STATE_DIR", state.to_str().unwrap())
        .start()
}

/// Runs under its first spec, which is kept.
fn runs_well(pod: &Pod<'_>, state: &Path) -> Podinit {
    let podinit = start(pod, state);
    podinit.wait_for("good", says("good"));
    within(SOON, "its spec is kept", || {
        state.join("processset.json").exists().then_some(())
    });
    podinit
}

/// Accepted is this, for this generation.
fn accepted(cluster: &Cluster, pod: &Pod<'_>, reason: &str, generation: i64) {
    within(SOON, reason, || {
        let accepted = condition(&cluster.report(pod), "Accepted");
        (accepted["reason"] == reason && accepted["observedGeneration"] == generation).then_some(())
    });
}

/// The set `shop` says that its rollout failed.
fn says_that_it_failed(cluster: &Cluster, namespace: &str) {
    within(SOON, "the set says that it failed", || {
        let set = cluster.json(&["-n", namespace, "get", "pset", "shop"]);
        let moving = condition(&set, "Progressing");
        (moving["reason"] == "ProgressDeadlineExceeded").then_some(())
    });
}

fn tells(part: &str) -> impl Fn(&Line) -> bool + use<> {
    let part = part.to_owned();
    move |line| line.get("source") == "podinit" && line.get("message").contains(&part)
}

/// The status of the set `shop`.
fn status(cluster: &Cluster, namespace: &str) -> Value {
    cluster.json(&["get", "pset", "-n", namespace, "shop"])["status"].clone()
}

/// What a process has used of a core so far, in seconds.
fn cpu(pid: i32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let used = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    used.sum::<f64>() / 1e9
}

/// A process's share of the machine's memory, in KiB: all of it, and what is not of its file, which other tests share.
fn memory(pid: i32) -> (u64, u64) {
    (rollup(pid, "Pss:"), rollup(pid, "Pss_Anon:"))
}

/// A line of what the kernel says of a process's memory, in KiB.
fn rollup(pid: i32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
