//! `podinit check`, as a person and as a program see it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::needless_raw_string_hashes,
    clippy::unwrap_used,
    reason = "tests are at the edge; expect-test writes the raw strings"
)]

use std::{path::Path, process::Command};

use expect_test::{Expect, expect};

const GOOD: &str = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {name: shop}\nspec: {processes: [{name: a, command: [b]}, {name: c, command: [d]}]}\n";

fn check(dir: &Path, args: &[&str], code: i32, expected: &Expect) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podinit"));
    command.arg("check").args(args).env_clear().current_dir(dir);
    let output = command.output().unwrap();
    expected.assert_eq(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(code));
}

fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("processset.yaml", GOOD);
    write(
        "bad.yaml",
        &GOOD.replace("[b]", "b").replace("name: c", "nmae: c"),
    );
    dir
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let dir = files();
    for name in [
        "check",
        "plan",
        "explain-changes",
        "crd",
        "schema",
        "version",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_podinit"));
        command.arg(name).env_clear().current_dir(dir.path());
        let output = command.stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{name}");
        assert_eq!(output.status.code(), Some(141), "{name}");
    }
}

#[test]
fn people_see_each_problem_with_its_line() {
    let dir = files();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("processset.yaml", GOOD);
    write(
        "bad.yaml",
        &GOOD.replace("[b]", "b").replace("name: c", "nmae: c"),
    );
    check(
        dir.path(),
        &[],
        0,
        &expect![[r#"
        processset.yaml: valid: shop with 2 processes
    "#]],
    );
    check(
        dir.path(),
        &["processset.yaml", "bad.yaml", "missing.yaml"],
        65,
        &expect![[r#"
            processset.yaml: valid: shop with 2 processes
            bad.yaml:4:39: spec.processes[0].command: expected a list, found "b"
              4 | spec: {processes: [{name: a, command: b}, {nmae: c, command: [d]}]}
                |                                       ^
              help: write [b]; there is no shell, for one write [sh, -c, "b"]
            bad.yaml:4:44: spec.processes[1].nmae: unknown key `nmae`
              4 | spec: {processes: [{name: a, command: b}, {nmae: c, command: [d]}]}
                |                                            ^
              help: did you mean `name`?
            bad.yaml: 2 errors
            missing.yaml: no such file
            missing.yaml: 1 error
        "#]],
    );
}

#[test]
fn programs_see_one_object() {
    let dir = files();
    check(
        dir.path(),
        &["-o", "json", "processset.yaml", "bad.yaml", "missing.yaml"],
        65,
        &expect![[r#"
            {
              "files": [
                {
                  "file": "processset.yaml",
                  "valid": true,
                  "problems": []
                },
                {
                  "file": "bad.yaml",
                  "valid": false,
                  "problems": [
                    {
                      "severity": "error",
                      "origin": "bad.yaml",
                      "line": 4,
                      "column": 39,
                      "path": "spec.processes[0].command",
                      "message": "expected a list, found \"b\"",
                      "help": "write [b]; there is no shell, for one write [sh, -c, \"b\"]"
                    },
                    {
                      "severity": "error",
                      "origin": "bad.yaml",
                      "line": 4,
                      "column": 44,
                      "path": "spec.processes[1].nmae",
                      "message": "unknown key `nmae`",
                      "help": "did you mean `name`?"
                    }
                  ]
                },
                {
                  "file": "missing.yaml",
                  "valid": false,
                  "problems": [
                    {
                      "severity": "error",
                      "origin": "missing.yaml",
                      "line": null,
                      "column": null,
                      "path": "",
                      "message": "no such file",
                      "help": null
                    }
                  ]
                }
              ]
            }
        "#]],
    );
}

#[test]
fn a_stop_that_does_not_fit_is_an_error_against_a_given_grace() {
    let dir = files();
    let text = GOOD.replace("[d]}", "[d], terminationGracePeriodSeconds: 24}");
    std::fs::write(dir.path().join("long.yaml"), text).unwrap();
    check(
        dir.path(),
        &["--grace", "30", "long.yaml"],
        65,
        &expect![[r#"
            long.yaml:4:100: spec.processes[1].terminationGracePeriodSeconds: the longest chain of the stop needs 29s: drain 5s + c 24s, but --grace 30 leaves 28s
              4 | ]}, {name: c, command: [d], terminationGracePeriodSeconds: 24}]}
                |                                                            ^
              help: raise the pod's terminationGracePeriodSeconds to at least 31, or lower terminationGracePeriodSeconds of `c`, which is 24s
            long.yaml: 1 error
        "#]],
    );
    check(
        dir.path(),
        &["-o", "json", "long.yaml"],
        0,
        &expect![[r#"
            {
              "files": [
                {
                  "file": "long.yaml",
                  "valid": true,
                  "problems": [
                    {
                      "severity": "warning",
                      "origin": "long.yaml",
                      "line": 4,
                      "column": 100,
                      "path": "spec.processes[1].terminationGracePeriodSeconds",
                      "message": "the longest chain of the stop needs 29s: drain 5s + c 24s, but the 30s of a Pod that says nothing leaves 28s",
                      "help": "raise the pod's terminationGracePeriodSeconds to at least 31, or lower terminationGracePeriodSeconds of `c`, which is 24s"
                    }
                  ]
                }
              ]
            }
        "#]],
    );
    check(
        dir.path(),
        &["--grace", "31", "long.yaml"],
        0,
        &expect![[r#"
            long.yaml: valid: shop with 2 processes
        "#]],
    );
    // What is invalid has no stop.
    check(
        dir.path(),
        &["--grace", "0", "missing.yaml"],
        65,
        &expect![[r#"
            missing.yaml: no such file
            missing.yaml: 1 error
        "#]],
    );
}

/// Probes as `kubectl get pod -o yaml` prints them, with all that the API server adds.
const OF_A_POD: &str = "\
apiVersion: podinit.dev/v1alpha1
kind: ProcessSet
metadata: {name: shop}
spec:
  processes:
    - name: web
      command: [sleep, infinity]
      livenessProbe:
        failureThreshold: 3
        httpGet:
          httpHeaders:
          - name: X-Probe
            value: \"1\"
          path: healthz
          port: 8080
          scheme: HTTP
        initialDelaySeconds: 5
        periodSeconds: 10
        successThreshold: 1
        terminationGracePeriodSeconds: 20
        timeoutSeconds: 1
      readinessProbe:
        failureThreshold: 3
        grpc:
          port: 50051
          service: \"\"
        periodSeconds: 10
        successThreshold: 2
        timeoutSeconds: 1
      startupProbe:
        exec:
          command:
          - cat
          - /tmp/healthy
        failureThreshold: 30
        periodSeconds: 10
        successThreshold: 1
        timeoutSeconds: 1
    - name: db
      command: [sleep, infinity]
      readinessProbe:
        failureThreshold: 3
        periodSeconds: 10
        successThreshold: 1
        tcpSocket:
          port: 3306
        timeoutSeconds: 1
";

#[test]
fn probes_of_a_pod_are_taken_as_they_are() {
    let dir = files();
    std::fs::write(dir.path().join("pod.yaml"), OF_A_POD).unwrap();
    check(
        dir.path(),
        &["pod.yaml"],
        0,
        &expect![[r#"
        pod.yaml: valid: shop with 2 processes
    "#]],
    );
    // But for names of ports, which only the container knows.
    let named = OF_A_POD.replace("port: 8080", "port: http");
    std::fs::write(dir.path().join("pod.yaml"), named).unwrap();
    check(
        dir.path(),
        &["pod.yaml"],
        65,
        &expect![[r#"
        pod.yaml:15:17: spec.processes[0].livenessProbe.httpGet.port: expected an integer from 1 to 65535, found "http"
          15 |           port: http
             |                 ^
          help: named ports belong to the container: write the number
        pod.yaml: 1 error
    "#]],
    );
}

#[test]
fn what_people_get_wrong_about_health_and_stops_is_said_clearly() {
    let dir = files();
    let write = |name: &str, spec: &str| {
        let head =
            "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {name: shop}\nspec:\n";
        std::fs::write(dir.path().join(name), format!("{head}{spec}")).unwrap();
    };
    write(
        "shape.yaml",
        "  processes:
    - name: web
      command: [a]
      livenessProbe: {exec: {command: [b]}, tcpSocket: {port: 80}}
      readinessProbe: {httpGet: {port: 70000}}
",
    );
    check(
        dir.path(),
        &["shape.yaml"],
        65,
        &expect![[r#"
        shape.yaml:8:7: spec.processes[0].livenessProbe: expected exactly one of exec, httpGet, tcpSocket, grpc, fastCgi, notify, found exec and tcpSocket
          8 |       livenessProbe: {exec: {command: [b]}, tcpSocket: {port: 80}}
            |       ^
        shape.yaml:9:40: spec.processes[0].readinessProbe.httpGet.port: expected an integer from 1 to 65535, found `70000`
          9 |       readinessProbe: {httpGet: {port: 70000}}
            |                                        ^
        shape.yaml: 2 errors
    "#]],
    );
    let rules = "  shutdown: {drain: 11s}
  processes:
    - {name: web, command: [a], dependsOn: [{name: queue}]}
    - {name: queue, command: [a], traffic: Background}
";
    write(
        "rules.yaml",
        &format!("  terminationGracePeriodSeconds: 10\n{rules}"),
    );
    check(
        dir.path(),
        &["rules.yaml"],
        65,
        &expect![[r#"
        rules.yaml:6:21: spec.shutdown.drain: 11s is over terminationGracePeriodSeconds, which is 10
          6 |   shutdown: {drain: 11s}
            |                     ^
        rules.yaml:8:52: spec.processes[0].dependsOn[0].name: `web` is Serving and `queue` is Background: Background processes stop first, while this one still needs it
          8 |     - {name: web, command: [a], dependsOn: [{name: queue}]}
            |                                                    ^
          help: make `queue` Serving, or `web` Background
        rules.yaml: 2 errors
    "#]],
    );
    write("drain.yaml", &rules.replace(", traffic: Background", ""));
    check(
        dir.path(),
        &["--grace", "10", "drain.yaml"],
        65,
        &expect![[r#"
            drain.yaml:5:21: spec.shutdown.drain: 11s is over --grace 10; the longest chain of the stop needs 13s: drain 11s + web 1s + queue 1s
              5 |   shutdown: {drain: 11s}
                |                     ^
              help: raise the pod's terminationGracePeriodSeconds to at least 15, or lower shutdown.drain, which is 11s
            drain.yaml: 1 error
        "#]],
    );
}
