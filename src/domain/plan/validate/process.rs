//! Processes and init processes, each for itself: command, environment, numbers that must fit each other.

use super::super::resolve::{is_wiring, limits};
use super::{no_nul, walk};
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::units::Quantity;
use crate::spec::v1alpha1::{
    Command, EnvVar, Logging, OnFailure, OnSuccess, Process, ProcessSetSpec, RestartBackoff,
    RestartLimit, RestartPolicy, SignalTarget, Traffic,
};

const SIGSTOP: i32 = 19;
/// Bounds of logging.maxLineBytes.
const LINE_BYTES: [Quantity; 2] = [
    Quantity::from_bytes(1 << 10),
    Quantity::from_bytes(16 << 20),
];

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    for (path, command) in walk::commands(spec) {
        check_command(command, &path, problems);
        check_grace(command, spec, &path, problems);
    }
    for (path, logging) in walk::loggings(spec) {
        check_logging(logging, &path, problems);
    }
    let list = FieldPath::spec().key("initProcesses");
    for (at, process) in spec.init_processes.iter().enumerate() {
        let path = list.index(at);
        check_env(&process.env, None, &path.key("env"), problems);
        check_restart(
            &process.restart_backoff,
            process.restart_limit.as_ref(),
            &path,
            problems,
        );
    }
    let list = FieldPath::spec().key("processes");
    for (at, process) in spec.processes.iter().enumerate() {
        let path = list.index(at);
        check_env(&process.env, process.port_base, &path.key("env"), problems);
        check_restart(
            &process.restart_backoff,
            process.restart_limit.as_ref(),
            &path,
            problems,
        );
        check_replicas(process, &path, problems);
        check_outcome(process, &path, problems);
        problems.extend(shell(process, &path));
    }
}

fn check_command(command: Command<'_>, path: &FieldPath, problems: &mut Vec<Problem>) {
    check_argv(command.command, &path.key("command"), problems);
    for (at, arg) in command.args.iter().enumerate() {
        no_nul(arg, &path.key("args").index(at), problems);
    }
    if let Some(dir) = command.working_dir {
        no_nul(dir, &path.key("workingDir"), problems);
    }
    if let Some(mask) = command.umask.filter(|mask| mask.bits() > 0o777) {
        let message =
            format!("{mask} is over 0777: a mask has no set-user-ID, set-group-ID or sticky bit");
        problems.push(Problem::error(path.key("umask"), message));
    }
    if command.stop_signal.number() == SIGSTOP {
        let message = "SIGSTOP halts a process without ending it";
        problems.push(Problem::error(path.key("stopSignal"), message));
    }
    for (name, _, limit) in command.rlimits.map(limits::given).unwrap_or_default() {
        if let (Some(soft), Some(hard)) = (limit.soft, limit.hard)
            && limits::number(soft) > limits::number(hard)
        {
            let message = format!("{soft} is over the hard limit, which is {hard}");
            let path = path.key("rlimits").key(name).key("soft");
            problems.push(Problem::error(path, message));
        }
    }
}

/// A command that exec can take.
pub(super) fn check_argv(argv: &[String], path: &FieldPath, problems: &mut Vec<Problem>) {
    if argv.first().is_none_or(String::is_empty) {
        problems.push(Problem::error(
            path.index(0),
            "expected the name of a program",
        ));
    }
    for (at, arg) in argv.iter().enumerate() {
        no_nul(arg, &path.index(at), problems);
    }
}

/// Names that podinit sets itself, and values that exec cannot take.
pub(super) fn check_env(
    env: &[EnvVar],
    port_base: Option<u16>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    for (at, var) in env.iter().enumerate() {
        let path = path.index(at);
        let name = &var.name;
        if is_wiring(name.as_bytes()) {
            let message =
                format!("`{name}`: names that begin with PODINIT_ belong to podinit's own wiring");
            problems.push(Problem::error(path.key("name"), message));
        } else if port_base.is_some() && name == "PORT" {
            let message = "`PORT` comes from portBase";
            let problem = Problem::error(path.key("name"), message);
            problems.push(problem.help("leave out one of the two"));
        }
        if let Some(value) = &var.value {
            no_nul(value, &path.key("value"), problems);
        }
    }
}

fn check_grace(
    command: Command<'_>,
    spec: &ProcessSetSpec,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    if let (Some(own), Some(set)) = (
        command.termination_grace_period_seconds,
        spec.termination_grace_period_seconds,
    ) && own > set
    {
        let message = format!("{own} is over the set's, which is {set}: it will be cut");
        let path = path.key("terminationGracePeriodSeconds");
        problems.push(Problem::warning(path, message));
    }
}

