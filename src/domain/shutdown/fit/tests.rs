//! What people read when a stop does not fit.

use std::fmt::Write as _;

use super::*;
use crate::domain::plan::tests::set;

fn problem(body: &str, asked: Option<u32>) -> Option<String> {
    let spec = set(body).spec;
    let problem = Fit::of(&spec, asked).problem(&spec)?;
    Some(problem.to_string())
}

const WEB: &str = "
- {name: fpm, command: [a], terminationGracePeriodSeconds: 20}
- {name: nginx, command: [a], terminationGracePeriodSeconds: 10, dependsOn: [{name: fpm}]}";

#[test]
fn the_longest_chain_is_named() {
    let web = format!("processes: {WEB}");
    let hooks = "hooks: {preStop: [{name: bye, sleep: {seconds: 9}}]}\n";
    let pre_stop = "processes: [{name: a, command: [a], traffic: Background, lifecycle: {preStop: {sleep: {seconds: 9}}}}]";
    let background = "processes: [{name: q, command: [a], traffic: Background}]";
    let cases = [
        (
            web.clone(),
            Some(30),
            "spec.processes[0].terminationGracePeriodSeconds: the longest chain of the stop needs 35s: drain 5s + nginx 10s + fpm 20s, but --grace 30 leaves 28s\n  help: raise the pod's terminationGracePeriodSeconds to at least 37, or lower terminationGracePeriodSeconds of `fpm`, which is 20s",
        ),
        (
            web.clone(),
            None,
            "warning: spec.processes[0].terminationGracePeriodSeconds: the longest chain of the stop needs 35s: drain 5s + nginx 10s + fpm 20s, but the 30s of a Pod that says nothing leaves 28s\n  help: raise the pod's terminationGracePeriodSeconds to at least 37, or lower terminationGracePeriodSeconds of `fpm`, which is 20s",
        ),
        (
            format!("terminationGracePeriodSeconds: 36\n{web}"),
            None,
            "warning: spec.terminationGracePeriodSeconds: the longest chain of the stop needs 35s: drain 5s + nginx 10s + fpm 20s, but terminationGracePeriodSeconds 36 leaves 34s\n  help: raise it to at least 37, or lower terminationGracePeriodSeconds of `fpm`, which is 20s",
        ),
        (
            format!("{hooks}{background}"),
            Some(10),
            "spec.hooks.preStop[0]: the longest chain of the stop needs 10s: bye 9s + q 1s, but --grace 10 leaves 8s\n  help: raise the pod's terminationGracePeriodSeconds to at least 12, or lower the timeout of bye, which is 9s",
        ),
        (
            pre_stop.to_owned(),
            Some(10),
            "spec.processes[0].lifecycle.preStop: the longest chain of the stop needs 10s: a preStop 9s + a 1s, but --grace 10 leaves 8s\n  help: raise the pod's terminationGracePeriodSeconds to at least 12, or lower the timeout of a preStop, which is 9s",
        ),
        (
            "processes: [{name: a, command: [a]}]".to_owned(),
            Some(6),
            "spec.shutdown.drain: the longest chain of the stop needs 6s: drain 5s + a 1s, but --grace 6 leaves 4s\n  help: raise the pod's terminationGracePeriodSeconds to at least 8, or lower shutdown.drain, which is 5s by default",
        ),
        (
            background.to_owned(),
            Some(0),
            "spec.terminationGracePeriodSeconds: the longest chain of the stop needs 1s: q 1s, but --grace 0 leaves 0s\n  help: raise the pod's terminationGracePeriodSeconds to at least 3",
        ),
        (
            "shutdown: {drain: 40s}\nprocesses: [{name: a, command: [a]}]".to_owned(),
            Some(30),
            "spec.shutdown.drain: 40s is over --grace 30; the longest chain of the stop needs 41s: drain 40s + a 1s\n  help: raise the pod's terminationGracePeriodSeconds to at least 43, or lower shutdown.drain, which is 40s",
        ),
        // No drain is made then, so there is no chain to speak of.
        (
            "shutdown: {drain: 40s}\nprocesses: [{name: a, command: [a]}]".to_owned(),
            Some(2),
            "spec.shutdown.drain: 40s is over --grace 2",
        ),
        (
            format!("shutdown: {{drain: 40s}}\n{background}"),
            Some(30),
            "spec.shutdown.drain: 40s is over --grace 30",
        ),
        (
            "shutdown: {drain: 40s}\nprocesses: [{name: a, command: [a]}]".to_owned(),
            None,
            "warning: spec.shutdown.drain: 40s is over the 30s of a Pod that says nothing; the longest chain of the stop needs 41s: drain 40s + a 1s\n  help: raise the pod's terminationGracePeriodSeconds to at least 43, or lower shutdown.drain, which is 40s",
        ),
        (
            "processes: [{name: a, command: [a], terminationGracePeriodSeconds: 86400}]".to_owned(),
            Some(86400),
            "spec.processes[0].terminationGracePeriodSeconds: the longest chain of the stop needs 86405s: drain 5s + a 86400s, but --grace 86400 leaves 86398s\n  help: lower terminationGracePeriodSeconds of `a`, which is 86400s",
        ),
    ];
    for (body, asked, wanted) in cases {
        assert_eq!(problem(&body, asked).as_deref(), Some(wanted), "{body}");
    }
}

#[test]
fn what_fits_is_no_problem() {
    assert_eq!(problem(&format!("processes: {WEB}"), Some(37)), None);
    assert_eq!(
        problem("initProcesses: [{name: a, command: [a]}]", Some(0)),
        None
    );
    // validate has said so already.
    let written = "terminationGracePeriodSeconds: 30\nshutdown: {drain: 40s}\nprocesses: [{name: a, command: [a]}]";
    assert_eq!(problem(written, None), None);
}

#[test]
fn a_long_chain_is_cut_short() {
    let mut body = "shutdown: {drain: 0s}\nprocesses:\n- {name: p0, command: [a]}".to_owned();
    for at in 1..40 {
        let _ = write!(
            body,
            "\n- {{name: p{at}, command: [a], dependsOn: [{{name: p{}}}]}}",
            at - 1
        );
    }
    let spec = set(&body).spec;
    let chain = Fit::of(&spec, None).chain();
    assert!(chain.starts_with("p39 1s + p38 1s + "), "{chain}");
    assert!(chain.ends_with(" + p29 1s + 29 more 29s"), "{chain}");
}

/// At run time there is no drain when nobody serves.
#[test]
fn a_drain_with_nobody_to_serve_takes_no_time() {
    for process in ["traffic: Background", "replicas: 0"] {
        let body = format!(
            "shutdown: {{drain: 9s}}\nprocesses: [{{name: a, command: [a], {process}}}, {{name: q, command: [a], traffic: Background}}]"
        );
        assert_eq!(problem(&body, Some(10)), None, "{process}");
    }
    let serving = "shutdown: {drain: 9s}\nprocesses: [{name: a, command: [a]}]";
    assert!(problem(serving, Some(10)).is_some());
}
