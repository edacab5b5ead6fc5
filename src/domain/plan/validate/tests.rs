//! One case a rule, with the exact message.

use super::validate;
use crate::domain::plan::tests::set;
use crate::spec::units::Decimal;

/// What is wrong with the body of a `spec:`, as it is printed.
fn problems(body: &str) -> Vec<String> {
    validate(&set(body).spec)
        .into_iter()
        .map(|problem| problem.to_string())
        .collect()
}

/// The same for the processes of a set.
fn processes(list: &str) -> Vec<String> {
    problems(&format!("processes: [{list}]"))
}

#[track_caller]
fn expect(found: &[String], wanted: &[&str]) {
    assert_eq!(found, wanted);
}

const APP: &str = "{name: app, command: [app]}";

#[test]
fn a_good_set_has_no_problems() {
    let body = "
terminationGracePeriodSeconds: 30
shutdown: {drain: 0s, tail: 2s}
rollout: {maxUnavailable: 25%, progressDeadlineSeconds: 600}
hooks: {preStop: [{name: bye, httpGet: {port: 80, path: '/a?b=c%20d', httpHeaders: [{name: X-A, value: b c}]}}]}
env: [{name: PODINIT_PORT, value: x}, {name: PODINIT_SERVICE_HOST, value: x}]
directories: [{path: storage}]
logging: {format: Raw, maxLineBytes: 16Mi, onBackpressure: DropOldest, labels: {a: b}}
initProcesses:
- {name: one, command: [a]}
- {name: two, command: [a]}
- {name: aside, command: [a], dependsOn: [{name: one, condition: Exited}]}
processes:
- name: web
  command: [sh, -c, 'exec nginx']
  portBase: 65532
  replicas: 2
  maxReplicas: 4
  dependsOn: [{name: fpm}, {name: gone, optional: true}, {name: idle, optional: true}]
  lifecycle: {preStop: {httpGet: {path: /bye}}, postStop: {sleep: {seconds: 60}}}
  rlimits: {nofile: {soft: 10, hard: unlimited}}
  updateStrategy: {type: RollingUpdate, maxUnavailable: 1, maxSurge: 0}
- {name: fpm, command: [php-fpm], priority: 10}
- {name: idle, command: [a], enabled: false, priority: 5}
- {name: queue, command: [sh, -c, a], traffic: Background, priority: 20, signalTarget: Group, dependsOn: [{name: fpm}]}
- {name: job, command: [a], traffic: Background, restartPolicy: OnFailure, onSuccess: ExitSet, onFailure: ExitSet, restartLimit: {count: 3, window: 1m}}
- {name: after, command: [a], traffic: Background, dependsOn: [{name: job, condition: Completed}]}
- {name: queue-x, command: [a]}
- {name: web-4, command: [a]}
- {name: fpm-01, command: [a]}
";
    expect(&problems(body), &[]);
}

#[test]
fn names() {
    let body = format!(
        "processes: [{APP}, {{name: one, command: [a]}}, {{name: app-0, command: [a]}}]
initProcesses: [{{name: one, command: [a]}}]
cronProcesses: [{{name: app, command: [a], schedule: '* * * * *'}}]
sidecars: [{{name: app, preset: Istio}}]"
    );
    let taken = "is the name of spec.processes[0] already: names are unique over processes, initProcesses, cronProcesses and sidecars";
    let found = problems(&body);
    let found: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|problem| !problem.contains("not supported yet"))
        .collect();
    assert_eq!(
        found,
        [
            "spec.processes[1].name: `one` is the name of spec.initProcesses[0] already: names are unique over processes, initProcesses, cronProcesses and sidecars".to_owned(),
            "spec.processes[2].name: `app-0` is also what an instance of `app` is called\n  help: rename one of them, or lower maxReplicas of the other".to_owned(),
            format!("spec.cronProcesses[0].name: `app` {taken}"),
            format!("spec.sidecars[0].name: `app` {taken}"),
        ]
    );
}

