//! Every field of the schema is changed in turn, and the difference is what the table says.

use std::collections::BTreeSet;

use super::table::{Effect, Row, Turn, entries, explain, fields, row_of};
use super::{Diff, FEWER, Step};
use crate::domain::plan::Plan;
use crate::domain::plan::host::{FileContent, FileRequest, HostView};
use crate::domain::plan::resolve::{files_needed, resolve};
use crate::domain::plan::tests::{loaded, root, set};
use crate::spec::v1alpha1::ProcessSet;

mod mutate;

/// A machine where every file that a set names is there, with a content of its own.
fn host(set: &ProcessSet) -> HostView {
    let mut host = root();
    host.in_kubernetes = true;
    for request in files_needed(&set.spec, &host.start_dir) {
        let content = match &request {
            FileRequest::File(path) => {
                FileContent::File(format!("FROM={}", path.display()).into_bytes())
            }
            FileRequest::Directory(path) => {
                let content = path.display().to_string().into_bytes();
                FileContent::Directory(vec![("FROM".into(), content)])
            }
        };
        host.files.insert(request, Ok(content));
    }
    host
}

fn resolved(set: &ProcessSet) -> Result<Plan, String> {
    match resolve(set, &host(set)) {
        Ok((plan, _)) => Ok(plan),
        Err(problems) => {
            let errors = problems.iter().filter(|problem| problem.is_error());
            let errors: Vec<String> = errors.map(ToString::to_string).collect();
            Err(errors.join("; "))
        }
    }
}

/// The plan of a whole text.
fn plan_of(text: &str) -> Result<Plan, String> {
    resolved(&loaded(text))
}

/// The plan of this body of a `spec:`.
#[track_caller]
fn plan(body: &str) -> Plan {
    resolved(&set(body)).unwrap()
}

#[track_caller]
fn diff(old: &str, new: &str) -> Diff {
    Diff::between(&plan(old), &plan(new))
}

fn effects(diff: &Diff) -> BTreeSet<Effect> {
    let of_processes = diff.processes.iter().map(|one| match one.step {
        Step::Add | Step::Remove => Effect::ComesOrGoes,
        Step::Restart => Effect::Restart,
        Step::InPlace => Effect::InPlace,
    });
    let mut all: BTreeSet<Effect> = of_processes.collect();
    all.extend((!diff.set.is_empty()).then_some(Effect::InPlace));
    all.extend((!diff.later.is_empty()).then_some(Effect::NextStart));
    if all.is_empty() {
        all.insert(Effect::Nothing);
    }
    all
}

fn labels(diff: &Diff) -> BTreeSet<&'static str> {
    let of_processes = diff.processes.iter().flat_map(|one| &one.fields);
    let all = of_processes.chain(&diff.set).chain(&diff.later);
    all.map(|field| if *field == FEWER { "replicas" } else { *field })
        .collect()
}

/// What speaks against `row` in the step from one text to another; nothing if it holds.
fn complaint(row: Row, old: &str, new: &str, may_be_nothing: bool) -> Option<String> {
    let old = match plan_of(old) {
        Ok(plan) => plan,
        Err(why) => return Some(format!("the old one is refused: {why}")),
    };
    let new = match plan_of(new) {
        Ok(plan) => plan,
        Err(_) if row.effects == [Effect::Refused] => return None,
        Err(why) => return Some(format!("the new one is refused: {why}")),
    };
    let diff = Diff::between(&old, &new);
    let found = effects(&diff);
    if may_be_nothing && found == BTreeSet::from([Effect::Nothing]) {
        return None;
    }
    let wanted: BTreeSet<Effect> = row.effects.iter().copied().collect();
    if found != wanted {
        return Some(format!("{diff} is {found:?}, not {wanted:?}"));
    }
    let told: BTreeSet<&str> = row.told.iter().copied().collect();
    if labels(&diff) != told {
        return Some(format!("{diff}: not told as {told:?}"));
    }
    let waits = match row.turn {
        Turn::AtOnce => false,
        Turn::MayWait => return None,
        Turn::Waits => true,
    };
    (diff.is_risky() != waits).then(|| format!("{diff}: waits for its turn: {}", !waits))
}

