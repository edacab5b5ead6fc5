//! Processes run on a schedule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpHeader, command::command_struct, defaults};

command_struct! {
/// A process run on a schedule. A failed run is not repeated unless backoffLimit says so.
pub struct CronProcess {
    /// When it runs, in local time of timeZone: five fields (minute, hour, day of month, month, day of week), six with
    /// `seconds`, or @hourly, @daily, @weekly, @monthly, @yearly. 1 to 256 characters.
    #[schemars(length(min = 1, max = 256))]
    pub schedule: String,

    /// Whether the schedule has a first field of seconds. Default false.
    #[serde(default)]
    pub seconds: bool,

    /// The IANA time zone of the schedule, such as Europe/Copenhagen. Default UTC. At most 64 characters.
    #[serde(default = "defaults::utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// What happens when it is due while a run goes on. Allow: both run. Forbid: the new one is skipped. Replace: the old
    /// one is stopped. Default Allow.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,

    /// How many runs may go on at a time, 1 to 1000; more are skipped. Default 10.
    #[serde(default = "defaults::number::<10>")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: u32,

    /// How late a run may start, in seconds, at least 1; later ones are skipped. By default there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub starting_deadline_seconds: Option<u32>,

    /// Whether no further run starts. Default false.
    #[serde(default)]
    pub suspend: bool,

    /// How many more attempts follow a failed one, 0 to 1000. Default 0 (a CronJob has 6, which would run a list of tasks
    /// twice).
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub backoff_limit: u32,

    /// How many successful runs are remembered, 0 to 100. Default 3.
    #[serde(default = "defaults::number::<3>")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_runs_history_limit: u32,

    /// How many failed runs are remembered, 0 to 100. Default 1.
    #[serde(default = "defaults::number::<1>")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_runs_history_limit: u32,

    /// Pod: every pod runs it. Set: at most one pod of the set runs each tick. Default Pod.
    #[serde(default)]
    pub scope: Scope,

    /// What a stop does to a run. Finish: it is left to end, and signalled 2 s before the set's last instant. Signal: it
    /// is signalled at once. Default Finish.
    #[serde(default)]
    pub on_stop: OnStop,

    /// URLs of a watchdog service told about each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}
}

/// What happens when a cron process is due while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Both run, up to maxConcurrent.
    #[default]
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The old one is stopped.
    Replace,
}

/// Where something runs once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RunScope")]
pub enum Scope {
    /// In every pod.
    #[default]
    Pod,
    /// Once over all pods of the set.
    Set,
}

/// What a stop of the set does to a run of a cron or init process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnStop {
    /// It is left to end, and signalled 2 s before the set's last instant.
    #[default]
    Finish,
    /// It is signalled at once.
    Signal,
}

/// URLs of a watchdog service (healthchecks.io and the like) told about each run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["startUrl"]}, {"required": ["successUrl"]}, {"required": ["failureUrl"]}]))]
pub struct Heartbeat {
    /// Called when a run starts. At most 2048 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = crate::spec::units::URL_PATTERN))]
    pub start_url: Option<String>,

    /// Called when a run succeeded. At most 2048 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = crate::spec::units::URL_PATTERN))]
    pub success_url: Option<String>,

    /// Called when a run failed for good. At most 2048 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = crate::spec::units::URL_PATTERN))]
    pub failure_url: Option<String>,

    /// GET, HEAD, POST or PUT. Default POST.
    #[serde(default)]
    pub method: HeartbeatMethod,

    /// Headers to send. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub headers: Vec<HttpHeader>,

    /// Seconds after which a call fails, 1 to 3600. Default 30.
    #[serde(default = "defaults::number::<30>")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,

    /// How many more attempts follow a failed call, 0 to 10. Default 3.
    #[serde(default = "defaults::number::<3>")]
    #[schemars(range(min = 0, max = 10))]
    pub retries: u32,
}

/// The HTTP method of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the method of that name")]
pub enum HeartbeatMethod {
    Get,
    Head,
    #[default]
    Post,
    Put,
}
