//! The sets that come with podinit.

use expect_test::expect;

use super::{loaded, root};
use crate::domain::plan::resolve::resolve;

#[test]
fn the_laravel_example_has_a_plan_and_no_warnings() {
    let set = loaded(include_str!("../../../../examples/laravel/processset.yaml"));
    let (plan, warnings) = resolve(&set, &root()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(plan.processes.len(), 6);
}

#[test]
fn what_is_wrong_with_a_set_of_every_field() {
    let set = loaded(include_str!("../../../../tests/fixtures/everything.yaml"));
    let problems = resolve(&set, &root()).unwrap_err();
    let problems: String = problems
        .iter()
        .map(|problem| problem.to_string() + "\n")
        .collect();
    expect![[r#"
        spec.cronProcesses: not supported yet
        spec.processes[0].maxMemory: not supported yet
        spec.processes[1].phpFpm: not supported yet
        spec.logging.include: not supported yet
        spec.logging.exclude: not supported yet
        spec.logging.redact: not supported yet
        spec.logging.multiline: not supported yet
        spec.logging.level: not supported yet
        spec.logging.files: not supported yet
        warning: spec.processes[0].startupProbe.tcpSocket.port: all instances are asked at port 6379, but portBase gives each its own
          help: leave out `port`
        warning: spec.processes[0].livenessProbe.grpc.port: all instances are asked at port 9090, but portBase gives each its own
          help: leave out `port`
        spec.envFrom[0].directory.path: failed to read `/run/secrets/db`: it was not read
        spec.envFrom[1].file.path: failed to read `.env`: it was not read
        spec.env[1].valueFrom.file.path: failed to read `/run/secrets/app-key`: it was not read
        spec.securityContext.supplementalGroups[1]: there is no group `video` in /etc/group
          help: a number needs no entry in /etc/group
    "#]]
    .assert_eq(&problems);
}
