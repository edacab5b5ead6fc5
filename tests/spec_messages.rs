//! What people read when a spec is wrong: each case is a typical mistake, and its whole message.
//! Refresh with `UPDATE_EXPECT=1 cargo test --test spec_messages` and read every change.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::needless_raw_string_hashes,
    clippy::unwrap_used,
    reason = "tests are at the edge; expect-test writes the raw strings"
)]

use expect_test::{Expect, expect};
use podinit::spec::{FieldPath, Problem, load, problem::excerpt};

const HEAD: &str = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\n";

#[track_caller]
fn check_with(text: &str, environment: &[(&str, &str)], expected: &Expect) {
    let environment: Vec<_> = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let loaded = load(text, "processset.yaml", &environment);
    assert_eq!(
        loaded.set.is_none(),
        loaded.problems.iter().any(Problem::is_error)
    );
    let lines: Vec<String> = loaded
        .problems
        .iter()
        .map(|problem| excerpt(problem, text))
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[track_caller]
fn check_text(text: &str, expected: &Expect) {
    check_with(text, &[], expected);
}

/// One process `web` with these further lines, at the place of fields of it.
#[track_caller]
fn check_process(fields: &str, expected: &Expect) {
    check_text(&process(fields), expected);
}

fn process(fields: &str) -> String {
    let head = format!("{HEAD}spec:\n  processes:\n    - name: web\n      command: [nginx]\n");
    fields
        .lines()
        .fold(head, |text, line| text + "      " + line + "\n")
}

#[test]
fn a_misspelt_key() {
    check_process(
        "replcas: 2\ndepends_on: []\nterminationGracePeriod: 5\n",
        &expect![[r#"
            processset.yaml:7:7: spec.processes[0].replcas: unknown key `replcas`
              7 |       replcas: 2
                |       ^
              help: did you mean `replicas`?
            processset.yaml:8:7: spec.processes[0].depends_on: unknown key `depends_on`
              8 |       depends_on: []
                |       ^
              help: did you mean `dependsOn`?
            processset.yaml:9:7: spec.processes[0].terminationGracePeriod: unknown key `terminationGracePeriod`
              9 |       terminationGracePeriod: 5
                |       ^
              help: did you mean `terminationGracePeriodSeconds`?"#]],
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    check_process(
        "replicas: many\nenabled: yes\nminReadySeconds: '5'\nworkingDir: {}\nportBase: 080\n",
        &expect![[r#"
            processset.yaml:7:17: spec.processes[0].replicas: expected an integer from 0 to 1000, found "many"
              7 |       replicas: many
                |                 ^
            processset.yaml:8:16: spec.processes[0].enabled: expected true or false, found `yes`
              8 |       enabled: yes
                |                ^
              help: write true
            processset.yaml:9:24: spec.processes[0].minReadySeconds: expected an integer from 0 to 86400, found "5"
              9 |       minReadySeconds: '5'
                |                        ^
              help: remove the quotes: 5
            processset.yaml:10:19: spec.processes[0].workingDir: expected a string, found a mapping
              10 |       workingDir: {}
                 |                   ^
            processset.yaml:11:17: spec.processes[0].portBase: expected an integer from 1 to 65535, found `080`
              11 |       portBase: 080
                 |                 ^
              help: write it in plain decimal digits: 80"#]],
    );
}

#[test]
fn a_number_where_kubernetes_wants_a_string() {
    check_process(
        "env:\n  - {name: PORT, value: 8080}\n  - {name: DEBUG, value: true}\n  - {name: V, value: 1.10}\n  - {name: Y, value: no}\n",
        &expect![[r#"
            processset.yaml:8:31: spec.processes[0].env[0].value: expected a string, found `8080`
              8 |         - {name: PORT, value: 8080}
                |                               ^
              help: quote it: "8080"
            processset.yaml:9:32: spec.processes[0].env[1].value: expected a string, found `true`
              9 |         - {name: DEBUG, value: true}
                |                                ^
              help: quote it: "true"
            processset.yaml:10:28: spec.processes[0].env[2].value: expected a string, found `1.10`
              10 |         - {name: V, value: 1.10}
                 |                            ^
              help: quote it: "1.10"
            processset.yaml:11:18: spec.processes[0].env[3].name: expected the name of an environment variable: letters, digits, `_`, `.` and `-`, not a digit first, found `Y`
              11 |         - {name: Y, value: no}
                 |                  ^
              help: quote it: "Y"
            processset.yaml:11:28: spec.processes[0].env[3].value: expected a string, found `no`
              11 |         - {name: Y, value: no}
                 |                            ^
              help: quote it: "no""#]],
    );
}

#[test]
fn a_command_as_one_string() {
    check_process(
        "args: --verbose --port 80\nlivenessProbe: {exec: [curl, localhost]}\n",
        &expect![[r#"
            processset.yaml:7:13: spec.processes[0].args: expected a list, found "--verbose --port 80"
              7 |       args: --verbose --port 80
                |             ^
              help: write [--verbose, --port, 80]; there is no shell, for one write [sh, -c, "--verbose --port 80"]
            processset.yaml:8:29: spec.processes[0].livenessProbe.exec: expected a mapping, found a list
              8 |       livenessProbe: {exec: [curl, localhost]}
                |                             ^
              help: write {command: [..]}"#]],
    );
}

#[test]
fn durations_quantities_modes_and_signals() {
    check_process(
        "maxMemory: 512MB\numask: 0022\nstopSignal: QUIT\nrestartLimit: {count: 3, window: 5 minutes}\nrestartBackoff: {initial: 1, max: 1d, factor: 0.5}\n",
        &expect![[r#"
            processset.yaml:7:18: spec.processes[0].maxMemory: expected a quantity of bytes such as 512Mi, 2Gi or 1000000, found "512MB"
              7 |       maxMemory: 512MB
                |                  ^
            processset.yaml:8:14: spec.processes[0].umask: expected an octal string of three or four digits, such as "0755" or "0027", found `0022`
              8 |       umask: 0022
                |              ^
              help: quote it: "0022"
            processset.yaml:9:19: spec.processes[0].stopSignal: expected a signal's name with its prefix, such as SIGTERM, SIGQUIT or SIGRTMIN+3, found "QUIT"
              9 |       stopSignal: QUIT
                |                   ^
              help: did you mean `SIGQUIT`?
            processset.yaml:10:40: spec.processes[0].restartLimit.window: expected a duration such as 500ms, 5s, 10m or 1h30m, at most 168h, found "5 minutes"
              10 |       restartLimit: {count: 3, window: 5 minutes}
                 |                                        ^
              help: did you mean `5m`?
            processset.yaml:11:33: spec.processes[0].restartBackoff.initial: expected a duration such as 500ms, 5s, 10m or 1h30m, at most 168h, found `1`
              11 |       restartBackoff: {initial: 1, max: 1d, factor: 0.5}
                 |                                 ^
              help: a duration has a unit: 1s or 1ms
            processset.yaml:11:41: spec.processes[0].restartBackoff.max: expected a duration such as 500ms, 5s, 10m or 1h30m, at most 168h, found "1d"
              11 |       restartBackoff: {initial: 1, max: 1d, factor: 0.5}
                 |                                         ^
              help: did you mean `24h`?
            processset.yaml:11:53: spec.processes[0].restartBackoff.factor: expected a number from 1 to 100 with at most three decimals, found `0.5`
              11 |       restartBackoff: {initial: 1, max: 1d, factor: 0.5}
                 |                                                     ^"#]],
    );
}

#[test]
fn an_enum_value() {
    check_process(
        "restartPolicy: unless-stopped\ntraffic: background\nonFailure: exit\n",
        &expect![[r#"
            processset.yaml:7:22: spec.processes[0].restartPolicy: expected Always, OnFailure or Never, found "unless-stopped"
              7 |       restartPolicy: unless-stopped
                |                      ^
            processset.yaml:8:16: spec.processes[0].traffic: expected Serving or Background, found "background"
              8 |       traffic: background
                |                ^
              help: did you mean `Background`?
            processset.yaml:9:18: spec.processes[0].onFailure: expected ExitSet, MarkUnready or Ignore, found "exit"
              9 |       onFailure: exit
                |                  ^
              help: did you mean `ExitSet`?"#]],
    );
}

#[test]
fn probes() {
    check_process(
        "livenessProbe: {periodSeconds: 0}\nreadinessProbe: {httpGet: {port: http}, tcpSocket: {port: 80}}\nstartupProbe: {path: /up}\n",
        &expect![[r#"
            processset.yaml:7:7: spec.processes[0].livenessProbe: expected exactly one of exec, httpGet, tcpSocket, grpc, fastCgi, notify, found none
              7 |       livenessProbe: {periodSeconds: 0}
                |       ^
            processset.yaml:7:38: spec.processes[0].livenessProbe.periodSeconds: expected an integer from 1 to 86400, found `0`
              7 |       livenessProbe: {periodSeconds: 0}
                |                                      ^
            processset.yaml:8:7: spec.processes[0].readinessProbe: expected exactly one of exec, httpGet, tcpSocket, grpc, fastCgi, notify, found httpGet and tcpSocket
              8 |       readinessProbe: {httpGet: {port: http}, tcpSocket: {port: 80}}
                |       ^
            processset.yaml:8:40: spec.processes[0].readinessProbe.httpGet.port: expected an integer from 1 to 65535, found "http"
              8 |       readinessProbe: {httpGet: {port: http}, tcpSocket: {port: 80}}
                |                                        ^
              help: named ports belong to the container: write the number
            processset.yaml:9:7: spec.processes[0].startupProbe: expected exactly one of exec, httpGet, tcpSocket, grpc, fastCgi, notify, found none
              9 |       startupProbe: {path: /up}
                |       ^
            processset.yaml:9:22: spec.processes[0].startupProbe.path: unknown key `path`
              9 |       startupProbe: {path: /up}
                |                      ^
              help: it belongs under httpGet"#]],
    );
}

#[test]
fn named_ports() {
    check_process(
        "livenessProbe: {tcpSocket: {port: web}}\nreadinessProbe: {grpc: {port: '9090'}}\nstartupProbe: {tcpSocket: {port: 0}}\n",
        &expect![[r#"
            processset.yaml:7:41: spec.processes[0].livenessProbe.tcpSocket.port: expected an integer from 1 to 65535, found "web"
              7 |       livenessProbe: {tcpSocket: {port: web}}
                |                                         ^
              help: named ports belong to the container: write the number
            processset.yaml:8:37: spec.processes[0].readinessProbe.grpc.port: expected an integer from 1 to 65535, found "9090"
              8 |       readinessProbe: {grpc: {port: '9090'}}
                |                                     ^
              help: remove the quotes: 9090
            processset.yaml:9:40: spec.processes[0].startupProbe.tcpSocket.port: expected an integer from 1 to 65535, found `0`
              9 |       startupProbe: {tcpSocket: {port: 0}}
                |                                        ^"#]],
    );
}

#[test]
fn names_and_dependencies() {
    let text = format!(
        "{HEAD}spec:\n  processes:\n    - {{name: PHP_FPM, command: [a]}}\n    - {{name: x, command: [a], dependsOn: [php-fpm]}}\n    - {{name: x, command: [b]}}\n"
    );
    check_text(
        &text,
        &expect![[r#"
        processset.yaml:5:14: spec.processes[0].name: expected a DNS label: lower-case letters, digits and `-`, not `-` at either end, found "PHP_FPM"
          5 |     - {name: PHP_FPM, command: [a]}
            |              ^
          help: did you mean `php-fpm`?
        processset.yaml:6:43: spec.processes[1].dependsOn[0]: expected a mapping, found "php-fpm"
          6 |     - {name: x, command: [a], dependsOn: [php-fpm]}
            |                                           ^
          help: write {name: php-fpm}
        processset.yaml:7:14: spec.processes[2].name: `x` is already in this list, at 6:14
          7 |     - {name: x, command: [b]}
            |              ^"#]],
    );
}

#[test]
fn what_belongs_to_the_container() {
    check_process(
        "image: nginx\nsecurityContext: {runAsUser: '33', privileged: false}\nuser: www-data\n",
        &expect![[r#"
            processset.yaml:7:7: spec.processes[0].image: unknown key `image`
              7 |       image: nginx
                |       ^
              help: `image` belongs to the container: set it in the Pod spec
            processset.yaml:8:36: spec.processes[0].securityContext.runAsUser: expected a number from 0 to 2147483647 without quotes, or a name such as www-data, found "33"
              8 |       securityContext: {runAsUser: '33', privileged: false}
                |                                    ^
              help: remove the quotes: 33
            processset.yaml:8:42: spec.processes[0].securityContext.privileged: unknown key `privileged`
              8 |       securityContext: {runAsUser: '33', privileged: false}
                |                                          ^
              help: `privileged` belongs to the container: set it in the securityContext of the Pod spec
            processset.yaml:9:7: spec.processes[0].user: unknown key `user`
              9 |       user: www-data
                |       ^
              help: write securityContext: {runAsUser: ..}"#]],
    );
}

#[test]
fn what_comes_from_other_supervisors() {
    check_process(
        "autostart: true\ncwd: /app\nnumprocs: 3\nenvironment: {A: b}\nhealthcheck: {}\nschedule: '@daily'\n",
        &expect![[r#"
            processset.yaml:7:7: spec.processes[0].autostart: unknown key `autostart`
              7 |       autostart: true
                |       ^
              help: did you mean `enabled`?
            processset.yaml:8:7: spec.processes[0].cwd: unknown key `cwd`
              8 |       cwd: /app
                |       ^
              help: did you mean `workingDir`?
            processset.yaml:9:7: spec.processes[0].numprocs: unknown key `numprocs`
              9 |       numprocs: 3
                |       ^
              help: did you mean `replicas`?
            processset.yaml:10:7: spec.processes[0].environment: unknown key `environment`
              10 |       environment: {A: b}
                 |       ^
              help: did you mean `env`? It is a list of {name, value}
            processset.yaml:11:7: spec.processes[0].healthcheck: unknown key `healthcheck`
              11 |       healthcheck: {}
                 |       ^
              help: write readinessProbe, livenessProbe or startupProbe, as in a Pod
            processset.yaml:12:7: spec.processes[0].schedule: unknown key `schedule`
              12 |       schedule: '@daily'
                 |       ^
              help: scheduled processes belong in cronProcesses"#]],
    );
}

#[test]
fn missing_and_empty() {
    let text = format!(
        "{HEAD}spec:\n  processes:\n    - name: web\n      command:\n      env:\n    - cmd: [a]\n  hooks: {{preStop: [{{}}]}}\n"
    );
    check_text(
        &text,
        &expect![[r#"
            processset.yaml:6:7: spec.processes[0].command: expected a list, found null
              6 |       command:
                |       ^
              help: remove it, or give it a value
            processset.yaml:7:7: spec.processes[0].env: expected a list, found null
              7 |       env:
                |       ^
              help: remove it, or give it a value
            processset.yaml:8:7: spec.processes[1].cmd: unknown key `cmd`
              8 |     - cmd: [a]
                |       ^
              help: did you mean `command`?
            processset.yaml:8:7: spec.processes[1]: the key `name` is missing
              8 |     - cmd: [a]
                |       ^
            processset.yaml:9:21: spec.hooks.preStop[0]: the key `name` is missing
              9 |   hooks: {preStop: [{}]}
                |                     ^
            processset.yaml:9:21: spec.hooks.preStop[0]: expected exactly one of exec, httpGet, sleep, found none
              9 |   hooks: {preStop: [{}]}
                |                     ^"#]],
    );
    check_text(
        &format!("{HEAD}spec: {{processes: []}}\n"),
        &expect![[r#"
        processset.yaml:3:1: spec: nothing to run: expected at least one entry in processes, cronProcesses or initProcesses
          3 | spec: {processes: []}
            | ^"#]],
    );
    check_text(
        &format!("{HEAD}spec:\n"),
        &expect![[r#"
        processset.yaml:3:1: spec: expected a mapping, found null
          3 | spec:
            | ^
          help: remove it, or give it a value"#]],
    );
    check_text(
        HEAD,
        &expect![[r#"
        processset.yaml:1:1: the key `spec` is missing
          1 | apiVersion: podinit.dev/v1alpha1
            | ^"#]],
    );
}

#[test]
fn not_a_process_set() {
    check_text(
        "services:\n  web: {image: nginx}\n",
        &expect![[r#"
        processset.yaml:1:1: the key `apiVersion` is missing
          1 | services:
            | ^
          help: a ProcessSet starts with `apiVersion: podinit.dev/v1alpha1`; docs/migrating.md has the keys of other supervisors beside ours"#]],
    );
    check_text(
        "apiVersion: v1\nkind: ConfigMap\ndata: {}\n",
        &expect![[r#"
        processset.yaml:1:13: apiVersion: expected podinit.dev/v1alpha1, found "v1"
          1 | apiVersion: v1
            |             ^
        processset.yaml:2:7: kind: expected ProcessSet, found "ConfigMap"
          2 | kind: ConfigMap
            |       ^
          help: give the ProcessSet itself: the text under the ConfigMap's data"#]],
    );
    check_text(
        "apiVersion: podinit.dev/v1\nkind: ProcessSets\nspec: {}\n",
        &expect![[r#"
            processset.yaml:1:13: apiVersion: this podinit does not know the version "podinit.dev/v1"
              1 | apiVersion: podinit.dev/v1
                |             ^
              help: write `apiVersion: podinit.dev/v1alpha1`, or use a podinit that knows it
            processset.yaml:2:7: kind: expected ProcessSet, found "ProcessSets"
              2 | kind: ProcessSets
                |       ^
              help: did you mean `ProcessSet`?
            processset.yaml:3:1: spec: nothing to run: expected at least one entry in processes, cronProcesses or initProcesses
              3 | spec: {}
                | ^"#]],
    );
    check_text(
        "just a text\n",
        &expect![[r#"
        processset.yaml:1:1: expected a ProcessSet, found "just a text"
          1 | just a text
            | ^"#]],
    );
    check_text(
        &format!("{HEAD}metadata: {{name: My Shop, labls: {{}}}}\nprocesses: []\n"),
        &expect![[r#"
            processset.yaml:1:1: the key `spec` is missing
              1 | apiVersion: podinit.dev/v1alpha1
                | ^
            processset.yaml:3:18: metadata.name: expected lower-case letters, digits, `-` and `.`, found "My Shop"
              3 | metadata: {name: My Shop, labls: {}}
                |                  ^
            processset.yaml:3:27: metadata.labls: unknown key `labls`
              3 | metadata: {name: My Shop, labls: {}}
                |                           ^
              help: did you mean `labels`?
            processset.yaml:4:1: processes: unknown key `processes`
              4 | processes: []
                | ^
              help: it belongs under `spec`"#]],
    );
}

#[test]
fn broken_yaml() {
    check_text(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n\tprocesses: []\n",
        &expect![[r#"
            processset.yaml:4:2: not valid YAML: tabs disallowed within this context (block indentation)
              4 |  processes: []
                |  ^
              help: YAML is indented with spaces, not with tabs"#]],
    );
    check_text(
        "a: 1\na: 2\n",
        &expect![[r#"
        processset.yaml:1:1: the key `apiVersion` is missing
          1 | a: 1
            | ^
          help: write `apiVersion: podinit.dev/v1alpha1`
        processset.yaml:2:1: the key `a` is already given at 1:1
          2 | a: 2
            | ^
          help: remove one of them"#]],
    );
    check_text(
        &format!("{HEAD}spec:\n  cronProcesses:\n    - schedule: */5 * * * *\n"),
        &expect![[r#"
            processset.yaml:5:17: there is no anchor `&/5` before this alias
              5 |     - schedule: */5 * * * *
                |                 ^
              help: a text that starts with `*` needs quotes: "*/5 * * * *""#]],
    );
    check_text(
        "spec: {{ .Values.spec }}\n",
        &expect![[r#"
        processset.yaml:1:8: a mapping's key must be a string, not a list or a mapping
          1 | spec: {{ .Values.spec }}
            |        ^
          help: a text with `{{ }}` or `[ ]` needs quotes"#]],
    );
}

#[test]
fn too_much() {
    let long = "x".repeat(64);
    check_process(
        &format!(
            "replicas: 1001\nnice: -21\nsuccessExitCodes: [0, 256, 0]\npriority: 99999999999999999999\nlogging: {{redact: {{patterns: [{{name: {long}, regex: ''}}]}}}}\n"
        ),
        &expect![[r#"
            processset.yaml:7:17: spec.processes[0].replicas: expected an integer from 0 to 1000, found `1001`
              7 |       replicas: 1001
                |                 ^
            processset.yaml:8:13: spec.processes[0].nice: expected an integer from -20 to 19, found `-21`
              8 |       nice: -21
                |             ^
            processset.yaml:9:29: spec.processes[0].successExitCodes[1]: expected an integer from 0 to 255, found `256`
              9 |       successExitCodes: [0, 256, 0]
                |                             ^
            processset.yaml:9:34: spec.processes[0].successExitCodes[2]: `0` is already in this list, at 9:26
              9 |       successExitCodes: [0, 256, 0]
                |                                  ^
            processset.yaml:10:17: spec.processes[0].priority: expected an integer from -1000 to 1000, found `99999999999999999999`
              10 |       priority: 99999999999999999999
                 |                 ^
            processset.yaml:11:44: spec.processes[0].logging.redact.patterns[0].name: expected at most 63 characters, found 64
              11 |       logging: {redact: {patterns: [{name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                 |                                            ^
            processset.yaml:11:110: spec.processes[0].logging.redact.patterns[0].regex: must not be empty
              11 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, regex: ''}]}}
                 |                                                            ^"#]],
    );
}

#[test]
fn values_cannot_move_the_cursor() {
    check_process(
        "replicas: \"\\e[2J\\nno\"\n\"\\e[31mkey\": 1\n",
        &expect![[r#"
            processset.yaml:7:17: spec.processes[0].replicas: expected an integer from 0 to 1000, found "\u{1b}[2J\nno"
              7 |       replicas: "\e[2J\nno"
                |                 ^
            processset.yaml:8:7: spec.processes[0]["\u{1b}[31mkey"]: unknown key `\u{1b}[31mkey`
              8 |       "\e[31mkey": 1
                |       ^"#]],
    );
}

#[test]
fn overrides_from_the_environment() {
    let text = process("replicas: 1\n");
    check_with(
        &text,
        &[
            ("PATH", "/bin"),
            ("PODINIT_PORT", "tcp://10.0.0.1:80"),
            ("PODINIT_PROCESS_WEB_REPLICAS", "many"),
            ("PODINIT_PROCESS_WEB_ENABLED", "1"),
            ("PODINIT_PROCESS_WEB_COMMAND", "nginx -g"),
            ("PODINIT_PROCESS_WEB_ARGS", "[1, \"x\"]"),
            ("PODINIT_PROCESS_WEB_REPLICA", "2"),
            ("PODINIT_PROCESS_WEB_NAME", "x"),
            ("PODINIT_PROCESS_WEB_LIVENESS_PROBE", "x"),
            ("PODINIT_PROCESS_WEB_READINESS_PROBE_PERIOD_SECONDS", "5"),
            ("PODINIT_PROCESS_WEB_DEPENDS_ON", "[]"),
            ("PODINIT_PROCESS_WEBB_REPLICAS", "2"),
            ("PODINIT_PROCESS_SOMETHING", "2"),
        ],
        &expect![[r#"
            PODINIT_PROCESS_WEB_ARGS: spec.processes[0].args[0]: expected a string, found `1`
              help: quote it: "1"
            PODINIT_PROCESS_WEB_ENABLED: spec.processes[0].enabled: expected true or false, found `1`
            PODINIT_PROCESS_WEB_READINESS_PROBE_PERIOD_SECONDS: spec.processes[0].readinessProbe: expected exactly one of exec, httpGet, tcpSocket, grpc, fastCgi, notify, found none
            PODINIT_PROCESS_WEB_REPLICAS: spec.processes[0].replicas: expected an integer from 0 to 1000, found "many"
            PODINIT_PROCESS_SOMETHING: no process has a name that this variable begins with
              help: the processes are web
            PODINIT_PROCESS_WEBB_REPLICAS: no process has a name that this variable begins with
              help: did you mean `PODINIT_PROCESS_WEB_..`?
            PODINIT_PROCESS_WEB_COMMAND: spec.processes[0].command: expected a JSON list, found "nginx -g"
              help: for instance ["php", "artisan", "queue:work"]
            PODINIT_PROCESS_WEB_DEPENDS_ON: spec.processes[0].dependsOn: a list of mappings cannot be set by a variable
            PODINIT_PROCESS_WEB_LIVENESS_PROBE: spec.processes[0].livenessProbe: a mapping cannot be set by a variable
              help: set one of its fields: append one of EXEC, HTTP_GET, TCP_SOCKET, GRPC, FAST_CGI, NOTIFY, INITIAL_DELAY_SECONDS, TIMEOUT_SECONDS, PERIOD_SECONDS, SUCCESS_THRESHOLD, FAILURE_THRESHOLD, TERMINATION_GRACE_PERIOD_SECONDS
            PODINIT_PROCESS_WEB_NAME: spec.processes[0].name: a name cannot be set by a variable
            PODINIT_PROCESS_WEB_REPLICA: spec.processes[0]: `web` has no field `REPLICA`
              help: did you mean `PODINIT_PROCESS_WEB_REPLICAS`?"#]],
    );
}

#[test]
fn a_problem_found_later_has_its_place_too() {
    let text = process("replicas: 2\n");
    let environment = [("PODINIT_PROCESS_WEB_PRIORITY".to_owned(), "7".to_owned())];
    let loaded = load(&text, "processset.yaml", &environment);
    let process = FieldPath::spec().key("processes").index(0);
    let placed = |key: &'static str| {
        loaded
            .placed(Problem::error(process.key(key), "is odd"))
            .to_string()
    };
    assert_eq!(
        placed("replicas"),
        "processset.yaml:7:17: spec.processes[0].replicas: is odd"
    );
    assert_eq!(
        placed("traffic"),
        "processset.yaml:5:7: spec.processes[0].traffic: is odd"
    );
    assert_eq!(
        placed("priority"),
        "PODINIT_PROCESS_WEB_PRIORITY: spec.processes[0].priority: is odd"
    );
}
