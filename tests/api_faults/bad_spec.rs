//! A spec that ends podinit itself.

use serde_json::json;

use crate::support::{SOON, says};
use crate::{STUB, a_pod, accepted, runs_well, says_that_it_failed, server, set, start, tells};

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
    let (pod, state) = a_pod(cluster, &namespace);
    let podinit = runs_well(&pod, state.path());
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
                .any(tells("the pod did not get ready under generation 2"))
        );
        accepted(cluster, &pod, "ContainerEnded", 2);
        says_that_it_failed(cluster, &namespace);
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
