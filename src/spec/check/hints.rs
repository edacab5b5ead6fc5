//! What people write who come from somewhere else, and what to write here.

use super::rules::{Field, Object, Rule};
use crate::spec::node::{Kind, Node};

/// Help for a key that its mapping does not know, where the nearest name would say less.
pub(super) fn unknown_key(object: &Object, key: &str) -> Option<String> {
    let command = matches!(object.name, "Process" | "InitProcess" | "CronProcess");
    let found = match object.name {
        "Process" => PROCESS.iter().find(|(known, _)| *known == key),
        "InitProcess" => INIT.iter().find(|(known, _)| *known == key),
        "CronProcess" => CRON.iter().find(|(known, _)| *known == key),
        "ProcessSetSpec" => SPEC.iter().find(|(known, _)| *known == key),
        "Probe" => PROBE.iter().find(|(known, _)| *known == key),
        "EnvVarSource" | "EnvFromSource" => ENV.iter().find(|(known, _)| *known == key),
        "SecurityContext" if CONTAINER_SECURITY.contains(&key) => {
            return Some(format!(
                "`{key}` belongs to the container: set it in the securityContext of the Pod spec"
            ));
        }
        _ => None,
    };
    if let Some((_, help)) = found {
        return Some((*help).to_owned());
    }
    if command && CONTAINER.contains(&key) {
        return Some(format!(
            "`{key}` belongs to the container: set it in the Pod spec"
        ));
    }
    let everywhere = COMMAND.iter().find(|(known, _)| command && *known == key);
    everywhere.map(|(_, help)| (*help).to_owned())
}

/// Help for a value of the wrong type, where its own type says less.
pub(super) fn wrong_type(of: (&str, &str), node: &Node, rule: &Rule) -> Option<String> {
    let text = node.text();
    let example = |text: &str| {
        format!(
            "write [{}]",
            text.split_whitespace().collect::<Vec<_>>().join(", ")
        )
    };
    match (of, rule, node.kind()) {
        ((_, "command" | "args"), Rule::List(_), Kind::String) => {
            let argv = example(text?);
            Some(format!(
                "{argv}; there is no shell, for one write [sh, -c, {:?}]",
                text?
            ))
        }
        ((_, "dependsOn"), Rule::Object(_), Kind::String) => {
            Some(format!("write {{name: {}}}", text?))
        }
        ((_, "env"), Rule::List(_), Kind::Mapping) => {
            let first = node.entries().first()?;
            let value = first.node.text()?;
            Some(format!(
                "write a list: - {{name: {}, value: {value:?}}}",
                first.key
            ))
        }
        (_, Rule::List(list), Kind::Mapping) if matches!(list.item, Rule::Object(_)) => {
            Some("write a list: each item starts with `- `".to_owned())
        }
        ((_, "exec"), Rule::Object(_), Kind::Sequence | Kind::String) => {
            Some("write {command: [..]}".to_owned())
        }
        (("HttpGetAction" | "TcpSocketAction" | "GrpcAction", "port"), _, Kind::String)
            if text?.bytes().any(|b| !b.is_ascii_digit()) =>
        {
            Some("named ports belong to the container: write the number".to_owned())
        }
        ((_, "successExitCodes"), Rule::List(_), Kind::Int(_)) => {
            Some(format!("write [{}]", text?))
        }
        _ => None,
    }
}

