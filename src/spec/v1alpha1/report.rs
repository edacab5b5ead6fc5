//! `ProcessReport`: what one podinit observed. One object per pod and container, owned by the Pod.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

/// A ProcessReport has no spec: everything in it is observed.
#[derive(
    CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "podinit.dev",
    version = "v1alpha1",
    kind = "ProcessReport",
    plural = "processreports",
    shortname = "prep",
    category = "podinit",
    namespaced,
    no_spec,
    status = "ProcessReportStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "A ProcessReport says what the podinit of one container observed. It is named <pod>.<container>, owned by the Pod, and written by podinit only.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.ready",
        description = "Ready instances of all desired ones"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "What the set is doing"
    ),
    printcolumn(
        name = "Restarts",
        type_ = "integer",
        json_path = ".status.restarts",
        description = "Restarts of all processes"
    ),
    printcolumn(
        name = "Set",
        type_ = "string",
        json_path = ".status.processSet",
        description = "The ProcessSet it runs"
    ),
    printcolumn(
        name = "Pod",
        type_ = "string",
        json_path = ".status.pod",
        priority = "1"
    ),
    printcolumn(
        name = "Container",
        type_ = "string",
        json_path = ".status.container",
        priority = "1"
    ),
    printcolumn(
        name = "Generation",
        type_ = "integer",
        json_path = ".status.observedGeneration",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
pub struct ProcessReportSpec {}

/// What one podinit observed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessReportStatus {
    /// The pod.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub pod: String,

    /// The container (PODINIT_CONTAINER, by default main).
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub container: String,

    /// The ProcessSet it runs.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub process_set: String,

    /// The generation of the ProcessSet it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The uid of that ProcessSet: one that is deleted and made again begins with the same generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub observed_uid: Option<String>,

    /// The uid of the ProcessSet that `Accepted` is False about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub refused_uid: Option<String>,

    /// A generation that this pod takes late, because it had refused it or began with another spec: it acts on it once it is
    /// named in the set's `rollout.admittedPods`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_for: Option<i64>,

    /// What the set is doing: Starting, Running, Degraded, Draining, Stopping or Stopped.
    #[serde(default)]
    pub phase: Phase,

    /// Ready instances of all desired ones, such as 4/5, for kubectl.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub ready: String,

    /// Restarts of all processes since podinit started.
    #[serde(default)]
    pub restarts: u32,

    /// The processes and init processes. At most 96.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 96), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub processes: Vec<ProcessState>,

    /// The cron processes. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub cron: Vec<CronReport>,

    /// Accepted, Ready and Degraded. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What a set is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not all processes have started yet.
    #[default]
    Starting,
    /// All processes run.
    Running,
    /// A process failed for good.
    Degraded,
    /// A stop was asked for; Serving processes go on serving.
    Draining,
    /// Processes are being stopped.
    Stopping,
    /// All processes are gone.
    Stopped,
}

/// The state of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessState {
    /// The name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Desired instances.
    #[serde(default)]
    pub replicas: u32,

    /// Ready instances.
    #[serde(default)]
    pub ready: u32,

    /// Restarts of all instances since podinit started.
    #[serde(default)]
    pub restarts: u32,

    /// The last exit of any instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,

    /// Why it is not ready, in words. At most 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// How a run ended: by a code or by a signal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    /// The exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub code: Option<i32>,

    /// The signal that ended it, such as SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub signal: Option<String>,

    /// When, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,

    /// Why podinit ended it, as one word, such as LivenessProbe; absent when it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
}

/// The state of a cron process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronReport {
    /// The name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Runs going on.
    #[serde(default)]
    pub active: u32,

    /// When it last was due, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_schedule_time: Option<String>,

    /// When a run last succeeded, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_successful_time: Option<String>,

    /// When it is due next, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub next_schedule_time: Option<String>,

    /// The last exit of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,

    /// What is wrong with it, in words. At most 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
