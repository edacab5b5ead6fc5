//! Fields set by environment variables.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use podinit::spec::{Loaded, load, v1alpha1::ProcessSetSpec};

const TEXT: &str = r#"
apiVersion: podinit.dev/v1alpha1
kind: ProcessSet
spec:
  initProcesses:
    - {name: migrate, command: [php], args: [migrate]}
  processes:
    - {name: queue, command: [php, artisan], env: [{name: A, value: b}]}
    - {name: queue-max, command: [b], replicas: 3}
    - {name: web, command: [nginx], livenessProbe: {httpGet: {port: 80}}, workingDir: /app}
  cronProcesses:
    - {name: nightly, command: [php], schedule: "@daily"}
"#;

fn with(variables: &[(&str, &str)]) -> Loaded {
    let environment: Vec<_> = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    load(TEXT, "processset.yaml", &environment)
}

fn spec(name: &str, value: &str) -> ProcessSetSpec {
    let loaded = with(&[(name, value)]);
    assert_eq!(loaded.problems, [], "{name}={value}");
    loaded.set.unwrap().spec
}

fn problem(name: &str, value: &str) -> String {
    let loaded = with(&[(name, value)]);
    assert_eq!(
        loaded.problems.len(),
        1,
        "{name}={value}: {:?}",
        loaded.problems
    );
    loaded.problems[0].to_string()
}

#[test]
fn the_type_of_the_field_decides_how_the_value_is_read() {
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_REPLICAS", "0").processes[0].replicas,
        0
    );
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_REPLICAS", "12").processes[0].replicas,
        12
    );
    assert!(!spec("PODINIT_PROCESS_QUEUE_ENABLED", "false").processes[0].enabled);
    let directory = |value| {
        spec("PODINIT_PROCESS_WEB_WORKING_DIR", value).processes[2]
            .working_dir
            .clone()
            .unwrap()
    };
    for text in ["00123456", "true", "null", "1e3", "[a]", " x "] {
        assert_eq!(directory(text), text);
    }
    let user = |value| {
        let spec = spec("PODINIT_PROCESS_WEB_SECURITY_CONTEXT_RUN_AS_USER", value);
        spec.processes[2]
            .security_context
            .as_ref()
            .unwrap()
            .run_as_user
            .as_ref()
            .unwrap()
            .to_string()
    };
    assert_eq!(user("1000"), "1000");
    assert_eq!(user("www-data"), "www-data");
    assert_eq!(
        spec("PODINIT_PROCESS_WEB_STOP_SIGNAL", "SIGQUIT").processes[2]
            .stop_signal
            .number(),
        3
    );
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_NICE", "-5").processes[0].nice,
        Some(-5)
    );
    let backoff = spec("PODINIT_PROCESS_QUEUE_RESTART_BACKOFF_JITTER", "0.25").processes[0]
        .restart_backoff
        .clone();
    assert_eq!(
        (backoff.jitter.thousandths(), backoff.factor.thousandths()),
        (250, 2000)
    );
}

#[test]
fn lists_of_strings_are_json() {
    let command = spec(
        "PODINIT_PROCESS_QUEUE_COMMAND",
        r#"["php", "a b", "8080", ""]"#,
    )
    .processes[0]
        .command
        .clone();
    assert_eq!(command, ["php", "a b", "8080", ""]);
    assert_eq!(
        spec("PODINIT_PROCESS_MIGRATE_ARGS", "[]").init_processes[0].args,
        [] as [&str; 0]
    );
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_SUCCESS_EXIT_CODES", "[0, 3]").processes[0].success_exit_codes,
        [0, 3]
    );
}

#[test]
fn fields_below_a_field_can_be_set() {
    let web = spec("PODINIT_PROCESS_WEB_LIVENESS_PROBE_PERIOD_SECONDS", "30").processes[2].clone();
    assert_eq!(web.liveness_probe.unwrap().period_seconds, 30);
    let web = spec("PODINIT_PROCESS_WEB_LIVENESS_PROBE_HTTP_GET_PORT", "8080").processes[2].clone();
    assert_eq!(
        web.liveness_probe.unwrap().http_get.unwrap().port,
        Some(8080)
    );
    // A mapping that is not there is made.
    let queue = spec(
        "PODINIT_PROCESS_QUEUE_LIVENESS_PROBE_EXEC_COMMAND",
        r#"["true"]"#,
    )
    .processes[0]
        .clone();
    assert_eq!(
        queue.liveness_probe.unwrap().exec.unwrap().command,
        ["true"]
    );
    assert!(spec("PODINIT_PROCESS_NIGHTLY_SUSPEND", "true").cron_processes[0].suspend);
}

