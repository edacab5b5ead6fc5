//! The newest spec is no good, and a container starts anew meanwhile; a spec that lacks a file.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{Cluster, condition, documented_rules};
use crate::support::{Podinit, SOON, says, within};
use crate::{STUB, a_pod, accepted, runs_well, says_that_it_failed, server, set, start, tells};

/// SIGKILL.
const KILL: i32 = 9;

/// A Serving process that says this; with `unready` never ready.
fn spec(word: &str, unready: bool) -> String {
    let probe = if unready {
        ", readinessProbe: {exec: {command: ['false']}, periodSeconds: 1}"
    } else {
        ""
    };
    format!(
        "  shutdown: {{drain: 0s}}\n  rollout: {{maxUnavailable: 1, progressDeadlineSeconds: 5}}\n  \
         processes: [{{name: a, command: [{STUB}, --say, {word}, --forever]{probe}}}]"
    )
}

#[test]
fn after_a_rollout_that_failed_a_container_begins_with_the_last_good_spec() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let account = cluster.account(&namespace, "shop", &documented_rules());
    let pods = ["shop-1", "shop-2"].map(|name| cluster.pod_of(&namespace, name, &account));
    let states = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let running = [0, 1].map(|at| runs_well(&pods[at], states[at].path()));

    cluster.apply(&namespace, &set(&spec("bad", true)));
    says_that_it_failed(cluster, &namespace);
    let tried = |podinit: &Podinit| podinit.lines().iter().any(says("bad"));
    assert_eq!(
        running.iter().filter(|podinit| tried(podinit)).count(),
        1,
        "one at a time"
    );
    for (at, podinit) in running.into_iter().enumerate() {
        // Who tried it knows of its own.
        let reason = if tried(&podinit) {
            "ContainerEnded"
        } else {
            "ProgressDeadlineExceeded"
        };
        podinit.signal(KILL);
        podinit.finish(SOON);
        let again = start(&pods[at], states[at].path());
        again.wait_for("good again", says("good"));
        accepted(cluster, &pods[at], reason, 2);
        let report = cluster.report(&pods[at]);
        assert_eq!(report["status"]["observedGeneration"], json!(1));
        assert!(!tried(&again));
        again.stop();
    }
}

#[test]
fn a_container_that_begins_with_a_bad_spec_goes_back_to_the_last_good_one() {
    let cluster = server();
    for made_anew in [false, true] {
        let namespace = cluster.namespace();
        cluster.apply(&namespace, &set(&spec("good", false)));
        let (pod, state) = a_pod(cluster, &namespace);
        runs_well(&pod, state.path()).stop();

        if made_anew {
            cluster.kubectl(&["-n", &namespace, "delete", "pset", "shop"]);
        }
        cluster.apply(&namespace, &set(&spec("bad", true)));
        let again = start(&pod, state.path());
        again.wait_for("bad", says("bad"));
        again.wait_for("good again", says("good"));
        accepted(cluster, &pod, "WasNotReady", if made_anew { 1 } else { 2 });
        again.stop();
    }
}

#[test]
fn what_proves_itself_is_kept_though_newer_ones_have_come() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let (pod, state) = a_pod(cluster, &namespace);
    let podinit = runs_well(&pod, state.path());
    let open = state.path().join("open");
    let late = spec("better", true)
        .replace("['false']", &format!("[test, -e, {}]", open.display()))
        .replace("progressDeadlineSeconds: 5", "progressDeadlineSeconds: 60");
    cluster.apply(&namespace, &set(&late));
    podinit.wait_for("better", says("better"));
    for word in ["a", "b", "c", "d", "e"] {
        cluster.apply(&namespace, &set(&spec(word, true)));
    }
    let waits = r#""generation":7"#;
    podinit.wait_for("the newest one", |line| {
        line.get("message").contains("waits") && line.text.contains(waits)
    });
    fs::write(&open, "").unwrap();
    within(SOON, "generation 2 is kept", || {
        let kept = fs::read_to_string(state.path().join("processset.json")).ok()?;
        kept.contains(r#""generation":2,"#).then_some(())
    });
    podinit.stop();
}

