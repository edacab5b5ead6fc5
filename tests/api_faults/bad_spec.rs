//! A spec that ends podinit itself.

use std::path::Path;

use serde_json::json;

use crate::cluster::{Pod, documented_rules};
use crate::support::{Podinit, SOON, says, within};
use crate::{STUB, server, set, tells};

fn start(pod: &Pod<'_>, state: &Path) -> Podinit {
    let start = pod.podinit(&["--processset", "shop"]);
    start
        .env("PODINIT_STATE_DIR", state.to_str().unwrap())
        .start()
}

fn spec(command: &str) -> String {
    format!(
        "  shutdown: {{drain: 0s}}\n  processes: [{{name: a, command: {command}, restartPolicy: Never, onFailure: ExitSet}}]"
    )
}

#[test]
fn a_container_that_ended_under_a_bad_spec_begins_with_the_last_good_one_each_time() {
    let cluster = server();
    let namespace = cluster.namespace();
    let good = spec(&format!("[{STUB}, --say, good, --forever]"));
    cluster.apply(&namespace, &set(&good));
    let account = cluster.account(&namespace, "shop", &documented_rules());
    let pod = cluster.pod_of(&namespace, "shop-1", &account);
    let state = tempfile::tempdir().unwrap();
    let podinit = start(&pod, state.path());
    podinit.wait_for("good", says("good"));
    within(SOON, "its spec is kept", || {
        state.path().join("processset.json").exists().then_some(())
    });
    podinit.wait_for("the Lease", tells("this pod holds the Lease"));

    cluster.apply(&namespace, &set(&spec("[sh, -c, 'exit 3']")));
    let ended = podinit.finish(SOON);
    assert_ne!(ended.code, 0, "{}", ended.story());
    // The kubelet starts the container again, and again.
    for _ in 0..2 {
        let again = start(&pod, state.path());
        again.wait_for("good again", says("good"));
        assert!(
            again
                .lines()
                .iter()
                .any(tells("the container ended under generation 2"))
        );
        within(SOON, "the report says so", || {
            let report = cluster.report(&pod);
            let conditions = report["status"]["conditions"].as_array()?;
            let accepted = conditions.iter().find(|one| one["type"] == "Accepted")?;
            (accepted["reason"] == "ContainerEnded" && accepted["observedGeneration"] == 2)
                .then_some(())
        });
        within(SOON, "the set says so", || {
            let set = cluster.json(&["-n", &namespace, "get", "pset", "shop"]);
            let conditions = set["status"]["conditions"].as_array()?.clone();
            let moving = conditions.iter().find(|one| one["type"] == "Progressing")?;
            (moving["reason"] == "ProgressDeadlineExceeded").then_some(())
        });
        assert_eq!(
            cluster.report(&pod)["status"]["observedGeneration"],
            json!(1)
        );
        again.stop();
    }

    // A better one is taken.
    let again = start(&pod, state.path());
    again.wait_for("good again", says("good"));
    cluster.apply(
        &namespace,
        &set(&spec(&format!("[{STUB}, --say, better, --forever]"))),
    );
    again.wait_for("better", says("better"));
    again.stop();
}