#[test]
fn dependencies() {
    let always = "{name: web, command: [a], dependsOn: [DEP]}, {name: fpm, command: [a]}, {name: idle, command: [a], enabled: false}, {name: queue, command: [a], traffic: Background}";
    let cases = [
        (
            "{name: web}",
            "[0].dependsOn[0].name: `web` depends on itself",
        ),
        (
            "{name: pfm}",
            "[0].dependsOn[0].name: there is no process `pfm`\n  help: did you mean `fpm`?",
        ),
        (
            "{name: redis}",
            "[0].dependsOn[0].name: there is no process `redis`\n  help: there is fpm, idle, queue",
        ),
        (
            "{name: idle}",
            "[0].dependsOn[0].name: `idle` is disabled\n  help: write `optional: true` to start without it, or enable it",
        ),
        (
            "{name: fpm, condition: Completed, optional: true}",
            "[0].dependsOn[0].condition: `fpm` never ends for good: its restartPolicy is Always\n  help: set restartPolicy of `fpm` to OnFailure or Never, or wait for Ready",
        ),
        (
            "{name: fpm, condition: Exited}",
            "[0].dependsOn[0].condition: `fpm` never ends for good: its restartPolicy is Always\n  help: set restartPolicy of `fpm` to OnFailure or Never, or wait for Ready",
        ),
        (
            "{name: queue}",
            "[0].dependsOn[0].name: `web` is Serving and `queue` is Background: Background processes stop first, while this one still needs it\n  help: make `queue` Serving, or `web` Background",
        ),
    ];
    for (dependency, wanted) in cases {
        let found = processes(&always.replace("DEP", dependency));
        expect(&found, &[&format!("spec.processes{wanted}")]);
    }
    let slip = processes(&always.replace("DEP", "{name: pfm, optional: true}"));
    let wanted = "warning: spec.processes[0].dependsOn[0].name: there is no process `pfm`\n  help: did you mean `fpm`?";
    expect(&slip, &[wanted]);
}

#[test]
fn dependencies_across_the_lists() {
    let body = "
initProcesses: [{name: init, command: [a], dependsOn: [{name: app}]}, {name: idle, command: [a], enabled: false}, {name: last, command: [a], dependsOn: [{name: idle}, {name: inti}]}]
processes: [{name: app, command: [app], dependsOn: [{name: init}, {name: cron}, {name: mesh}]}]
cronProcesses: [{name: cron, command: [a], schedule: '* * * * *'}]
sidecars: [{name: mesh, preset: Istio}]
";
    let found: Vec<String> = problems(body)
        .into_iter()
        .filter(|problem| !problem.contains("not supported yet"))
        .collect();
    expect(
        &found,
        &[
            "spec.initProcesses[0].dependsOn[0].name: `app` is no init process: it starts after all init processes, so none can wait for it",
            "spec.initProcesses[2].dependsOn[0].name: `idle` is disabled\n  help: write `optional: true` to start without it, or enable it",
            "spec.initProcesses[2].dependsOn[1].name: there is no init process `inti`\n  help: did you mean `init`?",
            "spec.processes[0].dependsOn[0].name: `init` is an init process: every process starts after all init processes anyway\n  help: remove this entry",
            "spec.processes[0].dependsOn[1].name: `cron` is a cron process: it runs on its schedule, and nothing can wait for it",
            "spec.processes[0].dependsOn[2].name: `mesh` is a sidecar: everything starts after the sidecars anyway\n  help: remove this entry",
        ],
    );
}

#[test]
fn cycles_name_all_their_members() {
    let found = processes(
        "{name: d, command: [a], dependsOn: [{name: e}]}, {name: a, command: [a], dependsOn: [{name: c}]}, {name: b, command: [a], dependsOn: [{name: a}]}, {name: c, command: [a], dependsOn: [{name: d}, {name: b}]}, {name: e, command: [a], dependsOn: [{name: d, optional: true}]}",
    );
    expect(
        &found,
        &[
            "spec.processes[0].dependsOn[0]: dependency cycle: d -> e -> d",
            "spec.processes[1].dependsOn[0]: dependency cycle: a -> c -> b -> a",
        ],
    );
    let found = problems(
        "initProcesses: [{name: a, command: [a], dependsOn: [{name: c}]}, {name: b, command: [a]}, {name: c, command: [a]}]",
    );
    expect(
        &found,
        &[
            "spec.initProcesses[0].dependsOn[0]: dependency cycle: a -> c -> b -> a\n  help: `c` has no dependsOn, so it waits for the init process before it",
        ],
    );
}

#[test]
fn disabled_processes_wait_for_nobody() {
    let found = processes(
        "{name: a, command: [a], dependsOn: [{name: b}]}, {name: b, command: [a], enabled: false, dependsOn: [{name: a}, {name: x}]}",
    );
    expect(
        &found,
        &[
            "spec.processes[0].dependsOn[0].name: `b` is disabled\n  help: write `optional: true` to start without it, or enable it",
        ],
    );
}