#[test]
fn every_field_does_what_the_table_says() {
    let mut problems = Vec::new();
    let mut count = 0;
    for field in mutate::leaves() {
        let row = row_of(&field).unwrap();
        for change in mutate::changes(&field) {
            count += 1;
            if let Some(why) = complaint(row, &change.old, &change.new, change.may_be_nothing) {
                problems.push(format!("{field} ({}): {why}", change.what));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} of {count}:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert!(count > 1000, "only {count} changes");
}

#[test]
fn every_field_has_its_row_and_every_row_its_field() {
    for field in mutate::leaves() {
        let row = row_of(&field);
        let row = row.unwrap_or_else(|| panic!("the table does not say what {field} does"));
        let only_as_a_whole = row.path == "spec.processes";
        assert!(!only_as_a_whole, "the table does not say what {field} does");
    }
    let governing: BTreeSet<&str> = (fields().iter())
        .filter_map(|field| Some(row_of(field)?.path))
        .collect();
    for row in super::table::TABLE {
        assert!(governing.contains(row.path), "there is no {}", row.path);
        for told in row.told {
            let field = fields().iter().any(|path| path.ends_with(told));
            assert!(field, "{}: `{told}` is no field", row.path);
        }
    }
}

#[test]
fn a_path_may_be_written_as_it_is_in_a_message_or_as_for_kubectl() {
    let paths = |path: &str| -> Vec<String> {
        let all = explain(path).into_iter();
        all.map(|entry| entry.path).collect()
    };
    for path in [
        "spec.processes[].args",
        "spec.processes[3].args",
        "spec.processes.args",
    ] {
        assert_eq!(paths(path), ["spec.processes[].args"]);
    }
    let deep = explain("spec.processes.livenessProbe.httpGet.port");
    assert_eq!(deep[0].path, "spec.processes[].livenessProbe.httpGet.port");
    assert_eq!(deep[0].row.effects, [Effect::InPlace]);
    assert_eq!(
        paths("spec.hooks"),
        [
            "spec.hooks.preStart",
            "spec.hooks.postStart",
            "spec.hooks.preStop",
            "spec.hooks.postStop"
        ]
    );
    assert_eq!(
        paths("spec.processes[].startupProbe"),
        [
            "spec.processes[].startupProbe",
            "spec.processes[].startupProbe.notify",
            "spec.processes[].startupProbe.successThreshold"
        ]
    );
    let team = explain("spec.logging.labels.example.org/team");
    assert_eq!(team[0].row.path, "spec.logging");
    assert_eq!(
        paths("spec").len() + paths("metadata").len(),
        entries().len()
    );
    for path in [
        "",
        "spec.",
        "processes",
        "spec.proceses",
        "spec.processes.command.x",
    ] {
        assert_eq!(paths(path), Vec::<String>::new(), "{path}");
    }
}

/// One process `p` with these fields.
fn process(fields: &str) -> String {
    format!("processes: [{{name: p, command: [p], {fields}}}]")
}

#[track_caller]
fn told(old: &str, new: &str) -> String {
    diff(&process(old), &process(new)).to_string()
}

#[test]
fn what_a_fleet_waits_for() {
    for (old, new, waits) in [
        ("traffic: Serving", "traffic: Serving, replicas: 2", true),
        ("traffic: Serving, replicas: 2", "traffic: Serving", true),
        (
            "traffic: Background",
            "traffic: Background, replicas: 2",
            false,
        ),
        (
            "traffic: Background, replicas: 2",
            "traffic: Background",
            true,
        ),
        ("", "activeDeadlineSeconds: 9", true),
        ("activeDeadlineSeconds: 9", "activeDeadlineSeconds: 8", true),
        (
            "activeDeadlineSeconds: 8",
            "activeDeadlineSeconds: 9",
            false,
        ),
        ("activeDeadlineSeconds: 8", "", false),
        ("onFailure: Ignore", "onFailure: MarkUnready", true),
        ("onFailure: MarkUnready", "onFailure: Ignore", false),
        (
            "restartPolicy: Never",
            "restartPolicy: Never, onSuccess: ExitSet",
            true,
        ),
        (
            "restartPolicy: Never, onSuccess: ExitSet",
            "restartPolicy: Never",
            false,
        ),
    ] {
        let diff = diff(&process(old), &process(new));
        assert_eq!(diff.is_risky(), waits, "{old} -> {new}: {diff}");
    }
}

#[test]
fn a_field_is_told_by_its_own_name_and_no_other_with_it() {
    let probed =
        "livenessProbe: {exec: {command: [ask]}}, lifecycle: {preStop: {exec: {command: [bye]}}}";
    for (more, want) in [
        ("logging: {format: Raw}", "p changes in place (logging)"),
        ("workingDir: /x", "p is restarted (workingDir)"),
        (
            "restartBackoff: {initial: 9s}",
            "p changes in place (restartBackoff)",
        ),
        (
            "successExitCodes: [0, 3]",
            "p changes in place (successExitCodes)",
        ),
        ("signalTarget: Group", "p changes in place (signalTarget)"),
        (
            "readinessProbe: {exec: {command: [ask]}}",
            "p changes in place (readinessProbe)",
        ),
    ] {
        assert_eq!(told(probed, &format!("{probed}, {more}")), want);
    }
}

#[test]
fn a_probe_that_changes_with_the_command_is_told_too() {
    let new = "args: [x], livenessProbe: {tcpSocket: {port: 2}}";
    assert_eq!(
        told("livenessProbe: {tcpSocket: {port: 1}}", new),
        "p is restarted (command, livenessProbe)"
    );
}

#[test]
fn the_time_that_a_notify_probe_gives_a_process_is_part_of_its_environment() {
    assert_eq!(
        told(
            "livenessProbe: {notify: {}, periodSeconds: 5}",
            "livenessProbe: {notify: {}, periodSeconds: 6}"
        ),
        "p is restarted (env, livenessProbe)"
    );
}

#[test]
fn hooks_of_the_set_that_differ_by_its_environment_or_logging_only_are_told_as_that() {
    let body = |fields: &str| {
        format!(
            "{fields}\nhooks: {{preStart: [{{name: a, exec: {{command: [a]}}}}], preStop: [{{name: b, exec: {{command: [b]}}}}]}}\n\
             processes: [{{name: p, command: [p], env: [{{name: X, value: own}}], logging: {{format: Raw}}}}]"
        )
    };
    assert_eq!(
        diff(&body(""), &body("env: [{name: X, value: set}]")).to_string(),
        "env of the set; env from the next start of the container on"
    );
    assert_eq!(
        diff(&body(""), &body("logging: {format: Raw}")).to_string(),
        "logging of the set"
    );
}
