//! From a spec and the machine it will run on to the [`Plan`]: everything decided, nothing left to look up.
//!
//! [`resolve`] is the only way to a plan of a set, and gives one only when nothing is wrong with it: it runs
//! [`validate`](super::validate::validate) too and reports every problem of both at once. What cannot be resolved (a user, a
//! file, a capability) is a problem, never a guess.

use std::ffi::{CString, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::graph::StartGraph;
use super::host::HostView;
use super::validate::validate;
use super::{
    Directory, GraceSource, Launch, Mode, Origin, Plan, Process, Rollout, SetHooks, ShutdownTimes,
    Sidecar,
};
use crate::domain::id::ProcessId;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{self as wire, EnvPolicy, ProcessSet, ProcessSetSpec, Traffic};

mod command;
mod env;
mod expand;
mod files;
mod hooks;
mod identity;
pub(super) mod limits;
mod logging;
mod once;
mod probes;
mod process;
mod sidecars;

pub use command::command_plan;
pub use env::is_wiring;
pub use files::files_needed;
pub use hooks::stop_hook_timeout;
pub use sidecars::sidecar_probe;

/// The variable with the pod's own grace period.
pub const GRACE_VARIABLE: &str = "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS";

/// The plan of a set, with warnings; or everything that is wrong with it, warnings included.
pub fn resolve(set: &ProcessSet, host: &HostView) -> Result<(Plan, Vec<Problem>), Vec<Problem>> {
    let mut problems = validate(&set.spec);
    let plan = Resolver::new(set, host).plan(&mut problems);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok((plan, problems))
}

/// What is resolved once for all processes.
struct Resolver<'a> {
    name: Arc<str>,
    spec: &'a ProcessSetSpec,
    host: &'a HostView,
    graph: StartGraph<'a>,
    /// The set's variables.
    layer: Vec<env::Item>,
    problems: Vec<Problem>,
}

impl<'a> Resolver<'a> {
    fn new(set: &'a ProcessSet, host: &'a HostView) -> Self {
        let spec = &set.spec;
        let mut problems = Vec::new();
        let path = FieldPath::spec();
        let layer = files::load(&spec.env, &spec.env_from, &path, host, &mut problems);
        Resolver {
            name: set.metadata.name.as_deref().unwrap_or_default().into(),
            spec,
            host,
            graph: StartGraph::of(spec).with_priorities(),
            layer,
            problems,
        }
    }

