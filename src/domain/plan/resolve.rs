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
    Backoff, Directory, GraceSource, Instance, Kind, Launch, LogRule, Mode, OnFailure, OnStop,
    OnSuccess, Plan, Process, Restart, RestartLimit, RestartPolicy, SetHooks, ShutdownTimes,
    SignalTarget, StopRule, Traffic,
};
use crate::domain::id::{Label, ProcessId};
use crate::domain::signal::Signal;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{
    self as spec, Command, EnvPolicy, Lifecycle, ProcessSet, ProcessSetSpec,
};

mod command;
mod env;
mod expand;
mod files;
mod hooks;
mod identity;
pub(super) mod limits;
mod logging;

pub use command::command_plan;
pub use env::is_wiring;
pub use files::files_needed;

/// The variable with the pod's own grace period.
pub const GRACE_VARIABLE: &str = "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS";

/// The plan of a set, with warnings; or everything that is wrong with it, warnings included.
pub fn resolve(set: &ProcessSet, host: &HostView) -> Result<(Plan, Vec<Problem>), Vec<Problem>> {
    let mut problems = validate(&set.spec);
    let plan = Resolver::new(&set.spec, host).plan(set, &mut problems);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok((plan, problems))
}

/// What is resolved once for all processes.
struct Resolver<'a> {
    spec: &'a ProcessSetSpec,
    host: &'a HostView,
    graph: StartGraph<'a>,
    /// The set's variables.
    layer: Vec<env::Item>,
    problems: Vec<Problem>,
}

/// What the kinds of processes differ in, as far as instances go.
struct Shape<'a> {
    /// `None`: one, without an index.
    replicas: Option<u32>,
    port_base: Option<u16>,
    lifecycle: &'a Lifecycle,
}

impl<'a> Resolver<'a> {
    fn new(spec: &'a ProcessSetSpec, host: &'a HostView) -> Self {
        let mut problems = Vec::new();
        let path = FieldPath::spec();
        let layer = files::load(&spec.env, &spec.env_from, &path, host, &mut problems);
        Resolver {
            spec,
            host,
            graph: StartGraph::of(spec).with_priorities(),
            layer,
            problems,
        }
    }

    fn plan(mut self, set: &ProcessSet, problems: &mut Vec<Problem>) -> Plan {
        let name: Arc<str> = set.metadata.name.as_deref().unwrap_or_default().into();
        let plan = Plan {
            shutdown: self.shutdown(),
            hooks: self.set_hooks(&name),
            directories: self.directories(),
            processes: self.processes(),
            mode: Mode::Set,
            name,
        };
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
        let tail = if self.spec.sidecars.is_empty() { 1 } else { 5 };
        let written = self.spec.shutdown.tail.map(Duration::from);
        ShutdownTimes {
            grace,
            source,
            tail: written.unwrap_or(Duration::from_secs(tail)),
        }
    }