#[test]
fn a_spec_that_ended_the_container_is_not_taken_when_the_server_tells_of_it_late_either() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let (pod, state) = a_pod(&cluster, &namespace);
    let podinit = runs_well(&pod, state.path());
    podinit.wait_for("the Lease", tells("this pod holds the Lease"));
    let ends = "  shutdown: {drain: 0s}\n  processes: [{name: a, command: [sh, -c, 'exit 3'], \
                restartPolicy: Never, onFailure: ExitSet}]";
    cluster.apply(&namespace, &set(ends));
    let ended = podinit.finish(SOON);
    assert_ne!(ended.code, 0, "{}", ended.story());

    cluster.freeze(true);
    let again = start(&pod, state.path());
    again.wait_for(
        "the last good spec",
        tells("beginning with the last good spec"),
    );
    let pid = again.wait_started("a-0");
    cluster.freeze(false);
    again.wait_for(
        "why not",
        tells("the pod did not get ready under generation 2"),
    );
    accepted(&cluster, &pod, "ContainerEnded", 2);
    assert_eq!(again.wait_started("a-0"), pid);
    again.stop();
}

#[test]
fn a_container_that_ends_under_its_last_good_spec_too_begins_with_the_newest_one() {
    let cluster = server();
    let namespace = cluster.namespace();
    let account = cluster.account(&namespace, "shop", &documented_rules());
    let pods = ["shop-1", "shop-2"].map(|name| cluster.pod_of(&namespace, name, &account));
    let states = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let works = tempfile::NamedTempFile::new().unwrap();
    let needs = format!("test -e {} || exit 3; exec {STUB}", works.path().display());
    let good = spec("good", false).replace(
        &format!("[{STUB}, --say, good, --forever]"),
        &format!(
            "[sh, -c, '{needs} --say good --forever'], restartPolicy: Never, onFailure: ExitSet"
        ),
    );
    cluster.apply(&namespace, &set(&good));
    let running = [0, 1].map(|at| runs_well(&pods[at], states[at].path()));
    cluster.apply(&namespace, &set(&spec("bad", true)));
    says_that_it_failed(cluster, &namespace);
    let tried = |podinit: &Podinit| podinit.lines().iter().any(says("bad"));
    let spared = running.iter().position(|podinit| !tried(podinit)).unwrap();
    for podinit in running {
        podinit.signal(KILL);
        podinit.finish(SOON);
    }

    drop(works);
    let again = || start(&pods[spared], states[spared].path());
    let ended = again().finish(SOON);
    assert_eq!(ended.code, 3, "{}", ended.story());
    let leans = tells("beginning with the last good spec");
    assert!(ended.lines.iter().any(leans), "{}", ended.story());
    // The newest one may be the mend of it, though another pod went back from that.
    let again = again();
    again.wait_for("bad", says("bad"));
    again.stop();
}

/// A spec that names a file.
fn with_file(word: &str, path: &Path) -> String {
    let file = format!("{{file: {{path: {}}}}}", path.display());
    let env = format!("env: [{{name: KEY, valueFrom: {file}}}], command: [{STUB}, --say, {word}");
    let spec = spec(word, false);
    set(&spec.replace(&format!("command: [{STUB}, --say, {word}"), &env))
}

#[test]
fn a_spec_that_lacks_a_file_is_taken_once_that_is_there() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let (pod, state) = a_pod(cluster, &namespace);
    let podinit = runs_well(&pod, state.path());
    let secret = state.path().join("secret");
    cluster.apply(&namespace, &with_file("better", &secret));
    accepted(cluster, &pod, "Invalid", 2);
    let refused = |podinit: &Podinit| {
        let lines = podinit.lines();
        lines
            .iter()
            .filter(|line| tells("nothing follows")(line))
            .count()
    };
    assert_eq!(refused(&podinit), 1);
    // It is told again when somebody asks.
    podinit.signal(1);
    within(SOON, "it is refused again", || {
        (refused(&podinit) == 2).then_some(())
    });
    accepted(cluster, &pod, "Invalid", 2);
    fs::write(&secret, "k").unwrap();
    podinit.wait_for("better", says("better"));
    accepted(cluster, &pod, "Valid", 2);
    assert_eq!(refused(&podinit), 2);
    assert!(podinit.stop().took < Duration::from_secs(10));
}

