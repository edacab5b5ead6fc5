//! Which stages a spec has, and what each follows.

use super::*;
use crate::domain::plan::tests::set;

/// `stage <- those it follows`, in words.
fn lines(body: &str, at_once: bool) -> Vec<String> {
    let outline = Parts::of(&set(body).spec, true).outline(at_once);
    let line = |at: usize| {
        let after: Vec<String> = (outline.stages[at].after.iter())
            .map(|before| {
                assert!(*before < at, "a stage comes after those it follows");
                outline.label(*before)
            })
            .collect();
        let limit = match (outline.stages[at].gone, outline.stages[at].limit) {
            (true, _) => "gone".to_owned(),
            (false, None) => "any".to_owned(),
            (false, Some(limit)) => limit.as_secs().to_string(),
        };
        format!("{} {limit} <- {}", outline.label(at), after.join(", "))
    };
    (0..outline.stages.len()).map(line).collect()
}

const SHOP: &str = "
hooks: {preStop: [{name: one, sleep: {seconds: 3}}, {name: two, exec: {command: [a]}}, {name: three, httpGet: {port: 1}, timeoutSeconds: 7}]}
initProcesses: [{name: init, command: [a]}]
processes:
- {name: redis, command: [a], priority: 1}
- {name: out, command: [a], enabled: false, dependsOn: [{name: redis}]}
- {name: fpm, command: [a], dependsOn: [{name: redis}], lifecycle: {preStop: {sleep: {seconds: 2}}}, terminationGracePeriodSeconds: 4}
- {name: idle, command: [a], replicas: 0}
- {name: nginx, command: [a], dependsOn: [{name: fpm}], priority: 2}
- {name: queue, command: [a], traffic: Background, dependsOn: [{name: redis}]}";

#[test]
fn hooks_then_drain_then_processes_in_reverse() {
    assert_eq!(
        lines(SHOP, false),
        [
            "one 3 <- ",
            "two 5 <- one",
            "three 7 <- two",
            "drain 5 <- ",
            "idle gone <- three, drain",
            "nginx any <- three, drain",
            "queue any <- three",
            "fpm preStop 2 <- three, drain, nginx",
            "fpm 4 <- fpm preStop",
            "redis any <- three, drain, fpm, nginx, queue",
        ]
    );
}

#[test]
fn without_time_for_order_everybody_stands_alone() {
    assert_eq!(
        lines(SHOP, true),
        [
            "redis any <- ",
            "fpm 4 <- ",
            "idle gone <- ",
            "nginx any <- ",
            "queue any <- "
        ]
    );
}

#[test]
fn nobody_to_serve_is_drained() {
    let body = "processes: [{name: queue, command: [a], traffic: Background}]";
    assert_eq!(lines(body, false), ["queue any <- "]);
    let body = "shutdown: {drain: 0s}\nprocesses: [{name: web, command: [a]}]";
    assert_eq!(lines(body, false), ["web any <- "]);
}

/// `validate` refuses it; here it must only end.
#[test]
fn a_cycle_loses_an_edge() {
    let member = |name: &str, dependents: &[usize]| Member {
        name: name.to_owned(),
        traffic: Traffic::Serving,
        grace: None,
        pre_stop: None,
        dependents: dependents.to_vec(),
        gone: false,
    };
    let members = [member("a", &[1]), member("b", &[0]), member("c", &[])];
    let outline = Outline::new(&[], None, &members);
    let names: Vec<&str> = (0..3).map(|at| outline.name(at)).collect();
    assert_eq!(names, ["c", "a", "b"]);
    assert_eq!(outline.stage_of(StageKind::Stop, 1), Some(2));
    assert_eq!(outline.stage_of(StageKind::PreStop, 1), None);
}