#[test]
fn priorities() {
    let direct = processes(
        "{name: a, command: [a], priority: 1, dependsOn: [{name: b}]}, {name: b, command: [a], priority: 2}",
    );
    expect(
        &direct,
        &[
            "spec.processes[0].dependsOn[0].name: `a` has priority 1 and depends on `b`, which has priority 2 and so starts after it\n  help: give `b` a priority of at most that of `a`, or leave the priorities out",
        ],
    );
    let far = processes(
        "{name: a, command: [a], priority: -5, dependsOn: [{name: z}, {name: x}]}, {name: x, command: [a], dependsOn: [{name: b}]}, {name: b, command: [a], priority: 0}, {name: z, command: [a]}",
    );
    expect(
        &far,
        &[
            "spec.processes[0].dependsOn[1].name: `a` has priority -5 and depends on `b` (a -> x -> b), which has priority 0 and so starts after it\n  help: give `b` a priority of at most that of `a`, or leave the priorities out",
        ],
    );
    let equal = processes(
        "{name: a, command: [a], priority: 1, dependsOn: [{name: b}]}, {name: b, command: [a], priority: 1}, {name: c, command: [a], priority: 2, dependsOn: [{name: a}]}",
    );
    expect(&equal, &[]);
    let background = processes(
        "{name: web, command: [a], priority: 2}, {name: queue, command: [a], priority: 1, traffic: Background}",
    );
    expect(
        &background,
        &[
            "spec.processes[0].priority: `web` is Serving and starts after `queue` (priority 1), which is Background: it would have to stop before it, but Background processes stop first\n  help: make `queue` Serving, or give it a higher priority than `web`",
        ],
    );
}

#[test]
fn the_set_as_a_whole() {
    let off = problems("processes: [{name: a, command: [a], enabled: false}]");
    expect(
        &off,
        &[
            "spec: nothing is enabled, so nothing would run\n  help: leave out `enabled: false` for one process at least",
        ],
    );
    let drain = problems(&format!(
        "terminationGracePeriodSeconds: 4\nshutdown: {{drain: 5s}}\nprocesses: [{APP}]"
    ));
    expect(
        &drain,
        &["spec.shutdown.drain: 5s is over terminationGracePeriodSeconds, which is 4"],
    );
    let nul = problems(&format!(
        "directories: [{{path: \"a\\0b\"}}]\nenv: [{{name: A, value: \"\\0\"}}, {{name: PODINIT_CONFIG, value: x}}]\nprocesses: [{APP}]"
    ));
    expect(
        &nul,
        &[
            "spec.directories[0].path: has a NUL byte, which no program can be given",
            "spec.env[0].value: has a NUL byte, which no program can be given",
            "spec.env[1].name: `PODINIT_CONFIG`: names that begin with PODINIT_ belong to podinit's own wiring",
        ],
    );
}

