//! The plan: a validated, fully resolved ProcessSet. It leaves no choice to execution: argv, environment, ids, order and
//! times are all decided. Immutable; the engine and the machines share it.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use super::claim::RunKey;
use super::id::{InstanceId, Label, ProcessId};
use super::signal::Signal;
use crate::spec::units::IntOrPercent;

pub use probe::{
    Check, FastCgiAddress, HttpMethod, HttpRequest, Probe, ProbeKind, Probes, Request,
};
pub use sidecar::{OnTimeout, Sidecar};

pub mod diff;
pub mod graph;
pub mod host;
pub mod merge;
pub mod probe;
pub mod resolve;
pub mod revision;
pub mod sidecar;
#[cfg(test)]
pub(super) mod tests;
pub mod validate;

/// What one pod's supervisor runs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The ProcessSet's name; empty in `--` mode.
    pub name: Arc<str>,
    /// Where the spec came from.
    pub origin: Origin,
    /// How a fleet of pods takes a change.
    pub rollout: Rollout,
    /// Set, or one command after `--`.
    pub mode: Mode,
    /// Times of the stop.
    pub shutdown: ShutdownTimes,
    /// Hooks of the whole set.
    pub hooks: SetHooks,
    /// The socket on which processes report over the sd_notify protocol, without its `@`; `None`: no probe asks for it.
    pub notify_socket: Option<Arc<str>>,
    /// Made before anything starts, in this order.
    pub directories: Vec<Directory>,
    /// Containers beside ours that the set waits for before anything else, in the order of the spec.
    pub sidecars: Vec<Arc<Sidecar>>,
    /// Init processes in the order of the spec, then processes. Disabled ones are left out.
    pub processes: Vec<Process>,
}

impl Plan {
    /// The process with this id.
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.index()]
    }

    /// The instance with this id, and its process.
    pub fn both(&self, id: InstanceId) -> (&Process, &Instance) {
        (self.process(id.process), self.instance(id))
    }

    /// The instance with this id.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.process(id.process).instances[id.index as usize]
    }
}

/// Where a spec came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// In words: a file, or `ProcessSet NAMESPACE/NAME`.
    pub what: Arc<str>,
    /// Which version of which object; `None`: it is from a file.
    pub object: Option<ObjectVersion>,
}

impl Default for Origin {
    fn default() -> Self {
        Origin {
            what: "".into(),
            object: None,
        }
    }
}

/// One version of an object of the API server. Versions are compared by inequality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// metadata.generation.
    pub generation: i64,
}

/// How a fleet of pods takes a change of a ProcessSet in the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// How many pods may act at the same time on a change that stops runs.
    pub max_unavailable: IntOrPercent,
    /// A pod that is not ready so long after it took a change goes back to its last good spec.
    pub progress_deadline: Duration,
}

impl Default for Rollout {
    fn default() -> Self {
        Rollout {
            max_unavailable: IntOrPercent::Percent(25),
            progress_deadline: Duration::from_secs(600),
        }
    }
}

/// How podinit was asked to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A ProcessSet.
    Set,
    /// `podinit -- CMD`: one process, signals forwarded, its exit code is ours.
    Command,
}

/// Where the grace period came from; the report says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraceSource {
    /// `PODINIT_TERMINATION_GRACE_PERIOD_SECONDS`.
    Environment,
    /// `spec.terminationGracePeriodSeconds`.
    Spec,
    /// 30 s in Kubernetes, 10 s outside.
    Default,
}

/// Times of the stop, before any arithmetic ([`crate::domain::shutdown`] does that).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownTimes {
    /// G: from the first stop request to the kubelet's SIGKILL.
    pub grace: Duration,
    /// Where `grace` came from.
    pub source: GraceSource,
    /// From t0 on Serving processes keep serving for so long, unready, while endpoints are removed.
    pub drain: Duration,
    /// Left after our last process for sidecars and telemetry.
    pub tail: Duration,
}

/// Hooks of the whole set, each list run in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetHooks {
    /// Before init processes.
    pub pre_start: Vec<Arc<Hook>>,
    /// Once every process has started.
    pub post_start: Vec<Arc<Hook>>,
    /// At the first moment of a stop.
    pub pre_stop: Vec<Arc<Hook>>,
    /// After everything has ended.
    pub post_stop: Vec<Arc<Hook>>,
}

