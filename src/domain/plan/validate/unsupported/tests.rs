//! Every row of the table is refused where it is used, and nowhere else.

use super::*;
use crate::domain::plan::tests::set;
use crate::domain::plan::validate::validate;

/// What uses each row, and where it is found.
const USES: &[(&str, &str, &str)] = &[
    (
        "spec.cronProcesses",
        "cronProcesses: [{name: c, command: [a], schedule: '@daily'}]",
        "spec.cronProcesses",
    ),
    ("spec.processes[].maxMemory", "PROCESS maxMemory: 1Gi", ""),
    ("spec.processes[].phpFpm", "PROCESS phpFpm: {}", ""),
    (
        "logging.include",
        "logging: {include: [a]}",
        "spec.logging.include",
    ),
    (
        "logging.exclude",
        "initProcesses: [{name: i, command: [a], logging: {exclude: [a]}}]",
        "spec.initProcesses[0].logging.exclude",
    ),
    (
        "logging.redact",
        "PROCESS logging: {redact: {}}",
        "spec.processes[1].logging.redact",
    ),
    (
        "logging.multiline",
        "logging: {multiline: {}}",
        "spec.logging.multiline",
    ),
    (
        "logging.level",
        "logging: {level: {}}",
        "spec.logging.level",
    ),
    (
        "logging.files",
        "logging: {files: [{path: a}]}",
        "spec.logging.files",
    ),
];

#[test]
fn each_row_is_refused_where_it_is_used() {
    let rows: Vec<&str> = NOT_SUPPORTED.iter().map(|row| row.path).collect();
    let uses: Vec<&str> = USES.iter().map(|(row, ..)| *row).collect();
    assert_eq!(rows, uses);
    for (row, body, place) in USES {
        let (rest, fields) = match body.strip_prefix("PROCESS ") {
            Some(fields) => ("", fields),
            None => (*body, "args: []"),
        };
        let set = set(&format!(
            "processes: [{{name: a, command: [a]}}, {{name: b, command: [a], {fields}}}]\n{rest}"
        ));
        let place = match *place {
            "" => row.replace("[]", "[1]"),
            place => place.to_owned(),
        };
        let found: Vec<String> = validate(&set.spec)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, [format!("{place}: not supported yet")], "{row}");
    }
}
