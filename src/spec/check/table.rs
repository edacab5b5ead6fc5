//! What every field of a ProcessSet must be. Generated from the types by `UPDATE_EXPECT=1 cargo test --test fresh`.

use super::rules::{Choice, Form, List, Object, Rule, Unique, opt, req};

pub(super) static PROCESS_SET_SPEC: Object = Object { name: "ProcessSetSpec", choice: Choice::Free, fields: &[
    opt("revision", Rule::Text(0, 63, Form::Any)),
    opt("terminationGracePeriodSeconds", Rule::Int(0, 86400)),
    opt("shutdown", Rule::Object(&SHUTDOWN)),
    opt("rollout", Rule::Object(&ROLLOUT)),
    opt("hooks", Rule::Object(&HOOKS)),
    opt("env", Rule::List(&List { item: Rule::Object(&ENV_VAR), min: 0, max: 256, unique: Unique::Key("name") })),
    opt("envFrom", Rule::List(&List { item: Rule::Object(&ENV_FROM_SOURCE), min: 0, max: 16, unique: Unique::No })),
    opt("securityContext", Rule::Object(&SECURITY_CONTEXT)),
    opt("logging", Rule::Object(&LOGGING)),
    opt("directories", Rule::List(&List { item: Rule::Object(&DIRECTORY), min: 0, max: 64, unique: Unique::Key("path") })),
    opt("initProcesses", Rule::List(&List { item: Rule::Object(&INIT_PROCESS), min: 0, max: 32, unique: Unique::Key("name") })),
    opt("processes", Rule::List(&List { item: Rule::Object(&PROCESS), min: 0, max: 64, unique: Unique::Key("name") })),
    opt("cronProcesses", Rule::List(&List { item: Rule::Object(&CRON_PROCESS), min: 0, max: 64, unique: Unique::Key("name") })),
    opt("sidecars", Rule::List(&List { item: Rule::Object(&SIDECAR), min: 0, max: 16, unique: Unique::Key("name") })),
] };
static SHUTDOWN: Object = Object { name: "Shutdown", choice: Choice::Free, fields: &[
    opt("drain", DURATION),
    opt("tail", DURATION),
] };
const DURATION: Rule = Rule::Text(1, 32, Form::Duration);
static ROLLOUT: Object = Object { name: "Rollout", choice: Choice::Free, fields: &[
    opt("maxUnavailable", INT_OR_PERCENT),
    opt("progressDeadlineSeconds", Rule::Int(1, 86400)),
] };
const INT_OR_PERCENT: Rule = Rule::IntOrText(0, 1000, Form::Percent);
static HOOKS: Object = Object { name: "Hooks", choice: Choice::Free, fields: &[
    opt("preStart", Rule::List(&List { item: Rule::Object(&HOOK), min: 0, max: 16, unique: Unique::Key("name") })),
    opt("postStart", Rule::List(&List { item: Rule::Object(&HOOK), min: 0, max: 16, unique: Unique::Key("name") })),
    opt("preStop", Rule::List(&List { item: Rule::Object(&HOOK), min: 0, max: 16, unique: Unique::Key("name") })),
    opt("postStop", Rule::List(&List { item: Rule::Object(&HOOK), min: 0, max: 16, unique: Unique::Key("name") })),
] };
static HOOK: Object = Object { name: "Hook", choice: Choice::ExactlyOne(&["exec", "httpGet", "sleep"]), fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("exec", Rule::Object(&EXEC_ACTION)),
    opt("httpGet", Rule::Object(&HTTP_GET_ACTION)),
    opt("sleep", Rule::Object(&SLEEP_ACTION)),
    opt("timeoutSeconds", Rule::Int(1, 86400)),
    opt("retries", Rule::Int(0, 100)),
    opt("retryDelay", DURATION),
    opt("failurePolicy", FAILURE_POLICY),
] };
static EXEC_ACTION: Object = Object { name: "ExecAction", choice: Choice::Free, fields: &[
    req("command", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 1, max: 128, unique: Unique::No })),
] };
static HTTP_GET_ACTION: Object = Object { name: "HttpGetAction", choice: Choice::Free, fields: &[
    opt("host", Rule::Text(1, 253, Form::Any)),
    opt("path", Rule::Text(0, 4096, Form::Any)),
    opt("port", Rule::Int(1, 65535)),
    opt("scheme", HTTP_SCHEME),
    opt("httpHeaders", Rule::List(&List { item: Rule::Object(&HTTP_HEADER), min: 0, max: 32, unique: Unique::No })),
] };
const HTTP_SCHEME: Rule = Rule::Enum(&["HTTP", "HTTPS"]);
static HTTP_HEADER: Object = Object { name: "HttpHeader", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 256, Form::Any)),
    req("value", Rule::Text(0, 4096, Form::Any)),
] };
static SLEEP_ACTION: Object = Object { name: "SleepAction", choice: Choice::Free, fields: &[
    req("seconds", Rule::Int(0, 86400)),
] };
const FAILURE_POLICY: Rule = Rule::Enum(&["Fail", "Continue"]);
static ENV_VAR: Object = Object { name: "EnvVar", choice: Choice::NotAll(&["value", "valueFrom"]), fields: &[
    req("name", Rule::Text(1, 256, Form::EnvName)),
    opt("value", Rule::Text(0, 32768, Form::Any)),
    opt("valueFrom", Rule::Object(&ENV_VAR_SOURCE)),
] };
static ENV_VAR_SOURCE: Object = Object { name: "EnvVarSource", choice: Choice::Free, fields: &[
    req("file", Rule::Object(&ENV_FILE_SOURCE)),
] };
static ENV_FILE_SOURCE: Object = Object { name: "EnvFileSource", choice: Choice::Free, fields: &[
    req("path", Rule::Text(1, 4096, Form::Any)),
    opt("optional", Rule::Bool),
] };
static ENV_FROM_SOURCE: Object = Object { name: "EnvFromSource", choice: Choice::ExactlyOne(&["file", "directory"]), fields: &[
    opt("prefix", Rule::Text(0, 256, Form::Any)),
    opt("file", Rule::Object(&ENV_FILE_SOURCE)),
    opt("directory", Rule::Object(&ENV_FILE_SOURCE)),
] };
static SECURITY_CONTEXT: Object = Object { name: "SecurityContext", choice: Choice::Free, fields: &[
    opt("runAsUser", ID_OR_NAME),
    opt("runAsGroup", ID_OR_NAME),
    opt("supplementalGroups", Rule::List(&List { item: ID_OR_NAME, min: 0, max: 64, unique: Unique::No })),
    opt("allowPrivilegeEscalation", Rule::Bool),
] };
const ID_OR_NAME: Rule = Rule::IntOrText(0, 2147483647, Form::UserName);
static LOGGING: Object = Object { name: "Logging", choice: Choice::Free, fields: &[
    opt("format", LOG_FORMAT),
    opt("include", Rule::List(&List { item: Rule::Text(1, 1024, Form::Any), min: 0, max: 32, unique: Unique::No })),
    opt("exclude", Rule::List(&List { item: Rule::Text(1, 1024, Form::Any), min: 0, max: 32, unique: Unique::No })),
    opt("redact", Rule::Object(&REDACT)),
    opt("multiline", Rule::Object(&MULTILINE)),
    opt("level", Rule::Object(&LEVEL_DETECTION)),
    opt("files", Rule::List(&List { item: Rule::Object(&LOG_FILE), min: 0, max: 16, unique: Unique::Key("path") })),
    opt("maxLineBytes", QUANTITY),
    opt("onBackpressure", BACKPRESSURE),
    opt("labels", Rule::Map(&Rule::Text(0, 256, Form::Any), 32)),
] };
const LOG_FORMAT: Rule = Rule::Enum(&["Json", "Text", "Raw"]);
static REDACT: Object = Object { name: "Redact", choice: Choice::Free, fields: &[
    opt("builtin", Rule::Bool),
    opt("patterns", Rule::List(&List { item: Rule::Object(&REDACT_PATTERN), min: 0, max: 32, unique: Unique::Key("name") })),
] };
static REDACT_PATTERN: Object = Object { name: "RedactPattern", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    req("regex", Rule::Text(1, 1024, Form::Any)),
    opt("replacement", Rule::Text(0, 256, Form::Any)),
] };
static MULTILINE: Object = Object { name: "Multiline", choice: Choice::Free, fields: &[
    opt("preset", MULTILINE_PRESET),
    opt("firstLine", Rule::Text(1, 1024, Form::Any)),
    opt("maxLines", Rule::Int(1, 100000)),
    opt("maxBytes", QUANTITY),
    opt("flushAfter", DURATION),
] };
const MULTILINE_PRESET: Rule = Rule::Enum(&["Php", "None"]);
const QUANTITY: Rule = Rule::IntOrText(0, 9223372036854775807, Form::Quantity);
static LEVEL_DETECTION: Object = Object { name: "LevelDetection", choice: Choice::Free, fields: &[
    opt("detect", Rule::Bool),
    opt("default", LOG_LEVEL),
    opt("minimum", LOG_LEVEL),
] };
const LOG_LEVEL: Rule = Rule::Enum(&["trace", "debug", "info", "warn", "error", "fatal"]);
static LOG_FILE: Object = Object { name: "LogFile", choice: Choice::Free, fields: &[
    req("path", Rule::Text(1, 4096, Form::Any)),
    opt("fromStart", Rule::Bool),
] };
const BACKPRESSURE: Rule = Rule::Enum(&["Block", "DropOldest"]);
static DIRECTORY: Object = Object { name: "Directory", choice: Choice::Free, fields: &[
    req("path", Rule::Text(1, 4096, Form::Any)),
    opt("mode", MODE),
    opt("owner", ID_OR_NAME),
    opt("group", ID_OR_NAME),
] };
const MODE: Rule = Rule::Text(3, 4, Form::Mode);
static INIT_PROCESS: Object = Object { name: "InitProcess", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("enabled", Rule::Bool),
    req("command", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 1, max: 128, unique: Unique::No })),
    opt("args", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 0, max: 128, unique: Unique::No })),
    opt("workingDir", Rule::Text(1, 4096, Form::Any)),
    opt("env", Rule::List(&List { item: Rule::Object(&ENV_VAR), min: 0, max: 256, unique: Unique::Key("name") })),
    opt("envFrom", Rule::List(&List { item: Rule::Object(&ENV_FROM_SOURCE), min: 0, max: 16, unique: Unique::No })),
    opt("envPolicy", ENV_POLICY),
    opt("securityContext", Rule::Object(&SECURITY_CONTEXT)),
    opt("umask", MODE),
    opt("rlimits", Rule::Object(&RLIMITS)),
    opt("nice", Rule::Int(-20, 19)),
    opt("oomScoreAdj", Rule::Int(-1000, 1000)),
    opt("stopSignal", SIGNAL),
    opt("signalTarget", SIGNAL_TARGET),
    opt("terminationGracePeriodSeconds", Rule::Int(0, 86400)),
    opt("successExitCodes", Rule::List(&List { item: Rule::Int(0, 255), min: 1, max: 64, unique: Unique::Items })),
    opt("activeDeadlineSeconds", Rule::Int(1, 31536000)),
    opt("logging", Rule::Object(&LOGGING)),
    opt("dependsOn", Rule::List(&List { item: Rule::Object(&DEPENDENCY), min: 0, max: 12, unique: Unique::Key("name") })),
    opt("restartPolicy", INIT_RESTART_POLICY),
    opt("restartBackoff", Rule::Object(&RESTART_BACKOFF)),
    opt("restartLimit", Rule::Object(&RESTART_LIMIT)),
    opt("lifecycle", Rule::Object(&LIFECYCLE)),
    opt("scope", RUN_SCOPE),
    opt("runKey", Rule::Text(1, 256, Form::Any)),
    opt("onStop", ON_STOP),
] };
const ENV_POLICY: Rule = Rule::Enum(&["Inherit", "Clean"]);
static RLIMITS: Object = Object { name: "Rlimits", choice: Choice::Free, fields: &[
    opt("as", Rule::Object(&RLIMIT)),
    opt("core", Rule::Object(&RLIMIT)),
    opt("cpu", Rule::Object(&RLIMIT)),
    opt("data", Rule::Object(&RLIMIT)),
    opt("fsize", Rule::Object(&RLIMIT)),
    opt("memlock", Rule::Object(&RLIMIT)),
    opt("msgqueue", Rule::Object(&RLIMIT)),
    opt("nofile", Rule::Object(&RLIMIT)),
    opt("nproc", Rule::Object(&RLIMIT)),
    opt("rtprio", Rule::Object(&RLIMIT)),
    opt("sigpending", Rule::Object(&RLIMIT)),
    opt("stack", Rule::Object(&RLIMIT)),
] };
static RLIMIT: Object = Object { name: "Rlimit", choice: Choice::NotEmpty, fields: &[
    opt("soft", RLIMIT_VALUE),
    opt("hard", RLIMIT_VALUE),
] };
const RLIMIT_VALUE: Rule = Rule::IntOrText(0, 9223372036854775807, Form::Unlimited);
const SIGNAL: Rule = Rule::Text(5, 11, Form::Signal);
const SIGNAL_TARGET: Rule = Rule::Enum(&["Leader", "Group"]);
static DEPENDENCY: Object = Object { name: "Dependency", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("condition", DEPENDENCY_CONDITION),
    opt("optional", Rule::Bool),
] };
const DEPENDENCY_CONDITION: Rule = Rule::Enum(&["Started", "Ready", "Completed", "Exited"]);
const INIT_RESTART_POLICY: Rule = Rule::Enum(&["OnFailure", "Never"]);
static RESTART_BACKOFF: Object = Object { name: "RestartBackoff", choice: Choice::Free, fields: &[
    opt("initial", DURATION),
    opt("factor", Rule::Number(1, 100)),
    opt("max", DURATION),
    opt("jitter", Rule::Number(0, 1)),
    opt("resetAfter", DURATION),
] };
static RESTART_LIMIT: Object = Object { name: "RestartLimit", choice: Choice::Free, fields: &[
    req("count", Rule::Int(0, 1000)),
    req("window", DURATION),
] };
static LIFECYCLE: Object = Object { name: "Lifecycle", choice: Choice::Free, fields: &[
    opt("preStart", Rule::Object(&LIFECYCLE_HANDLER)),
    opt("postStart", Rule::Object(&LIFECYCLE_HANDLER)),
    opt("preStop", Rule::Object(&LIFECYCLE_HANDLER)),
    opt("postStop", Rule::Object(&LIFECYCLE_HANDLER)),
] };
static LIFECYCLE_HANDLER: Object = Object { name: "LifecycleHandler", choice: Choice::ExactlyOne(&["exec", "httpGet", "sleep"]), fields: &[
    opt("exec", Rule::Object(&EXEC_ACTION)),
    opt("httpGet", Rule::Object(&HTTP_GET_ACTION)),
    opt("sleep", Rule::Object(&SLEEP_ACTION)),
    opt("timeoutSeconds", Rule::Int(1, 86400)),
    opt("failurePolicy", FAILURE_POLICY),
] };
const RUN_SCOPE: Rule = Rule::Enum(&["Pod", "Set"]);
const ON_STOP: Rule = Rule::Enum(&["Finish", "Signal"]);
static PROCESS: Object = Object { name: "Process", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("enabled", Rule::Bool),
    req("command", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 1, max: 128, unique: Unique::No })),
    opt("args", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 0, max: 128, unique: Unique::No })),
    opt("workingDir", Rule::Text(1, 4096, Form::Any)),
    opt("env", Rule::List(&List { item: Rule::Object(&ENV_VAR), min: 0, max: 256, unique: Unique::Key("name") })),
    opt("envFrom", Rule::List(&List { item: Rule::Object(&ENV_FROM_SOURCE), min: 0, max: 16, unique: Unique::No })),
    opt("envPolicy", ENV_POLICY),
    opt("securityContext", Rule::Object(&SECURITY_CONTEXT)),
    opt("umask", MODE),
    opt("rlimits", Rule::Object(&RLIMITS)),
    opt("nice", Rule::Int(-20, 19)),
    opt("oomScoreAdj", Rule::Int(-1000, 1000)),
    opt("stopSignal", SIGNAL),
    opt("signalTarget", SIGNAL_TARGET),
    opt("terminationGracePeriodSeconds", Rule::Int(0, 86400)),
    opt("successExitCodes", Rule::List(&List { item: Rule::Int(0, 255), min: 1, max: 64, unique: Unique::Items })),
    opt("activeDeadlineSeconds", Rule::Int(1, 31536000)),
    opt("logging", Rule::Object(&LOGGING)),
    opt("dependsOn", Rule::List(&List { item: Rule::Object(&DEPENDENCY), min: 0, max: 12, unique: Unique::Key("name") })),
    opt("priority", Rule::Int(-1000, 1000)),
    opt("replicas", Rule::Int(0, 1000)),
    opt("maxReplicas", Rule::Int(0, 1000)),
    opt("portBase", Rule::Int(1, 65535)),
    opt("startupProbe", Rule::Object(&PROBE)),
    opt("livenessProbe", Rule::Object(&PROBE)),
    opt("readinessProbe", Rule::Object(&PROBE)),
    opt("minReadySeconds", Rule::Int(0, 86400)),
    opt("restartPolicy", RESTART_POLICY),
    opt("restartBackoff", Rule::Object(&RESTART_BACKOFF)),
    opt("restartLimit", Rule::Object(&RESTART_LIMIT)),
    opt("onFailure", ON_FAILURE),
    opt("onSuccess", ON_SUCCESS),
    opt("lifecycle", Rule::Object(&LIFECYCLE)),
    opt("traffic", TRAFFIC),
    opt("updateStrategy", Rule::Object(&UPDATE_STRATEGY)),
    opt("maxMemory", QUANTITY),
    opt("phpFpm", Rule::Object(&PHP_FPM)),
] };
static PROBE: Object = Object { name: "Probe", choice: Choice::ExactlyOne(&["exec", "httpGet", "tcpSocket", "grpc", "fastCgi", "notify"]), fields: &[
    opt("exec", Rule::Object(&EXEC_ACTION)),
    opt("httpGet", Rule::Object(&HTTP_GET_ACTION)),
    opt("tcpSocket", Rule::Object(&TCP_SOCKET_ACTION)),
    opt("grpc", Rule::Object(&GRPC_ACTION)),
    opt("fastCgi", Rule::Object(&FAST_CGI_ACTION)),
    opt("notify", Rule::Object(&NOTIFY_ACTION)),
    opt("initialDelaySeconds", Rule::Int(0, 86400)),
    opt("timeoutSeconds", Rule::Int(1, 3600)),
    opt("periodSeconds", Rule::Int(1, 86400)),
    opt("successThreshold", Rule::Int(1, 1000)),
    opt("failureThreshold", Rule::Int(1, 100000)),
    opt("terminationGracePeriodSeconds", Rule::Int(1, 86400)),
] };
static TCP_SOCKET_ACTION: Object = Object { name: "TcpSocketAction", choice: Choice::Free, fields: &[
    opt("host", Rule::Text(1, 253, Form::Any)),
    opt("port", Rule::Int(1, 65535)),
] };
static GRPC_ACTION: Object = Object { name: "GrpcAction", choice: Choice::Free, fields: &[
    opt("port", Rule::Int(1, 65535)),
    opt("service", Rule::Text(0, 256, Form::Any)),
] };
static FAST_CGI_ACTION: Object = Object { name: "FastCgiAction", choice: Choice::Free, fields: &[
    req("address", Rule::Text(1, 253, Form::Any)),
    opt("path", Rule::Text(1, 4096, Form::Any)),
    opt("query", Rule::Text(0, 4096, Form::Any)),
] };
static NOTIFY_ACTION: Object = Object { name: "NotifyAction", choice: Choice::Free, fields: &[
] };
const RESTART_POLICY: Rule = Rule::Enum(&["Always", "OnFailure", "Never"]);
const ON_FAILURE: Rule = Rule::Enum(&["ExitSet", "MarkUnready", "Ignore"]);
const ON_SUCCESS: Rule = Rule::Enum(&["ExitSet", "Ignore"]);
const TRAFFIC: Rule = Rule::Enum(&["Serving", "Background"]);
static UPDATE_STRATEGY: Object = Object { name: "UpdateStrategy", choice: Choice::Free, fields: &[
    opt("type", UPDATE_TYPE),
    opt("maxUnavailable", INT_OR_PERCENT),
    opt("maxSurge", INT_OR_PERCENT),
] };
const UPDATE_TYPE: Rule = Rule::Enum(&["RollingUpdate", "Recreate"]);
static PHP_FPM: Object = Object { name: "PhpFpm", choice: Choice::Free, fields: &[
    opt("profile", PHP_FPM_PROFILE),
    opt("output", Rule::Text(1, 4096, Form::AbsolutePath)),
] };
const PHP_FPM_PROFILE: Rule = Rule::Enum(&["Dev", "Light", "Medium", "Heavy", "Bursty"]);
static CRON_PROCESS: Object = Object { name: "CronProcess", choice: Choice::Free, fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("enabled", Rule::Bool),
    req("command", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 1, max: 128, unique: Unique::No })),
    opt("args", Rule::List(&List { item: Rule::Text(0, 32768, Form::Any), min: 0, max: 128, unique: Unique::No })),
    opt("workingDir", Rule::Text(1, 4096, Form::Any)),
    opt("env", Rule::List(&List { item: Rule::Object(&ENV_VAR), min: 0, max: 256, unique: Unique::Key("name") })),
    opt("envFrom", Rule::List(&List { item: Rule::Object(&ENV_FROM_SOURCE), min: 0, max: 16, unique: Unique::No })),
    opt("envPolicy", ENV_POLICY),
    opt("securityContext", Rule::Object(&SECURITY_CONTEXT)),
    opt("umask", MODE),
    opt("rlimits", Rule::Object(&RLIMITS)),
    opt("nice", Rule::Int(-20, 19)),
    opt("oomScoreAdj", Rule::Int(-1000, 1000)),
    opt("stopSignal", SIGNAL),
    opt("signalTarget", SIGNAL_TARGET),
    opt("terminationGracePeriodSeconds", Rule::Int(0, 86400)),
    opt("successExitCodes", Rule::List(&List { item: Rule::Int(0, 255), min: 1, max: 64, unique: Unique::Items })),
    opt("activeDeadlineSeconds", Rule::Int(1, 31536000)),
    opt("logging", Rule::Object(&LOGGING)),
    req("schedule", Rule::Text(1, 256, Form::Any)),
    opt("seconds", Rule::Bool),
    opt("timeZone", Rule::Text(1, 64, Form::Any)),
    opt("concurrencyPolicy", CONCURRENCY_POLICY),
    opt("maxConcurrent", Rule::Int(1, 1000)),
    opt("startingDeadlineSeconds", Rule::Int(1, 31536000)),
    opt("suspend", Rule::Bool),
    opt("backoffLimit", Rule::Int(0, 1000)),
    opt("successfulRunsHistoryLimit", Rule::Int(0, 100)),
    opt("failedRunsHistoryLimit", Rule::Int(0, 100)),
    opt("scope", RUN_SCOPE),
    opt("onStop", ON_STOP),
    opt("heartbeat", Rule::Object(&HEARTBEAT)),
] };
const CONCURRENCY_POLICY: Rule = Rule::Enum(&["Allow", "Forbid", "Replace"]);
static HEARTBEAT: Object = Object { name: "Heartbeat", choice: Choice::AtLeastOne(&["startUrl", "successUrl", "failureUrl"]), fields: &[
    opt("startUrl", Rule::Text(0, 2048, Form::Url)),
    opt("successUrl", Rule::Text(0, 2048, Form::Url)),
    opt("failureUrl", Rule::Text(0, 2048, Form::Url)),
    opt("method", HEARTBEAT_METHOD),
    opt("headers", Rule::List(&List { item: Rule::Object(&HTTP_HEADER), min: 0, max: 32, unique: Unique::No })),
    opt("timeoutSeconds", Rule::Int(1, 3600)),
    opt("retries", Rule::Int(0, 10)),
] };
const HEARTBEAT_METHOD: Rule = Rule::Enum(&["GET", "HEAD", "POST", "PUT"]);
static SIDECAR: Object = Object { name: "Sidecar", choice: Choice::AtLeastOne(&["preset", "startupProbe", "quitHttpPost"]), fields: &[
    req("name", Rule::Text(1, 63, Form::Name)),
    opt("preset", SIDECAR_PRESET),
    opt("startupProbe", Rule::Object(&PROBE)),
    opt("onTimeout", ON_TIMEOUT),
    opt("quit", QUIT_POLICY),
    opt("quitHttpPost", Rule::Object(&QUIT_HTTP_POST)),
] };
const SIDECAR_PRESET: Rule = Rule::Enum(&["Istio", "Linkerd", "CloudSqlProxy"]);
const ON_TIMEOUT: Rule = Rule::Enum(&["Fail", "Start"]);
const QUIT_POLICY: Rule = Rule::Enum(&["Never", "OnCompletion"]);
static QUIT_HTTP_POST: Object = Object { name: "QuitHttpPost", choice: Choice::Free, fields: &[
    req("port", Rule::Int(1, 65535)),
    req("path", Rule::Text(1, 4096, Form::Any)),
] };
