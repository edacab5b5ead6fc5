//! `podinit -- CMD ARGS`: a plan without a spec.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::host::HostView;
use super::super::{
    Backoff, Instance, InstanceHooks, Kind, Launch, Mode, OnFailure, OnSuccess, Origin, Plan,
    Probes, Process, Restart, RestartPolicy, Rollout, SetHooks, ShutdownTimes, SignalTarget,
    StopRule, Traffic, UpdateRule,
};
use super::{c_os_string, env, grace};
use crate::domain::id::Label;
use crate::domain::signal::Signal;
use crate::spec::problem::{FieldPath, Problem};

/// The plan for one command: named after its file, run once, with podinit's own environment (without its wiring), user,
/// directory and streams. The arguments are taken as they are; nothing is expanded.
pub fn command_plan(argv: Vec<OsString>, host: &HostView) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let (grace, source) = grace(None, host, &mut problems);
    let Some(program) = argv.first() else {
        problems.push(Problem::error(
            FieldPath::ROOT,
            "there is no command after --",
        ));
        return Err(problems);
    };
    let base = Path::new(program)
        .file_name()
        .unwrap_or(program.as_os_str());
    let name: Arc<str> = base.to_string_lossy().into();
    let inherited = host
        .env
        .iter()
        .filter(|(name, _)| !env::is_wiring(name.as_encoded_bytes()));
    let launch = Launch {
        env: inherited
            .map(|(name, value)| {
                let mut entry = name.clone();
                entry.push("=");
                entry.push(value);
                c_os_string(entry)
            })
            .collect(),
        argv: argv.into_iter().map(c_os_string).collect(),
        ..Launch::default()
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let label = Label {
        process: Arc::clone(&name),
        instance: Arc::clone(&name),
    };
    Ok(Plan {
        name: Arc::default(),
        origin: Origin::default(),
        rollout: Rollout::default(),
        mode: Mode::Command,
        shutdown: ShutdownTimes {
            grace,
            source,
            drain: Duration::ZERO,
            tail: Duration::from_secs(1),
        },
        hooks: SetHooks::default(),
        sidecars: Vec::new(),
        notify_socket: None,
        directories: Vec::new(),
        processes: vec![Process {
            desired: 1,
            instances: vec![Instance {
                label: Arc::new(label),
                launch: Arc::new(launch),
                hooks: InstanceHooks::default(),
                probes: Probes::default(),
            }],
            ..bare(name)
        }],
    })
}

/// A process that is run once, with podinit's own streams, and nothing more.
pub(super) fn bare(name: Arc<str>) -> Process {
    Process {
        name,
        kind: Kind::Service,
        depends_on: Vec::new(),
        restart: Restart {
            policy: RestartPolicy::Never,
            success_codes: [0].into(),
            backoff: Backoff {
                initial: Duration::from_secs(1),
                factor: 2.0,
                max: Duration::from_mins(5),
                jitter: 0.1,
                reset_after: Duration::from_mins(10),
            },
            limit: None,
        },
        on_failure: OnFailure::Ignore,
        on_success: OnSuccess::Ignore,
        stop: StopRule {
            signal: Signal::TERM,
            target: SignalTarget::Leader,
            grace: None,
        },
        traffic: Traffic::Background,
        min_ready: Duration::ZERO,
        active_deadline: None,
        log: None,
        once: None,
        update: UpdateRule::default(),
        desired: 0,
        instances: Vec::new(),
    }
}
