//! The holder of a set's Lease dies, or stands still: another one has it by the documented bound, and never do two act.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Cluster, Pod, documented_rules};
use crate::support::{Podinit, SOON, says, within};
use crate::{server, set, status, tells, workers};

/// A Lease of 15 s, and a look of a candidate before and after that, each 4.4 s at most; and a busy machine.
const BOUND: Duration = Duration::from_secs(25);

const HOLDS: &str = "this pod holds the Lease";

/// A report of a pod that there is not: of an old generation, so that a change is on its way for ever, and degraded or not.
fn ghost(cluster: &Cluster, namespace: &str, degraded: bool) {
    let status = serde_json::json!({"status": {"observedGeneration": 0, "phase": "Running", "pod": "ghost",
        "container": "main", "processSet": "shop", "ready": "1/1", "restarts": 0, "processes": [], "conditions": [
            {"type": "Degraded", "status": if degraded { "True" } else { "False" }, "reason": "X", "message": "",
             "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let patch = status.to_string();
    let args = [
        "patch",
        "prep",
        "-n",
        namespace,
        "ghost.main",
        "--subresource=status",
    ];
    cluster.kubectl(&[&args[..], &["--type=merge", "-p", &patch]].concat());
}

/// The fleet's status follows: somebody acts.
fn somebody_acts(cluster: &Cluster, namespace: &str, degraded: bool) {
    ghost(cluster, namespace, degraded);
    within(SOON, "the status follows", || {
        (status(cluster, namespace)["pods"]["degraded"] == u32::from(degraded)).then_some(())
    });
}

/// When this pod wrote: the set's status, or the Lease.
fn writes(cluster: &Cluster, pod: &Pod<'_>, resource: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let asked = cluster.asked(pod);
    let wrote = asked.iter().filter(|one| {
        ["patch", "update", "create"].contains(&&*text(&one["verb"]))
            && text(&one["objectRef"]["resource"]) == resource
            && one["responseStatus"]["code"].as_u64() < Some(300)
    });
    wrote.map(|one| text(&one["stageTimestamp"])).collect()
}

#[test]
fn a_holder_that_dies_or_stands_still_is_followed_by_another_one_and_never_do_two_act() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&workers("one", 1)));
    let ghostly = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessReport\nmetadata: {name: ghost.main, labels: {podinit.dev/processset: shop}}\n";
    cluster.apply(&namespace, ghostly);
    ghost(cluster, &namespace, false);
    let pods: Vec<Pod<'_>> = (1..=3)
        .map(|at| cluster.pod(&namespace, &format!("shop-{at}"), &documented_rules()))
        .collect();
    let start = |pod: &Pod<'_>| {
        let podinit = pod.podinit(&["--processset", "shop"]).start();
        podinit.wait_for("one", says("one"));
        within(SOON, "a report", || {
            (!cluster.report(pod).is_null()).then_some(())
        });
        podinit
    };
    let first = start(&pods[0]);
    first.wait_for("it holds", tells(HOLDS));
    let second = start(&pods[1]);
    somebody_acts(cluster, &namespace, true);
    first.signal(9);
    let took = until_it_holds(&second);
    somebody_acts(cluster, &namespace, false);
    let last = writes(cluster, &pods[0], "leases").pop().unwrap();
    println!(
        "the holder was killed: the next one has the Lease after {took:?}, last written at {last}"
    );
    assert!(took < BOUND, "{took:?}");

    let third = start(&pods[2]);
    second.signal(19);
    let took = until_it_holds(&third);
    println!("the holder stands still: the next one has the Lease after {took:?}");
    assert!(took < BOUND, "{took:?}");
    second.signal(18);
    second.wait_for("it sees that", tells("holds no longer the Lease"));
    for degraded in [true, false, true] {
        somebody_acts(cluster, &namespace, degraded);
    }
    let taken = writes(cluster, &pods[2], "leases").remove(0);
    let late = writes(cluster, &pods[1], "processsets");
    assert!(!late.is_empty(), "it acted while it held");
    assert!(
        late.iter().all(|at| *at < taken),
        "{late:?}, taken at {taken}"
    );
    // Who only wakes up does not take it away from anybody.
    let holder = cluster.json(&["get", "lease", "-n", &namespace, "shop-podinit"]);
    let holder = holder["spec"]["holderIdentity"].as_str().unwrap();
    assert!(holder.starts_with("shop-3."), "{holder}");
    assert_eq!(second.stop().code, 0);
    assert_eq!(third.stop().code, 0);
}

fn until_it_holds(podinit: &Podinit) -> Duration {
    let began = Instant::now();
    podinit.wait_for("it holds", tells(HOLDS));
    began.elapsed()
}