/// Help for a key that is missing.
pub(super) fn missing_key(object: &Object, field: &Field) -> Option<String> {
    match (object.name, field.key) {
        (_, "command") => Some("for instance command: [php-fpm, -F]".to_owned()),
        ("CronProcess", "schedule") => Some(r#"for instance schedule: "*/5 * * * *""#.to_owned()),
        _ => None,
    }
}

type Hints = &'static [(&'static str, &'static str)];

const COMMAND: Hints = &[
    ("user", "write securityContext: {runAsUser: ..}"),
    ("group", "write securityContext: {runAsGroup: ..}"),
    ("runAsUser", "it belongs under securityContext"),
    ("runAsGroup", "it belongs under securityContext"),
    ("cwd", "did you mean `workingDir`?"),
    ("directory", "did you mean `workingDir`?"),
    ("workdir", "did you mean `workingDir`?"),
    (
        "environment",
        "did you mean `env`? It is a list of {name, value}",
    ),
    ("envFile", "write envFrom: [{file: {path: ..}}]"),
    ("env_file", "write envFrom: [{file: {path: ..}}]"),
    ("cmd", "did you mean `command`?"),
    ("exec", "did you mean `command`?"),
    ("entrypoint", "did you mean `command`?"),
    ("autostart", "did you mean `enabled`?"),
    ("timeout", "did you mean `activeDeadlineSeconds`?"),
    (
        "stopTimeout",
        "did you mean `terminationGracePeriodSeconds`?",
    ),
    (
        "stopwaitsecs",
        "did you mean `terminationGracePeriodSeconds`?",
    ),
    (
        "gracePeriod",
        "did you mean `terminationGracePeriodSeconds`?",
    ),
    ("limits", "did you mean `rlimits`?"),
    ("ulimits", "did you mean `rlimits`?"),
];

const PROCESS: Hints = &[
    ("schedule", "scheduled processes belong in cronProcesses"),
    ("timeZone", "scheduled processes belong in cronProcesses"),
    ("scope", "only initProcesses and cronProcesses have a scope"),
    ("restart", "did you mean `restartPolicy`?"),
    ("autorestart", "did you mean `restartPolicy`?"),
    ("numprocs", "did you mean `replicas`?"),
    ("instances", "did you mean `replicas`?"),
    ("scale", "did you mean `replicas`?"),
    ("maxScale", "did you mean `maxReplicas`?"),
    (
        "healthCheck",
        "write readinessProbe, livenessProbe or startupProbe, as in a Pod",
    ),
    (
        "healthcheck",
        "write readinessProbe, livenessProbe or startupProbe, as in a Pod",
    ),
    ("hooks", "hooks of one process belong under lifecycle"),
    ("preStart", "it belongs under lifecycle"),
    ("postStart", "it belongs under lifecycle"),
    ("preStop", "it belongs under lifecycle"),
    ("postStop", "it belongs under lifecycle"),
    ("after", "did you mean `dependsOn`?"),
    ("requires", "did you mean `dependsOn`?"),
    (
        "port",
        "did you mean `portBase`? A probe has a port of its own",
    ),
    (
        "type",
        "did you mean `traffic`? What runs once belongs in initProcesses, what is scheduled in cronProcesses",
    ),
];

const INIT: Hints = &[
    ("replicas", "an init process runs once: it has no replicas"),
    (
        "startupProbe",
        "an init process runs to completion: it has no probes",
    ),
    (
        "livenessProbe",
        "an init process runs to completion: it has no probes",
    ),
    (
        "readinessProbe",
        "an init process runs to completion: it has no probes",
    ),
    (
        "updateStrategy",
        "an init process does not run again after a change",
    ),
    ("schedule", "scheduled processes belong in cronProcesses"),
];

const CRON: Hints = &[
    ("cron", "did you mean `schedule`?"),
    (
        "replicas",
        "a cron process has no replicas; maxConcurrent bounds its runs",
    ),
    ("restartPolicy", "a failed run is repeated by backoffLimit"),
    (
        "dependsOn",
        "a cron process runs on its schedule only: it has no dependencies",
    ),
    ("timezone", "did you mean `timeZone`?"),
    (
        "successfulJobsHistoryLimit",
        "did you mean `successfulRunsHistoryLimit`?",
    ),
    (
        "failedJobsHistoryLimit",
        "did you mean `failedRunsHistoryLimit`?",
    ),
    (
        "jobTemplate",
        "there is no Job here: put command beside schedule",
    ),
];

const SPEC: Hints = &[
    ("containers", "did you mean `processes`?"),
    ("services", "did you mean `processes`?"),
    ("programs", "did you mean `processes`?"),
    ("initContainers", "did you mean `initProcesses`?"),
    ("cron", "did you mean `cronProcesses`?"),
    ("cronJobs", "did you mean `cronProcesses`?"),
    (
        "replicas",
        "a ProcessSet is run by pods: set replicas of the Deployment, or of one process",
    ),
    (
        "template",
        "a ProcessSet makes no pods: put its fields beside `spec`",
    ),
];

const PROBE: Hints = &[
    ("path", "it belongs under httpGet"),
    ("port", "it belongs under httpGet, tcpSocket or grpc"),
    ("command", "it belongs under exec"),
    ("http", "did you mean `httpGet`?"),
    ("tcp", "did you mean `tcpSocket`?"),
    ("interval", "did you mean `periodSeconds`?"),
    ("timeout", "did you mean `timeoutSeconds`?"),
    ("retries", "did you mean `failureThreshold`?"),
];

const ENV: Hints = &[
    ("configMapRef", MOUNT),
    ("secretRef", MOUNT),
    ("configMapKeyRef", MOUNT),
    ("secretKeyRef", MOUNT),
    (
        "fieldRef",
        "set it in the env of the container: processes inherit it",
    ),
    (
        "resourceFieldRef",
        "set it in the env of the container: processes inherit it",
    ),
];
const MOUNT: &str = "set it in the env of the container, which processes inherit, or mount it and name the file or directory";

const CONTAINER: [&str; 16] = [
    "image",
    "imagePullPolicy",
    "ports",
    "resources",
    "resizePolicy",
    "volumeMounts",
    "volumeDevices",
    "volumes",
    "stdin",
    "stdinOnce",
    "tty",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "restartPolicyRules",
    "hostAliases",
    "serviceAccountName",
];

const CONTAINER_SECURITY: [&str; 14] = [
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "seLinuxOptions",
    "seccompProfile",
    "appArmorProfile",
    "windowsOptions",
    "fsGroup",
    "fsGroupChangePolicy",
    "supplementalGroupsPolicy",
    "sysctls",
    "seLinuxChangePolicy",
];
