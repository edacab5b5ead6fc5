//! podinit and a real API server. `make test-api` builds that first; where it is built, `cargo test --features api --test api`
//! does as well.

#![allow(
    missing_docs,
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

#[path = "api/sets.rs"]
mod sets;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cluster::{Cluster, Pod, condition, documented_rules, set};
use support::{Podinit, SOON, says, within};

const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

/// All that a pod in CR mode may do.
const RULES: &str = r#"
  - {apiGroups: [podinit.dev], resources: [processsets], verbs: [get, list, watch]}
  - {apiGroups: [podinit.dev], resources: [processsets/status], verbs: [patch]}
  - {apiGroups: [podinit.dev], resources: [processreports], verbs: [create, patch, list]}
  - {apiGroups: [podinit.dev], resources: [processreports/status], verbs: [patch]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, update]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
  - {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}"#;

/// One server for all tests of this binary; each has a namespace of its own.
fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(|| Cluster::start().with_crds())
}

/// Two workers, the first of which says what it is told.
fn workers(word: &str) -> String {
    format!(
        "  processes:\n    - {{name: a, traffic: Background, command: [{STUB}, --say, {word}, --forever]}}\n    \
         - {{name: b, traffic: Background, command: [{STUB}, --say, b, --forever]}}"
    )
}

#[test]
fn the_crds_are_taken_and_explained_and_hold_what_they_can() {
    let cluster = server();
    let namespace = cluster.namespace();
    for (path, words) in [
        (
            "processset.spec.processes",
            &["dependsOn", "<[]Object>", "stopSignal"][..],
        ),
        ("processset.spec.processes.livenessProbe", &["fastCgi"]),
        (
            "processreport.status",
            &["phase", "enum: Starting, Running"],
        ),
    ] {
        let told = cluster.kubectl(&["explain", path]);
        for word in words {
            assert!(told.contains(word), "{path} without {word}: {told}");
        }
    }
    cluster.apply(&namespace, &set("web", &workers("x")));
    let list = cluster.kubectl(&["get", "pset", "-n", &namespace]);
    assert!(
        list.starts_with("NAME   READY   UP-TO-DATE   DEGRADED   AGE"),
        "{list}"
    );
    for (spec, why) in [
        (
            "  processes: [{name: UPPER, command: [x]}]",
            "spec.processes[0].name",
        ),
        ("  processes: [{name: a}]", "spec.processes[0].command"),
        ("  processes: []", "at least one of processes"),
        (
            "  processes: [{name: a, command: [x]}, {name: a, command: [z]}]",
            "duplicate entries",
        ),
        (
            "  processes: [{name: a, command: [x], replicas: 1001}]",
            "replicas",
        ),
    ] {
        let told = cluster.refuse(&namespace, &set("bad", spec));
        assert!(told.contains(why), "{spec}: {told}");
    }
    // As they are, with nothing that the server would drop.
    for example in ["web-and-queue.yaml", "job.yaml", "laravel/processset.yaml"] {
        let path = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let strict = ["apply", "--server-side", "--validate=strict"];
        cluster.kubectl(&[&strict[..], &["-n", &namespace, "-f", &path]].concat());
    }
    let known = cluster.kubectl(&["get", "pset", "-n", &namespace, "-o", "name"]);
    assert_eq!(
        known.lines().collect::<Vec<_>>(),
        ["laravel", "shop", "web"].map(|name| format!("processset.podinit.dev/{name}"))
    );
}

