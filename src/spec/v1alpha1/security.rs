//! Identity, privileges and resource limits of a process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::{IdOrName, RlimitValue};

/// The identity and privileges a process runs with. The other fields of a container's securityContext belong to the
/// container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// The user, a number or a name from /etc/passwd. HOME, USER and LOGNAME follow it. By default podinit's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<IdOrName>,

    /// The group, a number or a name from /etc/group. By default the user's own group, or podinit's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<IdOrName>,

    /// Further groups, numbers or names. At most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub supplemental_groups: Option<Vec<IdOrName>>,

    /// Whether it may gain privileges, by set-user-ID programs for instance. false sets no_new_privs. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
}

/// Resource limits by their names in setrlimit(2). What is absent is inherited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rlimits {
    /// Address space, in bytes (RLIMIT_AS).
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub address_space: Option<Rlimit>,
    /// Core files, in bytes (RLIMIT_CORE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<Rlimit>,
    /// CPU time, in seconds (RLIMIT_CPU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Rlimit>,
    /// Data segment, in bytes (RLIMIT_DATA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Rlimit>,
    /// Size of a written file, in bytes (RLIMIT_FSIZE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsize: Option<Rlimit>,
    /// Locked memory, in bytes (RLIMIT_MEMLOCK).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memlock: Option<Rlimit>,
    /// POSIX message queues, in bytes (RLIMIT_MSGQUEUE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msgqueue: Option<Rlimit>,
    /// Open files, a count (RLIMIT_NOFILE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<Rlimit>,
    /// Processes and threads of the user, a count (RLIMIT_NPROC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nproc: Option<Rlimit>,
    /// Real-time priority (RLIMIT_RTPRIO).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtprio: Option<Rlimit>,
    /// Queued signals, a count (RLIMIT_SIGPENDING).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigpending: Option<Rlimit>,
    /// Stack, in bytes (RLIMIT_STACK).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Rlimit>,
}

/// The two sides of a resource limit. An absent side is inherited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct Rlimit {
    /// The limit in force, a number or unlimited; not over the hard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<RlimitValue>,

    /// The most the process may raise the soft limit to, a number or unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<RlimitValue>,
}