#[test]
fn pods_that_all_lack_a_file_do_not_act_at_once_when_it_comes() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let account = cluster.account(&namespace, "shop", &documented_rules());
    let pods =
        ["shop-1", "shop-2", "shop-3"].map(|name| cluster.pod_of(&namespace, name, &account));
    let states = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let running = [0, 1, 2].map(|at| runs_well(&pods[at], states[at].path()));
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    cluster.apply(&namespace, &with_file("better", &secret));
    within(SOON, "no pod takes it", || {
        let set = cluster.json(&["-n", &namespace, "get", "pset", "shop"]);
        (condition(&set, "Progressing")["reason"] == "Refused").then_some(())
    });

    fs::write(&secret, "k").unwrap();
    let took = |podinit: &Podinit| podinit.wait_for("better", says("better")).at;
    let mut began: Vec<Instant> = running.iter().map(took).collect();
    began.sort();
    // A pod counts once it was ready for a second.
    for pair in began.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart > Duration::from_millis(900), "{apart:?}");
    }
    for podinit in running {
        podinit.stop();
    }
}

/// The container began with the last good spec meanwhile.
#[test]
fn a_spec_that_lacked_a_file_when_the_container_began_is_taken_once_that_is_there() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    let (pod, state) = a_pod(cluster, &namespace);
    runs_well(&pod, state.path()).stop();
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    cluster.apply(&namespace, &with_file("better", &secret));
    let again = start(&pod, state.path());
    again.wait_for("good again", says("good"));
    accepted(cluster, &pod, "Invalid", 2);
    fs::write(&secret, "k").unwrap();
    again.wait_for("better", says("better"));
    accepted(cluster, &pod, "Valid", 2);
    again.stop();
}

/// What the last good spec needs is gone: a container that cannot begin at all would be the worst.
#[test]
fn a_container_whose_last_good_spec_cannot_be_taken_any_more_begins_with_the_newest() {
    let cluster = server();
    let namespace = cluster.namespace();
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    fs::write(&secret, "k").unwrap();
    cluster.apply(&namespace, &with_file("good", &secret));
    let (pod, state) = a_pod(cluster, &namespace);
    let podinit = runs_well(&pod, state.path());
    cluster.apply(&namespace, &set(&spec("better", true)));
    podinit.wait_for("better", says("better"));
    fs::remove_file(&secret).unwrap();
    podinit.signal(KILL);
    podinit.finish(SOON);

    let again = start(&pod, state.path());
    again.wait_for("better again", says("better"));
    again.stop();
}

#[test]
fn a_version_that_waits_and_lacks_a_file_when_somebody_asks_waits_again_once_that_is_there() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set(&spec("good", false)));
    // Nobody says whose turn it is.
    let rules = documented_rules().replace("resources: [processsets/status]", "resources: [none]");
    let account = cluster.account(&namespace, "shop", &rules);
    let pod = cluster.pod_of(&namespace, "shop-1", &account);
    let state = tempfile::tempdir().unwrap();
    let podinit = runs_well(&pod, state.path());
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    fs::write(&secret, "k").unwrap();
    cluster.apply(&namespace, &with_file("better", &secret));
    podinit.wait_for("it waits", tells("waits"));
    fs::remove_file(&secret).unwrap();
    podinit.signal(1);
    accepted(cluster, &pod, "Invalid", 2);
    fs::write(&secret, "k").unwrap();
    podinit.wait_for_nth("it waits again", 2, |line| tells("waits")(line));
    accepted(cluster, &pod, "Valid", 1);
    podinit.stop();
}
