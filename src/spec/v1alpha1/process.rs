//! Long-running processes and init processes: when they start, when they run again, how they change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::units::{Decimal, Duration, IntOrPercent, Quantity},
    Lifecycle, OnStop, Probe, Scope,
    command::command_struct,
    defaults, is_default,
};

command_struct! {
/// A long-running process.
pub struct Process {
    /// What must have happened before it starts. Gates starts only: a later restart of a dependency touches nobody. At
    /// most 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<Dependency>,

    /// Orders groups of processes, -1000 to 1000: lower ones must have Started before higher ones start, and stop after
    /// them. By default it orders nothing. A contradiction with dependsOn is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,

    /// How many instances run, named NAME-0, NAME-1 and so on, 0 to 1000. Default 1.
    #[serde(default = "defaults::number::<1>")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u32,

    /// The most that `podinit scale` may set, 0 to 1000. By default no less than 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_replicas: Option<u32>,

    /// Gives each instance PORT = portBase + its index; a probe without a port uses that one. 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port_base: Option<u16>,

    /// Gates the other probes until it passes; a failure restarts the instance. As in a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,

    /// A failure restarts the instance, gracefully. As in a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,

    /// Says whether the instance is ready; a failure never restarts. As in a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,

    /// How long an instance must have been ready before dependents and updates count it, in seconds, 0 to 86400.
    /// Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86400))]
    pub min_ready_seconds: u32,

    /// Whether another run follows an exit: Always, OnFailure or Never. Default Always.
    #[serde(default)]
    pub restart_policy: RestartPolicy,

    /// How long the next run waits.
    #[serde(default)]
    pub restart_backoff: RestartBackoff,

    /// When to give up. By default never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_limit: Option<RestartLimit>,

    /// What being failed for good does to the set. ExitSet: it stops, with this process's exit code. MarkUnready: the pod
    /// is unready. Ignore: nothing. By default MarkUnready for Serving processes, else Ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,

    /// What having completed does to the set. ExitSet: it stops, with exit code 0. Ignore: nothing. Default Ignore.
    #[serde(default)]
    pub on_success: OnSuccess,

    /// Hooks of each instance, run with the process's user, environment and directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifecycle: Lifecycle,

    /// Serving: the pod's readiness needs it, and it is drained before it stops. Background: it may stop at once, such
    /// as a queue worker. Default Serving.
    #[serde(default)]
    pub traffic: Traffic,

    /// How instances are replaced when a change needs new runs.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,

    /// The most anonymous and shared memory its processes may use together, such as 512Mi: an instance over it is
    /// replaced gracefully. By default there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Quantity>,

    /// Set for a php-fpm master: its pool is sized for the memory and CPUs of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub php_fpm: Option<PhpFpm>,
}
}

command_struct! {
/// A process that runs to completion before the long-running ones start.
pub struct InitProcess {
    /// Which other init processes must have ended before it starts. By default the one before it must have Completed. At
    /// most 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<Dependency>,

    /// Whether another run follows a failure: OnFailure or Never. Default Never: a failure ends podinit with code 76.
    #[serde(default)]
    pub restart_policy: InitRestartPolicy,

    /// How long the next run waits.
    #[serde(default)]
    pub restart_backoff: RestartBackoff,

    /// When to give up. By default never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_limit: Option<RestartLimit>,

    /// Hooks, run with the process's user, environment and directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifecycle: Lifecycle,

    /// Pod: every pod runs it. Set: it runs once over all pods of the set, for each runKey; the others wait. Default Pod.
    #[serde(default)]
    pub scope: Scope,

    /// With scope Set: what it must succeed once for. By default a hash of command, environment and revision. $(VAR) is
    /// not expanded. At most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub run_key: Option<String>,

    /// What a stop does to it. Finish: it is left to end, and signalled 2 s before the set's last instant. Signal: it is
    /// signalled at once. Default Finish.
    #[serde(default)]
    pub on_stop: OnStop,
}
}

/// Something that must have happened before a process starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The name of the process or init process depended on.
    #[schemars(length(min = 1, max = 63), regex(pattern = crate::spec::units::NAME_PATTERN))]
    pub name: String,

    /// Started: executed, and the startupProbe passed if there is one. Ready: also its postStart hook is done and its
    /// readinessProbe has passed, as far as it has them, for minReadySeconds. Completed: every instance ended with success.
    /// Exited: ended for good, with any code. Default Ready.
    #[serde(default)]
    pub condition: Condition,

    /// Whether it is also met when the dependency is absent, disabled or failed for good. Default false.
    #[serde(default)]
    pub optional: bool,
}