#[test]
fn the_longest_name_wins() {
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_MAX_REPLICAS", "7").processes[1].replicas,
        7
    );
    assert_eq!(
        spec("PODINIT_PROCESS_QUEUE_MAX_REPLICAS", "7").processes[0].max_replicas,
        None
    );
    assert_eq!(
        spec("PODINIT_PROCESS_WEB_MAX_REPLICAS", "7").processes[2].max_replicas,
        Some(7)
    );
}

#[test]
fn variables_of_kubernetes_and_of_others_are_not_ours() {
    let loaded = with(&[
        ("PODINIT_PORT", "tcp://10.0.0.1:80"),
        ("PODINIT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PODINIT_SERVICE_HOST", "10.0.0.1"),
        ("PODINIT_PROCESS", "outer"),
        ("PODINIT_CONFIG", "/x"),
        ("XPODINIT_PROCESS_QUEUE_REPLICAS", "2"),
    ]);
    assert_eq!(loaded.problems, []);
}

#[test]
fn what_cannot_be_applied_names_the_variable() {
    for (name, value, expected) in [
        (
            "PODINIT_PROCESS_QUEU_REPLICAS",
            "2",
            "PODINIT_PROCESS_QUEU_REPLICAS: no process has a name that this variable begins with\n  help: did you mean `PODINIT_PROCESS_QUEUE_..`?",
        ),
        (
            "PODINIT_PROCESS_QUEUE_REPLCAS",
            "2",
            "PODINIT_PROCESS_QUEUE_REPLCAS: spec.processes[0]: `queue` has no field `REPLCAS`\n  help: did you mean `PODINIT_PROCESS_QUEUE_REPLICAS`?",
        ),
        (
            "PODINIT_PROCESS_QUEUE_REPLICAS",
            "",
            "PODINIT_PROCESS_QUEUE_REPLICAS: spec.processes[0].replicas: expected an integer from 0 to 1000, found \"\"",
        ),
        (
            "PODINIT_PROCESS_QUEUE_REPLICAS",
            "1001",
            "PODINIT_PROCESS_QUEUE_REPLICAS: spec.processes[0].replicas: expected an integer from 0 to 1000, found `1001`",
        ),
        (
            "PODINIT_PROCESS_QUEUE_COMMAND",
            "[]",
            "PODINIT_PROCESS_QUEUE_COMMAND: spec.processes[0].command: expected at least 1 item, found 0",
        ),
        (
            "PODINIT_PROCESS_QUEUE_ENV",
            "A=b",
            "PODINIT_PROCESS_QUEUE_ENV: spec.processes[0].env: a list of mappings cannot be set by a variable",
        ),
    ] {
        assert_eq!(problem(name, value), expected);
    }
}

#[test]
fn two_names_that_map_alike_are_an_error_only_when_named() {
    let text = TEXT.replace("nightly", "web");
    let ambiguous = load(
        &text,
        "x",
        &[("PODINIT_PROCESS_WEB_ENABLED".to_owned(), "true".to_owned())],
    );
    assert_eq!(
        ambiguous.problems[0].to_string(),
        "PODINIT_PROCESS_WEB_ENABLED: it could mean web in spec.processes or web in spec.cronProcesses\n  help: rename one of them"
    );
    assert_eq!(load(&text, "x", &[]).problems, []);
}

/// A value that is overridden need not be right in the file: the variable may be what mends it.
#[test]
fn an_overridden_value_is_not_checked() {
    let text = TEXT.replace("replicas: 3", "replicas: many");
    let environment = [(
        "PODINIT_PROCESS_QUEUE_MAX_REPLICAS".to_owned(),
        "5".to_owned(),
    )];
    assert_eq!(load(&text, "x", &[]).problems.len(), 1);
    assert_eq!(
        load(&text, "x", &environment).set.unwrap().spec.processes[1].replicas,
        5
    );
}