/// The API server itself, asked from inside by a client that is not ours.
#[test]
fn a_pod_of_the_tests_has_what_a_pod_has() {
    let cluster = server();
    let namespace = cluster.namespace();
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let kubectl = |args: &[&str]| {
        let output = pod.command(cluster.program("kubectl").to_str().unwrap());
        let output = { output }.args(args).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        String::from_utf8(told).unwrap()
    };
    let who: serde_json::Value =
        serde_json::from_str(&kubectl(&["auth", "whoami", "-o", "json"])).unwrap();
    let who = &who["status"]["userInfo"];
    assert_eq!(
        who["username"],
        format!("system:serviceaccount:{namespace}:web-1-account")
    );
    let bound = &who["extra"]["authentication.kubernetes.io/pod-uid"][0];
    assert_eq!(*bound, pod.uid.as_str());
    // Its own namespace, and no more than its rules say.
    assert!(kubectl(&["get", "pods"]).contains("web-1"));
    let secrets = kubectl(&["get", "secrets"]);
    assert!(secrets.contains("Forbidden"), "{secrets}");
    let others = kubectl(&["get", "pods", "-n", "default"]);
    assert!(others.contains("Forbidden"), "{others}");
    let name = pod.command("printenv").arg("POD_NAME").output().unwrap();
    assert_eq!(name.stdout, b"web-1\n");
    // What is bound to a Pod ends with it.
    cluster.kubectl(&["delete", "pod", "-n", &namespace, "web-1", "--force"]);
    within(SOON, "its token is worth nothing", || {
        let told = kubectl(&["get", "pods"]);
        (told.contains("logged in") || told.contains("Unauthorized")).then_some(())
    });
}

/// A server with the controllers: only they remove what belongs to a Pod.
#[test]
fn a_report_goes_with_its_pod() {
    let cluster = Cluster::start().with_crds().with_controllers();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("one")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("one", says("one"));
    let reports = || cluster.kubectl(&["get", "prep", "-n", &namespace, "--no-headers"]);
    within(SOON, "a report", || {
        reports().contains("web-1.main").then_some(())
    });
    assert_eq!(podinit.stop().code, 0);
    cluster.kubectl(&["delete", "pod", "-n", &namespace, "web-1", "--force"]);
    within(Duration::from_secs(60), "it is gone", || {
        (!reports().contains("web-1")).then_some(())
    });
    cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]);
}

#[test]
fn a_pod_follows_its_set_and_reports() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("one")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("one", says("one"));
    let list = within(SOON, "a report", || {
        let list = cluster.kubectl(&["get", "prep", "-n", &namespace]);
        list.contains("2/2").then_some(list)
    });
    let header: Vec<&str> = list.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["NAME", "READY", "STATUS", "RESTARTS", "SET", "AGE"]
    );
    let told = cluster.report(&pod);
    assert_eq!(
        told["metadata"]["ownerReferences"][0]["uid"],
        pod.uid.as_str()
    );
    assert_eq!(told["status"]["observedGeneration"], 1);
    assert_eq!(told["status"]["phase"], "Running");
    // In place: nobody is restarted, and there is no turn to wait for.
    let more = workers("one").replace("name: b,", "name: b, replicas: 2,");
    cluster.apply(&namespace, &set("web", &more));
    podinit.wait_started("b-1");
    within(SOON, "the report follows", || {
        let told = cluster.report(&pod);
        (told["status"]["observedGeneration"] == 2 && told["status"]["ready"] == "3/3")
            .then_some(())
    });
    podinit.has_started("a-0", 1);
    podinit.has_started("b-0", 1);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    assert_eq!(cluster.report(&pod)["status"]["phase"], "Stopped");
}

