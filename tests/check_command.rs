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