/// A directory to make before anything starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits; `None`: 0755 when it is made, and unchanged when it is there.
    pub mode: Option<u32>,
    /// Owner; changed only when podinit is root and it differs.
    pub uid: Option<u32>,
    /// Group; the same.
    pub gid: Option<u32>,
}

/// A named entry of the set.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its name, unique in the plan.
    pub name: Arc<str>,
    /// Init process or process.
    pub kind: Kind,
    /// What must hold before its first run. Gates first runs only.
    pub depends_on: Vec<Dependency>,
    /// Whether and when another run follows.
    pub restart: Restart,
    /// What being failed for good does to the set.
    pub on_failure: OnFailure,
    /// What having completed does to the set.
    pub on_success: OnSuccess,
    /// How a run is stopped.
    pub stop: StopRule,
    /// Serving or Background.
    pub traffic: Traffic,
    /// Ready for so long before dependents count it.
    pub min_ready: Duration,
    /// A run older than this is stopped gracefully and counts as a failure.
    pub active_deadline: Option<Duration>,
    /// How its output is logged; `None`: it has our own streams (`--` mode).
    pub log: Option<Arc<LogRule>>,
    /// How its instances are replaced when the spec changes.
    pub update: UpdateRule,
    /// It runs once over all pods of the set (`scope: Set`); `None`: every pod runs it.
    pub once: Option<Arc<Once>>,
    /// How many of the instances are wanted: replicas.
    pub desired: u32,
    /// One entry a replica; then those that may be there in excess during an update (maxSurge); then, in a plan that has
    /// taken the place of another one, those that are on their way out.
    pub instances: Vec<Instance>,
}

/// What runs once over all pods of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The set's name.
    pub set: Arc<str>,
    /// The Lease that pods claim it by.
    pub lease: Arc<str>,
    /// What it must succeed once for.
    pub key: RunKey,
}

/// How instances are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpdateRule {
    /// All old ones are stopped before the first new one starts.
    pub recreate: bool,
    /// How many may be down at a time; at least 1 unless there is a surge.
    pub max_unavailable: u32,
    /// How many may be there in excess.
    pub surge: u32,
}

/// One replica: all that differs from its siblings.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What logs and reports call it.
    pub label: Arc<Label>,
    /// What is executed.
    pub launch: Arc<Launch>,
    /// Its own hooks, with its user, environment and directory.
    pub hooks: InstanceHooks,
    /// Its probes.
    pub probes: Probes,
}

/// Hooks around each run of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceHooks {
    /// Before the spawn.
    pub pre_start: Option<Arc<Hook>>,
    /// Right after the spawn; ready waits for it.
    pub post_start: Option<Arc<Hook>>,
    /// Before the stop signal; not when the run ended by itself.
    pub pre_stop: Option<Arc<Hook>>,
    /// After the run's session is empty, however it ended.
    pub post_stop: Option<Arc<Hook>>,
}

/// What sort of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs to completion before any [`Kind::Service`] starts.
    Init {
        /// What a stop does to a run.
        on_stop: OnStop,
    },
    /// Everything else.
    Service,
}

/// What a stop does to a running init process (or cron run).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// Left to end, signalled 2 s before T_kill.
    Finish,
    /// Signalled when Background processes are.
    Signal,
}

/// One edge of the start graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// On whom.
    pub on: ProcessId,
    /// What must hold for all its instances.
    pub condition: Condition,
    /// Also met when `on` failed for good.
    pub optional: bool,
}

/// When a dependency is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// exec succeeded.
    Started,
    /// Started, and postStart done.
    Ready,
    /// Ended with one of its success codes, for good.
    Completed,
    /// Ended for good, any code.
    Exited,
}

/// Whether and when another run follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    /// Always, OnFailure or Never.
    pub policy: RestartPolicy,
    /// Codes that count as success.
    pub success_codes: Arc<[u8]>,
    /// Delays between runs.
    pub backoff: Backoff,
    /// Failed for good when passed.
    pub limit: Option<RestartLimit>,
}

/// The Kubernetes restart policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// After every end.
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    Never,
}

/// Delay before the next run: initial x factor^n, capped, with jitter. n counts restarts since the last reset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Delay when n = 0.
    pub initial: Duration,
    /// Growth, at least 1.
    pub factor: f64,
    /// Cap.
    pub max: Duration,
    /// Share by which the delay varies either way, 0 to 1.
    pub jitter: f64,
    /// A run that lasted so long sets n to 0.
    pub reset_after: Duration,
}

