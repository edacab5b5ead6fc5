//! `ProcessSet.status`: what the holder of the set's Lease folds from the reports of all pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What all pods of the set report together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessSetStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pods by state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodCounts>,

    /// How far the current generation is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// Accepted, Progressing, Ready and Degraded. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Pods by state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// All pods that run this set.
    #[serde(default)]
    pub total: u32,

    /// Those that run the current generation.
    #[serde(default)]
    pub updated: u32,

    /// Those whose processes are ready.
    #[serde(default)]
    pub ready: u32,

    /// Those with a process that failed for good.
    #[serde(default)]
    pub degraded: u32,

    /// Ready of total, such as 3/3, for kubectl.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub summary: String,
}

/// How far the current generation is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation being rolled out.
    pub generation: i64,

    /// The share of the pods that may act on it, in billionths, by the hash of their uid.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub admitted_parts_per_billion: u32,

    /// Pods, by uid, that may act on it whatever their hash: those that are not ready have nothing to lose, and go first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 64)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub admitted_pods: Vec<String>,
}

/// One aspect of the state, as Kubernetes has it everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect, such as Ready.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub kind: String,

    /// True, False or Unknown.
    pub status: ConditionStatus,

    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// When the status last changed, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,

    /// Why, as one word. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,

    /// Why, as a sentence. At most 32768 characters.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Not known.
    Unknown,
}
