//! Specs and machines to plans, table by table.

use std::ffi::OsString;
use std::path::PathBuf;

use super::super::host::{
    Capabilities, FileContent, FileError, FileRequest, parse_group, parse_passwd,
};
use super::super::{
    Backoff, Backpressure, Condition, Dependency, FailurePolicy, GraceSource, Hook, HookAction,
    HttpMethod, HttpRequest, Identity, Kind, LogFormat, LogRule, Mode, OnFailure, OnStop,
    OnSuccess, Plan, RestartPolicy, Rlimit, SignalTarget, Traffic,
};
use super::*;
use crate::domain::plan::tests::{root, set};
use crate::domain::signal::Signal;

#[track_caller]
fn plan(body: &str, host: &HostView) -> Plan {
    match resolve(&set(body), host) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// What keeps a set from its plan.
#[track_caller]
fn refused(body: &str, host: &HostView) -> Vec<String> {
    match resolve(&set(body), host) {
        Ok((plan, _)) => panic!("{plan:#?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn warnings(body: &str, host: &HostView) -> Vec<String> {
    let (_, warnings) = resolve(&set(body), host).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

/// One process `p` with these fields.
fn process(fields: &str) -> String {
    let command = if fields.contains("command: [p") {
        ""
    } else {
        "command: [p], "
    };
    format!("processes: [{{name: p, {command}{fields}}}]")
}

fn launch(plan: &Plan) -> &Launch {
    &plan
        .processes
        .last()
        .unwrap()
        .instances
        .last()
        .unwrap()
        .launch
}

/// Without the file that every instance gets; a test of its own looks at that.
fn env_of(launch: &Launch) -> Vec<&str> {
    launch
        .env
        .iter()
        .map(|entry| entry.to_str().unwrap())
        .filter(|entry| !entry.starts_with("PODINIT_DEADLINE_FILE="))
        .collect()
}

fn argv_of(launch: &Launch) -> Vec<&str> {
    launch
        .argv
        .iter()
        .map(|arg| arg.to_str().unwrap())
        .collect()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A container that runs as uid 1000 without any capability.
fn unprivileged() -> HostView {
    HostView {
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 2000],
        can: Capabilities::default(),
        passwd: parse_passwd(
            b"root:x:0:0::/root:\napp:x:1000:1000::/home/app:\nwww-data:x:33:33::/:\n",
        ),
        group: parse_group(b"root:x:0:\napp:x:1000:\nadm:x:4:app\n"),
        ..root()
    }
}

mod environment;
mod hooks;
mod identity;
mod machine;

fn wants(on: u32, condition: Condition, optional: bool) -> Dependency {
    Dependency {
        on: ProcessId(on),
        condition,
        optional,
    }
}

const WHOLE_SET: &str = "
env: [{name: APP, value: $(APP)-1}]
initProcesses:
- {name: cache, command: [php, artisan, 'config:cache']}
- {name: migrate, command: [php, artisan, migrate], onStop: Signal, restartPolicy: OnFailure}
- {name: aside, command: [a], dependsOn: [{name: cache}]}
processes:
- {name: web, command: [nginx], args: [-p, $(PORT)], portBase: 8080, replicas: 2, dependsOn: [{name: fpm, condition: Started, optional: true}, {name: idle, optional: true}]}
- {name: fpm, command: [php-fpm], stopSignal: SIGQUIT, signalTarget: Group, terminationGracePeriodSeconds: 0, successExitCodes: [0, 3], activeDeadlineSeconds: 60}
- {name: idle, command: [a], enabled: false}
- {name: none, command: [a], replicas: 0, traffic: Background, restartPolicy: Never, onSuccess: ExitSet}
";

#[test]
fn init_processes_run_one_after_the_other() {
    let plan = plan(WHOLE_SET, &root());
    assert_eq!((&*plan.name, plan.mode), ("shop", Mode::Set));
    let names: Vec<&str> = plan
        .processes
        .iter()
        .map(|process| &*process.name)
        .collect();
    assert_eq!(names, ["cache", "migrate", "aside", "web", "fpm", "none"]);
    let [cache, migrate, aside, ..] = &plan.processes[..] else {
        panic!()
    };
    assert_eq!(
        cache.kind,
        Kind::Init {
            on_stop: OnStop::Finish
        }
    );
    assert_eq!(
        migrate.kind,
        Kind::Init {
            on_stop: OnStop::Signal
        }
    );
    assert_eq!(migrate.depends_on, [wants(0, Condition::Completed, true)]);
    assert_eq!(migrate.restart.policy, RestartPolicy::OnFailure);
    assert_eq!(
        (migrate.on_failure, &*migrate.instances[0].label.instance),
        (OnFailure::ExitSet, "migrate")
    );
    // Ready of an init process: completed.
    assert_eq!(aside.depends_on, [wants(0, Condition::Completed, false)]);
}

#[test]
fn processes_as_they_are_written_and_by_default() {
    let plan = plan(WHOLE_SET, &root());
    let [.., web, fpm, none] = &plan.processes[..] else {
        panic!()
    };
    assert_eq!(web.depends_on, [wants(4, Condition::Started, true)]);
    assert_eq!(
        (web.kind, web.traffic, web.on_failure),
        (Kind::Service, Traffic::Serving, OnFailure::MarkUnready)
    );
    let labels: Vec<&str> = web
        .instances
        .iter()
        .map(|instance| &*instance.label.instance)
        .collect();
    assert_eq!(labels, ["web-0", "web-1"]);
    assert_eq!(argv_of(&web.instances[1].launch), ["nginx", "-p", "8081"]);

    assert_eq!(fpm.stop.signal, Signal::QUIT);
    assert_eq!(
        (fpm.stop.target, fpm.stop.grace),
        (SignalTarget::Group, Some(Duration::ZERO))
    );
    assert_eq!(
        (&*fpm.restart.success_codes, fpm.active_deadline),
        (&[0, 3][..], Some(secs(60)))
    );
    assert_eq!(fpm.restart.policy, RestartPolicy::Always);
    assert_eq!(
        fpm.restart.backoff,
        Backoff {
            initial: secs(1),
            factor: 2.0,
            max: secs(300),
            jitter: 0.1,
            reset_after: secs(600)
        }
    );
    assert_eq!(
        (none.instances.len(), none.on_failure, none.on_success),
        (0, OnFailure::Ignore, OnSuccess::ExitSet)
    );
}

#[test]
fn one_command() {
    let mut host = root();
    host.env.push(("PODINIT_CONFIG".into(), "x".into()));
    host.env.push((GRACE_VARIABLE.into(), "25".into()));
    let argv: Vec<OsString> = vec!["/usr/sbin/nginx".into(), "-g".into(), "$(APP)".into()];
    let plan = command_plan(argv, &host).unwrap();
    assert_eq!(plan.mode, Mode::Command);
    assert_eq!(
        (plan.shutdown.grace, plan.shutdown.source),
        (secs(25), GraceSource::Environment)
    );
    let process = &plan.processes[0];
    assert_eq!(
        (process.restart.policy, process.stop.signal),
        (RestartPolicy::Never, Signal::TERM)
    );
    assert_eq!(process.log, None);
    let instance = &process.instances[0];
    assert_eq!(
        (&*instance.label.process, &*instance.label.instance),
        ("nginx", "nginx")
    );
    assert_eq!(
        argv_of(&instance.launch),
        ["/usr/sbin/nginx", "-g", "$(APP)"]
    );
    assert_eq!(
        env_of(&instance.launch),
        ["PATH=/bin", "HOME=/root", "APP=shop"]
    );
    assert_eq!(instance.launch.identity, None);
}

#[test]
fn a_command_needs_a_word_and_a_good_grace() {
    let mut host = root();
    host.env.push((GRACE_VARIABLE.into(), "soon".into()));
    let problems = command_plan(vec!["/".into()], &host).unwrap_err();
    let wanted =
        "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS is `soon`: expected a whole number of seconds";
    assert_eq!(problems[0].to_string(), wanted);
    let problems = command_plan(Vec::new(), &root()).unwrap_err();
    assert_eq!(problems[0].to_string(), "there is no command after --");
    // No file has such a name: that is found out at the exec, as in a shell.
    for name in ["/", ""] {
        let plan = command_plan(vec![name.into()], &root()).unwrap();
        assert_eq!(&*plan.processes[0].name, name);
    }
}

#[test]
fn where_the_grace_period_comes_from() {
    let written = "terminationGracePeriodSeconds: 20\nprocesses: [{name: p, command: [p]}]";
    let absent = "processes: [{name: p, command: [p]}]";
    let host = |in_kubernetes: bool, given: Option<&str>| {
        let mut host = root();
        host.in_kubernetes = in_kubernetes;
        host.env
            .extend(given.map(|value| (GRACE_VARIABLE.into(), value.into())));
        host
    };
    for (body, host, wanted) in [
        (absent, host(false, None), (10, GraceSource::Default)),
        (absent, host(true, None), (30, GraceSource::Default)),
        (written, host(true, None), (20, GraceSource::Spec)),
        (
            written,
            host(true, Some("5")),
            (5, GraceSource::Environment),
        ),
        (absent, host(true, Some("0")), (0, GraceSource::Environment)),
        (
            absent,
            host(true, Some("172800")),
            (172_800, GraceSource::Environment),
        ),
        // An empty variable is what a template leaves of a value it does not have.
        (written, host(true, Some("")), (20, GraceSource::Spec)),
    ] {
        let plan = plan(body, &host);
        assert_eq!(
            (plan.shutdown.grace, plan.shutdown.source),
            (secs(wanted.0), wanted.1)
        );
        assert_eq!(plan.shutdown.tail, secs(1));
    }
    for bad in ["30s", "-1", "+1", " 30", "1e3", "4294967296"] {
        let problems = refused(absent, &host(true, Some(bad)));
        assert_eq!(
            problems,
            [format!(
                "{GRACE_VARIABLE} is `{bad}`: expected a whole number of seconds"
            )]
        );
    }
    let tail = plan(&format!("shutdown: {{tail: 250ms}}\n{absent}"), &root())
        .shutdown
        .tail;
    assert_eq!(tail, Duration::from_millis(250));
}

#[test]
fn every_problem_is_reported_once_and_at_once() {
    let mut host = root();
    host.env.push((GRACE_VARIABLE.into(), "x".into()));
    let body = "
securityContext: {runAsUser: www-dta}
envFrom: [{file: {path: gone}}]
processes:
- {name: a, command: [''], replicas: 3}
- {name: b, command: [a], dependsOn: [{name: a, condition: Completed}]}
";
    assert_eq!(
        refused(body, &host),
        [
            "spec.processes[0].command[0]: expected the name of a program",
            "spec.processes[1].dependsOn[0].condition: `a` never ends for good: its restartPolicy is Always\n  help: set restartPolicy of `a` to OnFailure or Never, or wait for Ready",
            "spec.envFrom[0].file.path: failed to read `gone`: it was not read",
            "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS is `x`: expected a whole number of seconds",
            "spec.securityContext.runAsUser: there is no user `www-dta` in /etc/passwd\n  help: did you mean `www-data`?",
        ]
    );
}