/// Fields of one process, and what is wrong with them.
const ONE_PROCESS: &[(&str, &[&str])] = &[
    (
        "command: ['']",
        &["command[0]: expected the name of a program"],
    ),
    (
        r#"command: [a, "\0"], args: [a, "b\0"], workingDir: "\0""#,
        &["command[1]: NUL", "args[1]: NUL", "workingDir: NUL"],
    ),
    (
        "env: [{name: PODINIT_PROCESS, value: x}, {name: PODINIT_PORTX}]",
        &[
            "env[0].name: `PODINIT_PROCESS`: names that begin with PODINIT_ belong to podinit's own wiring",
            "env[1].name: `PODINIT_PORTX`: names that begin with PODINIT_ belong to podinit's own wiring",
        ],
    ),
    (
        "portBase: 80, env: [{name: PORT, value: '81'}]",
        &["env[0].name: `PORT` comes from portBase\n  help: leave out one of the two"],
    ),
    (
        "replicas: 3, maxReplicas: 2",
        &["replicas: 3 is over maxReplicas, which is 2"],
    ),
    (
        "portBase: 65535, replicas: 2",
        &["portBase: the last of 2 instances would have port 65536, over 65535"],
    ),
    (
        "portBase: 65535, maxReplicas: 3",
        &["portBase: the last of 3 instances would have port 65537, over 65535"],
    ),
    ("portBase: 65535, replicas: 0", &[]),
    (
        "restartBackoff: {max: 500ms}",
        &["restartBackoff.initial: 1s is over max, which is 500ms"],
    ),
    (
        "restartBackoff: {initial: 0s}",
        &[
            "restartBackoff.initial: expected more than 0s: a process that fails at once would be restarted without a pause, for ever",
        ],
    ),
    (
        "restartLimit: {count: 0, window: 0s}",
        &["restartLimit.window: expected more than 0s: no failure is within no time"],
    ),
    (
        "rlimits: {nofile: {soft: 2, hard: 1}, core: {soft: unlimited, hard: 0}, cpu: {soft: 1}}",
        &[
            "rlimits.core.soft: unlimited is over the hard limit, which is 0",
            "rlimits.nofile.soft: 2 is over the hard limit, which is 1",
        ],
    ),
    (
        "umask: '1022'",
        &["umask: 1022 is over 0777: a mask has no set-user-ID, set-group-ID or sticky bit"],
    ),
    (
        "stopSignal: SIGSTOP",
        &["stopSignal: SIGSTOP halts a process without ending it"],
    ),
    (
        "logging: {maxLineBytes: 100}",
        &["logging.maxLineBytes: expected 1Ki to 16Mi, found 100"],
    ),
    (
        "onSuccess: ExitSet",
        &[
            "onSuccess: with restartPolicy Always it never completes\n  help: set restartPolicy to OnFailure or Never",
        ],
    ),
    (
        "onFailure: ExitSet",
        &[
            "WARN onFailure: without a restartLimit it is restarted for ever and never fails for good\n  help: give it a restartLimit, or set restartPolicy to Never",
        ],
    ),
    (
        "command: [/bin/sh, -c, 'php artisan x']",
        &[
            "WARN command: the shell gets SIGTERM and does not pass it on\n  help: begin the last command with `exec`, or write `signalTarget: Group`",
        ],
    ),
    (
        "terminationGracePeriodSeconds: 31",
        &["WARN terminationGracePeriodSeconds: 31 is over the set's, which is 30: it will be cut"],
    ),
    (
        "lifecycle: {preStop: {exec: {command: ['']}}, postStop: {exec: {command: [a, \"\\0\"]}}}",
        &[
            "lifecycle.preStop.exec.command[0]: expected the name of a program",
            "lifecycle.postStop.exec.command[1]: NUL",
        ],
    ),
    (
        "lifecycle: {preStop: {httpGet: {path: /}}}",
        &[
            "lifecycle.preStop.httpGet: expected a port\n  help: write `port`, or give the process a portBase",
        ],
    ),
    (
        "lifecycle: {preStop: {sleep: {seconds: 6}, timeoutSeconds: 5}}",
        &["lifecycle.preStop.sleep.seconds: 6 is over timeoutSeconds, which is 5"],
    ),
    (
        "lifecycle: {preStop: {httpGet: {port: 1, path: '/a b', host: 'a/b', httpHeaders: [{name: 'a b', value: ok}, {name: ok, value: \"a\\nb\"}]}}}",
        &[
            "lifecycle.preStop.httpGet.path: expected a path without spaces, control characters, `#` and letters outside ASCII: write them as %20 and so on",
            "lifecycle.preStop.httpGet.host: expected a host name or an IP address",
            "lifecycle.preStop.httpGet.httpHeaders[0].name: expected the name of a header, such as X-Probe",
            "lifecycle.preStop.httpGet.httpHeaders[1].value: expected one line",
        ],
    ),
];

#[test]
fn one_process() {
    let nul = "has a NUL byte, which no program can be given";
    for (fields, wanted) in ONE_PROCESS {
        let command = if fields.starts_with("command:") {
            ""
        } else {
            "command: [a], "
        };
        let found = problems(&format!(
            "terminationGracePeriodSeconds: 30\nprocesses: [{{name: p, {command}{fields}}}]"
        ));
        let wanted: Vec<String> = wanted
            .iter()
            .map(|wanted| {
                let (warning, rest) = match wanted.strip_prefix("WARN ") {
                    Some(rest) => ("warning: ", rest),
                    None => ("", *wanted),
                };
                format!("{warning}spec.processes[0].{}", rest.replace("NUL", nul))
            })
            .collect();
        assert_eq!(found, wanted, "{fields}");
    }
}

