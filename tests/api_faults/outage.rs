//! The API server is away for a while: no child notices, podinit does next to nothing, and what was missed is made up for.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Pod, documented_rules};
use crate::support::http::{ask, port_of, probed};
use crate::support::{Podinit, SOON, children_of, says, within};
use crate::{STUB, cpu, set, tells};

/// Of a core.
const MOST_CPU: f64 = 0.02;

/// How long the server is away, in seconds.
fn away() -> usize {
    let told = std::env::var("PODINIT_OUTAGE_SECONDS").ok();
    told.map_or(60, |seconds| seconds.parse().unwrap())
}

#[test]
fn a_server_that_is_killed_is_missed_by_nobody() {
    an_outage(Cluster::stop_server, Cluster::start_server);
}

#[test]
fn a_server_that_takes_connections_and_never_answers_is_missed_by_nobody() {
    an_outage(|server| server.freeze(true), |server| server.freeze(false));
}

fn spec(word: &str, replicas: u32, port: u16) -> String {
    let probe = format!("{{tcpSocket: {{port: {port}}}, periodSeconds: 1, failureThreshold: 1}}");
    format!(
        "  shutdown: {{drain: 0s}}\n  processes:\n    \
         - {{name: a, command: [{STUB}, --say, {word}, --forever], readinessProbe: {probe}}}\n    \
         - {{name: b, traffic: Background, replicas: {replicas}, command: [{STUB}, --say, b, --forever]}}"
    )
}

fn start(pod: &Pod<'_>, state: &std::path::Path, fallback: &std::path::Path) -> Podinit {
    let args = ["--processset", "shop", "-f", fallback.to_str().unwrap()];
    let start = pod.podinit(&args);
    start
        .env("PODINIT_STATE_DIR", state.to_str().unwrap())
        .start()
}

fn an_outage(goes: impl Fn(&Cluster), comes: impl Fn(&Cluster)) {
    let cluster = Cluster::start().with_crds();
    let namespace = cluster.namespace();
    let (port, probes) = probed();
    // What is started during the outage has probes of its own.
    let (elsewhere, _) = probed();
    cluster.apply(&namespace, &set(&spec("one", 1, port)));
    let account = cluster.account(&namespace, "shop", &documented_rules());
    let pods =
        ["shop-1", "shop-2", "shop-3"].map(|name| cluster.pod_of(&namespace, name, &account));
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("fallback.yaml"), set(&spec("fallback", 1, elsewhere))).unwrap();
    let run = |pod: &Pod<'_>, state: &str| start(pod, &at(state), &at("fallback.yaml"));
    let podinit = run(&pods[0], "state-1");
    let admin = port_of(&podinit);
    let ready = || (ask(&admin, "GET", "/readyz").0 == 200).then_some(());
    within(SOON, "ready", ready);
    // How long a stop takes while all is well; its spec is kept.
    let before = run(&pods[1], "state-2");
    before.wait_for("one", says("one"));
    within(SOON, "its spec is kept", || {
        at("state-2").join("processset.json").exists().then_some(())
    });
    let usual = stop(before);
    // Whoever had it before.
    podinit.wait_for("the Lease", tells("this pod holds the Lease"));
    goes(&cluster);
    let began = Instant::now();
    let (children, used) = (children_of(podinit.pid()), cpu(podinit.pid()));
    // A container that is restarted begins with what it had, a new pod with what it was given.
    let again = run(&pods[1], "state-2");
    again.wait_for("one again", says("one"));
    assert!(again.lines().iter().any(tells("the last good spec")));
    let new = run(&pods[2], "state-3");
    new.wait_for("the fallback", says("fallback"));
    let stops = [stop(again), stop(new)];
    let (seen, counted) = (probes.load(Ordering::Relaxed), Instant::now());
    within(
        Duration::from_secs(200),
        "as many probes as seconds",
        || (probes.load(Ordering::Relaxed) - seen >= away()).then_some(()),
    );
    let (gone, used) = (began.elapsed(), cpu(podinit.pid()) - used);
    assert!(ready().is_some(), "a probe failed");
    let slow = counted.elapsed().as_secs_f64() - away() as f64;
    assert!(slow < 3.0, "{slow} s late with {} probes", away());
    assert_eq!(children_of(podinit.pid()), children, "all as they were");
    let share = used / gone.as_secs_f64();
    comes(&cluster);
    let back = Instant::now();
    cluster.apply(&namespace, &set(&spec("one", 2, port)));
    let applied = Instant::now();
    podinit.wait_started("b-1");
    println!(
        "away for {gone:?}: {:.2} % of a core; a stop took {usual:?}, and meanwhile {stops:?}; a change was seen {:?} \
         after the return and {:?} after it was applied",
        share * 100.0,
        back.elapsed(),
        applied.elapsed()
    );
    assert!(share < MOST_CPU, "{share}");
    assert!(applied.elapsed() < Duration::from_secs(5));
    for took in stops {
        assert!(
            took < usual + Duration::from_millis(700),
            "{took:?}, usually {usual:?}"
        );
    }
    assert_eq!((podinit.starts("a-0"), podinit.starts("b-0")), (1, 1));
    assert_eq!(podinit.stop().code, 0);
}

fn stop(podinit: Podinit) -> Duration {
    let began = Instant::now();
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    began.elapsed()
}