fn check_logging(logging: &Logging, path: &FieldPath, problems: &mut Vec<Problem>) {
    let [least, most] = LINE_BYTES;
    if let Some(bytes) = logging
        .max_line_bytes
        .filter(|bytes| !(least..=most).contains(bytes))
    {
        let message = format!("expected {least} to {most}, found {bytes}");
        problems.push(Problem::error(path.key("maxLineBytes"), message));
    }
}

fn check_restart(
    backoff: &RestartBackoff,
    limit: Option<&RestartLimit>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let at = path.key("restartBackoff");
    let mut error = |key: &'static str, message: String| {
        problems.push(Problem::error(at.key(key), message));
    };
    if backoff.initial > backoff.max {
        error(
            "initial",
            format!("{} is over max, which is {}", backoff.initial, backoff.max),
        );
    }
    if backoff.initial.as_millis() == 0 {
        error("initial", "expected more than 0s: a process that fails at once would be restarted without a pause, for ever".to_owned());
    }
    if backoff.factor.thousandths() < 1000 {
        error(
            "factor",
            format!("expected 1 to 100, found {}", backoff.factor),
        );
    }
    if backoff.jitter.thousandths() > 1000 {
        error(
            "jitter",
            format!("expected 0 to 1, found {}", backoff.jitter),
        );
    }
    if limit.is_some_and(|limit| limit.window.as_millis() == 0) {
        let path = path.key("restartLimit").key("window");
        let message = "expected more than 0s: no failure is within no time";
        problems.push(Problem::error(path, message));
    }
}

fn check_replicas(process: &Process, path: &FieldPath, problems: &mut Vec<Problem>) {
    let replicas = process.replicas;
    if let Some(most) = process.max_replicas.filter(|most| replicas > *most) {
        let message = format!("{replicas} is over maxReplicas, which is {most}");
        problems.push(Problem::error(path.key("replicas"), message));
    }
    let surge = process.update_strategy.max_surge;
    let most = replicas.max(process.max_replicas.unwrap_or(0));
    let most = most + surge.ceil_of(most);
    let excess = surge.ceil_of(replicas) > 0;
    if excess && process.port_base.is_none() && process.traffic == Traffic::Serving {
        let message = "an instance in excess has the same port as the others: if they listen, it cannot start";
        let problem = Problem::warning(path.key("updateStrategy").key("maxSurge"), message);
        problems.push(problem.help("give each its own port with portBase"));
    }
    if let Some(base) = process.port_base {
        let last = u32::from(base) + most.saturating_sub(1);
        if last > u32::from(u16::MAX) {
            let message =
                format!("the last of {most} instances would have port {last}, over 65535");
            problems.push(Problem::error(path.key("portBase"), message));
        }
    }
}

/// Ends that never come.
fn check_outcome(process: &Process, path: &FieldPath, problems: &mut Vec<Problem>) {
    let policy = process.restart_policy;
    if process.on_success == OnSuccess::ExitSet && policy == RestartPolicy::Always {
        let message = "with restartPolicy Always it never completes";
        let problem = Problem::error(path.key("onSuccess"), message);
        problems.push(problem.help("set restartPolicy to OnFailure or Never"));
    }
    let for_ever = process.restart_limit.is_none() && policy != RestartPolicy::Never;
    if process.on_failure == Some(OnFailure::ExitSet) && for_ever {
        let message = "without a restartLimit it is restarted for ever and never fails for good";
        let problem = Problem::warning(path.key("onFailure"), message);
        problems.push(problem.help("give it a restartLimit, or set restartPolicy to Never"));
    }
}

/// A shell that stays between podinit and the program: it gets the stop signal and keeps it for itself.
fn shell(process: &Process, path: &FieldPath) -> Option<Problem> {
    let [program, rest @ ..] = &process.command[..] else {
        return None;
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    let mut words = rest.iter().chain(&process.args);
    let is_shell = matches!(name, "sh" | "bash" | "ash" | "dash");
    if !is_shell || words.next()? != "-c" || process.signal_target == SignalTarget::Group {
        return None;
    }
    let script = words.next()?;
    let passes_on = script
        .split_whitespace()
        .any(|word| word == "exec" || word == "trap");
    (!passes_on).then(|| {
        let message = format!(
            "the shell gets {} and does not pass it on",
            process.stop_signal
        );
        Problem::warning(path.key("command"), message)
            .help("begin the last command with `exec`, or write `signalTarget: Group`")
    })
}