    fn plan(mut self, problems: &mut Vec<Problem>) -> Plan {
        let name = Arc::clone(&self.name);
        let (hooks, sidecars) = self.of_set(&name);
        let mut plan = Plan {
            shutdown: self.shutdown(),
            hooks,
            sidecars,
            directories: self.directories(),
            notify_socket: None,
            processes: self.processes(),
            mode: Mode::Set,
            origin: Origin::default(),
            rollout: Rollout {
                max_unavailable: self.spec.rollout.max_unavailable,
                progress_deadline: Duration::from_secs(
                    self.spec.rollout.progress_deadline_seconds.into(),
                ),
            },
            name,
        };
        let notified = plan.processes.iter().flat_map(|process| &process.instances);
        if notified.into_iter().any(|one| one.probes.use_notify()) {
            plan.notify_socket = Some(self.host.notify_socket.as_str().into());
        }
        // What is wrong with the set is found once a process.
        for problem in self.problems {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        plan
    }

    fn shutdown(&mut self) -> ShutdownTimes {
        let (grace, source) = grace(
            self.spec.termination_grace_period_seconds,
            self.host,
            &mut self.problems,
        );
        ShutdownTimes {
            grace,
            source,
            drain: drain(self.spec, self.host.in_kubernetes),
            tail: tail(self.spec),
        }
    }

    /// What podinit does in its own name.
    fn of_set(&self, name: &Arc<str>) -> (SetHooks, Vec<Arc<Sidecar>>) {
        let mut vars = env::Vars::inherited(EnvPolicy::Inherit, self.host);
        vars.apply(&self.layer);
        let launch = Launch {
            env: vars.to_env(),
            ..Launch::default()
        };
        let owner = hooks::Owner {
            launch: &launch,
            vars: &vars,
            log: &Arc::new(logging::rule(None, self.spec.logging.as_ref(), self.host)),
            port: None,
        };
        let hooks = hooks::of_set(&self.spec.hooks, name, &owner);
        (hooks, sidecars::of_set(&self.spec.sidecars, &owner))
    }

    fn directories(&mut self) -> Vec<Directory> {
        let (host, problems) = (self.host, &mut self.problems);
        let list = FieldPath::spec().key("directories");
        let mut all = Vec::new();
        for (at, directory) in self.spec.directories.iter().enumerate() {
            let path = list.index(at);
            let absolute = absolute(&directory.path, &host.start_dir);
            if absolute.is_none() {
                let message =
                    "the directory podinit was started in is no UTF-8: write an absolute path";
                problems.push(Problem::error(path.key("path"), message));
            }
            all.push(Directory {
                path: absolute.unwrap_or_default(),
                mode: directory.mode.map(|mode| mode.bits().into()),
                uid: directory
                    .owner
                    .as_ref()
                    .and_then(|owner| identity::uid_of(owner, &path.key("owner"), host, problems)),
                gid: directory.group.as_ref().and_then(|group| {
                    identity::group_of(group, &path.key("group"), host, problems)
                }),
            });
        }
        all
    }

    fn processes(&mut self) -> Vec<Process> {
        let (spec, mut all) = (self.spec, Vec::new());
        let list = FieldPath::spec().key("initProcesses");
        for (at, process) in spec.init_processes.iter().enumerate() {
            if process.enabled {
                let id = ProcessId(all.len() as u32);
                all.push(self.init_process(process, id, &list.index(at)));
            }
        }
        let list = FieldPath::spec().key("processes");
        for (at, process) in spec.processes.iter().enumerate() {
            if process.enabled {
                let id = ProcessId(all.len() as u32);
                all.push(self.process(process, id, &list.index(at)));
            }
        }
        all
    }
}

/// G, and where it came from.
fn grace(
    written: Option<u32>,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> (Duration, GraceSource) {
    let given = host.var(GRACE_VARIABLE).filter(|value| !value.is_empty());
    if let Some(value) = given {
        let seconds = value.to_str().filter(|text| !text.starts_with('+'));
        if let Some(seconds) = seconds.and_then(|text| text.parse::<u32>().ok()) {
            return (
                Duration::from_secs(seconds.into()),
                GraceSource::Environment,
            );
        }
        let message = format!(
            "{GRACE_VARIABLE} is `{}`: expected a whole number of seconds",
            value.display()
        );
        problems.push(Problem::error(FieldPath::ROOT, message));
    }
    match written {
        Some(seconds) => (Duration::from_secs(seconds.into()), GraceSource::Spec),
        None if host.in_kubernetes => (Duration::from_secs(30), GraceSource::Default),
        None => (Duration::from_secs(10), GraceSource::Default),
    }
}

/// `shutdown.drain`; by default 5 s in Kubernetes, where endpoints take time to go, if there is anybody to serve.
pub fn drain(spec: &ProcessSetSpec, in_kubernetes: bool) -> Duration {
    let serving = |process: &wire::Process| process.enabled && process.traffic == Traffic::Serving;
    let default = if in_kubernetes && spec.processes.iter().any(serving) {
        Duration::from_secs(5)
    } else {
        Duration::ZERO
    };
    spec.shutdown.drain.map_or(default, Duration::from)
}

/// `shutdown.tail`; by default 1 s, 5 s where sidecars outlive us.
pub fn tail(spec: &ProcessSetSpec) -> Duration {
    let default = if spec.sidecars.is_empty() { 1 } else { 5 };
    let written = spec.shutdown.tail.map(Duration::from);
    written.unwrap_or(Duration::from_secs(default))
}

fn absolute(path: &str, start_dir: &Path) -> Option<String> {
    start_dir.join(path).to_str().map(str::to_owned)
}

/// For exec. A NUL is a problem already (`validate`), and a plan with problems is never given out.
fn c_string(bytes: impl Into<Vec<u8>>) -> CString {
    CString::new(bytes).unwrap_or_default()
}

/// An argument as the system gave it.
fn c_os_string(text: OsString) -> CString {
    c_string(text.into_encoded_bytes())
}

#[cfg(test)]
mod tests;
