//! Containers of the same pod that the set waits for and may tell to quit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Probe;

/// A container of the same pod that the set waits for at the start and may tell to quit at the end. Needs a preset, a
/// startupProbe or a quitHttpPost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["preset"]}, {"required": ["startupProbe"]}, {"required": ["quitHttpPost"]}]))]
pub struct Sidecar {
    /// The name, unique over processes, initProcesses, cronProcesses and sidecars: a DNS label of at most 63 lower-case
    /// letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = crate::spec::units::NAME_PATTERN))]
    pub name: String,

    /// Knows how to ask whether it is ready and how to tell it to quit: Istio, Linkerd or CloudSqlProxy. By default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<SidecarPreset>,

    /// Says when it is ready; failureThreshold times periodSeconds is the longest wait. By default the preset's, every
    /// second for a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,

    /// What happens when it is not ready in time. Fail: podinit ends with code 69. Start: the set starts anyway. Default
    /// Fail.
    #[serde(default)]
    pub on_timeout: OnTimeout,

    /// Never: it is left alone. OnCompletion: it is told to quit when the set ended by itself, not on a requested stop.
    /// Default Never.
    #[serde(default)]
    pub quit: QuitPolicy,

    /// How it is told to quit; 200 to 299 confirms it. By default the preset's way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quit_http_post: Option<QuitHttpPost>,
}

/// A kind of sidecar that podinit knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SidecarPreset {
    /// istio-proxy.
    Istio,
    /// linkerd-proxy, with its shutdown endpoint enabled.
    Linkerd,
    /// The Cloud SQL or AlloyDB Auth Proxy, with --health-check and --quitquitquit.
    CloudSqlProxy,
}

/// What happens when a sidecar is not ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnTimeout {
    /// podinit ends with code 69.
    #[default]
    Fail,
    /// The set starts anyway.
    Start,
}

/// When a sidecar is told to quit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum QuitPolicy {
    /// Never.
    #[default]
    Never,
    /// When the set ended by itself.
    OnCompletion,
}

/// An HTTP POST to 127.0.0.1 that tells a sidecar to quit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuitHttpPost {
    /// The port, a number from 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// The path, such as /quitquitquit. At most 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
}
