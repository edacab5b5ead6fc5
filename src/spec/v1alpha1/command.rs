//! What every kind of process shares: what to execute, as whom, with which environment, and how to stop it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::units::{Mode, Signal},
    Logging, Rlimits, SecurityContext,
};

/// Where a process's environment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum EnvPolicy {
    /// podinit's own environment, without its own wiring.
    #[default]
    Inherit,
    /// Only PATH, HOME, USER, LOGNAME, TZ, LANG and what is listed.
    Clean,
}

/// Who gets the stop signal first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SignalTarget {
    /// The session's first process.
    #[default]
    Leader,
    /// Its whole process group.
    Group,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("not" = {"required": ["value", "valueFrom"]}))]
pub struct EnvVar {
    /// The name. 1 to 256 letters, digits, `_`, `.` and `-`, not starting with a digit.
    #[schemars(length(min = 1, max = 256), regex(pattern = super::super::units::ENV_NAME_PATTERN))]
    pub name: String,

    /// The value, a string: numbers and booleans need quotes. $(VAR) is replaced by the value of that variable, $$(VAR)
    /// is a literal $(VAR). By default empty. At most 32768 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub value: Option<String>,

    /// Where the value comes from instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarSource {
    /// A file whose content is the value; one newline at its end is cut.
    pub file: EnvFileSource,
}

/// A file or directory that environment variables are read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvFileSource {
    /// The path. A relative one starts where podinit was started. 1 to 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,

    /// Whether it may be missing. Default false: a missing one fails the start.
    #[serde(default)]
    pub optional: bool,
}

/// Many environment variables at once: exactly one of `file` and `directory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["file"]}, {"required": ["directory"]}]))]
pub struct EnvFromSource {
    /// Put before every name. At most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub prefix: Option<String>,

    /// A file of KEY=VALUE lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<EnvFileSource>,

    /// A directory with one file a variable, such as a mounted Secret: its name is the name, its content the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<EnvFileSource>,
}

/// A view of the fields that processes, init processes and cron processes share.
#[derive(Debug, Clone, Copy)]
#[expect(
    missing_docs,
    reason = "each is the field of the same name; the text is at the field"
)]
pub struct Command<'a> {
    pub name: &'a str,
    pub enabled: bool,
    pub command: &'a [String],
    pub args: &'a [String],
    pub working_dir: Option<&'a str>,
    pub env: &'a [EnvVar],
    pub env_from: &'a [EnvFromSource],
    pub env_policy: EnvPolicy,
    pub security_context: Option<&'a SecurityContext>,
    pub umask: Option<Mode>,
    pub rlimits: Option<&'a Rlimits>,
    pub nice: Option<i32>,
    pub oom_score_adj: Option<i32>,
    pub stop_signal: Signal,
    pub signal_target: SignalTarget,
    pub termination_grace_period_seconds: Option<u32>,
    pub success_exit_codes: &'a [u8],
    pub active_deadline_seconds: Option<u32>,
    pub logging: Option<&'a Logging>,
}

