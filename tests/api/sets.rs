//! What becomes of the pods when their set goes, changes what serves, or is for some of them only.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Pod, condition, set};
use crate::support::http::{ask, port_of, probed};
use crate::support::{Line, Podinit, SOON, children_of, says, within};
use crate::{RULES, STUB, server, workers};

/// Waits until the rollout of this generation is complete; gives the set.
fn complete(cluster: &Cluster, namespace: &str, generation: i64, pods: u32) -> Value {
    within(SOON, "the rollout is complete", || {
        let told = cluster.json(&["get", "pset", "-n", namespace, "web"]);
        let moving = condition(&told, "Progressing");
        let done = moving["observedGeneration"] == generation
            && moving["reason"] == "Complete"
            && told["status"]["pods"]["total"] == pods;
        done.then_some(told)
    })
}

fn is_ready(admin: &str) -> bool {
    ask(admin, "GET", "/readyz").0 == 200
}

#[test]
fn a_set_that_is_deleted_changes_nothing_and_made_anew_it_is_followed_again() {
    let cluster = server();
    let namespace = cluster.namespace();
    let (port, probes) = probed();
    let spec = |word: &str| {
        let probe = format!("readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}");
        format!(
            "  shutdown: {{drain: 0s}}\n  processes:\n    \
             - {{name: a, traffic: Background, command: [{STUB}, --say, {word}, --forever]}}\n    \
             - {{name: b, replicas: 2, command: [{STUB}, --forever], {probe}}}"
        )
    };
    cluster.apply(&namespace, &set("web", &spec("one")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("one", says("one"));
    podinit.wait_started("b-1");
    let admin = port_of(&podinit);
    within(SOON, "ready", || is_ready(&admin).then_some(()));
    let old = complete(cluster, &namespace, 1, 1);
    let children = children_of(podinit.pid());
    assert_eq!(children.len(), 3, "{children:?}");

    cluster.kubectl(&["delete", "pset", "-n", &namespace, "web"]);
    podinit.wait_for("it is said", |line| {
        line.get("message").contains("was deleted")
    });
    let seen = probes.load(Ordering::Relaxed);
    within(SOON, "three seconds of probes", || {
        assert!(is_ready(&admin), "unready");
        assert_eq!(children_of(podinit.pid()), children, "all as they were");
        (probes.load(Ordering::Relaxed) >= seen + 6).then_some(())
    });
    let told = cluster.report(&pod);
    assert_eq!(told["status"]["ready"], "3/3");
    assert_eq!(condition(&told, "Ready")["status"], "True");

    // It begins with the same generation: only its uid tells it from the old one.
    cluster.apply(&namespace, &set("web", &spec("two")));
    podinit.wait_for("two", says("two"));
    let new = complete(cluster, &namespace, 1, 1);
    let uid = &new["metadata"]["uid"];
    assert_ne!(*uid, old["metadata"]["uid"]);
    within(SOON, "the report is of the new set", || {
        let told = &cluster.report(&pod)["status"];
        (told["observedUid"] == *uid && told["observedGeneration"] == 1).then_some(())
    });
    podinit.has_started("a-0", 2);
    podinit.has_started("b-0", 1);
    podinit.has_started("b-1", 1);
    assert_eq!(podinit.stop().code, 0);
}

/// The n-th of podinit's own lines about an instance, or the set, that begin so.
fn own(podinit: &Podinit, nth: usize, instance: &str, message: &str) -> Line {
    podinit.wait_for_nth(message, nth, |line| line.is_own(instance, message))
}

#[test]
fn what_serves_is_stopped_after_the_drain_and_begins_anew_within_a_second() {
    let cluster = server();
    let namespace = cluster.namespace();
    let spec = |word: &str| {
        format!(
            "  shutdown: {{drain: 2s}}\n  processes:\n    - {{name: a, command: [{STUB}, --say, {word}, --forever]}}\n    \
             - {{name: b, command: [{STUB}, --forever]}}\n    \
             - {{name: c, traffic: Background, command: [{STUB}, --forever]}}"
        )
    };
    cluster.apply(&namespace, &set("web", &spec("v0")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("v0", says("v0"));
    let admin = port_of(&podinit);
    let drain = Duration::from_secs(2);
    let mut took = Vec::new();
    for version in 1..=3 {
        complete(cluster, &namespace, version, 1);
        within(SOON, "ready", || is_ready(&admin).then_some(()));
        let word = format!("v{version}");
        cluster.apply(&namespace, &set("web", &spec(&word)));
        let applied = Instant::now();
        let ended = || {
            let lines = podinit.lines();
            let ended = lines.iter().filter(|line| line.is_own("a-0", "exited"));
            ended.count() == version as usize
        };
        within(SOON, "unready", || (!is_ready(&admin)).then_some(()));
        assert!(!ended(), "unready first");
        let mut ready_at = Vec::new();
        within(SOON, "the old run ends", || {
            if is_ready(&admin) {
                ready_at.push(SystemTime::now());
            }
            ended().then_some(())
        });
        // The line comes later than what it tells of.
        let end = own(&podinit, version as usize, "a-0", "exited");
        let early = ready_at.iter().filter(|at| end.is_after(**at));
        assert_eq!(early.count(), 0, "ready in the middle of the drain");
        podinit.wait_for(&word, says(&word));
        took.push(applied.elapsed());
        let nth = version as usize;
        let changed = own(&podinit, nth, "", "the spec changed: a is restarted");
        let stopped = own(&podinit, nth, "a-0", "stopping with").since(&changed);
        let started = own(&podinit, nth + 1, "a-0", "started").since(&changed);
        // Its clock is cut to milliseconds.
        let cut = Duration::from_millis(2);
        assert!(stopped + cut >= drain, "stopped after {stopped:?}");
        assert!(started < drain + Duration::from_secs(1), "{started:?}");
    }
    took.sort();
    println!("from apply to new run with a drain of {drain:?}: {took:?}");
    assert!(took[1] < drain + Duration::from_secs(1), "{took:?}");
    podinit.has_started("b-0", 1);
    podinit.has_started("c-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn pods_of_another_revision_keep_what_they_run_and_hold_nobody_up() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("one")));
    let pods: Vec<Pod<'_>> = (0..4)
        .map(|at| cluster.pod(&namespace, &format!("web-{at}"), RULES))
        .collect();
    let start = |at: usize, revision: &str| {
        let start = pods[at].podinit(&["--processset", "web"]);
        let podinit = start.env("PODINIT_REVISION", revision).start();
        podinit.wait_for("one", says("one"));
        podinit
    };
    // One that does not take it looks after all of them.
    let mut others = vec![start(0, "old")];
    others[0].wait_for("the Lease", |line| {
        line.get("message").starts_with("this pod holds the Lease")
    });
    others.push(start(1, "old"));
    let those: Vec<Podinit> = (2..4).map(|at| start(at, "new")).collect();
    complete(cluster, &namespace, 1, 4);

    let changed = format!("  revision: new\n{}", workers("two"));
    cluster.apply(&namespace, &set("web", &changed));
    for podinit in &those {
        podinit.wait_for("two", says("two"));
    }
    let told = complete(cluster, &namespace, 2, 4);
    let counted = json!({"total": 4, "updated": 2, "ready": 4, "degraded": 0, "summary": "4/4"});
    assert_eq!(told["status"]["pods"], counted);
    assert_eq!(condition(&told, "Accepted")["status"], "True", "{told}");
    for pod in &pods[..2] {
        let told = within(SOON, "why not", || {
            let told = cluster.report(pod);
            (condition(&told, "Accepted")["status"] == "False").then_some(told)
        });
        let accepted = condition(&told, "Accepted");
        assert_eq!(accepted["reason"], "RevisionMismatch");
        assert_eq!(accepted["observedGeneration"], 2);
        let message = accepted["message"].as_str().unwrap();
        assert!(message.contains("revision `new`"), "{message}");
        assert_eq!(told["status"]["observedGeneration"], 1);
        assert_eq!(told["status"]["ready"], "2/2");
    }
    // The other way round: who was left behind takes its turn, and the others stay.
    let back = format!("  revision: old\n{}", workers("three"));
    cluster.apply(&namespace, &set("web", &back));
    for podinit in &others {
        podinit.wait_for("three", says("three"));
    }
    complete(cluster, &namespace, 3, 4);
    for podinit in others.into_iter().chain(those) {
        podinit.has_started("a-0", 2);
        podinit.has_started("b-0", 1);
        assert_eq!(podinit.stop().code, 0);
    }
}