    fn set_hooks(&self, name: &Arc<str>) -> SetHooks {
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
        hooks::of_set(&self.spec.hooks, name, &owner)
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
                mode: Some(directory.mode.bits().into()),
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

    fn init_process(
        &mut self,
        process: &spec::InitProcess,
        id: ProcessId,
        path: &FieldPath,
    ) -> Process {
        let shape = Shape {
            replicas: None,
            port_base: None,
            lifecycle: &process.lifecycle,
        };
        let restart = Restart {
            policy: match process.restart_policy {
                spec::InitRestartPolicy::OnFailure => RestartPolicy::OnFailure,
                spec::InitRestartPolicy::Never => RestartPolicy::Never,
            },
            success_codes: process.success_exit_codes.as_slice().into(),
            backoff: backoff(&process.restart_backoff),
            limit: process.restart_limit.as_ref().map(limit),
        };
        Process {
            kind: Kind::Init {
                on_stop: match process.on_stop {
                    spec::OnStop::Finish => OnStop::Finish,
                    spec::OnStop::Signal => OnStop::Signal,
                },
            },
            restart,
            on_failure: OnFailure::ExitSet,
            on_success: OnSuccess::Ignore,
            traffic: Traffic::Background,
            ..self.common(process.shared(), id, path, &shape)
        }
    }

    fn process(&mut self, process: &spec::Process, id: ProcessId, path: &FieldPath) -> Process {
        let shape = Shape {
            replicas: Some(process.replicas),
            port_base: process.port_base,
            lifecycle: &process.lifecycle,
        };
        let restart = Restart {
            policy: match process.restart_policy {
                spec::RestartPolicy::Always => RestartPolicy::Always,
                spec::RestartPolicy::OnFailure => RestartPolicy::OnFailure,
                spec::RestartPolicy::Never => RestartPolicy::Never,
            },
            success_codes: process.success_exit_codes.as_slice().into(),
            backoff: backoff(&process.restart_backoff),
            limit: process.restart_limit.as_ref().map(limit),
        };
        let traffic = match process.traffic {
            spec::Traffic::Serving => Traffic::Serving,
            spec::Traffic::Background => Traffic::Background,
        };
        Process {
            kind: Kind::Service,
            restart,
            on_failure: match (process.on_failure, traffic) {
                (Some(spec::OnFailure::ExitSet), _) => OnFailure::ExitSet,
                (Some(spec::OnFailure::MarkUnready), _) | (None, Traffic::Serving) => {
                    OnFailure::MarkUnready
                }
                (Some(spec::OnFailure::Ignore), _) | (None, Traffic::Background) => {
                    OnFailure::Ignore
                }
            },
            on_success: match process.on_success {
                spec::OnSuccess::ExitSet => OnSuccess::ExitSet,
                spec::OnSuccess::Ignore => OnSuccess::Ignore,
            },
            traffic,
            ..self.common(process.shared(), id, path, &shape)
        }
    }

    /// What all kinds have in common; the rest is as in `--` mode, for the caller to replace.
    fn common(
        &mut self,
        command: Command<'_>,
        id: ProcessId,
        path: &FieldPath,
        shape: &Shape<'_>,
    ) -> Process {
        let log = Arc::new(logging::rule(
            command.logging,
            self.spec.logging.as_ref(),
            self.host,
        ));
        let name: Arc<str> = command.name.into();
        Process {
            depends_on: self.graph.dependencies(id),
            stop: StopRule {
                signal: Signal::from_number(command.stop_signal.number()).unwrap_or(Signal::TERM),
                target: match command.signal_target {
                    spec::SignalTarget::Leader => SignalTarget::Leader,
                    spec::SignalTarget::Group => SignalTarget::Group,
                },
                grace: command
                    .termination_grace_period_seconds
                    .map(|seconds| Duration::from_secs(seconds.into())),
            },
            active_deadline: command
                .active_deadline_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
            instances: self.instances(command, path, shape, &log),
            log: Some(log),
            ..command::bare(name)
        }
    }

    fn instances(
        &mut self,
        command: Command<'_>,
        path: &FieldPath,
        shape: &Shape<'_>,
        log: &Arc<LogRule>,
    ) -> Vec<Instance> {
        let (host, problems) = (self.host, &mut self.problems);
        let person = identity::resolve(
            &(command.security_context, path.clone()),
            &(self.spec.security_context.as_ref(), FieldPath::spec()),
            host,
            problems,
        );
        limits::check_priorities(command, path, host, problems);
        let template = Launch {
            argv: Vec::new(),
            env: Vec::new(),
            dir: command.working_dir.map(|dir| c_string(dir.as_bytes())),
            identity: person.identity,
            no_new_privs: person.no_new_privs,
            umask: command.umask.map(|mask| mask.bits().into()),
            rlimits: command.rlimits.map_or_else(Vec::new, |rlimits| {
                limits::rlimits(rlimits, path, host, problems)
            }),
            nice: command.nice,
            oom_score_adj: command.oom_score_adj,
        };
        let own = files::load(command.env, command.env_from, path, host, problems);
        let mut base = env::Vars::inherited(command.env_policy, host);
        if let Some(user) = &person.user {
            base.follow(user);
        }
        base.fix("PODINIT_PROCESS", command.name);

        let instance = |index: Option<u32>| {
            let mut vars = base.clone();
            let port = port(shape.port_base, index.unwrap_or(0));
            if let Some(index) = index {
                vars.fix("PODINIT_INSTANCE_INDEX", index.to_string());
            }
            if let Some(port) = port {
                vars.fix("PORT", port.to_string());
            }
            vars.apply(&self.layer);
            vars.apply(&own);
            let argv = command.command.iter().chain(command.args);
            let launch = Launch {
                argv: argv
                    .map(|arg| c_string(vars.expand(arg.as_bytes())))
                    .collect(),
                env: vars.to_env(),
                ..template.clone()
            };
            let label = Arc::new(Label {
                process: command.name.into(),
                instance: match index {
                    Some(index) => format!("{}-{index}", command.name).into(),
                    None => command.name.into(),
                },
            });
            let owner = hooks::Owner {
                launch: &launch,
                vars: &vars,
                log,
                port,
            };
            Instance {
                hooks: hooks::of_instance(shape.lifecycle, &label, &owner),
                label,
                launch: Arc::new(launch),
            }
        };
        match shape.replicas {
            None => vec![instance(None)],
            Some(replicas) => (0..replicas).map(|index| instance(Some(index))).collect(),
        }
    }
}

/// `portBase` plus the index; `validate` refuses what is over 65535.
fn port(base: Option<u16>, index: u32) -> Option<u16> {
    u16::try_from(u32::from(base?) + index).ok()
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

fn backoff(rule: &spec::RestartBackoff) -> Backoff {
    Backoff {
        initial: rule.initial.to_std(),
        factor: f64::from(rule.factor.thousandths()) / 1000.0,
        max: rule.max.to_std(),
        jitter: f64::from(rule.jitter.thousandths()) / 1000.0,
        reset_after: rule.reset_after.to_std(),
    }
}

fn limit(limit: &spec::RestartLimit) -> RestartLimit {
    RestartLimit {
        count: limit.count,
        window: limit.window.to_std(),
    }
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
