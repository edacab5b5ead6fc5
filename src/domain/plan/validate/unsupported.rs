//! What the spec has and this version does not do yet: refused, never ignored. One table, for the check and for CHANGELOG.

use super::walk;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{Logging, Process, ProcessSetSpec};

/// Something that is not supported yet.
#[derive(Debug, Clone, Copy)]
pub struct NotSupported {
    /// Where: a path of the spec, `[]` for each item of a list; a path without `spec.` holds wherever it can stand.
    pub path: &'static str,
    /// What, for people.
    pub what: &'static str,
    used: Used,
}

/// Whether a spec uses it.
#[derive(Debug, Clone, Copy)]
enum Used {
    Set(fn(&ProcessSetSpec) -> bool),
    Process(fn(&Process) -> bool),
    Logging(fn(&Logging) -> bool),
}

const fn row(path: &'static str, what: &'static str, used: Used) -> NotSupported {
    NotSupported { path, what, used }
}

/// Everything that is not supported yet. CHANGELOG.md has the same list.
#[rustfmt::skip]
pub const NOT_SUPPORTED: &[NotSupported] = &[
    row("spec.cronProcesses", "cron processes", Used::Set(|spec| !spec.cron_processes.is_empty())),
    row("spec.processes[].maxMemory", "memory limits", Used::Process(|process| process.max_memory.is_some())),
    row("spec.processes[].phpFpm", "sizing of php-fpm pools", Used::Process(|process| process.php_fpm.is_some())),
    row("logging.include", "filters of log lines", Used::Logging(|logging| logging.include.is_some())),
    row("logging.exclude", "filters of log lines", Used::Logging(|logging| logging.exclude.is_some())),
    row("logging.redact", "redaction", Used::Logging(|logging| logging.redact.is_some())),
    row("logging.multiline", "records of several lines", Used::Logging(|logging| logging.multiline.is_some())),
    row("logging.level", "levels of log lines", Used::Logging(|logging| logging.level.is_some())),
    row("logging.files", "log files that are followed", Used::Logging(|logging| logging.files.is_some())),
];

/// The message of each.
const MESSAGE: &str = "not supported yet";

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    for row in NOT_SUPPORTED {
        let places = row.places(spec).into_iter();
        problems.extend(places.map(|path| Problem::error(path, MESSAGE)));
    }
}

impl NotSupported {
    /// Where a spec uses it.
    fn places(&self, spec: &ProcessSetSpec) -> Vec<FieldPath> {
        let used_in = |list: &mut dyn Iterator<Item = bool>| -> Vec<FieldPath> {
            list.enumerate()
                .filter(|(_, used)| *used)
                .map(|(at, _)| below(&FieldPath::ROOT, self.path, at))
                .collect()
        };
        match self.used {
            Used::Set(used) => used_in(&mut std::iter::once(used(spec))),
            Used::Process(used) => used_in(&mut spec.processes.iter().map(used)),
            Used::Logging(used) => {
                let loggings = walk::loggings(spec).into_iter();
                loggings
                    .filter(|(_, logging)| used(logging))
                    .map(|(path, _)| below(&path, self.field(), 0))
                    .collect()
            }
        }
    }

    /// The last step of the path.
    fn field(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// A path of the table, with `at` for `[]`.
fn below(base: &FieldPath, path: &'static str, at: usize) -> FieldPath {
    path.split('.')
        .fold(base.clone(), |path, step| match step.strip_suffix("[]") {
            Some(list) => path.key(list).index(at),
            None => path.key(step),
        })
}

#[cfg(test)]
mod tests;