#[test]
fn the_documented_rights_are_enough_and_a_pod_writes_its_own_report_only() {
    let cluster = server();
    let namespace = cluster.namespace();
    let path = format!("{}/examples/rbac.yaml", env!("CARGO_MANIFEST_DIR"));
    cluster.kubectl(&["apply", "-n", &namespace, "-f", &path]);
    cluster.apply(&namespace, &set("shop", &workers("one")));
    let pod = cluster.pod(&namespace, "shop-1", &documented_rules());
    let podinit = pod.podinit(&["--processset", "shop"]).start();
    podinit.wait_for("one", says("one"));
    within(SOON, "the status", || {
        let list = cluster.kubectl(&["get", "pset", "-n", &namespace]);
        list.contains("1/1").then_some(())
    });
    cluster.apply(&namespace, &set("shop", &workers("two")));
    podinit.wait_for("two", says("two"));
    let foreign =
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessReport\nmetadata: {name: other.main}\n";
    let write = || {
        let args = [
            "apply",
            "--server-side",
            "--validate=false",
            "-n",
            &namespace,
            "-f",
            "-",
        ];
        cluster.kubectl_as(&pod, &args, Some(foreign))
    };
    let (taken, told) = write();
    assert!(taken, "RBAC cannot limit it: {told}");
    let page = format!("{}/docs/kubernetes.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(page).unwrap();
    let at = page.find("apiVersion: admissionregistration").unwrap();
    let (policy, _) = page[at..].split_once("```").unwrap();
    cluster.apply(&namespace, policy);
    within(SOON, "the policy holds", || {
        let (taken, told) = write();
        (!taken && told.contains("its own ProcessReport only")).then_some(())
    });
    // Its own is written all the same.
    cluster.apply(&namespace, &set("shop", &workers("three")));
    podinit.wait_for("three", says("three"));
    within(SOON, "the report", || {
        (cluster.report(&pod)["status"]["observedGeneration"] == 3).then_some(())
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    assert!(
        !finished.has(|line| line.get("message").contains("its Role needs")),
        "{}",
        finished.story()
    );
}

#[test]
fn a_changed_process_is_restarted_alone_within_a_second() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("v0")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("v0", says("v0"));
    within(SOON, "the status", || {
        let list = cluster.kubectl(&["get", "pset", "-n", &namespace]);
        list.contains("1/1").then_some(())
    });
    let mut took = Vec::new();
    for version in 1..=9 {
        let word = format!("v{version}");
        cluster.apply(&namespace, &set("web", &workers(&word)));
        // kubectl itself takes a while: what counts is from when the server had it.
        let applied = Instant::now();
        podinit.wait_for(&word, says(&word));
        took.push(applied.elapsed());
        within(SOON, "it is done", || {
            let told = cluster.json(&["get", "pset", "-n", &namespace, "web"]);
            let status = &told["status"];
            let done = status["observedGeneration"] == version + 1
                && status["pods"]["updated"] == 1
                && status["conditions"][1]["status"] == "False";
            done.then_some(())
        });
    }
    took.sort();
    println!(
        "from apply to new run: median {:?}, longest {:?}",
        took[4], took[8]
    );
    assert!(took[4] < Duration::from_secs(1), "{took:?}");
    podinit.has_started("b-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn of_twenty_pods_a_bad_spec_reaches_a_quarter_and_is_taken_back() {
    let cluster = server();
    let namespace = cluster.namespace();
    let spec = |word: &str, probe: &str| {
        let rollout = "  rollout: {maxUnavailable: 25%, progressDeadlineSeconds: 20}";
        format!(
            "{rollout}\n  shutdown: {{drain: 0s}}\n  processes:\n    - name: a\n      command: [{STUB}, --say, {word}, --forever]\n{probe}"
        )
    };
    cluster.apply(&namespace, &set("web", &spec("good", "")));
    let pods: Vec<Pod<'_>> = (0..20)
        .map(|at| cluster.pod(&namespace, &format!("web-{at}"), RULES))
        .collect();
    let running: Vec<Podinit> = (pods.iter())
        .map(|pod| pod.podinit(&["--processset", "web"]).start())
        .collect();
    for podinit in &running {
        podinit.wait_for("good", says("good"));
    }
    within(SOON, "all are counted", || {
        let list = cluster.kubectl(&["get", "pset", "-n", &namespace]);
        list.contains("20/20").then_some(())
    });
    let probe = "      readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 1}";
    cluster.apply(&namespace, &set("web", &spec("bad", probe)));
    let limit = Duration::from_secs(90);
    within(limit, "it failed, and says so", || {
        let told = cluster.json(&["get", "pset", "-n", &namespace, "web"]);
        let progressing = &told["status"]["conditions"][1];
        (progressing["reason"] == "ProgressDeadlineExceeded").then_some(())
    });
    let acted = |podinit: &Podinit| podinit.lines().iter().any(says("bad"));
    within(limit, "all are back", || {
        let told = cluster.json(&["get", "pset", "-n", &namespace, "web"]);
        (told["status"]["pods"]["summary"] == "20/20").then_some(())
    });
    let count = running.iter().filter(|podinit| acted(podinit)).count();
    assert!((1..=5).contains(&count), "{count} of 20 acted");
    for podinit in running {
        let back = acted(&podinit);
        let good = podinit
            .lines()
            .iter()
            .filter(|line| says("good")(line))
            .count();
        assert_eq!(
            good,
            1 + usize::from(back),
            "who acted is back, nobody else was touched"
        );
        assert_eq!(podinit.stop().code, 0);
    }
}

#[test]
fn what_podinit_refuses_changes_nothing_and_is_a_condition() {
    let cluster = server();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("one")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("one", says("one"));
    // A cycle is beyond what CEL can say.
    let cycle = "  processes:\n    - {name: a, command: [x], dependsOn: [{name: b}]}\n    - {name: b, command: [x], dependsOn: [{name: a}]}";
    cluster.apply(&namespace, &set("web", cycle));
    let line = podinit.wait_for("the refusal", |line| {
        line.get("message").contains("nothing follows")
    });
    assert!(line.text.contains("cycle"), "{}", line.text);
    let accepted = within(SOON, "the condition", || {
        let accepted = condition(&cluster.report(&pod), "Accepted");
        (accepted["status"] == "False").then_some(accepted)
    });
    assert_eq!(accepted["observedGeneration"], 2);
    assert_eq!(accepted["reason"], "Invalid");
    podinit.has_started("a-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn what_a_person_must_know_is_an_event_of_the_pod_and_of_the_set() {
    let cluster = server();
    let namespace = cluster.namespace();
    let crashing = format!(
        "  shutdown: {{drain: 0s}}\n  processes:\n    \
         - {{name: a, traffic: Background, command: [{STUB}, --say, up, --forever]}}\n    \
         - {{name: b, traffic: Background, command: [{STUB}, --exit, \"3\"], restartBackoff: {{initial: 10ms, max: 20ms}}, \
         restartLimit: {{count: 20, window: 60s}}}}"
    );
    cluster.apply(&namespace, &set("web", &crashing));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("up", says("up"));
    let described = |kind: &str, reason: &str, part: &str| {
        cluster.wait_event(&namespace, kind, reason);
        let name = if kind == "Pod" { "web-1" } else { "web" };
        let told = cluster.kubectl(&["describe", kind, "-n", &namespace, name]);
        let line = told.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no {part}: {told}"))
            .to_owned()
    };
    let line = described("Pod", "BackOff", "BackOff");
    assert!(line.contains("Warning"), "{line}");
    assert!(line.contains("b-0: exit code 3; restarting"), "{line}");
    assert!(line.contains("podinit.dev/podinit"), "{line}");
    described("Pod", "Failed", "b-0: failed for good: exit code 3");
    let degraded = "in 1 pod a process failed for good";
    described("ProcessSet", "Degraded", degraded);
    // A cycle is beyond what CEL can say.
    let cycle = "  processes:\n    - {name: a, command: [x], dependsOn: [{name: b}]}\n    - {name: b, command: [x], dependsOn: [{name: a}]}";
    cluster.apply(&namespace, &set("web", cycle));
    described("Pod", "FailedUpdate", "cycle");
    described("ProcessSet", "FailedUpdate", "cycle");
    assert_eq!(podinit.stop().code, 0);
    described("Pod", "Stopping", "stopping on SIGTERM");
    let events = cluster.json(&["get", "events.events.k8s.io", "-n", &namespace]);
    let events = events["items"].as_array().unwrap();
    assert!(
        events.len() < 10,
        "a crash loop is not told one by one: {events:#?}"
    );
    let of_b = events.iter().filter(|one| one["reason"] == "BackOff");
    assert_eq!(of_b.count(), 1);
}

#[test]
fn a_native_sidecar_is_not_told_to_quit() {
    let cluster = server();
    let namespace = cluster.namespace();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    let done = tempfile::tempdir().unwrap();
    let file = done.path().join("done");
    let job = format!(
        "  sidecars:\n    - name: proxy\n      startupProbe: {{tcpSocket: {{port: {port}}}}}\n      quit: OnCompletion\n      \
         quitHttpPost: {{port: {port}, path: /quit}}\n  processes:\n    - name: a\n      restartPolicy: Never\n      \
         command: [sh, -c, 'until test -e {}; do sleep 0.05; done']",
        file.display()
    );
    cluster.apply(&namespace, &set("web", &job));
    let account = cluster.account(&namespace, "web-1", RULES);
    let natives = "  initContainers: [{name: proxy, image: none, restartPolicy: Always}, {name: other, image: none}]\n";
    let pod = cluster.pod_like(&namespace, "web-1", &account, natives);
    let podinit = pod.podinit(&["--processset", "web"]).start();
    podinit.wait_for("what it is", |line| {
        line.get("message").starts_with("a native sidecar")
    });
    std::fs::write(&file, "").unwrap();
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
    proxy.set_nonblocking(true).unwrap();
    let asked: Vec<String> = std::iter::from_fn(|| proxy.accept().ok())
        .map(|(mut stream, _)| {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(&mut stream, &mut text);
            text
        })
        .collect();
    assert!(!asked.is_empty(), "it was waited for");
    assert!(asked.iter().all(String::is_empty), "{asked:?}");
}

#[test]
fn the_own_pod_shortens_the_deadline() {
    let cluster = server();
    let namespace = cluster.namespace();
    let deaf = format!(
        "  shutdown: {{drain: 0s}}\n  processes: [{{name: a, command: [{STUB}, --ignore, \"15\", --say, up, --forever]}}]"
    );
    cluster.apply(&namespace, &set("web", &deaf));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let start = pod.podinit(&["--processset", "web"]);
    let podinit = start
        .env("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "60")
        .start();
    podinit.wait_for("up", says("up"));
    let began = Instant::now();
    cluster.kubectl(&[
        "delete",
        "pod",
        "-n",
        &namespace,
        "web-1",
        "--grace-period=8",
        "--wait=false",
    ]);
    let finished = podinit.stop();
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{}",
        finished.story()
    );
    assert!(
        began.elapsed() > Duration::from_secs(3),
        "{}",
        finished.story()
    );
    assert_eq!(finished.code, 124);
    assert!(finished.has(|line| line.get("message").starts_with("the pod ends earlier")));
    assert!(
        finished.has(|line| line
            .text
            .contains(r#""deadlineSource":"metadata.deletionTimestamp""#)),
        "{}",
        finished.story()
    );
}

#[test]
fn without_any_right_and_without_an_answer_there_is_a_fallback() {
    let cluster = server();
    let namespace = cluster.namespace();
    let pod = cluster.pod(&namespace, "web-1", "  []");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fallback.yaml");
    std::fs::write(&file, set("web", &workers("fallback"))).unwrap();
    let podinit = pod
        .podinit(&["--processset", "web", "-f", file.to_str().unwrap()])
        .start();
    podinit.wait_for("the fallback", says("fallback"));
    podinit.wait_for("no report", |line| {
        line.get("message")
            .contains("the ProcessReport cannot be written")
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    let told = |part: &str| {
        let lines = finished.lines.iter();
        lines
            .filter(|line| line.get("message").contains(part))
            .count()
    };
    assert_eq!(
        told("its Role needs get, list and watch of processsets"),
        2,
        "once, and once as the reason\n{}",
        finished.story()
    );
    assert_eq!(
        told("its Role needs create and patch of processreports"),
        1,
        "{}",
        finished.story()
    );
}

/// A test that stops the server has one of its own.
#[test]
fn the_server_goes_away_and_nobody_notices() {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &set("web", &workers("one")));
    let pod = cluster.pod(&namespace, "web-1", RULES);
    let state = tempfile::tempdir().unwrap();
    let start = |pod: &Pod<'_>| {
        let start = pod.podinit(&["--processset", "web"]);
        start
            .env("PODINIT_STATE_DIR", state.path().to_str().unwrap())
            .start()
    };
    let podinit = start(&pod);
    podinit.wait_for("one", says("one"));
    within(SOON, "the last good spec is kept", || {
        state.path().join("processset.json").exists().then_some(())
    });
    cluster.stop_server();
    podinit.wait_for("it is said", |line| {
        line.get("message").contains("cannot be followed")
    });
    // A container that is restarted meanwhile begins with the last good spec.
    let other = start(&pod);
    other.wait_for("one again", says("one"));
    assert!(other.lines().iter().any(|line| {
        line.get("message")
            .contains("beginning with the last good spec")
    }));
    assert_eq!(other.stop().code, 0);
    cluster.start_server();
    let back = Instant::now();
    let more = workers("one").replace("name: b,", "name: b, replicas: 2,");
    cluster.apply(&namespace, &set("web", &more));
    podinit.wait_started("b-1");
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "{:?}",
        back.elapsed()
    );
    podinit.has_started("a-0", 1);
    podinit.has_started("b-0", 1);
    // One that takes connections and says nothing.
    cluster.freeze(true);
    assert_eq!(podinit.stop().code, 0, "a stop waits for nobody");
    cluster.freeze(false);
}
