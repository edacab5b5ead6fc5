//! `podinit.dev/v1alpha1`: the ProcessSet, as the API server and as a file have it.
//!
//! Read [`ProcessSetSpec`] first. What Kubernetes has keeps its Kubernetes name, type, default and meaning. A default
//! that depends on nothing else is in the schema (so the API server fills it in); one that depends on the context is an
//! absent `Option`, and `domain::plan` resolves it.
#![expect(
    clippy::duplicated_attributes,
    reason = "kube's printcolumn(..) entries repeat their keys by design"
)]

mod command;
mod cron;
mod defaults;
mod hook;
mod logging;
mod probe;
mod process;
mod report;
mod security;
mod sidecar;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use command::{
    Command, EnvFileSource, EnvFromSource, EnvPolicy, EnvVar, EnvVarSource, SignalTarget,
};
pub use cron::{ConcurrencyPolicy, CronProcess, Heartbeat, HeartbeatMethod, OnStop, Scope};
pub use hook::{FailurePolicy, Hook, Hooks, Lifecycle, LifecycleHandler, SleepAction};
pub use logging::{
    Backpressure, LevelDetection, LogFile, LogFormat, LogLevel, Logging, Multiline,
    MultilinePreset, Redact, RedactPattern,
};
pub use probe::{
    ExecAction, FastCgiAction, GrpcAction, HttpGetAction, HttpHeader, HttpScheme, NotifyAction,
    Probe, TcpSocketAction,
};
pub use process::{
    Condition as DependencyCondition, Dependency, InitProcess, InitRestartPolicy, OnFailure,
    OnSuccess, PhpFpm, PhpFpmProfile, Process, RestartBackoff, RestartLimit, RestartPolicy,
    Traffic, UpdateStrategy, UpdateType,
};
pub use report::{
    CronReport, LastExit, Phase, ProcessReport, ProcessReportSpec, ProcessReportStatus,
    ProcessState,
};
pub use security::{Rlimit, Rlimits, SecurityContext};
pub use sidecar::{OnTimeout, QuitHttpPost, QuitPolicy, Sidecar, SidecarPreset};
pub use status::{Condition, ConditionStatus, PodCounts, ProcessSetStatus, RolloutStatus};

use super::units::{Duration, IdOrName, IntOrPercent, Mode};

/// What one pod's supervisor runs: init processes, long-running processes, scheduled processes, and the sidecars it
/// waits for.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "podinit.dev",
    version = "v1alpha1",
    kind = "ProcessSet",
    plural = "processsets",
    shortname = "pset",
    category = "podinit",
    namespaced,
    status = "ProcessSetStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "A ProcessSet says what podinit, the first process of a pod, runs: init processes, long-running processes, scheduled processes and the sidecars it waits for. Pods that name it follow its changes.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.pods.summary",
        description = "Pods whose processes are ready, of all pods that run this set"
    ),
    printcolumn(
        name = "Up-to-date",
        type_ = "integer",
        json_path = ".status.pods.updated",
        description = "Pods that run the current generation"
    ),
    printcolumn(
        name = "Degraded",
        type_ = "integer",
        json_path = ".status.pods.degraded",
        description = "Pods with a process that failed for good"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the spec is valid",
        priority = "1"
    ),
    printcolumn(
        name = "Progressing",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Progressing')].reason",
        description = "How the rollout of the current generation goes",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.processes) && size(self.processes) > 0) || (has(self.cronProcesses) && size(self.cronProcesses) > 0) || (has(self.initProcesses) && size(self.initProcesses) > 0)",
        "message": "at least one of processes, cronProcesses and initProcesses must have an entry",
    },
]))]
pub struct ProcessSetSpec {
    /// The revision of the application this spec belongs to. A pod started with PODINIT_REVISION takes only specs with an
    /// equal or absent revision, so that old images never run new specs. At most 63 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub revision: Option<String>,

    /// The pod's terminationGracePeriodSeconds, in seconds, 0 to 86400. Used only where the pod's own value is not known
    /// (PODINIT_TERMINATION_GRACE_PERIOD_SECONDS is not set and the pod cannot be read). Without both it is 30 in
    /// Kubernetes and 10 outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub termination_grace_period_seconds: Option<u32>,

    /// How the set stops.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shutdown: Shutdown,

    /// How a fleet of pods takes a change of this spec.
    #[serde(default)]
    pub rollout: Rollout,

    /// Hooks of the whole set, run in order, as podinit's own user.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hooks: Hooks,

    /// Environment variables for every process; a process's own win. $(VAR) is expanded as in a Pod. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// Files and directories with environment variables for every process; `env` wins over them, later ones over
    /// earlier ones. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFromSource>,

    /// Identity and privileges for every process; each field a process gives itself wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,

    /// Logging for every process; each field a process gives itself wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,

    /// Directories made before anything starts. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub directories: Vec<Directory>,

    /// Processes that run to completion, one after the other, before the others start. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub init_processes: Vec<InitProcess>,

    /// Long-running processes, started in the order of their dependencies and kept running. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub processes: Vec<Process>,

    /// Processes run on a schedule. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub cron_processes: Vec<CronProcess>,

    /// Containers of the same pod (service meshes, database proxies) that are waited for at the start and may be told to
    /// quit at the end. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sidecars: Vec<Sidecar>,
}

/// How the set stops: all of it happens inside the pod's termination grace period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shutdown {
    /// How long Serving processes go on serving, unready, while endpoints are removed, such as 5s. By default 5s in
    /// Kubernetes if there is a Serving process, else 0s. Longer than the set's own grace period is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,

    /// How much of the grace period is left after our last process for sidecars and telemetry, such as 1s. By default 5s
    /// with sidecars, else 1s; never over a sixth of the grace period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<Duration>,
}

/// How a fleet of pods takes a change of this spec (only when the spec comes from the API server).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How many pods may act at the same time on a change that stops runs: a count or a percentage of the pods, rounded
    /// down, at least one. Default 25%.
    #[serde(default = "defaults::quarter")]
    pub max_unavailable: IntOrPercent,

    /// In seconds, 1 to 86400: a pod that is not ready so long after it took a change, or after its last step forward, goes
    /// back to its last good spec. Drain, stops and minReadySeconds are not counted. Default 600.
    #[serde(default = "defaults::number::<600>")]
    #[schemars(range(min = 1, max = 86400))]
    pub progress_deadline_seconds: u32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            max_unavailable: defaults::quarter(),
            progress_deadline_seconds: 600,
        }
    }
}

/// A directory made before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// The directory; parents are made too. A relative path starts where podinit was started. 1 to 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,

    /// Permission bits as an octal string of three or four digits, such as "0775". By default 0755 for a directory that
    /// is made, and as it is for one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// The owner, a number or a name; set only when podinit runs as root. By default the owner is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<IdOrName>,

    /// The group, a number or a name; set only when podinit runs as root. By default the group is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<IdOrName>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
