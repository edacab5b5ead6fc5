//! What is wrong with a spec, whatever the machine: every problem at once, each with its path and what to do.
//!
//! The loader and the API server's schema have checked types, bounds, patterns and unknown keys; here are the rules that
//! look at more than one field. What depends on the machine (users, files, capabilities) is in [`super::resolve`].

use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::ProcessSetSpec;

mod dependencies;
mod hooks;
mod names;
mod probes;
mod process;
mod request;
mod sidecars;
mod unsupported;
mod walk;

pub use unsupported::{NOT_SUPPORTED, NotSupported};

/// Every problem of a spec.
pub fn validate(spec: &ProcessSetSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    unsupported::check(spec, &mut problems);
    check_set(spec, &mut problems);
    names::check(spec, &mut problems);
    process::check(spec, &mut problems);
    hooks::check(spec, &mut problems);
    probes::check(spec, &mut problems);
    sidecars::check(spec, &mut problems);
    dependencies::check(spec, &mut problems);
    problems
}

/// What concerns the set as a whole.
fn check_set(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    let path = FieldPath::spec();
    let mut enabled = (spec.processes.iter().map(|process| process.enabled))
        .chain(spec.init_processes.iter().map(|process| process.enabled))
        .chain(spec.cron_processes.iter().map(|process| process.enabled));
    if !enabled.any(|enabled| enabled) {
        let problem = Problem::error(path.clone(), "nothing is enabled, so nothing would run");
        problems.push(problem.help("leave out `enabled: false` for one process at least"));
    }
    if let (Some(drain), Some(grace)) = (spec.shutdown.drain, spec.termination_grace_period_seconds)
        && drain.as_millis() > u64::from(grace) * 1000
    {
        let message = format!("{drain} is over terminationGracePeriodSeconds, which is {grace}");
        let path = path.key("shutdown").key("drain");
        problems.push(Problem::error(path, message));
    }
    for (at, directory) in spec.directories.iter().enumerate() {
        let path = path.key("directories").index(at).key("path");
        no_nul(&directory.path, &path, problems);
    }
    process::check_env(&spec.env, None, &path.key("env"), problems);
}

/// A NUL ends a string for the kernel: what follows it would be lost.
fn no_nul(text: &str, path: &FieldPath, problems: &mut Vec<Problem>) {
    if text.contains('\0') {
        problems.push(Problem::error(
            path.clone(),
            "has a NUL byte, which no program can be given",
        ));
    }
}

#[cfg(test)]
mod tests;
