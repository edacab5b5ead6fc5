//! What a pod asks when nothing happens, and what an hour of other people's writes does to it.

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster::{Pod, documented_rules};
use crate::support::{Podinit, SOON, says, within};
use crate::{memory, rollup, server, set, status, tells, workers};

/// The share of the machine's memory that a pod has at most, in bytes.
const MOST_MEMORY: u64 = 12_000_000;
/// The size of a release binary, rounded up.
const RELEASE_BINARY: u64 = 8_000_000;

/// What a pod asked beside the Lease and the watch of its set, as `VERB RESOURCE`.
fn others(asked: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = asked.iter().map(|one| {
        let resource = text(&one["objectRef"]["resource"]);
        format!("{} {resource}", text(&one["verb"]))
    });
    told.filter(|told| !told.ends_with(" leases") && told != "watch processsets")
        .collect()
}

fn renewals(asked: &[Value]) -> usize {
    let leases = asked
        .iter()
        .filter(|one| one["objectRef"]["resource"] == "leases");
    leases.count()
}

/// A pod of its own namespace that runs the set.
fn started() -> (Pod<'static>, Podinit) {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&workers("one", 1)));
    let pod = cluster.pod(&namespace, "shop-1", &documented_rules());
    let podinit = pod.podinit(&["--processset", "shop"]).start();
    podinit.wait_for("one", says("one"));
    (pod, podinit)
}

#[test]
fn a_settled_pod_asks_next_to_nothing() {
    let (pod, podinit) = started();
    let (cluster, namespace) = (server(), pod.namespace.as_str());
    within(SOON, "the status", || {
        (status(cluster, namespace)["pods"]["summary"] == "1/1").then_some(())
    });
    let quiet = asked_until(&pod, 15);
    // Looks after the fleet come ever more seldom: after 10, 20, 40 s, then each minute.
    let long = Duration::from_secs(120);
    let later = within(long, "a minute of renewals", || {
        let asked = cluster.asked(&pod);
        (renewals(&asked) >= renewals(&quiet) + 30).then_some(asked)
    });
    let more = others(&later).split_off(others(&quiet).len());
    assert!(more.len() <= 2, "{more:?}");
    assert!(
        more.iter().all(|one| one == "list processreports"),
        "{more:?}"
    );
    assert_eq!(podinit.stop().code, 0);
}

/// What it asked once it has renewed the Lease so often: each time is two seconds.
fn asked_until(pod: &Pod<'_>, count: usize) -> Vec<Value> {
    let limit = Duration::from_secs(120);
    within(limit, "renewals", || {
        let asked = server().asked(pod);
        (renewals(&asked) >= count).then_some(asked)
    })
}

/// A ProcessSet of which `podinit` is told as fast as the server can.
#[test]
fn an_hour_of_changes_that_are_not_ours_costs_no_memory() {
    let (pod, podinit) = started();
    let (cluster, namespace) = (server(), pod.namespace.as_str());
    podinit.wait_for("the Lease", tells("this pod holds the Lease"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut used = Vec::new();
    let before = others(&cluster.asked(&pod)).len();
    for third in 1..=3 {
        runtime.block_on(async { write(cluster.client(), namespace, third, 1200).await });
        // What comes after all of them was seen: so were they.
        cluster.apply(namespace, &set(&workers("one", 1 + third)));
        podinit.wait_started(&format!("b-{third}"));
        used.push(memory(podinit.pid()));
    }
    let asked = others(&cluster.asked(&pod)).split_off(before);
    println!(
        "PSS and of it anonymous, in KiB after each third: {used:?}; {} requests of its own",
        asked.len()
    );
    assert!(
        asked.len() < 100,
        "nobody asks because of what others write: {asked:?}"
    );
    assert!(used[2].1 < used[0].1 + 512, "{used:?}");
    assert_is_small(podinit.pid());
    assert_eq!(podinit.starts("a-0"), 1);
    assert_eq!(podinit.stop().code, 0);
}

/// The bound is for a release build, which has 7.7 MB then. A debug build has 12.0 MB, of which 10.8 MB are its file, so of that
/// only the rest is judged, which is the same in both, with all of a release binary beside it.
fn assert_is_small(pid: i32) {
    let bytes = |name: &str| rollup(pid, name) * 1024;
    // Not what it shares with the podinits of other tests: this is the most that its share can be.
    let (resident, anonymous) = (bytes("Rss:"), bytes("Anonymous:"));
    let bound = if cfg!(debug_assertions) {
        anonymous + RELEASE_BINARY
    } else {
        resident
    };
    println!(
        "resident: {resident} bytes, anonymous: {anonymous}; at most {bound} in a release build"
    );
    assert!(bound <= MOST_MEMORY, "{bound} of {MOST_MEMORY}");
}

/// Labels and, now and then, a condition of somebody else's.
async fn write(client: kube::Client, namespace: &str, third: u32, count: u32) {
    let kind = GroupVersionKind::gvk("podinit.dev", "v1alpha1", "ProcessSet");
    let kind = ApiResource::from_gvk_with_plural(&kind, "processsets");
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind);
    let how = PatchParams::default();
    for one in 0..count {
        let word = format!("{third}-{one}");
        let labels = json!({"metadata": {"labels": {"changes": word}}});
        if one % 4 == 0 {
            let condition = json!({"type": "Other", "status": "True", "reason": "Other", "message": word,
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let status = json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet",
                "status": {"conditions": [condition]}});
            let how = PatchParams::apply("somebody").force();
            api.patch_status("shop", &how, &Patch::Apply(status))
                .await
                .unwrap();
        } else {
            api.patch("shop", &how, &Patch::Merge(labels))
                .await
                .unwrap();
        }
    }
}