/// What a dependent waits for. All desired instances count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DependencyCondition")]
pub enum Condition {
    /// Executed, and the startup probe passed if there is one.
    Started,
    /// Started, its postStart hook is done and its readinessProbe has passed, as far as it has them, for minReadySeconds.
    #[default]
    Ready,
    /// Every instance ended with a success exit code.
    Completed,
    /// Ended for good, with any code.
    Exited,
}

/// Whether another run follows an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// After every exit.
    #[default]
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    Never,
}

/// Whether another run of an init process follows its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum InitRestartPolicy {
    /// After a failure.
    OnFailure,
    /// Never: the failure is final.
    #[default]
    Never,
}

/// How long the next run waits: initial x factor^n, at most `max`, plus or minus `jitter`.
///
/// It applies after every exit, also a successful one. n counts the runs and goes back to 0 after resetAfter; the delay is
/// 0 when n is 0 and the run had been ready for 10 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartBackoff {
    /// The first delay. Default 1s.
    #[serde(default = "defaults::seconds::<1>")]
    pub initial: Duration,

    /// What each further delay is multiplied by, 1 to 100, at most three decimals. Default 2.
    #[serde(default = "defaults::decimal::<2000>")]
    #[schemars(range(min = 1, max = 100))]
    pub factor: Decimal,

    /// The longest delay. Default 5m.
    #[serde(default = "defaults::seconds::<300>")]
    pub max: Duration,

    /// The part of the delay that is random, up or down, 0 to 1, at most three decimals. Default 0.1.
    #[serde(default = "defaults::decimal::<100>")]
    #[schemars(range(min = 0, max = 1))]
    pub jitter: Decimal,

    /// A run that lasted so long starts the delays over. Default 10m.
    #[serde(default = "defaults::seconds::<600>")]
    pub reset_after: Duration,
}

impl Default for RestartBackoff {
    fn default() -> Self {
        Self {
            initial: defaults::seconds::<1>(),
            factor: defaults::decimal::<2000>(),
            max: defaults::seconds::<300>(),
            jitter: defaults::decimal::<100>(),
            reset_after: defaults::seconds::<600>(),
        }
    }
}

/// When to give up: more than `count` failures inside `window` is failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartLimit {
    /// How many failures are borne, 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub count: u32,

    /// The time they are counted over, such as 10m.
    pub window: Duration,
}

/// What being failed for good does to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// The set stops, with this process's exit code.
    ExitSet,
    /// The pod is unready.
    MarkUnready,
    /// Nothing.
    Ignore,
}

/// What having completed does to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnSuccess {
    /// The set stops, with exit code 0.
    ExitSet,
    /// Nothing.
    #[default]
    Ignore,
}

/// Whether a process serves requests that must be drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Traffic {
    /// The pod's readiness needs it, and it is drained before it stops.
    #[default]
    Serving,
    /// It may stop at once.
    Background,
}

/// How instances are replaced when a change needs new runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// RollingUpdate: by and by. Recreate: all are stopped first. Default RollingUpdate.
    #[serde(default, rename = "type")]
    pub kind: UpdateType,

    /// How many instances may be down at a time: a count or a percentage, rounded down. Default 1.
    #[serde(default = "defaults::count::<1>")]
    pub max_unavailable: IntOrPercent,

    /// How many instances may be there in excess: a count or a percentage, rounded up; 100% is blue-green. Default 0.
    #[serde(default = "defaults::count::<0>")]
    pub max_surge: IntOrPercent,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self {
            kind: UpdateType::default(),
            max_unavailable: defaults::count::<1>(),
            max_surge: defaults::count::<0>(),
        }
    }
}

/// The way instances are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum UpdateType {
    /// By and by, within maxUnavailable and maxSurge.
    #[default]
    RollingUpdate,
    /// All old ones are stopped before the first new one starts.
    Recreate,
}

/// How the pool of a php-fpm master is sized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhpFpm {
    /// What the pool is for: Dev, Light, Medium, Heavy or Bursty. Default Medium.
    #[serde(default)]
    pub profile: PhpFpmProfile,

    /// A file the pool's numbers and process_control_timeout (the grace period less 1 s) are written to, for an `include`
    /// of the php-fpm configuration. An absolute path of at most 4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), regex(pattern = crate::spec::units::ABSOLUTE_PATH_PATTERN))]
    pub output: Option<String>,
}

/// What a php-fpm pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum PhpFpmProfile {
    /// A developer's machine: few workers.
    Dev,
    /// A small site.
    Light,
    /// The usual application.
    #[default]
    Medium,
    /// Requests that need much memory.
    Heavy,
    /// Load that comes in bursts: more workers are kept ready.
    Bursty,
}
