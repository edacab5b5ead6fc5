//! All places of a spec where something of a kind can stand, with their paths.

use crate::spec::problem::FieldPath;
use crate::spec::v1alpha1::{
    Command, ExecAction, HttpGetAction, Lifecycle, Logging, ProcessSetSpec, SleepAction,
};

/// Init processes, then processes.
pub(super) fn commands(spec: &ProcessSetSpec) -> Vec<(FieldPath, Command<'_>)> {
    let list = |key: &'static str| FieldPath::spec().key(key);
    let (init, processes) = (list("initProcesses"), list("processes"));
    let init = (spec.init_processes.iter().enumerate())
        .map(|(at, process)| (init.index(at), process.shared()));
    let processes = (spec.processes.iter().enumerate())
        .map(|(at, process)| (processes.index(at), process.shared()));
    init.chain(processes).collect()
}

/// The set's logging and that of each process.
pub(super) fn loggings(spec: &ProcessSetSpec) -> Vec<(FieldPath, &Logging)> {
    let set = (FieldPath::spec(), spec.logging.as_ref());
    std::iter::once(set)
        .chain(
            commands(spec)
                .into_iter()
                .map(|(path, command)| (path, command.logging)),
        )
        .filter_map(|(path, logging)| Some((path.key("logging"), logging?)))
        .collect()
}

/// A hook of the set or of a process.
#[derive(Debug)]
pub(super) struct AnyHook<'s> {
    pub(super) path: FieldPath,
    pub(super) exec: Option<&'s ExecAction>,
    pub(super) http_get: Option<&'s HttpGetAction>,
    pub(super) sleep: Option<&'s SleepAction>,
    pub(super) timeout_seconds: Option<u32>,
    /// Whether the process gives a request without a port one; `None` where no portBase can be written.
    pub(super) has_port: Option<bool>,
}

/// All hooks.
pub(super) fn hooks(spec: &ProcessSetSpec) -> Vec<AnyHook<'_>> {
    let mut all = Vec::new();
    let path = FieldPath::spec().key("hooks");
    for (key, list) in [
        ("preStart", &spec.hooks.pre_start),
        ("postStart", &spec.hooks.post_start),
        ("preStop", &spec.hooks.pre_stop),
        ("postStop", &spec.hooks.post_stop),
    ] {
        all.extend(list.iter().enumerate().map(|(at, hook)| AnyHook {
            path: path.key(key).index(at),
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            sleep: hook.sleep.as_ref(),
            timeout_seconds: hook.timeout_seconds,
            has_port: None,
        }));
    }
    let path = FieldPath::spec().key("initProcesses");
    for (at, process) in spec.init_processes.iter().enumerate() {
        lifecycle(&process.lifecycle, &path.index(at), None, &mut all);
    }
    let path = FieldPath::spec().key("processes");
    for (at, process) in spec.processes.iter().enumerate() {
        let has_port = Some(process.port_base.is_some());
        lifecycle(&process.lifecycle, &path.index(at), has_port, &mut all);
    }
    all
}

fn lifecycle<'s>(
    lifecycle: &'s Lifecycle,
    path: &FieldPath,
    has_port: Option<bool>,
    all: &mut Vec<AnyHook<'s>>,
) {
    for (key, hook) in [
        ("preStart", &lifecycle.pre_start),
        ("postStart", &lifecycle.post_start),
        ("preStop", &lifecycle.pre_stop),
        ("postStop", &lifecycle.post_stop),
    ] {
        all.extend(hook.as_ref().map(|hook| AnyHook {
            path: path.key("lifecycle").key(key),
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            sleep: hook.sleep.as_ref(),
            timeout_seconds: hook.timeout_seconds,
            has_port,
        }));
    }
}
