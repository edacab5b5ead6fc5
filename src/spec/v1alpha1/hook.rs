//! Hooks: a command, an HTTP call or a sleep at a point of the life of the set or of an instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::units::Duration, ExecAction, HttpGetAction, defaults};

/// Hooks of the whole set. Each list runs in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Run once the sidecars are ready, before the init processes. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre_start: Vec<Hook>,

    /// Run once all processes have started. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post_start: Vec<Hook>,

    /// Run at the beginning of the stop, before any process is stopped. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre_stop: Vec<Hook>,

    /// Run once all processes are gone. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post_stop: Vec<Hook>,
}

/// A hook of the set: exactly one of `exec`, `httpGet` and `sleep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["exec"]}, {"required": ["httpGet"]}, {"required": ["sleep"]}]))]
pub struct Hook {
    /// The name, unique in its list: a DNS label of at most 63 lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = crate::spec::units::NAME_PATTERN))]
    pub name: String,

    /// Runs a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,

    /// Makes an HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,

    /// Waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepAction>,

    /// Seconds after which an attempt fails, 1 to 86400. By default 30 for preStart and postStart, 5 for preStop and
    /// postStop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: Option<u32>,

    /// How many more attempts follow a failed one, 0 to 100. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,

    /// How long to wait before each of them. Default 1s.
    #[serde(default = "defaults::seconds::<1>")]
    pub retry_delay: Duration,

    /// What a failure does. Fail: it fails the start (exit code 76), or ends the hooks of a stop. Continue: the next step
    /// follows. By default Fail for preStart and postStart, Continue for preStop and postStop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
}

/// Hooks of each instance, run with the process's user, environment and directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Run before each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_start: Option<LifecycleHandler>,

    /// Run once a run has started; readiness waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_start: Option<LifecycleHandler>,

    /// Run before the stop signal. Its time comes before terminationGracePeriodSeconds (in a Pod it is part of it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<LifecycleHandler>,

    /// Run once a run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_stop: Option<LifecycleHandler>,
}

/// A hook of an instance: exactly one of `exec`, `httpGet` and `sleep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["exec"]}, {"required": ["httpGet"]}, {"required": ["sleep"]}]))]
pub struct LifecycleHandler {
    /// Runs a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,

    /// Makes an HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,

    /// Waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepAction>,

    /// Seconds after which it fails, 1 to 86400. By default 30 for preStart and postStart, 5 for preStop and postStop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: Option<u32>,

    /// What a failure does. Fail: the run counts as failed; of a stop hook it is reported only. Continue: nothing. By
    /// default Fail for preStart and postStart, Continue for preStop and postStop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SleepAction {
    /// How long, in seconds, 0 to 86400.
    #[schemars(range(min = 0, max = 86400))]
    pub seconds: u32,
}

/// What a failed hook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// Fails what it belongs to.
    Fail,
    /// Nothing.
    Continue,
}