#[test]
fn hooks_of_the_set_and_of_init_processes() {
    let body = "
hooks: {preStart: [{name: a, httpGet: {path: /}}]}
initProcesses: [{name: i, command: [a], lifecycle: {preStart: {httpGet: {path: /}}}}]
";
    expect(
        &problems(body),
        &[
            "spec.hooks.preStart[0].httpGet: expected a port",
            "spec.initProcesses[0].lifecycle.preStart.httpGet: expected a port",
        ],
    );
}

const PROBES: &[(&str, &[&str])] = &[
    (
        "portBase: 9000, startupProbe: {notify: {}}, livenessProbe: {tcpSocket: {}, timeoutSeconds: 20}, readinessProbe: {grpc: {}, successThreshold: 2}",
        &[],
    ),
    (
        "livenessProbe: {fastCgi: {address: '127.0.0.1:9000', path: /ping, query: json}}, readinessProbe: {fastCgi: {address: '[::1]:9000'}}, startupProbe: {fastCgi: {address: /run/php.sock}}",
        &[],
    ),
    (
        "startupProbe: {notify: {}, successThreshold: 2}, livenessProbe: {notify: {}, successThreshold: 3}",
        &[
            "startupProbe.successThreshold: expected 1, found 2: only a readinessProbe can ask for more",
            "livenessProbe.successThreshold: expected 1, found 3: only a readinessProbe can ask for more",
        ],
    ),
    (
        "readinessProbe: {notify: {}, terminationGracePeriodSeconds: 5}",
        &[
            "readinessProbe.terminationGracePeriodSeconds: a readinessProbe stops nothing, so it has no grace period\n  help: remove it",
        ],
    ),
    (
        "startupProbe: {httpGet: {path: /}}, livenessProbe: {tcpSocket: {}}, readinessProbe: {grpc: {}}",
        &[
            "startupProbe.httpGet: expected a port\n  help: write `port`, or give the process a portBase",
            "livenessProbe.tcpSocket: expected a port\n  help: write `port`, or give the process a portBase",
            "readinessProbe.grpc: expected a port\n  help: write `port`, or give the process a portBase",
        ],
    ),
    (
        "readinessProbe: {httpGet: {port: 1, host: 'localhost:8080'}}, livenessProbe: {tcpSocket: {port: 1, host: '[::1'}}",
        &[
            "livenessProbe.tcpSocket.host: expected a host name or an IP address",
            "readinessProbe.httpGet.host: expected a host name or an IP address\n  help: write the port into `port`",
        ],
    ),
    (
        "readinessProbe: {httpGet: {port: 1, host: '[fe80::1%eth0]'}}, livenessProbe: {tcpSocket: {port: 1, host: '::ffff:127.0.0.1'}}",
        &[],
    ),
    (
        "readinessProbe: {httpGet: {port: 1, path: '/a b', host: 'a/b', httpHeaders: [{name: 'a b', value: ok}, {name: ok, value: \"a\\nb\"}]}}, livenessProbe: {tcpSocket: {port: 1, host: 'a b'}}",
        &[
            "livenessProbe.tcpSocket.host: expected a host name or an IP address",
            "readinessProbe.httpGet.path: expected a path without spaces, control characters, `#` and letters outside ASCII: write them as %20 and so on",
            "readinessProbe.httpGet.host: expected a host name or an IP address",
            "readinessProbe.httpGet.httpHeaders[0].name: expected the name of a header, such as X-Probe",
            "readinessProbe.httpGet.httpHeaders[1].value: expected one line",
        ],
    ),
    (
        "livenessProbe: {exec: {command: ['', \"\\0\"]}}",
        &[
            "livenessProbe.exec.command[0]: expected the name of a program",
            "livenessProbe.exec.command[1]: NUL",
        ],
    ),
    (
        "livenessProbe: {fastCgi: {address: '9000', path: ping}}, readinessProbe: {fastCgi: {address: 'unix:/run/php.sock', query: '?json'}}, startupProbe: {fastCgi: {address: '::1:9000'}}",
        &[
            "startupProbe.fastCgi.address: ADDRESS \"::1:9000\"",
            "livenessProbe.fastCgi.address: ADDRESS \"9000\"",
            "livenessProbe.fastCgi.path: expected a path that begins with `/`, in one line",
            "readinessProbe.fastCgi.address: ADDRESS \"unix:/run/php.sock\"\n  help: write /run/php.sock",
            "readinessProbe.fastCgi.query: expected a query without `?`, in one line",
        ],
    ),
    (
        "livenessProbe: {fastCgi: {address: 'a:0'}}, readinessProbe: {fastCgi: {address: ':80'}}, startupProbe: {fastCgi: {address: 'a:+80'}}",
        &[
            "startupProbe.fastCgi.address: ADDRESS \"a:+80\"",
            "livenessProbe.fastCgi.address: ADDRESS \"a:0\"",
            "readinessProbe.fastCgi.address: ADDRESS \":80\"",
        ],
    ),
    (
        "portBase: 8000, replicas: 2, readinessProbe: {httpGet: {port: 8000}}, livenessProbe: {httpGet: {}}",
        &[
            "WARN readinessProbe.httpGet.port: all instances are asked at port 8000, but portBase gives each its own\n  help: leave out `port`",
        ],
    ),
    (
        "portBase: 8000, replicas: 1, maxReplicas: 3, readinessProbe: {tcpSocket: {port: 8000}}, livenessProbe: {grpc: {port: 1}}",
        &[
            "WARN livenessProbe.grpc.port: all instances are asked at port 1, but portBase gives each its own\n  help: leave out `port`",
            "WARN readinessProbe.tcpSocket.port: all instances are asked at port 8000, but portBase gives each its own\n  help: leave out `port`",
        ],
    ),
];