/// Declares a kind of process: the shared fields, then its own. (No `serde(flatten)`: it would lose the positions and
/// the unknown keys in the messages.)
macro_rules! command_struct {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The name, unique over processes, initProcesses, cronProcesses and sidecars: a DNS label of at most 63
            /// lower-case letters, digits and `-`.
            #[schemars(length(min = 1, max = 63), regex(pattern = crate::spec::units::NAME_PATTERN))]
            pub name: String,

            /// Whether it exists at all. Default true. false: as if it were absent, except that `optional` dependents
            /// accept it and PODINIT_PROCESS_<NAME>_ENABLED can enable it.
            #[serde(default = "crate::spec::v1alpha1::defaults::yes")]
            pub enabled: bool,

            /// The program and its first arguments; no shell. A program without a slash is looked for in PATH. $(VAR)
            /// is expanded. 1 to 128 strings of at most 32768 characters.
            #[schemars(length(min = 1, max = 128), inner(length(max = 32768)), extend("x-kubernetes-list-type" = "atomic"))]
            pub command: Vec<String>,

            /// Further arguments, appended to `command`. $(VAR) is expanded. At most 128 strings of at most 32768
            /// characters.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 128), inner(length(max = 32768)), extend("x-kubernetes-list-type" = "atomic"))]
            pub args: Vec<String>,

            /// The directory it starts in. By default the one podinit was started in. At most 4096 characters.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 4096))]
            pub working_dir: Option<String>,

            /// Environment variables. $(VAR) is expanded as in a Pod. At most 256.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
            pub env: Vec<crate::spec::v1alpha1::EnvVar>,

            /// Files and directories with environment variables; `env` wins over them, later ones over earlier ones. At
            /// most 16.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
            pub env_from: Vec<crate::spec::v1alpha1::EnvFromSource>,

            /// Inherit: starts from podinit's own environment, without its own wiring. Clean: only PATH, HOME, USER,
            /// LOGNAME, TZ, LANG and what is listed. Default Inherit.
            #[serde(default)]
            pub env_policy: crate::spec::v1alpha1::EnvPolicy,

            /// The identity and privileges it runs with; each field given here wins over the set's.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub security_context: Option<crate::spec::v1alpha1::SecurityContext>,

            /// The file mode creation mask as an octal string, such as "0027". By default inherited.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub umask: Option<crate::spec::units::Mode>,

            /// Resource limits. What cannot be set is an error at the start.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub rlimits: Option<crate::spec::v1alpha1::Rlimits>,

            /// Scheduling priority, -20 (first) to 19 (last). By default inherited.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = -20, max = 19))]
            pub nice: Option<i32>,

            /// How soon the kernel kills it when memory runs out, -1000 (never) to 1000 (first). By default inherited.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = -1000, max = 1000))]
            pub oom_score_adj: Option<i32>,

            /// The signal that asks it to stop, such as SIGQUIT or SIGRTMIN+3. Default SIGTERM.
            #[serde(default = "crate::spec::v1alpha1::defaults::sigterm")]
            pub stop_signal: crate::spec::units::Signal,

            /// Who gets the stop signal first: the Leader (the session's first process) or its Group. SIGKILL always goes
            /// to all. Default Leader.
            #[serde(default)]
            pub signal_target: crate::spec::v1alpha1::SignalTarget,

            /// How long it may take to stop, in seconds from the stop signal, before SIGKILL, 0 to 86400. By default all
            /// that is left of the set's budget. A preStop hook has a time of its own.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 86400))]
            pub termination_grace_period_seconds: Option<u32>,

            /// The exit codes that count as success, 0 to 255, at most 64. Default [0].
            #[serde(default = "crate::spec::v1alpha1::defaults::zero_code")]
            #[schemars(length(min = 1, max = 64), inner(range(min = 0, max = 255)), extend("x-kubernetes-list-type" = "set"))]
            pub success_exit_codes: Vec<u8>,

            /// In seconds, at least 1: a run older than this is stopped gracefully and counts as a failure. By default
            /// there is no limit.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1, max = 31_536_000))]
            pub active_deadline_seconds: Option<u32>,

            /// What happens to its output; each field given here wins over the set's.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub logging: Option<crate::spec::v1alpha1::Logging>,

            $($own)*
        }

        impl $name {
            /// The fields it shares with the other kinds of process.
            pub fn shared(&self) -> crate::spec::v1alpha1::Command<'_> {
                crate::spec::v1alpha1::Command {
                    name: &self.name,
                    enabled: self.enabled,
                    command: &self.command,
                    args: &self.args,
                    working_dir: self.working_dir.as_deref(),
                    env: &self.env,
                    env_from: &self.env_from,
                    env_policy: self.env_policy,
                    security_context: self.security_context.as_ref(),
                    umask: self.umask,
                    rlimits: self.rlimits.as_ref(),
                    nice: self.nice,
                    oom_score_adj: self.oom_score_adj,
                    stop_signal: self.stop_signal,
                    signal_target: self.signal_target,
                    termination_grace_period_seconds: self.termination_grace_period_seconds,
                    success_exit_codes: &self.success_exit_codes,
                    active_deadline_seconds: self.active_deadline_seconds,
                    logging: self.logging.as_ref(),
                }
            }
        }
    };
}
pub(super) use command_struct;