/// More than `count` failures inside `window` are for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartLimit {
    /// Failures that are still restarted.
    pub count: u32,
    /// Over what time.
    pub window: Duration,
}

/// What being failed for good does to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The set stops; the exit code is the process's.
    ExitSet,
    /// The pod is not ready any more.
    MarkUnready,
    /// Nothing.
    Ignore,
}

/// What having completed does to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSuccess {
    /// The set stops; the exit code is 0.
    ExitSet,
    /// Nothing.
    Ignore,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRule {
    /// The stop signal.
    pub signal: Signal,
    /// Who gets it.
    pub target: SignalTarget,
    /// Time from the stop signal to KILL; `None`: all that is left of the set's.
    pub grace: Option<Duration>,
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalTarget {
    /// The session's first process.
    Leader,
    /// Its process group.
    Group,
    /// Everything in its session, the leader included, group by group.
    Session,
}

/// Whether requests reach a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Requests reach it: it keeps serving while endpoints are removed.
    Serving,
    /// It may stop at once.
    Background,
}

/// Something done at a point of the life of the set or of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Name in logs: the hook's own, or `preStart` and so on.
    pub name: Arc<str>,
    /// What.
    pub action: HookAction,
    /// Time for one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Time between attempts.
    pub retry_delay: Duration,
    /// What a failure of the last attempt does.
    pub failure: FailurePolicy,
}

impl Hook {
    /// What it may take: all its attempts and the pauses between them.
    pub fn claim(&self) -> Duration {
        claim_of(self.timeout, self.retries, self.retry_delay)
    }
}

/// What a hook may take: all its attempts and the pauses between them.
pub fn claim_of(timeout: Duration, retries: u32, retry_delay: Duration) -> Duration {
    let attempts = timeout.saturating_mul(retries.saturating_add(1));
    attempts.saturating_add(retry_delay.saturating_mul(retries))
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAction {
    /// Runs a command; exit code 0 is success.
    Exec {
        /// What is executed.
        launch: Arc<Launch>,
        /// What logs call it.
        label: Arc<Label>,
        /// How its output is logged.
        log: Arc<LogRule>,
    },
    /// Makes a GET request; 200 to 399 is success.
    Request(Arc<Request>),
    /// Waits.
    Sleep(Duration),
}

/// What a hook's failure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    /// A start hook of the set ends the set (76); one of a process fails the run. A stop hook's failure is reported.
    Fail,
    /// Reported, nothing else.
    Continue,
}

/// All that an exec needs, prepared: the child makes raw system calls only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// argv; the first is looked up in the PATH of `env` unless it has a `/`. Never empty.
    pub argv: Vec<CString>,
    /// The whole environment, as `NAME=value`.
    pub env: Vec<CString>,
    /// Working directory; `None`: the one podinit was started in.
    pub dir: Option<CString>,
    /// User and groups; `None`: podinit's.
    pub identity: Option<Identity>,
    /// Sets no_new_privs.
    pub no_new_privs: bool,
    /// File mode creation mask; `None`: podinit's.
    pub umask: Option<u32>,
    /// Resource limits to set; `None` for a value = infinity.
    pub rlimits: Vec<Rlimit>,
    /// Nice value, -20 to 19.
    pub nice: Option<i32>,
    /// OOM score adjustment, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// Who a child runs as. All three are always set together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// One resource limit (setrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_...` as a Linux number.
    pub resource: u32,
    /// Soft limit; `None`: infinity.
    pub soft: Option<u64>,
    /// Hard limit; `None`: infinity.
    pub hard: Option<u64>,
}

/// Where the output of a child goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// It has our own streams and terminal (`--` mode).
    Inherited,
    /// Into the log.
    Logged(Arc<LogRule>),
    /// Kept for the one who asked: [`crate::domain::event::Event::Said`] has its beginning.
    Kept,
}

/// How a process's output is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRule {
    /// Shape of a line.
    pub format: LogFormat,
    /// A longer line is cut there, marked and counted. In bytes.
    pub max_line_bytes: usize,
    /// What happens when our output does not keep up.
    pub on_backpressure: Backpressure,
    /// Added to every JSON record, in this order.
    pub labels: Vec<(String, String)>,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Our envelope.
    Json,
    /// Aligned, coloured on a terminal.
    Text,
    /// Whole lines as they came.
    Raw,
}

/// What happens to a process's lines when our output does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backpressure {
    /// The process waits.
    Block,
    /// The oldest lines not yet written are dropped and counted.
    DropOldest,
}