#[test]
fn probes() {
    let address =
        "expected HOST:PORT, such as 127.0.0.1:9000, or the absolute path of a socket, found";
    for (fields, wanted) in PROBES {
        let found = processes(&format!("{{name: p, command: [a], {fields}}}"));
        let wanted: Vec<String> = (wanted.iter())
            .map(|wanted| {
                let (warning, rest) = match wanted.strip_prefix("WARN ") {
                    Some(rest) => ("warning: ", rest),
                    None => ("", *wanted),
                };
                let rest = rest.replace("NUL", "has a NUL byte, which no program can be given");
                format!(
                    "{warning}spec.processes[0].{}",
                    rest.replace("ADDRESS", address)
                )
            })
            .collect();
        assert_eq!(found, wanted, "{fields}");
    }
}

#[test]
fn probes_that_no_loader_lets_through() {
    let body = "processes: [{name: a, command: [a], livenessProbe: {notify: {}}, readinessProbe: {exec: {command: [a]}}, startupProbe: {httpGet: {port: 1}}}]";
    let mut spec = set(body).spec;
    let process = &mut spec.processes[0];
    let notify = process.liveness_probe.as_mut().unwrap().notify.take();
    let http = process.startup_probe.as_ref().unwrap().http_get.clone();
    process.readiness_probe.as_mut().unwrap().http_get = http;
    let startup = process.startup_probe.as_mut().unwrap();
    startup.exec = process.readiness_probe.as_ref().unwrap().exec.clone();
    startup.notify = notify;
    startup.http_get.as_mut().unwrap().port = Some(0);
    let found: Vec<String> = validate(&spec).iter().map(ToString::to_string).collect();
    expect(
        &found,
        &[
            "spec.processes[0].startupProbe: has 3 handlers: exec, httpGet and notify: keep one",
            "spec.processes[0].startupProbe.httpGet.port: expected an integer from 1 to 65535, found 0",
            "spec.processes[0].livenessProbe: has no handler: write one of exec, httpGet, tcpSocket, grpc, fastCgi, notify",
            "spec.processes[0].readinessProbe: has two handlers: exec and httpGet: keep one",
        ],
    );
}

/// The loader and the API server refuse these; a plan must not rely on it.
#[test]
fn what_no_loader_lets_through() {
    let mut spec = set(
        "processes: [{name: a, command: [a], dependsOn: [{name: b}]}, {name: b, command: [b]}]",
    )
    .spec;
    let again = spec.processes[0].depends_on[0].clone();
    spec.processes[0].depends_on.push(again);
    spec.processes[1].restart_backoff.factor = Decimal::from_thousandths(500);
    spec.processes[1].restart_backoff.jitter = Decimal::from_thousandths(1001);
    spec.processes[1].command.clear();
    let found: Vec<String> = validate(&spec).iter().map(ToString::to_string).collect();
    expect(
        &found,
        &[
            "spec.processes[1].command[0]: expected the name of a program",
            "spec.processes[1].restartBackoff.factor: expected 1 to 100, found 0.5",
            "spec.processes[1].restartBackoff.jitter: expected 0 to 1, found 1.001",
            "spec.processes[0].dependsOn[1].name: `b` is in this list already",
        ],
    );
}
