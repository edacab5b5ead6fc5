//! Processes and init processes, instance by instance.

use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Backoff, Instance, Kind, Launch, LogRule, OnFailure, OnStop, OnSuccess, Probes, Process,
    Restart, RestartLimit, RestartPolicy, SignalTarget, StopRule, Traffic, UpdateRule,
};
use super::{Resolver, c_string, command, env, files, hooks, identity, limits, logging, probes};
use crate::domain::id::{Label, ProcessId};
use crate::domain::signal::Signal;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{self as spec, Command, Lifecycle};

/// The variable with the name of a file that says, from t0 on, when all must be gone and when the process must.
const DEADLINE_FILE: &str = "PODINIT_DEADLINE_FILE";

/// What the kinds of processes differ in, as far as instances go.
struct Shape<'a> {
    /// `None`: it has no probes.
    probed: Option<&'a spec::Process>,
    /// With those that may be there in excess; `None`: one, without an index.
    replicas: Option<u32>,
    port_base: Option<u16>,
    lifecycle: &'a Lifecycle,
}

impl Resolver<'_> {
    pub(super) fn init_process(
        &mut self,
        process: &spec::InitProcess,
        id: ProcessId,
        path: &FieldPath,
    ) -> Process {
        let shape = Shape {
            probed: None,
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
            once: self.once(process, path),
            desired: 1,
            ..self.common(process.shared(), id, path, &shape)
        }
    }

    pub(super) fn process(
        &mut self,
        process: &spec::Process,
        id: ProcessId,
        path: &FieldPath,
    ) -> Process {
        let update = update_rule(process);
        let shape = Shape {
            probed: Some(process),
            replicas: Some(process.replicas + update.surge),
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
            min_ready: Duration::from_secs(process.min_ready_seconds.into()),
            update,
            desired: process.replicas,
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
            let label = label(command.name, index);
            if let Some(index) = index {
                vars.fix("PODINIT_INSTANCE_INDEX", index.to_string());
            }
            let file = host.state_dir.join(format!("deadline/{label}"));
            vars.fix(DEADLINE_FILE, file.into_os_string().into_encoded_bytes());
            if let Some(process) = shape.probed {
                probes::tell(process, &host.notify_socket, &mut vars);
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
            let owner = hooks::Owner {
                launch: &launch,
                vars: &vars,
                log,
                port,
            };
            Instance {
                hooks: hooks::of_instance(shape.lifecycle, &label, &owner),
                probes: shape.probed.map_or_else(Probes::default, |process| {
                    probes::of_instance(process, &label, &owner)
                }),
                label,
                launch: Arc::new(launch),
            }
        };
        let all: Vec<Instance> = match shape.replicas {
            None => vec![instance(None)],
            Some(replicas) => (0..replicas).map(|index| instance(Some(index))).collect(),
        };
        let program = |instance: &Instance| instance.launch.argv.first().map(|arg| arg.is_empty());
        let written = command.command.first().map_or("", String::as_str);
        if !written.is_empty() && all.first().and_then(program) == Some(true) {
            let message = format!("`{written}` expands to nothing: expected the name of a program");
            let path = path.key("command").index(0);
            self.problems.push(Problem::error(path, message));
        }
        all
    }
}

/// An update that may have nothing down and nothing in excess would never go on: then one may be down, as in a
/// Deployment whose percentages round to nothing.
fn update_rule(process: &spec::Process) -> UpdateRule {
    let wanted = &process.update_strategy;
    let recreate = wanted.kind == spec::UpdateType::Recreate;
    let surge = if recreate || process.replicas == 0 {
        0
    } else {
        wanted.max_surge.ceil_of(process.replicas)
    };
    let down = wanted.max_unavailable.floor_of(process.replicas);
    UpdateRule {
        recreate,
        max_unavailable: down.max(u32::from(surge == 0)),
        surge,
    }
}

fn label(name: &str, index: Option<u32>) -> Arc<Label> {
    let instance = match index {
        Some(index) => format!("{name}-{index}").into(),
        None => name.into(),
    };
    Arc::new(Label {
        process: name.into(),
        instance,
    })
}

/// `portBase` plus the index; `validate` refuses what is over 65535.
fn port(base: Option<u16>, index: u32) -> Option<u16> {
    u16::try_from(u32::from(base?) + index).ok()
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
